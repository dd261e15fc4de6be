--: use task_leases

-- Cancels task `id`. purge: nil, or the only state in which it is cancelled, or deleted if it has ended. Returns a word, see
-- task_cancel and task_purge.
local function task_cancel_one(id, purge, now)
  local task = task_moves_read(id)
  if not task then
    return 'unknown'
  elseif purge and purge ~= task.state then
    return 'moved ' .. task.state
  end
  local key = key_prefix .. 'task:' .. id
  if task.state == 'queued' or task.state == 'scheduled' then
    task_moves_take_out(id, task)
    task_moves_end(id, task, 'cancelled', now)
    return 'cancelled'
  elseif task.state ~= 'leased' then
    if purge then
      redis.call('ZREM', key_prefix .. task.state .. ':' .. task.queue, id)
      redis.call('DEL', key)
      return 'deleted'
    end
    return 'ended ' .. task.state
  end
  if not task.cancel then
    local held = key_prefix .. 'held:' .. task.worker_id
    local entry = redis.call('HGET', held, id) or ''
    redis.call('HDEL', held, id) -- a full Redis takes the later writes after a first write like this
    redis.call('HSET', key, 'cancel', '1')
    redis.call('HSET', held, id, entry .. ' cancel')
    task_leases_tell(task.worker_id, id, 'cancel', now)
  end
  return 'cancelling'
end
