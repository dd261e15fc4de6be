--: key stats

-- When Redis has reached its memory limit, it refuses the first write of a script if that may need memory, but takes the later
-- writes. So a script that must work in a full Redis calls this first: a write that needs no memory and changes nothing.
local function memory_need_not_be_free()
  redis.call('PERSIST', key_stats) -- it has no TTL
end
