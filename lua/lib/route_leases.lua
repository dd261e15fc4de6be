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

-- Requests that coordinators have sent to workers. `requests:<thread>` has of each request of a coordinator's thread "worker
-- service model marks": the model is "-" unless the worker has it loaded; of the marks, "t" says that the request tries a worker
-- whose breaker was open, "b" that the service has so many workers that choices go by their ranks, "-" nothing. `requesters`
-- has the threads by the moment at which their leases end unless they renew them.
--
-- A worker's ranks follow how many requests it has, when the next sweep comes to it (`stale`): they may be many, and changes are.
-- Where choices go by them, those by which the worker was chosen do so at once.

-- `flights` has how many requests each service has, none for 0. `served` has how many it has had, and a worker's registration has
-- how many that worker has had.

local SERVICES_MAX = 1000 -- of those in `served`: anybody may make up names of services

local touched = {} -- by id: the names of indexes that are to be written at once, "service" and "service/model"
local leases_begun, leases_ended = {}, {} -- in this call, by service
local served_of, served_by = {}, {} -- requests of those that have ended, by service and by worker

-- Adds `by` to the requests of worker `id`, which was chosen by these; returns how many there are now.
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

-- Leases worker `id` for a request; returns how many it now has, nil when the thread has a lease of that name already.
local function route_leases_begin(thread, lease, id, service, model, marks)
  local value = id .. ' ' .. service .. ' ' .. model .. ' ' .. marks
  if redis.call('HSETNX', key_prefix .. 'requests:' .. thread, lease, value) == 0 then
    return nil
  end
  leases_begun[service] = (leases_begun[service] or 0) + 1
  return add(id, 1, service, model, marks)
end

-- Ends a lease, which was for `uses` requests, one after the other. Returns the worker's id, how many requests it still has, the
-- service, and what has become of its breaker for it; nil when there is no such lease.
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

-- Adds `by` to what a hash has of `field`; none for 0, or where somebody's redis-cli has left no number. Returns how many there are
-- now.
local function add_count(key, field, by)
  local count = by ~= 0 and redis.pcall('HINCRBY', key, field, by) or 0
  count = tonumber(count) or 0
  if by ~= 0 and count <= 0 then
    redis.pcall('HDEL', key, field)
  end
  return count
end

-- Writes what has become of the leases of this call, by service and by worker.
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

-- Writes what has changed.
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

-- Ends leases of threads that have not renewed them, at most `max` or a few more, and brings ranks up to date, those of some
-- workers. Returns whether there may be more leases to end.
local function route_leases_sweep(now, max)
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
