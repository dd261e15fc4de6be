--: key prefix
--: use task_lanes
--: use task_queues
--: use task_waiters

-- Wakes parked polls for tasks that wait already.

local WOKEN_LANES = 256 -- the most lanes of a queue that are looked at

-- Wakes one more waiter for a lane ("group queue shape"), since a woken one did not take its task. Returns how many it woke.
local function task_wakes_another(lane, now)
  local group, queue, shape = string.match(lane, '^(%S+) (%S+) (.*)$')
  if group and redis.call('EXISTS', task_lanes_key(group, queue, shape)) == 1 and not task_queues_closed(queue) then
    return task_waiters_wake(group, queue, shape, 1, now)
  end
  return 0
end

-- Wakes at most `count` waiters for the tasks of a queue, for each lane at most as many as it has tasks.
local function task_wakes_queue(queue, count, now)
  for _, lane in ipairs(redis.call('SRANDMEMBER', key_prefix .. 'queue_lanes:' .. queue, WOKEN_LANES)) do
    local group, shape = string.match(lane, '^(%S+) (.*)$')
    local most = math.min(count, redis.call('ZCARD', task_lanes_key(group, queue, shape)))
    count = count - (most > 0 and task_waiters_wake(group, queue, shape, most, now) or 0)
    if count <= 0 then
      break
    end
  end
end
