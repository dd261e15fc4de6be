--: rest tasks
--: use number
--: use clock
--: use ms
--: use task_moves

-- Takes new tasks.
--
--   tasks          for each task twelve strings, then its fields:
--     id
--     queue
--     group, shape its demands (see lib/task_lanes.lua)
--     priority     -100 to 100
--     due          when it is due: "" at once; "+n" in n ms; else ms since 1970
--     ttl          the ms after which it expires if it still waits; "" never
--     dedup        its dedup key; "" none
--     on_conflict  what happens if a live task has that key: "return" or "replace"; then, if only tasks of the same submitter may
--                  be returned or replaced, a blank and the submitter (`by`)
--     idempotency  the digest of its idempotency key; "" none
--     body         the digest of the request's body
--     count        how many strings follow
--     fields       names and values of the fields of its hash
--
-- Returns {the present (ms), then for each task a word, a blank and an id}. The words: "new"; "same": a live task, whose id it is,
-- has the dedup key; "blocked": the same, but the task is somebody else's; "again": a request with the idempotency key was answered
-- with the task of this id; "other": the idempotency key was used with another body; "full": there are too many queues or kinds of
-- demands, and the id is the name of the queue.

local IDEMPOTENT_MS = 86400000
local FIXED = 12

local now = clock_now()

-- Whether queue, group, shape and priority are well formed. Most tasks of one call are alike, so it keeps the results.
local lanes_known = {}

local function is_lane(queue, group, shape, priority)
  local lane = queue .. ' ' .. group .. ' ' .. shape .. ' ' .. priority
  if lanes_known[lane] == nil then
    lanes_known[lane] = string.find(lane, '^[%w._:-]+ %S+ %S* %-?%d+$') ~= nil and math.abs(priority) <= 100
  end
  return lanes_known[lane]
end

local at = rest
while at <= #ARGV do
  local extra, due, ttl = number_of(ARGV[at + 11]), ARGV[at + 5], ARGV[at + 6]
  if not extra or extra % 2 ~= 0 or extra < 0 or at + FIXED - 1 + extra > #ARGV or ARGV[at] == ''
    or not is_lane(ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
    or not string.find(ARGV[at + 8], '^%S+ ?%S*$')
    or due ~= '' and not string.find(due, '^%+?%d*$') or ttl ~= '' and not string.find(ttl, '^%d*$') then
    return redis.error_reply('BADCALL malformed task')
  end
  at = at + FIXED + extra
end

-- Returns the answer if the idempotency key was used before, a word and an id; nil if it is new.
local function replayed(digest, body)
  local made = digest ~= '' and redis.call('GET', key_prefix .. 'idempotency:' .. digest)
  if made then
    local id, of = string.match(made, '^(%S+) (.*)$')
    return (of == body and 'again ' or 'other ') .. id
  end
end

--: later in_the_way
-- Looks for a live task with the dedup key, and cancels one that is to be replaced. Returns a word and its id; nil if none is left.
local function in_the_way(queue, dedup, on_conflict)
  local id = redis.call('GET', key_prefix .. 'dedup:' .. queue .. ' ' .. dedup)
  local old, what, by = id and task_moves_read(id), string.match(on_conflict, '^(%S+) ?(.*)$')
  if old and task_moves_expire(id, old, now) then
    return nil
  elseif old and by ~= '' and redis.call('HGET', key_prefix .. 'task:' .. id, 'by') ~= by then
    return 'blocked ' .. id
  elseif old and what == 'replace' and (old.state == 'queued' or old.state == 'scheduled') then
    task_moves_take_out(id, old)
    task_moves_end(id, old, 'cancelled', now)
    return nil
  end
  return old and 'same ' .. id
end

--: now
local function remember(idempotency, body, id)
  if idempotency ~= '' then
    redis.call('SET', key_prefix .. 'idempotency:' .. idempotency, id .. ' ' .. body, 'PX', IDEMPOTENT_MS)
  end
end

local lanes = {} -- by key: {group, queue, shape, whether there is room for it and its queue, how many are queued}

local function lane_of(group, queue, shape)
  local key = task_lanes_key(group, queue, shape)
  local lane = lanes[key]
  if not lane then
    lane = { group, queue, shape, task_lanes_room(group, queue, shape) and task_queues_make(queue), 0 }
    lanes[key] = lane
  end
  return lane
end

local function take_task(id, queue, group, shape, priority)
  local due, ttl, dedup, idempotency, body = ARGV[at + 5], ARGV[at + 6], ARGV[at + 7], ARGV[at + 9], ARGV[at + 10]
  local answer = replayed(idempotency, body)
  if answer then
    return answer
  end
  local lane = lane_of(group, queue, shape)
  if not lane[4] then
    return 'full ' .. queue
  end
  local blocking = dedup ~= '' and in_the_way(queue, dedup, ARGV[at + 8])
  if blocking then
    local same = string.match(blocking, '^same (.*)$')
    if same then
      remember(idempotency, body, same)
    end
    return blocking
  end
  local due_at = due ~= '' and (string.sub(due, 1, 1) == '+' and now + due or tonumber(due)) or now
  local expires_at = ttl ~= '' and ms_text(now + ttl)
  local state = due_at > now and 'scheduled' or 'queued'
  redis.call('HSET', key_prefix .. 'task:' .. id, 'state', state, 'queue', queue, 'created_at', ms_text(now),
    unpack(ARGV, at + FIXED, at + FIXED - 1 + ARGV[at + 11]))
  if state == 'scheduled' then
    redis.call('HSET', key_prefix .. 'task:' .. id, 'available_at', ms_text(due_at))
    task_agenda_add('scheduled', queue, id, due_at)
  else
    task_lanes_put_later(id, group, queue, shape, priority)
    lane[5] = lane[5] + 1
  end
  if expires_at then
    redis.call('HSET', key_prefix .. 'task:' .. id, 'expires_at', expires_at)
    task_agenda_add('expiring', queue, id, expires_at)
  end
  if dedup ~= '' then
    redis.call('SET', key_prefix .. 'dedup:' .. queue .. ' ' .. dedup, id)
  end
  remember(idempotency, body, id)
  task_queues_count(queue, 'enqueued', 1)
  return 'new ' .. id
end

local result = { ms_text(now) }
at = rest
while at <= #ARGV do
  result[#result + 1] = take_task(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4]))
  at = at + FIXED + ARGV[at + 11]
end
for _, lane in pairs(lanes) do
  local group, queue, shape, _, count = unpack(lane)
  if count > 0 and not task_queues_closed(queue) then
    task_waiters_wake(group, queue, shape, count, now)
  end
end
return result
