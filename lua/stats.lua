--: arg removal
--: arg revive
--: arg max
--: key stats
--: use number
--: use clock
--: use counters
--: use sweep

-- The fleet's counters, after moving on at most `max` workers each way that time has moved on. Costs the same for any number of
-- workers. removal: ms from offline to removed; revive: ms for which a removed worker's registration is kept. max: 0 for a replica, which
-- takes no writes.
-- Returns {"1" if there may be more to move on, field, value, field, value, …}.

local now, removal, revive, max = clock_now(), number_of(arg_removal), number_of(arg_revive), number_of(arg_max)
if not removal or not revive or not max then
  return redis.error_reply('BADCALL removal, revive and max are numbers')
end
local more = sweep_run(now, removal, revive, max)
return { more and '1' or '0', unpack(counters_read(key_stats)) }
