-- Sends the prepared requests in turn and checks every answer's status and length.
-- Arguments after `--`: the file of whole request heads, the expected body length.

local requests = {}
local turn = 0
local threads = {}

function setup(thread)
    table.insert(threads, thread)
end

function init(args)
    local file = assert(io.open(args[1], "rb"))
    for head in file:read("*a"):gmatch("(.-\r\n\r\n)") do
        requests[#requests + 1] = head
    end
    file:close()
    assert(#requests > 0, "no request in " .. args[1])
    body_length = tonumber(args[2])
    wrong = 0
    first_wrong = ""
end

function request()
    turn = turn % #requests + 1
    return requests[turn]
end

function response(status, headers, body)
    if status ~= 200 or #body ~= body_length then
        wrong = wrong + 1
        if wrong == 1 then
            first_wrong = "status " .. status .. ", " .. #body .. " bytes"
        end
    end
end

function done(summary, latency, requests)
    local wrong, first_wrong = 0, ""
    for _, thread in ipairs(threads) do
        wrong = wrong + thread:get("wrong")
        first_wrong = thread:get("first_wrong")
    end
    local errors = summary.errors
    io.write(string.format(
        'RESULT {"completed": %d, "microseconds": %d, "wrong": %d, "first_wrong": "%s", "socket_errors": %d}\n',
        summary.requests, summary.duration, wrong, first_wrong,
        errors.connect + errors.read + errors.write + errors.timeout))
end
