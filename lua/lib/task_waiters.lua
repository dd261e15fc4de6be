--: key prefix
--: use task_workers

-- Polls of workers that are parked in a thread of a coordinator until there is a task; first come, first served. A waiter is named
-- "thread poll". `parked` has for each "deadline worker_id queues group group…", and `parked:<group>` has the waiters by the moment
-- since when they wait. The waiters of all workers are in the group "a".

local LOOKED_AT = 64 -- the most waiters for one task
local WAIT_MAX_MS = 90000 -- somewhat more than the longest wait of a poll

-- Removes a waiter.
local function task_waiters_remove(waiter, entry)
  entry = entry or redis.call('HGET', key_prefix .. 'parked', waiter)
  redis.call('HDEL', key_prefix .. 'parked', waiter)
  for group in string.gmatch(string.match(entry or '', '^%S+ %S+ %S+ (.*)$') or '', '%S+') do
    redis.call('ZREM', key_prefix .. 'parked:' .. group, waiter)
  end
end

-- queues: names with commas between, or "*" for all.
local function task_waiters_add(waiter, worker, queues, since, deadline)
  local entry = string.format('%.0f', deadline) .. ' ' .. worker.id .. ' ' .. queues .. ' ' .. table.concat(worker.groups, ' ')
  redis.call('HSET', key_prefix .. 'parked', waiter, entry)
  for _, group in ipairs(worker.groups) do
    redis.call('ZADD', key_prefix .. 'parked:' .. group, since, waiter)
  end
end

-- Whether a list of queues ("*" for all) names `queue`.
local function task_waiters_names(queues, queue)
  return queues == '*' or string.find(',' .. queues .. ',', ',' .. queue .. ',', 1, true) ~= nil
end

-- Tells the thread of a waiter; false if the thread does not listen any more. If Redis's user may not publish, no thread is told,
-- and the task waits for the next poll. lane: the lane with a task; "" for news.
local function tell_thread(waiter, lane)
  local thread, poll = string.match(waiter, '^(%S+) (%S+)$')
  local heard = thread and redis.pcall('PUBLISH', key_prefix .. 'wake:' .. thread, poll .. ' ' .. lane)
  return type(heard) == 'number' and heard > 0
end

-- Wakes `count` waiters that can do the tasks of a lane, those first that have waited longest; but none of worker `but` (nil: no
-- exception). Returns how many it woke.
local function task_waiters_wake(group, queue, shape, count, now, but)
  local key, passed, woken = key_prefix .. 'parked:' .. group, 0, 0
  for _ = 1, LOOKED_AT + count do
    local waiter = redis.call('ZRANGE', key, passed, passed)[1]
    if not waiter or woken == count then
      break
    end
    local entry = redis.call('HGET', key_prefix .. 'parked', waiter)
    local deadline, id, queues = string.match(entry or '', '^(%S+) (%S+) (%S+)')
    local worker = deadline and tonumber(deadline) > now and task_workers_read(id)
    if not worker then
      task_waiters_remove(waiter, entry)
      redis.call('ZREM', key, waiter)
    elseif id ~= but and task_workers_takes(worker) and task_waiters_names(queues, queue) and task_workers_fits(worker, shape) then
      task_waiters_remove(waiter, entry)
      woken = woken + (tell_thread(waiter, group .. ' ' .. queue .. ' ' .. shape) and 1 or 0)
    else
      passed = passed + 1
    end
  end
  return woken
end

-- Removes at most `max` waiters that have waited for longer than allowed, since their thread has died. Returns how many.
local function task_waiters_prune(now, max)
  local gone = redis.call('ZRANGE', key_prefix .. 'parked:a', '-inf', now - WAIT_MAX_MS, 'BYSCORE', 'LIMIT', 0, max)
  for _, waiter in ipairs(gone) do
    task_waiters_remove(waiter)
    redis.call('ZREM', key_prefix .. 'parked:a', waiter)
  end
  return #gone
end

-- Wakes all waiters of a worker, since there is news for it.
local function task_waiters_call(id)
  for _, waiter in ipairs(redis.call('ZRANGE', key_prefix .. 'parked:w:' .. id, 0, LOOKED_AT - 1)) do
    task_waiters_remove(waiter)
    tell_thread(waiter, '')
  end
end
