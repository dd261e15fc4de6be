--: rest failures
--: use number
--: use clock
--: use task_holders
--: use task_moves
--: use task_owners

-- Takes back tasks at which their workers have failed. failures: for each the worker's id, the task's id, its lease ("seq nonce";
-- "" none), the error as text, "1" if another attempt may succeed, the ms after which to try again ("" for the task's own delay), a
-- random number from 0 to 1. Returns a word for each like task_complete, with "failed" in place of "completed". After "failed" come
-- a blank, the task's new state, a blank, and the moment (ms) of the next attempt, 0 for none.

if (#ARGV - rest + 1) % 7 ~= 0 then
  return redis.error_reply('BADCALL malformed failure')
end
for at = rest, #ARGV, 7 do
  local after, random = ARGV[at + 5], number_of(ARGV[at + 6])
  if not string.find(after, '^%d*$') or not random or random < 0 or random > 1 then
    return redis.error_reply('BADCALL malformed failure')
  end
end
local now = clock_now()

-- ms until the next attempt. The delay begins with the first number of the task's backoff and doubles up to the second; half of it
-- is random.
local function backoff(task, random)
  local first, most = string.match(task.backoff or '5000 900000', '^(%d+) (%d+)$')
  local ms = math.min(tonumber(most), first * 2 ^ math.min(task.attempts - 1, 40))
  return math.floor(ms / 2 + ms / 2 * random)
end

local function fail(name, id, lease, err, retryable, after, random)
  local worker, may_speak = task_owners_read(name)
  if not may_speak then
    return 'others'
  end
  local task = task_moves_read(id)
  if not task then
    return 'unknown'
  end
  local may = task_holders_check(task, worker, lease, 'failed')
  if may == 'ended' then
    return 'failed ' .. task.state .. ' ' .. (task.state == 'scheduled' and task.available_at or '0')
  elseif may ~= 'held' then
    return may == 'lost' and 'lost' or 'conflict'
  end
  local key = key_prefix .. 'task:' .. id
  task_moves_unhold(id, task)
  task.attempts = task.attempts + 1
  task_queues_count(task.queue, 'failed', 1)
  redis.call('HSET', key, 'attempts', task.attempts, 'error', err, 'avoid', worker, 'history',
    task_history_add(task.history, worker, task.lease, task.started_at, now, 'failed', err))
  if task.cancel then
    task_moves_end(id, task, 'cancelled', now)
    return 'failed cancelled 0'
  elseif not retryable or task.attempts >= task.max_attempts then
    task_moves_bury(id, task, retryable and 'attempts' or 'fatal', now)
    return 'failed dead 0'
  elseif task.expires_at and tonumber(task.expires_at) <= now then
    task_moves_end(id, task, 'expired', now)
    return 'failed expired 0'
  end
  local again_at = string.format('%.0f', now + (after ~= '' and after or backoff(task, random)))
  redis.call('HSET', key, 'state', 'scheduled', 'available_at', again_at)
  redis.call('HDEL', key, 'progress') -- of the attempt that is over
  task_agenda_add('scheduled', task.queue, id, again_at)
  if task.expires_at then
    task_agenda_add('expiring', task.queue, id, task.expires_at)
  end
  return 'failed scheduled ' .. again_at
end

local answers = {}
for at = rest, #ARGV, 7 do
  answers[#answers + 1] = fail(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4] == '1', ARGV[at + 5], ARGV[at + 6])
end
return answers
