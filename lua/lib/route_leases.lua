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
-- service model", " t" behind it where the request tries a worker whose breaker was open; the model is "-" unless the worker has
-- it loaded. `requesters` has the threads by the moment at which their leases end unless they renew them.
--
-- A worker's ranks follow how many requests it has: at once in the indexes by which it was chosen, in all others when the next
-- sweep comes to it (`stale`). They may be many.

local touched = {} -- by id: the names of indexes that are to be written, "service" and "service/model"
local places = {} -- by id: where it stands, false for nowhere

-- Where worker `id` stands; nil when it is not there.
local function route_leases_place(id)
  if places[id] == nil then
    places[id] = ledger_read(redis.call('HGET', key_prefix .. 'ledger', id)) or false
  end
  return places[id] or nil
end

-- Adds `by` to the requests of worker `id`, which was chosen by these; returns how many there are now.
local function add(id, by, service, model)
  local names = touched[id] or {}
  touched[id], names[service] = names, true
  if model ~= '-' then
    names[service .. '/' .. model] = true
  end
  local count = redis.call('HINCRBY', key_requests, id, by)
  if count <= 0 then
    redis.call('HDEL', key_requests, id)
  end
  counters_add(key_stats, 'requests', by)
  return math.max(count, 0)
end

-- Leases worker `id` for a request; returns how many it now has, nil when the thread has a lease of that name already.
local function route_leases_begin(thread, lease, id, service, model, is_trial)
  local value = id .. ' ' .. service .. ' ' .. model .. (is_trial and ' t' or '')
  if redis.call('HSETNX', key_prefix .. 'requests:' .. thread, lease, value) == 0 then
    return nil
  end
  return add(id, 1, service, model)
end

-- Ends a lease. Returns the worker's id, how many requests it still has, the service, and what has become of its breaker for it;
-- nil when there is no such lease.
local function route_leases_end(thread, lease, outcome, now)
  local key = key_prefix .. 'requests:' .. thread
  local id, service, model, trial = string.match(redis.call('HGET', key, lease) or '', '^(%S+) (%S+) (%S+) ?(t?)$')
  if redis.call('HDEL', key, lease) == 0 or not id then
    return nil
  end
  return id, add(id, -1, service, model), service, outcomes_note(service, id, outcome, trial == 't', now)
end

-- Writes the ranks of worker `id` in the indexes `names`. Returns whether it is in others.
local function write(id, place, names)
  local base, special, models = ranks_base(place, requests_of(id))
  for name in pairs(names) do
    local service, model = string.match(name, '^([^/]+)/?(.*)$')
    local rank = ranks_within(place, base, special, service)
    local near = place.region ~= '' and key_region .. service .. '/' .. place.region
    redis.call('ZADD', model == '' and key_service .. service or key_model .. name, 'XX', rank, id)
    if near then
      redis.call('ZADD', model == '' and near or near .. '/' .. model, 'XX', rank, id)
    end
  end
  return string.find(place.services, ',', 1, true) or (models ~= '-' and not names[place.services .. '/' .. models])
end

-- Writes what has changed.
local function route_leases_flush()
  local stale = {}
  for id, names in pairs(touched) do
    local place = route_leases_place(id)
    if place and place.status ~= 'offline' and write(id, place, names) then
      stale[#stale + 1] = id
    end
  end
  if stale[1] then
    redis.call('SADD', key_prefix .. 'stale', unpack(stale))
  end
  touched = {}
end

-- Brings the ranks of at most `max` workers up to date in all indexes. Returns whether there may be more.
local function refresh(max)
  local stale = redis.call('SRANDMEMBER', key_prefix .. 'stale', max)
  for _, id in ipairs(stale) do
    redis.call('SREM', key_prefix .. 'stale', id)
    ranks_visit(ledger_read(redis.call('HGET', key_prefix .. 'ledger', id)), requests_of(id), function(key, rank)
      redis.call('ZADD', key, 'XX', rank, id)
    end)
  end
  return #stale == max
end

-- Ends leases of threads that have not renewed them, at most `max` or a few more, and brings ranks up to date. Returns whether
-- there may be more to do.
local function route_leases_sweep(now, max)
  local dead = redis.call('ZRANGEBYSCORE', key_prefix .. 'requesters', '-inf', now, 'LIMIT', 0, 4)
  local ended = 0
  for _, thread in ipairs(dead) do
    local key = key_prefix .. 'requests:' .. thread
    local leases = ended < max and redis.call('HSCAN', key, '0', 'COUNT', max)[2] or {}
    for i = 1, #leases, 2 do
      route_leases_end(thread, leases[i], 'u', now)
      ended = ended + 1
    end
    if redis.call('EXISTS', key) == 0 then
      redis.call('ZREM', key_prefix .. 'requesters', thread)
    end
  end
  return refresh(max) or ended >= max or #dead == 4
end
