--: arg queue
--: arg field
--: arg value
--: use clock
--: use stream
--: use task_memory
--: use task_queues
--: use task_wakes

-- Sets `paused` ("1", "" to resume) or `limit` (a number, "" for none) of a queue. Returns "1", or "full" when there are too
-- many queues.

local WOKEN = 256 -- the most waiters

if (arg_field ~= 'paused' and arg_field ~= 'limit') or not string.find(arg_value, '^%d*$')
  or not string.find(arg_queue, '^[%w._:-]+$') then
  return redis.error_reply('BADCALL paused or limit, and a number')
end
local key = key_prefix .. 'queue:' .. arg_queue
task_memory_need_not_be_free()
if not task_queues_make(arg_queue) then
  return 'full'
end
local before = redis.call('HGET', key, arg_field) or ''
if arg_value ~= '' then
  redis.call('HSET', key, arg_field, arg_value)
else
  redis.call('HDEL', key, arg_field)
end
if before ~= arg_value then
  stream_add('queue.' .. arg_field, arg_value, 'queue', arg_queue)
end
if not task_queues_closed(arg_queue) then
  task_wakes_queue(arg_queue, WOKEN, clock_now())
end
return '1'
