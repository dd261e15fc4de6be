--: rest ids
--: use clock
--: use task_cancel

-- Cancels tasks, and deletes tasks that have ended. Returns a word for each: those of task_cancel, or "deleted".

local now, answers = clock_now(), {}
for at = rest, #ARGV do
  answers[#answers + 1] = task_cancel_one(ARGV[at], true, now)
end
return answers
