--: key prefix
--: key service
--: use ranks

-- The outcomes of requests to the workers of a service, only for workers with failures. `outcomes:<service>` has, for a worker,
-- "suspect open opens row trial marks": until when (ms) others are chosen first; until when its breaker keeps requests away (0: it
-- is closed; after that moment one request at a time tries the worker); how often it has opened since it was last closed; failures
-- in a row; the request that tries the worker ("thread/lease", or "@until"; "-" for none); the last outcomes
-- ("+1900000000000-1900000000123": served, failed, and when). `open:<service>` has the workers whose breaker is not closed, by that
-- moment, to count them. Both keys expire if nobody touches them for a while.

local SUSPECT_MS = 10000
local TRIAL_MS = 10000 -- how long a trial without a lease lasts
local OPEN_MOST_MS = 300000 -- a breaker is open for this long at most

-- Parses the text in `outcomes` for a worker; text: false if there is none. Moments that are too far ahead are from before Redis's
-- clock was set back: they count as past.
local function breakers_read(text, now)
  local suspect, open, opens, row, trial, marks = string.match(text or '', '^(%d+) (%d+) (%d+) (%d+) (%S+) (%S*)$')
  if (tonumber(string.match(trial or '', '^@(%d+)$') or '') or 0) > now + TRIAL_MS then
    trial = '-'
  end
  suspect, open = tonumber(suspect or 0), tonumber(open or 0)
  return { suspect = suspect <= now + SUSPECT_MS and suspect or 0, open = open <= now + OPEN_MOST_MS and open or now,
    opens = tonumber(opens or 0), row = tonumber(row or 0), trial = trial or '-', marks = marks or '' }
end

-- How many breakers of a service may be open: half as many as there are workers that take work.
local function breakers_most_open(service)
  local _, limit = ranks_range('degraded')
  return math.floor(redis.call('ZCOUNT', key_service .. service, '-inf', '(' .. limit) / 2)
end
