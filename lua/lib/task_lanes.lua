--: key prefix
--: finish task_lanes_flush

-- The lanes in which queued tasks wait. A lane is a sorted set of the tasks of one queue that demand the same of a worker, by
-- place. The demand is a `group`, by which a worker finds its lanes, and a `shape`, the rest, which it looks at.
--
-- A place is (100 - priority) * 2^44 + p. A new task of a queue gets p = the greater of the place served last in its group and
-- the last one given to its queue there, and 1 more: start-time fair queueing. So queues share evenly, and tasks of one stay in
-- order.
--
-- `lanes:<group>` has the lanes that are not empty, each with a lower bound of its first place.

local LANE_BAND = 17592186044416 -- 2^44
local lane_places, lane_changes = {}, {} -- by group: by field of `places:<group>`; those to be written when the script ends
local lane_bounds = {} -- by group and lane: its bound, as far as this script knows it

local function task_lanes_key(group, queue, shape)
  return key_prefix .. 'ready:' .. group .. ' ' .. queue .. ' ' .. shape
end

-- The places of `group` that this script knows; reads those under the two fields.
local function places_of(group, first, second)
  local of = lane_places[group]
  if not of then
    of = {}
    lane_places[group], lane_changes[group] = of, {}
  end
  if not of[first] or not of[second] then
    local found = redis.call('HMGET', key_prefix .. 'places:' .. group, first, second)
    of[first] = of[first] or tonumber(found[1] or 0)
    of[second] = of[second] or tonumber(found[2] or 0)
  end
  return of
end

-- Puts task `id` into its lane. before: the place that it had, to stand in front; nil: at the end.
local function task_lanes_put(id, group, queue, shape, priority, before)
  local band, last = (100 - priority) * LANE_BAND, queue .. ' ' .. priority
  local served = tostring(priority)
  local of = places_of(group, served, last)
  local place
  if before then
    place = band + math.max(0, math.min(before - band, of[served]))
  else
    of[last] = math.max(of[served], of[last]) + 1
    lane_changes[group][last] = true
    place = band + of[last]
  end
  local key = task_lanes_key(group, queue, shape)
  redis.call('ZADD', key, place, id)
  if not lane_bounds[key] or place < lane_bounds[key] then
    if redis.call('ZADD', key_prefix .. 'lanes:' .. group, 'LT', place, queue .. ' ' .. shape) == 1 then
      redis.call('SADD', key_prefix .. 'groups', group)
      redis.call('SADD', key_prefix .. 'queue_lanes:' .. queue, group .. ' ' .. shape)
    end
    lane_bounds[key] = place
  end
end

-- Says that what had `place` in `group` has been taken.
local function task_lanes_served(group, place)
  local p = place % LANE_BAND
  local field = tostring(100 - (place - p) / LANE_BAND)
  local of = places_of(group, field, field)
  if p > of[field] then
    of[field] = p
    lane_changes[group][field] = true
  end
end

-- Takes an empty lane out of the indexes, and with its last lane the group.
local function task_lanes_drop(group, queue, shape)
  lane_bounds[task_lanes_key(group, queue, shape)] = nil
  redis.call('ZREM', key_prefix .. 'lanes:' .. group, queue .. ' ' .. shape)
  redis.call('SREM', key_prefix .. 'queue_lanes:' .. queue, group .. ' ' .. shape)
  if redis.call('EXISTS', key_prefix .. 'lanes:' .. group) == 0 then
    redis.call('SREM', key_prefix .. 'groups', group)
    redis.call('DEL', key_prefix .. 'places:' .. group)
    lane_places[group], lane_changes[group] = nil, nil
  end
end

-- Takes task `id` out of its lane.
local function task_lanes_remove(id, group, queue, shape)
  local key = task_lanes_key(group, queue, shape)
  redis.call('ZREM', key, id)
  if redis.call('EXISTS', key) == 0 then
    task_lanes_drop(group, queue, shape)
  end
end

-- Whether a task may make a lane, if it is a new one: each ask of a worker looks at all lanes of its groups.
local function task_lanes_room(group, queue, shape)
  local lanes = key_prefix .. 'lanes:' .. group
  return redis.call('ZSCORE', lanes, queue .. ' ' .. shape)
    or redis.call('ZCARD', lanes) < 512 and redis.call('SCARD', key_prefix .. 'groups') < 20000
end

local function task_lanes_flush()
  for group, fields in pairs(lane_changes) do
    local pairs_of = {}
    for field in pairs(fields) do
      pairs_of[#pairs_of + 1] = field
      pairs_of[#pairs_of + 1] = lane_places[group][field]
    end
    for at = 1, #pairs_of, 1000 do
      redis.call('HSET', key_prefix .. 'places:' .. group, unpack(pairs_of, at, math.min(at + 999, #pairs_of)))
    end
  end
  lane_places, lane_changes, lane_bounds = {}, {}, {}
end
