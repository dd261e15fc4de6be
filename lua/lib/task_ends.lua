--: key prefix
--: use task_queues

-- The ends of tasks. What has ended is in `<state>:<queue>` by the moment at which its hash goes, for a listing; these are
-- trimmed when something is added.

local KEPT = { completed = 1000000, dead = 100000, cancelled = 100000, expired = 100000 } -- of a queue, at the most
local TRIMMED = 100 -- at once, at the most; more than are added at once

-- Takes out of `<state>:<queue>` what is gone, and what is too much.
local function task_ends_trim(state, queue, now)
  local key = key_prefix .. state .. ':' .. queue
  local gone = redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, TRIMMED)
  if #gone > 0 then
    redis.call('ZREM', key, unpack(gone))
  end
  local over = redis.call('ZCARD', key) - KEPT[state]
  if over > 0 then
    local out = redis.call('ZPOPMIN', key, math.min(over, TRIMMED))
    for at = 1, #out, 2 do
      redis.call('DEL', key_prefix .. 'task:' .. out[at])
    end
  end
  return #gone
end

-- Frees the dedup key of a task that has ended.
local function task_ends_free(id, queue, dedup)
  local key = dedup and key_prefix .. 'dedup:' .. queue .. ' ' .. dedup
  if key and redis.call('GET', key) == id then
    redis.call('DEL', key)
  end
end

-- Tells the threads that wait for the end of task `id` (nil: none). Without a permission for channels they find it later.
local function task_ends_tell(id, watchers)
  for thread in string.gmatch(watchers or '', '%S+') do
    redis.pcall('PUBLISH', key_prefix .. 'wake:' .. thread, '= ' .. id)
  end
end

-- Ends task `id` in `state`; it is in no index any more. Of `task`: its queue, dedup, watchers. keep: ms for which it is kept.
-- ...: fields and values that tell of the end.
local function task_ends_put(id, task, state, now, keep, ...)
  local gone_at = string.format('%.0f', now + keep)
  redis.call('HSET', key_prefix .. 'task:' .. id, 'state', state, 'finished_at', string.format('%.0f', now), ...)
  redis.call('PEXPIREAT', key_prefix .. 'task:' .. id, gone_at)
  redis.call('ZADD', key_prefix .. state .. ':' .. task.queue, gone_at, id)
  task_queues_count(task.queue, state, 1)
  task_ends_free(id, task.queue, task.dedup)
  task_ends_tell(id, task.watchers)
end
