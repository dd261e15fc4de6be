-- wrk: GET of the URL's own path; ends as heartbeat.lua does.

function done(summary, latency)
  local failed = summary.errors
  io.write(('{"requests": %d, "seconds": %f, "errors": %d, "p50": %d, "p99": %d}\n'):format(summary.requests,
    summary.duration / 1e6, failed.status + failed.connect + failed.read + failed.write + failed.timeout,
    latency:percentile(50), latency:percentile(99)))
end
