--: arg task_id
--: use clock
--: use task_moves

-- Explains why a task is in its state. Returns {"now", ms, then names and values: the fields of task_moves that it has; "held_by":
-- some of the workers with leases of its queue, with blanks between; "deadline" (ms) of its lease; "position", "of": its place in
-- its queue, and the length; "ahead": how many of the tasks before it one of the able workers could do, the one with the fewest of
-- these; "paused", "limit", "leased" of its queue; "able", "offline": how many live and offline workers could do it;
-- "offline_since" (ms) of the worker that has been silent longest; "closed": able workers that drain; "full": how many of the able
-- ones hold as many tasks as they may; "avoided_until" (ms): the able worker that failed at it last does not get it before this
-- moment; "counted": how many workers it looked at; "all": how many there are; "average": how many ms the last tasks of its queue
-- took}, or the error NOTASK.

local COUNTED = 2000 -- workers, some 2 µs each
local LANES = 2000 -- the most of the queue, 1 µs each; a job for all workers makes one for each of them
local HOLDERS = 100
local SOME = 8 -- able workers that are compared for "ahead"
local PATIENCE_MS = 15000 -- as in task_lease

local task = task_moves_read(arg_task_id)
if not task then
  return redis.error_reply('NOTASK Task not found')
end
local now = clock_now()
local result = { 'now', string.format('%.0f', now) }
local function say(name, value)
  if value then
    result[#result + 1] = name
    result[#result + 1] = type(value) == 'number' and string.format('%.0f', value) or value
  end
end
for _, name in ipairs({ 'state', 'queue', 'group', 'shape', 'priority', 'attempts', 'max_attempts', 'available_at', 'expires_at',
  'worker_id', 'started_at', 'cancel', 'avoid' }) do
  say(name, task[name])
end

-- some: able workers. The task begins when the first of them comes to it.
local function say_position(some)
  local place = redis.call('ZSCORE', task_lanes_key(task.group, task.queue, task.shape), arg_task_id)
  local before, all = 0, 0
  for _, lane in ipairs(redis.call('SRANDMEMBER', key_prefix .. 'queue_lanes:' .. task.queue, LANES)) do
    local group, shape = string.match(lane, '^(%S+) (.*)$')
    local key = task_lanes_key(group, task.queue, shape)
    all = all + redis.call('ZCARD', key)
    local count = place and redis.call('ZCOUNT', key, '-inf', '(' .. place) or 0
    before = before + count
    for _, worker in ipairs(count > 0 and some or {}) do
      worker.ahead = worker.ahead + (worker.has[group] and task_workers_fits(worker, shape) and count or 0)
    end
  end
  say('position', before + 1)
  say('of', all)
  local ahead = nil
  for _, worker in ipairs(some) do
    ahead = math.min(ahead or worker.ahead, worker.ahead)
  end
  say('ahead', ahead)
end

local function say_queue()
  local queue = redis.call('HMGET', key_prefix .. 'queue:' .. task.queue, 'paused', 'limit', 'leased')
  say('paused', queue[1])
  say('limit', queue[2])
  say('leased', queue[3])
  local holders = {}
  for _, worker in ipairs(queue[2] and redis.call('ZRANGE', key_prefix .. 'leases', 0, HOLDERS - 1) or {}) do
    for _, entry in ipairs(redis.call('HVALS', key_prefix .. 'held:' .. worker)) do
      if string.match(entry, '^%d+ %d+ %d+ %d+ (%S+)') == task.queue and holders[#holders] ~= worker then
        holders[#holders + 1] = worker
      end
    end
  end
  say('held_by', #holders > 0 and table.concat(holders, ' '))
end

-- A group's name has a letter and a value: "w" and a worker's id, or one of these demands, which a shape may have, too.
local GROUPS = { t = 'tier', s = 'service', m = 'model' }

-- Returns some of the able workers, each with its groups as a set, and no task ahead.
local function say_workers()
  local shape = task.shape
  local letter, value = string.match(task.group, '^(%l):(.*)$')
  if GROUPS[letter] then
    shape = GROUPS[letter] .. '=' .. value .. (shape ~= '' and ';' .. shape or '')
  end
  local able, full, offline, closed, counted, since, cursor = 0, 0, 0, 0, 0, nil, '0'
  local avoids, some = false, {}
  repeat
    local page = letter == 'w' and { '0', { value, redis.call('HGET', key_prefix .. 'ledger', value) } }
      or redis.call('HSCAN', key_prefix .. 'ledger', cursor, 'COUNT', 500)
    cursor = page[1]
    for at = 1, #page[2], 2 do
      local id, place = page[2][at], ledger_read(page[2][at + 1])
      counted = counted + 1
      local worker = place and task_workers_of(id, place)
      if worker and task_workers_fits(worker, shape) then
        if place.status == 'offline' then
          offline = offline + 1
          local last = tonumber(redis.call('HGET', key_prefix .. 'worker:' .. id, 'last_heartbeat') or '')
          since = last and math.min(last, since or last) or since
        elseif place.status == 'draining' then
          closed = closed + 1
        else
          able = able + 1
          some[#some + 1] = #some < SOME and worker or nil
          full = full + (task_workers_room(id) > 0 and 0 or 1)
          avoids = avoids or task.state == 'queued' and id == task.avoid and letter ~= 'w'
        end
      end
    end
  until cursor == '0' or counted >= COUNTED
  say('able', able)
  say('full', full)
  say('offline', offline)
  say('closed', closed)
  say('offline_since', since)
  local avoided_until = (tonumber(task.available_at or '') or 0) + PATIENCE_MS
  say('avoided_until', avoids and avoided_until > now and redis.call('ZCARD', key_prefix .. 'online') > 1 and avoided_until)
  say('counted', counted)
  say('all', letter == 'w' and 1 or redis.call('HLEN', key_prefix .. 'ledger'))
  for _, worker in ipairs(some) do
    worker.ahead, worker.has = 0, {}
    for _, group in ipairs(worker.groups) do
      worker.has[group] = true
    end
  end
  return some
end

-- Says how long the last tasks of its queue took.
local function say_average()
  local sum, count = 0, 0
  for _, id in ipairs(redis.call('ZRANGE', key_prefix .. 'completed:' .. task.queue, -20, -1)) do
    local times = redis.call('HMGET', key_prefix .. 'task:' .. id, 'started_at', 'finished_at')
    if times[1] and times[2] then
      sum, count = sum + times[2] - times[1], count + 1
    end
  end
  say('average', count > 0 and sum / count)
end

if task.state == 'queued' or task.state == 'scheduled' then
  say_queue()
  local some = say_workers()
  if task.state == 'queued' then
    say_position(some)
  end
  say_average()
elseif task.state == 'leased' then
  local entry = redis.call('HGET', key_prefix .. 'held:' .. task.worker_id, arg_task_id)
  local beats = redis.call('HMGET', key_prefix .. 'worker:' .. task.worker_id, 'last_heartbeat', 'silent_until')
  if entry then
    local lease_ms, until_then, ends = string.match(entry, '^(%d+) (%d+) (%d+)')
    say('deadline', math.min(tonumber(ends), math.max(tonumber(until_then), (beats[1] or 0) + lease_ms, tonumber(beats[2] or 0))))
  end
end
return result
