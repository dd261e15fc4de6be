--: key prefix
--: use task_history

-- Decides whether a worker may report on a task: by the lease that it names, or by its id if it names no lease ("").

-- "held": the worker holds the task. "ended": its lease has ended with `outcome`, so the report is a repetition (without a lease:
-- if it was the last one). "lost": it held the task once, but no longer. "never": it never held the task.
local function task_holders_check(task, worker, lease, outcome)
  local mine = task.worker_id == worker and (lease == '' or lease == task.lease)
  if mine and task.state == 'leased' then
    return 'held'
  end
  if mine and task.state == 'completed' then
    return outcome == 'completed' and 'ended' or 'lost'
  end
  local last = true
  local found = task_history_find(task.history, function(of, by, what)
    local same = of == worker and (lease == '' or lease == by)
    if same and what == outcome and (lease ~= '' or last and mine) then
      outcome = nil
    end
    last = false
    return same
  end)
  return found and not outcome and 'ended' or found and 'lost' or 'never'
end

-- Whether the last attempt of the worker at task `id` has ended with its own report.
local function task_holders_reported(worker, id)
  local state, holder, history = unpack(redis.call('HMGET', key_prefix .. 'task:' .. id, 'state', 'worker_id', 'history'))
  if state == 'completed' and holder == worker then
    return true
  end
  local failed = false
  task_history_find(history, function(of, _, outcome)
    failed = of == worker and outcome == 'failed'
    return of == worker
  end)
  return failed
end
