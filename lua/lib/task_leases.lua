--: key prefix
--: use task_moves
--: use try

-- The tasks that workers hold. `held:<worker>` has for each task "lease_ms until ends since queue request", all in ms, and "
-- cancel" at the end once it is to be cancelled. A heartbeat renews leases without writing here: a lease lasts until the greater of
-- `until` and the last heartbeat + lease_ms, but not beyond `ends`. `leases` has the workers, each with a moment before which none
-- of its leases runs out.

local NEWS_MS = 3600000 -- how long news waits for the next heartbeat

-- Tells worker `id` with its next heartbeat that it has lost a task or must cancel one, and tells its parked polls at once.
local function task_leases_tell(worker, id, what, now)
  if redis.call('EXISTS', key_prefix .. 'worker:' .. worker) == 0 then
    return
  end
  local news = key_prefix .. 'news:' .. worker
  redis.call('HSET', news, id, what)
  redis.call('PEXPIRE', news, NEWS_MS)
  redis.call('ZADD', key_prefix .. 'news', now + NEWS_MS, worker)
  task_waiters_call(worker)
end

-- The incarnation of worker `id`: a name for its present start.
local function task_leases_incarnation(id)
  return id .. '/' .. (try_call('HGET', key_prefix .. 'registration:' .. id, 'boot_id') or '')
end

-- Takes task `id` from its holder, and tells the holder if `news`.
local function lose(worker, id, reason, incarnation, now, news)
  local task = task_moves_read(id)
  if not task or task.state ~= 'leased' or task.worker_id ~= worker then
    redis.call('HDEL', key_prefix .. 'held:' .. worker, id) -- somebody has changed the data by hand
    return
  end
  task_moves_lose(id, task, reason, incarnation, now)
  if news then
    task_leases_tell(worker, id, 'lost', now)
  end
end

-- Takes all tasks from a worker. incarnation: the start of the worker that held them.
local function task_leases_release(worker, reason, incarnation, now)
  local held = redis.call('HKEYS', key_prefix .. 'held:' .. worker)
  if #held == 0 then -- writes nothing in that case, so that a full Redis can still refuse the script's next write
    return
  end
  for _, id in ipairs(held) do
    lose(worker, id, reason, incarnation, now, false)
  end
  redis.call('ZREM', key_prefix .. 'leases', worker)
  redis.call('DEL', key_prefix .. 'news:' .. worker)
  redis.call('ZREM', key_prefix .. 'news', worker)
end

-- Returns the tasks that a worker holds by the ask `request`: by id, until when.
local function task_leases_of(worker, request)
  local held, found = redis.call('HGETALL', key_prefix .. 'held:' .. worker), {}
  for i = 1, #held, 2 do
    local until_then, of = string.match(held[i + 1], '^%d+ (%d+) %d+ %d+ %S+ (%S+)')
    if of == request then
      found[held[i]] = until_then
    end
  end
  return found
end

-- Takes one task from a worker that has never received or begun it. reason: for the task's history.
local function task_leases_give_back(worker, id, reason, now)
  lose(worker, id, reason, '', now, false)
end

-- The moment at which a lease runs out. beaten: the worker's last heartbeat; silent_until: until when it may be silent.
local function task_leases_deadline(entry, beaten, silent_until)
  local lease_ms, until_then, ends = string.match(entry, '^(%d+) (%d+) (%d+)')
  return math.min(tonumber(ends or 0), math.max(tonumber(until_then or 0), beaten + (lease_ms or 0), silent_until))
end

-- Takes at most `max` tasks with expired leases from a worker. Returns how many it took.
local function task_leases_look(worker, now, max)
  local key = key_prefix .. 'held:' .. worker
  local held = redis.call('HGETALL', key)
  local state = key_prefix .. 'worker:' .. worker
  local live = redis.call('EXISTS', state .. ':online') == 1
  local beats = live and try_call('HMGET', state, 'last_heartbeat', 'silent_until') or {}
  local beaten, silent_until = tonumber(beats[1] or '') or 0, tonumber(beats[2] or '') or 0
  local incarnation = task_leases_incarnation(worker)
  local next_look, taken = nil, 0
  for at = 1, #held, 2 do
    local deadline = live and task_leases_deadline(held[at + 1], beaten, silent_until) or 0
    if deadline <= now and taken < max then
      lose(worker, held[at], live and 'ran out' or 'offline', incarnation, now, true)
      taken = taken + 1
    else
      next_look = math.min(next_look or deadline, deadline)
    end
  end
  if next_look then
    redis.call('ZADD', key_prefix .. 'leases', next_look, worker)
  else
    redis.call('ZREM', key_prefix .. 'leases', worker)
  end
  return taken
end
