--: key prefix
--: use many
--: finish task_fronts_flush

-- Reads the first tasks of lanes, and takes tasks out of them. The asks of one script call often take from the same lane. So a lane
-- is read in larger and larger pieces, and taken tasks are removed from it only when the script ends. Until then nothing else in
-- the script may change the lane.

local PIECE, FIRST_PIECE = 64, 16 -- the most tasks that are read at once beyond those asked for; the first time
-- By key of the lane: `ids` and `places` from `first` to `last`; `taken`: ids that were taken and are still in Redis, of which the
-- first `settled` are removed at the end; `read`: how many were read; `whole`: whether that was the whole lane.
local fronts = {}

-- Returns the id and the place of the task of lane `key` that follows `passed` others which are not taken; nil if there is none.
-- want: how many more tasks are asked for; later: how many are wanted after that by the other asks of the call.
local function task_fronts_at(key, passed, want, later)
  local front = fronts[key]
  if not front then
    front = { ids = {}, places = {}, first = 1, last = 0, taken = {}, settled = 0, read = 0, whole = false }
    fronts[key] = front
  end
  local at = front.first + passed
  if at > front.last and not front.whole then
    local from, ahead = #front.taken + front.last - front.first + 1, math.max(FIRST_PIECE, math.min(front.read, PIECE))
    local count = want + 1 + math.min(later, ahead)
    local found = redis.call('ZRANGE', key, from, from + count - 1, 'WITHSCORES')
    for i = 1, #found, 2 do
      front.last = front.last + 1
      front.ids[front.last], front.places[front.last] = found[i], found[i + 1]
    end
    front.read, front.whole = front.read + count, #found < 2 * count
  end
  return front.ids[at], front.places[at]
end

-- Takes the task that task_fronts_at returns. It stays in its lane if the script fails before task_fronts_settle.
local function task_fronts_take(key, passed)
  local front = fronts[key]
  local ids, places = front.ids, front.places
  front.taken[#front.taken + 1] = ids[front.first + passed]
  for at = front.first + passed, front.first + 1, -1 do -- those before it move up
    ids[at], places[at] = ids[at - 1], places[at - 1]
  end
  ids[front.first], places[front.first] = nil, nil
  front.first = front.first + 1
end

local function task_fronts_settle(key)
  fronts[key].settled = #fronts[key].taken
end

-- Removes the tasks that were taken, and settled, from their lanes.
local function task_fronts_flush()
  for key, front in pairs(fronts) do
    many_call('ZREM', key, { unpack(front.taken, 1, front.settled) })
    front.taken, front.settled = { unpack(front.taken, front.settled + 1) }, 0
  end
end
