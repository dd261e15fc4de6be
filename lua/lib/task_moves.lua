--: key prefix
--: use clock
--: use many
--: use stream
--: use task_agenda
--: use task_ends
--: use task_history
--: use task_lanes
--: use task_queues
--: use task_waiters
--: use task_wakes
--: finish task_moves_flush

-- Moves of single tasks from one state to another. Each leaves the task in exactly one index.

local DEAD_MS = 2592000000 -- how long dead tasks are kept: 30 days
local ENDED_MS = 86400000 -- cancelled and expired ones
local POISON = 3 -- a task that took down so many different incarnations of workers is dead

local FIELDS = { 'state', 'queue', 'group', 'shape', 'priority', 'attempts', 'max_attempts', 'dedup', 'expires_at', 'available_at',
  'cancel', 'worker_id', 'lease', 'started_at', 'place', 'lost_by', 'history', 'backoff', 'avoid', 'type',
  'watchers' }
local unheld = {} -- by `held:<worker>`: the tasks that are removed from it when the script ends
local freed = { workers = {}, queues = {} } -- how many leases have ended: by worker, and by queue with a limit

-- The fields of task `id` that the moves need; nil if it does not exist.
local function task_moves_read(id)
  local values = redis.call('HMGET', key_prefix .. 'task:' .. id, unpack(FIELDS))
  if not values[1] then
    return nil
  end
  local task = {}
  for at, name in ipairs(FIELDS) do
    task[name] = values[at] or nil
  end
  task.group, task.shape = task.group or 'a', task.shape or ''
  task.priority = tonumber(task.priority or 0)
  task.attempts, task.max_attempts = tonumber(task.attempts or 0), tonumber(task.max_attempts or 5)
  return task
end

-- Adds an event about a task.
local function tell_of(kind, reason, id, task)
  stream_add('task.' .. kind, reason, 'task_id', id, 'queue', task.queue, 'type', task.type or '',
    'worker_id', task.worker_id or '')
end

-- Queues a task that is in no index. front: it gets its former place, before tasks that came later. but: a worker not to be woken.
local function task_moves_queue(id, task, now, front, but)
  redis.call('HSET', key_prefix .. 'task:' .. id, 'state', 'queued')
  task_lanes_put(id, task.group, task.queue, task.shape, task.priority, front and tonumber(task.place or 0) or nil)
  if task.expires_at then
    task_agenda_add('expiring', task.queue, id, task.expires_at)
  end
  if not task_queues_closed(task.queue) then
    task_waiters_wake(task.group, task.queue, task.shape, 1, now, task.group ~= 'w:' .. (but or '') and but or nil)
  end
end

-- Removes a waiting task from its indexes.
local function task_moves_take_out(id, task)
  if task.state == 'queued' then
    task_lanes_remove(id, task.group, task.queue, task.shape)
  else
    task_agenda_remove('scheduled', task.queue, id)
  end
  if task.expires_at then
    task_agenda_remove('expiring', task.queue, id)
  end
end

-- Ends a task, which must be in no index any more, as cancelled, expired or dead.
local function task_moves_end(id, task, state, now, ...)
  task_ends_put(id, task, state, now, state == 'dead' and DEAD_MS or ENDED_MS, ...)
end

-- Ends a waiting task whose ttl is over, if the sweep has not come to it yet. Returns whether it did.
local function task_moves_expire(id, task, now)
  if (task.state ~= 'queued' and task.state ~= 'scheduled') or not task.expires_at or tonumber(task.expires_at) > now then
    return false
  end
  task_moves_take_out(id, task)
  task_moves_end(id, task, 'expired', now)
  return true
end

-- Ends a task as dead. reason: "attempts", "fatal" or "poison".
local function task_moves_bury(id, task, reason, now, ...)
  task_moves_end(id, task, 'dead', now, 'reason', reason, ...)
  tell_of('dead', reason, id, task)
end

-- Ends the lease of a task: removes it from the tasks of its holder, at once or (later) when the script ends. As a script's first
-- write it must be done at once: a full Redis takes this write, and then all others.
local function task_moves_unhold(id, task, later)
  local key = key_prefix .. 'held:' .. task.worker_id
  if later then
    unheld[key] = unheld[key] or {}
    table.insert(unheld[key], id)
  else
    redis.call('HDEL', key, id)
  end
  freed.workers[task.worker_id] = (freed.workers[task.worker_id] or 0) + 1
  task_queues_count(task.queue, 'leased', -1)
  if task_queues_limited(task.queue) then
    freed.queues[task.queue] = (freed.queues[task.queue] or 0) + 1
  end
end

-- Whether the list `lost_by`, after adding one incarnation, names too many; and the new list.
local function poisoned(lost_by, incarnation)
  local count, list = 1, incarnation
  for other in string.gmatch(lost_by or '', '%S+') do
    if other ~= incarnation then
      count, list = count + 1, list .. ' ' .. other
    end
  end
  return count >= POISON, list
end

-- Takes back a task that its holder has lost. reason: why; incarnation: the start of the worker that the task has taken down (""
-- for none).
local function task_moves_lose(id, task, reason, incarnation, now)
  local key = key_prefix .. 'task:' .. id
  task_moves_unhold(id, task)
  task_queues_count(task.queue, 'lost', 1)
  local history = task_history_add(task.history, task.worker_id, task.lease, task.started_at, now, 'lost', reason)
  redis.call('HSET', key, 'history', history)
  local poison = false
  if incarnation ~= '' then
    local lost_by
    poison, lost_by = poisoned(task.lost_by, incarnation)
    redis.call('HSET', key, 'lost_by', lost_by)
  end
  tell_of('lost', reason, id, task)
  if task.cancel then
    task_moves_end(id, task, 'cancelled', now)
  elseif poison then
    task_moves_bury(id, task, 'poison', now, 'error', 'The task took down three workers, one after the other.')
  elseif task.expires_at and tonumber(task.expires_at) <= now then
    task_moves_end(id, task, 'expired', now)
  else
    redis.call('HDEL', key, 'progress') -- of the attempt that is over
    task_moves_queue(id, task, now, true, incarnation ~= '' and task.worker_id or nil)
  end
end

-- Writes what was to be written later, and wakes those that wait for room: of workers that held as many tasks as they may, and in
-- queues with a limit.
local function task_moves_flush()
  for key, ids in pairs(unheld) do
    many_call('HDEL', key, ids)
  end
  unheld = {}
  for worker, count in pairs(freed.workers) do
    if task_workers_room(worker) <= count then
      task_waiters_call(worker)
    end
  end
  for queue, count in pairs(freed.queues) do
    if not task_queues_closed(queue) and redis.call('EXISTS', key_prefix .. 'parked') == 1 then
      task_wakes_queue(queue, count, clock_now())
    end
  end
  freed = { workers = {}, queues = {} }
end
