--: key stats

-- Reads the fleet's counters: {field, value, …}. The cost does not depend on the number of workers.
return redis.call('HGETALL', key_stats)
