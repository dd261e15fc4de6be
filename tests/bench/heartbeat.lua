-- wrk: heartbeats of the workers bench-000000000000, bench-000000000001, … in turn. The load of each walks by up to 0.05 a heartbeat,
-- there and back again.
--   wrk … -s heartbeat.lua URL -- WORKERS

local STEPS, FARTHEST = 16, 0.05
local workers, at = {}, 0

local function step(load)
  return math.max(0, math.min(1, load + (math.random() * 2 - 1) * FARTHEST))
end

function init(args)
  local headers = { ['Content-Type'] = 'application/json' }
  math.randomseed(20260301)
  for i = 1, tonumber(args[1]) do
    local walk, load = {}, math.random()
    for n = 1, STEPS / 2 do
      local body = ('{"worker_id":"bench-%012d","status":"healthy","current_load":%.3f,"available_memory":"9.8GB",'
        .. '"active_requests":2,"gpu_utilization":65.3,"loaded_models":["llama3.2"],"services_status":{"rag":"running"},'
        .. '"specialization":"rag"}'):format(i - 1, load)
      walk[n] = wrk.format('POST', '/api/worker/heartbeat', headers, body)
      walk[STEPS + 1 - n] = walk[n]
      load = step(load)
    end
    workers[i] = walk
  end
end

function request()
  at = at + 1
  local walk = workers[at % #workers + 1]
  return walk[math.floor(at / #workers) % STEPS + 1]
end

dofile('done.lua')
