--: key requests

-- How many requests each worker has, by the leases of all coordinators: `requests`, id → number, none for 0.

local has_any -- whether any worker has one, when that was asked first; no script asks before it leases one

-- How many requests worker `id` has.
local function requests_of(id)
  if has_any == nil then
    has_any = redis.call('EXISTS', key_requests) == 1
  end
  return has_any and tonumber(redis.call('HGET', key_requests, id) or '') or 0
end
