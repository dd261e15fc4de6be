--: arg timeout
--: arg removal
--: arg revive
--: arg interval
--: arg edge_interval
--: rest heartbeats
--: key worker
--: key registration
--: key ledger
--: key listening
--: key lately
--: use number
--: use clock
--: use events
--: use health
--: use identities
--: use machines
--: use memory
--: use owners
--: use places
--: use removal
--: use status
--: use task_doubt
--: use try
--: use whereabouts

-- Takes any number of heartbeats.
--
--   timeout        ms until a silent worker is offline
--   removal        ms from then until it is removed
--   revive         ms for which the registration of a removed worker is kept, so that a late heartbeat brings it back
--   interval       ms between two heartbeats of a worker; edge_interval: of an edge node
--   heartbeats     for each heartbeat ten strings, then its fields:
--     id           of the worker
--     caller       who may not speak for all workers (see lib/owner.lua); "" for who may
--     status       as which it counts; "" for unchanged
--     load         0 to 1; "" for unchanged
--     silence      ms for which it announces silence; 0: none
--     ranking      "" for unchanged; else three words, "-" for none: active requests, specialization, and loaded models with
--                  commas between; "=" means unchanged
--     health       of its services, in the form of lib/health.lua; "" for unchanged
--     ignored      names of the unusable members, with commas between
--     from         the address from which it came, and those that it tells ("203.0.113.7 ip_address=… port=…"); "" for neither
--     count        how many strings follow
--     fields       names and values of fields of the worker's hash; reported_status is the first of them
--
-- Returns:
--   1. a character for each heartbeat: "1" taken; "2" taken, and the worker was brought back; "3" taken, and task_news may have
--      news; "0" the worker is unknown; "4" the caller may not speak for the worker
--   2. for each its lateness in ms ("-": not known), with blanks between
--   3. for each the ignored members that are new ("-": none), with blanks between; absent if there are none
--   4. ids that two machines use, if that is news, with blanks between; absent if there are none

local now = clock_now()
local timeout, removal, revive = number_of(arg_timeout), number_of(arg_removal), number_of(arg_revive)
local interval, edge_interval = number_of(arg_interval), number_of(arg_edge_interval)
if not timeout or not removal or not revive or not interval or not edge_interval then
  return redis.error_reply('BADCALL timeout, removal, revive, interval and edge_interval are numbers')
end

local count = #ARGV

-- Where the heartbeat at ARGV[at] ends; nil when it is malformed.
local function check_beat(at)
  local status, load, silence, ranking = ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
  local health, from, extra = ARGV[at + 6], ARGV[at + 8], number_of(ARGV[at + 9])
  if not extra or extra < 0 or extra % 2 ~= 0 or at + 9 + extra > count
    or (status ~= '' and not status_is(status))
    or (ranking ~= '' and not string.find(ranking, '^[%d=]%d* %S+ %S+$')) or string.find(health, '%s')
    or not string.find(from .. ' ', '^[%x.:]* ') then
    return nil
  end
  load, silence = load == '' and 0 or number_of(load), number_of(silence)
  if not load or load < 0 or load > 1 or not silence or silence < 0 or silence > 1e9 then
    return nil
  end
  return at + 9 + extra
end

-- Check everything before the first write, so that a malformed call changes nothing.
local starts, ends, ids, at = {}, {}, {}, rest
while at <= count do
  local last = check_beat(at)
  if not last then
    return redis.error_reply('BADCALL malformed heartbeat')
  end
  local i = #ids + 1
  starts[i], ends[i], ids[i] = at, last, ARGV[at]
  at = last + 1
end

local entries = ids[1] and redis.call('HMGET', key_ledger, unpack(ids))
local is_moved = {} -- by id: entries has an older entry of the worker

-- Numbers that most heartbeats share, as text, so that Redis need not convert them for each heartbeat.
local function text(number)
  return string.format('%.0f', number)
end
local now_text, offline_at, removed_at = text(now), text(now + timeout), text(now + timeout + removal)

local LOAD_STEP = 50000 -- millionths: the load in the ledger and in the ranks may differ from the reported one by less than this
local TOLD_LATE = 1000 -- ms: from this lateness on it is checked whether the worker announced a silence
local half = timeout / 2 -- ms
local awaited = redis.call('EXISTS', key_listening, key_prefix .. 'groups', key_prefix .. 'news') -- mostly 0
local is_listened_to = awaited > 0 and redis.call('EXISTS', key_listening) == 1
local may_have_news = awaited > (is_listened_to and 1 or 0)

local conflicts = {} -- ids of workers whose conflict is news

