--: key registration
--: key identity
--: key fingerprint
--: use identities
--: use try

-- The addresses of a worker. Its ledger entry remembers the address from which its last request came (`caller`: "@203.0.113.7", or
-- "~203.0.113.7" if the worker told an address of its own); while it is removed, its registration does. `origin` is the address
-- that is part of its fingerprint.

-- The address of a `caller`, without its mark.
local function whereabouts_address(caller)
  return string.sub(caller, 2)
end

-- Brings the keys that lead to worker `id` up to date after its registration has changed. keys, twins: the earlier result of
-- identities_of. caller: who asks for it, as in identities_take.
local function follow(id, keys, twins, caller, now)
  local now_keys, now_twins = identities_of(id)
  local stays = {}
  for _, key in ipairs(now_keys) do
    stays[key] = true
  end
  for _, key in ipairs(keys) do
    if not stays[key] and try_call('GET', key) == id then
      redis.call('DEL', key)
    end
  end
  for _, key in ipairs(now_keys) do
    identities_take(key, id, caller)
  end
  for _, key in ipairs(twins) do
    try_call('ZREM', key, id)
  end
  for _, key in ipairs(now_twins) do
    try_call('ZADD', key, string.format('%.0f', now), id)
  end
end

-- Takes over the addresses that a heartbeat of worker `id` tells (names and values: ip_address, port, tunnel_url), and the address
-- from which it came. place: the worker's place, whose caller is brought up to date. sender: the caller of the heartbeat ("": it
-- may speak for all workers). Returns whether anything visible has changed.
local function whereabouts_take(id, place, told, address, sender, now)
  local registration = key_registration .. id
  local ip_address, port, tunnel, vpn_ip, origin, looks, fingerprint =
    unpack(try_call('HMGET', registration, 'ip_address', 'port', 'tunnel_url', 'vpn_ip', 'origin', 'looks', 'fingerprint') or {})
  local was_address = whereabouts_address(place.caller)
  local is_taken = string.sub(place.caller, 1, 1) == '@' and not told.ip_address
  local new_ip, new_port = ip_address, port
  if told.ip_address then
    new_ip, new_port = told.ip_address, told.port or false
  elseif is_taken then
    new_ip = address
  end
  local new_origin = origin
  if looks and told.ip_address and not string.find(told.ip_address, '://', 1, true) then
    new_origin = told.ip_address
  elseif looks and (origin == was_address or told.ip_address) then
    new_origin = address
  end
  local new_tunnel, new_vpn_ip = told.tunnel_url or tunnel, told.vpn_ip or vpn_ip
  local moved = new_ip ~= ip_address or new_port ~= port or new_tunnel ~= tunnel or new_vpn_ip ~= vpn_ip
  if moved or new_origin ~= origin then
    local keys, twins = identities_of(id)
    local fields = { 'ip_address', new_ip, 'port', new_port, 'tunnel_url', new_tunnel, 'vpn_ip', new_vpn_ip, 'origin', new_origin }
    if looks and new_origin then
      local moved_to = identities_fingerprint(new_origin, looks)
      fields[11], fields[12] = 'moved_fingerprint', moved_to ~= fingerprint and moved_to
    end
    for at = 1, 12, 2 do
      if fields[at] and fields[at + 1] then
        redis.call('HSET', registration, fields[at], fields[at + 1])
      elseif fields[at] then
        redis.call('HDEL', registration, fields[at])
      end
    end
    if moved then
      redis.call('HSET', registration, 'stamp', string.format('%.0f', now))
    end
    follow(id, keys, twins, sender, now)
  end
  place.caller = address ~= '' and (is_taken and '@' or '~') .. address or ''
  return moved
end
