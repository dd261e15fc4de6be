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

-- Reads the live workers whose heartbeats came so lately that they go offline at `since` (ms) or later, at most `max` of them, and
-- what they reported. Heartbeats are noted only while somebody calls this script. After a minute without a call, only the
-- heartbeats since the next call are known. Returns {the present (ms), then for each: id, its ledger entry, its last heartbeat
-- (ms), when it goes offline (ms), its load}, in the order in which they go offline. The active requests in the entry are at least
-- those that coordinators have sent to the worker.

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
-- if Redis takes no writes, there are no heartbeats either; if it is full, it takes writes that follow a write which needs no
-- memory
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
