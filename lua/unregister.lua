--: arg worker_id
--: use fleet

-- Removes a worker at its own wish. Returns "1", or the error NOTFOUND when there is none of that id.

local entry = redis.call('HGET', key_ledger, arg_worker_id)
local known = redis.call('EXISTS', key_worker .. arg_worker_id) == 1
if entry or known then
  fleet_forget(arg_worker_id, entry)
  fleet_flush()
end
if not known then
  return redis.error_reply('NOTFOUND Worker not found')
end
return '1'
