--: key prefix
--: use memory
--: use task_leases

-- Moves on tasks whose moment has come: tasks that are due, that expire, or whose leases have run out.

local SETS = 16 -- sets of the agenda, and workers, for one call

local DUE = {
  scheduled = function(id, task, now)
    if task.expires_at and tonumber(task.expires_at) <= now then
      task_agenda_remove('expiring', task.queue, id)
      task_moves_end(id, task, 'expired', now)
    else
      local others = task.avoid and redis.call('ZCARD', key_prefix .. 'online') > 1 -- as in task_lease
      task_moves_queue(id, task, now, false, others and task.avoid or nil)
    end
  end,
  expiring = function(id, task, now)
    task_moves_take_out(id, task)
    task_moves_end(id, task, 'expired', now)
  end,
}

-- Moves on at most `max` tasks of one set of the agenda; returns how many.
local function move_on(kind, queue, now, max)
  local key = key_prefix .. kind .. ':' .. queue
  local ids = redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, max)
  for _, id in ipairs(ids) do
    redis.call('ZREM', key, id)
    local task = task_moves_read(id)
    if task and (task.state == 'scheduled' or task.state == 'queued') then
      DUE[kind](id, task, now)
    end
  end
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', key_prefix .. 'agenda', first[2], kind .. ' ' .. queue)
  else
    redis.call('ZREM', key_prefix .. 'agenda', kind .. ' ' .. queue)
  end
  return #ids
end

-- Moves on at most `max` tasks, some 8 µs each. Returns whether there may be more.
local function task_sweep_run(now, max)
  local left = max
  local agenda = redis.call('ZRANGEBYSCORE', key_prefix .. 'agenda', '-inf', now, 'LIMIT', 0, SETS)
  local workers = redis.call('ZRANGEBYSCORE', key_prefix .. 'leases', '-inf', now, 'LIMIT', 0, SETS)
  if #agenda + #workers > 0 then
    memory_need_not_be_free()
  end
  for _, entry in ipairs(agenda) do
    if left <= 0 then
      return true
    end
    local kind, queue = string.match(entry, '^(%S+) (%S+)$')
    left = left - (DUE[kind] and move_on(kind, queue, now, left) or redis.call('ZREM', key_prefix .. 'agenda', entry))
  end
  for _, worker in ipairs(workers) do
    if left <= 0 then
      return true
    end
    left = left - task_leases_look(worker, now, left)
  end
  left = left - (left > 0 and task_waiters_prune(now, left) or 0)
  redis.call('ZREMRANGEBYSCORE', key_prefix .. 'news', '-inf', now)
  -- one queue at a time: removes expired tasks from its indexes, also if nothing else happens in it
  local queue = redis.call('SRANDMEMBER', key_prefix .. 'queues')
  for _, state in ipairs(queue and { 'completed', 'dead', 'cancelled', 'expired' } or {}) do
    task_ends_trim(state, queue, now)
  end
  return #agenda == SETS or #workers == SETS or left <= 0
end
