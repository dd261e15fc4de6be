-- The number in `text`; nil if it is not a number, or is "nan" or "inf", which tonumber accepts.
local function number_of(text)
  local number = tonumber(text)
  return number and number - number == 0 and number or nil
end
