--: rest ids
--: use clock
--: use task_memory
--: use task_moves

-- Queues dead tasks once more, as if there had been no attempt. Returns a word for each: "queued"; "blocked": another live task has
-- its dedup key; "alive STATE": it is not dead; "unknown".

local now = clock_now()

-- Gives task `id` a dedup key. False: another live task has it.
local function take_key(key, id)
  if redis.call('SET', key, id, 'NX') then
    return true
  end
  local other = redis.call('GET', key)
  local task = task_moves_read(other)
  return task ~= nil and task_moves_expire(other, task, now) and redis.call('SET', key, id) ~= nil
end

local function retry(id)
  local task = task_moves_read(id)
  if not task then
    return 'unknown'
  elseif task.state ~= 'dead' then
    return 'alive ' .. task.state
  end
  task_memory_need_not_be_free()
  if task.dedup and not take_key(key_prefix .. 'dedup:' .. task.queue .. ' ' .. task.dedup, id) then
    return 'blocked'
  end
  local key = key_prefix .. 'task:' .. id
  redis.call('ZREM', key_prefix .. 'dead:' .. task.queue, id)
  redis.call('PERSIST', key)
  redis.call('HDEL', key, 'attempts', 'lost_by', 'avoid', 'reason', 'error', 'finished_at', 'expires_at', 'cancel', 'progress')
  redis.call('HSET', key, 'available_at', ms_text(now)) -- from now on it waits
  task.expires_at = nil
  task_queues_count(task.queue, 'retried', 1)
  task_moves_queue(id, task, now, false)
  return 'queued'
end

local answers = {}
for at = rest, #ARGV do
  answers[#answers + 1] = retry(ARGV[at])
end
return answers
