--: key limit
--: use number

-- Limits (the generic cell rate algorithm, ITU-T I.371): a bucket gives one piece every `interval` ms, `burst` pieces at once.

-- Takes a piece from each of several buckets. If any of them is empty, it takes nothing. Returns 0, or the ms until all have a
-- piece.
local function limit_take(names, interval, burst, now)
  local wait = 0
  local full_at = {} -- when each would be full again; a full bucket has no key
  for _, name in ipairs(names) do
    local stored = redis.pcall('GET', key_limit .. name)
    local moment = math.max(now, type(stored) == 'string' and number_of(stored) or now)
    moment = math.min(moment, now + burst * interval) -- the clock may have jumped back
    full_at[name] = moment + interval
    wait = math.max(wait, full_at[name] - burst * interval - now)
  end
  if wait > 0 then
    return wait
  end
  for _, name in ipairs(names) do
    redis.call('SET', key_limit .. name, string.format('%.0f', full_at[name]), 'PXAT', string.format('%.0f', full_at[name]))
  end
  return 0
end

-- Whether `name` may be the name of a bucket: "login:address:<digest>".
local function limit_is_name(name)
  return string.find(name, '^%l+:[%w:._-]+$') ~= nil
end
