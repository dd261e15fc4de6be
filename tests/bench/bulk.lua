-- wrk: heartbeats of the workers bench-000000000000, bench-000000000001, … in turn, 100 in a request.
--   wrk … -s bulk.lua URL -- WORKERS

local SLICE = 100
local requests, at = {}, 0

function init(args)
  local headers = { ['Content-Type'] = 'application/json' }
  for first = 0, tonumber(args[1]) - SLICE, SLICE do
    local beats = {}
    for i = 1, SLICE do
      beats[i] = ('{"worker_id":"bench-%012d","status":"healthy","current_load":0.24,"available_memory":"9.8GB",'
        .. '"active_requests":2,"gpu_utilization":65.3,"loaded_models":["llama3.2"],"services_status":{"rag":"running"},'
        .. '"specialization":"rag"}'):format(first + i - 1)
    end
    local body = '{"heartbeats":[' .. table.concat(beats, ',') .. ']}'
    requests[#requests + 1] = wrk.format('POST', '/api/worker/heartbeats', headers, body)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

dofile('done.lua')
