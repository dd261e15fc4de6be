--: key life
--: use try

-- The sign of life of the fleet's Redis: which run of it coordinators serve from (`run`, as INFO names it), and when they were
-- last seen to do so (`at`). A sweep leaves it, once a second whoever sweeps.

local SIGN_MS = 900

-- Makes room for it where somebody's redis-cli has left something else.
local function life_mend()
  local found = redis.pcall('HGET', key_life, 'run')
  if type(found) == 'table' and string.find(found.err, 'WRONGTYPE', 1, true) then
    redis.call('DEL', key_life)
  end
end

-- Redis may be full, or take no writes: then the sign gets old, and nobody is told.
local function life_sign(now)
  local at = tonumber(try_call('HGET', key_life, 'at') or '')
  if at and math.abs(now - at) >= SIGN_MS then
    redis.pcall('HSET', key_life, 'at', string.format('%.0f', now))
  end
end
