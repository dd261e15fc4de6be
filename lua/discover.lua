--: arg service
--: arg model
--: arg region
--: arg max
--: arg random
--: arg indexed
--: key worker
--: key service
--: key model
--: key region
--: use number
--: use ranks

-- Finds the workers that provide a service, best first, at most `max`. Healthy workers come before degraded ones. Among each of
-- these, workers that have `model` ("" for any) loaded come first; then the lowest rank wins (see lib/ranks.lua). A worker outside
-- `region` ("": no region is preferred) counts as if its load were greater by 0.5. Draining workers are left out. With a max of 1,
-- `random` (from 0, less than 1) chooses among workers of the same rank. indexed: "1" if TTLs don't tell which workers are live:
-- then all workers in the index count. Costs O(log n) for each worker returned. Returns {how many workers that do not drain provide
-- the service, without the silent ones that it has met, id, id, …}.

local max, random = number_of(arg_max), number_of(arg_random)
if not max or max < 1 or max % 1 ~= 0 or not random or random < 0 or random >= 1 then
  return redis.error_reply('BADCALL max and random are numbers')
end

local all = key_service .. arg_service
local fitting = arg_model ~= '' and key_model .. arg_service .. '/' .. arg_model or nil
local found, seen = {}, {}

local silent = 0 -- how many workers were passed by
local MOST_SILENT = 2000 -- each costs 1 µs

-- Adds worker `id`, unless it has fallen silent and no sweep has moved it yet.
local function add_live(id)
  if arg_indexed == '1' or redis.call('EXISTS', key_worker .. id .. ':online') == 1 then
    found[#found + 1] = id
  else
    silent = silent + 1
  end
end

local FAR = 500000 -- in millionths of a load; far less than what tells bands apart
local PAGE = math.max(max, 32)

-- Workers in index `key` (nil: none) with a rank from `low` to less than `high`, lowest first: id, rank, id, rank, …
local function some_of(key, low, high, from, count)
  return key and redis.call('ZRANGEBYSCORE', key, low, '(' .. high, 'WITHSCORES', 'LIMIT', from, count) or {}
end

-- Returns a function that returns the next one of these workers whenever it is called: id, rank; nil after the last one.
local function all_of(key, low, high)
  local page, at, from, ends = {}, 1, 0, false
  return function()
    if not page[at] and not ends then
      page = some_of(key, low, high, from, PAGE)
      at, from, ends = 1, from + PAGE, #page < 2 * PAGE
    end
    at = at + 2
    return page[at - 2], tonumber(page[at - 1])
  end
end

-- Adds worker `id`. A worker that a better index had already may come again.
local function add_new(id)
  if not seen[id] then
    seen[id] = true
    add_live(id)
  end
end

-- Adds one of the workers with the rank `rank` in index `key`.
local function add_one(key, rank)
  local before, same = redis.call('ZCOUNT', key, '-inf', '(' .. rank), redis.call('ZCOUNT', key, rank, rank)
  local at = before + math.floor(random * same)
  add_new(redis.call('ZRANGE', key, at, at)[1])
end

-- Adds the workers in index `key` with a rank from `low` to less than `high`. `near` is the same index for the region alone (nil:
-- none).
local function add(key, near, low, high)
  if max == 1 and not found[1] then
    local best, nearest = some_of(key, low, high, 0, 1), some_of(near, low, high, 0, 1)
    if nearest[1] and tonumber(nearest[2]) <= tonumber(best[2]) + FAR then
      add_one(near, nearest[2])
    elseif best[1] then
      add_one(key, best[2])
    else
      return
    end
  end
  if #found == max then
    return
  end
  local next_anywhere, next_near = all_of(key, low, high), all_of(near, low, high)
  local id, rank = next_anywhere()
  local near_id, near_rank = next_near()
  while id and #found < max and silent < MOST_SILENT do
    if near_id and near_rank <= rank + FAR then
      add_new(near_id)
      near_id, near_rank = next_near()
    else
      add_new(id)
      id, rank = next_anywhere()
    end
  end
end

local region = string.match(arg_region, '^[%w._:-]+$')
local near = region and key_region .. arg_service .. '/' .. region
for _, band in ipairs({ 'healthy', 'degraded' }) do
  local low, high = ranks_range(band)
  if fitting then
    add(fitting, near and near .. '/' .. arg_model, low, high)
  end
  add(all, near, low, high)
end
return { redis.call('ZCOUNT', all, '-inf', '(' .. (ranks_range('draining'))) - silent, unpack(found) }
