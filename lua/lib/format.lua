--: key format
--: key instances
--: key life
--: key ledger
--: key prefix
--: key workers
--: use ledger
--: use life
--: use places
--: use try

-- The format of the data in Redis. Data without the key `format` has format 0. `instances` has the coordinators that serve, as
-- "<format> <name>", with the moment when they last said so.

local SEEN_MS = 30000 -- how long a coordinator counts as serving after it has said so

-- The format of the fleet's data; `own` if there is no fleet yet; nil if the key has another value than a number.
local function format_found(own)
  local found = redis.pcall('GET', key_format)
  if found then
    return type(found) == 'string' and string.find(found, '^%d+$') and tonumber(found) or nil
  end
  local there = redis.call('EXISTS', key_ledger, key_prefix .. 'stats', key_prefix .. 'credentials', key_prefix .. 'queues')
  return there > 0 and 0 or own
end

-- The names of the serving coordinators with a format older than `format`, with commas between; "" for none.
local function format_older(format, now)
  local names = {}
  for _, member in ipairs(try_call('ZRANGEBYSCORE', key_instances, now - SEEN_MS, '+inf') or {}) do
    local theirs, name = string.match(member, '^(%d+) (.*)$')
    if theirs and tonumber(theirs) < format then
      names[#names + 1] = name
    end
  end
  return table.concat(names, ', ')
end

-- Notes that coordinator `name` serves with `format`.
local function format_note(name, format, now)
  life_write_here(function()
    try_call('ZADD', key_instances, now, format .. ' ' .. name)
    try_call('ZREMRANGEBYSCORE', key_instances, '-inf', now - SEEN_MS)
  end)
end

-- The functions that bring a worker forward, by the format that it has before.
local FORWARD = {
  -- In format 0, loaded models are not in their normal form, unless a heartbeat has changed them since.
  ['0'] = function(id, entry, place)
    local active, special, models = string.match(place.ranking, '^(%S+) (%S+) (%S+)$')
    models = string.lower(models) .. ','
    models = string.gsub(models, '([^,]):latest,', '%1,')
    place.ranking = active .. ' ' .. special .. ' ' .. string.sub(models, 1, -2)
    places_move(id, entry, place)
  end,
}

-- Whether coordinators of `format` may serve beside those that have brought the data forward.
local function format_serves_beside(format)
  return (tonumber(try_call('HGET', key_life, 'beside') or '') or 0) <= format
end

-- Begins to bring the data from format `found` to `format`, whose coordinators serve beside those of format `beside` and later. If
-- this was begun from an even older format before, and has not ended, it begins again from that one.
local function format_begin(found, format, beside)
  local begun = tonumber(redis.call('HGET', key_life, 'forward_from') or '')
  redis.call('SET', key_format, format)
  redis.call('HSET', key_life, 'forward_from', math.min(begun or found, found), 'forward_after', '', 'beside', beside)
end

-- Goes on with at most `max` workers. Returns whether there is more to do, and, at the end, from which format the data was brought
-- forward.
local function format_forward(format, max)
  local from, after = unpack(redis.call('HMGET', key_life, 'forward_from', 'forward_after'))
  if not from then
    return false
  end
  local ids = redis.call('ZRANGEBYLEX', key_workers, after ~= '' and '(' .. after or '-', '+', 'LIMIT', 0, max)
  for step = tonumber(from), format - 1 do
    for _, id in ipairs(FORWARD[tostring(step)] and ids or {}) do
      local entry = redis.call('HGET', key_ledger, id)
      local place = ledger_read(entry)
      if place then
        FORWARD[tostring(step)](id, entry, place)
      end
    end
  end
  if #ids == max then
    redis.call('HSET', key_life, 'forward_after', ids[#ids])
    return true
  end
  redis.call('HDEL', key_life, 'forward_from', 'forward_after')
  return false, from
end
