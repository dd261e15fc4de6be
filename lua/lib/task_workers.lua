--: key prefix
--: use health
--: use ledger
--: use try

-- The abilities of a worker, and the demands of a task.

local workers_known = {} -- by id

-- The worker `id` at `place` (see lib/ledger.lua): its status and its abilities. A task that it can do has one of its `groups`.
local function task_workers_of(id, place)
  local worker = { id = id, status = place.status, tier = place.tier, region = place.region, services = {}, models = {},
    groups = { 'w:' .. id, 'a', 'g', 't:' .. place.tier } }
  if place.services ~= '-' then
    for name in string.gmatch(place.services, '[^,!]+') do
      if not worker.services[name] and not health_is_unwell(place.services, name) then
        worker.services[name] = true
        worker.groups[#worker.groups + 1] = 's:' .. name
      end
    end
  end
  local models = string.match(place.ranking, '(%S+)$')
  if models ~= '-' then
    for name in string.gmatch(models, '[^,]+') do
      worker.models[name] = true
      worker.groups[#worker.groups + 1] = 'm:' .. name
    end
  end
  return worker
end

-- The worker `id` as it is now; only the status if it is offline; nil if it is not registered.
local function task_workers_read(id)
  if workers_known[id] == nil then
    local status = try_call('GET', key_prefix .. 'worker:' .. id .. ':online')
    local place = ledger_read(redis.call('HGET', key_prefix .. 'ledger', id))
    if status and place then
      place.status = status
      workers_known[id] = task_workers_of(id, place)
    else
      workers_known[id] = redis.call('EXISTS', key_prefix .. 'registration:' .. id) == 1 and { id = id, status = 'offline' }
    end
  end
  return workers_known[id] or nil
end

-- Whether a worker takes work.
local function task_workers_takes(worker)
  return worker.status == 'healthy' or worker.status == 'degraded'
end

local HELD_MAX = 256 -- the most tasks that one worker holds

-- How many more tasks worker `id` may hold.
local function task_workers_room(id)
  return HELD_MAX - redis.call('HLEN', key_prefix .. 'held:' .. id)
end

-- The rarely needed facts, from its registration.
local function details_of(worker)
  if not worker.details then
    local hardware, labels = unpack(try_call('HMGET', key_prefix .. 'registration:' .. worker.id, 'hardware', 'labels') or {})
    local memory = string.match(hardware or '', '^g (%d+):')
    local details = { memory = tonumber(memory or '') or 0, labels = {} }
    for key, value in string.gmatch(labels or '', '([^=,]+)=([^,]*)') do
      details.labels[key] = value
    end
    worker.details = details
  end
  return worker.details
end

local MEETS = {
  tier = function(worker, value)
    return worker.tier == value
  end,
  service = function(worker, value)
    return worker.services[value]
  end,
  model = function(worker, value)
    return worker.models[value]
  end,
  region = function(worker, value)
    return worker.region == value
  end,
  gpu = function(worker, value)
    return details_of(worker).memory >= tonumber(value)
  end,
}

-- Whether the worker meets `shape`, the demands of a task beside its group: "tier=1;gpu=16000000000;label.rack=b".
local function task_workers_fits(worker, shape)
  if shape == '' then
    return true
  end
  worker.fits = worker.fits or {}
  local fits = worker.fits[shape]
  if fits == nil then
    fits = true
    for key, value in string.gmatch(shape, '([^;=]+)=([^;]*)') do
      local label = string.match(key, '^label%.(.+)$')
      if label then
        fits = fits and details_of(worker).labels[label] == value
      else
        fits = fits and MEETS[key] ~= nil and MEETS[key](worker, value) or false
      end
    end
    worker.fits[shape] = fits
  end
  return fits
end
