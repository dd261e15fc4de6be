--: arg who
--: arg from
--: arg by
--: arg action
--: arg target
--: arg outcome
--: use clock
--: use limit
--: use audit

-- Adds an entry to the audit for logins, refusals and what operators do. All other entries come from the script that makes the
-- change. Of what is refused, 1,000 at once get an entry, and then one a minute: else strangers could drive all other entries out.
-- Returns 1, or 0 if there is no entry.

if arg_outcome == 'refused' and limit_take({ 'audit:refused' }, 60000, 1000, clock_now()) > 0 then
  return '0'
end
audit_note(arg_who, arg_from, arg_by, arg_action, arg_target, arg_outcome)
return '1'
