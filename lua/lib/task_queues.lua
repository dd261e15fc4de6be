--: key prefix
--: finish task_queues_flush

-- What is kept of each queue: `paused`, `limit`, `leased`, totals. A script counts in memory; it is written when the script ends.

local queue_deltas, queue_settings = {}, {} -- by queue: by field; as read

-- Adds `by` to the counter `field` of `queue`.
local function task_queues_count(queue, field, by)
  local of = queue_deltas[queue]
  if not of then
    of = {}
    queue_deltas[queue] = of
  end
  of[field] = (of[field] or 0) + by
end

-- Whether `queue` takes no more leases: "paused", "limit" or false.
local function task_queues_closed(queue)
  local is = queue_settings[queue]
  if not is then
    is = redis.call('HMGET', key_prefix .. 'queue:' .. queue, 'paused', 'limit', 'leased')
    queue_settings[queue] = is
  end
  if is[1] then
    return 'paused'
  end
  local leased = (tonumber(is[3] or '') or 0) + (queue_deltas[queue] and queue_deltas[queue].leased or 0)
  return is[2] and leased >= tonumber(is[2]) and 'limit'
end

-- Whether `queue` has a limit, so that the end of a lease makes room.
local function task_queues_limited(queue)
  task_queues_closed(queue)
  return queue_settings[queue][2]
end

-- Whether `queue` is there, or made now; false when there are too many. Writes.
local function task_queues_make(queue)
  local all = key_prefix .. 'queues'
  return redis.call('SISMEMBER', all, queue) == 1
    or redis.call('SCARD', all) < 1000 and redis.call('SADD', all, queue) == 1
end

local function task_queues_flush()
  for queue, fields in pairs(queue_deltas) do
    for field, by in pairs(fields) do
      if by ~= 0 then
        redis.call('HINCRBY', key_prefix .. 'queue:' .. queue, field, by)
      end
    end
  end
  queue_deltas, queue_settings = {}, {}
end
