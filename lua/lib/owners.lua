--: key registration
--: use owner
--: use try

-- Whether a caller (see owner.lua; "": one that may speak for all) may speak for worker `id`.
local function owners_may(id, caller)
  return caller == '' or owner_may(caller, try_call('HMGET', key_registration .. id, unpack(OWNER_FIELDS)) or {})
end
