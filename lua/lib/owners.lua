--: key registration
--: use try

-- Whether the caller may speak for worker `id`: `join` is the join token that the worker must have registered with, "" where
-- the caller need not show any. A worker that registered without one is everybody's.
local function owners_may(id, join)
  local owner = join ~= '' and try_call('HGET', key_registration .. id, 'join')
  return not owner or owner == join
end