--: later take_unusual
-- For a worker that the TTL has removed: takes its remains out of the fleet, and returns the place of its registration if that is
-- kept.
local function bring_back(id, entry)
  memory_need_not_be_free()
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
    for _, key in ipairs(twins) do
      try_call('ZADD', key, now_text, id)
    end
  end
  return place
end

-- Takes over the ranking of a heartbeat, except its unchanged words. Returns whether anything has changed.
local function take_ranking(place, given)
  if given == '' or given == place.ranking then
    return false
  end
  local words, were = { string.match(given, '^(%S+) (%S+) (%S+)$') }, { string.match(place.ranking, '^(%S+) (%S+) (%S+)$') }
  for i = 1, 3 do
    words[i] = words[i] == '=' and were[i] or words[i]
  end
  place.ranking = table.concat(words, ' ')
  return true
end

-- Takes over the health of a worker's services. Returns whether anything has changed.
local function take_health(place, told, hash)
  local services = told ~= '' and health_apply(place.services, told) or place.services
  if services == place.services then
    return false
  end
  place.services = services
  if health_unwell(services) ~= '' then
    redis.call('HSET', hash, 'unwell', health_unwell(services))
  else
    redis.call('HDEL', hash, 'unwell')
  end
  return true
end

-- Adds the event that a heartbeat has changed a worker's status.
local function tell_status(id, place, was)
  if place.status == 'offline' then
    events_tell('offline', 'reported', id, place)
  elseif was == 'removed' then
    events_tell('online', 'revived', id, place)
  else
    events_tell(was == 'offline' and 'online' or 'updated', 'heartbeat', id, place)
  end
end

-- The lateness of a heartbeat in ms. It was due one interval after the heartbeat before it, or at the end of the silence that the
-- worker announced. before: when the heartbeat before it came, computed from the end of the worker's hash; it is in the future if
-- the worker announced a silence longer than the timeout.
local function lateness(hash, before, place)
  local late = now - before - (place.tier == '4' and edge_interval or interval)
  if late > TOLD_LATE or before > now then
    local announced = number_of(try_call('HGET', hash, 'silent_until') or '')
    if announced then
      late = math.min(late, now - announced)
      redis.call('HDEL', hash, 'silent_until')
    end
  end
  return text(math.max(0, late))
end

-- The status and the load in millionths that an offline worker last reported. A worker that had reported itself offline and now
-- sends a heartbeat is healthy.
local function recall(hash)
  local status, load = unpack(try_call('HMGET', hash, 'status', 'current_load') or {})
  load = math.max(0, math.min(number_of(load or '') or 0, 1))
  return status and status ~= 'offline' and status_is(status) and status or 'healthy', math.floor(load * 1000000 + 0.5)
end

-- Returns the status as which the worker of a heartbeat counts now, the status that it reports, and its load in millionths. was:
-- the status as which it counted before; a removed worker begins anew.
local function state_of(beat, place, hash, was)
  local status, load = place.status, place.load
  if was == 'removed' then
    status, load = 'healthy', 0
  elseif was == 'offline' and (beat.status == '' or not beat.load) then
    status, load = recall(hash)
  end
  status = beat.status ~= '' and beat.status or status
  return (status == 'offline' or place.drained == '-') and status or 'draining', status,
    beat.load and math.floor(beat.load * 1000000 + 0.5) or load
end

-- Writes the fields of a heartbeat into the worker's hash, and the other fields that a new hash needs. Returns false if it can't be
-- written.
local function write_hash(beat, hash, was, reported)
  if beat.status ~= '' and beat.load then
    return try_call('HSET', hash, 'last_heartbeat', now_text, 'status', reported, 'current_load', beat.load_text,
      unpack(ARGV, beat.first, beat.last))
  end
  local fields, told = { 'last_heartbeat', now_text }, 2
  if beat.status ~= '' or was == 'offline' or was == 'removed' then
    fields[3], fields[4], told = 'status', reported, 4
  end
  if beat.load or was == 'removed' then
    fields[told + 1], fields[told + 2] = 'current_load', beat.load and beat.load_text or '0'
    told = told + 2
  end
  for i = beat.first, beat.last do
    told = told + 1
    fields[told] = ARGV[i]
  end
  return try_call('HSET', hash, unpack(fields))
end

