--: key prefix
--: use breakers

-- Decides by the outcomes of earlier requests whether a worker of a service may get a request.

-- Breakers that are open until later than this moment keep requests away. If more breakers are open than may be, because other
-- workers have left, the ones that have been open longest do not count.
local function bound_of(service, now)
  local key = key_prefix .. 'open:' .. service
  local over = redis.call('ZCOUNT', key, '(' .. now, '+inf') - breakers_most_open(service)
  local first = over > 0 and redis.call('ZRANGEBYSCORE', key, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', over - 1, 1)[2]
  return tonumber(first or now)
end

-- Whether a request tries a worker right now.
local function is_tried(entry, now)
  local given_until = string.match(entry.trial, '^@(%d+)$')
  local thread, lease = string.match(entry.trial, '^(%S+)/(%S+)$')
  return given_until and tonumber(given_until) > now
    or thread and redis.call('HEXISTS', key_prefix .. 'requests:' .. thread, lease) == 1 or false
end

-- The standing of a worker for which `outcomes` has `text` (false: none): "well"; "suspect": others are chosen first; "trial": one
-- request may try it; "forced": its breaker is open, but too many are; "tried": a request tries it right now; "open". Then its
-- parsed entry.
local function standing_of(service, text, now)
  if not text then
    return 'well'
  end
  local entry = breakers_read(text, now)
  if entry.open > now then
    return entry.open > bound_of(service, now) and 'open' or 'forced', entry
  elseif entry.open > 0 then
    return is_tried(entry, now) and 'tried' or 'trial', entry
  end
  return entry.suspect > now and 'suspect' or 'well', entry
end
