-- Who may speak for a worker. A caller "<join token>" may speak for the workers that registered with that token, and for workers
-- that registered without one. A caller with a worker's own token is "<join token>.<grant>". Such a token ends when the worker
-- registers with a join token again, because that makes a new grant.

-- Whether a caller may speak for the worker with that registration. hget: a function that reads a field of it.
local function owner_may(caller, registration, hget)
  if string.find(caller, '.', 1, true) then
    return hget('HGET', registration, 'grant') == caller or not hget('HGET', registration, 'tier')
  end
  local owner = hget('HGET', registration, 'join')
  return not owner or owner == caller
end
