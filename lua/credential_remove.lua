--: arg member
--: arg who
--: arg from
--: arg by
--: arg action
--: use credentials
--: use audit

-- Removes a user, a token or a key, and adds an entry to the audit. Returns the new version, or the error NOSUCH.

if redis.call('EXISTS', key_credential .. arg_member) == 0 then
  credentials_remove(arg_member) -- it has expired
  return redis.error_reply('NOSUCH There is none of this name')
end
credentials_remove(arg_member)
audit_note(arg_who, arg_from, arg_by, arg_action, arg_member, 'done')
return credentials_changed()
