-- The present, in milliseconds since 1970. The clock is Redis's own, so that the clocks of the coordinators don't matter.
local function clock_now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
