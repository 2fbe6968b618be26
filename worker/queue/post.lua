-- Put hints into the queue; one that stands there already keeps its place.
--
-- The payload comes first: where Redis refuses the second step, no id stands there without one.
--
-- KEYS  1 queue
-- ARGV  1 a line for each hint: id, due (Unix ms), how long to keep it (ms), payload, which has no
--       spaces; as one argument, since a client spends more on a thousand than on their text

for id, due, kept, payload in string.gmatch(ARGV[1], '(%S+) (%S+) (%S+) (%S+)\n') do
  redis.call('SET', 'arq:job:' .. id, payload, 'PX', kept)
  redis.call('ZADD', KEYS[1], 'NX', due, id)
end
