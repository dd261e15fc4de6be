--: key worker
--: key registration
--: key workers
--: key online
--: key offline
--: key ledger
--: key lately
--: use counters
--: use health
--: use ledger
--: use ranks
--: use requests
--: use task_waiters
--: use try

-- The place of each worker in the fleet's counters and indexes, and the only functions that change it.
--
-- A worker's hash and online key expire even when no coordinator runs. So the `ledger` remembers, without a TTL, how the worker is
-- counted and indexed. A script that meets a worker whose keys have expired brings the ledger, the counters and the indexes up to
-- date. A worker is either in `online`, with the moment when it goes offline without another heartbeat, or an earlier one (its
-- online key has the exact one); or in `offline`, with the moment when it is removed. It is never in both.

-- Adds `by` to the counters in which a worker counts.
local function tally(place, by)
  if place then
    counters_add(key_stats, place.tier .. ':' .. place.status, by)
    counters_add(key_stats, place.tier .. ':load', by * place.load)
    if place.status ~= 'offline' and place.services ~= '-' then
      for _, name in ipairs(names_split(place.services)) do
        counters_add(key_services, place.status .. ' ' .. name, by)
      end
    end
  end
end

-- The place of worker `id` by its registration, and by its hash for its services; nil if there is no readable registration.
local function places_registered(id)
  local values = try_call('HMGET', key_registration .. id, 'tier', 'provides', 'drained', 'region', 'caller')
  local place = ledger_offline(unpack(values or {}))
  local unwell = place and try_call('HGET', key_worker .. id, 'unwell')
  if unwell then
    place.services = health_apply(place.services, '!' .. string.gsub(unwell, ',', ',!'))
  end
  return place
end

-- Returns a place whose index entries a worker has at least, if its ledger entry can't be read. How it was counted is not known.
local function unread(id)
  local place = places_registered(id)
  if place then
    place.status = 'healthy'
  end
  return place
end

-- Moves worker `id` to the place `new` (nil: out of the fleet). `entry`: its ledger entry (false: none). moment: when it goes
-- offline, or is removed if its status is "offline" (ms); nil: the index need not change.
local function places_move(id, entry, new, moment)
  local old = ledger_read(entry)
  if new then
    new.load = new.status == 'offline' and 0 or new.load
    if moment then
      redis.call('ZADD', new.status == 'offline' and key_offline or key_online, moment, id)
    end
    local text = ledger_text(new)
    if text == entry then
      return
    end
    redis.call('HSET', key_ledger, id, text)
  end
  local alike = old and new and old.tier == new.tier and old.services == new.services and old.region == new.region
    and (old.ranking == new.ranking or ranks_kind(old.ranking) == ranks_kind(new.ranking))
  if alike and old.status == new.status then
    -- the usual heartbeat: only the load and the active requests have changed
    counters_add(key_stats, new.tier .. ':load', new.load - old.load)
    ranks_visit(new, requests_of(id), function(key, value)
      redis.call('ZADD', key, value, id)
    end)
    return
  end
  tally(old, -1)
  tally(new, 1)
  local before, leased = {}, requests_of(id)
  ranks_visit(old or entry and unread(id), leased, function(key, value)
    before[key] = old and value or ''
  end)
  ranks_visit(new, leased, function(key, value)
    if before[key] ~= value then
      redis.call('ZADD', key, value, id)
    end
    before[key] = nil
  end)
  for key in pairs(before) do
    redis.call('ZREM', key, id)
  end
  if not new then
    redis.call('HDEL', key_ledger, id)
    redis.call('ZREM', key_workers, id)
    redis.call('ZREM', key_online, id)
    redis.call('ZREM', key_offline, id)
    redis.call('ZREM', key_lately, id)
  elseif not old then
    redis.call('ZADD', key_workers, 0, id)
    redis.call('ZREM', new.status == 'offline' and key_online or key_offline, id)
  elseif (old.status == 'offline') ~= (new.status == 'offline') then
    redis.call('ZREM', new.status == 'offline' and key_online or key_offline, id)
  end
  if new and task_workers_takes(new) and not (alike and task_workers_takes(old)) then
    task_waiters_call(id) -- it may be able to do tasks that wait
  end
end

-- Changes the load of worker `id` in its place. entry: its ledger entry. The worker is not offline.
local function places_shift(id, entry, load)
  local place = ledger_read(entry)
  counters_add(key_stats, place.tier .. ':load', load - place.load)
  place.load = load
  redis.call('HSET', key_ledger, id, ledger_text(place))
  ranks_visit(place, requests_of(id), function(key, value)
    redis.call('ZADD', key, value, id)
  end)
end
