--: key service
--: key model
--: key region
--: use health
--: use names

-- The indexes in which discovery finds a worker, and its rank in them. The worker with the lowest rank gets the next work. Healthy
-- workers come before degraded ones, and these before draining ones. Among each of these, workers specialized for the service come
-- first. Then the load counts, in millionths; each active request adds 0.1. The number of active requests is what the worker
-- reports or what coordinators have sent to it (`leased`, see lib/requests.lua), whichever is greater.

local BAND = 1000000000000
local bands = { healthy = 0, degraded = 2 * BAND, draining = 4 * BAND } -- the first rank of each status
local UNWELL = 4 * BAND -- added for a service that the worker reports as unhealthy: it comes after all workers that get work
local MOST_ACTIVE = 100000 -- active requests that count
local MOST_MODELS = 64 -- indexed models of one worker, over all its services: each costs a write whenever the load changes

-- The ranks of a status: from the first number to less than the second.
local function ranks_range(status)
  return bands[status], bands[status] + 2 * BAND
end

-- The common part of a live worker's ranks; the service for which it is specialized; and its loaded models.
local function ranks_base(place, leased)
  local active, special, models = string.match(place.ranking, '^(%d+) (%S+) (%S+)$')
  active = math.max(tonumber(active), leased)
  return bands[place.status] + place.load + math.min(active, MOST_ACTIVE) * 100000, special, models
end

-- The rank of a worker for one service; `base` is the common part of its ranks.
local function ranks_within(place, base, special, service)
  if service ~= special or special == '-' then
    base = base + BAND
  end
  return health_is_unwell(place.services, service) and base + UNWELL or base
end

-- Calls visit(key, rank) for each index that ranks the live worker of a place: one for each of its services, one for each service
-- and model; and, if it has a region, the same indexes for that region.
local function ranks_visit(place, leased, visit)
  if not place or place.status == 'offline' or place.services == '-' then
    return
  end
  local base, special, models = ranks_base(place, leased)
  local loaded, indexed = {}, 0
  if models ~= '-' then
    local _, commas = string.gsub(place.services, ',', '')
    loaded = names_split(models)
    indexed = math.min(#loaded, math.floor(MOST_MODELS / (commas + 1)))
  end
  for name in string.gmatch(place.services, '[^,]+') do
    local value = ranks_within(place, base, special, name)
    local near = place.region ~= '' and key_region .. name .. '/' .. place.region
    visit(key_service .. name, value)
    if near then
      visit(near, value)
    end
    for i = 1, indexed do
      visit(key_model .. name .. '/' .. loaded[i], value)
      if near then
        visit(near .. '/' .. loaded[i], value)
      end
    end
  end
end

-- The part of a ranking that decides in which indexes a worker is: all but the active requests.
local function ranks_kind(ranking)
  return string.match(ranking, ' .*')
end
