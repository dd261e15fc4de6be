-- Whose a worker is. A caller that may speak for certain workers alone is "<join token>", for those that registered with it, and
-- for those that nobody has registered with one; or, where it shows a worker's own token, "<join token>.<grant>": such a token
-- ends when its worker is registered with a join token again, which makes another grant.

local OWNER_FIELDS = { 'tier', 'join', 'grant' }

-- Whether a caller may speak for a worker. found: what its registration has in OWNER_FIELDS; nothing where there is none.
local function owner_may(caller, found)
  local join, grant = string.match(caller, '^([^.]*)%.?(.*)$')
  if grant ~= '' then
    return not found[1] or (found[2] == join and found[3] == grant)
  end
  return not found[2] or found[2] == join
end
