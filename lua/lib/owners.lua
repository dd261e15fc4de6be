--: key registration
--: use owner
--: use try

-- Whether a caller (see owner.lua; "": it may speak for all workers) may speak for worker `id`.
local function owners_may(id, caller)
  return caller == '' or owner_may(caller, key_registration .. id, try_call)
end
