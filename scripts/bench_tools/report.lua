-- Shared end of the wrk scripts: one JSON line on standard output.
-- `requests_per_second` counts good answers only: a rationed or failing server cannot look fast.

local threads = {}
local strict = false

function setup(thread)
  table.insert(threads, thread)
end

-- Look at every status, not only at those of 400 and above that wrk counts by itself. Costs wrk a copy of each body.
function count_every_status()
  strict = true
  not_2xx = 0
  function response(status)
    if status < 200 or status > 299 then
      not_2xx = not_2xx + 1
    end
  end
end

function done(summary, latency)
  local e = summary.errors
  local bad = e.status
  if strict then
    bad = 0
    for _, thread in ipairs(threads) do
      bad = bad + thread:get("not_2xx")
    end
  end
  local seconds = summary.duration / 1e6
  io.write(string.format(
    '{"requests_per_second": %.2f, "p50_ms": %.4f, "p99_ms": %.4f, "answers": %d, "bytes": %.0f, "not_2xx": %d, '
      .. '"every_status": %s, "connect": %d, "read": %d, "write": %d, "timeout": %d}\n',
    (summary.requests - bad) / seconds, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    summary.requests, summary.bytes, bad, tostring(strict), e.connect, e.read, e.write, e.timeout))
end
