--: arg since
--: arg max
--: key worker
--: key listening
--: key lately
--: key ledger
--: key stats
--: use number
--: use clock
--: use requests

-- The live workers that have beaten so lately that they go offline at `since` (ms) or later, at most `max` of them, and what
-- they said. Heartbeats are noted for it as long as it is asked: only those count that have come since the first call, when
-- there is none for a minute before it. Returns {the present (ms), then for each: id, its ledger entry, in which stand at least as
-- many active requests as coordinators have sent it, its last heartbeat (ms), when it goes offline (ms), its load}, in the order
-- of the last but one of these.

local LISTENING = '60000' -- ms

local since, max = number_of(arg_since), number_of(arg_max)
if not since or not max or max < 1 or max > 1000 then
  return redis.error_reply('BADCALL since and max are numbers, max is 1 to 1000')
end
-- A ledger entry with `count` active requests, unless the worker reports more.
local function with_requests(entry, count)
  return count == 0 and entry or string.gsub(entry, '^(%S+ %S+ %S+ %S+ %S+ )(%d+)', function(before, active)
    return before .. string.format('%d', math.max(active, count))
  end)
end

local result = { string.format('%.0f', clock_now()) }
-- a Redis that takes no writes has no heartbeats to tell of either; one that is full takes them behind one that needs no memory
redis.pcall('PERSIST', key_stats)
redis.pcall('SET', key_listening, '1', 'PX', LISTENING)
redis.pcall('PEXPIRE', key_lately, LISTENING)
local found = redis.call('ZRANGEBYSCORE', key_lately, since, '+inf', 'WITHSCORES', 'LIMIT', 0, max)
for at = 1, #found, 2 do
  local id = found[at]
  local state = redis.pcall('HMGET', key_worker .. id, 'last_heartbeat', 'current_load')
  result[#result + 1] = id
  result[#result + 1] = with_requests(redis.call('HGET', key_ledger, id) or '', requests_of(id))
  result[#result + 1] = state[1] or ''
  result[#result + 1] = found[at + 1]
  result[#result + 1] = state[2] or ''
end
return result
