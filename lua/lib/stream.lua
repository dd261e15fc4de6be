--: key prefix
--: use try

-- The stream of events, for clients that ask for the ones that they missed.

local EVENTS = '5000' -- so many are kept at least

-- Adds an event. kind, reason: see KEYS.md. ...: names and values of more fields.
local function stream_add(kind, reason, ...)
  try_call('XADD', key_prefix .. 'events', 'MAXLEN', '~', EVENTS, '*', 'event', kind, 'reason', reason, ...)
end
