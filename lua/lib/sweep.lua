--: key worker
--: key online
--: key offline
--: key ledger
--: use events
--: use places
--: use removal

-- Moves on those workers that time has moved on: at most `max` to offline and `max` out. removal: ms from offline to removed;
-- revive: ms for which a removed worker's registration is kept. Returns whether there may be more.
local function sweep_run(now, removal, revive, max)
  if max == 0 then -- a replica, which takes no writes
    return false
  end
  local silent = redis.call('ZRANGEBYSCORE', key_online, '-inf', now, 'LIMIT', 0, max)
  for _, id in ipairs(silent) do
    local entry = redis.call('HGET', key_ledger, id)
    local place = ledger_read(entry) or places_registered(id)
    local removed_at = redis.call('PEXPIRETIME', key_worker .. id)
    if place and removed_at > now then
      place.status = 'offline'
      places_move(id, entry, place, removed_at)
      events_tell('offline', 'timeout', id, place)
    else
      removal_archive(id, entry, removal, revive)
    end
  end
  local gone = redis.call('ZRANGEBYSCORE', key_offline, '-inf', now, 'LIMIT', 0, max)
  for _, id in ipairs(gone) do
    removal_archive(id, redis.call('HGET', key_ledger, id), removal, revive)
  end
  return #silent == max or #gone == max
end
