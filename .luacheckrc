-- luacheck, which `make check` runs on the scripts as Redis gets them and on the Lua tools.
std = "lua51"
max_line_length = 132

-- What a script finds inside Redis: Lua 5.1 without io, os, print and require, and Redis's own.
stds.redis = {
    read_globals = {
        "_G", "_VERSION", "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "rawset",
        "select", "setmetatable", "tonumber", "tostring", "type", "unpack", "xpcall", "coroutine", "math", "string", "table",
        os = {fields = {"clock"}},
        "redis", "KEYS", "ARGV", "cjson", "cmsgpack", "bit", "struct",
    },
}

-- What wrk calls and offers.
stds.wrk = {globals = {"init", "request", "response", "done", "setup", "delay"}, read_globals = {"wrk"}}
files["tests/bench"] = {std = "lua51+wrk"}
-- What the benchmark runs inside Redis.
files["tests/bench/naive.lua"] = {std = "redis"}
