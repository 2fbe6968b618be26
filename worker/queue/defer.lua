-- Put claimed messages back until a time, only where the claim is still the owner's.
--
-- The payload is kept at least as long as a new message of that time would be.
--
-- KEYS  1 queue
-- ARGV  1 owner's token, 2 how long a payload outlives its time (ms), then for each message: id,
--       due (Unix ms)
-- Gives for each message 1 when put back, 0 when the claim is no longer the owner's.

local answer = {}
local moved = false
for i = 3, #ARGV, 2 do
  local id, due = ARGV[i], ARGV[i + 1]
  local lock = 'arq:in-progress:' .. id
  if redis.pcall('GET', lock) == ARGV[1] then
    redis.call('DEL', lock)
    redis.call('ZADD', KEYS[1], 'XX', due, id)
    redis.call('PEXPIREAT', 'arq:job:' .. id, due + ARGV[2], 'GT')
    answer[#answer + 1] = 1
    moved = true
  else
    answer[#answer + 1] = 0
  end
end
if moved then
  -- For those who listen: the queue changed, and did not grow (see wakeups.py).
  redis.call('SET', KEYS[1] .. ':moved', '')
  redis.call('DEL', KEYS[1] .. ':moved')
end
return answer
