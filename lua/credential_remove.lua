--: arg member
--: arg keep_admin
--: arg who
--: arg from
--: arg by
--: arg action
--: use credentials
--: use admins
--: use audit

-- Removes a user, a token or a key, and adds an entry to the audit. keep_admin: "1", the last admin is not removed. Returns the new
-- version, or the error NOSUCH or LASTADMIN.

if redis.call('EXISTS', key_credential .. arg_member) == 0 then
  credentials_remove(arg_member) -- it has expired
  return redis.error_reply('NOSUCH There is none of this name')
elseif arg_keep_admin == '1' and admins_is_last(arg_member) then
  return redis.error_reply('LASTADMIN Nobody else is an admin')
end
credentials_remove(arg_member)
audit_note(arg_who, arg_from, arg_by, arg_action, arg_member, 'done')
return credentials_changed()
