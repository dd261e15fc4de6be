--: key worker
--: key registration
--: use number
--: use status
--: use try

-- What a worker last told of itself, for one that comes back and does not tell it anew.

-- Keeps the status and the load of worker `id`, which has fallen silent at `place`: its hash ends when it is removed.
local function recall_keep(id, place)
  local registration = key_registration .. id
  local status = place.status
  if place.drained == 'd' then -- counts as draining whatever it reports
    status = try_call('HGET', key_worker .. id, 'status') or 'healthy'
  end
  if place.status == 'offline' then
    return -- that was kept when it fell silent
  elseif status == 'healthy' and place.load == 0 then
    try_call('HDEL', registration, 'last_state')
  elseif redis.call('EXISTS', registration) == 1 then
    redis.pcall('HSET', registration, 'last_state', status .. ' ' .. place.load)
  end
end

-- The status that worker `id` last reported, and its load in millionths. One that reported itself offline, and now beats, is healthy.
local function recall_state(id)
  local status, load = unpack(try_call('HMGET', key_worker .. id, 'status', 'current_load') or {})
  load = (number_of(load or '') or 0) * 1000000
  if not status then
    status, load = string.match(try_call('HGET', key_registration .. id, 'last_state') or '', '^(%l+) (%d+)$')
  end
  if not status or status == 'offline' or not status_is(status) then
    status = 'healthy'
  end
  return status, math.floor(math.max(0, math.min(tonumber(load or 0), 1000000)) + 0.5)
end

-- Forgets what was kept of worker `id`.
local function recall_forget(id)
  try_call('HDEL', key_registration .. id, 'last_state')
end
