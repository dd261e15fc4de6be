--: arg queue
--: arg field
--: arg value
--: use clock
--: use stream
--: use task_lanes
--: use task_memory
--: use task_queues
--: use task_waiters

-- Sets `paused` ("1", "" to resume) or `limit` (a number, "" for none) of a queue. Returns "1", or "full" when there are too
-- many queues.

local WOKEN = 256 -- the most waiters, and the most lanes that are looked at

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
  local now, left = clock_now(), WOKEN
  for _, lane in ipairs(redis.call('SRANDMEMBER', key_prefix .. 'queue_lanes:' .. arg_queue, WOKEN)) do
    local group, shape = string.match(lane, '^(%S+) (.*)$')
    local count = math.min(left, redis.call('ZCARD', task_lanes_key(group, arg_queue, shape)))
    left = left - (count > 0 and task_waiters_wake(group, arg_queue, shape, count, now) or 0)
  end
end
return '1'
