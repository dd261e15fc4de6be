--: rest tasks
--: use clock
--: use task_cancel

-- Cancels tasks, and deletes tasks that have ended. tasks: for each its id, and the state in which it was found. A task that has
-- moved on since stays as it is: it may have a result by now. Returns a word for each: those of task_cancel; "deleted"; "moved
-- STATE".

if (#ARGV - rest + 1) % 2 ~= 0 then
  return redis.error_reply('BADCALL malformed tasks')
end
local now, answers = clock_now(), {}
for at = rest, #ARGV, 2 do
  answers[#answers + 1] = task_cancel_one(ARGV[at], ARGV[at + 1], now)
end
return answers
