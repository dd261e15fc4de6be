--: arg timeout
--: arg removal
--: arg revive
--: arg worker_id
--: arg last_heartbeat
--: arg status
--: arg load
--: rest fields
--: key worker
--: key registration
--: key ledger
--: key stats
--: use number
--: use clock
--: use events
--: use identities
--: use places
--: use removal
--: use status
--: use try

-- Takes over a worker from another registry; one that is known here already stays as it is. timeout, removal, revive: as in register.
-- last_heartbeat (ms), status, load (0 to 1): its state there. fields: names and values of the registration's fields.
-- Returns "live", "offline", "archived" (silent for so long that only its registration is kept, for a late heartbeat), or "known".

local now, timeout, removal, revive = clock_now(), number_of(arg_timeout), number_of(arg_removal), number_of(arg_revive)
local last_heartbeat, load = number_of(arg_last_heartbeat), number_of(arg_load)
if not timeout or not removal or not revive or not last_heartbeat or not load or load < 0 or load > 1 then
  return redis.error_reply('BADCALL timeout, removal, revive, last_heartbeat and load are numbers')
end
local id = arg_worker_id
if id == '' or not status_is(arg_status) or (#ARGV - rest + 1) % 2 ~= 0 then
  return redis.error_reply('BADCALL malformed worker')
end
local given = {}
for at = rest, #ARGV, 2 do
  given[ARGV[at]] = ARGV[at + 1]
end
local place = ledger_offline(given.tier, given.provides, given.drained, given.region, given.caller)
if not place then
  return redis.error_reply('BADCALL a worker needs a tier, and names of services have no white space')
end
local hash, registration = key_worker .. id, key_registration .. id
if redis.call('EXISTS', registration, hash) > 0 then
  return 'known'
end
local entry = redis.call('HGET', key_ledger, id)
if entry then -- removed long ago, and no sweep has come to it
  removal_archive(id, entry, removal, revive)
end
redis.call('HSET', registration, unpack(ARGV, rest, #ARGV))

counters_add(key_stats, 'tasks_completed', tonumber(redis.call('HGET', registration, 'tasks_completed')) or 0)

-- what it does not know better, it takes from nobody
local identities, twins = identities_of(id)
for _, key in ipairs(identities) do
  redis.call('SET', key, id, 'NX')
end
last_heartbeat = math.min(last_heartbeat, now)
local offline_at, removed_at = last_heartbeat + timeout, last_heartbeat + timeout + removal
if removed_at <= now then
  local keep_until = string.format('%.0f', now + revive)
  redis.call('PEXPIREAT', registration, keep_until)
  for _, key in ipairs(identities) do
    if try_call('GET', key) == id then
      redis.call('PEXPIREAT', key, keep_until)
    end
  end
  return 'archived'
end
if twins then
  try_call('ZADD', twins, last_heartbeat, id)
end
redis.call('HSET', hash, 'status', arg_status, 'current_load', arg_load, 'last_heartbeat', string.format('%.0f', last_heartbeat))
redis.call('PEXPIREAT', hash, string.format('%.0f', removed_at))
place.load = math.floor(load * 1000000 + 0.5)
local live = arg_status ~= 'offline' and offline_at > now
if live then
  place.status = place.drained == 'd' and 'draining' or arg_status
  redis.call('SET', hash .. ':online', place.status, 'PXAT', string.format('%.0f', offline_at))
end
places_move(id, false, place, live and offline_at or removed_at)
events_tell('registered', 'imported', id, place)
return live and 'live' or 'offline'
