--: arg now
--: arg removal
--: arg revive
--: arg sweep
--: arg service
--: arg model
--: arg max
--: arg random
--: use number
--: use clock
--: use fleet

-- The workers that provide a service, best first, at most `max`: healthy ones before degraded ones, of each those that have `model` (""
-- for any) loaded before others, then by rank (see lib/fleet.lua). Draining ones are left out. With a max of 1, workers of the same
-- rank are chosen from by `random` (0 to 1, less than 1). Costs O(log n) for each worker returned.
-- removal, revive: as in stats; sweep: its max. Returns {"1" if so many have just fallen silent that it is to be asked again, how many
-- workers provide it that are live and not draining, id, id, …}.

local now, removal, revive, sweep = clock_now(arg_now), number_of(arg_removal), number_of(arg_revive), number_of(arg_sweep)
local max, random = number_of(arg_max), number_of(arg_random)
if not now or not removal or not revive or not sweep then
  return redis.error_reply('BADCALL now, removal, revive and sweep are numbers')
end
if not max or max < 1 or max % 1 ~= 0 or not random or random < 0 or random >= 1 then
  return redis.error_reply('BADCALL max and random are numbers')
end
local more = fleet_sweep(now, removal, revive, sweep)

local all = key_service .. arg_service
local fitting = arg_model ~= '' and key_model .. arg_service .. '/' .. arg_model or nil
local found, seen = {}, {}

-- Adds worker `id`, unless it fell silent a moment ago, at once with so many that the sweep has not come to it.
local function add_live(id)
  if redis.call('EXISTS', key_worker .. id .. ':online') == 1 then
    found[#found + 1] = id
  end
end

-- Adds those of index `key` whose rank is from `low` to less than `high`.
local function add(key, low, high)
  if max == 1 and #found == 0 then
    local first = redis.call('ZRANGEBYSCORE', key, low, '(' .. high, 'WITHSCORES', 'LIMIT', 0, 1)
    if first[1] then
      local before = redis.call('ZCOUNT', key, '-inf', '(' .. first[2])
      local same = redis.call('ZCOUNT', key, first[2], first[2])
      local at = before + math.floor(random * same)
      add_live(redis.call('ZRANGE', key, at, at)[1])
    end
    return
  end
  -- what a better index had already may stand here again
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, low, '(' .. high, 'LIMIT', 0, max)) do
    if #found < max and not seen[id] then
      seen[id] = true
      add_live(id)
    end
  end
end
for _, band in ipairs({ 'healthy', 'degraded' }) do
  if fitting then
    add(fitting, bands[band], bands[band] + 2 * BAND)
  end
  add(all, bands[band], bands[band] + 2 * BAND)
end
return { more and '1' or '0', redis.call('ZCOUNT', all, '-inf', '(' .. bands.draining), unpack(found) }
