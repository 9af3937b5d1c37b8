-- wrk -s evaluate.lua URL: POST one constant JSON body to /v1/evaluate, over and over.
-- The body is the file named by BENCH_BODY_FILE, or else BENCH_BODY itself.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or ""
dofile(here .. "report.lua")
count_every_status()

local function body()
  local name = os.getenv("BENCH_BODY_FILE")
  if not name then
    return assert(os.getenv("BENCH_BODY"), "evaluate.lua: set BENCH_BODY_FILE or BENCH_BODY")
  end
  local file = assert(io.open(name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

wrk.method = "POST"
wrk.path = "/v1/evaluate"
wrk.headers["Content-Type"] = "application/json"
wrk.body = body()
