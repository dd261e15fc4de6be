--: key stats
--: key history
--: use clock
--: use memory

-- Stores the state of the fleet in this minute, unless another call has done so. The history has at most a day. Returns "1" if it
-- stored the state, "0" if that was done already.

local MINUTE, DAY = 60000, 1440 -- ms, points

local now = clock_now()
local minute = now - now % MINUTE

local function time_of(entry)
  return tonumber(string.match(entry[1], '^%d+'))
end

-- Redis's clock was set back, and a stream takes no entry that is older than its last one. So the stream is made anew, from the
-- entries that are not in the future.
local function drop_future()
  local points = redis.call('XRANGE', key_history, '-', string.format('%.0f', now))
  redis.call('DEL', key_history)
  for _, point in ipairs(points) do
    redis.call('XADD', key_history, 'MAXLEN', DAY, point[1], unpack(point[2]))
  end
  return points[#points]
end

local last = redis.call('XREVRANGE', key_history, '+', '-', 'COUNT', 1)[1]
if last and time_of(last) > now + MINUTE then
  last = drop_future()
end
if last and time_of(last) >= minute then
  return '0'
end
local point, counters = { 'tasks_completed', '0' }, redis.call('HGETALL', key_stats)
for at = 1, #counters, 2 do
  -- the counters of events only grow, and say nothing about a minute
  if counters[at + 1] ~= '0' and not string.find(counters[at], '^event:') then
    point[#point + 1] = counters[at]
    point[#point + 1] = counters[at + 1]
  end
end
memory_need_not_be_free()
redis.call('XADD', key_history, 'MAXLEN', DAY, string.format('%.0f-0', minute), unpack(point))
return '1'
