--: key stats

-- Redis refuses the first write of a script when it has reached its memory limit and that write may need memory; what a script
-- writes after another write it takes. So a script that is to work in a full Redis too calls this before it writes: a write
-- that needs no memory, and changes nothing.
local function memory_need_not_be_free()
  redis.call('PERSIST', key_stats) -- it has no TTL
end
