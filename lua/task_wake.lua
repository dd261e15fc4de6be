--: rest lanes
--: use clock
--: use task_waiters

-- Wakes one more waiter for each lane ("group queue shape"), since a woken one did not take the task. Returns how many it woke.

local now, woken = clock_now(), 0
for at = rest, #ARGV do
  local group, queue, shape = string.match(ARGV[at], '^(%S+) (%S+) (.*)$')
  local lane = group and key_prefix .. 'ready:' .. group .. ' ' .. queue .. ' ' .. shape
  if lane and redis.call('EXISTS', lane) == 1 then
    woken = woken + task_waiters_wake(group, queue, shape, 1, now)
  end
end
return woken
