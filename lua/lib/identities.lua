--: key registration
--: key identity
--: key fingerprint
--: use owners
--: use try

-- A digest that stands for a text of any length in the name of a key.
local function identities_digest(text)
  return string.sub(redis.sha1hex(text), 1, 20)
end

-- The fingerprint of a worker: from its address, and a digest of its capabilities.
local function identities_fingerprint(origin, looks)
  return identities_digest(origin .. '\n' .. looks)
end

-- The keys that lead to worker `id` by its identity, and the keys of the workers that look just like it: one for the address where
-- it registered, and one for the address to which it has moved since.
local function identities_of(id)
  local instance, tunnel, fingerprint, moved =
    unpack(try_call('HMGET', key_registration .. id, 'instance_id', 'tunnel_url', 'fingerprint', 'moved_fingerprint') or {})
  local keys, twins = {}, {}
  if instance then
    keys[1] = key_identity .. 'instance:' .. instance
  end
  if tunnel then
    keys[#keys + 1] = key_identity .. 'tunnel:' .. identities_digest(tunnel)
  end
  if fingerprint then
    twins[1] = key_fingerprint .. fingerprint
  end
  if moved then
    twins[#twins + 1] = key_fingerprint .. moved
  end
  return keys, twins
end

-- Makes an identity's key lead to worker `id`, unless it leads to a worker for which the caller may not speak: that worker could no
-- longer register by this identity. caller: see owner.lua; "": it may speak for all workers.
local function identities_take(key, id, caller)
  local holder = try_call('GET', key)
  if not holder or owners_may(holder, caller) then
    redis.call('SET', key, id)
  end
end