-- Which of the unusable members of a heartbeat are new for its worker; "-" for none.
local function note_ignored(beat, hash)
  local known, new = try_call('HGET', hash, 'ignored') or '', {}
  for name in string.gmatch(beat.ignored, '[^,]+') do
    if not string.find(',' .. known .. ',', ',' .. name .. ',', 1, true) then
      new[#new + 1] = name
    end
  end
  if not new[1] then
    return '-'
  end
  redis.call('HSET', hash, 'ignored', (known ~= '' and known .. ',' or '') .. table.concat(new, ','))
  return table.concat(new, ',')
end

-- Stores until when a worker may be silent. Until then, a registration that looks alike must not take it for dead.
local function note_silence(beat, hash)
  local _, twins = identities_of(beat.id)
  for _, key in ipairs(twins) do
    try_call('ZADD', key, text(now + beat.silence), beat.id)
  end
  redis.call('HSET', hash, 'silent_until', text(now + beat.silence))
end

-- Sets the online key of a worker. Usually the key exists with the right status, and only needs a new end.
local function set_online(hash, status, was, live_until)
  if status ~= was or redis.call('PEXPIREAT', hash .. ':online', live_until) == 0 then
    redis.call('SET', hash .. ':online', status, 'PXAT', live_until)
  end
end

-- Whether to write into the index `online` when the worker goes offline. The moment there need not be exact, since the sweep asks
-- the online key. But it must never be later than the true one. And while the worker sends heartbeats in time it must not be due,
-- since older coordinators believe it. So it is written once in half the timeout. before: as in lateness.
local function is_to_index(beat, before)
  return not before or before > now or beat.silence > timeout or math.floor(before / half) ~= math.floor(now / half)
end

-- Takes over the address from which a heartbeat came, and the addresses that it tells. Returns whether anything visible has
-- changed. If two machines use the id, the address changes all the time, so that change does not count.
local function take_whereabouts(beat, place)
  local address, told = string.match(beat.from, '^%S*'), {}
  for name, value in string.gmatch(beat.from, ' ([%l_]+)=(%S+)') do
    told[name] = value
  end
  local was, in_turn, is_rival = whereabouts_address(place.caller), false, false
  address = address ~= '' and address or was
  if was ~= '' and address ~= was then
    in_turn, is_rival = machines_move(beat.id, address, was, now, 2 * (place.tier == '4' and edge_interval or interval))
  end
  local moved = whereabouts_take(beat.id, place, told, address, beat.caller, now)
  if in_turn and machines_conflict(beat.id, place, 'heartbeat', now) then
    conflicts[#conflicts + 1] = beat.id
  end
  return moved and not is_rival
end

-- The heartbeat at ARGV[at] to ARGV[last].
local function decode(at, last)
  return { id = ARGV[at], caller = ARGV[at + 1], status = ARGV[at + 2], load = number_of(ARGV[at + 3]), load_text = ARGV[at + 3],
    silence = number_of(ARGV[at + 4]), ranking = ARGV[at + 5], health = ARGV[at + 6], ignored = ARGV[at + 7], from = ARGV[at + 8],
    first = at + 10, last = last, is_odd = ARGV[at + 10] == 'reported_status' }
end

-- Takes one heartbeat. Returns its character, its lateness, and the unusable members that are new.
local function take_unusual(at, last, id)
  local beat, live_until, gone_at = decode(at, last), offline_at, removed_at
  if beat.silence > timeout then
    live_until, gone_at = text(now + beat.silence), text(now + beat.silence + removal)
  end
  -- moments, not durations: keys and indexes must agree even if Redis is held up in the middle of this script
  local hash, result = key_worker .. id, '1'
  local entry = redis.call('HGET', key_ledger, id)
  local place = ledger_read(entry)
  local ends_at = redis.call('PEXPIRETIME', hash)
  local before = ends_at > 0 and ends_at - removal - timeout or nil
  local moment = is_to_index(beat, before) and live_until or nil
  -- a worker with an entry has a registration, unless somebody has deleted it; then the worker must register again
  if (moment or not place) and redis.call('EXISTS', key_registration .. id) == 0 then
    return '0', '-', '-'
  end
  if ends_at == -2 then
    place, entry, result = bring_back(id, entry), false, '2'
  elseif not place then
    place = places_registered(id)
  end
  if not place then
    return '0', '-', '-'
  end
  local was = result == '2' and 'removed' or place.status
  local late = before and lateness(hash, before, place) or '-'
  local status, reported, load = state_of(beat, place, hash, was)
  redis.call('PEXPIREAT', hash, gone_at) -- first, since a full Redis would refuse the others as the first write
  if not write_hash(beat, hash, was, reported) then
    redis.call('DEL', hash)
    return '0', '-', '-'
  end
  if result == '2' then
    redis.call('PEXPIREAT', hash, gone_at)
  end
  if beat.silence > 0 then
    note_silence(beat, hash)
  end
  if beat.status ~= '' and not beat.is_odd and not (status == 'healthy' and was == 'healthy') then
    redis.call('HDEL', hash, 'reported_status')
  end
  local changed = not entry or status ~= was
  if not changed and math.abs(load - place.load) < LOAD_STEP then
    load = place.load
  end
  changed = changed or load ~= place.load
  changed = take_ranking(place, beat.ranking) or changed
  changed = take_health(place, beat.health, hash) or changed
  place.status, place.load = status, load
  local moved = false
  if beat.from ~= '' and beat.from ~= whereabouts_address(place.caller) then
    moved = take_whereabouts(beat, place)
    changed = true
  end
  if status == 'offline' then
    redis.call('DEL', hash .. ':online')
    task_doubt_worker(id)
    places_move(id, entry, place, gone_at)
  else
    set_online(hash, status, was, live_until)
    if is_listened_to then
      redis.call('ZADD', key_lately, live_until, id)
    end
    if changed then
      places_move(id, entry, place, live_until)
    elseif moment then
      redis.call('ZADD', key_online, moment, id)
    end
  end
  if status ~= was then
    tell_status(id, place, was)
  elseif moved then
    events_tell('updated', 'moved', id, place)
  end
  return result, late, beat.ignored ~= '' and note_ignored(beat, hash) or '-'
end

--: now
-- Takes a heartbeat that changes nothing but its worker's load, as most do, without the tables and the calls that the others need.
-- entry: the worker's ledger entry. Returns the heartbeat's lateness in ms; nil if the heartbeat is one for take_unusual.
local function take_usual(at, last, id, entry)
  local load, ranking, health, from = number_of(ARGV[at + 3]), ARGV[at + 5], ARGV[at + 6], ARGV[at + 8]
  if not entry or is_moved[id] or not load or ARGV[at + 2] ~= 'healthy' or ARGV[at + 4] ~= '0' or ARGV[at + 7] ~= ''
    or string.find(health, '!', 1, true) then
    return nil
  end
  local tier, counted, ranked, address = ledger_glance(entry)
  if not tier or (ranking ~= '' and ranking ~= ranked) or (from ~= '' and from ~= address) then
    return nil
  end
  local hash = key_worker .. id
  local ends_at = redis.call('PEXPIRETIME', hash)
  local before = ends_at - removal - timeout
  local late = now - before - (tier == '4' and edge_interval or interval)
  local is_due = math.floor(before / half) ~= math.floor(now / half) -- in the index `online`: see is_to_index
  if ends_at <= 0 or before > now or late > TOLD_LATE
    or is_due and redis.call('EXISTS', key_registration .. id) == 0 then
    return nil
  end
  load = math.floor(load * 1000000 + 0.5)
  redis.call('PEXPIREAT', hash, removed_at)
  if not try_call('HSET', hash, 'last_heartbeat', now_text, 'status', 'healthy', 'current_load', ARGV[at + 3],
    unpack(ARGV, at + 10, last)) then
    return nil
  end
  if redis.call('PEXPIREAT', hash .. ':online', offline_at) == 0 then
    redis.call('SET', hash .. ':online', 'healthy', 'PXAT', offline_at)
  end
  if is_listened_to then
    redis.call('ZADD', key_lately, offline_at, id)
  end
  if is_due then
    redis.call('ZADD', key_online, offline_at, id)
  end
  if math.abs(load - counted) >= LOAD_STEP then
    places_shift(id, entry, load)
    is_moved[id] = true
  end
  return late > 0 and text(late) or '0'
end

local results, late, news, has_news = {}, {}, {}, false
for i, id in ipairs(ids) do
  results[i], news[i] = '1', '-'
  local caller = ARGV[starts[i] + 1]
  -- the worker's hash is in the processor's caches anyway; its registration is not
  local is_known = caller == '' or redis.pcall('HGET', key_worker .. id, 'speaker') == caller
  if not is_known and not owners_may(id, caller) then
    results[i], late[i] = '4', '-'
  else
    late[i] = take_usual(starts[i], ends[i], id, entries[i])
    if not late[i] then
      results[i], late[i], news[i] = take_unusual(starts[i], ends[i], id)
      is_moved[id] = true
      has_news = has_news or news[i] ~= '-'
    end
    if not is_known and results[i] ~= '0' then
      redis.call('HSET', key_worker .. id, 'speaker', caller)
    end
  end
end
-- There may be news of tasks; task_news finds out.
if may_have_news then
  for i, result in ipairs(results) do
    results[i] = result == '1' and '3' or result
  end
end
local told_in_vain = has_news and table.concat(news, ' ') or nil
if conflicts[1] then
  return { table.concat(results), table.concat(late, ' '), told_in_vain or '', table.concat(conflicts, ' ') }
end
return { table.concat(results), table.concat(late, ' '), told_in_vain }
