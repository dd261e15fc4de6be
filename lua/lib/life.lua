--: key alive
--: key life
--: key stats
--: use try

-- The signs of life of the fleet's Redis: `alive`, when coordinators were last seen to serve from it (ms), and in `life` from which
-- run of it, as INFO names it.

local SIGN_MS, MINUTE = 900, 60000

-- When they were last seen to; nil when nobody has said.
local function life_sign_found()
  return tonumber(try_call('GET', key_alive) or '')
end

local function life_sign_leave(now)
  redis.call('SET', key_alive, string.format('%.0f', now))
end

-- What `write` does is for this Redis's own file alone, no replica gets it: else a fleet at rest would make a replica late that is
-- cut off.
local function life_write_here(write)
  redis.set_repl(redis.REPL_AOF)
  write()
  redis.set_repl(redis.REPL_ALL)
end

-- Leaves a sign, if there is one and it is a second old. Replicas get one each minute, as they get a point of the history.
-- Redis may take no writes: then the sign gets old.
local function life_sign_renew(now)
  local at = life_sign_found()
  if not at or math.abs(now - at) < SIGN_MS then
    return
  end
  local function write()
    redis.pcall('PERSIST', key_stats) -- see memory.lua
    redis.pcall('SET', key_alive, string.format('%.0f', now))
  end
  if math.floor(at / MINUTE) ~= math.floor(now / MINUTE) then
    write()
  else
    life_write_here(write)
  end
end

-- Makes room for `life` where somebody's redis-cli has left something else.
local function life_mend()
  local found = redis.pcall('HGET', key_life, 'run')
  if type(found) == 'table' and string.find(found.err, 'WRONGTYPE', 1, true) then
    redis.call('DEL', key_life)
  end
end
