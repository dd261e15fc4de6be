--: arg member
--: arg mode
--: arg max
--: arg ends_at
--: arg keep_admin
--: arg who
--: arg from
--: arg by
--: arg action
--: rest fields
--: key joined
--: use number
--: use clock
--: use credentials
--: use admins
--: use audit

-- Makes or changes a user, a token or the entry of an ended session, and adds an entry to the audit. member: "user:anna",
-- "token:<id>" or "session:<id>". mode: "new", it must not exist; "old", it must exist. max: how many members of its kind may
-- exist. ends_at: ms since 1970 when it expires, or "". keep_admin: "1", the last admin must stay one. who, from, by, action: for
-- the audit. fields: names and values; an empty value removes the field. Fields that are not named are unchanged. Returns the new
-- version, or the error EXISTS, NOSUCH, LASTADMIN or TOOMANY.

local max = number_of(arg_max)
local kind = string.match(arg_member, '^(%l+):[%w._-]+$')
if not max or not kind or (#ARGV - rest + 1) % 2 ~= 0 or (arg_mode ~= 'new' and arg_mode ~= 'old') then
  return redis.error_reply('BADCALL malformed credential')
end
local hash = key_credential .. arg_member
local known = redis.call('EXISTS', hash) == 1
if known and arg_mode == 'new' then
  return redis.error_reply('EXISTS There is one of this name already')
elseif not known and arg_mode == 'old' then
  return redis.error_reply('NOSUCH There is none of this name')
end
for at = rest, #ARGV, 2 do
  if ARGV[at] == 'role' and ARGV[at + 1] ~= 'admin' and arg_keep_admin == '1' and admins_is_last(arg_member) then
    return redis.error_reply('LASTADMIN Nobody else is an admin')
  end
end

-- Whether there are as many members of the kind as there may be. If the index has so many, first removes expired ones from it:
-- coordinators remove them when they read the index, but they don't read it while nothing changes. It looks at 50 from the first on
-- and at 50 from the place of the new one on. The names of what expires are random, so each call looks at others.
local function is_full()
  local first, last = kind .. ':', '(' .. kind .. ';'
  if redis.call('ZLEXCOUNT', key_credentials, '[' .. first, last) < max then
    return false
  end
  for _, from in ipairs({ first, arg_member }) do
    for _, member in ipairs(redis.call('ZRANGEBYLEX', key_credentials, '[' .. from, last, 'LIMIT', 0, 50)) do
      if redis.call('EXISTS', key_credential .. member) == 0 then
        redis.call('ZREM', key_credentials, member)
      end
    end
  end
  return redis.call('ZLEXCOUNT', key_credentials, '[' .. first, last) >= max
end

if not known and is_full() then
  return redis.error_reply('TOOMANY There are as many as there may be')
end
local now = string.format('%.0f', clock_now())
if not known then
  redis.call('HSET', hash, 'created_at', now, 'created_by', arg_who)
end
redis.call('HSET', hash, 'changed_at', now)
for at = rest, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    redis.call('HDEL', hash, ARGV[at])
  else
    redis.call('HSET', hash, ARGV[at], ARGV[at + 1])
  end
end
if arg_ends_at ~= '' then
  redis.call('PEXPIREAT', hash, arg_ends_at)
  redis.call('PEXPIREAT', key_joined .. string.match(arg_member, ':(.*)'), arg_ends_at) -- of a token that workers register with
end
credentials_add(arg_member)
audit_note(arg_who, arg_from, arg_by, arg_action, arg_member, 'done')
return credentials_changed()
