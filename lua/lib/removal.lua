--: key worker
--: key registration
--: key online
--: key offline
--: use events
--: use identities
--: use places
--: use task_doubt
--: use try

-- Takes worker `id` out of the fleet. Its registration stays until `keep_until` (ms), for a late heartbeat; 0: it is deleted, too.
local function removal_remove(id, entry, keep_until)
  local moment = string.format('%.0f', math.max(keep_until, 0))
  places_move(id, entry, nil)
  redis.call('DEL', key_worker .. id, key_worker .. id .. ':online')
  local identities, twins = identities_of(id)
  for _, key in ipairs(identities) do
    if try_call('GET', key) == id then
      redis.call('PEXPIREAT', key, moment) -- a moment in the past deletes the key
    end
  end
  for _, key in ipairs(twins) do
    try_call('ZREM', key, id)
  end
  redis.call('PEXPIREAT', key_registration .. id, moment)
end

-- Takes worker `id`, whose hash has expired or whose moment has come, out of the fleet. Its registration stays for `revive` ms from
-- that moment. removal: ms from offline to removed. Returns the moment (ms) at which it had to be removed; nil if it is not known.
local function removal_archive(id, entry, removal, revive)
  local removed = redis.call('ZSCORE', key_offline, id)
  local silent = not removed and redis.call('ZSCORE', key_online, id)
  local moment = removed and tonumber(removed) or silent and silent + removal or nil
  local place = ledger_read(entry) or places_registered(id)
  task_doubt_worker(id)
  removal_remove(id, entry, moment and moment + revive or 0)
  if place and place.caller ~= '' and redis.call('EXISTS', key_registration .. id) == 1 then
    redis.pcall('HSET', key_registration .. id, 'caller', place.caller)
  end
  events_tell('removed', 'timeout', id, place)
  return moment
end
