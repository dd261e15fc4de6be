--: key worker
--: arg now
--: arg timeout
--: arg removal
--: rest heartbeats
--: use number
--: use clock
--: use fleet

-- Takes any number of heartbeats. timeout: ms until a silent worker is offline; removal: ms from then until it is removed.
-- heartbeats: for each its worker's id, the status it reports, its load (0 to 1), the ms it may be silent when that is more than
-- timeout (else 0), the number of strings that follow, and these: names and values of hash fields.
-- Returns a string with one character for each heartbeat: "1" taken, "0" unknown worker.

local now = clock_now(arg_now)
local timeout, removal = number_of(arg_timeout), number_of(arg_removal)
if not now or not timeout or not removal then
  return redis.error_reply('BADCALL now, timeout and removal are numbers')
end

-- First all is checked, then it is written: a malformed call changes nothing.
local at, last = rest, #ARGV
while at <= last do
  local load, silence, extra = number_of(ARGV[at + 2]), number_of(ARGV[at + 3]), number_of(ARGV[at + 4])
  local fits = extra and extra % 2 == 0 and extra >= 0 and at + 4 + extra <= last
  if not fits or not load or load < 0 or load > 1 or not silence or not fleet_statuses[ARGV[at + 1]] then
    return redis.error_reply('BADCALL malformed heartbeat')
  end
  at = at + 5 + extra
end

-- Numbers that most heartbeats share, as text: Redis would make it anew for each of them.
local function text(number)
  return string.format('%.0f', number)
end
local now_text, offline_at, removed_at = text(now), text(now + timeout), text(now + timeout + removal)

local results = {}
at = rest
while at <= last do
  local id, status, load, extra = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 4]
  -- moments, not durations: a Redis that is held up in the middle of this script must not tear keys and indexes apart
  local live_until, gone_at = offline_at, removed_at
  if tonumber(ARGV[at + 3]) > timeout then
    local silence = tonumber(ARGV[at + 3])
    live_until, gone_at = text(now + silence), text(now + silence + removal)
  end
  local hash = key_worker .. id
  local entry = redis.call('HGET', key_ledger, id)
  local tier = redis.call('PEXPIREAT', hash, gone_at) == 1 and fleet_tier(id, entry)
  if not tier then
    if entry then
      fleet_forget(id, entry)
    end
    results[#results + 1] = '0'
  else
    if extra == '0' then
      redis.call('HSET', hash, 'status', status, 'current_load', load, 'last_heartbeat', now_text)
    else
      redis.call('HSET', hash, 'status', status, 'current_load', load, 'last_heartbeat', now_text,
        unpack(ARGV, at + 5, at + 4 + extra))
    end
    if status == 'offline' then
      redis.call('DEL', hash .. ':online')
      fleet_place(id, entry, tier, status, 0, gone_at)
    else
      redis.call('SET', hash .. ':online', status, 'PXAT', live_until)
      fleet_place(id, entry, tier, status, load, live_until)
    end
    results[#results + 1] = '1'
  end
  at = at + 5 + extra
end
fleet_flush()
return table.concat(results)
