--: key prefix
--: use try

-- Where a join token speaks for a worker, scripts get the worker's id with the token's behind a blank: a token speaks only for the
-- workers that have registered with it, and for those that nobody has registered with one.

-- The id of the worker that `text` names, and whether the token, if there is one, speaks for it.
local function task_owners_read(text)
  local id, join = string.match(text, '^(%S+) (%S+)$')
  if not id then
    return text, true
  end
  local owner = try_call('HGET', key_prefix .. 'registration:' .. id, 'join')
  return id, not owner or owner == join
end
