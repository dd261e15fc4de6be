--: key prefix

-- News for a worker about its tasks: `news:<worker>` has for each `lost` or `cancel`, see lib/task_leases.lua.

-- Takes the news of a worker that still matters: it does not hold what it lost, and holds what it is to cancel. Returns two lists
-- of ids: lost, and to be cancelled.
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
