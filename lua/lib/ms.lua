local ms_texts = {} -- by number

-- A moment or a length in ms as Redis is to keep it. A script has few of them, and many tasks that need them.
local function ms_text(ms)
  local text = ms_texts[ms]
  if not text then
    text = string.format('%.0f', ms)
    ms_texts[ms] = text
  end
  return text
end
