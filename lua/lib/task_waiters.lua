--: key prefix
--: use task_workers

-- Polls of workers that are parked in a thread of a coordinator until there is a task; first come, first served. A waiter is named
-- "thread poll". `parked` has for each "deadline worker_id queues list list…", and `parked:<list>` has the waiters by the moment
-- since when they wait. The lists are the worker's groups; `w:<worker>` alone while the worker takes no work. A poll that names few
-- queues is in a list `group;queue` for each of them instead, so that nobody who waits for another queue stands before it. "*" has
-- all waiters, `w:<worker>` all of a worker.

local LOOKED_AT = 256 -- the most waiters for one task
local LISTS = 128 -- the most of a poll that names queues; one that would have more is in the lists for all queues
local WAIT_MAX_MS = 90000 -- somewhat more than the longest wait of a poll

-- Removes a waiter.
local function task_waiters_remove(waiter, entry)
  entry = entry or redis.call('HGET', key_prefix .. 'parked', waiter)
  redis.call('HDEL', key_prefix .. 'parked', waiter)
  for group in string.gmatch(string.match(entry or '', '^%S+ %S+ %S+ (.*)$') or '', '%S+') do
    redis.call('ZREM', key_prefix .. 'parked:' .. group, waiter)
  end
end

local function lists_of(id, groups, queues)
  local _, commas = string.gsub(queues, ',', '')
  local for_all = queues == '*' or (commas + 1) * #groups > LISTS
  local lists = { '*' }
  for _, group in ipairs(groups) do
    if for_all or group == 'w:' .. id then
      lists[#lists + 1] = group
    else
      for queue in string.gmatch(queues, '[^,]+') do
        lists[#lists + 1] = group .. ';' .. queue
      end
    end
  end
  return lists
end

-- Adds a waiter of worker `id`. queues: names with commas between, or "*" for all.
local function task_waiters_add(waiter, id, groups, queues, since, deadline)
  local lists = lists_of(id, groups, queues)
  local entry = string.format('%.0f', deadline) .. ' ' .. id .. ' ' .. queues .. ' ' .. table.concat(lists, ' ')
  redis.call('HSET', key_prefix .. 'parked', waiter, entry)
  for _, list in ipairs(lists) do
    redis.call('ZADD', key_prefix .. 'parked:' .. list, since, waiter)
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

-- Reads the first waiter of a list that was not passed over into list.waiter (false: none) and list.since. Returns the list.
local function first_of(list)
  if list.waiter == nil then
    local found = redis.call('ZRANGE', list.key, list.passed, list.passed, 'WITHSCORES')
    list.waiter, list.since = found[1] or false, tonumber(found[2] or math.huge)
  end
  return list
end

-- Wakes `count` waiters that can do the tasks of a lane, those first that have waited longest; but none of worker `but` (nil: no
-- exception). Returns how many it woke.
local function task_waiters_wake(group, queue, shape, count, now, but)
  local all, named = { key = key_prefix .. 'parked:' .. group, passed = 0 }, { passed = 0 }
  named.key = all.key .. ';' .. queue
  local woken = 0
  for _ = 1, LOOKED_AT + count do
    local list = first_of(named).since < first_of(all).since and named or all
    local waiter = list.waiter
    if not waiter or woken == count then
      break
    end
    local entry = redis.call('HGET', key_prefix .. 'parked', waiter)
    local deadline, id, queues = string.match(entry or '', '^(%S+) (%S+) (%S+)')
    local worker = deadline and tonumber(deadline) > now and task_workers_read(id)
    list.waiter = nil
    if not worker then
      task_waiters_remove(waiter, entry)
      redis.call('ZREM', list.key, waiter)
    elseif id ~= but and task_workers_takes(worker) and task_waiters_names(queues, queue) and task_workers_fits(worker, shape)
      and task_workers_room(id) > 0 then
      task_waiters_remove(waiter, entry)
      woken = woken + (tell_thread(waiter, group .. ' ' .. queue .. ' ' .. shape) and 1 or 0)
    else
      list.passed = list.passed + 1
    end
  end
  return woken
end

-- Removes at most `max` waiters that have waited for longer than allowed, since their thread has died. Returns how many.
local function task_waiters_prune(now, max)
  local gone = redis.call('ZRANGE', key_prefix .. 'parked:*', '-inf', now - WAIT_MAX_MS, 'BYSCORE', 'LIMIT', 0, max)
  for _, waiter in ipairs(gone) do
    task_waiters_remove(waiter)
    redis.call('ZREM', key_prefix .. 'parked:*', waiter)
  end
  return #gone
end

-- Wakes all waiters of a worker, since there is news for it, or it can do more.
local function task_waiters_call(id)
  for _, waiter in ipairs(redis.call('ZRANGE', key_prefix .. 'parked:w:' .. id, 0, LOOKED_AT - 1)) do
    task_waiters_remove(waiter)
    tell_thread(waiter, '')
  end
end
