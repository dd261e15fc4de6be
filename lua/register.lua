--: arg timeout
--: arg removal
--: arg revive
--: arg missed
--: arg candidate
--: arg worker_id
--: arg instance_id
--: arg tunnel_url
--: arg told_tunnel
--: arg fingerprint
--: arg looks
--: arg origin
--: arg caller
--: arg machine
--: arg tier
--: arg advertised
--: arg catalogue
--: arg also
--: arg max_services
--: arg health
--: arg join
--: arg grant
--: arg join_max
--: arg bucket
--: arg interval
--: arg burst
--: rest fields
--: key worker
--: key registration
--: key online
--: key offline
--: key ledger
--: key service
--: key identity
--: key joined
--: key credential
--: key fingerprint
--: use number
--: use clock
--: use events
--: use health
--: use identities
--: use limit
--: use machines
--: use memory
--: use names
--: use owners
--: use places
--: use removal
--: use task_leases
--: use try

-- Registers a worker, or registers it again.
--
--   timeout        ms until a silent worker is offline
--   removal        ms from then until it is removed
--   revive         ms for which the registration of a removed worker is kept
--   missed         ms after which a worker has missed a heartbeat
--   candidate      the id for a new worker that sends none
--   worker_id, instance_id, tunnel_url   its identity; each may be empty
--   told_tunnel    tunnel_url as it came, if its normal form differs: older coordinators stored it so
--   looks          a digest of the worker's capabilities, if it sends neither worker_id nor instance_id; with origin, its address,
--                  it makes the fingerprint
--   fingerprint    the fingerprint in the form of older coordinators
--   caller         the address from which the registration came, with a mark (see lib/whereabouts.lua)
--   machine        see lib/machines.lua
--   tier           1 to 4
--   advertised     the services that it advertises, with commas between
--   catalogue      the services that it may be assigned, with commas between; of equal ones the first wins
--   also           other services that it may be assigned if no worker provides them, in the same form
--   max_services   the most services to assign
--   health         the health of single services: names with commas between, "!" before unhealthy ones
--   join           the join token with which it registers; with a dot and its grant if it shows a token of its own (see
--                  lib/owner.lua); "" for none. A worker that has a join token may register again with it, or without one
--   grant          the grant that its own tokens carry from now on; "" for unchanged
--   join_max       how many workers the join token may have; 0 for any number
--   bucket         the bucket of the limit for new workers (see lib/limit.lua); "" for none
--   interval, burst   the limit: one new worker every so many ms, and so many at once
--   fields         names and values of the registration's fields
--
-- Returns the error OTHERS if the worker belongs to another join token, or TOOMANY if the join token has all the workers that it
-- may have. If the limit is reached, it returns the ms until a new worker is accepted. Else it returns: the id; "1" if the worker
-- was registered already; its assigned services with commas between; "1" if its boot_id has changed; "1" if it is news that two
-- machines use the id.

local now = clock_now()
local timeout, removal, revive = number_of(arg_timeout), number_of(arg_removal), number_of(arg_revive)
local missed, max_services, join_max = number_of(arg_missed), number_of(arg_max_services), number_of(arg_join_max)
local interval, burst = number_of(arg_interval), number_of(arg_burst)
if not timeout or not removal or not revive or not missed or not max_services or not join_max then
  return redis.error_reply('BADCALL timeout, removal, revive, missed, max_services and join_max are numbers')
