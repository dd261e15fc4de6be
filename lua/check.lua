--: arg index
--: rest names
--: key prefix
--: use ledger
--: use ranks
--: use requests
--: use try

-- Checks whether the data in Redis is consistent, without changing anything. If index is "", names are keys, without the prefix. Of
-- a key that is an index of tasks, it only checks whether other keys agree that the index exists. Else names are members of the
-- index of tasks, or of waiters, that is called `index`: the hashes of these tasks, or `parked`, must agree that they are in it.
-- Returns a sentence for each fault. All keys that concern one thing are read at one moment, so the fleet may go on meanwhile.

local HOLDERS, LEASES = 1000, 20000
local CANCELLING = '^%d+ %d+ %d+ %d+ %S+ %S+ cancel$' -- of entries in `held:…`
local ENDED = { completed = true, dead = true, cancelled = true, expired = true }
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local faults = {}

local function expect(truth, ...)
  if not truth then
    faults[#faults + 1] = table.concat({ ... })
  end
end

local function is_there(kind, key, member)
  return redis.call(kind, key_prefix .. key, member) ~= false
end

-- The name of the index in which a task must be, according to its hash.
local function index_of(task)
  if task.state == 'queued' then
    return 'ready:' .. (task.group or 'a') .. ' ' .. task.queue .. ' ' .. (task.shape or '')
  elseif task.state == 'leased' then
    return 'held:' .. (task.worker_id or '')
  end
  return task.state .. ':' .. task.queue
end

local function read_task(id)
  local fields = { 'state', 'queue', 'group', 'shape', 'worker_id', 'expires_at', 'dedup', 'cancel', 'started_at' }
  local task = {}
  for i, value in ipairs(redis.call('HMGET', key_prefix .. 'task:' .. id, unpack(fields))) do
    task[fields[i]] = value or nil
  end
  return task.state and task.queue and task
end

local function check_task(id)
  local task = read_task(id)
  if not task then
    expect(redis.call('EXISTS', key_prefix .. 'task:' .. id) == 0, 'task ', id, ' has no state, or no queue')
    return
  end
  local index = index_of(task)
  if task.state == 'leased' then
    local entry = redis.call('HGET', key_prefix .. index, id)
    expect(entry, 'task ', id, ' is leased, but ', index, ' does not have it')
    expect(not entry or (string.find(entry, CANCELLING) ~= nil) == (task.cancel ~= nil), 'task ', id, ' and ', index,
      ' differ on cancelling')
    expect(not entry or string.match(entry, '^%d+ %d+ %d+ (%d+)') == task.started_at, 'task ', id, ' and ', index,
      ' differ on when it began')
  else
    expect(is_there('ZSCORE', index, id), 'task ', id, ' is ', task.state, ', but ', index, ' does not have it')
  end
  local ttl = redis.call('PEXPIRETIME', key_prefix .. 'task:' .. id)
  expect((ttl > 0) == (ENDED[task.state] ~= nil), 'task ', id, ' is ', task.state, ', and its TTL does not say so')
  local waits = task.state == 'queued' or task.state == 'scheduled'
  local expires = waits and task.expires_at ~= nil
  expect(expires == is_there('ZSCORE', 'expiring:' .. task.queue, id), 'task ', id, ' and expiring differ')
  if task.dedup and not ENDED[task.state] then
    expect(redis.call('GET', key_prefix .. 'dedup:' .. task.queue .. ' ' .. task.dedup) == id, 'task ', id,
      ' does not have its dedup key')
  end
end

-- Returns the lists in which a waiter is, according to `parked`: false: it is not parked; nil: nobody can read that.
local function lists_of(waiter)
  local entry = redis.call('HGET', key_prefix .. 'parked', waiter)
  return entry and string.match(entry, '^%d+ %S+ %S+ (.*)$')
end

-- A member of `parked`: the lists that it names must have it.
local function check_parked(waiter)
  local lists = lists_of(waiter)
  expect(lists ~= nil, 'waiter ', waiter, ' is parked as nobody can read')
  for list in string.gmatch(lists or '', '%S+') do
    expect(is_there('ZSCORE', 'parked:' .. list, waiter), 'waiter ', waiter, ' is parked, but parked:', list, ' does not have it')
  end
end

-- A member of a list of waiters: `parked` must name the list.
local function check_waiter(index, list, waiter)
  local lists = is_there('ZSCORE', index, waiter) and ' ' .. (lists_of(waiter) or '') .. ' '
  expect(not lists or string.find(lists, ' ' .. list .. ' ', 1, true), index, ' has waiter ', waiter,
    ', and parked does not say so')
end

-- A member of an index of tasks: its hash must say that it is there.
local function check_member(index, id)
  local task = read_task(id)
  local kind, queue = string.match(index, '^(%a+):(.*)$')
  local score = kind ~= 'held' and tonumber(redis.call('ZSCORE', key_prefix .. index, id) or '')
  if kind ~= 'held' and not score then
    return -- gone since it was listed
  elseif ENDED[kind] and score <= now then
    return -- expired, and not trimmed yet
  elseif kind == 'expiring' then
    expect(task and task.queue == queue and (task.state == 'queued' or task.state == 'scheduled'), index,
      ' has task ', id, ', which does not wait')
  elseif kind ~= 'held' or redis.call('HEXISTS', key_prefix .. index, id) == 1 then
    expect(task and index_of(task) == index, index, ' has task ', id, ', whose hash does not say so')
  end
end

-- Whether the number of held tasks of a queue is right. True without counting if so many workers hold tasks that counting would
-- take too long.
local function count_leased(queue, leased)
  local workers = redis.call('ZRANGE', key_prefix .. 'leases', 0, HOLDERS)
  for _, worker in ipairs(#workers <= HOLDERS and workers or {}) do
    for _, entry in ipairs(redis.call('HVALS', key_prefix .. 'held:' .. worker)) do
      leased = leased - (string.match(entry, '^%d+ %d+ %d+ %d+ (%S+)') == queue and 1 or 0)
    end
  end
  return #workers > HOLDERS or leased == 0
end

-- The number of leases of each worker, of each service, and of all together; nil if there are so many that counting would take too
-- long.
local function count_requests()
  local counts, flights, sum = {}, {}, 0
  for _, thread in ipairs(redis.call('ZRANGE', key_prefix .. 'requesters', 0, HOLDERS)) do
    for _, lease in ipairs(redis.call('HVALS', key_prefix .. 'requests:' .. thread)) do
      local id, service = string.match(lease, '^(%S+) (%S+)')
      id, service = id or '', service or ''
      counts[id], flights[service], sum = (counts[id] or 0) + 1, (flights[service] or 0) + 1, sum + 1
    end
    if sum > LEASES then
      return nil
    end
  end
  return counts, flights, sum
end

-- Whether a hash has the numbers of `counts` (nil: they are not known). what: whose numbers they are, for the sentence.
local function check_counts(name, counts, what)
  local told = redis.call('HGETALL', key_prefix .. name)
  for at = 1, counts and #told or 0, 2 do
    local count = counts[told[at]] or 0
    expect(tonumber(told[at + 1]) == count, name, ' has ', told[at + 1], ' of ', what, ' ', told[at], ', its leases are ', count)
    counts[told[at]] = nil
  end
  for id, count in pairs(counts or {}) do
    expect(false, name, ' has none of ', what, ' ', id, ', its leases are ', count)
  end
end

local function check_requests()
  local counts, flights, sum = count_requests()
  check_counts('requests', counts, 'worker')
  check_counts('flights', flights, 'service')
  local total = redis.call('HGET', key_prefix .. 'stats', 'requests') or 0
  expect(not sum or tonumber(total) == sum, 'stats has ', total, ' requests, the leases are ', sum or '')
end

local function check_ranks(id, place)
  if redis.call('SISMEMBER', key_prefix .. 'stale', id) == 0 then
    ranks_visit(place, requests_of(id), function(key, rank)
      local found = redis.call('ZSCORE', key, id)
      expect(tonumber(found or '') == rank, 'worker ', id, ' should have rank ', string.format('%.0f', rank), ' in ',
        string.sub(key, #key_prefix + 1), ', it has ', found or 'none')
    end)
  end
end

local CHECKS = {
  requests = function(thread)
    if thread == '' then
      return check_requests()
    end
    expect(is_there('ZSCORE', 'requesters', thread), 'thread ', thread, ' has leases, and requesters does not have it')
    for _, lease in ipairs(redis.call('HVALS', key_prefix .. 'requests:' .. thread)) do
      local id = string.match(lease, '^(%S+) %S+ %S+')
      expect(id, 'thread ', thread, ' has a lease as nobody can read: ', lease)
      expect(not id or redis.call('HEXISTS', key_requests, id) == 1, 'thread ', thread, ' has a lease of worker ', id or '',
        ', and requests has none')
    end
  end,
  task = check_task,
  ready = function(lane)
    local group, queue, shape = string.match(lane, '^(%S+) (%S+) (.*)$')
    local first = redis.call('ZRANGE', key_prefix .. 'ready:' .. lane, 0, 0, 'WITHSCORES')[2]
    if first then
      local bound = redis.call('ZSCORE', key_prefix .. 'lanes:' .. group, queue .. ' ' .. shape)
      expect(bound and tonumber(bound) <= tonumber(first), 'lane ', lane, ' is not in lanes, or behind its first task')
      expect(redis.call('SISMEMBER', key_prefix .. 'groups', group) == 1, 'group ', group, ' is not in groups')
      expect(redis.call('SISMEMBER', key_prefix .. 'queue_lanes:' .. queue, group .. ' ' .. shape) == 1,
        'lane ', lane, ' is not in queue_lanes')
    end
  end,
  lanes = function(group)
    for _, lane in ipairs(redis.call('ZRANGE', key_prefix .. 'lanes:' .. group, 0, 1999)) do
      expect(redis.call('EXISTS', key_prefix .. 'ready:' .. group .. ' ' .. lane) == 1, 'lanes of ', group,
        ' has ', lane, ', which is empty')
    end
  end,
  held = function(worker)
    local bound = redis.call('ZSCORE', key_prefix .. 'leases', worker)
    local held = redis.call('HGETALL', key_prefix .. 'held:' .. worker)
    expect(bound or #held == 0, 'worker ', worker, ' holds tasks, and leases does not have it')
    local beaten, silent = unpack(try_call('HMGET', key_prefix .. 'worker:' .. worker, 'last_heartbeat', 'silent_until') or {})
    for i = 1, #held, 2 do
      local lease_ms, until_then, ends = string.match(held[i + 1], '^(%d+) (%d+) (%d+) %d+ %S+ %S+')
      expect(lease_ms, 'worker ', worker, ' holds ', held[i], ' as nobody can read')
      local renewed = lease_ms and (tonumber(beaten or '') or 0) + lease_ms
      local deadline = lease_ms
        and math.min(tonumber(ends), math.max(tonumber(until_then), renewed, tonumber(silent or '') or 0))
      expect(not deadline or not bound or tonumber(bound) <= math.max(now, deadline), 'leases looks at ', worker, ' too late')
    end
  end,
  dedup = function(name)
    local id = redis.call('GET', key_prefix .. 'dedup:' .. name)
    local task = id and read_task(id)
    expect(not id or task and not ENDED[task.state] and task.queue .. ' ' .. (task.dedup or '') == name,
      'dedup key ', name, ' has no live task')
  end,
  queue = function(queue)
    local is = {}
    local fields = redis.call('HGETALL', key_prefix .. 'queue:' .. queue)
    for i = 1, #fields, 2 do
      is[fields[i]] = tonumber(fields[i + 1])
    end
    expect(redis.call('SISMEMBER', key_prefix .. 'queues', queue) == 1, 'queue ', queue, ' is not in queues')
    local live = redis.call('ZCARD', key_prefix .. 'scheduled:' .. queue) + (is.leased or 0)
    for _, lane in ipairs(redis.call('SMEMBERS', key_prefix .. 'queue_lanes:' .. queue)) do
      local group, shape = string.match(lane, '^(%S+) (.*)$')
      live = live + redis.call('ZCARD', key_prefix .. 'ready:' .. group .. ' ' .. queue .. ' ' .. shape)
    end
    local ended = (is.completed or 0) + (is.dead or 0) + (is.cancelled or 0) + (is.expired or 0)
    local told = (is.enqueued or 0) + (is.retried or 0) - ended
    expect(live == told, 'queue ', queue, ' has ', live, ' live tasks, its totals say ', told)
    expect(count_leased(queue, is.leased or 0), 'queue ', queue, ' does not have as many leased tasks as it says: ', is.leased or 0)
  end,
  scheduled = function(queue)
    local first = redis.call('ZRANGE', key_prefix .. 'scheduled:' .. queue, 0, 0, 'WITHSCORES')[2]
    local bound = redis.call('ZSCORE', key_prefix .. 'agenda', 'scheduled ' .. queue)
    expect(not first or bound and tonumber(bound) <= tonumber(first), 'scheduled ', queue, ' is not in the agenda, or too late')
  end,
  expiring = function(queue)
    local first = redis.call('ZRANGE', key_prefix .. 'expiring:' .. queue, 0, 0, 'WITHSCORES')[2]
    local bound = redis.call('ZSCORE', key_prefix .. 'agenda', 'expiring ' .. queue)
    expect(not first or bound and tonumber(bound) <= tonumber(first), 'expiring ', queue, ' is not in the agenda, or too late')
  end,
  agenda = function()
    for _, entry in ipairs(redis.call('ZRANGE', key_prefix .. 'agenda', 0, 1999)) do
      local kind = string.match(entry, '^(%l+) %S+$')
      expect(kind == 'scheduled' or kind == 'expiring', 'agenda has ', entry, ', which is no set of tasks')
    end
  end,
  worker = function(name)
    local id = string.gsub(name, ':online$', '')
    if redis.call('EXISTS', key_prefix .. 'worker:' .. id) == 0 then
      return
    end
    local place = ledger_read(redis.call('HGET', key_prefix .. 'ledger', id))
    expect(place, 'worker ', id, ' has no entry in the ledger')
    expect(is_there('ZSCORE', 'workers', id), 'worker ', id, ' is not in workers')
    expect(redis.call('EXISTS', key_prefix .. 'registration:' .. id) == 1, 'worker ', id, ' has no registration')
    expect(is_there('ZSCORE', 'online', id) ~= is_there('ZSCORE', 'offline', id), 'worker ', id,
      ' is in both online and offline, or in neither')
    expect(not place or (place.status == 'offline') == is_there('ZSCORE', 'offline', id), 'worker ', id,
      ' and its entry differ on being offline')
    check_ranks(id, place)
  end,
}

local function check_name(name)
  local list = string.match(arg_index, '^parked:(.*)$')
  if list then
    check_waiter(arg_index, list, name)
  elseif arg_index == 'parked' then
    check_parked(name)
  elseif arg_index ~= '' then
    check_member(arg_index, name)
  else
    local kind, of = string.match(name, '^([^:]+):?(.*)$')
    if kind and CHECKS[kind] then
      CHECKS[kind](of)
    end
  end
end

for at = rest, #ARGV do
  local is_checked, why = pcall(check_name, ARGV[at])
  if not is_checked then -- a key of a wrong type must not hide the faults of the others
    why = type(why) == 'table' and why.err or tostring(why)
    if not string.find(why, 'WRONGTYPE', 1, true) then
      return redis.error_reply(why)
    end
    expect(false, ARGV[at], ', or a key that it must agree with, is of a wrong type')
  end
end
return faults
