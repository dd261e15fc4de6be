--: key history
--: key life
--: key offline
--: key online
--: key prefix
--: key registration
--: key worker
--: key workers
--: use health
--: use identities
--: use ledger
--: use life
--: use ms
--: use places
--: use task_leases
--: use try

-- The time for which Redis was not running does not count as silence. When a coordinator finds that Redis was restarted since the
-- last sign of life (another run than the one in `life`), it moves the deadlines of all workers by the time between, before anybody
-- sweeps or reads. Meanwhile `life` has `downtime` (ms), `downtime_from` (the last sign), `downtime_after` (the worker that was
-- handled last), `downtime_count` and `downtime_cursor` (for the removed ones); afterwards `moved_at`, `moved_ms` and
-- `moved_workers`.
--
-- TTLs went on meanwhile, and keys that have expired are gone. For these the deadlines are taken from the indexes, and a worker's
-- hash is made anew from its ledger entry. The next heartbeat tells the rest.

local SHORTEST_MS = 1000 -- the last sign of life may be older than the end of Redis by this
local THREADS = 1000 -- threads of coordinators, more than any fleet has
local LOOK, KEYS_SEEN = 'SCAN', 1000 -- the command need not be permitted

-- The last sign of life before `up_since`. Coordinators before format 1 leave none, but keep the history, minute by minute. Points
-- from before the clock was set back say nothing.
local function last_sign(at, up_since)
  local last = redis.call('XREVRANGE', key_history, '+', '-', 'COUNT', 1)[1]
  local minute = last and tonumber(string.match(last[1], '^%d+')) or 0
  local set_back_from = tonumber(redis.call('HGET', key_life, 'set_back_from') or '') or 0
  return minute > set_back_from and minute <= up_since and math.max(at, minute) or at
end

-- The downtime by which deadlines are being moved; nil if there is none.
local function pending()
  local ms, from, after, count, cursor = unpack(redis.call('HMGET', key_life, 'downtime', 'downtime_from', 'downtime_after',
    'downtime_count', 'downtime_cursor'))
  local down = { ms = tonumber(ms), from = tonumber(from), after = after, count = tonumber(count), cursor = cursor }
  return down.ms and down.from and down.after and down.count and down or nil
end

-- Notes that coordinators serve from this run of Redis, which began at `up_since` (ms). Begins to move deadlines if there was a
-- downtime.
local function downtime_begin(run, up_since, now)
  if pending() then -- a downtime of an earlier run is still being handled
    return
  end
  local noted, at = redis.call('HGET', key_life, 'run'), life_sign_found()
  if noted == run and at then
    life_sign_renew(now)
    return
  end
  redis.call('HSET', key_life, 'run', run)
  life_sign_leave(now)
  if not noted or not at or up_since > now then -- the clock was set back while Redis ran, so its start is not known
    return
  end
  at = last_sign(at, up_since)
  if up_since - at >= SHORTEST_MS then
    redis.call('HSET', key_life, 'downtime', ms_text(up_since - at), 'downtime_from', ms_text(at), 'downtime_after', '',
      'downtime_count', 0)
  end
end

-- When a live worker would have gone offline. moment: the value in the index, which may be too early by half the timeout: the
-- worker may have sent heartbeats for that long, or until Redis ended.
local function deadline_of(hash, moment, down)
  local offline_at, removed_at = redis.call('PEXPIRETIME', hash .. ':online'), redis.call('PEXPIRETIME', hash)
  if offline_at > 0 or removed_at > 0 then
    return offline_at > 0 and offline_at or removed_at - down.removal
  end
  local half = down.timeout / 2
  local beaten = math.min((math.floor((moment - down.timeout) / half) + 1) * half, down.from)
  return math.max(moment, beaten + down.timeout)
end

