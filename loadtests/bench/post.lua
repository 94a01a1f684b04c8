-- Arguments after "--": a file of headers ("Name: value" lines), then either "one" and a file with the body of every
-- request, or "lines" and a file with one body a line, sent in turn. The last line of the output is JSON.
local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

function init(args)
  wrk.method = "POST"
  for name, value in read(args[1]):gmatch("([^:\n]+): ([^\n]+)") do
    wrk.headers[name] = value
  end
  local body = read(args[3])
  if args[2] == "one" then
    wrk.body = body -- no request function: wrk then sends the same bytes without calling Lua
    return
  end
  local requests = {}
  for line in body:gmatch("[^\n]+") do
    requests[#requests + 1] = wrk.format(nil, nil, nil, line)
  end
  local turn = 0
  request = function()
    turn = turn % #requests + 1
    return requests[turn]
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "max_us": %d, "status": %d, "socket": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