end
if not string.find(arg_tier, '^[1-4]$') or (#ARGV - rest + 1) % 2 ~= 0 or (arg_candidate == '' and arg_worker_id == '')
  or string.find(arg_advertised .. arg_catalogue .. arg_also .. arg_machine .. arg_health, '%s')
  or (arg_bucket ~= '' and not (limit_is_name(arg_bucket) and interval and interval >= 1 and burst and burst >= 1))
  or (arg_caller ~= '' and not string.find(arg_caller, '^[@~][%x.:]+$')) then
  return redis.error_reply('BADCALL malformed registration')
end
local join = string.match(arg_join, '^[^.]*')
local fingerprint = arg_looks ~= '' and identities_fingerprint(arg_origin, arg_looks) or arg_fingerprint
local PROBES = 1000 -- the most workers that look alike whose silence is checked

-- The worker to which an identity leads, if its registration still exists.
local function known(identity)
  local id = try_call('GET', key_identity .. identity)
  return id and redis.call('EXISTS', key_registration .. id) == 1 and id
end

-- Finds a worker that looks just like this one and has missed a heartbeat: that is this one, after a crash. Workers with heartbeats
-- are others. A twin's score is a moment until which it is known to live, or is not expected; twins with a later moment are not
-- looked at.
local function silent_twin(looks_like)
  local twins = key_fingerprint .. looks_like
  local list = try_call('ZRANGE', twins, 0, PROBES - 1, 'WITHSCORES') or {}
  for i = 1, #list, 2 do
    local id, until_then = list[i], tonumber(list[i + 1])
    if until_then + missed > now then
      return nil
    end
    local offline_at = redis.call('PEXPIRETIME', key_worker .. id .. ':online')
    if offline_at < 0 then -- or it sends heartbeats, but reports itself offline
      offline_at = (redis.call('ZSCORE', key_offline, id) or 0) - removal
    end
    if offline_at - timeout + missed <= now and owners_may(id, arg_join) then
      return id
    end
    redis.call('ZADD', twins, offline_at - timeout, id)
  end
end

-- Finds out which worker this is. worker_id decides; else instance_id; else tunnel_url, except that two instances that share a
-- tunnel are still two workers; else a silent twin. If nothing decides, it is a new worker, whose id it returns.
local function identify()
  if arg_worker_id ~= '' then
    return arg_worker_id
  end
  local id = arg_instance_id ~= '' and known('instance:' .. arg_instance_id)
  if not id and arg_tunnel_url ~= '' then
    id = known('tunnel:' .. identities_digest(arg_tunnel_url))
      or (arg_told_tunnel ~= '' and known('tunnel:' .. identities_digest(arg_told_tunnel)))
    local other = id and try_call('HGET', key_registration .. id, 'instance_id')
    if other and arg_instance_id ~= '' and other ~= arg_instance_id then
      id = nil
    end
  end
  id = id or (fingerprint ~= '' and silent_twin(fingerprint))
    or (arg_fingerprint ~= '' and arg_fingerprint ~= fingerprint and silent_twin(arg_fingerprint))
  if id then
    return id
  end
  id = arg_candidate
  while redis.call('EXISTS', key_worker .. id, key_registration .. id) > 0 or redis.call('HEXISTS', key_ledger, id) == 1 do
    id = 'worker-' .. string.sub(redis.sha1hex(id), 1, 8)
  end
  return id
end

local id = identify()
local hash, registration = key_worker .. id, key_registration .. id

-- How many workers have registered with the join token, without those that were removed long ago.
local function count_joined()
  for _, member in ipairs(redis.call('SMEMBERS', key_joined .. join)) do
    if try_call('HGET', key_registration .. member, 'join') ~= join then
      redis.call('SREM', key_joined .. join, member)
    end
  end
  return redis.call('SCARD', key_joined .. join)
end

local owner, grant = unpack(try_call('HMGET', registration, 'join', 'grant') or {})
if not owners_may(id, arg_join) then
  return redis.error_reply('OTHERS The worker registered with another join token')
end
if join ~= '' and join_max > 0 and owner ~= join and redis.call('SCARD', key_joined .. join) >= join_max
  and count_joined() >= join_max then
  return redis.error_reply('TOOMANY The join token has as many workers as it may')
end
local entry = redis.call('HGET', key_ledger, id)
if arg_bucket ~= '' and not entry and redis.call('EXISTS', registration) == 0 then
  local wait = limit_take({ arg_bucket }, interval, burst, now)
  if wait > 0 then
    return wait
  end
end
if entry and redis.call('EXISTS', hash) == 0 then -- its time is over, but no sweep has removed it yet
  removal_archive(id, entry, removal, revive)
  entry = false
end
local before = try_call('HMGET', registration, 'registered_at', 'tasks_completed', 'assigned_services', 'boot_id', 'drained',
  'drained_at', 'drain_reason', 'drained_from', 'requests_served', 'restarted_at') or {}
local again = before[1]
local given = {}
for at = rest, #ARGV, 2 do
  given[ARGV[at]] = ARGV[at + 1]
end
local boot_id = given.boot_id
local restarted = again and boot_id and before[4] and boot_id ~= before[4]
-- If the worker says that it was not restarted, its earlier report stays.
local state = again and boot_id and boot_id == before[4] and try_call('HGETALL', hash) or {}
local stood = #state > 0 and ledger_read(entry)

local was = ledger_read(entry)
local was_caller = was and string.sub(was.caller, 2) or ''
local machines, in_turn = machines_register(id, arg_machine, string.sub(arg_caller, 2), was_caller, now, timeout)

-- After a restart it no longer has the tasks that it held before.
if not boot_id or boot_id ~= before[4] then
  task_leases_release(id, 'restarted', id .. '/' .. (before[4] or string.format('%.0f', now)), now)
end

-- From here on it counts as a new worker: its own old listings don't count against it, and fields that it no longer sends don't
-- stay. For a really new worker nothing is written before its registration, since a full Redis refuses only the first write of a
-- script.
if entry or redis.call('EXISTS', registration, hash) > 0 then
  memory_need_not_be_free()
  removal_remove(id, entry, 0)
end

-- Assignment: the services that it has already; else those that it had, if they still fit; else the service that the fewest live
-- workers provide.
local catalogue, also = names_split(arg_catalogue), names_split(arg_also)
local had, assigned = {}, {}
for _, name in ipairs(again and names_split(before[3] or '') or {}) do
  had[name] = true
end
local function assign(name)
  if #assigned < max_services and not assigned[name] then
    assigned[name] = true
    assigned[#assigned + 1] = name
  end
end
local function keep(names)
  for _, name in ipairs(names) do
    if had[name] then
      assign(name)
    end
  end
end
for _, name in ipairs(catalogue) do
  if string.find(',' .. arg_advertised .. ',', ',' .. name .. ',', 1, true) then
    assign(name)
  end
end
local has_its_own = #assigned > 0 -- so it gets no other service of its tier
if not has_its_own then
  keep(catalogue)
end
if #assigned == 0 then
  local least, fewest
  for _, name in ipairs(catalogue) do
    local live = redis.call('ZCARD', key_service .. name)
    if not fewest or live < fewest then
      least, fewest = name, live
    end
  end
  if least then
    assign(least)
  end
end
keep(also)
for _, names in ipairs({ has_its_own and {} or catalogue, also }) do
  for _, name in ipairs(names) do
    if redis.call('EXISTS', key_service .. name) == 0 then
      assign(name)
    end
  end
end
local assigned_services = table.concat(assigned, ',')

-- Assigned services and advertised ones both count as provided by it.
local provides = table.concat(names_split(assigned_services .. ',' .. arg_advertised), ',')

redis.call('HSET', registration, 'tier', arg_tier, 'registered_at', again and before[1] or now,
  'tasks_completed', again and before[2] or '0', 'assigned_services', assigned_services, 'provides', provides,
  unpack(ARGV, rest, #ARGV))
if again and boot_id and boot_id ~= before[4] then
  before[10] = now
end
for at, field in ipairs({ 'drained', 'drained_at', 'drain_reason', 'drained_from', 'requests_served', 'restarted_at' }) do
  if before[4 + at] then
    redis.call('HSET', registration, field, before[4 + at])
  end
end
if machines[1] then
  redis.call('HSET', registration, unpack(machines))
end
if fingerprint ~= '' then
  redis.call('HSET', registration, 'fingerprint', fingerprint)
end
if arg_looks ~= '' then
  redis.call('HSET', registration, 'looks', arg_looks, 'origin', arg_origin)
end
if join ~= '' or owner then
  redis.call('HSET', registration, 'join', join ~= '' and join or owner)
end
if join == '' and owner then
  redis.call('HSET', registration, 'lapsed', '1')
end
grant = arg_grant ~= '' and join .. '.' .. arg_grant or string.find(arg_join, '.', 1, true) and arg_join or grant
if grant then
  redis.call('HSET', registration, 'grant', grant)
end
if join ~= '' then
  redis.call('SADD', key_joined .. join, id)
  local ends_at = redis.call('PEXPIRETIME', key_credential .. 'token:' .. join)
  if ends_at > 0 then
    redis.call('PEXPIREAT', key_joined .. join, ends_at)
  end
end
redis.call('HSET', hash, 'status', 'healthy', 'current_load', '0', 'last_heartbeat', now)
if stood and stood.status ~= 'offline' then
  redis.call('HSET', hash, unpack(state))
  redis.call('HSET', hash, 'last_heartbeat', now)
end
redis.call('PEXPIREAT', hash, string.format('%.0f', now + timeout + removal))

local identities, twins = identities_of(id)
for _, key in ipairs(identities) do
  identities_take(key, id, arg_join)
end
for _, key in ipairs(twins) do
  try_call('ZADD', key, now, id)
end
local place = ledger_offline(arg_tier, provides, before[5], given.region, arg_caller)
place.status = 'healthy'
if stood and stood.status ~= 'offline' then
  place.services = health_apply(place.services, health_marks(stood.services))
  place.status, place.load, place.ranking = redis.call('HGET', hash, 'status'), stood.load, stood.ranking
end
place.services = health_apply(place.services, arg_health)
redis.call('HDEL', hash, 'unwell', 'speaker')
if health_marks(place.services) ~= '' then
  redis.call('HSET', hash, 'unwell', health_unwell(place.services))
end
place.status = place.drained == 'd' and 'draining' or place.status
redis.call('SET', hash .. ':online', place.status, 'PXAT', string.format('%.0f', now + timeout))
places_move(id, false, place, now + timeout)
events_tell('registered', again and 'again' or 'new', id, place)
local is_news = in_turn and machines_conflict(id, place, 'registered', now)

return { id, again and '1' or '0', assigned_services, restarted and '1' or '0', is_news and '1' or '0' }
