--: key services

-- Reads how many live workers provide each service: {"status service", count, …}.
return redis.call('HGETALL', key_services)
