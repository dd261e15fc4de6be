--: key worker
--: key registration
--: key workers
--: key online
--: key offline
--: key service
--: key model
--: key region
--: key services
--: key stats
--: key ledger
--: key identity
--: key fingerprint
--: key events

-- The fleet's counters and indexes, and the only functions that change them.
--
-- TTLs end a worker's hash and online key whether or not anybody is there to see it. So what the counters and indexes hold of a
-- worker is written down beside them, without a TTL: its entry in `ledger`. Whoever meets a worker that time has moved on brings
-- both up to date. A worker is in `online` by the moment it goes offline unless it beats, or in `offline` by the moment it is
-- removed; never in both.
--
-- An entry is eight words: tier, status, load (millionths), "d" if an operator drains it, its services, and its ranking: active
-- requests, what it is specialized for, its loaded models. "-" stands for nothing; names have commas between. A ninth is its region, where
-- it has one.

local deltas = { [key_stats] = {}, [key_services] = {} } -- changes of counters, by key and field; written by fleet_flush

local function fleet_count(key, field, by)
  deltas[key][field] = (deltas[key][field] or 0) + by
end

-- Writes the counters. To be called after everything else.
local function fleet_flush()
  for key, fields in pairs(deltas) do
    for field, by in pairs(fields) do
      local count = by ~= 0 and redis.pcall('HINCRBY', key, field, string.format('%d', by))
      -- anybody may make up names of services, and somebody's redis-cli what is no number
      if (count == 0 and key == key_services) or type(count) == 'table' then
        redis.call('HDEL', key, field)
      end
    end
    deltas[key] = {}
  end
end

-- redis.call on a key of one worker; false where somebody's redis-cli has made it one of another type, which must not stop the rest.
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    return string.find(reply.err, 'WRONGTYPE', 1, true) == nil and error(reply)
  end
  return reply
end

local EVENTS = '5000' -- kept, at the least, for those that ask for what they missed

-- Tells everybody who listens what happened to worker `id`: `kind` and `reason` as KEYS.md lists them, and counts it. place: where it now
-- stands; nil when nobody knows.
local function fleet_event(kind, reason, id, place)
  fleet_count(key_stats, 'event:' .. kind .. ':' .. reason, 1)
  place = place or { tier = '', status = '', services = '-' }
  try('XADD', key_events, 'MAXLEN', '~', EVENTS, '*', 'event', kind, 'reason', reason, 'worker_id', id, 'tier', place.tier,
    'status', kind == 'removed' and kind or place.status, 'services', place.services ~= '-' and place.services or '')
end

