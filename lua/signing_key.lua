--: arg kid
--: arg pem
--: arg mode
--: arg keep
--: arg who
--: arg from
--: arg by
--: use number
--: use clock
--: use credentials
--: use audit

-- Makes `kid` the key that signs tokens. mode: "first", only if there is no signing key yet, so that ten coordinators that start
-- at once get one key; "rotate", in place of the present one. The old key stays known for `keep` ms, for the tokens that it has
-- signed. "forget", in place of all keys: what they have signed is void. Returns the name of the key that now signs, or the
-- error TOOMANY.

local MAX = 60 -- the most known keys
local ACTIONS = { first = 'key.make', rotate = 'key.rotate', forget = 'key.forget' }

local keep = number_of(arg_keep)
if not keep or not string.find(arg_kid, '^[%w_-]+$') or not ACTIONS[arg_mode] then
  return redis.error_reply('BADCALL malformed key')
end
local now = clock_now()
if arg_mode == 'forget' then
  for _, member in ipairs(redis.call('ZRANGEBYLEX', key_credentials, '[key:', '(key;')) do
    credentials_remove(member)
  end
end
local signs = redis.call('HGET', key_credential, 'signs')
if signs and redis.call('EXISTS', key_credential .. 'key:' .. signs) == 1 then
  if arg_mode == 'first' then
    return signs
  end
  local known = 0
  for _, member in ipairs(redis.call('ZRANGEBYLEX', key_credentials, '[key:', '(key;')) do
    known = known + redis.call('EXISTS', key_credential .. member)
  end
  if known >= MAX then
    return redis.error_reply('TOOMANY There are as many keys as may be known at once')
  end
  redis.call('HSET', key_credential .. 'key:' .. signs, 'retired_at', string.format('%.0f', now))
  redis.call('PEXPIREAT', key_credential .. 'key:' .. signs, string.format('%.0f', now + keep))
end
redis.call('HSET', key_credential .. 'key:' .. arg_kid, 'pem', arg_pem, 'created_at', string.format('%.0f', now))
redis.call('HSET', key_credential, 'signs', arg_kid)
credentials_add('key:' .. arg_kid)
audit_note(arg_who, arg_from, arg_by, ACTIONS[arg_mode], arg_kid, 'done')
credentials_changed()
return arg_kid
