-- The names in a list with commas between, each once.
local function names_split(names)
  local list = {}
  for name in string.gmatch(names, '[^,]+') do
    if not list[name] then
      list[name] = true
      list[#list + 1] = name
    end
  end
  return list
end
