"""The log of a coordinator whose reader has gone to sleep."""

import fcntl
import json
import os
import signal
import subprocess

import project
from coordinator import environment
from http_client import request
from waiting import wait_until


def test_a_log_that_nobody_reads_stops_nothing(redis):
    """A pipe that is full: requests are answered on, and it ends when it is told to; afterwards the log says what it lacks."""
    settings = {"HOST": "127.0.0.1", "PORT": 0, "THREADS": 2, "REDIS_URL": redis.url, "LOG_LEVEL": "debug"}
    process = subprocess.Popen([str(project.BINARY)], env=environment(settings), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        port = next(line["port"] for line in map(json.loads, process.stderr) if "port" in line)
        room = fcntl.fcntl(process.stderr, fcntl.F_GETPIPE_SZ)
        wait_until(lambda: request(port, "GET", "/readyz").status == 200, within=5)
        for _ in range(2 * room // 150):  # a line has more bytes than that
            assert request(port, "GET", "/livez").latency < 1
        os.set_blocking(process.stderr.fileno(), False)
        while process.stderr.read(1 << 16):
            pass
        assert request(port, "GET", "/livez").status == 200
        note = wait_until(lambda: [line for line in (process.stderr.read(1 << 16) or b"").splitlines() if b"log_dropped" in line], within=5)
        assert json.loads(note[0])["lines"] > 0
        for _ in range(2 * room // 150):
            request(port, "GET", "/livez")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0
