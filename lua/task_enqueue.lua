--: rest tasks
--: use number
--: use clock
--: use task_moves

-- Takes new tasks. tasks: for each its id, queue, group and shape (see lib/task_lanes.lua), priority; when it is due ("" at
-- once, "+n" in n ms, else ms since 1970); the ms after which it expires while it waits ("" never); dedup key ("" none); what
-- to do where a live task has that key: "return" or "replace"; digest of its idempotency key ("" none), and of its body; the
-- number of strings that follow, and these: names and values of its hash's fields. Returns {the present (ms), for each a word,
-- a blank, and an id: "new"; "same", that of the live task with its dedup key; "again", that of the task that the idempotency
-- key made; "other", the key has made one of another body; "full", there are too many queues or kinds of demands (id: that of
-- the queue)}.

local IDEMPOTENT_MS = 86400000
local FIXED = 12

local now = clock_now()
local at = rest
while at <= #ARGV do
  local priority, extra = number_of(ARGV[at + 4]), number_of(ARGV[at + 11])
  local due, ttl = string.match(ARGV[at + 5] or '?', '^%+?(%d*)$'), string.match(ARGV[at + 6] or '?', '^%d*$')
  if not extra or extra % 2 ~= 0 or extra < 0 or at + FIXED - 1 + extra > #ARGV or not due or not ttl or not priority
    or priority % 1 ~= 0 or math.abs(priority) > 100 or ARGV[at] == '' or not string.find(ARGV[at + 1], '^[%w._:-]+$')
    or string.find(ARGV[at + 2], '%s') or ARGV[at + 2] == '' or string.find(ARGV[at + 3], '%s') then
    return redis.error_reply('BADCALL malformed task')
  end
  at = at + FIXED + extra
end

-- What the idempotency key says: a word and an id; nil when it is new.
local function replayed(digest, body)
  local made = digest ~= '' and redis.call('GET', key_prefix .. 'idempotency:' .. digest)
  if made then
    local id, of = string.match(made, '^(%S+) (.*)$')
    return (of == body and 'again ' or 'other ') .. id
  end
end

-- The live task that has the dedup key, which is in the way; nil when there is none, or none any more.
local function in_the_way(queue, dedup, on_conflict)
  local id = dedup ~= '' and redis.call('GET', key_prefix .. 'dedup:' .. queue .. ' ' .. dedup)
  local old = id and task_moves_read(id)
  if old and on_conflict == 'replace' and (old.state == 'queued' or old.state == 'scheduled') then
    task_moves_take_out(id, old)
    task_moves_end(id, old, 'cancelled', now)
    return nil
  end
  return old and id
end

local rooms = {} -- by lane: whether there is room for it, and for its queue

local function has_room(group, queue, shape)
  local lane = group .. ' ' .. queue .. ' ' .. shape
  if rooms[lane] == nil then
    rooms[lane] = task_lanes_room(group, queue, shape) and task_queues_make(queue) or false
  end
  return rooms[lane]
end

local counts = {} -- of those that are queued in each lane, to be woken for

local function take(id, queue, group, shape, priority)
  local due, ttl, dedup, idempotency, body = ARGV[at + 5], ARGV[at + 6], ARGV[at + 7], ARGV[at + 9], ARGV[at + 10]
  local answer = replayed(idempotency, body)
  if answer then
    return answer
  end
  if not has_room(group, queue, shape) then
    return 'full ' .. queue
  end
  local blocking = in_the_way(queue, dedup, ARGV[at + 8])
  if blocking then
    return 'same ' .. blocking
  end
  local due_at = due ~= '' and (string.sub(due, 1, 1) == '+' and now + due or tonumber(due)) or now
  local expires_at = ttl ~= '' and string.format('%.0f', now + ttl)
  local state = due_at > now and 'scheduled' or 'queued'
  redis.call('HSET', key_prefix .. 'task:' .. id, 'state', state, 'queue', queue, 'created_at', string.format('%.0f', now),
    unpack(ARGV, at + FIXED, at + FIXED - 1 + ARGV[at + 11]))
  if state == 'scheduled' then
    redis.call('HSET', key_prefix .. 'task:' .. id, 'available_at', string.format('%.0f', due_at))
    task_agenda_add('scheduled', queue, id, due_at)
  else
    task_lanes_put(id, group, queue, shape, priority)
    local lane = group .. ' ' .. queue .. ' ' .. shape
    counts[lane] = (counts[lane] or 0) + 1
  end
  if expires_at then
    redis.call('HSET', key_prefix .. 'task:' .. id, 'expires_at', expires_at)
    task_agenda_add('expiring', queue, id, expires_at)
  end
  if dedup ~= '' then
    redis.call('SET', key_prefix .. 'dedup:' .. queue .. ' ' .. dedup, id)
  end
  if idempotency ~= '' then
    redis.call('SET', key_prefix .. 'idempotency:' .. idempotency, id .. ' ' .. body, 'PX', IDEMPOTENT_MS)
  end
  task_queues_count(queue, 'enqueued', 1)
  return 'new ' .. id
end

local result = { string.format('%.0f', now) }
at = rest
while at <= #ARGV do
  result[#result + 1] = take(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4]))
  at = at + FIXED + ARGV[at + 11]
end
for lane, count in pairs(counts) do
  local group, queue, shape = string.match(lane, '^(%S+) (%S+) (.*)$')
  if not task_queues_closed(queue) then
    task_waiters_wake(group, queue, shape, count, now)
  end
end
return result
