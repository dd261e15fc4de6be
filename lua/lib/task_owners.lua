--: key prefix
--: use owner
--: use try

-- If a caller may not speak for all workers, scripts get the worker's id, a blank and the caller (see owner.lua).

-- The id of the worker that `text` names, and whether the caller, if `text` has one, may speak for it.
local function task_owners_read(text)
  local id, caller
  if string.find(text, ' ', 1, true) then
    id, caller = string.match(text, '^(%S+) (%S+)$')
  end
  if not id then
    return text, true
  end
  return id, owner_may(caller, key_prefix .. 'registration:' .. id, try_call)
end
