--: key worker
--: key workers
--: key online
--: key offline
--: key service
--: key stats
--: key ledger
--: key refs
--: key identity

-- The fleet's counters and indexes, and the only functions that change them.
--
-- TTLs end a worker's hash and online key whether or not anybody is there to see it. So what the counters and indexes hold of a
-- worker is written down beside them, without a TTL: `ledger` has "tier status load" (load in millionths) and `refs` the services
-- it is listed under and the identities that lead to it. Whoever meets a worker that time has moved on brings both up to date.
-- A worker is in `online` by the moment it goes offline unless it beats, or in `offline` by the moment it is removed; never in both.

local deltas = {} -- changes of counters, by field; written once by fleet_flush

local function fleet_count(field, by)
  deltas[field] = (deltas[field] or 0) + by
end

local fleet_statuses = { healthy = true, degraded = true, draining = true, offline = true }

-- What `entry` (a ledger entry, or false) says: tier, status, load. Nothing when it can't be read (somebody's redis-cli, another
-- version): it then counts as none, since one bad entry must not stop every script that meets it.
local function fleet_read(entry)
  local tier, status, load = string.match(entry or '', '^([1-4]) (%a+) (%d+)$')
  if tier and fleet_statuses[status] and tonumber(load) <= 1000000 then
    return tier, status, load
  end
end

-- The tier of worker `id` by its ledger entry, else by its hash; nil when neither has one.
local function fleet_tier(id, entry)
  return fleet_read(entry) or string.match(redis.call('HGET', key_worker .. id, 'tier') or '', '^[1-4]$')
end

-- Takes what `entry` (a ledger entry, or false) holds out of the counters. Returns the status that it was counted under, or nil.
local function fleet_uncount(entry)
  local tier, status, load = fleet_read(entry)
  if tier then
    fleet_count(tier .. ':' .. status, -1)
    fleet_count(tier .. ':load', -load)
    return status
  end
end

-- What `refs` holds of a worker: {services = {…}, identities = {…}}.
local function fleet_refs(id)
  local refs = redis.call('HGET', key_refs, id)
  return refs and cjson.decode(refs) or { services = {}, identities = {} }
end

-- Lists worker `id` as `status` with `load` (0 to 1); `entry` is what the ledger holds of it (false: nothing yet). `moment` is when
-- it goes offline, or is removed if the status is "offline" (ms).
local function fleet_place(id, entry, tier, status, load, moment)
  local live = status ~= 'offline'
  redis.call('ZADD', live and key_online or key_offline, moment, id)
  local millionths = live and math.floor(load * 1000000 + 0.5) or 0
  local new = string.format('%d %s %d', tier, status, millionths)
  if new == entry then
    return
  end
  local before = fleet_uncount(entry)
  fleet_count(tier .. ':' .. status, 1)
  fleet_count(tier .. ':load', millionths)
  redis.call('HSET', key_ledger, id, new)
  if not before then
    redis.call('ZADD', key_workers, 0, id)
  end
  if before and (before ~= 'offline') == live then
    return
  end
  if entry then
    redis.call('ZREM', live and key_offline or key_online, id)
  end
  for _, name in ipairs(fleet_refs(id).services) do
    redis.call(live and 'SADD' or 'SREM', key_service .. name, id)
  end
end

-- Takes worker `id` out of every index that its refs name, for good or to list it anew.
local function fleet_unref(id)
  local refs = fleet_refs(id)
  for _, name in ipairs(refs.services) do
    redis.call('SREM', key_service .. name, id)
  end
  for _, identity in ipairs(refs.identities) do
    if redis.call('HGET', key_identity, identity) == id then
      redis.call('HDEL', key_identity, identity)
    end
  end
end

-- Removes every trace of worker `id`.
local function fleet_forget(id, entry)
  fleet_uncount(entry)
  fleet_unref(id)
  redis.call('DEL', key_worker .. id, key_worker .. id .. ':online')
  redis.call('ZREM', key_workers, id)
  redis.call('ZREM', key_online, id)
  redis.call('ZREM', key_offline, id)
  redis.call('HDEL', key_ledger, id)
  redis.call('HDEL', key_refs, id)
end

-- Moves on those workers that time has moved on: at most `max` to offline and `max` out. Returns whether there may be more.
local function fleet_sweep(now, max)
  local silent = redis.call('ZRANGEBYSCORE', key_online, '-inf', now, 'LIMIT', 0, max)
  for _, id in ipairs(silent) do
    local entry = redis.call('HGET', key_ledger, id)
    local left = redis.call('PTTL', key_worker .. id)
    local tier = left >= 0 and fleet_tier(id, entry)
    if tier then
      fleet_place(id, entry, tier, 'offline', 0, now + left)
    else
      fleet_forget(id, entry)
    end
  end
  local gone = redis.call('ZRANGEBYSCORE', key_offline, '-inf', now, 'LIMIT', 0, max)
  for _, id in ipairs(gone) do
    fleet_forget(id, redis.call('HGET', key_ledger, id))
  end
  return #silent == max or #gone == max
end

-- Writes the counters. To be called once, after everything else.
local function fleet_flush()
  for field, by in pairs(deltas) do
    if by ~= 0 then
      redis.call('HINCRBY', key_stats, field, string.format('%d', by))
    end
  end
end