-- The names in a list with commas between, each once.
local function split(names)
  local list = {}
  for name in string.gmatch(names, '[^,]+') do
    if not list[name] then
      list[name] = true
      list[#list + 1] = name
    end
  end
  return list
end

local BAND = 1000000000000
local bands = { healthy = 0, degraded = 2 * BAND, draining = 4 * BAND } -- of ranks, see below; a live worker has one of these statuses
local MOST_ACTIVE = 100000 -- requests that count
local MOST_MODELS = 64 -- of one worker, over all its services, that are indexed: each is a write whenever its load changes

local function fleet_is_status(text)
  return text == 'offline' or bands[text] ~= nil
end

-- Reads a ledger entry. nil when there is none, or when somebody has written what is none.
local function fleet_read(entry)
  local tier, status, load, drained, services, ranking, region =
    string.match(entry or '', '^([1-4]) (%l+) (%d+) ([d-]) (%S+) (%d+ %S+ %S+) ?(%S*)$')
  if not tier or not fleet_is_status(status) or #load > 7 then
    return nil
  end
  return { tier = tier, status = status, load = tonumber(load), drained = drained, services = services, ranking = ranking,
    region = region }
end

local function fleet_text(place)
  return place.tier .. ' ' .. place.status .. ' ' .. place.load .. ' ' .. place.drained .. ' ' .. place.services .. ' ' .. place.ranking
    .. (place.region ~= '' and ' ' .. place.region or '')
end

-- Calls visit(key, rank) for each index that ranks a live worker: its services, each of its models within each of them, and where it has
-- a region the same once more for that alone. The lowest
-- rank takes the next work: healthy before degraded before draining; of these, specialized for the service before others; of these, by
-- load in millionths, to which each active request adds a tenth.
local function each_rank(place, visit)
  if not place or place.status == 'offline' or place.services == '-' then
    return
  end
  local active, special, models = string.match(place.ranking, '^(%d+) (%S+) (%S+)$')
  local rank = bands[place.status] + place.load + math.min(active, MOST_ACTIVE) * 100000
  local loaded, indexed = {}, 0
  if models ~= '-' then
    local _, commas = string.gsub(place.services, ',', '')
    loaded = split(models)
    indexed = math.min(#loaded, math.floor(MOST_MODELS / (commas + 1)))
  end
  for name in string.gmatch(place.services, '[^,]+') do
    local value = name == special and special ~= '-' and rank or rank + BAND
    local near = place.region ~= '' and key_region .. name .. '/' .. place.region
    visit(key_service .. name, value)
    if near then
      visit(near, value)
    end
    for i = 1, indexed do
      visit(key_model .. name .. '/' .. loaded[i], value)
      if near then
        visit(near .. '/' .. loaded[i], value)
      end
    end
  end
end

-- What of a ranking decides in which indexes a worker is: all but the active requests.
local function kind(ranking)
  return string.match(ranking, ' .*')
end

-- Adds `by` to the counters that a worker counts in.
local function tally(place, by)
  if place then
    fleet_count(key_stats, place.tier .. ':' .. place.status, by)
    fleet_count(key_stats, place.tier .. ':load', by * place.load)
    if place.status ~= 'offline' and place.services ~= '-' then
      for _, name in ipairs(split(place.services)) do
        fleet_count(key_services, place.status .. ' ' .. name, by)
      end
    end
  end
end

-- The place of a worker that is registered so and has not been heard of; nil when these are no tier and no names of services.
local function fleet_offline(tier, provides, drained, region)
  if not tier or not string.find(tier, '^[1-4]$') or string.find(provides or '', '%s') then
    return nil
  end
  local services = table.concat(split(provides or ''), ',')
  return { tier = tier, status = 'offline', load = 0, drained = drained and 'd' or '-', services = services ~= '' and services or '-',
    ranking = '0 - -', region = region and string.match(region, '^[%w._:-]+$') or '' }
end

-- What its registration says about worker `id`; nil when there is none that can be read.
local function fleet_registered(id)
  return fleet_offline(unpack(try('HMGET', key_registration .. id, 'tier', 'provides', 'drained', 'region') or {}))
end

-- What is indexed under an entry that can't be read: at the least the services. What it counts as, nobody knows.
local function fleet_unread(id)
  local place = fleet_registered(id)
  if place then
    place.status = 'healthy'
  end
  return place
end

-- Puts worker `id` where `new` (a table as fleet_read makes it; nil: nowhere) says. `entry`: what the ledger holds (false: nothing).
-- moment: when it goes offline, or is removed if its status is "offline" (ms).
local function fleet_place(id, entry, new, moment)
  local old = fleet_read(entry)
  if new then
    new.load = new.status == 'offline' and 0 or new.load
    redis.call('ZADD', new.status == 'offline' and key_offline or key_online, moment, id)
    local text = fleet_text(new)
    if text == entry then
      return
    end
    redis.call('HSET', key_ledger, id, text)
  end
  if old and new and old.status == new.status and old.tier == new.tier and old.services == new.services
    and old.region == new.region and (old.ranking == new.ranking or kind(old.ranking) == kind(new.ranking)) then
    -- as with most heartbeats: how busy it is is all that has changed
    fleet_count(key_stats, new.tier .. ':load', new.load - old.load)
    each_rank(new, function(key, value)
      redis.call('ZADD', key, value, id)
    end)
    return
  end
  tally(old, -1)
  tally(new, 1)
  local before = {}
  each_rank(old or entry and fleet_unread(id), function(key, value)
    before[key] = old and value or ''
  end)
  each_rank(new, function(key, value)
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
  elseif not old then
    redis.call('ZADD', key_workers, 0, id)
    redis.call('ZREM', new.status == 'offline' and key_online or key_offline, id)
  elseif (old.status == 'offline') ~= (new.status == 'offline') then
    redis.call('ZREM', new.status == 'offline' and key_online or key_offline, id)
  end
end

-- Stands for a text of any length in the name of a key.
local function fleet_digest(text)
  return string.sub(redis.sha1hex(text), 1, 20)
end

-- The keys that lead to worker `id` by who it is, and the key of the workers that look just like it (nil: none).
local function fleet_identities(id)
  local instance, tunnel, fingerprint =
    unpack(try('HMGET', key_registration .. id, 'instance_id', 'tunnel_url', 'fingerprint') or {})
  local keys = {}
  if instance then
    keys[1] = key_identity .. 'instance:' .. instance
  end
  if tunnel then
    keys[#keys + 1] = key_identity .. 'tunnel:' .. fleet_digest(tunnel)
  end
  return keys, fingerprint and key_fingerprint .. fingerprint or nil
end

-- Takes worker `id` out of the fleet. Its registration stays until `keep_until` (ms), for a late heartbeat; 0: it goes, too.
local function fleet_remove(id, entry, keep_until)
  local moment = string.format('%.0f', math.max(keep_until, 0))
  fleet_place(id, entry, nil)
  redis.call('DEL', key_worker .. id, key_worker .. id .. ':online')
  local identities, twins = fleet_identities(id)
  for _, key in ipairs(identities) do
    if try('GET', key) == id then
      redis.call('PEXPIREAT', key, moment) -- one in the past deletes
    end
  end
  if twins then
    try('ZREM', twins, id)
  end
  redis.call('PEXPIREAT', key_registration .. id, moment)
end

-- Takes worker `id`, whose hash is gone or whose moment has come, out of the fleet. Its registration stays for `revive` ms from then.
local function fleet_archive(id, entry, removal, revive)
  local removed = redis.call('ZSCORE', key_offline, id)
  local silent = not removed and redis.call('ZSCORE', key_online, id)
  fleet_event('removed', 'timeout', id, fleet_read(entry) or fleet_registered(id))
  fleet_remove(id, entry, removed and removed + revive or silent and silent + removal + revive or 0)
end

-- Moves on those workers that time has moved on: at most `max` to offline and `max` out. removal: ms from offline to removed;
-- revive: ms for which a removed worker's registration is kept. Returns whether there may be more. Writes the counters, too.
local function fleet_sweep(now, removal, revive, max)
  if max == 0 then -- a replica, which takes no writes
    return false
  end
  local silent = redis.call('ZRANGEBYSCORE', key_online, '-inf', now, 'LIMIT', 0, max)
  for _, id in ipairs(silent) do
    local entry = redis.call('HGET', key_ledger, id)
    local place = fleet_read(entry) or fleet_registered(id)
    local removed_at = redis.call('PEXPIRETIME', key_worker .. id)
    if place and removed_at > now then
      place.status = 'offline'
      fleet_place(id, entry, place, removed_at)
      fleet_event('offline', 'timeout', id, place)
    else
      fleet_archive(id, entry, removal, revive)
    end
  end
  local gone = redis.call('ZRANGEBYSCORE', key_offline, '-inf', now, 'LIMIT', 0, max)
  for _, id in ipairs(gone) do
    fleet_archive(id, redis.call('HGET', key_ledger, id), removal, revive)
  end
  fleet_flush()
  return #silent == max or #gone == max
end
