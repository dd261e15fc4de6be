--: key requests
--: key stats
--: use counters

-- How many requests each worker has, by the leases of all coordinators: `requests`, id → number, none for 0. The counter
-- `requests` of `stats` is their sum.

local has_any -- whether any worker has one; nil: not asked yet

-- How many requests worker `id` has.
local function requests_of(id)
  if has_any == nil then
    has_any = redis.call('EXISTS', key_requests) == 1
  end
  return has_any and tonumber(redis.call('HGET', key_requests, id) or '') or 0
end

-- Adds `by` to them; returns how many there are now.
local function requests_add(id, by)
  local count = redis.call('HINCRBY', key_requests, id, by)
  if count <= 0 then
    redis.call('HDEL', key_requests, id)
  end
  counters_add(key_stats, 'requests', by)
  has_any = nil
  return math.max(count, 0)
end
