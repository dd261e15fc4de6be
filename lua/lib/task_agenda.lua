--: key prefix

-- Tasks with a moment at which something happens: `scheduled:<queue>` has the tasks to be queued then, `expiring:<queue>` the
-- waiting tasks that expire then. `agenda` has each of these sets, with a lower bound of its first moment, so that one look finds
-- the sets that are due.

local function task_agenda_add(kind, queue, id, moment)
  redis.call('ZADD', key_prefix .. kind .. ':' .. queue, moment, id)
  redis.call('ZADD', key_prefix .. 'agenda', 'LT', moment, kind .. ' ' .. queue)
end

local function task_agenda_remove(kind, queue, id)
  redis.call('ZREM', key_prefix .. kind .. ':' .. queue, id)
end
