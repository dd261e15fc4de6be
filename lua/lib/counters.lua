--: key stats
--: key services
--: finish counters_flush

-- The counters of the fleet (stats) and of its services. A script adds to them in memory, and writes them when it ends.

local deltas = { [key_stats] = {}, [key_services] = {} } -- by key and field

-- Adds `by` to the counter `field` of `key`.
local function counters_add(key, field, by)
  deltas[key][field] = (deltas[key][field] or 0) + by
end

-- Whether HINCRBY refuses a value that somebody has left with redis-cli: not a number, or one that is too large.
local function is_no_number(refusal)
  return string.find(refusal, 'not an integer', 1, true) or string.find(refusal, 'overflow', 1, true)
end

-- Writes the changes. It is called when a script has ended, also after an error: see embed.lua.
local function counters_flush()
  for key, fields in pairs(deltas) do
    for field, by in pairs(fields) do
      local count = by ~= 0 and redis.pcall('HINCRBY', key, field, string.format('%d', by))
      local refusal = type(count) == 'table' and count.err
      if refusal and not is_no_number(refusal) then
        error({ err = refusal .. ', calling HINCRBY' })
      end
      if refusal or (count == 0 and key == key_services) then -- anybody may make up names of services
        redis.call('HDEL', key, field)
      end
    end
    deltas[key] = {}
  end
end
