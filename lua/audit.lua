--: arg who
--: arg from
--: arg by
--: arg action
--: arg target
--: arg outcome
--: use audit

-- Adds an entry to the audit for logins and refusals. All other entries come from the script that makes the change.

audit_note(arg_who, arg_from, arg_by, arg_action, arg_target, arg_outcome)
return '1'
