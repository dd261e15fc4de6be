--: rest waiters
--: use task_waiters

-- Removes polls that are over from the waiters. Returns how many polls it was given.

for at = rest, #ARGV do
  task_waiters_remove(ARGV[at])
end
return #ARGV - rest + 1
