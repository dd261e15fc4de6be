local STATUSES = { healthy = true, degraded = true, draining = true, offline = true }

-- Whether a worker may have the status `text`.
local function status_is(text)
  return STATUSES[text] ~= nil
end
