-- rejects: unused variable 'limit'
local limit = tonumber(ARGV[1])
return redis.call('ZRANGE', KEYS[1], 0, 10)
