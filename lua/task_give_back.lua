--: rest asks
--: use clock
--: use task_leases

-- Takes back the tasks that asks were given whose answers no worker has received: the connection to the worker or to Redis ended
-- before. asks: for each the worker's id, the id of the ask, and its answer: for each task its id and the deadline of its lease,
-- with blanks between; "" if the answer is not known, and the ask is the only one of that id. A task that the worker has been given
-- again since, by the same ask, has another deadline, and stays. Returns for each how many tasks it took back.

if (#ARGV - rest + 1) % 3 ~= 0 then
  return redis.error_reply('BADCALL malformed asks')
end
local now, result = clock_now(), {}
for at = rest, #ARGV, 3 do
  local worker, count, deadlines = ARGV[at], 0, nil
  for id, deadline in string.gmatch(ARGV[at + 2], '(%S+) (%d+)') do
    deadlines = deadlines or {}
    deadlines[id] = deadline
  end
  for id, deadline in pairs(task_leases_of(worker, ARGV[at + 1])) do
    if not deadlines or deadlines[id] == deadline then
      task_leases_give_back(worker, id, 'never heard of', now)
      count = count + 1
    end
  end
  result[#result + 1] = count
end
return result
