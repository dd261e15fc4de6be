--: rest waiters
--: use task_waiters

-- Takes polls that are over out of the waiters. Returns how many were given.

for at = rest, #ARGV do
  task_waiters_remove(ARGV[at])
end
return #ARGV - rest + 1
