--: key alive
--: key life
--: key stats
--: use try

-- The signs of life of the fleet's Redis: `alive`, when coordinators were last seen to serve from it (ms), and in `life` from which
-- run of it, as INFO names it.

local SIGN_MS = 900

-- When they were last seen to; nil when nobody has said.
local function life_sign_found()
  return tonumber(try_call('GET', key_alive) or '')
end

local function life_sign_leave(now)
  redis.call('SET', key_alive, string.format('%.0f', now))
end

-- Leaves a sign, if there is one and it is a second old. It is for this Redis's own file: a replica goes without it, and has the
-- one that each coordinator leaves every ten seconds. So a fleet at rest writes nothing that a replica could lack. Redis may take
-- no writes: then the sign gets old.
local function life_sign_renew(now)
  local at = life_sign_found()
  if at and math.abs(now - at) >= SIGN_MS then
    redis.set_repl(redis.REPL_AOF)
    redis.pcall('PERSIST', key_stats) -- see memory.lua
    redis.pcall('SET', key_alive, string.format('%.0f', now))
    redis.set_repl(redis.REPL_ALL)
  end
end

-- Makes room for `life` where somebody's redis-cli has left something else.
local function life_mend()
  local found = redis.pcall('HGET', key_life, 'run')
  if type(found) == 'table' and string.find(found.err, 'WRONGTYPE', 1, true) then
    redis.call('DEL', key_life)
  end
end
