--: key prefix

-- News for a worker about its tasks: `news:<worker>` has for each task `lost` or `cancel`, see lib/task_leases.lua.

-- Takes the news of a worker. Drops news that no longer matters: of a lost task that the worker holds again, and of a task to
-- cancel that it no longer holds. Returns two lists of ids: lost tasks, and tasks to cancel.
local function task_news_take(worker)
  local key, lists = key_prefix .. 'news:' .. worker, { lost = {}, cancel = {} }
  local news = redis.call('HGETALL', key)
  for at = 1, #news, 2 do
    local list, held = lists[news[at + 1]], redis.call('HEXISTS', key_prefix .. 'held:' .. worker, news[at]) == 1
    if list and held == (list == lists.cancel) then
      list[#list + 1] = news[at]
    end
  end
  if #news > 0 then
    redis.call('DEL', key)
    redis.call('ZREM', key_prefix .. 'news', worker)
  end
  return lists.lost, lists.cancel
end
