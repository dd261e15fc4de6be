--: use number

-- The clock is Redis's own, so that the clocks of the coordinators don't matter. Tests pass the time in.

-- Milliseconds since 1970: `given` when it is not empty, else Redis's time. nil when `given` is no number.
local function clock_now(given)
  if given ~= '' then
    return number_of(given)
  end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
