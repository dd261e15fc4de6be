--: key prefix
--: use clock
--: finish task_queues_flush

-- The fields of each queue: `paused`, `limit`, `leased`, `sequence`, `turn`, totals. A script counts in memory, and writes when it
-- ends.

local queue_deltas, queue_settings = {}, {} -- by queue, then by field; and the settings as read
local queue_turns = {} -- by queue: its turn, if this script has given it one

-- Adds `by` to the counter `field` of `queue`.
local function task_queues_count(queue, field, by)
  local of = queue_deltas[queue]
  if not of then
    of = {}
    queue_deltas[queue] = of
  end
  of[field] = (of[field] or 0) + by
end

-- What Redis has of `queue`: `paused`, `limit`, `leased`, `sequence`, `turn`.
local function settings_of(queue)
  local is = queue_settings[queue]
  if not is then
    is = redis.call('HMGET', key_prefix .. 'queue:' .. queue, 'paused', 'limit', 'leased', 'sequence', 'turn')
    queue_settings[queue] = is
  end
  return is
end

-- Whether `queue` takes no more leases: "paused", "limit" or false. more: leases that are about to be counted, or nil.
local function task_queues_closed(queue, more)
  local is = settings_of(queue)
  if is[1] then
    return 'paused'
  elseif not is[2] then
    return false
  end
  local leased = (tonumber(is[3] or '') or 0) + (queue_deltas[queue] and queue_deltas[queue].leased or 0) + (more or 0)
  return leased >= tonumber(is[2]) and 'limit'
end

-- Whether `queue` has a limit, so that the end of a lease makes room.
local function task_queues_limited(queue)
  return settings_of(queue)[2]
end

-- Returns the number of the next task that is put into `queue`. The first number is the present (ms), so that the task comes after
-- tasks that a coordinator with another way of counting has queued.
local function task_queues_next(queue)
  local last = tonumber(settings_of(queue)[4] or 0) + (queue_deltas[queue] and queue_deltas[queue].sequence or 0)
  local by = last == 0 and clock_now() or 1
  task_queues_count(queue, 'sequence', by)
  return last + by
end

-- Returns the turn at which `queue` was served last. Of several queues, the one with the least turn is next.
local function task_queues_turn(queue)
  return queue_turns[queue] or tonumber(settings_of(queue)[5] or 0)
end

local function task_queues_serve(queue, turn)
  queue_turns[queue] = turn
end

-- Makes `queue` if it does not exist. Returns false if there are too many queues.
local function task_queues_make(queue)
  local all = key_prefix .. 'queues'
  return redis.call('SISMEMBER', all, queue) == 1
    or redis.call('SCARD', all) < 1000 and redis.call('SADD', all, queue) == 1
end

local function task_queues_flush()
  for queue, fields in pairs(queue_deltas) do
    for field, by in pairs(fields) do
      if by ~= 0 then
        redis.call('HINCRBY', key_prefix .. 'queue:' .. queue, field, string.format('%.0f', by))
      end
    end
  end
  for queue, turn in pairs(queue_turns) do
    redis.call('HSET', key_prefix .. 'queue:' .. queue, 'turn', string.format('%.0f', turn))
  end
  queue_deltas, queue_settings, queue_turns = {}, {}, {}
end
