--: key worker
--: key workers

-- Checks whether Redis can do what requests need. It calls every command that the scripts and the coordinator call, in a form that
-- changes nothing. It does not call PUBLISH: without it polls wait longer, but nothing fails. Returns {the error with which Redis
-- refuses a write ("": it takes writes), then each command that Redis's user may not call}.

local NONE = key_worker .. ' ' -- no worker's key: ids have no blanks

-- The write that needs memory comes first, since Redis lets a script go on after its first write.
local HARMLESS = {
  { 'SET', NONE, '', 'XX' }, { 'DEL', NONE }, { 'EXISTS', NONE }, { 'GET', NONE }, { 'HDEL', NONE, 'f' }, { 'HEXISTS', NONE, 'f' },
  { 'HGET', NONE, 'f' }, { 'HGETALL', NONE }, { 'HINCRBY', NONE, 'f', 'no number' }, { 'HKEYS', NONE }, { 'HLEN', NONE },
  { 'HMGET', NONE, 'f' }, { 'HSCAN', NONE, '0' }, { 'HSET', NONE, 'f', 'v', 'odd' }, { 'HVALS', NONE }, { 'MGET', NONE },
  { 'PERSIST', NONE }, { 'PEXPIRE', NONE, '1' }, { 'PEXPIREAT', NONE, '1' }, { 'PEXPIRETIME', NONE },
  { 'SCARD', NONE }, { 'SISMEMBER', NONE, 'm' }, { 'SMEMBERS', NONE }, { 'SMISMEMBER', NONE, 'm' }, { 'SRANDMEMBER', NONE },
  { 'SREM', NONE, 'm' }, { 'TIME' }, { 'XADD', NONE, 'NOMKSTREAM', '*', 'f', 'v' }, { 'XRANGE', NONE, '-', '+' },
  { 'XREVRANGE', NONE, '+', '-' }, { 'ZADD', NONE, 'XX', '0', 'm' }, { 'ZCARD', NONE }, { 'ZCOUNT', NONE, '0', '0' },
  { 'ZLEXCOUNT', NONE, '-', '+' }, { 'ZPOPMIN', NONE }, { 'ZRANGE', NONE, '0', '0' }, { 'ZRANGEBYLEX', NONE, '-', '+' },
  { 'ZRANGEBYSCORE', NONE, '0', '0' }, { 'ZREM', NONE, 'm' }, { 'ZREMRANGEBYSCORE', NONE, '0', '0' },
  { 'ZSCORE', NONE, 'm' },
}

-- These commands would make a key. If `workers` exists, they run on it: it has another type, so they change nothing. Else the key
-- that they make is deleted.
local has_workers = redis.pcall('EXISTS', key_workers) == 1
for _, command in ipairs({ { 'HSETNX', NONE, 'f', 'v' }, { 'SADD', NONE, 'm' } }) do
  command[2] = has_workers and key_workers or NONE
  HARMLESS[#HARMLESS + 1] = command
  HARMLESS[#HARMLESS + 1] = { 'DEL', NONE }
end

local result, refused = { '' }, {}
for at, command in ipairs(HARMLESS) do
  local reply = redis.pcall(unpack(command))
  local err = type(reply) == 'table' and reply.err or ''
  if string.find(err, '^NOPERM') or string.find(err, '^ERR The user executing the script') then -- the second is Redis 7.0's
    if not refused[command[1]] then
      refused[command[1]] = true
      result[#result + 1] = command[1]
    end
  elseif at == 1 then
    result[1] = err
  end
end
return result
