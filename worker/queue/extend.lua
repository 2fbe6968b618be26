-- Prolong claims, by the clock of Redis, only where they are still the owner's.
--
-- KEYS  1 queue
-- ARGV  1 owner's token, 2 lease (ms), then message ids
-- Gives for each message 1 when prolonged, 0 when the claim is no longer the owner's.

local clock = redis.call('TIME')
local due = clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[2])
local answer = {}
local moved = false
for i = 3, #ARGV do
  local lock = 'arq:in-progress:' .. ARGV[i]
  if redis.pcall('GET', lock) == ARGV[1] then
    redis.call('PEXPIRE', lock, ARGV[2])
    redis.call('ZADD', KEYS[1], 'XX', due, ARGV[i])
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
