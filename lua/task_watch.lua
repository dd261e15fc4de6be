--: arg thread
--: arg id
--: key prefix
--: use task_memory

-- Notes in a task which thread is to be told of its end (see lib/task_ends.lua). Returns 1, or 0 if the task has ended.

local THREADS = 32 -- the last threads that wait; the others find out by themselves

local key = key_prefix .. 'task:' .. arg_id
local finished, watchers = unpack(redis.call('HMGET', key, 'finished_at', 'watchers'))
if arg_thread == '' or string.find(arg_thread, '%s') then
  return redis.error_reply('BADCALL malformed thread')
elseif finished or redis.call('EXISTS', key) == 0 then
  return 0
end
local list = { arg_thread }
for other in string.gmatch(watchers or '', '%S+') do
  if other ~= arg_thread and #list < THREADS then
    list[#list + 1] = other
  end
end
task_memory_need_not_be_free()
redis.call('HSET', key, 'watchers', table.concat(list, ' '))
return 1
