-- The number that `text` is; nil when it is none, or is "nan" or "inf", which tonumber takes.
local function number_of(text)
  local number = tonumber(text)
  return number and number - number == 0 and number or nil
end
