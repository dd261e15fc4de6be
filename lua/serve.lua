--: arg format
--: arg beside
--: arg instance
--: arg run
--: arg uptime
--: arg loaded
--: arg timeout
--: arg removal
--: arg revive
--: arg max
--: use clock
--: use downtime
--: use format
--: use life
--: use memory
--: use number

-- What a coordinator asks on each new connection before it serves, until there is no more to do, and again every ten seconds.
-- format: that of its version; beside: the oldest one whose coordinators may serve beside it; instance: its name. run: which run
-- of Redis this is, as INFO names it, "" when that is not permitted; uptime: for how many seconds it has run; loaded: "1" when
-- it was loading its data until now. timeout, removal, revive: as in sweep. max: so many workers at most are seen to in one call.
--
-- Data of an older format is brought forward, and time in which Redis was not running is taken off everybody's deadlines,
-- whoever comes first. Where coordinators of an older version can't serve beside this one, it waits until none has said for a
-- while that it serves: the error OLDER names them. Data of a newer format is not touched: the error NEWER.
--
-- Returns {"1" if there is more to do, else "0"; from which format the last worker has been brought forward by this call, else
-- ""; when the deadline of the last worker has been moved by this call, how many live workers there were, and by how many ms}.

local format, beside, max = number_of(arg_format), number_of(arg_beside), number_of(arg_max)
local timeout, removal, revive, uptime =
  number_of(arg_timeout), number_of(arg_removal), number_of(arg_revive), number_of(arg_uptime)
if not format or not beside or not max or max < 1 or not timeout or not removal or not revive or not uptime then
  return redis.error_reply('BADCALL format, beside, uptime, timeout, removal, revive and max are numbers, max is 1 or more')
end

local found = format_found(format)
if not found or found > format then
  return redis.error_reply('NEWER The data in Redis is of format ' .. string.sub(found or 'nobody knows what', 1, 20)
    .. ', this version knows ' .. arg_format .. ': it touches nothing, start a newer one')
end
local now = clock_now()
local older = found < beside and format_older(beside, now) or ''
if older ~= '' then
  return redis.error_reply('OLDER Coordinators of an older format than ' .. arg_beside .. ' serve, end them: '
    .. string.sub(older, 1, 200))
end
memory_need_not_be_free()
life_mend()
if arg_instance ~= '' then
  format_note(arg_instance, arg_format, now)
end
if found < format then
  format_begin(found, arg_format)
elseif redis.call('EXISTS', key_format) == 0 then
  redis.call('SET', key_format, arg_format)
end
local more, from = format_forward(format, max)
if more then
  return { '1', '' }
end
if arg_run ~= '' then
  downtime_begin(arg_run, arg_loaded == '1' and now or now - uptime * 1000, now)
end
local goes_on, count, ms = downtime_move(arg_run, now, timeout, removal, revive, max)
return { goes_on and '1' or '0', from or '', count and string.format('%d', count), ms }
