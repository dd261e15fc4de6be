--: use counters
--: use health
--: use stream

-- Adds an event about worker `id`, and counts it. `kind` and `reason` are listed in KEYS.md. place: the worker's new place; nil if
-- it is not known. Then names and values of more fields.
local function events_tell(kind, reason, id, place, ...)
  counters_add(key_stats, 'event:' .. kind .. ':' .. reason, 1)
  place = place or { tier = '', status = '', services = '-' }
  stream_add(kind, reason, 'worker_id', id, 'tier', place.tier, 'status', kind == 'removed' and kind or place.status,
    'services', place.services ~= '-' and health_names(place.services) or '', ...)
end
