-- Put a claimed message back until a time, only where the claim is still the owner's.
--
-- Its payload is kept at least as long as a new message of that time would be.
--
-- KEYS  1 queue
-- ARGV  1 owner's token, 2 id, 3 due (Unix ms), 4 how long the payload outlives that (ms)
-- Gives 1 when put back, 0 when the claim is no longer the owner's.

local lock = 'arq:in-progress:' .. ARGV[2]
if redis.pcall('GET', lock) ~= ARGV[1] then
  return 0
end
redis.call('DEL', lock)
redis.call('ZADD', KEYS[1], 'XX', ARGV[3], ARGV[2])
redis.call('PEXPIREAT', 'arq:job:' .. ARGV[2], ARGV[3] + ARGV[4], 'GT')
return 1
