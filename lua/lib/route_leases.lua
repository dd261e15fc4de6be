--: key prefix
--: key service
--: key model
--: key region
--: key requests
--: key stats
--: use counters
--: use ledger
--: use outcomes
--: use ranks
--: use requests
--: finish route_leases_flush

-- Leases of workers for requests. `requests:<thread>` has for each lease of a coordinator's thread "worker service model marks".
-- The model is "-" unless the worker has it loaded. The marks: "t" or "-": whether the request tries a worker whose breaker was
-- open; "b": the service has so many workers that choices depend on their ranks. `requesters` has the threads, with the moment at
-- which their leases end unless they renew them.
--
-- A worker's ranks depend on how many requests it has. A worker may have many ranks, and its requests change often, so a sweep
-- writes the ranks: `stale` has the workers whose ranks it must write. With the mark "b", the ranks by which the worker was chosen
-- are also written at once.
--
-- `flights` has how many requests of each service are under way; no entry: 0. `served` has how many have ended, and a worker's
-- registration has how many of its requests have ended.

local LEASES_MS = 13000 -- unless its thread renews them; so leases of a dead thread end within 15 s, by a sweep each second
local SERVICES_MAX = 1000 -- the most in `served`, since anybody may make up names of services

local touched = {} -- by id: the indexes that are written at once, "service" and "service/model"
local leases_begun, leases_ended = {}, {} -- in this call, by service
local served_of, served_by = {}, {} -- requests that have ended in this call, by service and by worker

-- Adds `by` to the number of requests of worker `id`, which was chosen for `service` and `model`. Returns the new number.
local function add(id, by, service, model, marks)
  local names = touched[id] or {}
  touched[id] = names
  if string.find(marks, 'b', 1, true) then
    names[model == '-' and service or service .. '/' .. model] = true
    names[service] = true
  end
  local count = redis.call('HINCRBY', key_requests, id, by)
  if count <= 0 then
    redis.call('HDEL', key_requests, id)
  end
  counters_add(key_stats, 'requests', by)
  return math.max(count, 0)
end

-- Leases worker `id` for a request. Returns how many requests it now has; nil if the thread already has a lease of that name.
local function route_leases_begin(thread, lease, id, service, model, marks)
  local value = id .. ' ' .. service .. ' ' .. model .. ' ' .. marks
  if redis.call('HSETNX', key_prefix .. 'requests:' .. thread, lease, value) == 0 then
    return nil
  end
  leases_begun[service] = (leases_begun[service] or 0) + 1
  return add(id, 1, service, model, marks)
end

-- Ends a lease, which was for `uses` requests, one after the other; 0: the worker was not asked. Returns the worker's id; how many
-- requests it still has; the service; and "opened" or "closed" if its breaker for the service has changed. Returns nil if there is
-- no such lease.
local function route_leases_end(thread, lease, outcome, now, uses)
  local key = key_prefix .. 'requests:' .. thread
  local id, service, model, marks = string.match(redis.call('HGET', key, lease) or '', '^(%S+) (%S+) (%S+) (%S+)$')
  if redis.call('HDEL', key, lease) == 0 or not id then
    return nil
  end
  leases_ended[service] = (leases_ended[service] or 0) + 1
  served_of[service] = (served_of[service] or 0) + uses
  served_by[id] = (served_by[id] or 0) + uses
  local is_trial = string.find(marks, 't', 1, true) ~= nil
  return id, add(id, -1, service, model, marks), service, outcomes_note(service, id, outcome, is_trial, now)
end

-- Writes the ranks of worker `id` in the indexes `names`.
local function write(id, names)
  local place = ledger_read(redis.call('HGET', key_prefix .. 'ledger', id))
  if not place or place.status == 'offline' then
    return
  end
  local base, special = ranks_base(place, requests_of(id))
  for name in pairs(names) do
    local service, model = string.match(name, '^([^/]+)/?(.*)$')
    local rank = ranks_within(place, base, special, service)
    local near = place.region ~= '' and key_region .. service .. '/' .. place.region
    redis.call('ZADD', model == '' and key_service .. service or key_model .. name, 'XX', rank, id)
    if near then
      redis.call('ZADD', model == '' and near or near .. '/' .. model, 'XX', rank, id)
    end
  end
