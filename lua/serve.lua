--: arg format
--: arg beside
--: arg serves
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

-- A coordinator calls this on each new connection before it serves, until there is no more to do, and again every ten seconds.
-- format: the data format of its version; beside: the oldest format whose coordinators may serve beside it; serves: "1" if it
-- serves already; instance: its name.
-- run: which run of Redis this is, as INFO names it, "" when that is not permitted; uptime: for how many seconds it has run;
-- loaded: "1" when it was loading its data until now. timeout, removal, revive: as in sweep. max: the most workers that one call
-- handles.
--
-- The first call brings data of an older format forward, and moves all deadlines by the time for which Redis was not running. If
-- coordinators of an older version can't serve beside this one, the script returns the error OLDER, which names them, until none of
-- them has said for a while that it serves. Data of a newer format is not touched: the error is NEWER. A coordinator that serves
-- already, and may serve beside those that have brought the data forward, goes on instead.
--
-- Returns {"1" if there is more to do, "n" if the data is of a newer format, else "0"; the old format, if this call brought the
-- last worker forward, else ""; and, if this call moved the deadline of the last worker, how many live workers there were, and by
-- how many ms}.

local format, beside, max = number_of(arg_format), number_of(arg_beside), number_of(arg_max)
local timeout, removal, revive, uptime =
  number_of(arg_timeout), number_of(arg_removal), number_of(arg_revive), number_of(arg_uptime)
if not format or not beside or not max or max < 1 or not timeout or not removal or not revive or not uptime then
  return redis.error_reply('BADCALL format, beside, uptime, timeout, removal, revive and max are numbers, max is 1 or more')
end

local found = format_found(format)
if found and found > format and arg_serves == '1' and format_serves_beside(format) then
  return { 'n', '' }
end
if not found or found > format then
  return redis.error_reply('NEWER The data in Redis is of '
    .. (found and 'format ' .. string.sub(found, 1, 20) or 'a format that is no number')
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
  format_begin(found, arg_format, arg_beside)
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
