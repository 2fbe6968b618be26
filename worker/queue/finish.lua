-- End messages, and leave results for their producers, in one call.
--
-- Only where the claim is the owner's or has run out: a worker that was paused past its lease must
-- not end what its successor runs. Deleting comes first, so that a full Redis, which refuses the
-- first write that needs memory, still lets messages end.
--
-- KEYS  1 queue
-- ARGV  1 owner's token, then for each message: id, result ('' for none), how long to keep it (ms)
-- Gives for each message 1 when it ended, 0 when it belongs to another owner.

local answer = {}
local moved = false
for i = 2, #ARGV, 3 do
  local id, result = ARGV[i], ARGV[i + 1]
  local lock = 'arq:in-progress:' .. id
  local holder = redis.pcall('GET', lock)
  if holder == false or holder == ARGV[1] then
    redis.call('DEL', lock, 'arq:retry:' .. id, 'arq:job:' .. id)
    redis.call('ZREM', KEYS[1], id)
    redis.pcall('ZREM', 'arq:abort', id)
    if result ~= '' then
      redis.call('SET', 'arq:result:' .. id, result, 'PX', ARGV[i + 2])
    end
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
