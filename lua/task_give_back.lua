--: rest asks
--: use clock
--: use task_leases

-- Takes back the tasks that asks were given whose answers no worker has received: the connection to the worker or to Redis ended
-- before. asks: for each the worker's id and the id of the ask. Returns for each how many tasks it took back.

if (#ARGV - rest + 1) % 2 ~= 0 then
  return redis.error_reply('BADCALL malformed asks')
end
local now, result = clock_now(), {}
for at = rest, #ARGV, 2 do
  local worker, count = ARGV[at], 0
  for _, id in ipairs(task_leases_of(worker, ARGV[at + 1])) do
    task_leases_give_back(worker, id, 'never heard of', now)
    count = count + 1
  end
  result[#result + 1] = count
end
return result
