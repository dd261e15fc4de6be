--: arg worker_id
--: arg drain
--: arg reason
--: arg from
--: key worker
--: key registration
--: key online
--: key offline
--: key ledger
--: use clock
--: use events
--: use memory
--: use places
--: use status

-- Begins (drain "1") or ends ("0") a drain: new work is kept away from the worker, whatever it reports. A drain lasts over
-- re-registrations and removal. reason, from: why, and who wants it; both may be empty. If the worker is drained already, a new
-- reason replaces the old one, and the time since when it is drained stays. Returns the status as which the worker now counts, or
-- the error NOTFOUND if there is no such worker.

if arg_drain ~= '0' and arg_drain ~= '1' then
  return redis.error_reply('BADCALL drain is 0 or 1')
end
local hash = key_worker .. arg_worker_id
local reported = redis.call('HGET', hash, 'status')
local entry = redis.call('HGET', key_ledger, arg_worker_id)
local registered = places_registered(arg_worker_id)
local place = ledger_read(entry) or registered
if not reported or not registered then
  return redis.error_reply('NOTFOUND Worker not found')
end
memory_need_not_be_free()
local registration = key_registration .. arg_worker_id
local drained, known_reason = unpack(redis.call('HMGET', registration, 'drained', 'drain_reason'))
local changed = (arg_drain == '1') ~= (drained == '1')
local told = {} -- fields of the registration and of the event
if arg_drain == '0' then
  redis.call('HDEL', registration, 'drained', 'drained_at', 'drain_reason', 'drained_from')
else
  if changed then
    redis.call('HSET', registration, 'drained', '1', 'drained_at', clock_now())
  end
  changed = changed or (arg_reason ~= '' and arg_reason ~= known_reason)
  for field, value in pairs(changed and { drain_reason = arg_reason, drained_from = arg_from } or {}) do
    if value ~= '' then
      redis.call('HSET', registration, field, value)
      told[#told + 1] = field
      told[#told + 1] = value
    end
  end
end
changed = changed or (arg_drain == '1') ~= (place.drained == 'd')
place.drained = arg_drain == '1' and 'd' or '-'
local live = redis.call('EXISTS', hash .. ':online') == 1
if live or place.status ~= 'offline' then -- or its online key has expired, and no sweep has moved it yet
  place.status = arg_drain == '1' and 'draining' or status_is(reported) and reported or 'healthy'
end
if live then
  redis.call('SET', hash .. ':online', place.status, 'KEEPTTL')
end
-- the drain does not move it: only a heartbeat or a sweep moves a worker between online and offline
local moment = redis.call('ZSCORE', place.status == 'offline' and key_offline or key_online, arg_worker_id)
places_move(arg_worker_id, entry, place, moment or redis.call('PEXPIRETIME', hash))
if changed then
  events_tell('updated', arg_drain == '1' and 'drained' or 'undrained', arg_worker_id, place, unpack(told))
end
return live and place.status or 'offline'
