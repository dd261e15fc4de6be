--: arg interval
--: arg burst
--: rest names
--: use number
--: use clock
--: use limit

-- Takes a piece from each of the buckets `names` (see lib/limit.lua). Returns 0, or the ms until all have a piece.

local interval, burst = number_of(arg_interval), number_of(arg_burst)
if not interval or not burst or interval < 1 or burst < 1 then
  return redis.error_reply('BADCALL interval and burst are numbers from 1 on')
end
for at = rest, #ARGV do
  if not limit_is_name(ARGV[at]) then
    return redis.error_reply('BADCALL malformed name of a bucket')
  end
end
return limit_take({ unpack(ARGV, rest) }, interval, burst, clock_now())
