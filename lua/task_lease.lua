--: rest asks
--: use number
--: use clock
--: use ms
--: use task_fronts
--: use task_held
--: use task_lanes
--: use task_memory
--: use task_news
--: use task_owners
--: use task_queues
--: use task_waiters
--: use task_wakes
--: use task_workers

-- Leases tasks to workers that ask for them.
--
--   asks           for each ask ten strings:
--     worker       the worker's id; then a blank and the caller, if that may not speak for all workers (see lib/task_owners.lua)
--     max          the most tasks, 1 to 100
--     queues       names with commas between; "*" for all
--     request      the id of the ask: a repeated ask gets the same tasks; "-" for none. One that begins with "=" is not the
--                  worker's but the coordinator's, and means this only if `how` is "lost"
--     nonce        makes the leases unique
--     how          "again": the agent works on one answer after the other, and gets the tasks that it holds again; "lost": the
--                  answer to an earlier ask of this id may be lost; "swept": a sweep has just moved on what is due; "": none
--     waiter       the name under which the ask is parked if there is nothing, "thread poll"; "": it is not parked
--     since        since when it waits (ms); "": from now on
--     wait         for how many more ms it is parked
--     lane         the lane for which it was woken ("group queue shape"), "" for none. If the ask is served with something else,
--                  or its worker takes no more tasks, another waiter is woken for that lane
--
-- Returns an array for each ask. Its first string is a word: "given"; "parked"; "none"; "due": a sweep must first move on what is
-- due; "closed": the worker takes no work; "others": the caller may not speak for the worker; "unknown": it is not registered. Then
-- come the present (ms); the ids of tasks that the worker has lost, and of tasks that it must cancel, with blanks between; and for
-- each task eleven strings: id, queue, type, payload, priority, attempt, max_attempts, lease, lease_ms, deadline, started_at.

local LANES_MAX = 1000 -- the most of a group that are looked at for one ask
local PAGE = 16
local FIXED = 10
local ANSWER_FIELDS, TASK_FIELDS = 4, 11 -- strings of an answer before its tasks, and of each task
local PATIENCE_MS = 15000 -- how long a task waits for another worker than the one that failed at it

local now = clock_now()
local wanted = 0 -- how many tasks the asks that are not served yet want
local at = rest
while at <= #ARGV do
  local max, wait = number_of(ARGV[at + 1]), number_of(ARGV[at + 8])
  if not max or max < 1 or max > 100 or max % 1 ~= 0 or not wait or not ARGV[at + 9] or not string.find(ARGV[at + 2], '^%S+$')
    or not string.find(ARGV[at + 3], '^%S+$') or not string.find(ARGV[at + 4], '^%S+$') then
    return redis.error_reply('BADCALL malformed ask')
  end
  wanted, at = wanted + max, at + FIXED
end

-- Several asks of one call often look at the same lanes, or come from the same worker. So what one ask has read or changed is kept
-- for the next one, and written once.
local bounds = {} -- by lane's key: {group, member of `lanes:<group>`, bound}, to be written when all are served
local pages = {} -- by group: by where they begin: pages of `lanes:<group>`, each lane with its key and bound
local begun = false -- whether a task was taken
local served_by -- the lanes ("group queue shape") from which the present ask takes tasks

local function read_task(id)
  local values = redis.call('HMGET', key_prefix .. 'task:' .. id, 'type', 'payload', 'priority', 'attempts', 'max_attempts',
    'lease_ms', 'lease', 'expires_at', 'avoid', 'available_at', 'lease_max_ms', 'started_at')
  return { id = id, type = values[1], payload = values[2], priority = values[3], attempts = values[4], max_attempts = values[5],
    lease_ms = values[6], lease = values[7], expires_at = values[8], avoid = values[9], available_at = values[10],
    lease_max_ms = values[11], started_at = values[12] }
end

local function show(answer, task, queue, lease, lease_ms, deadline, started_at)
  local n = #answer
  answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = task.id, queue, task.type or '', task.payload or 'null'
  answer[n + 5], answer[n + 6] = task.priority or '0', task.attempts and ms_text(task.attempts + 1) or '1'
  answer[n + 7], answer[n + 8], answer[n + 9] = task.max_attempts or '5', lease, lease_ms
  answer[n + 10], answer[n + 11] = deadline, started_at
