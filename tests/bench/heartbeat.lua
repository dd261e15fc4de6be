-- wrk: heartbeats of the workers bench-000000000000, bench-000000000001, … in turn, each with a load that walks by up to 0.05.
--   wrk … -s heartbeat.lua URL -- WORKERS [CREDENTIALS]
-- CREDENTIALS: a file with a line for each worker, or one for all: what its Authorization header says.

local FARTHEST = 0.05
local loads, credentials, at, text = {}, {}, 0, nil

function init(args)
  math.randomseed(20260301)
  for i = 1, tonumber(args[1]) do
    loads[i] = math.random()
  end
  local body = '{"worker_id":"bench-%012d","status":"healthy","current_load":%.3f,"available_memory":"9.8GB",'
    .. '"active_requests":2,"gpu_utilization":65.3,"loaded_models":["llama3.2"],"services_status":{"rag":"running"},'
    .. '"specialization":"rag"}' -- of the same length for each
  for line in args[2] and io.lines(args[2]) or function() end do
    credentials[#credentials + 1] = 'Authorization: ' .. line .. '\r\n'
  end
  text = ('POST /api/worker/heartbeat HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n%%sContent-Length: %d\r\n\r\n')
    :format(#body:format(0, 0)) .. body
end

function request()
  at = at % #loads + 1
  loads[at] = math.max(0, math.min(1, loads[at] + (math.random() * 2 - 1) * FARTHEST))
  return text:format(credentials[at] or credentials[1] or '', at - 1, loads[at])
end

dofile('done.lua')
