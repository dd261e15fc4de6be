--: use names
--: use status

-- A ledger entry says how a worker is counted and indexed. This library reads an entry into a table, which is called its place, and
-- writes it.
--
-- An entry is eight words: tier, status, load (millionths), "d" if an operator drains it, its services, and its ranking: active
-- requests, what it is specialized for, its loaded models. "-" stands for nothing; names have commas between. Up to two words
-- follow: its region, if it has one, and the address from which its last request came ("@203.0.113.7", "~203.0.113.7", see
-- whereabouts.lua), if that is known.

-- The place for an entry; nil if there is no entry, or somebody has written a malformed one.
local function ledger_read(entry)
  local tier, status, load, drained, services, ranking, region, caller =
    string.match(entry or '', '^([1-4]) (%l+) (%d+) ([d-]) (%S+) (%d+ %S+ %S+) ?([^%s@~]*) ?([@~]?%S*)$')
  if not tier or not status_is(status) or #load > 7 then
    return nil
  end
  return { tier = tier, status = status, load = tonumber(load), drained = drained, services = services, ranking = ranking,
    region = region, caller = caller }
end

-- Reads the tier, load, ranking and address in an entry, without the table that ledger_read makes. Returns nil unless the worker
-- and all its services are healthy and nobody drains it.
local function ledger_glance(entry)
  local tier, load, ranking, address = string.match(entry,
    '^([1-4]) healthy (%d+) %- [^%s!]+ (%d+ %S+ %S+) ?[^%s@~]* ?[@~]?(%S*)$')
  if not tier or #load > 7 then
    return nil
  end
  return tier, tonumber(load), ranking, address
end

-- The entry for a place.
local function ledger_text(place)
  return place.tier .. ' ' .. place.status .. ' ' .. place.load .. ' ' .. place.drained .. ' ' .. place.services
    .. ' ' .. place.ranking
    .. (place.region ~= '' and ' ' .. place.region or '') .. (place.caller ~= '' and ' ' .. place.caller or '')
end

-- The place of a worker with this registration and without a heartbeat; nil if the tier or the names of services are malformed.
local function ledger_offline(tier, provides, drained, region, caller)
  if not tier or not string.find(tier, '^[1-4]$') or string.find(provides or '', '%s') then
    return nil
  end
  local services = table.concat(names_split(provides or ''), ',')
  return {
    tier = tier, status = 'offline', load = 0, drained = drained and 'd' or '-',
    services = services ~= '' and services or '-', ranking = '0 - -',
    region = region and string.match(region, '^[%w._:-]+$') or '',
    caller = caller and string.match(caller, '^[@~][%x.:]+$') or '',
  }
end
