--: key prefix

-- As lib/memory.lua, for scripts whose one key is the prefix.
local function task_memory_need_not_be_free()
  redis.call('PERSIST', key_prefix .. 'stats') -- it has no TTL
end
