-- The attempts that did not complete a task. Each is a line with the worker, its lease, the begin and the end, the outcome, and the
-- worker's own words.

local LINES = 10

-- Returns `history` (false: none yet) with one more attempt.
local function task_history_add(history, worker, lease, started, ended, outcome, text)
  -- the lease is two words
  local lines = { table.concat({ worker, lease, started, string.format('%.0f', ended), outcome,
    (string.gsub(string.gsub(string.sub(text, 1, 200), '[\192-\255][\128-\191]*$', ''), '%c', ' ')) }, ' ') }
  for line in string.gmatch(history or '', '[^\n]+') do
    if #lines < LINES then
      lines[#lines + 1] = line
    end
  end
  return table.concat(lines, '\n') -- the last one first
end

-- Calls visit(worker, lease, outcome, ended) for each attempt, the last one first, until it returns true. ended: ms since 1970.
-- Returns whether it did.
local function task_history_find(history, visit)
  for line in string.gmatch(history or '', '[^\n]+') do
    local worker, seq, nonce, ended, outcome = string.match(line, '^(%S+) (%S+) (%S+) %S+ (%d+) (%S+)')
    if worker and visit(worker, seq .. ' ' .. nonce, outcome, ended) then
      return true
    end
  end
  return false
end
