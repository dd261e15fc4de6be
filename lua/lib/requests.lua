--: key requests

-- `requests` has the number of requests of each worker, by the leases of all coordinators. No entry: 0.

local has_any -- whether any worker has requests; read once, since no script reads it before it makes a lease

-- The number of requests that worker `id` has.
local function requests_of(id)
  if has_any == nil then
    has_any = redis.call('EXISTS', key_requests) == 1
  end
  return has_any and tonumber(redis.call('HGET', key_requests, id) or '') or 0
end
