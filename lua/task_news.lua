--: rest beats
--: use number
--: use clock
--: use task_holders
--: use task_leases
--: use task_news
--: use task_queues
--: use task_workers

-- The news of tasks in the answers to heartbeats. beats: for each the worker's id; on how many tasks it says that it works ("-1" if
-- it does not say), and their ids. A task that it has held for longer than GRACE_MS and does not name never reached it, and is
-- taken back. Returns for each {how many queued tasks it could do, in some lanes, 0 if it holds as many as it may; the ids of the
-- tasks that it has lost, with blanks between; the ids of the tasks that it must cancel}. A task that it names and has reported on
-- itself is not lost: heartbeats and reports may overtake each other.

local GRACE_MS = 10000
local LANES = 32 -- lanes of a group that are counted; if the worker can take nothing from them, as many more, and so on
local LANES_MAX = 1000 -- as in task_lease

local now = clock_now()
local at = rest
while at <= #ARGV do
  local count = number_of(ARGV[at + 1])
  if not count or count < -1 or count % 1 ~= 0 or at + 1 + math.max(count, 0) > #ARGV then
    return redis.error_reply('BADCALL malformed beat')
  end
  at = at + 2 + math.max(count, 0)
end

local pages = {} -- by group and beginning: lanes of a group; the beats of a call look at the same ones

local function page_of(group, from)
  local key = group .. ' ' .. from
  pages[key] = pages[key] or redis.call('ZRANGE', key_prefix .. 'lanes:' .. group, from, from + LANES - 1)
  return pages[key]
end

-- How many tasks wait in some of the lanes of a group from which the worker may take tasks.
local function count_group(worker, group)
  local waiting, from = 0, 0
  repeat
    local page = page_of(group, from)
    for _, lane in ipairs(page) do
      local queue, shape = string.match(lane, '^(%S+) (.*)$')
      if not task_queues_closed(queue) and task_workers_fits(worker, shape) then
        waiting = waiting + redis.call('ZCARD', task_lanes_key(group, queue, shape))
      end
    end
    from = from + LANES
  until waiting > 0 or #page < LANES or from >= LANES_MAX
  return waiting
end

-- How many tasks wait in the lanes from which the worker may take tasks.
local function count_waiting(worker)
  local waiting = 0
  if not worker or not task_workers_takes(worker) or task_workers_room(worker.id) <= 0 then
    return 0
  end
  for i, present in ipairs(redis.call('SMISMEMBER', key_prefix .. 'groups', unpack(worker.groups))) do
    waiting = waiting + (present == 1 and count_group(worker, worker.groups[i]) or 0)
  end
  return waiting
end

-- Compares the tasks that the worker names with those that it holds. Adds to `lost` the tasks that it no longer holds, and to
-- `cancel` those that it is to cancel.
local function compare(id, first, count, lost, cancel)
  local named, held = {}, redis.call('HGETALL', key_prefix .. 'held:' .. id)
  local holds = {}
  for i = first, first + count - 1 do
    named[ARGV[i]] = true
  end
  for i = 1, #held, 2 do
    holds[held[i]] = true
    if named[held[i]] and string.find(held[i + 1], '^%d+ %d+ %d+ %d+ %S+ %S+ cancel$') then -- it may not know this yet
      cancel[held[i]] = true
    end
    local since = string.match(held[i + 1], '^%d+ %d+ %d+ (%d+)')
    if not named[held[i]] and since and tonumber(since) <= now - GRACE_MS then
      task_leases_give_back(id, held[i], 'not worked on', now)
      pages = {} -- it may have a new lane
    end
  end
  for task in pairs(named) do
    if not holds[task] and not task_holders_reported(id, task) then
      lost[task] = true
    end
  end
end

local function tell_worker(id, first, count)
  local lost, cancel, ids = {}, {}, { {}, {} }
  for i, list in ipairs({ task_news_take(id) }) do
    for _, task in ipairs(list) do
      (i == 1 and lost or cancel)[task] = true
    end
  end
  if count >= 0 then
    compare(id, first, count, lost, cancel)
  end
  for i, set in ipairs({ lost, cancel }) do
    for task in pairs(set) do
      ids[i][#ids[i] + 1] = task
    end
    table.sort(ids[i])
  end
  return { count_waiting(task_workers_read(id)), table.concat(ids[1], ' '), table.concat(ids[2], ' ') }
end

local answers = {}
at = rest
while at <= #ARGV do
  local count = tonumber(ARGV[at + 1])
  answers[#answers + 1] = tell_worker(ARGV[at], at + 2, count)
  at = at + 2 + math.max(count, 0)
end
return answers
