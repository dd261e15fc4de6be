--: key prefix
--: use many
--: use task_queues
--: finish task_lanes_flush

-- The lanes in which queued tasks wait. A lane is a sorted set, by place, of the tasks of one queue with the same demands on a
-- worker. The demands are a `group`, by which a worker finds its lanes, and a `shape`: the rest, which is checked for each lane.
--
-- A place is (100 - priority) * 2^44 + the number of the task in its queue. So the tasks of a queue are in order over all its
-- lanes.
--
-- `lanes:<group>` has the lanes that are not empty, each with a lower bound of its first place.

local LANE_BAND = 17592186044416 -- 2^44
local lane_bounds = {} -- by key of the lane: its bound, or a lower one, as far as this script knows it
local lane_entries = {} -- by key of the lane: places and ids, to be added when the script ends

local function task_lanes_key(group, queue, shape)
  return key_prefix .. 'ready:' .. group .. ' ' .. queue .. ' ' .. shape
end

local function task_lanes_flush()
  for key, entries in pairs(lane_entries) do
    many_call('ZADD', key, entries)
  end
  lane_entries = {}
end

-- Puts task `id` into its lane when the script ends. before: the place that it had, and gets again; nil: it gets the last place.
local function task_lanes_put_later(id, group, queue, shape, priority, before)
  local band = (100 - priority) * LANE_BAND
  local place = before and math.max(band, before) or band + task_queues_next(queue)
  local key = task_lanes_key(group, queue, shape)
  local entries = lane_entries[key] or {}
  lane_entries[key] = entries
  entries[#entries + 1] = place
  entries[#entries + 1] = id
  if not lane_bounds[key] or place < lane_bounds[key] then
    if redis.call('ZADD', key_prefix .. 'lanes:' .. group, 'LT', place, queue .. ' ' .. shape) == 1 then
      redis.call('SADD', key_prefix .. 'groups', group)
      redis.call('SADD', key_prefix .. 'queue_lanes:' .. queue, group .. ' ' .. shape)
    end
    lane_bounds[key] = place
  end
end

-- Puts a task into its lane at once; the arguments are the same.
local function task_lanes_put(...)
  task_lanes_put_later(...)
  task_lanes_flush()
end

-- Removes an empty lane from the indexes, and its group if that has no other lane.
local function task_lanes_drop(group, queue, shape)
  lane_bounds[task_lanes_key(group, queue, shape)] = nil
  redis.call('ZREM', key_prefix .. 'lanes:' .. group, queue .. ' ' .. shape)
  redis.call('SREM', key_prefix .. 'queue_lanes:' .. queue, group .. ' ' .. shape)
  if redis.call('EXISTS', key_prefix .. 'lanes:' .. group) == 0 then
    redis.call('SREM', key_prefix .. 'groups', group)
  end
end

-- Takes task `id` out of its lane.
local function task_lanes_remove(id, group, queue, shape)
  local key = task_lanes_key(group, queue, shape)
  task_lanes_flush()
  redis.call('ZREM', key, id)
  if redis.call('EXISTS', key) == 0 then
    task_lanes_drop(group, queue, shape)
  end
end

-- Whether a lane exists, or may still be made. Lanes are limited, since each ask of a worker looks at all lanes of its groups.
local function task_lanes_room(group, queue, shape)
  local lanes = key_prefix .. 'lanes:' .. group
  local bound = redis.call('ZSCORE', lanes, queue .. ' ' .. shape)
  if bound then
    lane_bounds[task_lanes_key(group, queue, shape)] = tonumber(bound)
    return true
  end
  return redis.call('ZCARD', lanes) < 512 and redis.call('SCARD', key_prefix .. 'groups') < 20000
end
