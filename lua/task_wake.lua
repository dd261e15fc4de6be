--: rest lanes
--: use clock
--: use task_wakes

-- Wakes one more waiter for each lane ("group queue shape"), since a woken one did not take the task. Returns how many it woke.

local now, woken = clock_now(), 0
for at = rest, #ARGV do
  woken = woken + task_wakes_another(ARGV[at], now)
end
return woken
