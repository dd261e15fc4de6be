-- Whose a worker is. A caller that may speak for certain workers alone is "<join token>", for those that registered with it, and
-- for those that nobody has registered with one; or, where it shows a worker's own token, "<join token>.<grant>": such a token
-- ends when its worker is registered with a join token again, which makes another grant.

-- Whether a caller may speak for the worker with that registration. hget: how a field of it is read.
local function owner_may(caller, registration, hget)
  if string.find(caller, '.', 1, true) then
    return hget('HGET', registration, 'grant') == caller or not hget('HGET', registration, 'tier')
  end
  local owner = hget('HGET', registration, 'join')
  return not owner or owner == caller
end
