--: key prefix

-- What happens to tasks at a moment: `scheduled:<queue>` has those that are to be queued, `expiring:<queue>` those that wait
-- and expire. `agenda` has each of these sets, by a lower bound of its first moment, so that one look finds what is due.

local function task_agenda_add(kind, queue, id, moment)
  redis.call('ZADD', key_prefix .. kind .. ':' .. queue, moment, id)
  redis.call('ZADD', key_prefix .. 'agenda', 'LT', moment, kind .. ' ' .. queue)
end

local function task_agenda_remove(kind, queue, id)
  redis.call('ZREM', key_prefix .. kind .. ':' .. queue, id)
end
