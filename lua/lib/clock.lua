-- The present time in milliseconds since 1970, by Redis's clock. So the coordinators' clocks don't matter.
local function clock_now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
