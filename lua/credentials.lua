--: arg version
--: arg after
--: arg max
--: arg prune
--: use number
--: use credentials

-- Reads the users, tokens, ended sessions and keys in pages, in the order of their names. If `version` is the present version and
-- `after` is empty, it reads nothing. after: the last member of the page before; "" for the first page. max: members of a page.
-- prune: "1" to remove expired ones from the index; "0" on a replica, which takes no writes. Returns {version, "1" if there are
-- more pages, then for each: member, {field, value, …}}. An expired one has no fields. Instead of a password's hash there is
-- `password_tag`, a digest of it. Sessions carry the tag, so they end when the password changes.

local max = number_of(arg_max)
if not max or max < 1 or max > 1000 then
  return redis.error_reply('BADCALL max is 1 to 1000')
end
local version = redis.call('HGET', key_credential, 'version') or '0'
if version == arg_version and arg_after == '' then
  return { version, '0' }
end
local members = redis.call('ZRANGEBYLEX', key_credentials, arg_after == '' and '-' or '(' .. arg_after, '+', 'LIMIT', 0, max)
local result = { version, #members == max and '1' or '0' }
for _, member in ipairs(members) do
  local fields = redis.call('HGETALL', key_credential .. member)
  if #fields == 0 and arg_prune == '1' then
    redis.call('ZREM', key_credentials, member)
  end
  for at = #fields - 1, 1, -2 do
    if fields[at] == 'password' then
      fields[at] = 'password_tag'
      fields[at + 1] = string.sub(redis.sha1hex(fields[at + 1]), 1, 16)
    end
  end
  result[#result + 1] = member
  result[#result + 1] = fields
end
return result
