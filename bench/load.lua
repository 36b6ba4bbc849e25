-- wrk's side of load.py: sends the requests of a file in turn, ends with one line of JSON.
-- The file: a method, then a path a line (GET), or the path and then a body a line (POST).
local requests = {}
local next_request = 0

function init(args)
  local lines = {}
  for line in io.lines(args[1]) do
    lines[#lines + 1] = line
  end
  for i = 2, #lines do
    if lines[1] == "GET" then
      requests[#requests + 1] = wrk.format("GET", lines[i])
    elseif i > 2 then
      requests[#requests + 1] = wrk.format("POST", lines[2], nil, lines[i])
    end
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
