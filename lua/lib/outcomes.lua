--: key prefix
--: use breakers

-- Stores the outcomes of requests, see lib/breakers.lua.

local ROW = 5 -- failures in a row that open a breaker
local MARKS, MARKS_MS = 10, 30000 -- a breaker also opens if half of the last MARKS outcomes, all within MARKS_MS, are failures
local OPEN_MS = 10000 -- how long a breaker is open at first, which doubles each time
local KEPT_MS = 900000

local known = {} -- by service: whether it has any outcomes

-- The text in `outcomes` for a worker; false if there is none.
local function outcomes_text(service, id)
  if known[service] == nil then
    known[service] = redis.call('EXISTS', key_prefix .. 'outcomes:' .. service) == 1
  end
  return known[service] and redis.call('HGET', key_prefix .. 'outcomes:' .. service, id)
end

local function outcomes_write(service, id, entry)
  known[service] = true
  local key = key_prefix .. 'outcomes:' .. service
  redis.call('HSET', key, id, string.format('%.0f %.0f %d %d %s %s', entry.suspect, entry.open, entry.opens, entry.row,
    entry.trial, entry.marks))
  redis.call('PEXPIRE', key, KEPT_MS)
end

-- Adds an outcome to the last ones. Returns how many outcomes there were within MARKS_MS, and how many of them were failures.
local function add_mark(entry, sign, now)
  local marks, count, failed = { sign .. string.format('%.0f', now) }, 1, sign == '-' and 1 or 0
  local list = {}
  for each, at in string.gmatch(entry.marks, '([+-])(%d+)') do
    list[#list + 1] = { each, at }
  end
  for i = #list, math.max(1, #list - MARKS + 2), -1 do
    if now - list[i][2] <= MARKS_MS then
      table.insert(marks, 1, list[i][1] .. list[i][2])
      count, failed = count + 1, failed + (list[i][1] == '-' and 1 or 0)
    end
  end
  entry.marks = table.concat(marks)
  return count, failed
end

-- Opens a breaker, unless the breakers of half of the service's workers are open already. Returns "opened" if it opened it.
local function open(service, id, entry, now)
  local key = key_prefix .. 'open:' .. service
  if redis.call('ZCOUNT', key, '(' .. now, '+inf') >= breakers_most_open(service) then
    return nil
  end
  entry.open, entry.opens = now + math.min(OPEN_MS * 2 ^ entry.opens, OPEN_MOST_MS), entry.opens + 1
  redis.call('ZADD', key, string.format('%.0f', entry.open), id)
  redis.call('PEXPIRE', key, KEPT_MS)
  return 'opened'
end

-- Forgets the outcomes of a worker. Returns "closed" if its breaker was open.
local function forget(service, id, entry)
  redis.call('HDEL', key_prefix .. 'outcomes:' .. service, id)
  if entry.open > 0 then
    redis.call('ZREM', key_prefix .. 'open:' .. service, id)
  end
  return entry.open > 0 and 'closed' or nil
end

-- Counts a failure of a worker whose breaker is closed. Returns whether the breaker must open.
local function is_too_much(entry, outcome, now)
  local count, failed = add_mark(entry, '-', now)
  entry.row = entry.row + 1
  entry.suspect = outcome == 'c' and now + SUSPECT_MS or entry.suspect
  return entry.row >= ROW or (count >= MARKS and failed * 2 >= MARKS)
end

-- Stores the outcome of a request to worker `id`: "s" served, "f" failed, "c" not reachable, "u" unknown. is_trial: the request has
-- tried a worker whose breaker was open. Returns "opened" or "closed" if the breaker has changed.
local function outcomes_note(service, id, outcome, is_trial, now)
  local text = (outcome ~= 'u' or is_trial) and outcomes_text(service, id)
  if not text and (outcome == 's' or outcome == 'u') then
    return nil
  end
  local entry, change = breakers_read(text, now), nil
  if is_trial and outcome == 's' then
    return forget(service, id, entry)
  elseif entry.open > 0 and not is_trial then
    return nil -- the request had begun before the breaker opened
  elseif is_trial then
    entry.trial = '-'
    change = outcome ~= 'u' and entry.open > 0 and entry.open <= now and open(service, id, entry, now) or nil
  elseif outcome == 's' then
    local _, failed = add_mark(entry, '+', now)
    entry.suspect, entry.row = 0, 0
    if failed == 0 then
      return forget(service, id, entry)
    end
  else
    change = is_too_much(entry, outcome, now) and open(service, id, entry, now) or nil
  end
  outcomes_write(service, id, entry)
  return change
end
