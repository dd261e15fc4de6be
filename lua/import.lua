--: arg timeout
--: arg removal
--: arg revive
--: rest workers
--: key worker
--: key registration
--: key ledger
--: key stats
--: use number
--: use clock
--: use events
--: use identities
--: use places
--: use removal
--: use status
--: use try

-- Imports any number of workers from another registry. Workers that are known here already are unchanged. timeout, removal,
-- revive: as in register. workers: for each its id, last_heartbeat (ms), status and load (0 to 1) there, the number of strings
-- that follow, and these: names and values of the registration's fields. Returns one character for each: "l" live, "o" offline,
-- "a" archived (silent for so long that only its registration is kept, for a late heartbeat), "k" known.

local now, timeout, removal, revive = clock_now(), number_of(arg_timeout), number_of(arg_removal), number_of(arg_revive)
if not timeout or not removal or not revive then
  return redis.error_reply('BADCALL timeout, removal and revive are numbers')
end

-- First all is checked, then it is written: a malformed call changes nothing.
local workers = {}
local at = rest
while at <= #ARGV do
  local worker = { id = ARGV[at], last_heartbeat = number_of(ARGV[at + 1]), status = ARGV[at + 2], load = number_of(ARGV[at + 3]),
    load_text = ARGV[at + 3], first = at + 5, last = at + 4 + (number_of(ARGV[at + 4]) or -1) }
  local count = worker.last - worker.first + 1
  if worker.id == '' or not worker.last_heartbeat or not worker.load or worker.load < 0 or worker.load > 1
    or not status_is(worker.status) or count < 0 or count % 2 ~= 0 or worker.last > #ARGV then
    return redis.error_reply('BADCALL malformed worker')
  end
  local given = {}
  for field = worker.first, worker.last, 2 do
    given[ARGV[field]] = ARGV[field + 1]
  end
  worker.place = ledger_offline(given.tier, given.provides, given.drained, given.region, given.caller)
  if not worker.place then
    return redis.error_reply('BADCALL a worker needs a tier, and names of services have no white space')
  end
  worker.tasks_completed = tonumber(given.tasks_completed or '') or 0
  workers[#workers + 1] = worker
  at = worker.last + 1
end

-- Imports one worker; returns its character.
local function take_over(worker)
  local id, place = worker.id, worker.place
  local hash, registration = key_worker .. id, key_registration .. id
  if redis.call('EXISTS', registration, hash) > 0 then
    return 'k'
  end
  local entry = redis.call('HGET', key_ledger, id)
  if entry then -- removed long ago, and no sweep has moved it yet
    removal_archive(id, entry, removal, revive)
  end
  redis.call('HSET', registration, unpack(ARGV, worker.first, worker.last))
  counters_add(key_stats, 'tasks_completed', worker.tasks_completed)

  -- keys of other workers that lead to the same identity stay as they are
  local identities, twins = identities_of(id)
  for _, key in ipairs(identities) do
    redis.call('SET', key, id, 'NX')
  end
  local last_heartbeat = math.min(worker.last_heartbeat, now)
  local offline_at, removed_at = last_heartbeat + timeout, last_heartbeat + timeout + removal
  if removed_at <= now then
    local keep_until = string.format('%.0f', now + revive)
    redis.call('PEXPIREAT', registration, keep_until)
    for _, key in ipairs(identities) do
      if try_call('GET', key) == id then
        redis.call('PEXPIREAT', key, keep_until)
      end
    end
    return 'a'
  end
  for _, key in ipairs(twins) do
    try_call('ZADD', key, last_heartbeat, id)
  end
  redis.call('HSET', hash, 'status', worker.status, 'current_load', worker.load_text,
    'last_heartbeat', string.format('%.0f', last_heartbeat))
  redis.call('PEXPIREAT', hash, string.format('%.0f', removed_at))
  place.load = math.floor(worker.load * 1000000 + 0.5)
  local live = worker.status ~= 'offline' and offline_at > now
  if live then
    place.status = place.drained == 'd' and 'draining' or worker.status
    redis.call('SET', hash .. ':online', place.status, 'PXAT', string.format('%.0f', offline_at))
  end
  places_move(id, false, place, live and offline_at or removed_at)
  events_tell('registered', 'imported', id, place)
  return live and 'l' or 'o'
end

local results = {}
for i, worker in ipairs(workers) do
  results[i] = take_over(worker)
end
return table.concat(results)
