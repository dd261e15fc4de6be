-- wrk: ends a run with one line of JSON: requests, seconds, errors (answers that are not 2xx, and connections that failed), p50 and
-- p99 (µs). Other scripts take it by dofile, so wrk runs in this directory.

function done(summary, latency)
  local failed = summary.errors
  io.write(('{"requests": %d, "seconds": %f, "errors": %d, "p50": %d, "p99": %d}\n'):format(summary.requests,
    summary.duration / 1e6, failed.status + failed.connect + failed.read + failed.write + failed.timeout,
    latency:percentile(50), latency:percentile(99)))
end