end

-- Adds `by` to a field of a hash. Deletes the field if the result is 0, or if somebody has written something else than a number
-- with redis-cli. Returns the result, or 0.
local function add_count(key, field, by)
  local count = by ~= 0 and redis.pcall('HINCRBY', key, field, by) or 0
  count = tonumber(count) or 0
  if by ~= 0 and count <= 0 then
    redis.pcall('HDEL', key, field)
  end
  return count
end

-- Writes how many leases this call has begun and ended, by service and by worker.
local function count_leases()
  for service, count in pairs(served_of) do
    local key = key_prefix .. 'served'
    if add_count(key, service, count) == count and redis.call('HLEN', key) > SERVICES_MAX then
      redis.call('HDEL', key, service)
    end
    leases_begun[service] = (leases_begun[service] or 0) - leases_ended[service]
  end
  for service, by in pairs(leases_begun) do
    add_count(key_prefix .. 'flights', service, by)
  end
  for id, count in pairs(served_by) do
    local registration = key_prefix .. 'registration:' .. id
    if add_count(registration, 'requests_served', count) == count and redis.call('HEXISTS', registration, 'tier') == 0 then
      redis.call('DEL', registration) -- the worker is gone
    end
  end
  leases_begun, leases_ended, served_of, served_by = {}, {}, {}, {}
end

-- Writes what this call has changed; called when the script ends.
local function route_leases_flush()
  count_leases()
  local ids = {}
  for id, names in pairs(touched) do
    ids[#ids + 1] = id
    if next(names) then
      write(id, names)
    end
  end
  if ids[1] then
    redis.call('SADD', key_prefix .. 'stale', unpack(ids))
  end
  touched = {}
end

-- Brings the ranks of at most `max` workers up to date in all indexes.
local function refresh(max)
  local stale = redis.call('SRANDMEMBER', key_prefix .. 'stale', max)
  for _, id in ipairs(stale) do
    redis.call('SREM', key_prefix .. 'stale', id)
    ranks_visit(ledger_read(redis.call('HGET', key_prefix .. 'ledger', id)), requests_of(id), function(key, rank)
      redis.call('ZADD', key, 'XX', rank, id)
    end)
  end
end

-- Notes that a thread lives and has its leases still.
local function route_leases_renew(thread, now)
  redis.call('ZADD', key_prefix .. 'requesters', string.format('%.0f', now + LEASES_MS), thread)
end

-- Ends leases of threads that have not renewed them, at most `max` or a few more, and brings the ranks of some workers up to date.
-- Returns whether there may be more leases to end.
local function route_leases_sweep(now, max)
  -- threads that renewed them before Redis's clock was set back
  local ahead = redis.call('ZRANGEBYSCORE', key_prefix .. 'requesters', '(' .. now + LEASES_MS, '+inf', 'LIMIT', 0, 4)
  for _, thread in ipairs(ahead) do
    route_leases_renew(thread, now)
  end
  local dead = redis.call('ZRANGEBYSCORE', key_prefix .. 'requesters', '-inf', now, 'LIMIT', 0, 4)
  local ended = 0
  for _, thread in ipairs(dead) do
    local key = key_prefix .. 'requests:' .. thread
    local leases = ended < max and redis.call('HSCAN', key, '0', 'COUNT', max)[2] or {}
    for i = 1, #leases, 2 do
      route_leases_end(thread, leases[i], 'u', now, 1)
      ended = ended + 1
    end
    if redis.call('EXISTS', key) == 0 then
      redis.call('ZREM', key_prefix .. 'requesters', thread)
    end
  end
  route_leases_flush()
  refresh(2 * max)
  return ended >= max or #dead == 4
end
