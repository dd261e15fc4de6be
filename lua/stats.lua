--: key stats

-- The fleet's counters: {field, value, …}. Costs the same for any number of workers.
return redis.call('HGETALL', key_stats)