-- Makes an expired hash anew. heard: the last heartbeat (ms).
local function restore(hash, place, heard)
  local status = place.status
  if status == 'offline' or place.drained == 'd' then -- its report is not known
    status = 'healthy'
  end
  local fields = { 'status', status, 'current_load', string.format('%.6g', place.load / 1000000), 'last_heartbeat', ms_text(heard) }
  local function add(name, value)
    fields[#fields + 1], fields[#fields + 2] = name, value
  end
  local active, special, models = string.match(place.ranking, '^(%S+) (%S+) (%S+)$')
  if active ~= '0' then
    add('active_requests', active)
  end
  if special ~= '-' then
    add('specialization', special)
  end
  if models ~= '-' then
    add('loaded_models', cjson.encode({ unpack(names_split(models)) }))
  end
  if health_unwell(place.services) ~= '' then
    add('unwell', health_unwell(place.services))
  end
  try_call('HSET', hash, unpack(fields))
end

-- Moves the end of the news about a worker's tasks. News that has expired is told again of the tasks to cancel.
local function move_news(id, cancelled, down)
  local news, moment = key_prefix .. 'news:' .. id, tonumber(redis.call('ZSCORE', key_prefix .. 'news', id) or '')
  if not moment or moment <= down.from then
    return
  end
  for _, task in ipairs(cancelled) do
    redis.call('HSETNX', news, task, 'cancel')
  end
  redis.call('PEXPIREAT', news, ms_text(moment + down.ms))
  redis.call('ZADD', key_prefix .. 'news', ms_text(moment + down.ms), id)
end

-- Moves the leases of the tasks that a worker holds, and the news about them. beaten, silent_until: its last heartbeat, and until
-- when it may be silent.
local function move_leases(id, beaten, silent_until, down)
  local key = key_prefix .. 'held:' .. id
  local held, cancelled = redis.call('EXISTS', key) == 1 and redis.call('HGETALL', key) or {}, {}
  for at = 1, #held, 2 do
    if string.find(held[at + 1], ' cancel$') then
      cancelled[#cancelled + 1] = held[at]
    end
    local lease, _, ends, rest = string.match(held[at + 1], '^(%d+) (%d+) (%d+)( .*)$')
    if lease then
      local deadline = task_leases_deadline(held[at + 1], beaten, silent_until)
      redis.call('HSET', key, held[at], lease .. ' ' .. ms_text(deadline + down.ms) .. ' ' .. ms_text(ends + down.ms) .. rest)
    end
  end
  local look = tonumber(redis.call('ZSCORE', key_prefix .. 'leases', id) or '')
  if look and look > 0 then
    redis.call('ZADD', key_prefix .. 'leases', 'XX', ms_text(look + down.ms), id)
  end
  move_news(id, cancelled, down)
end

-- Moves the entries of workers that look alike: until when each was there, or is not expected.
local function move_twins(id, down)
  local _, twins = identities_of(id)
  for _, key in ipairs(twins) do
    local score = tonumber(try_call('ZSCORE', key, id) or '')
    if score then
      redis.call('ZADD', key, 'XX', ms_text(score + down.ms), id)
    end
  end
end

-- Moves the deadlines of a live worker. moment: as in deadline_of. Returns whether it was live when Redis ended.
local function move_live(id, place, moment, down)
  local hash = key_worker .. id
  local heard, silent_until = unpack(try_call('HMGET', hash, 'last_heartbeat', 'silent_until') or {})
  heard, silent_until = tonumber(heard or ''), tonumber(silent_until or '')
  if heard and heard > down.from + down.ms then -- it has sent a heartbeat since, to an older coordinator, which moves nothing
    return false
  end
  local deadline = deadline_of(hash, moment, down)
  local left = deadline - down.from
  local removed_at = redis.call('PEXPIRETIME', hash)
  local offline_at = math.min(deadline + down.ms, down.now + math.max(down.timeout, left))
  local gone_at = offline_at + (removed_at > 0 and removed_at - deadline or down.removal)
  if removed_at < 0 and gone_at > down.now then
    restore(hash, place, math.min(moment - down.timeout, down.from))
  end
  if not heard and deadline - down.timeout > down.from then -- an announced silence: its end is the deadline
    silent_until = deadline
  end
  if silent_until and silent_until > down.from then
    try_call('HSET', hash, 'silent_until', ms_text(silent_until + down.ms))
  end
  redis.call('PEXPIREAT', hash, ms_text(gone_at))
  redis.call('ZADD', key_online, ms_text(offline_at), id)
  if redis.call('PEXPIREAT', hash .. ':online', ms_text(offline_at)) == 0 and offline_at > down.now then
    redis.call('SET', hash .. ':online', place.status, 'PXAT', ms_text(offline_at))
  end
  move_leases(id, heard or deadline - down.timeout, silent_until or 0, down)
  move_twins(id, down)
  return left > 0
end

-- Moves the moment at which a silent worker is removed.
local function move_silent(id, place, moment, down)
  local hash = key_worker .. id
  local removed_at = redis.call('PEXPIRETIME', hash)
  local gone_at = removed_at > 0 and removed_at or moment
  local moved = math.min(gone_at + down.ms, down.now + math.max(down.removal, gone_at - down.from))
  if removed_at < 0 and moved > down.now then
    restore(hash, place, gone_at - down.removal - down.timeout)
  end
  redis.call('PEXPIREAT', hash, ms_text(moved))
  redis.call('ZADD', key_offline, ms_text(moved), id)
  move_twins(id, down)
end

-- Moves all deadlines of one worker; returns 1 if it was live, else 0.
local function move(id, down)
  local place = ledger_read(redis.call('HGET', key_ledger, id)) or places_registered(id)
  local moment = tonumber(redis.call('ZSCORE', key_online, id) or '')
  if place and moment and place.status ~= 'offline' then
    return move_live(id, place, moment, down) and 1 or 0
  end
  moment = tonumber(redis.call('ZSCORE', key_offline, id) or '')
  if place and moment then
    move_silent(id, place, moment, down)
  end
  return 0
end

-- Moves the ends of the registrations of removed workers. No index has them, so it looks at some KEYS_SEEN keys. No registration is
-- kept for longer than `revive` ms from Redis's return, even if SCAN returns it twice. Returns where to go on; nil: all is done, or
-- Redis's user may not call SCAN.
local function move_ends(cursor, down)
  local found = redis.pcall(LOOK, cursor, 'MATCH', key_registration .. '*', 'COUNT', KEYS_SEEN)
  if found.err then
    return nil
  end
  for _, registration in ipairs(found[2]) do
    local ends_at = redis.call('PEXPIRETIME', registration)
    if ends_at > 0 then
      local id = string.sub(registration, #key_registration + 1)
      local moved = ms_text(math.min(ends_at + down.ms, down.from + down.ms + down.revive))
      redis.call('PEXPIREAT', registration, moved)
      for _, key in ipairs((identities_of(id))) do
        if try_call('GET', key) == id then
          redis.call('PEXPIREAT', key, moved)
        end
      end
    end
  end
  return found[1] ~= '0' and found[1] or nil
end

-- Moves the moments at which the leases of requests end unless their threads renew them.
local function move_requesters(down)
  local threads = redis.call('ZRANGE', key_prefix .. 'requesters', 0, THREADS - 1, 'WITHSCORES')
  for at = 1, #threads, 2 do
    redis.call('ZADD', key_prefix .. 'requesters', ms_text(threads[at + 1] + down.ms), threads[at])
  end
end

-- Moves the deadlines of at most `max` workers, after the one that was handled last. Returns whether there are more.
local function move_workers(down, max)
  local ids = redis.call('ZRANGEBYLEX', key_workers, down.after ~= '' and '(' .. down.after or '-', '+', 'LIMIT', 0, max)
  for _, id in ipairs(ids) do
    down.count = down.count + move(id, down)
  end
  redis.call('HSET', key_life, 'downtime_after', ids[#ids] or down.after, 'downtime_count', down.count)
  return #ids == max
end

-- Goes on with at most `max` workers. run: the run of Redis from which coordinators serve. Returns whether there is more to do; and
-- at the end, how many workers were live, and by how many ms their deadlines have been moved.
local function downtime_move(run, now, timeout, removal, revive, max)
  local down = pending()
  if not down then
    return false
  end
  down.now, down.timeout, down.removal, down.revive = now, timeout, removal, revive
  local is_its_run = redis.call('HGET', key_life, 'run') == run
  if is_its_run then
    life_sign_leave(now)
  end
  if not down.cursor and move_workers(down, max) then
    return true
  end
  local cursor = move_ends(down.cursor or '0', down)
  if cursor then
    redis.call('HSET', key_life, 'downtime_cursor', cursor)
    return true
  end
  move_requesters(down)
  redis.call('HDEL', key_life, 'downtime', 'downtime_from', 'downtime_after', 'downtime_count', 'downtime_cursor')
  redis.call('HSET', key_life, 'moved_at', ms_text(now), 'moved_ms', ms_text(down.ms), 'moved_workers', down.count)
  return run ~= '' and not is_its_run, down.count, ms_text(down.ms)
end
