--: key service
--: key model
--: key region
--: use health
--: use names

-- In which indexes discovery finds a worker, and where in them. The lowest rank takes the next work: healthy before degraded before
-- draining; of these, specialized for the service before others; of these, by load in millionths, to which each active request adds
-- a tenth. Active are as many requests as the worker reports, or as coordinators have sent to it, whichever is more (`leased`, see
-- lib/requests.lua).

local BAND = 1000000000000
local bands = { healthy = 0, degraded = 2 * BAND, draining = 4 * BAND } -- where the ranks of a status begin
local UNWELL = 4 * BAND -- what is added for a service that its worker says is not well: it is behind all that are given out
local MOST_ACTIVE = 100000 -- requests that count
local MOST_MODELS = 64 -- of one worker, over all its services, that are indexed: each is a write whenever its load changes

-- The ranks of a status: from the first number to less than the second.
local function ranks_range(status)
  return bands[status], bands[status] + 2 * BAND
end

-- What the ranks of a live worker have in common; and what it is specialized for, and its loaded models.
local function ranks_base(place, leased)
  local active, special, models = string.match(place.ranking, '^(%d+) (%S+) (%S+)$')
  active = math.max(tonumber(active), leased)
  return bands[place.status] + place.load + math.min(active, MOST_ACTIVE) * 100000, special, models
end

-- The rank for one service of a worker whose ranks have `base` in common.
local function ranks_within(place, base, special, service)
  if service ~= special or special == '-' then
    base = base + BAND
  end
  return health_is_unwell(place.services, service) and base + UNWELL or base
end

-- Calls visit(key, rank) for each index that ranks the live worker of a place: its services, each of its models within each of
-- them, and where it has a region the same once more for that alone.
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

-- What of a ranking decides in which indexes a worker is: all but the active requests.
local function ranks_kind(ranking)
  return string.match(ranking, ' .*')
end
