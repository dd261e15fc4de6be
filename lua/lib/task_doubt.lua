--: key prefix

-- Makes the next sweep look at the tasks of worker `id`, since it has gone offline.
local function task_doubt_worker(id)
  redis.call('ZADD', key_prefix .. 'leases', 'XX', 0, id)
end
