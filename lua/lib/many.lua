-- redis.call of a command that takes any number of members, with all of `list`, which may be longer than Lua's stack.
local function many_call(command, key, list)
  for at = 1, #list, 1000 do
    redis.call(command, key, unpack(list, at, math.min(at + 999, #list)))
  end
end
