--: arg interval
--: arg burst
--: key limit
--: rest names
--: use number
--: use clock

-- Takes a piece from each of some buckets (the generic cell rate algorithm, ITU-T I.371): one piece every `interval` ms, `burst`
-- pieces at once.
-- names: of the buckets, "login:address:<digest>". If any of them is empty, nothing is taken from the others. Returns 0, or the
-- ms until all have a piece.

local interval, burst = number_of(arg_interval), number_of(arg_burst)
if not interval or not burst or interval < 1 or burst < 1 then
  return redis.error_reply('BADCALL interval and burst are numbers from 1 on')
end
for at = rest, #ARGV do
  if not string.find(ARGV[at], '^%l+:[%w:._-]+$') then
    return redis.error_reply('BADCALL malformed name of a bucket')
  end
end
local now, wait = clock_now(), 0
local full_at = {} -- when each would be full again; a bucket that is full has no key
for at = rest, #ARGV do
  local stored = redis.pcall('GET', key_limit .. ARGV[at])
  local moment = math.max(now, type(stored) == 'string' and number_of(stored) or now)
  moment = math.min(moment, now + burst * interval) -- the clock may have jumped back
  full_at[at] = moment + interval
  wait = math.max(wait, full_at[at] - burst * interval - now)
end
if wait > 0 then
  return wait
end
for at = rest, #ARGV do
  redis.call('SET', key_limit .. ARGV[at], string.format('%.0f', full_at[at]), 'PXAT', string.format('%.0f', full_at[at]))
end
return 0
