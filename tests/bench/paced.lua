-- wrk: GETs on each connection, MS milliseconds after the last answer.
--   wrk … -s paced.lua URL -- MS

local pause

function init(args)
  pause = tonumber(args[1])
end

function delay()
  return pause
end

dofile('done.lua')
