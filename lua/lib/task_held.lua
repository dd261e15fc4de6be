--: key prefix
--: use many
--: finish task_held_flush

-- The tasks that workers are given. They are written when the script ends, into `held:<worker>` and `leases` (see task_leases.lua).

local given, given_first = {}, {} -- by worker: ids and entries; the first moment at which one of them runs out

local function task_held_add(worker, id, entry, deadline)
  local entries = given[worker] or {}
  given[worker] = entries
  entries[#entries + 1] = id
  entries[#entries + 1] = entry
  given_first[worker] = math.min(given_first[worker] or deadline, deadline)
end

local function task_held_flush()
  for worker, entries in pairs(given) do
    many_call('HSET', key_prefix .. 'held:' .. worker, entries)
    redis.call('ZADD', key_prefix .. 'leases', 'LT', given_first[worker], worker)
  end
  given, given_first = {}, {}
end
