-- What workers tell of single services. In the services of a place, "!name" besides "name" means that the worker provides it
-- and says that it is not well: it is given out for its other services alone.

-- The services of a place after a worker has told `told` of them: names, with a "!" before those that are not well. What it
-- does not name stays as it was.
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

-- The names of those that are not well, each with its "!".
local function health_marks(services)
  return string.match(services, ',(!.*)') or ''
end

-- The names of those that are not well.
local function health_unwell(services)
  return (string.gsub(health_marks(services), '!', ''))
end

-- Whether the worker says that `name` is not well.
local function health_is_unwell(services, name)
  return string.find(services, '!', 1, true) ~= nil and string.find(',' .. services .. ',', ',!' .. name .. ',', 1, true) ~= nil
end
