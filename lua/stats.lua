--: arg now
--: arg max
--: use number
--: use clock
--: use fleet

-- The fleet's counters, after moving on at most `max` workers each way that time has moved on. Costs the same for any number of
-- workers. Returns {"1" if there may be more to move on, field, value, field, value, …}.

local now, max = clock_now(arg_now), number_of(arg_max)
if not now or not max then
  return redis.error_reply('BADCALL now and max are numbers')
end
local more = fleet_sweep(now, max)
fleet_flush()
local counters = redis.call('HGETALL', key_stats)
return { more and '1' or '0', unpack(counters) }