end

-- Adds at most `max` of the tasks that the worker holds to the answer: those that the ask `request` was given ("-": all). Their
-- leases get later deadlines, so that the ask to which they were given before does not give them back. Returns whether there are
-- any.
local function repeat_held(worker, answer, max, request)
  task_held_flush()
  local key = key_prefix .. 'held:' .. worker.id
  local held, mine = redis.call('HGETALL', key), {}
  for i = 1, #held, 2 do
    local lease_ms, until_then, ends, since, rest = string.match(held[i + 1], '^(%d+) (%d+) (%d+) (%d+)( .*)$')
    local queue, of = string.match(rest or '', '^ (%S+) (%S+)')
    if of and (request == '-' or of == request) then
      local deadline = math.min(tonumber(ends), math.max(until_then + 1, now + lease_ms))
      mine[#mine + 1] = { id = held[i], since = since, queue = queue, lease_ms = lease_ms, deadline = ms_text(deadline),
        ends = ends, rest = rest }
    end
  end
  table.sort(mine, function(a, b)
    return a.since < b.since or a.since == b.since and a.id < b.id
  end)
  if #mine > 0 then
    task_memory_need_not_be_free()
  end
  for i = 1, math.min(max, #mine) do
    local of = mine[i]
    local task = read_task(of.id)
    redis.call('HSET', key, of.id, table.concat({ of.lease_ms, of.deadline, of.ends, of.since }, ' ') .. of.rest)
    show(answer, task, of.queue, task.lease or '', of.lease_ms, of.deadline, task.started_at or '')
  end
  return #mine > 0
end

-- Whether a task at which this worker failed still waits for another worker; not if it is for this one alone.
local function is_avoided(task, worker, group)
  return task.avoid == worker.id and now < (task.available_at or 0) + PATIENCE_MS and group ~= 'w:' .. worker.id
    and redis.call('ZCARD', key_prefix .. 'online') > 1
end

-- Returns the band of a place or of a bound: all places of one priority are in one band, the most urgent ones in band 0.
local function band_of(place)
  return math.floor(place / LANE_BAND)
end

-- Returns a page of the lanes of a group, from number `from` on.
local function page_of(group, from)
  local of = pages[group] or {}
  pages[group] = of
  if not of[from] then
    local found, page = redis.call('ZRANGE', key_prefix .. 'lanes:' .. group, from, from + PAGE - 1, 'WITHSCORES'), {}
    for i = 1, #found, 2 do
      local queue, shape = string.match(found[i], '^(%S+) (.*)$')
      page[#page + 1] = { key = task_lanes_key(group, queue, shape), queue = queue, shape = shape, bound = tonumber(found[i + 1]) }
    end
    of[from] = page
  end
  return of[from]
end

-- Looks at the next page of a group's lanes, and adds those from which the worker may take tasks to `pool`.
local function look_at_lanes(state, worker, queues, pool)
  local page = page_of(state.group, state.from)
  state.from = state.from + PAGE
  state.looked = state.looked + PAGE
  state.floor = #page == PAGE and state.looked < LANES_MAX and band_of(page[PAGE].bound) or nil
  for _, lane in ipairs(page) do
    local queue, shape = lane.queue, lane.shape
    if task_waiters_names(queues, queue) and not task_queues_closed(queue) and task_workers_fits(worker, shape) then
      local known = bounds[lane.key]
      local bound = known and known[3] or lane.bound
      local band = band_of(bound)
      pool[#pool + 1] = { state = state, group = state.group, key = lane.key, queue = queue, shape = shape, passed = 0,
        bound = bound, band = band }
      pool.first = math.min(pool.first or band, band)
      pool.turns[queue] = task_queues_turn(queue)
    end
  end
end

-- Removes the lane from `pool` from which the next tasks are taken. It is one of the most urgent lanes, of the queue that was
-- served the longest ago; among that queue's lanes, it is the one with the least bound. Returns the lane; the place up to which
-- this is so; the turn that its queue gets when it is served; and whether another queue has lanes as urgent. nil: there is none.
local function best_of(pool, states, worker, queues)
  local turns = pool.turns
  local best, index
  repeat
    best = nil
    for i, lane in ipairs(pool) do
      if not best or lane.band < best.band then
        best, index = lane, i
      elseif lane.band == best.band then
        local mine, its = turns[lane.queue], turns[best.queue]
        if mine < its or mine == its and (lane.queue < best.queue or lane.queue == best.queue and lane.bound < best.bound) then
          best, index = lane, i
        end
      end
    end
    pool.first = best and best.band
    local looked = false
    for _, state in ipairs(states) do
      while state.floor and state.floor <= (pool.first or math.huge) do
        look_at_lanes(state, worker, queues, pool)
        looked = true
      end
    end
  until not looked
  if not best then
    return nil
  end
  table.remove(pool, index)
  local after, turn, shared = (best.band + 1) * LANE_BAND - 1, turns[best.queue], false
  for _, lane in ipairs(pool) do
    if lane.queue == best.queue then
      after = math.min(after, lane.bound)
    elseif lane.band == best.band then
      turn, shared = math.max(turn, turns[lane.queue]), true
    end
  end
  return best, after, turn + 1, shared
end

local function hold(worker, lane, task, nonce, request, answer)
  local lease_ms, now_text = task.lease_ms or '90000', ms_text(now)
  local before = (#answer - ANSWER_FIELDS) / TASK_FIELDS
  nonce = before > 0 and nonce .. '.' .. before or nonce -- so that no two tasks have the same lease
  local lease = (task.lease and ms_text((string.match(task.lease, '^%d+') or 0) + 1) or '1') .. ' ' .. nonce
  local ends = now + (task.lease_max_ms or 86400000)
  local deadline = math.min(ends, now + lease_ms)
  redis.call('HSET', key_prefix .. 'task:' .. task.id, 'state', 'leased', 'worker_id', worker.id, 'lease', lease,
    'started_at', now_text, 'place', task.place)
  if task.expires_at then
    redis.call('ZREM', key_prefix .. 'expiring:' .. lane.queue, task.id)
  end
  task_held_add(worker.id, task.id, lease_ms .. ' ' .. ms_text(deadline) .. ' ' .. ms_text(ends) .. ' ' .. now_text .. ' '
    .. lane.queue .. ' ' .. request, deadline)
  show(answer, task, lane.queue, lease, lease_ms, ms_text(deadline), now_text)
end

-- Takes at most `want` tasks out of a lane, as long as their places are not beyond `after`. Returns how many. The lane comes
-- back into `pool` if it may have more.
local function take_from_lane(lane, after, want, pool, worker, nonce, request, answer)
  local key, taken, following = lane.key, {}
  while true do
    local id, place = task_fronts_at(key, lane.passed, want - #taken, wanted)
    following = id and tonumber(place)
    if not id or #taken == want or following > after then
      break
    elseif task_queues_closed(lane.queue, #taken) then
      after = -1
      break
    end
    local task = read_task(id)
    if is_avoided(task, worker, lane.group) or (task.expires_at and tonumber(task.expires_at) <= now) then
      lane.passed = lane.passed + 1
      if lane.passed > PAGE then
        after = -1
        break
      end
    else
      task.place = place
      taken[#taken + 1] = task
      task_fronts_take(key, lane.passed)
    end
  end
  if #taken > 0 then
    served_by[lane.group .. ' ' .. lane.queue .. ' ' .. lane.shape] = true
    task_fronts_settle(key)
    task_queues_count(lane.queue, 'leased', #taken)
    if not begun then -- the first write must be one that a full Redis takes
      task_fronts_flush()
      begun = true
    end
  end
  for _, task in ipairs(taken) do
    hold(worker, lane, task, nonce, request, answer)
  end
  if not following and lane.passed == 0 then
    task_lanes_drop(lane.group, lane.queue, lane.shape)
    bounds[key], pages[lane.group] = nil, nil
    lane.state.from = math.max(0, lane.state.from - 1)
  elseif lane.passed == 0 and following > lane.bound then
    bounds[key] = { lane.group, lane.queue .. ' ' .. lane.shape, following }
  end
  if following and after >= 0 then
    lane.bound, lane.band = following, band_of(following)
    pool[#pool + 1] = lane
  end
  return #taken
end

local choice -- what the ask before chose from: its worker and queues, its pool of lanes with the turns of their queues, and states

-- Returns the lanes from which a worker may take tasks. An ask like the one before it goes on with what that has left.
local function choose(worker, queues)
  if choice and choice.worker == worker and choice.queues == queues then
    return choice.pool, choice.states
  end
  local pool, states = { turns = {} }, {}
  choice = { worker = worker, queues = queues, pool = pool, states = states }
  worker.present = worker.present or redis.call('SMISMEMBER', key_prefix .. 'groups', unpack(worker.groups))
  for i, present in ipairs(worker.present) do
    if present == 1 then
      local state = { group = worker.groups[i], from = 0, looked = 0 }
      states[#states + 1] = state
      look_at_lanes(state, worker, queues, pool)
    end
  end
  return pool, states
end

-- Leases at most `want` tasks to the worker.
local function lease(worker, queues, want, nonce, request, answer)
  local pool, states = choose(worker, queues)
  local left = want
  while left > 0 do
    local lane, after, turn, shared = best_of(pool, states, worker, queues)
    if not lane then
      break
    end
    local taken = take_from_lane(lane, after, shared and 1 or left, pool, worker, nonce, request, answer)
    left = left - taken
    if taken > 0 then
      pool.turns[lane.queue] = turn
      task_queues_serve(lane.queue, turn)
    end
  end
  worker.room = worker.room - (want - left)
  return left < want
end

-- Adds to the answer which tasks the worker has lost, and which it must cancel. Returns whether there are any.
local function tell_news(worker, answer)
  task_held_flush()
  local lost, cancel = task_news_take(worker.id)
  answer[3], answer[4] = table.concat(lost, ' '), table.concat(cancel, ' ')
  return #lost + #cancel > 0
end

local function is_due()
  return redis.call('ZCOUNT', key_prefix .. 'agenda', '-inf', now) > 0
    or redis.call('ZCOUNT', key_prefix .. 'leases', '-inf', now) > 0
end

-- Answers an ask. Returns the answer, and whether the worker may take tasks.
local function serve(name, max, queues, request, nonce, how, waiter, since, wait)
  local id, may = task_owners_read(name)
  local worker, answer = task_workers_read(id), { 'none', ms_text(now), '', '' }
  if waiter ~= '' and since ~= '' then
    task_waiters_remove(waiter)
  end
  if not worker or not may then
    answer[1] = worker and 'others' or 'unknown'
    return answer, false
  end
  local is_named = request ~= '-' and (how == 'lost' or string.sub(request, 1, 1) ~= '=')
  if (is_named or how == 'again') and repeat_held(worker, answer, max, is_named and request or '-') then
    answer[1] = 'given'
    return answer, true
  end
  local takes = task_workers_takes(worker)
  worker.room = worker.room or takes and task_workers_room(id) or 0
  if worker.room > 0 and lease(worker, queues, math.min(max, worker.room), nonce, request, answer)
    or tell_news(worker, answer) then
    answer[1] = 'given'
  elseif takes and how ~= 'swept' and is_due() then
    answer[1] = 'due'
  elseif waiter ~= '' and wait > 0 then
    task_memory_need_not_be_free()
    task_waiters_add(waiter, id, takes and worker.groups or { 'w:' .. id }, queues, since ~= '' and since or now, now + wait)
    answer[1] = 'parked'
  elseif not takes then
    answer[1] = 'closed'
  end
  return answer, worker.room > 0
end

local result = {}
at = rest
while at <= #ARGV do
  wanted = wanted - ARGV[at + 1]
  served_by = {}
  local answer, may_take = serve(ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5],
    ARGV[at + 6], ARGV[at + 7], tonumber(ARGV[at + 8]))
  if (answer[1] == 'given' or not may_take) and not served_by[ARGV[at + 9]] then
    task_wakes_another(ARGV[at + 9], now)
  end
  result[#result + 1] = answer
  at = at + FIXED
end
for _, bound in pairs(bounds) do
  redis.call('ZADD', key_prefix .. 'lanes:' .. bound[1], bound[3], bound[2])
end
return result
