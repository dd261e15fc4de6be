--: key stats
--: key history
--: use clock

-- Keeps how the fleet is in this minute, once, whoever calls; of a day at most. Returns "1" if it did, "0" if that was done already.

local MINUTE, DAY = 60000, 1440

local now = clock_now()
local minute = now - now % MINUTE
local last = redis.call('XREVRANGE', key_history, '+', '-', 'COUNT', 1)[1]
if last and tonumber(string.match(last[1], '^%d+')) >= minute then
  return '0'
end
local point, counters = { 'tasks_completed', '0' }, redis.call('HGETALL', key_stats)
for at = 1, #counters, 2 do
  -- what happened is counted for ever and says nothing of a minute
  if counters[at + 1] ~= '0' and not string.find(counters[at], '^event:') then
    point[#point + 1] = counters[at]
    point[#point + 1] = counters[at + 1]
  end
end
redis.call('XADD', key_history, 'MAXLEN', DAY, string.format('%.0f-0', minute), unpack(point))
return '1'
