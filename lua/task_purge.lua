--: rest ids
--: use clock
--: use task_cancel

-- Cancels tasks, and deletes those that have ended. Returns for each a word, as task_cancel does, and "deleted".

local now, answers = clock_now(), {}
for at = rest, #ARGV do
  answers[#answers + 1] = task_cancel_one(ARGV[at], true, now)
end
return answers
