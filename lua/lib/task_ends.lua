--: key prefix
--: use many
--: use ms
--: use task_queues
--: finish task_ends_flush

-- Ends tasks. A task that has ended is in `<state>:<queue>`, with the moment at which its hash expires, for listings. These sets
-- are trimmed when something is added.

local KEPT = { completed = 1000000, dead = 100000, cancelled = 100000, expired = 100000 } -- of a queue, at the most
local TRIMMED = 100 -- at once, at the most; more than are added at once
local newly_ended = {} -- by index: moments and ids, to be added when the script ends

local function task_ends_flush()
  for key, entries in pairs(newly_ended) do
    many_call('ZADD', key, entries)
  end
  newly_ended = {}
end

-- Removes expired tasks, and those above the limit, from `<state>:<queue>`.
local function task_ends_trim(state, queue, now)
  task_ends_flush()
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

-- Tells the threads that wait for the end of task `id` (nil: none). If Redis's user may not publish, they find out later.
local function task_ends_tell(id, watchers)
  if not watchers then
    return
  end
  for thread in string.gmatch(watchers, '%S+') do
    redis.pcall('PUBLISH', key_prefix .. 'wake:' .. thread, '= ' .. id)
  end
end

-- Ends task `id` in `state`. The task must be in no index any more. It needs queue, dedup and watchers of `task`. keep: ms for
-- which the task is kept. ...: fields and values about the end.
local function task_ends_put(id, task, state, now, keep, ...)
  local key, gone_at, index = key_prefix .. 'task:' .. id, ms_text(now + keep), key_prefix .. state .. ':' .. task.queue
  redis.call('HSET', key, 'state', state, 'finished_at', ms_text(now), ...)
  redis.call('PEXPIREAT', key, gone_at)
  local entries = newly_ended[index] or {}
  newly_ended[index] = entries
  entries[#entries + 1] = gone_at
  entries[#entries + 1] = id
  task_queues_count(task.queue, state, 1)
  task_ends_free(id, task.queue, task.dedup)
  task_ends_tell(id, task.watchers)
end
