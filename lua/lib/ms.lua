local ms_texts = {} -- by number

-- Returns a moment or a duration (ms) as text for Redis. It remembers the texts, since many tasks of a script need the same ones.
local function ms_text(ms)
  local text = ms_texts[ms]
  if not text then
    text = string.format('%.0f', ms)
    ms_texts[ms] = text
  end
  return text
end
