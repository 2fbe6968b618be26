-- Put hints into the queue, each only where its execution has none there.
--
-- The payload comes first, so that no id stands in the queue without one.
--
-- KEYS  1 queue
-- ARGV  for each hint: id, due (Unix ms), payload, how long to keep it (ms)

for i = 1, #ARGV, 4 do
  redis.call('SET', 'arq:job:' .. ARGV[i], ARGV[i + 2], 'PX', ARGV[i + 3])
  redis.call('ZADD', KEYS[1], 'NX', ARGV[i + 1], ARGV[i])
end
