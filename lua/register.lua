--: key worker
--: arg now
--: arg timeout
--: arg removal
--: arg candidate
--: arg worker_id
--: arg instance_id
--: arg tunnel_url
--: arg tier
--: arg advertised
--: arg catalogue
--: arg also
--: arg max_services
--: rest fields
--: use number
--: use clock
--: use fleet

-- Registers a worker, or registers it again.
-- timeout: ms until a silent worker is offline; removal: ms from then until it is removed. candidate: the id of a new worker that
-- has none. worker_id, instance_id, tunnel_url: its identity, each may be empty. tier: 1 to 4. advertised: the services it says it
-- provides; catalogue: those it may be assigned, in the order that breaks ties; also: those it may take besides when nobody provides
-- them; all three with commas between. max_services: how many to assign at most. fields: names and values of hash fields.
-- Returns {id, "1" if it was registered already, assigned services with commas between, "1" if its boot_id has changed}.

local now = clock_now(arg_now)
local timeout, removal, max_services = number_of(arg_timeout), number_of(arg_removal), number_of(arg_max_services)
if not now or not timeout or not removal or not max_services then
  return redis.error_reply('BADCALL now, timeout, removal and max_services are numbers')
end
if not string.find(arg_tier, '^[1-4]$') or (#ARGV - rest + 1) % 2 ~= 0 or (arg_candidate == '' and arg_worker_id == '') then
  return redis.error_reply('BADCALL malformed registration')
end

local function split(names)
  local list = {}
  for name in string.gmatch(names, '[^,]+') do
    list[#list + 1] = name
  end
  return list
end

-- The worker that an identity leads to, if it is still there.
local function known(identity)
  local id = redis.call('HGET', key_identity, identity)
  return id and redis.call('EXISTS', key_worker .. id) == 1 and id
end

-- Who is this? worker_id says it; else instance_id; else tunnel_url, but two instances may share a tunnel and are still two workers.
local function identify()
  if arg_worker_id ~= '' then
    return arg_worker_id
  end
  local id = arg_instance_id ~= '' and known('instance:' .. arg_instance_id)
  if not id and arg_tunnel_url ~= '' then
    id = known('tunnel:' .. arg_tunnel_url)
    local other = id and redis.call('HGET', key_worker .. id, 'instance_id')
    if other and arg_instance_id ~= '' and other ~= arg_instance_id then
      id = nil
    end
  end
  if id then
    return id
  end
  id = arg_candidate
  while redis.call('EXISTS', key_worker .. id) == 1 or redis.call('HEXISTS', key_ledger, id) == 1 do
    id = 'worker-' .. string.sub(redis.sha1hex(id), 1, 8)
  end
  return id
end

fleet_sweep(now, 100)
local id = identify()
local hash = key_worker .. id
local entry = redis.call('HGET', key_ledger, id)
local before = redis.call('HMGET', hash, 'registered_at', 'tasks_completed', 'assigned_services', 'boot_id')
local again = before[1] ~= false

-- From here on it is a new worker: its own old listings don't count against it, and what it no longer says does not stay.
if again or entry then
  fleet_forget(id, entry)
end

-- Assignment: what it had, where that still fits; else the service that the fewest live workers provide.
local catalogue, also = split(arg_catalogue), split(arg_also)
local had, assigned = {}, {}
for _, name in ipairs(again and split(before[3] or '') or {}) do
  had[name] = true
end
local function assign(name)
  if #assigned < max_services and not assigned[name] then
    assigned[name] = true
    assigned[#assigned + 1] = name
  end
end
local function keep(names)
  for _, name in ipairs(names) do
    if had[name] then
      assign(name)
    end
  end
end
keep(catalogue)
if #assigned == 0 then
  local least, fewest
  for _, name in ipairs(catalogue) do
    local live = redis.call('SCARD', key_service .. name)
    if not fewest or live < fewest then
      least, fewest = name, live
    end
  end
  if least then
    assign(least)
  end
end
keep(also)
for _, names in ipairs({ catalogue, also }) do
  for _, name in ipairs(names) do
    if redis.call('EXISTS', key_service .. name) == 0 then
      assign(name)
    end
  end
end
local assigned_services = table.concat(assigned, ',')

-- What it was assigned and what it advertises both count as provided by it.
local provides = {}
for _, name in ipairs(split(assigned_services .. ',' .. arg_advertised)) do
  if not provides[name] then
    provides[name] = true
    provides[#provides + 1] = name
  end
end

redis.call('HSET', hash, 'tier', arg_tier, 'status', 'healthy', 'current_load', '0',
  'registered_at', again and before[1] or now, 'last_heartbeat', now, 'tasks_completed', again and before[2] or '0',
  'assigned_services', assigned_services, 'provides', table.concat(provides, ','), unpack(ARGV, rest, #ARGV))
redis.call('PEXPIREAT', hash, string.format('%.0f', now + timeout + removal))
redis.call('SET', hash .. ':online', 'healthy', 'PXAT', string.format('%.0f', now + timeout))

local refs = { services = {}, identities = {} }
for i, name in ipairs(provides) do
  refs.services[i] = name
end
local function lead_here(identity)
  refs.identities[#refs.identities + 1] = identity
  redis.call('HSET', key_identity, identity, id)
end
if arg_instance_id ~= '' then
  lead_here('instance:' .. arg_instance_id)
end
if arg_tunnel_url ~= '' then
  lead_here('tunnel:' .. arg_tunnel_url)
end
redis.call('HSET', key_refs, id, cjson.encode(refs))
fleet_place(id, false, arg_tier, 'healthy', 0, now + timeout)
fleet_flush()

local boot_id = redis.call('HGET', hash, 'boot_id')
return { id, again and '1' or '0', assigned_services, again and boot_id and before[4] and boot_id ~= before[4] and '1' or '0' }
