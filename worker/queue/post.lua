-- Put hints into the queue; one that stands there already keeps its place.
--
-- The payload comes first: where Redis refuses the second step, no id stands there without one.
--
-- KEYS  1 queue
-- ARGV  for each hint: id, due (Unix ms), payload, how long to keep it (ms)

for i = 1, #ARGV, 4 do
  redis.call('SET', 'arq:job:' .. ARGV[i], ARGV[i + 2], 'PX', ARGV[i + 3])
  redis.call('ZADD', KEYS[1], 'NX', ARGV[i + 1], ARGV[i])
end
