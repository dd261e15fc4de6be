--: key events
--: use counters
--: use health
--: use try

local EVENTS = '5000' -- kept, at the least, for those that ask for what they missed

-- Tells everybody who listens what happened to worker `id`: `kind` and `reason` as KEYS.md lists them, and counts it. place:
-- where it now stands; nil when nobody knows. Then names and values of more fields.
local function events_tell(kind, reason, id, place, ...)
  counters_add(key_stats, 'event:' .. kind .. ':' .. reason, 1)
  place = place or { tier = '', status = '', services = '-' }
  try_call('XADD', key_events, 'MAXLEN', '~', EVENTS, '*', 'event', kind, 'reason', reason, 'worker_id', id, 'tier', place.tier,
    'status', kind == 'removed' and kind or place.status,
    'services', place.services ~= '-' and health_names(place.services) or '', ...)
end
