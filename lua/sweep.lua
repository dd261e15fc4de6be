--: arg timeout
--: arg removal
--: arg revive
--: arg max
--: key worker
--: key online
--: key offline
--: key ledger
--: use clock
--: use events
--: use identities
--: use life
--: use memory
--: use number
--: use places
--: use removal
--: use route_leases
--: use task_doubt
--: use task_sweep
--: use try

-- Moves on everything whose moment has come: at most `max` workers to offline, `max` workers out of the fleet, TASKS × `max` tasks,
-- and some `max` leases of requests and ranks. Leaves a sign of life, at most once a second. timeout: ms until a silent worker is
-- offline; removal: ms from then until it is removed; revive: ms for which a removed worker's registration is kept. Costs next to
-- nothing while nothing is due. Returns {"1" if there may be more to move on, else "0", with a "q" after it while tasks are queued;
-- then for each worker that was moved: "offline" or "removed", its id, for how many ms it has been silent ("" if not known)}.

local timeout, removal, revive, max = number_of(arg_timeout), number_of(arg_removal), number_of(arg_revive), number_of(arg_max)
if not timeout or not removal or not revive or not max or max < 1 then
  return redis.error_reply('BADCALL timeout, removal, revive and max are numbers, max is 1 or more')
end
local TASKS = 4

local now = clock_now()
local result = { '0' }
local writes = false

local function begin_to_write()
  if not writes then
    writes = true
    memory_need_not_be_free()
  end
end

-- Adds worker `id` to the answer. heard: the last sign of it (ms), if known.
local function note(kind, id, heard)
  result[#result + 1] = kind
  result[#result + 1] = id
  result[#result + 1] = heard and heard > 0 and string.format('%.0f', math.max(now - heard, 0)) or ''
end

local function remove(id, entry)
  local moment = removal_archive(id, entry, removal, revive)
  note('removed', id, moment and moment - removal - timeout)
end

-- Moves on the workers in `online` whose moment has come. Returns how many.
local function end_silent()
  local silent = redis.call('ZRANGEBYSCORE', key_online, '-inf', now, 'LIMIT', 0, max)
  for _, id in ipairs(silent) do
    begin_to_write()
    local live_until = redis.call('PEXPIRETIME', key_worker .. id .. ':online')
    local entry = redis.call('HGET', key_ledger, id)
    local place = ledger_read(entry) or places_registered(id)
    local removed_at = redis.call('PEXPIRETIME', key_worker .. id)
    if live_until > now then -- it has sent a heartbeat since the index was written
      redis.call('ZADD', key_online, live_until, id)
    elseif place and removed_at > now then
      place.status = 'offline'
      places_move(id, entry, place, removed_at)
      task_doubt_worker(id)
      events_tell('offline', 'timeout', id, place)
      note('offline', id, tonumber(try_call('HGET', key_worker .. id, 'last_heartbeat') or ''))
    else
      remove(id, entry)
    end
  end
  return #silent
end

-- Moves on the workers in `offline` whose moment has come. Returns how many.
local function end_gone()
  local gone = redis.call('ZRANGEBYSCORE', key_offline, '-inf', now, 'LIMIT', 0, max)
  for _, id in ipairs(gone) do
    begin_to_write()
    remove(id, redis.call('HGET', key_ledger, id))
  end
  return #gone
end

-- Makes `moment` (ms) the end of worker `id` in `index`. heard: its last heartbeat, which was not in the future.
local function bring_forward(id, index, moment, heard)
  local hash = key_worker .. id
  begin_to_write()
  redis.call('ZADD', index, moment, id)
  redis.call('HSET', hash, 'last_heartbeat', string.format('%.0f', heard))
  redis.call('HDEL', hash, 'silent_until')
  redis.call('PEXPIREAT', hash .. ':online', string.format('%.0f', moment))
  redis.call('PEXPIREAT', hash, string.format('%.0f', now + timeout + removal))
  local _, twins = identities_of(id)
  for _, key in ipairs(twins) do
    try_call('ZADD', key, 'XX', now, id)
  end
end

-- Redis's clock may have been set back. Then moments in `index` are further in the future than they can be, and a silent worker
-- would stay there for days. A worker whose last heartbeat is in the future counts as one with a heartbeat now. If a downtime was
-- measured while the clock was ahead, moments are too late without such a heartbeat: `moment` is the latest one for a worker that
-- has announced no silence. This looks at workers from `ahead` ms on, at other ones in each call, since some may rightly be there:
-- they have announced a silence. Returns how many it moved.
local function end_future(index, ahead, moment)
  local first = redis.call('ZCOUNT', index, '-inf', now + ahead)
  local count = redis.call('ZCARD', index) - first
  if count <= 0 then
    return 0
  end
  first = first + (count > max and now % count or 0)
  local brought, is_set_back = 0, life_is_set_back(now)
  local list = redis.call('ZRANGE', index, first, first + max - 1, 'WITHSCORES')
  for at = 1, #list, 2 do
    local id = list[at]
    local heard, announced = unpack(try_call('HMGET', key_worker .. id, 'last_heartbeat', 'silent_until') or {})
    heard = tonumber(heard or '')
    local ends_at = redis.call('PEXPIRETIME', index == key_online and key_worker .. id .. ':online' or key_worker .. id)
    if heard and (heard > now or (is_set_back and not announced and tonumber(list[at + 1]) > moment)) then
      bring_forward(id, index, moment, math.min(heard, now))
      brought = brought + 1
    elseif ends_at > 0 and ends_at < tonumber(list[at + 1]) then -- it has sent a heartbeat since
      begin_to_write()
      redis.call('ZADD', index, ends_at, id)
      brought = brought + 1
    end
  end
  return brought
end

life_sign_renew(now)
local most = math.max(end_silent(), end_gone(), end_future(key_online, timeout, now + timeout),
  end_future(key_offline, removal, now + timeout + removal))
local more_requests = route_leases_sweep(now, max)
local more_tasks = task_sweep_run(now, TASKS * max)
local has_queued = redis.call('EXISTS', key_prefix .. 'groups') == 1
result[1] = ((most >= max or more_tasks or more_requests) and '1' or '0') .. (has_queued and 'q' or '')
return result
