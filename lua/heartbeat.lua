--: arg timeout
--: arg removal
--: arg revive
--: arg interval
--: rest heartbeats
--: key worker
--: key registration
--: key ledger
--: use number
--: use clock
--: use events
--: use health
--: use identities
--: use places
--: use removal
--: use status
--: use task_doubt
--: use try

-- Takes any number of heartbeats. timeout: ms until a silent worker is offline; removal: ms from then until it is removed; revive: ms
-- for which the registration of a removed worker is kept, for just such a heartbeat; interval: ms in which a worker is to beat, an edge
-- node in twice as many.
-- heartbeats: for each its worker's id, the status it reports, its load (0 to 1), the ms it may be silent when that is more than
-- timeout (else 0), its ranking ("" for as before, else four words: active requests, what it is specialized for, its loaded models
-- with commas between; "-" for none, "=" for as before; and what it tells of its services, see lib/health.lua, "-" for nothing), the number
-- of strings that follow, and these: names and values of hash fields.
-- Returns two strings: one character for each heartbeat, "1" taken, "2" taken and the worker brought back, "0" unknown worker; and for
-- each, with blanks between, how many ms later than due it came, "-" where that is not known.

local now = clock_now()
local timeout, removal, revive, interval = number_of(arg_timeout), number_of(arg_removal), number_of(arg_revive), number_of(arg_interval)
if not timeout or not removal or not revive or not interval then
  return redis.error_reply('BADCALL timeout, removal, revive and interval are numbers')
end

-- First all is checked, then it is written: a malformed call changes nothing.
local at, last = rest, #ARGV
while at <= last do
  local load, silence, extra = number_of(ARGV[at + 2]), number_of(ARGV[at + 3]), number_of(ARGV[at + 5])
  local fits = extra and extra % 2 == 0 and extra >= 0 and at + 5 + extra <= last
  if not fits or not load or load < 0 or load > 1 or not silence or silence > 1e9 or not status_is(ARGV[at + 1])
    or (ARGV[at + 4] ~= '' and not string.find(ARGV[at + 4], '^[%d=]%d* %S+ %S+ %S+$')) then
    return redis.error_reply('BADCALL malformed heartbeat')
  end
  at = at + 6 + extra
end

-- Numbers that most heartbeats share, as text: Redis would make it anew for each of them.
local function text(number)
  return string.format('%.0f', number)
end
local now_text, offline_at, removed_at = text(now), text(now + timeout), text(now + timeout + removal)

-- A worker that the TTL has removed: takes what is left of it out of the fleet, and returns its registration's place if that is kept.
local function bring_back(id, entry)
  if entry then
    removal_archive(id, entry, removal, revive)
  end
  local place = revive > 0 and places_registered(id)
  if place then
    redis.call('PERSIST', key_registration .. id)
    local identities, twins = identities_of(id)
    for _, key in ipairs(identities) do
      redis.call('SET', key, id, 'NX') -- another worker may have taken it
      if try_call('GET', key) == id then
        redis.call('PERSIST', key)
      end
    end
    if twins then
      try_call('ZADD', twins, now_text, id)
    end
  end
  return place
end

-- Takes over the ranking that a heartbeat gives, with what it leaves as it was, and what it tells of its services.
local function take_ranking(place, given, hash)
  local words, were = { string.match(given, '^(%S+) (%S+) (%S+) (%S+)$') }, { string.match(place.ranking, '^(%S+) (%S+) (%S+)$') }
  for i = 1, 3 do
    words[i] = words[i] == '=' and were[i] or words[i]
  end
  place.ranking = words[1] .. ' ' .. words[2] .. ' ' .. words[3]
  local services = words[4] ~= '-' and health_apply(place.services, words[4]) or place.services
  if services ~= place.services then
    place.services = services
    if health_unwell(services) ~= '' then
      redis.call('HSET', hash, 'unwell', health_unwell(services))
    else
      redis.call('HDEL', hash, 'unwell')
    end
  end
