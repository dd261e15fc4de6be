--: arg worker_id
--: arg task_id
--: arg lease
--: arg extend
--: arg percent
--: arg message
--: key prefix
--: use number
--: use clock
--: use task_holders
--: use task_memory
--: use task_owners

-- Takes a worker's report about a task that it holds. extend: the ms from now that it asks for ("" none); percent, message: its
-- progress ("" for neither). lease: "seq nonce", "" for an agent that has none. Returns {a word: "held", "lost", "conflict",
-- "others" or "unknown"; the moment (ms) at which the lease runs out without a heartbeat; "1" if the task is to be cancelled}.

local extend = arg_extend == '' and 0 or number_of(arg_extend)
if not extend or (arg_percent ~= '' and not number_of(arg_percent)) then
  return redis.error_reply('BADCALL extend and percent are numbers')
end
local worker, may_speak = task_owners_read(arg_worker_id)
if not may_speak then
  return { 'others', '0', '0' }
end
local key = key_prefix .. 'task:' .. arg_task_id
local values = redis.call('HMGET', key, 'state', 'worker_id', 'lease', 'history', 'cancel')
if not values[1] then
  return { 'unknown', '0', '0' }
end
local task = { state = values[1], worker_id = values[2], lease = values[3], history = values[4] }
local may = task_holders_check(task, worker, arg_lease, '')
if may ~= 'held' then
  return { may == 'never' and 'conflict' or 'lost', '0', '0' }
end
local held = key_prefix .. 'held:' .. worker
local entry = redis.call('HGET', held, arg_task_id)
local lease_ms, until_then, ends, after = string.match(entry or '', '^(%d+) (%d+) (%d+)( .*)$')
if not lease_ms then
  return { 'lost', '0', '0' }
end
task_memory_need_not_be_free()
if extend > 0 then
  -- the bound in `leases` is lowered at most: a look that is too early does no harm
  until_then = string.format('%.0f', math.min(tonumber(ends), clock_now() + extend))
  redis.call('HSET', held, arg_task_id, lease_ms .. ' ' .. until_then .. ' ' .. ends .. after)
  redis.call('ZADD', key_prefix .. 'leases', 'LT', until_then, worker)
end
if arg_percent ~= '' or arg_message ~= '' then
  redis.call('HSET', key, 'progress', arg_percent .. ' ' .. arg_message)
end
return { 'held', until_then, values[5] and '1' or '0' }
