--: arg service
--: arg model
--: arg region
--: arg cursor
--: key prefix
--: key service
--: key requests
--: use clock
--: use health
--: use ledger
--: use number
--: use standing

-- Reads how each worker stands when a worker is chosen for a service and a model ("" for any), in pages of the fleet. cursor: "0",
-- then the cursor that the last call returned, until that is "0". Returns {cursor, then for each worker: id, its status; "1" if it
-- provides the service, "1" if it says that the service is not well, "1" if the model is loaded, "-" if it tells of no loaded
-- models; "1" if it is in the region; its load in millionths, the requests that it reports, those that it has by leases; its
-- standing by the outcomes of earlier requests (see lib/standing.lua), failures in a row, for how many ms that standing lasts}.

local PAGE = 200

if not number_of(arg_cursor) then
  return redis.error_reply('BADCALL cursor is a number')
end
local now = clock_now()

local function has_name(names, name)
  return string.find(',' .. names .. ',', ',' .. name .. ',', 1, true) ~= nil
end

local function flag(truth)
  return truth and '1' or '0'
end

local page = redis.call('HSCAN', key_prefix .. 'ledger', arg_cursor, 'COUNT', PAGE)
local result = { page[1] }
for at = 1, #page[2], 2 do
  local id, place = page[2][at], ledger_read(page[2][at + 1])
  if place then
    local active, models = string.match(place.ranking, '^(%d+) %S+ (%S+)$')
    local provides = has_name(place.services, arg_service)
    local text = provides and redis.call('HGET', key_prefix .. 'outcomes:' .. arg_service, id)
    local standing, entry = standing_of(arg_service, text, now)
    local left = entry and math.max(0, (standing == 'suspect' and entry.suspect or entry.open) - now) or 0
    for _, value in ipairs({ id, place.status, flag(provides), flag(health_is_unwell(place.services, arg_service)),
      models == '-' and arg_model ~= '' and '-' or flag(arg_model == '' or has_name(models, arg_model)),
      flag(arg_region ~= '' and place.region == arg_region), place.load, active,
      redis.call('HGET', key_requests, id) or '0', standing, entry and entry.row or 0, left }) do
      result[#result + 1] = type(value) == 'number' and string.format('%.0f', value) or value
    end
  end
end
return result
