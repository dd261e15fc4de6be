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
--: use try

-- Where each worker stands in the fleet's counters and indexes, and the only function that moves it.
--
-- TTLs end a worker's hash and online key whether or not anybody is there to see it. So what the counters and indexes hold of a
-- worker is written down beside them, without a TTL: its entry in `ledger`. Whoever meets a worker that time has moved on brings
-- both up to date. A worker is in `online` by the moment it goes offline unless it beats, or one before that (its online key
-- knows), or in `offline` by the moment it is removed; never in both.

-- Adds `by` to the counters that a worker counts in.
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

-- What its registration says about worker `id`, and its hash about its services; nil when there is none that can be read.
local function places_registered(id)
  local values = try_call('HMGET', key_registration .. id, 'tier', 'provides', 'drained', 'region', 'caller')
  local place = ledger_offline(unpack(values or {}))
  local unwell = place and try_call('HGET', key_worker .. id, 'unwell')
  if unwell then
    place.services = health_apply(place.services, '!' .. string.gsub(unwell, ',', ',!'))
  end
  return place
end

-- What is indexed under an entry that can't be read: at the least the services. What it counts as, nobody knows.
local function unread(id)
  local place = places_registered(id)
  if place then
    place.status = 'healthy'
  end
  return place
end

-- Puts worker `id` where `new` (a place; nil: nowhere) says. `entry`: what the ledger holds (false: nothing). moment: when it goes
-- offline, or is removed if its status is "offline" (ms); nil: the index knows it well enough.
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
  if old and new and old.status == new.status and old.tier == new.tier and old.services == new.services
    and old.region == new.region and (old.ranking == new.ranking or ranks_kind(old.ranking) == ranks_kind(new.ranking)) then
    -- as with most heartbeats: how busy it is is all that has changed
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
end
