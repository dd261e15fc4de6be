--: key audit

local AUDITED = '10000' -- entries that are kept at least; there are hardly more

-- Adds an entry: who has done what to whom, and with what outcome. who: the caller's name, from the admission; from: the address;
-- by: the instance.
local function audit_note(who, from, by, action, target, outcome)
  redis.call('XADD', key_audit, 'MAXLEN', '~', AUDITED, '*', 'who', who, 'from', from, 'by', by, 'action', action, 'target', target,
    'outcome', outcome)
end
