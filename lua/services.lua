--: arg removal
--: arg revive
--: arg max
--: key services
--: use number
--: use clock
--: use counters
--: use sweep

-- How many live workers provide each service, after moving on at most `max` workers each way that time has moved on.
-- removal, revive, max: as in stats. Returns {"1" if there may be more to move on, {"status service", count, …}}.

local now, removal, revive, max = clock_now(), number_of(arg_removal), number_of(arg_revive), number_of(arg_max)
if not removal or not revive or not max then
  return redis.error_reply('BADCALL removal, revive and max are numbers')
end
local more = sweep_run(now, removal, revive, max)
return { more and '1' or '0', counters_read(key_services) }
