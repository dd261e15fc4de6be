--: arg queue
--: arg state
--: arg type
--: arg worker_id
--: arg error
--: arg cursor
--: arg max
--: key prefix
--: use number

-- Lists tasks. queue, state, type, worker_id: filters, "" for any; error: a part of the error's text. cursor: "" from the
-- beginning. Leased tasks come first, by worker; then the other tasks of each queue, the newest first among those that have ended.
-- It looks at some hundred tasks. Returns {the cursor of the next page ("" if no task follows), then for each task its id and the
-- fields of SHOWN ("" for a missing one)}.

local SHOWN = { 'state', 'queue', 'type', 'priority', 'attempts', 'max_attempts', 'created_at', 'available_at', 'started_at',
  'finished_at', 'expires_at', 'worker_id', 'lease_ms', 'requirements', 'dedup', 'progress', 'error', 'reason', 'cancel' }
local LOOKED_AT = 500
local PAGE = 100
local STATES = { 'queued', 'scheduled', 'dead', 'completed', 'cancelled', 'expired' }

local max = number_of(arg_max)
if not max or max < 1 or max > 500 then
  return redis.error_reply('BADCALL max is 1 to 500')
end
local from = {} -- the words of the cursor: queue ("*" for leased tasks), state, lane or worker, score, id
for word in string.gmatch(arg_cursor .. '\t', '([^\t]*)\t') do
  from[#from + 1] = word
end
local result, looked = { '' }, 0
local last -- the words of the cursor behind the task that was looked at last

-- Ends the page behind the task that was looked at last.
local function end_page()
  result[1] = table.concat(last, '\t')
  return true
end

-- Looks at a task. Returns whether the page ends before it: the page is full, or enough tasks were looked at.
local function look_at_task(id, queue, state, sub, score)
  if looked == LOOKED_AT then
    return end_page()
  end
  looked = looked + 1
  local fields = redis.call('HMGET', key_prefix .. 'task:' .. id, unpack(SHOWN))
  local err = fields[17]
  if fields[1] and (arg_type == '' or fields[3] == arg_type) and (arg_worker_id == '' or fields[12] == arg_worker_id)
    and (arg_error == '' or err and string.find(err, arg_error, 1, true)) then
    if #result > max * (#SHOWN + 1) then
      return end_page()
    end
    result[#result + 1] = id
    for at = 1, #SHOWN do
      result[#result + 1] = fields[at] or ''
    end
  end
  last = { queue, state, sub, score, id }
end

local function list_leased()
  local worker = from[1] == '*' and from[3] or ''
  local begin = worker == '' and '-' or (from[5] == '' and '(' or '[') .. worker -- without a task, the worker is done
  local ids = arg_worker_id ~= '' and { arg_worker_id }
    or redis.call('ZRANGEBYLEX', key_prefix .. 'workers', begin, '+', 'LIMIT', 0, LOOKED_AT)
  for _, id in ipairs(ids) do
    local held = redis.call('HGETALL', key_prefix .. 'held:' .. id)
    local tasks = {}
    for at = 1, #held, 2 do
      if arg_queue == '' or string.match(held[at + 1], '^%d+ %d+ %d+ %d+ (%S+)') == arg_queue then
        tasks[#tasks + 1] = held[at]
      end
    end
    table.sort(tasks)
    for _, task in ipairs(tasks) do
      if (id ~= worker or task > from[5]) and look_at_task(task, '*', '', id, '') then
        return true
      end
    end
  end
  if #ids == LOOKED_AT then
    result[1] = table.concat({ '*', '', ids[#ids], '', '' }, '\t')
    return true
  end
end

-- Returns the rank of the first member of a sorted set that comes after `score` and `id`, in its order or in the reverse order.
-- Thousands of members may have one score. These are in the order of their ids, so it searches by halves.
local function rank_after(key, reverse, score, id)
  local low = redis.call('ZCOUNT', key, reverse and '(' .. score or '-inf', reverse and '+inf' or '(' .. score)
  local high = low + redis.call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local other = redis.call(reverse and 'ZREVRANGE' or 'ZRANGE', key, middle, middle)[1]
    if reverse and other < id or not reverse and other > id then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

-- Lists one sorted set, after `score` and `id` ("" from its beginning).
local function list_set(key, queue, state, sub, score, id)
  local reverse = state ~= 'queued' and state ~= 'scheduled'
  local at = score == '' and 0 or rank_after(key, reverse, score, id)
  while true do
    local found = redis.call(reverse and 'ZREVRANGE' or 'ZRANGE', key, at, at + PAGE - 1, 'WITHSCORES')
    for i = 1, #found, 2 do
      if look_at_task(found[i], queue, state, sub, found[i + 1]) then
        return true
      end
    end
    at = at + PAGE
    if #found < 2 * PAGE then
      return false
    end
  end
end

-- A lane's name as cursors have it: of a long one the beginning and a digest, since a cursor must fit into a URL.
local function short(lane)
  return #lane <= 100 and lane or string.sub(lane, 1, 60) .. redis.sha1hex(lane)
end

-- The lanes of a queue with queued tasks, by their names in cursors, in the order of these.
local function lanes_of(queue)
  local names, lanes = {}, {}
  for i, lane in ipairs(redis.call('SMEMBERS', key_prefix .. 'queue_lanes:' .. queue)) do
    names[i] = short(lane)
    lanes[names[i]] = lane
  end
  table.sort(names)
  return names, lanes
end

local function list_queue(queue)
  local resumed = from[1] ~= queue
  for _, state in ipairs(STATES) do
    if resumed or state == from[2] then
      if arg_state == '' or arg_state == state then
        local subs, lanes = { '' }, nil
        if state == 'queued' then
          subs, lanes = lanes_of(queue)
        end
        for _, sub in ipairs(subs) do
          local key = key_prefix .. state .. ':' .. queue
          if lanes then
            local group, shape = string.match(lanes[sub], '^(%S+) (.*)$')
            key = key_prefix .. 'ready:' .. group .. ' ' .. queue .. ' ' .. shape
          end
          local again = not resumed and sub == from[3]
          if (resumed or sub >= from[3]) and list_set(key, queue, state, sub, again and from[4] or '', again and from[5] or '') then
            return true
          end
        end
      end
      resumed = true
    end
  end
end

if (from[1] == '' or from[1] == '*') and (arg_state == '' or arg_state == 'leased') and list_leased() then
  return result
end
local queues = arg_queue ~= '' and { arg_queue } or redis.call('SMEMBERS', key_prefix .. 'queues')
table.sort(queues)
for _, queue in ipairs(queues) do
  if arg_state ~= 'leased' and (from[1] == '' or from[1] == '*' or queue >= from[1]) and list_queue(queue) then
    return result
  end
end
return result
