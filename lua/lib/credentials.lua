--: key credentials
--: key credential

-- Users, tokens, ended sessions and signing keys: one hash each, `credential:<kind>:<name>`, and one index with all of them.
-- Every coordinator keeps a copy in memory, and reads it again when `version`, in the hash `credential:`, has changed.

-- Changes the version, so that all coordinators read again.
local function credentials_changed()
  return redis.call('HINCRBY', key_credential, 'version', 1)
end

-- Puts `member` into the index. The first member makes the index.
local function credentials_add(member)
  redis.call('ZADD', key_credentials, 0, member)
end

local function credentials_remove(member)
  redis.call('DEL', key_credential .. member)
  redis.call('ZREM', key_credentials, member)
end
