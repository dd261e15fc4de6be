-- redis.call on a key of one worker; false if somebody has made it a key of another type with redis-cli. One such key must not stop
-- the rest.
local function try_call(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    return string.find(reply.err, 'WRONGTYPE', 1, true) == nil and error({ err = reply.err .. ', calling ' .. (...) })
  end
  return reply
end
