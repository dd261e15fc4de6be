--: key prefix

-- Reads how many requests of each service are under way, and how many have ended so far (see lib/route_leases.lua). Returns
-- {service, under way, ended, …} in the order of the services' names. The numbers are as Redis has them.

local counts, names = {}, {}
for at, hash in ipairs({ 'flights', 'served' }) do
  local all = redis.call('HGETALL', key_prefix .. hash)
  for i = 1, #all, 2 do
    local name = all[i]
    if not counts[name] then
      counts[name] = { '0', '0' }
      names[#names + 1] = name
    end
    counts[name][at] = all[i + 1]
  end
end
table.sort(names)
local result = {}
for _, name in ipairs(names) do
  result[#result + 1] = name
  result[#result + 1] = counts[name][1]
  result[#result + 1] = counts[name][2]
end
return result
