-- wrk: heartbeats of the workers bench-000000000000, bench-000000000001, … in turn.
--   wrk … -s heartbeat.lua URL -- WORKERS

local requests, at = {}, 0

function init(args)
  local headers = { ['Content-Type'] = 'application/json' }
  for i = 1, tonumber(args[1]) do
    local body = ('{"worker_id":"bench-%012d","status":"healthy","current_load":0.24,"available_memory":"9.8GB",'
      .. '"active_requests":2,"gpu_utilization":65.3,"loaded_models":["llama3.2"],"services_status":{"rag":"running"},'
      .. '"specialization":"rag"}'):format(i - 1)
    requests[i] = wrk.format('POST', '/api/worker/heartbeat', headers, body)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

dofile('done.lua')
