--: rest ids
--: use clock
--: use task_cancel

-- Cancels tasks. Returns a word for each: "cancelled"; "cancelling": its worker is told; "ended STATE"; "unknown".

local now, answers = clock_now(), {}
for at = rest, #ARGV do
  answers[#answers + 1] = task_cancel_one(ARGV[at], nil, now)
end
return answers
