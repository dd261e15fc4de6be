-- rejects: setting non-standard global variable 'count'
count = redis.call('ZCARD', KEYS[1])
return count
