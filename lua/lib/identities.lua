--: key registration
--: key identity
--: key fingerprint
--: use try

-- Stands for a text of any length in the name of a key.
local function identities_digest(text)
  return string.sub(redis.sha1hex(text), 1, 20)
end

-- Stands for how a worker looks: the address that it is at, and a digest of what it has.
local function identities_fingerprint(origin, looks)
  return identities_digest(origin .. '\n' .. looks)
end

-- The keys that lead to worker `id` by who it is, and the key of the workers that look just like it (nil: none).
local function identities_of(id)
  local instance, tunnel, fingerprint =
    unpack(try_call('HMGET', key_registration .. id, 'instance_id', 'tunnel_url', 'fingerprint') or {})
  local keys = {}
  if instance then
    keys[1] = key_identity .. 'instance:' .. instance
  end
  if tunnel then
    keys[#keys + 1] = key_identity .. 'tunnel:' .. identities_digest(tunnel)
  end
  return keys, fingerprint and key_fingerprint .. fingerprint or nil
end
