--: arg thread
--: arg region
--: rest things
--: key prefix
--: key service
--: key model
--: key region
--: use clock
--: use memory
--: use route_leases
--: use standing

-- Chooses workers for requests, and takes back their leases. thread: the coordinator's thread; region: its region ("" for none).
-- things: any number of the following, one after the other. Returns an array with one result for each.
--
--   "choose", lease, services, model, others, session, excluded, seed
--     Leases the best worker that provides one of `services` (names with commas between).
--       * Workers that have `model` ("" for any) loaded come first. If none of them can be chosen, it looks at all others; or, if
--         `others` is "silent", only at those that tell of no loaded models.
--       * Among these, suspect workers come last, and healthy workers come before degraded ones. Then the fewest requests win, then
--         the lowest rank. A worker outside of the region counts as if its load were greater by 0.5. `seed` (a number) decides
--         among equals.
--       * A session (a number up to SLOTS; "" for none) keeps the worker that it had before, unless that worker has more than one
--         request and more than 1.25 times the mean.
--       * Workers in `excluded` (ids with blanks between) are not chosen.
--     Returns "id service loaded stamp mark". loaded: "1" or "0". stamp: it changes when the worker's registration does. mark: "t"
--     if the request tries the worker, "d" if its outcome counts, else "-". Or it returns "! none": no worker provides a service;
--     "! closed": none takes work; "! tried": all are excluded, or their breakers are open; "! open": all breakers are open.
--   "release", lease, outcome, uses
--     Ends a lease. outcome: see lib/outcomes.lua; uses: for how many requests it was; 0: the worker was not asked. Returns "0" if
--     there is no such lease; else "1"; or, if that opens or closes the worker's breaker, "1 opened service id" or "1 closed
--     service id".
--   "report", id, service, outcome, trial
--     Takes the outcome of a request without a lease. trial: "t" if it has tried the worker, else "". Returns as "release" does.
--   "hold", lease, id, service, model
--     Makes a lease again that Redis has lost. Returns "1".
--   "renew"
--     Makes the thread's leases last longer. Returns their names with blanks between.
--   "list", services, model, others
--     Returns an array of workers that take work, all equally good but for their requests and ranks, at most LISTED: "id service
--     loaded stamp mark" for each, with the mark "t" for a worker that one request must try. Or it returns "! word" as above.
--
-- It looks at the PAGE workers with the lowest ranks. It looks at more if none of these can be chosen, or if others may be better:
-- at PAGES pages, and besides at MOST_SILENT workers that have fallen silent and that no sweep has moved yet.

local PAGE, PAGES = 32, 8
local MOST_SILENT = 2000 -- each costs 2 µs
local LISTED = 128
local FAR, REQUEST = 500000, 100000 -- in millionths of a load: what another region adds, and each request
local SLOTS = 16383
local SESSIONS_MS = 3600000
local STRINGS = { choose = 8, release = 4, report = 5, hold = 5, renew = 1, list = 4 } -- how many each thing has

local now = clock_now()
local _, TAKES = ranks_range('degraded') -- ranks of workers that take work are less than this

local function is_id(text)
  return #text <= 128 and string.find(text, '^[%w._:-]+$') ~= nil
end

local function is_ids(text, separator)
  return string.find(text, '^[%w._:' .. separator .. '-]*$') ~= nil
end

local function is_model(text)
  return text == '' or string.find(text, '^[!-~]+$') ~= nil
end

local function is_others(text)
  return text == '' or text == 'silent'
end

-- Whether each thing is well formed.
local CHECKS = {
  choose = function(at)
    return is_id(ARGV[at + 1]) and ARGV[at + 2] ~= '' and is_ids(ARGV[at + 2], ',') and is_model(ARGV[at + 3])
      and is_others(ARGV[at + 4])
      and (ARGV[at + 5] == '' or (tonumber(ARGV[at + 5]) or -1) >= 0 and tonumber(ARGV[at + 5]) <= SLOTS)
      and is_ids(ARGV[at + 6], ' ') and tonumber(ARGV[at + 7])
  end,
  release = function(at)
    return string.find(ARGV[at + 2], '^[usfc]$') and string.find(ARGV[at + 3], '^%d+$') and #ARGV[at + 3] <= 9
  end,
  report = function(at)
    return is_id(ARGV[at + 1]) and is_id(ARGV[at + 2]) and string.find(ARGV[at + 3], '^[usfc]$')
  end,
  hold = function(at)
    return is_id(ARGV[at + 1]) and is_id(ARGV[at + 2]) and is_id(ARGV[at + 3]) and is_model(ARGV[at + 4]) and ARGV[at + 4] ~= ''
  end,
  renew = function()
    return true
  end,
  list = function(at)
    return ARGV[at + 1] ~= '' and is_ids(ARGV[at + 1], ',') and is_model(ARGV[at + 2]) and is_others(ARGV[at + 3])
  end,
}