end

-- Tells that a heartbeat has changed a worker's status.
local function tell(id, place, was)
  if place.status == 'offline' then
    events_tell('offline', 'reported', id, place)
  elseif was == 'removed' then
    events_tell('online', 'revived', id, place)
  else
    events_tell(was == 'offline' and 'online' or 'updated', 'heartbeat', id, place)
  end
end

-- How many ms after it was due a heartbeat comes: an interval after the one before it, or when that one announced. "-" when there is none.
local function lateness(before, announced, place)
  before, announced = tonumber(before or ''), tonumber(announced or '')
  if not before then
    return '-'
  end
  return text(math.max(0, now - math.max(before + interval * (place.tier == '4' and 2 or 1), announced or 0)))
end

-- Takes the heartbeat at ARGV[at]; returns its character, and how late it came.
local function take(id, status, load, extra)
  local live_until, gone_at = offline_at, removed_at
  if tonumber(ARGV[at + 3]) > timeout then
    local silence = tonumber(ARGV[at + 3])
    live_until, gone_at = text(now + silence), text(now + silence + removal)
  end
  -- moments, not durations: a Redis that is held up in the middle of this script must not tear keys and indexes apart
  local hash, result = key_worker .. id, '1'
  if redis.call('EXISTS', key_registration .. id) == 0 then
    return '0', '-' -- whatever else there is of it: it is to register
  end
  local entry = redis.call('HGET', key_ledger, id)
  local place = ledger_read(entry)
  if redis.call('PEXPIREAT', hash, gone_at) == 0 then
    place, entry, result = bring_back(id, entry), false, '2'
  elseif not place then
    place = places_registered(id)
  end
  if not place then
    return '0', '-'
  end
  local before = result == '1' and try_call('HMGET', hash, 'last_heartbeat', 'silent_until') or {}
  local late = lateness(before[1], before[2], place)
  local written
  if extra == '0' then
    written = try_call('HSET', hash, 'status', status, 'current_load', load, 'last_heartbeat', now_text)
  else
    written = try_call('HSET', hash, 'status', status, 'current_load', load, 'last_heartbeat', now_text,
      unpack(ARGV, at + 6, at + 5 + extra))
  end
  if not written then
    redis.call('DEL', hash)
    return '0', '-'
  end
  if result == '2' or written >= 3 then -- made anew; or the clock leapt so far that the first PEXPIREAT deleted it
    redis.call('PEXPIREAT', hash, gone_at)
  end
  if ARGV[at + 3] ~= '0' then -- another that looks alike must not take it for dead meanwhile
    local _, twins = identities_of(id)
    if twins then
      try_call('ZADD', twins, text(now + ARGV[at + 3]), id)
    end
    redis.call('HSET', hash, 'silent_until', text(now + ARGV[at + 3]))
  elseif before[2] then
    redis.call('HDEL', hash, 'silent_until')
  end
  local ranking = ARGV[at + 4]
  if ranking ~= '' then
    take_ranking(place, ranking, hash)
  end
  local was = result == '2' and 'removed' or place.status
  place.status = (status == 'offline' or place.drained == '-') and status or 'draining'
  place.load = math.floor(load * 1000000 + 0.5)
  if status == 'offline' then
    redis.call('DEL', hash .. ':online')
    task_doubt_worker(id)
    places_move(id, entry, place, gone_at)
  else
    redis.call('SET', hash .. ':online', place.status, 'PXAT', live_until)
    places_move(id, entry, place, live_until)
  end
  if place.status ~= was then
    tell(id, place, was)
  end
  return result, late
end

local results, late = {}, {}
at = rest
while at <= last do
  results[#results + 1], late[#late + 1] = take(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 5])
  at = at + 6 + ARGV[at + 5]
end
return { table.concat(results), table.concat(late, ' ') }
