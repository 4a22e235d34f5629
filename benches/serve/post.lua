-- wrk: posts one photo as a form, over and over. PHOTO names the file.
local file = assert(io.open(os.getenv("PHOTO"), "rb"))
local photo = file:read("*a")
file:close()
wrk.method = "POST"
wrk.headers["Content-Type"] = "multipart/form-data; boundary=likenet"
wrk.body = "--likenet\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a.jpg\"\r\n"
    .. "Content-Type: image/jpeg\r\n\r\n" .. photo .. "\r\n--likenet--\r\n"

local threads = {}
function setup(thread)
    table.insert(threads, thread)
end
function init()
    refused = 0
end
function response(status)
    if status ~= 200 then refused = refused + 1 end
end
function done(summary, latency)
    local refused = 0
    for _, thread in ipairs(threads) do refused = refused + thread:get("refused") end
    local errors = summary.errors
    io.write(string.format("requests/s %.1f, p50 %.1f ms, p99 %.1f ms, not answered 200: %d, broken off: %d\n",
        1e6 * summary.requests / summary.duration, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
        refused, errors.connect + errors.read + errors.write + errors.timeout))
end