local at = rest
while at <= #ARGV do
  local strings = STRINGS[ARGV[at]]
  if not strings or at + strings - 1 > #ARGV or not CHECKS[ARGV[at]](at) then
    return redis.error_reply('BADCALL malformed thing')
  end
  at = at + strings
end
if not is_id(arg_thread) then
  return redis.error_reply('BADCALL thread is a name')
end

local region = is_id(arg_region) and arg_region
local counts, live, pools = {}, {}, {} -- by worker: its requests, whether it is live; by name: pools
local silent = 0 -- how many workers are known not to be live
local holds = false -- whether the thread has leases

-- How good a choice a worker of a standing is: a lower number is better. nil: it can't be chosen.
local TIERS = { well = 0, trial = 0, forced = 0, suspect = 2 }

-- Returns the workers of `list` that tell of no loaded models; in both lists ids and ranks alternate.
local function silent_of(list)
  local ids, result = {}, {}
  for i = 1, #list, 2 do
    ids[#ids + 1] = list[i]
  end
  local entries = ids[1] and redis.call('HMGET', key_prefix .. 'ledger', unpack(ids)) or {}
  for i, entry in ipairs(entries) do
    local place = ledger_read(entry)
    if place and string.sub(place.ranking, -2) == ' -' then
      result[#result + 1], result[#result + 2] = list[2 * i - 1], list[2 * i]
    end
  end
  return result
end

-- Whether the worker `id` is live.
local function lives(id)
  if live[id] == nil then
    live[id] = redis.call('EXISTS', key_prefix .. 'worker:' .. id .. ':online') == 1
    silent = silent + (live[id] and 0 or 1)
  end
  return live[id]
end

-- Adds the workers of `list` to a pool; ids and ranks alternate. far: what is added to their ranks. Usually only a worker that is
-- chosen must be asked for; but once one is silent, many may be.
local function add_to(pool, list, far)
  local ids, ranks = {}, {}
  list = pool.is_silent and silent_of(list) or list
  for i = 1, #list, 2 do
    if not pool.known[list[i]] and (silent == 0 or lives(list[i])) then
      pool.known[list[i]] = true
      ids[#ids + 1], ranks[#ranks + 1] = list[i], tonumber(list[i + 1])
    end
  end
  if not ids[1] then
    return
  end
  local had = redis.call('HMGET', key_requests, unpack(ids))
  local texts = pool.troubled and redis.call('HMGET', key_prefix .. 'outcomes:' .. pool.service, unpack(ids))
  for i, id in ipairs(ids) do
    local standing = texts and standing_of(pool.service, texts[i], now) or 'well'
    local tier = TIERS[standing]
    counts[id] = counts[id] or tonumber(had[i] or '') or 0
    pool[#pool + 1] = { id = id, service = pool.service, has_model = pool.model ~= '', standing = standing,
      tier = tier and tier + (ranks[i] < TAKES / 2 and 0 or 1), rank = ranks[i], far = far, text = texts and texts[i] }
  end
end

-- Reads the next page of a pool. Returns false when there is none.
local function extend(pool)
  if pool.ends or pool.pages * PAGE >= PAGES * PAGE + math.min(silent, MOST_SILENT) then
    return false
  end
  local from = pool.pages * PAGE
  pool.pages = pool.pages + 1
  if pool.near then
    add_to(pool, redis.call('ZRANGEBYSCORE', pool.near, '-inf', '(' .. TAKES, 'WITHSCORES', 'LIMIT', from, PAGE), 0)
  end
  local list = redis.call('ZRANGEBYSCORE', pool.key, '-inf', '(' .. TAKES, 'WITHSCORES', 'LIMIT', from, PAGE)
  add_to(pool, list, pool.near and FAR or 0)
  pool.last, pool.ends = tonumber(list[#list] or 0), #list < 2 * PAGE
  return true
end

-- Returns the pool of a service's workers that have `model` ("" for any) loaded. is_silent: that tell of no loaded models.
local function pool_of(service, model, is_silent)
  local name = service .. '/' .. (is_silent and ' ' or model)
  if not pools[name] then
    local near = region and key_region .. service .. '/' .. region
    pools[name] = { service = service, model = model, is_silent = is_silent, pages = 0, known = {},
      key = model == '' and key_service .. service or key_model .. name,
      near = near and (model == '' and near or near .. '/' .. model),
      troubled = redis.call('EXISTS', key_prefix .. 'outcomes:' .. service) == 1 }
    extend(pools[name])
  end
  return pools[name]
end

-- Whether a worker is live. If it is not, this call does not choose it any more.
local function is_live(each)
  each.tier = lives(each.id) and each.tier or nil
  return each.tier ~= nil
end

-- Returns a worker's rank without its requests, which decides between workers with equally many requests. The index does not have
-- this rank: the number of requests in its ranks may be a second old.
local function calm_of(each)
  if not each.calm then
    local place = ledger_read(redis.call('HGET', key_prefix .. 'ledger', each.id))
    each.calm = each.rank
    if place and place.status ~= 'offline' then
      local base, special = ranks_base(place, 0)
      each.calm = ranks_within(place, base, special, each.service)
    end
  end
  return each.calm + each.far
end

-- Returns the best worker of a pool, or `best` if that is better; and how many are equally good, one of which it takes at random.
local function best_of(pool, excluded, best, ties)
  for _, each in ipairs(pool) do
    local tier, count = each.tier, counts[each.id]
    if tier and not excluded[each.id] then
      local than = best and (tier - best.tier)
      than = than == 0 and count - counts[best.id] or than
      than = than == 0 and calm_of(each) - calm_of(best) or than
      if not best or than < 0 then
        best, ties = each, 1
      elseif than == 0 then
        ties = ties + 1
        best = math.random(ties) == 1 and each or best
      end
    end
  end
  return best, ties
end

-- Returns the best worker of several pools. Reads further pages while it finds only suspect workers, or later ones may be better.
local function best_of_all(list, excluded)
  local best, ties
  repeat
    best, ties = nil, 0
    for _, pool in ipairs(list) do
      best, ties = best_of(pool, excluded, best, ties)
    end
    local more = false
    for _, pool in ipairs(list) do
      if not best or best.tier >= 2 or best.rank > pool.last then
        more = extend(pool) or more
      end
    end
  until not more and (not best or is_live(best))
  return best
end

-- Returns the word that says why none of the workers in these pools can be chosen.
local function refusal_of(list, excluded)
  local word, provided = 'none', false
  for _, pool in ipairs(list) do
    provided = provided or redis.call('EXISTS', pool.key) == 1
    for _, each in ipairs(pool) do
      if live[each.id] ~= false then
        word = (excluded[each.id] or word == 'tried') and 'tried' or 'open'
      end
    end
  end
  return word == 'none' and provided and 'closed' or word
end

-- Returns the session's worker; nil if it has too many requests or can't be chosen. Then whether the session moves away for good.
local function of_session(list, key, session, excluded)
  local id = redis.call('HGET', key, session)
  local home, sum, count = nil, 0, 0
  for _, pool in ipairs(list) do
    local rank = id and redis.call('ZSCORE', pool.key, id)
    if rank and tonumber(rank) < TAKES then
      add_to(pool, { id, rank }, 0)
    end
    for _, each in ipairs(pool) do
      sum, count = sum + counts[each.id], count + 1
      home = each.id == id and not home and each.tier and each or home
    end
  end
  if not home or not is_live(home) or home.tier >= 2 then
    return nil, true
  end
  -- one request does not count: it may be the session's last one, whose release is on its way through another coordinator
  return not excluded[id] and counts[id] <= math.max(1, 1.25 * sum / count) and home or nil, false
end

-- Returns the pools of several services; for a model, only those that are not empty.
local function pools_of(services, model, is_silent)
  local list = {}
  for service in string.gmatch(services, '[^,]+') do
    local pool = pool_of(service, model, is_silent)
    list[#list + 1] = (pool[1] or model == '') and pool or nil
  end
  return list
end

-- Returns the best worker that provides one of the services, as "choose" says, and the pools from which it was chosen.
local function best_for(services, model, others, excluded)
  local list = model ~= '' and pools_of(services, model) or {}
  local best = best_of_all(list, excluded)
  if not best then
    list = pools_of(services, '', model ~= '' and others == 'silent')
    best = best_of_all(list, excluded)
  end
  return best, list
end

-- Notes that a request tries a worker. lease: nil if the request has none; then the trial lasts for TRIAL_MS.
local function note_trial(service, id, lease)
  local entry = breakers_read(outcomes_text(service, id), now)
  entry.trial = lease and arg_thread .. '/' .. lease or string.format('@%.0f', now + TRIAL_MS)
  outcomes_write(service, id, entry)
end

local stamps = {}

local function stamp_of(id)
  stamps[id] = stamps[id] or redis.call('HGET', key_prefix .. 'registration:' .. id, 'stamp') or '-'
  return stamps[id]
end

local function choose(lease, services, model, others, session, given, seed)
  local excluded = {}
  for id in string.gmatch(given, '%S+') do
    excluded[id] = true
  end
  math.randomseed(tonumber(seed))
  local best, list = best_for(services, model, others, excluded)
  if not best then
    return '! ' .. refusal_of(list, excluded)
  end
  if session ~= '' then
    local key = key_prefix .. 'sessions:' .. string.match(services, '^[^,]+')
    local home, moves = of_session(list, key, session, excluded)
    best = home or best
    if moves then
      redis.call('HSET', key, session, best.id)
    end
    redis.call('PEXPIRE', key, SESSIONS_MS)
  end
  local marks = (best.standing == 'trial' or best.standing == 'forced') and 't' or '-'
  for _, pool in ipairs(list) do
    marks = pool.ends and marks or marks .. 'b'
  end
  local left = route_leases_begin(arg_thread, lease, best.id, best.service, best.has_model and model or '-', marks)
  counts[best.id], best.rank = left or counts[best.id], best.rank + REQUEST
  holds = true
  if best.standing == 'trial' then
    note_trial(best.service, best.id, lease)
    best.tier = nil
  end
  local mark = string.sub(marks, 1, 1)
  mark = mark == '-' and best.text and 'd' or mark
  return table.concat({ best.id, best.service, best.has_model and '1' or '0', stamp_of(best.id), mark }, ' ')
end

-- Forgets the pools if the standing of a worker may have changed.
local function noted(outcome, change)
  if outcome == 'f' or outcome == 'c' or change then
    pools = {}
  end
end

local DO = {
  choose = choose,

  release = function(lease, outcome, uses)
    local id, left, service, change = route_leases_end(arg_thread, lease, outcome, now, tonumber(uses))
    if not id then
      return '0'
    end
    counts[id] = left
    noted(outcome, change)
    return change and '1 ' .. change .. ' ' .. service .. ' ' .. id or '1'
  end,

  report = function(id, service, outcome, trial)
    local change = outcomes_note(service, id, outcome, trial == 't', now)
    noted(outcome, change)
    return change and '1 ' .. change .. ' ' .. service .. ' ' .. id or '1'
  end,

  hold = function(lease, id, service, model)
    counts[id] = route_leases_begin(arg_thread, lease, id, service, model, 'b') or counts[id]
    holds = true
    return '1'
  end,

  renew = function()
    holds = true
    return table.concat(redis.call('HKEYS', key_prefix .. 'requests:' .. arg_thread), ' ')
  end,

  list = function(services, model, others)
    local best, list = best_for(services, model, others, {})
    if not best then
      return '! ' .. refusal_of(list, {})
    end
    local result = {}
    for _, pool in ipairs(list) do
      repeat until #pool >= LISTED or not extend(pool)
      for _, each in ipairs(pool) do
        if #result < LISTED and each.tier == best.tier and is_live(each) then
          local mark = each.standing == 'trial' and 't' or each.text and 'd' or '-'
          if mark == 't' then
            note_trial(each.service, each.id)
          end
          result[#result + 1] = table.concat({ each.id, each.service, each.has_model and '1' or '0', stamp_of(each.id), mark }, ' ')
        end
      end
    end
    return result
  end,
}

memory_need_not_be_free()
local result = {}
at = rest
while at <= #ARGV do
  local strings = STRINGS[ARGV[at]]
  result[#result + 1] = DO[ARGV[at]](unpack(ARGV, at + 1, at + strings - 1))
  at = at + strings
end
if holds then
  route_leases_renew(arg_thread, now)
end
return result
