--: arg who
--: arg from
--: arg by
--: arg action
--: arg target
--: arg outcome
--: use audit

-- Notes in the audit what no other script does: logins, refusals.

audit_note(arg_who, arg_from, arg_by, arg_action, arg_target, arg_outcome)
return '1'
