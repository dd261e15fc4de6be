--: key prefix
--: use many
--: use ms
--: use task_queues
--: finish task_ends_flush

-- The ends of tasks. What has ended is in `<state>:<queue>` by the moment at which its hash goes, for a listing; these are
-- trimmed when something is added.

local KEPT = { completed = 1000000, dead = 100000, cancelled = 100000, expired = 100000 } -- of a queue, at the most
local TRIMMED = 100 -- at once, at the most; more than are added at once
local newly_ended = {} -- by index: moments and ids, to be added when the script ends

local function task_ends_flush()
  for key, entries in pairs(newly_ended) do
    many_call('ZADD', key, entries)
  end
  newly_ended = {}
end

-- Takes out of `<state>:<queue>` what is gone, and what is too much.
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

-- Tells the threads that wait for the end of task `id` (nil: none). Without a permission for channels they find it later.
local function task_ends_tell(id, watchers)
  if not watchers then
    return
  end
  for thread in string.gmatch(watchers, '%S+') do
    redis.pcall('PUBLISH', key_prefix .. 'wake:' .. thread, '= ' .. id)
  end
end

-- Ends task `id` in `state`; it is in no index any more. Of `task`: its queue, dedup, watchers. keep: ms for which it is kept.
-- ...: fields and values that tell of the end.
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
