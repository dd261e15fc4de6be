--: rest results
--: use clock
--: use health
--: use ledger
--: use stream
--: use task_ends
--: use task_holders
--: use task_memory
--: use task_moves
--: use task_owners
--: use try

-- Ends tasks with their results. results: for each the worker's id, the task's id, its lease ("seq nonce"; "" for an agent that has
-- none), and the result as JSON. Returns a word for each: "completed", also if this lease had completed it before; "lost": the
-- worker no longer has the lease, and its result is kept apart if the task still exists; "conflict": the worker never had the
-- lease; "others": the join token does not speak for the worker (see lib/task_owners.lua); "unknown": there is no such task.

local KNOWN_MS = 30000 -- how long a completed task is known at least: its worker may have missed the answer, and clients may wait
local DAY = 86400000
local FAILED_MS, FAILED = 600000, 5
local FAILURE_MS = 3600000 -- how long failures are known: another worker may complete the task much later

if (#ARGV - rest + 1) % 4 ~= 0 then
  return redis.error_reply('BADCALL malformed result')
end
local now = clock_now()
local completed, total = {}, 0 -- by worker; of all

--: later suspect
local function mark(worker)
  local state, place = key_prefix .. 'worker:' .. worker, ledger_read(redis.call('HGET', key_prefix .. 'ledger', worker))
  if place and redis.call('EXISTS', state) == 1 and redis.call('HSETNX', state, 'suspect_since', now) == 1 then
    redis.call('HINCRBY', key_prefix .. 'stats', 'event:suspect:tasks', 1)
    stream_add('suspect', 'tasks', 'worker_id', worker, 'tier', place.tier, 'status', place.status,
      'services', place.services ~= '-' and health_names(place.services) or '')
  end
end

-- Returns when a worker was last started (ms), as far as its boot_id tells.
local function start_of(worker)
  local times = try_call('HMGET', key_prefix .. 'registration:' .. worker, 'restarted_at', 'registered_at') or {}
  return tonumber(times[1] or times[2] or '') or 0
end

-- Counts the failures of other workers at a task that `worker` has completed. A worker is suspect if it has FAILED such failures
-- within FAILED_MS, all since its last start.
local function suspect(id, task, worker)
  task_history_find(task.history, function(of, _, outcome, ended)
    local started = outcome == 'failed' and of ~= worker and start_of(of)
    if started and tonumber(ended) >= started then
      local key = key_prefix .. 'failures:' .. of
      redis.call('ZADD', key, 'GT', ended, id)
      local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]
      redis.call('ZREMRANGEBYSCORE', key, '-inf', math.max(last - FAILED_MS, started - 1))
      local more = redis.call('ZCARD', key) - FAILED
      if more > 0 then
        redis.call('ZPOPMIN', key, more)
      end
      redis.call('PEXPIRE', key, FAILURE_MS)
      if more >= 0 then
        mark(of)
      end
    end
  end)
end

--: now
local function read(key)
  local values = redis.call('HMGET', key, 'state', 'worker_id', 'lease', 'queue', 'dedup', 'result_ttl', 'history', 'watchers')
  return { state = values[1], worker_id = values[2], lease = values[3], queue = values[4], dedup = values[5],
    result_ttl = values[6], history = values[7], watchers = values[8] }
end

local function complete(text, id, lease, result)
  local worker, may_speak = task_owners_read(text)
  if not may_speak then
    return 'others'
  end
  local key = key_prefix .. 'task:' .. id
  local task = read(key)
  if not task.state then
    return 'unknown'
  end
  local may = task_holders_check(task, worker, lease, 'completed')
  if may == 'ended' then
    return 'completed'
  elseif may == 'lost' then
    task_memory_need_not_be_free() -- else a full Redis refuses the call, whose other results may be in time
    if redis.call('HSETNX', key, 'late_by', worker) == 1 then
      redis.call('HSET', key, 'late_result', result)
    end
    return 'lost'
  elseif may == 'never' then
    return 'conflict'
  end
  task_moves_unhold(id, task, total > 0)
  local keep = tonumber(task.result_ttl) or DAY
  if keep > 0 then
    if task.history then
      redis.call('HDEL', key, 'error') -- of an attempt before; the history has it
    end
    task_ends_put(id, task, 'completed', now, math.max(keep, KNOWN_MS), 'result', result)
  else
    redis.call('HDEL', key, 'payload', 'error')
    task_ends_put(id, task, 'completed', now, KNOWN_MS)
  end
  completed[worker], total = (completed[worker] or 0) + 1, total + 1
  if task.history then
    suspect(id, task, worker)
  end
  return 'completed'
end

local answers = {}
for at = rest, #ARGV, 4 do
  answers[#answers + 1] = complete(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
end
for worker, count in pairs(completed) do
  if redis.call('EXISTS', key_prefix .. 'registration:' .. worker) == 1 then
    redis.call('HINCRBY', key_prefix .. 'registration:' .. worker, 'tasks_completed', count)
  end
end
if total > 0 then
  redis.call('HINCRBY', key_prefix .. 'stats', 'tasks_completed', total)
end
return answers
