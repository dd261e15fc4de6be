-- What a heartbeat costs at the least in a service that keeps no counters, ranks or events: KEYS are the worker's hash, its
-- online key and the index of live workers; ARGV its id, status and load.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'status', ARGV[2], 'current_load', ARGV[3], 'last_heartbeat', now)
redis.call('PEXPIRE', KEYS[1], 1800000)
redis.call('SET', KEYS[2], ARGV[2], 'PX', 300000)
redis.call('ZADD', KEYS[3], now + 300000, ARGV[1])
return 1
