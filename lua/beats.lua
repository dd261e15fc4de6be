--: arg since
--: arg max
--: key worker
--: key online
--: key ledger
--: use number
--: use clock

-- The live workers that have beaten so lately that they go offline at `since` (ms) or later, at most `max` of them, and what they said.
-- Returns {the present (ms), then for each: id, its ledger entry, its last heartbeat (ms), when it goes offline (ms)}, in the order of
-- the last of these.

local since, max = number_of(arg_since), number_of(arg_max)
if not since or not max or max < 1 or max > 1000 then
  return redis.error_reply('BADCALL since and max are numbers, max is 1 to 1000')
end
local result = { string.format('%.0f', clock_now()) }
local found = redis.call('ZRANGEBYSCORE', key_online, since, '+inf', 'WITHSCORES', 'LIMIT', 0, max)
for at = 1, #found, 2 do
  local id = found[at]
  local last_heartbeat = redis.pcall('HGET', key_worker .. id, 'last_heartbeat')
  result[#result + 1] = id
  result[#result + 1] = redis.call('HGET', key_ledger, id) or ''
  result[#result + 1] = type(last_heartbeat) == 'string' and last_heartbeat or ''
  result[#result + 1] = found[at + 1]
end
return result
