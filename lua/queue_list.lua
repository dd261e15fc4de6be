--: arg from
--: arg only
--: arg max
--: key prefix
--: use clock
--: use number

-- Reads at most `max` queues in the order of their names, after `from` ("" from the beginning); or, if `only` is given, that queue
-- alone. Returns {the present (ms), then for each: name, queued, scheduled, completed, dead, cancelled, expired, for how many ms
-- the oldest queued task has waited ("" for none), its fields {name, value, …}}.

-- For the oldest task it looks into LANES lanes of each queue, and into BANDS priorities of each lane. It also looks into the first
-- priority of MORE_LANES more lanes, of all queues together, since a job for all workers makes a lane for each of them.
local LANES, BANDS, MORE_LANES = 64, 16, 2000
local BAND = 17592186044416 -- of places, see lib/task_lanes.lua

local max = number_of(arg_max)
if not max then
  return redis.error_reply('BADCALL max is a number')
end
local now = clock_now()

-- Returns since when (ms) the first task of lane `key` waits whose place is `from` or later; nil if there is none. And the place at
-- which the tasks of the next priority begin.
local function first_of(key, from)
  local id, place = unpack(redis.call('ZRANGE', key, from, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES'))
  if not id then
    return nil
  end
  local created, available = unpack(redis.call('HMGET', key_prefix .. 'task:' .. id, 'created_at', 'available_at'))
  local since = math.max(tonumber(created or '') or now, tonumber(available or '') or 0)
  return since, string.format('%.0f', place - place % BAND + BAND)
end

local more_lanes = MORE_LANES

local function queued_of(queue)
  local count, oldest = 0, nil
  for at, lane in ipairs(redis.call('SMEMBERS', key_prefix .. 'queue_lanes:' .. queue)) do
    local group, shape = string.match(lane, '^(%S+) (.*)$')
    local key = key_prefix .. 'ready:' .. group .. ' ' .. queue .. ' ' .. shape
    count = count + redis.call('ZCARD', key)
    local bands = at <= LANES and BANDS or math.min(more_lanes, 1)
    more_lanes = more_lanes - (at > LANES and bands or 0)
    local from = '-inf'
    for _ = 1, bands do
      local since, following = first_of(key, from)
      if not since then
        break
      end
      oldest, from = math.min(since, oldest or since), following
    end
  end
  return count, oldest
end

local names = redis.call('SMEMBERS', key_prefix .. 'queues')
table.sort(names)
local result = { string.format('%.0f', now) }
for _, queue in ipairs(names) do
  if (arg_only == '' or queue == arg_only) and queue > arg_from and max > 0 then
    max = max - 1
    local count, oldest = queued_of(queue)
    result[#result + 1] = queue
    result[#result + 1] = count
    for _, state in ipairs({ 'scheduled', 'completed', 'dead', 'cancelled', 'expired' }) do
      local key = key_prefix .. state .. ':' .. queue
      result[#result + 1] = state == 'scheduled' and redis.call('ZCARD', key) or redis.call('ZCOUNT', key, now, '+inf')
    end
    result[#result + 1] = oldest and string.format('%.0f', now - oldest) or ''
    result[#result + 1] = redis.call('HGETALL', key_prefix .. 'queue:' .. queue)
  end
end
return result
