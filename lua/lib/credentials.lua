--: key credentials
--: key credential
--: use number
--: use clock

-- Users, tokens, ended sessions and signing keys: one hash each, `credential:<kind>:<name>`, and one index with all of them.
-- Every coordinator keeps a copy in memory, and reads it again when `version`, in the hash `credential:`, has changed.

-- Changes the version, so that all coordinators read again. It follows the clock, so that two histories (of a primary and of the
-- replica that takes its place without its last change, or of a backup) never give one version to different credentials.
local function credentials_changed()
  local version = math.max((number_of(redis.call('HGET', key_credential, 'version')) or 0) + 1, clock_now())
  redis.call('HSET', key_credential, 'version', string.format('%.0f', version))
  return version
end

-- Puts `member` into the index. The first member makes the index.
local function credentials_add(member)
  redis.call('ZADD', key_credentials, 0, member)
end

local function credentials_remove(member)
  redis.call('DEL', key_credential .. member)
  redis.call('ZREM', key_credentials, member)
end
