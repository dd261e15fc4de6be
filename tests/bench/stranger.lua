-- wrk: what a stranger hammers with, each time from another address or always from one, behind a proxy that says so.
--   wrk … -s stranger.lua URL -- 0 logins|registrations
-- logins: wrong passwords of names that differ, from addresses that differ; registrations: of new workers, all from one address.
-- Whatever is answered is fine.

local number, login = 0, true

function init(args)
  login = args[2] == 'logins'
end

local TEXT = 'POST %s HTTP/1.1\r\nHost: bench\r\nX-Forwarded-For: %s\r\nContent-Type: application/json\r\n'
  .. 'Content-Length: %d\r\n\r\n%s'

function request()
  number = number + 1
  if login then
    local body = ('{"username":"somebody-%d","password":"a wrong one"}'):format(number)
    local address = ('198.%d.%d.%d'):format(18 + number / 65536 % 2, number / 256 % 256, number % 256)
    return TEXT:format('/api/auth/login', address, #body, body)
  end
  local body = ('{"worker_id":"stranger-%d","capabilities":{"cpu_cores":8,"ram":"16GB"}}'):format(number)
  return TEXT:format('/api/worker/register', '203.0.113.66', #body, body)
end

dofile('done.lua')
