--: arg worker_id
--: rest leases
--: use clock
--: use task_leases

-- Takes back tasks whose leases the worker never received, since its connection was closed before the answer. leases: for each the
-- id of the task and the lease ("seq nonce"). Returns how many it took back.

if (#ARGV - rest + 1) % 2 ~= 0 then
  return redis.error_reply('BADCALL malformed leases')
end
local now, count = clock_now(), 0
for at = rest, #ARGV, 2 do
  local lease = redis.call('HMGET', key_prefix .. 'task:' .. ARGV[at], 'state', 'worker_id', 'lease')
  if lease[1] == 'leased' and lease[2] == arg_worker_id and lease[3] == ARGV[at + 1] then
    task_leases_give_back(arg_worker_id, ARGV[at], 'never heard of', now)
    count = count + 1
  end
end
return count
