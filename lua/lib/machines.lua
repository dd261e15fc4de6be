--: key worker
--: key registration
--: use events
--: use try

-- The machines that use one worker's id. If two of them use it at the same time, that is a conflict: an event tells it, the worker
-- shows it, and both are served.
--
-- The registration's fields: `machine` is the machine that registered last, by its boot_id ("b:…") or its hardware ("h:…"), and
-- since when (ms). `machines` are those before it, the latest first. `rival` is the address of the machine before it, how often
-- heartbeats have changed between the two addresses, and when they did so last. `conflict` says since when two machines use the id,
-- when that was last noticed, and how often.

local FORMER = 4 -- machines that are remembered
local SHOWN = 3600000 -- ms for which a conflict is shown after it was last noticed
local SAME_HARDWARE = 3600000 -- ms: hardware that is back later than this need not be a second machine: a part may have failed
local TURNS = 3 -- changes between two addresses that make a conflict: a worker that moves away and back makes two

-- Notes that two machines use worker `id`. how: "registered" or "heartbeat", which showed it. If the conflict is new, it adds an
-- event and returns true.
local function machines_conflict(id, place, how, now)
  local registration = key_registration .. id
  local since, last, count = string.match(try_call('HGET', registration, 'conflict') or '', '^(%d+) (%d+) (%d+)$')
  local is_new = not last or now - last > SHOWN
  redis.call('HSET', registration, 'conflict',
    string.format('%s %.0f %.0f', is_new and string.format('%.0f', now) or since, now, is_new and 1 or count + 1))
  if is_new then
    events_tell('conflict', how, id, place)
  end
  return is_new
end

-- The fields (names and values) that remember the machines of worker `id` when `machine` registers; and whether two machines use
-- the id in turn, because an earlier machine is back although its successor still lives. After a restart a machine has a new
-- boot_id, so an old boot_id that comes back means a second machine. caller, was_caller: the addresses from which this registration
-- and the last heartbeat came.
local function machines_register(id, machine, caller, was_caller, now, timeout)
  local last_machine, former, rival, conflict =
    unpack(try_call('HMGET', key_registration .. id, 'machine', 'machines', 'rival', 'conflict') or {})
  local current, at = string.match(last_machine or '', '^(%S+) (%d+)$')
  local fields = { 'machine', string.format('%s %.0f', machine, now) }
  if machine == '' then
    return {}, false
  end
  local function keep(name, value)
    if value and value ~= '' then
      fields[#fields + 1], fields[#fields + 2] = name, value
    end
  end
  keep('conflict', conflict)
  if not current or current == machine then
    fields[2] = current and last_machine or fields[2]
    keep('machines', former)
    keep('rival', rival)
    return fields, false
  end
  local last = tonumber(try_call('HGET', key_worker .. id, 'last_heartbeat') or '')
  local list, is_known = { current }, false
  for name in string.gmatch(former or '', '%S+') do
    is_known = is_known or name == machine
    if name ~= machine and #list < FORMER then
      list[#list + 1] = name
    end
  end
  keep('machines', table.concat(list, ' '))
  if was_caller ~= '' and caller ~= was_caller then
    keep('rival', string.format('%s 0 %.0f', was_caller, now))
  end
  local lives = last and now - last <= timeout
  local is_other = string.sub(machine, 1, 2) == 'b:' or now - at <= SAME_HARDWARE
  return fields, is_known and lives and is_other or false
end

-- Notes that the heartbeats of worker `id` now come from `caller` and no longer from `was_caller`. Returns whether they change
-- between the addresses of two machines so often that both must be in use; and whether `caller` is the other machine's address.
-- near: the longest time (ms) between two changes if two machines send heartbeats.
local function machines_move(id, caller, was_caller, now, near)
  local registration = key_registration .. id
  local rival, turns, at = string.match(try_call('HGET', registration, 'rival') or '', '^(%S+) (%d+) (%d+)$')
  if not rival then
    return false, false
  end
  if rival ~= caller then
    redis.call('HDEL', registration, 'rival')
    return false, false
  end
  turns = now - at <= near and turns + 1 or 1
  redis.call('HSET', registration, 'rival', string.format('%s %d %.0f', was_caller, turns, now))
  return turns >= TURNS, true
end
