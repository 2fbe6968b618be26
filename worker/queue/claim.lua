-- Claim a batch of due messages, in one call, by the clock of Redis.
--
-- A claim is a lock with an owner's token and an end, and a score moved to that end: what runs
-- leaves the head of the queue, and what a dead worker held comes due by itself. Message ids stay
-- bytes throughout, and a payload that is too large is never sent.
--
-- KEYS  1 queue
-- ARGV  1 owner's token, 2 lease (ms), 3 most messages, 4 largest payload (bytes),
--       5 payload bytes after which a batch is full
-- Gives {ms until the next message is due or -1, 1 if more are due now, message...}, a message
-- being {id, 'ok' | 'missing' | 'large' | 'strange', payload or its first 200 bytes, size}.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lease = tonumber(ARGV[2])
local most = tonumber(ARGV[3])

local function payload_of(id)
  local key = 'arq:job:' .. id
  local size = redis.pcall('STRLEN', key)
  if type(size) == 'table' then
    return {id, 'strange', '', 0}
  elseif size == 0 and redis.call('EXISTS', key) == 0 then
    return {id, 'missing', '', 0}
  elseif size > tonumber(ARGV[4]) then
    return {id, 'large', redis.call('GETRANGE', key, 0, 199), size}
  end
  return {id, 'ok', redis.call('GET', key), size}
end

local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, most)
local more = #due == most and 1 or 0
local answer = {-1, more}
local bytes = 0

for place, id in ipairs(due) do
  local lock = 'arq:in-progress:' .. id
  local left = redis.call('PTTL', lock)
  if left == -1 then
    -- A lock without an end would keep its message for ever.
    redis.call('PEXPIRE', lock, lease)
    left = lease
  end
  if left >= 0 then
    -- Someone holds it (its producer sent it twice, say): due again when that claim ends.
    redis.call('ZADD', KEYS[1], now + left + 1, id)
  else
    redis.call('SET', lock, ARGV[1], 'PX', lease)
    redis.call('ZADD', KEYS[1], now + lease, id)
    local message = payload_of(id)
    answer[#answer + 1] = message
    bytes = bytes + #message[3]
    if bytes >= tonumber(ARGV[5]) and place < #due then
      answer[2] = 1
      break
    end
  end
end

if #due > 0 then
  -- For those who listen: the queue changed, and did not grow (see wakeups.py).
  redis.call('SET', KEYS[1] .. ':moved', '')
  redis.call('DEL', KEYS[1] .. ':moved')
end

local coming = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
if coming[2] then
  answer[1] = math.ceil(math.min(tonumber(coming[2]) - now, 3600000))
end
return answer
