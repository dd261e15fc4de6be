--: key alive
--: key life
--: key stats
--: use try

-- Signs of life of the fleet's Redis. `alive` has the moment (ms) when coordinators last served from it, and `life` the run of
-- Redis, as INFO names it.

local SIGN_MS, MINUTE = 900, 60000

-- The moment of the last sign; nil if there is none.
local function life_sign_found()
  return tonumber(try_call('GET', key_alive) or '')
end

-- Notes that the clock was set back after a sign.
local function life_set_back(at)
  redis.pcall('HSET', key_life, 'set_back_from', string.format('%.0f', at))
end

-- Whether the clock was set back, and has not reached again what it said before.
local function life_is_set_back(now)
  return (tonumber(try_call('HGET', key_life, 'set_back_from') or '') or 0) > now
end

local function life_sign_leave(now)
  local at = life_sign_found()
  if at and at - now >= SIGN_MS then
    life_set_back(at)
  end
  redis.call('SET', key_alive, string.format('%.0f', now))
end

-- Calls `write`, whose writes go into this Redis's own file alone, and not to replicas. Else a replica that is cut off would count
-- as late although nothing happens in the fleet.
local function life_write_here(write)
  redis.set_repl(redis.REPL_AOF)
  write()
  redis.set_repl(redis.REPL_ALL)
end

-- Leaves a sign, if there is one and it is a second old. Replicas get one each minute, as they get a point of the history. While
-- Redis takes no writes, the sign gets old.
local function life_sign_renew(now)
  local at = life_sign_found()
  if not at or math.abs(now - at) < SIGN_MS then
    return
  end
  local function write()
    redis.pcall('PERSIST', key_stats) -- see memory.lua
    redis.pcall('SET', key_alive, string.format('%.0f', now))
    if now < at then -- the clock was set back
      life_set_back(at)
    end
  end
  if math.floor(at / MINUTE) ~= math.floor(now / MINUTE) then
    write()
  else
    life_write_here(write)
  end
end

-- Deletes a key that somebody has left in the place of `life` with redis-cli.
local function life_mend()
  local found = redis.pcall('HGET', key_life, 'run')
  if type(found) == 'table' and string.find(found.err, 'WRONGTYPE', 1, true) then
    redis.call('DEL', key_life)
  end
end
