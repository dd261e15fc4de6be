-- The health of single services, as workers report it. In the services of a place, "!name" beside "name" means that the worker
-- provides the service but reports it as unhealthy. The worker then gets work for its other services alone.

-- The services of a place after the report `told`: names, with a "!" before unhealthy ones. Services that the report does not name
-- are unchanged.
local function health_apply(services, told)
  if services == '-' or not (string.find(services, '!', 1, true) or string.find(told, '!', 1, true)) then
    return services
  end
  local names, marks, unwell = {}, {}, {}
  for mark, name in string.gmatch(services, '(!?)([^,]+)') do
    names[#names + 1] = mark == '' and name or nil
    unwell[name] = mark == '!'
  end
  for mark, name in string.gmatch(told, '(!?)([^,]+)') do
    unwell[name] = mark == '!'
  end
  for _, name in ipairs(names) do
    marks[#marks + 1] = unwell[name] and '!' .. name or nil
  end
  return table.concat(names, ',') .. (marks[1] and ',' or '') .. table.concat(marks, ',')
end

-- The names of a place's services, without the marks.
local function health_names(services)
  return (string.gsub(services, ',![^,]+', ''))
end

-- The names of the unhealthy services, each with its "!".
local function health_marks(services)
  return string.match(services, ',(!.*)') or ''
end

-- The names of the unhealthy services.
local function health_unwell(services)
  return (string.gsub(health_marks(services), '!', ''))
end

-- Whether the worker reports `name` as unhealthy.
local function health_is_unwell(services, name)
  return string.find(services, '!', 1, true) ~= nil and string.find(',' .. services .. ',', ',!' .. name .. ',', 1, true) ~= nil
end
