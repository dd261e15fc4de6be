--: key credentials
--: key credential

-- Whether `member` is the only user with the role admin. Tokens with that role don't count: they expire, and they may be revoked.
local function admins_is_last(member)
  local function is_admin(each)
    return string.match(each, '^user:') and redis.call('HGET', key_credential .. each, 'role') == 'admin'
  end
  if not is_admin(member) then
    return false
  end
  for _, other in ipairs(redis.call('ZRANGEBYLEX', key_credentials, '[user:', '(user;')) do
    if other ~= member and is_admin(other) then
      return false
    end
  end
  return true
end
