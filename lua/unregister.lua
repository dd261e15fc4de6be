--: arg worker_id
--: arg join
--: key worker
--: key ledger
--: use events
--: use memory
--: use owners
--: use places
--: use removal
--: use clock
--: use task_leases

-- Removes a worker for good, at its own wish or an operator's. join: the caller (see lib/owner.lua); "" if it may speak for all
-- workers. Returns "1", or the error NOTFOUND if there is no such worker, or OTHERS if it belongs to another join token.

if not owners_may(arg_worker_id, arg_join) then
  return redis.error_reply('OTHERS The worker registered with another join token')
end
local entry = redis.call('HGET', key_ledger, arg_worker_id)
local known = redis.call('EXISTS', key_worker .. arg_worker_id) == 1
local place = ledger_read(entry) or places_registered(arg_worker_id)
memory_need_not_be_free()
task_leases_release(arg_worker_id, 'unregistered', task_leases_incarnation(arg_worker_id), clock_now())
removal_remove(arg_worker_id, entry, 0)
if known or entry then
  events_tell('removed', known and 'unregistered' or 'timeout', arg_worker_id, place)
end
if not known then
  return redis.error_reply('NOTFOUND Worker not found')
end
return '1'
