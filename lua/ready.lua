--: key worker

-- Whether Redis does what requests need. Calls every command that the scripts and the coordinator call, in a form that changes nothing.
-- Returns {what a write is refused with ("": writes are taken), then each command that Redis's user may not call}.

local NONE = key_worker .. ' ' -- no worker's key: ids have no blanks

-- The write that needs memory comes first, since Redis lets a script go on after its first write.
local HARMLESS = {
  { 'SET', NONE, '', 'XX' }, { 'DEL', NONE }, { 'EXISTS', NONE }, { 'GET', NONE }, { 'HDEL', NONE, 'f' }, { 'HEXISTS', NONE, 'f' },
  { 'HGET', NONE, 'f' }, { 'HGETALL', NONE }, { 'HINCRBY', NONE, 'f', 'no number' }, { 'HMGET', NONE, 'f' },
  { 'HSET', NONE, 'f', 'v', 'odd' }, { 'MGET', NONE }, { 'PERSIST', NONE }, { 'PEXPIREAT', NONE, '1' }, { 'PEXPIRETIME', NONE },
  { 'TIME' }, { 'XADD', NONE, 'NOMKSTREAM', '*', 'f', 'v' }, { 'XRANGE', NONE, '-', '+' }, { 'XREVRANGE', NONE, '+', '-' },
  { 'ZADD', NONE, 'XX', '0', 'm' }, { 'ZCARD', NONE }, { 'ZCOUNT', NONE, '0', '0' }, { 'ZLEXCOUNT', NONE, '-', '+' },
  { 'ZRANGE', NONE, '0', '0' },
  { 'ZRANGEBYLEX', NONE, '-', '+' }, { 'ZRANGEBYSCORE', NONE, '0', '0' }, { 'ZREM', NONE, 'm' }, { 'ZSCORE', NONE, 'm' },
}

local result = { '' }
for at, command in ipairs(HARMLESS) do
  local reply = redis.pcall(unpack(command))
  local err = type(reply) == 'table' and reply.err or ''
  if string.find(err, '^NOPERM') or string.find(err, '^ERR The user executing the script') then -- the second is Redis 7.0's
    result[#result + 1] = command[1]
  elseif at == 1 then
    result[1] = err
  end
end
return result
