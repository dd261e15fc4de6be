--: key prefix
--: use clock
--: use many
--: use ms
--: use task_queues
--: finish task_ends_flush

-- Ends tasks. A task that has ended is in `<state>:<queue>`, with the moment at which its hash expires, for listings. Whatever adds
-- to these sets also trims them, by more than it adds.

local KEPT = { completed = 1000000, dead = 100000, cancelled = 100000, expired = 100000 } -- the most tasks of a queue
local TRIMMED = 100 -- removed at once, if there are so many; or more
local newly_ended = {} -- by state, then by queue: moments and ids, to be added when the script ends

-- Removes at most `most` expired tasks, and as many above the limit, from `<state>:<queue>`.
local function trim(state, queue, now, most)
  local key = key_prefix .. state .. ':' .. queue
  many_call('ZREM', key, redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, most))
  local over = redis.call('ZCARD', key) - KEPT[state]
  if over > 0 then
    local out = redis.call('ZPOPMIN', key, math.min(over, most))
    for at = 1, #out, 2 do
      redis.call('DEL', key_prefix .. 'task:' .. out[at])
    end
  end
end

local function task_ends_flush()
  for state, queues in pairs(newly_ended) do
    for queue, entries in pairs(queues) do
      many_call('ZADD', key_prefix .. state .. ':' .. queue, entries)
      trim(state, queue, clock_now(), math.max(TRIMMED, #entries))
    end
  end
  newly_ended = {}
end

-- Trims a set, even if nothing is added to it any more.
local function task_ends_trim(state, queue, now)
  task_ends_flush()
  trim(state, queue, now, TRIMMED)
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
  local key, gone_at = key_prefix .. 'task:' .. id, ms_text(now + keep)
  redis.call('HSET', key, 'state', state, 'finished_at', ms_text(now), ...)
  redis.call('PEXPIREAT', key, gone_at)
  newly_ended[state] = newly_ended[state] or {}
  local entries = newly_ended[state][task.queue] or {}
  newly_ended[state][task.queue] = entries
  entries[#entries + 1] = gone_at
  entries[#entries + 1] = id
  task_queues_count(task.queue, state, 1)
  task_ends_free(id, task.queue, task.dedup)
  task_ends_tell(id, task.watchers)
end
