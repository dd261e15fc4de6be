--: arg cursor
--: key prefix
--: use ledger
--: use number

-- Reads which models live workers have loaded, in pages of the fleet. cursor: "0", then the cursor that the last call returned,
-- until that is "0". Returns {cursor, then for each worker with models: id, the models with commas between, its own list as JSON or
-- ""}.

local PAGE = 200

if not number_of(arg_cursor) then
  return redis.error_reply('BADCALL cursor is a number')
end
local page = redis.call('HSCAN', key_prefix .. 'ledger', arg_cursor, 'COUNT', PAGE)
local result = { page[1] }
for at = 1, #page[2], 2 do
  local place = ledger_read(page[2][at + 1])
  local models = place and place.status ~= 'offline' and string.match(place.ranking, '(%S+)$')
  if models and models ~= '-' then
    local id = page[2][at]
    result[#result + 1] = id
    result[#result + 1] = models
    result[#result + 1] = redis.call('HGET', key_prefix .. 'worker:' .. id, 'loaded_models') or ''
  end
end
return result
