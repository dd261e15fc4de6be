"""The log: what a line says, what is told once and counted, what is never told, and what happens when nobody reads it."""

import contextlib
import errno
import fcntl
import json
import os
import re
import resource
import signal
import socket
import subprocess

import pytest

import processes
import project
from coordinator import environment
from http_client import request
from redis_server import free_port
from terminal import Terminal
from waiting import let_pass, wait_until


def test_a_log_that_nobody_reads_stops_nothing(redis):
    """A pipe that is full: requests are answered on, and it ends when it is told to; afterwards the log says what it lacks."""
    settings = {"HOST": "127.0.0.1", "PORT": 0, "THREADS": 2, "REDIS_URL": redis.url, "LOG_LEVEL": "debug"}
    process = subprocess.Popen([str(project.BINARY)], env=environment(settings), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        port = next(line["port"] for line in map(json.loads, process.stderr) if "port" in line)
        room = fcntl.fcntl(process.stderr, fcntl.F_GETPIPE_SZ)
        wait_until(lambda: request(port, "GET", "/readyz").status == 200)
        for _ in range(2 * room // 150):  # a line has more bytes than that
            assert request(port, "GET", "/livez").status == 200
        os.set_blocking(process.stderr.fileno(), False)
        while process.stderr.read(1 << 16):
            pass
        assert request(port, "GET", "/livez").status == 200
        note = wait_until(lambda: [line for line in (process.stderr.read(1 << 16) or b"").splitlines() if b"log_dropped" in line])
        assert json.loads(note[0])["lines"] > 0
        for _ in range(2 * room // 150):
            request(port, "GET", "/livez")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


REGISTER = "/api/worker/register"


def events(coordinator, name):
    return [line for line in coordinator.log_lines() if line.get("event") == name]


def of_requests(coordinator, status, route=REGISTER):
    """The lines about requests to a route that were answered with a status: those that tell one, and those that tell how many
    more."""
    lines = [line for line in events(coordinator, "request") if line["status"] == status and line["route"] == route]
    return [line for line in lines if "times" not in line], [line for line in lines if "times" in line]


# -- the start ---------------------------------------------------------------------------------------------------------------------

def test_the_line_of_the_start_says_what_runs_where_and_how_many_workers_there_are(redis, start_coordinator):
    def start(**settings):
        """Starts one that had the number when it wrote the line: on a busy machine Redis may answer after its 0.4 s."""
        def finds_them():
            coordinator = start_coordinator(redis, **settings)
            return coordinator if "workers" in events(coordinator, "listening")[0] else None
        return wait_until(finds_them)

    first = start(REQUEST_TIMEOUT_MS=1200, HEARTBEAT_TIMEOUT_SECONDS=200, WORKER_TIMEOUT_SECONDS=900)
    line, = events(first, "listening")
    assert line["message"].endswith("loaded 0 workers") and line["workers"] == 0
    for number in range(7):
        first.register(f"w{number}")
    second = start()
    line, = events(second, "listening")
    assert line["message"].endswith("loaded 7 workers") and line["workers"] == 7
    version = second.get("/health").json["version"]
    assert line["version"] == version and version in line["message"]
    assert (line["host"], line["port"], line["redis"]) == ("127.0.0.1", second.port, f"127.0.0.1:{redis.port}")
    assert (line["heartbeat_s"], line["offline_after_s"], line["removed_after_s"],
            line["request_timeout_ms"]) == (30, 300, 1800, 1500)
    line, = events(first, "listening")
    assert (line["offline_after_s"], line["removed_after_s"], line["request_timeout_ms"]) == (200, 900, 1200)
    assert not events(first, "loaded") and not events(second, "loaded")


def test_a_start_without_redis_says_so_and_tells_the_number_later(redis, start_coordinator, make_coordinator):
    start_coordinator(redis).register("w")
    redis.kill()
    late = make_coordinator(redis)
    late.launch()
    wait_until(lambda: processes.listening_tcp_ports(late.pid))  # bound before anything else is done
    late.wait_for_start()
    line, = events(late, "listening")
    assert "Redis does not answer yet" in line["message"] and "workers" not in line and "loaded" not in line["message"]
    assert not events(late, "loaded")
    redis.restart()
    line, = wait_until(lambda: events(late, "loaded"))
    assert line["message"] == "loaded 1 workers" and line["workers"] == 1
    late.wait_until_ready()
    late.register("another")
    assert len(events(late, "loaded")) == 1


# -- requests ----------------------------------------------------------------------------------------------------------------------

def test_a_line_says_who_and_what_and_heartbeats_are_for_debug(redis, start_coordinator):
    quiet, chatty = start_coordinator(redis), start_coordinator(redis, LOG_LEVEL="debug")
    for coordinator in (quiet, chatty):
        worker_id = coordinator.register("w-1")["worker_id"]
        coordinator.post("/api/worker/heartbeat", {"worker_id": worker_id}, {"X-Request-Id": "beat-1"})
        coordinator.get("/api/worker/find/rag")
        coordinator.get(f"/api/worker/{worker_id}")
    line, = wait_until(lambda: [line for line in events(quiet, "request") if line["route"] == REGISTER])
    assert line.keys() == {"time", "level", "event", "message", "status", "method", "route", "ms", "worker_id", "request_id"}
    assert (line["level"], line["status"], line["method"], line["worker_id"]) == ("info", 200, "POST", "w-1")
    assert isinstance(line["ms"], int) and 0 <= line["ms"] < 1500
    assert [line for line in events(quiet, "request") if line["route"] != REGISTER] == []
    line, = [line for line in events(chatty, "request") if line["request_id"] == "beat-1"]
    assert (line["level"], line["status"], line["worker_id"]) == ("debug", 200, "w-1")
    found, = [line for line in events(chatty, "request") if line["route"] == "/api/worker/find/{service}"]
    assert found["service"] == "rag" and "worker_id" not in found


def test_faulty_requests_don_t_flood_the_log(redis, start_coordinator):
    """A stranger's refused requests, each with words of its own, are told once for each route and status, and counted."""
    coordinator = start_coordinator(redis, THREADS=1)
    with coordinator.connection() as connection:
        for number in range(300):
            assert connection.request("POST", REGISTER, b"[" * (number % 30) + b"x" * number).status == 400
            assert connection.request("POST", REGISTER, {"capabilities": {"cpu_cores": -1 - number}}).status == 422
            assert connection.request("DELETE", f"/api/worker/unregister/nobody-{number}").status == 404
            assert connection.request("POST", f"/nowhere-{number}", {}).status == 404
    assert len(events(coordinator, "request")) == 3
    coordinator.stop()  # whatever was not told is told at the end
    told = [(line["status"], line["times"]) for line in events(coordinator, "request") if "times" in line]
    assert sorted(told) == [(400, 299), (404, 299), (422, 299)]


def test_a_storm_of_failures_is_told_once_and_counted(redis, start_coordinator):
    """A thousand registrations a second with Redis away: a line at once, then their number while it goes on and when it has
    ended."""
    coordinator = start_coordinator(redis, THREADS=1)
    redis.kill()
    wait_until(lambda: coordinator.post(REGISTER, {"capabilities": {}}).status == 503)
    one, = of_requests(coordinator, 503)[0]
    assert one["level"] == "warn" and "Redis" in one["detail"] and one["request_id"]
    sent = 1
    with coordinator.connection() as connection:
        def told():
            nonlocal sent
            for _ in range(100):
                assert connection.request("POST", REGISTER, {"capabilities": {}}).status == 503
            sent += 100
            return of_requests(coordinator, 503)[1]
        count, = wait_until(told, within=30, every=0.1)
    assert count["level"] == "warn" and count["route"] == REGISTER and count["message"] == "failed again"
    assert count["seconds"] >= 10 and sent - 100 - 1 <= count["times"] < sent
    wait_until(lambda: [line for line in events(coordinator, "redis_lost") if "times" in line], within=30,
               what="attempts are counted")
    assert 2 <= len(events(coordinator, "redis_lost")) <= 5, "each new attempt is no news"
    redis.restart()
    coordinator.wait_until_ready()
    wait_until(lambda: sum(line["times"] for line in of_requests(coordinator, 503)[1]) == sent - 1,
               what="the rest is told after the storm")
    assert len(of_requests(coordinator, 503)[0]) == 1


def test_what_redis_refuses_again_and_again_is_told_once(redis, start_coordinator):
    coordinator = start_coordinator(redis, THREADS=1)
    redis.client.set("{rma}:worker:w", "no hash")
    for _ in range(200):
        assert coordinator.get("/api/worker/w").status == 500
    refused, failed = events(coordinator, "redis_error"), of_requests(coordinator, 500, "/api/worker/{worker_id}")[0]
    assert [line["level"] for line in refused + failed] == ["error"] * (len(refused) + 1) and 1 <= len(refused) <= 2
    coordinator.stop()
    assert sum(line.get("times", 1) for line in events(coordinator, "redis_error")) >= 200
    assert of_requests(coordinator, 500, "/api/worker/{worker_id}")[1][0]["times"] == 199


def test_a_redis_that_comes_and_goes_does_not_flood(redis, start_coordinator):
    coordinator = start_coordinator(redis, THREADS=1)
    for _ in range(30):
        redis.client.client_kill_filter(skipme=True, _type="normal")
        coordinator.wait_until_ready()
    lines = events(coordinator, "redis_lost") + events(coordinator, "redis_up")
    assert 1 <= len(lines) <= 6, lines


def test_descriptors_that_run_out_are_told_once(redis, make_coordinator):
    def few_descriptors():
        resource.setrlimit(resource.RLIMIT_NOFILE, (140, 140))
    coordinator = make_coordinator(redis, THREADS=1, prepare=few_descriptors)
    coordinator.start().wait_until_ready()
    with contextlib.ExitStack() as stack:
        pid = coordinator.pid
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (processes.open_descriptors(pid) + 2, 140))
        for _ in range(6):
            stack.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", coordinator.port))))
        line, = wait_until(lambda: events(coordinator, "accept_failed"))
        assert line["level"] == "warn" and line["why"] == os.strerror(errno.EMFILE)
        let_pass(0.5)  # ten more attempts
        assert len(events(coordinator, "accept_failed")) == 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (140, 140))  # a sanitizer's report at the end needs some
    coordinator.stop()
    assert events(coordinator, "accept_failed")[1]["times"] >= 3


# -- secrets -----------------------------------------------------------------------------------------------------------------------

SECRETS = ("s3cret", "S3CRET", "s3%63ret", "bearer-s3", "topsecret")


def assert_tells_no_secret(text):
    assert [secret for secret in SECRETS if secret in text] == [], text[-2000:]


@pytest.mark.parametrize("level", ["info", "debug"])
def test_the_log_tells_no_secret(redis, start_coordinator, level):
    """Passwords of Redis, of tunnels, in headers, bodies and queries, whether things go well or not."""
    redis.client.config_set("requirepass", "s3cret/@:#?%{}")
    url = f"redis://default:s3cret%2F%40%3A%23%3F%25%7B%7D@127.0.0.1:{redis.port}"
    coordinator = start_coordinator(None, REDIS_URL=url, LOG_LEVEL=level)
    headers = {"Authorization": "Bearer bearer-s3", "Cookie": "session=topsecret", "X-Api-Key": "topsecret"}
    tunnel = "https://user:s3cret@tunnel.example/path?token=S3CRET"
    body = {"worker_id": "w", "capabilities": {"key": "s3cret"}, "tunnel_url": tunnel}
    for path in (REGISTER, "/api/edge/register"):
        assert coordinator.post(path, body, headers).status == 200
        assert coordinator.post(path + "?token=s3cret", b'{"worker_id": "s3cret", "s3cret": s3cret', headers).status == 400
        assert coordinator.post(path, {"capabilities": {"cpu_cores": "s3cret"}, "tunnel_url": "s3cret" * 999},
                                headers).status == 422
    for path in ("/api/worker/heartbeat", "/api/edge/heartbeat"):
        assert coordinator.post(path, {"worker_id": "w", "status": "s3cret", "current_load": "s3cret"},
                                headers).status in (200, 422)
    for path in ("/api/admin/workers?status=s3cret", "/s3cret?token=s3cret", "/api/worker/find/rag?model=s3cret"):
        coordinator.get(path, headers)
    redis.client.config_set("requirepass", "another")
    redis.client.client_kill_filter(skipme=True, _type="normal")
    wait_until(lambda: "WRONGPASS" in coordinator.stderr())
    assert coordinator.post(REGISTER, body, headers).status == 503
    coordinator.stop()
    assert_tells_no_secret(coordinator.stderr())


def test_a_redis_that_knows_no_auth_does_not_get_the_password_into_the_log(start_redis, make_coordinator):
    """It quotes the arguments of a command that it does not know."""
    redis = start_redis("--rename-command", "AUTH", "")
    coordinator = make_coordinator(None, REDIS_URL=f"redis://:s3cret@127.0.0.1:{redis.port}").start()
    line = wait_until(lambda: events(coordinator, "redis_lost"))[0]
    assert "unknown command" in line["why"]
    assert_tells_no_secret(coordinator.stderr())


@pytest.mark.parametrize("url", [
    "redis://:s3cret/x@127.0.0.1:6379", "redis://:s3cret%zz@127.0.0.1", "redis://user:s3cret@", "redis://user:s3cret@host:port",
    "rediss://:s3cret@host", "s3cret", "unix://s3cret", "unix:///run/redis.sock?passwd=s3cret", "redis://u:s3cret#@h:1/x"])
def test_a_bad_url_of_redis_is_not_repeated(make_coordinator, url):
    assert_tells_no_secret(make_coordinator(None, REDIS_URL=url).refuses_to_start())


# -- for people --------------------------------------------------------------------------------------------------------------------

def test_on_a_terminal_it_is_text_in_columns(redis):
    port = free_port()
    settings = {"HOST": "127.0.0.1", "PORT": port, "THREADS": 1, "REDIS_URL": redis.url}
    terminal = Terminal([str(project.BINARY)], columns=200, env=environment(settings))
    try:
        wait_until(lambda: request(port, "GET", "/readyz").status == 200)
        request(port, "POST", REGISTER, {"worker_id": "w-1", "capabilities": {}})
        request(port, "POST", REGISTER, b"{")
        wait_until(lambda: "refused" in terminal.shown)
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.wait_for_end() == 0
        lines = [line for line in terminal.shown.splitlines() if re.match(r"\d\d:\d\d:\d\d\.\d{3} ", line)]
    finally:
        terminal.close()
    assert re.search(r"^\S+ info  rma-coordinator \S+ is listening, loaded 0 workers  version=", lines[0])
    assert re.search(rf"^\S+ info  answered  status=200  method=POST  route={REGISTER}  ms=\d+  worker_id=w-1  request_id=\w+$",
                     lines[1])
    assert re.search(
        rf'^\S+ info  refused   status=400  method=POST  route={REGISTER}  detail=".*"  ms=\d+  address=127.0.0.1  request_id=\w+$',
        lines[2])


@pytest.mark.parametrize(("host", "told"), [("127.0.0.1", "localhost"), ("0.0.0.0", "localhost"), ("127.0.0.2", "127.0.0.2")])
def test_a_person_is_told_an_address_that_answers(redis, host, told):
    settings = {"HOST": host, "PORT": 0, "THREADS": 1, "REDIS_URL": redis.url}
    terminal = Terminal([str(project.BINARY)], columns=200, env=environment(settings))
    try:
        wait_until(lambda: "Ctrl-C ends it." in terminal.shown)
        places = set(re.findall(r"(?:http://| -s )([^/:]+):(\d+)", terminal.shown))
        (place, port), = places
        assert place == told and request(int(port), "GET", "/livez", host=place).status == 200
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.wait_for_end() == 0
    finally:
        terminal.close()


# -- the document ------------------------------------------------------------------------------------------------------------------

CALL = re.compile(r"^\s+(?:log_event|log_repeatable|log_write(?:_repeatable|_counted)?|warn_once)\(([^;]*);", re.MULTILINE)
LEVELS = {"debug", "info", "warn", "error"}


def events_of(source):
    """[(event, its levels)] of the calls in a source file."""
    for call in CALL.findall(source):
        level, event, _ = call.split(",", 2)
        if '"' not in event:  # a variable, or a parameter
            event = "".join(re.findall(rf"\b{event.strip()} = ([^;]*);", source))
        names = re.findall(r'"(\w+)"', event)
        assert names or "const char *event," in source, call
        levels = {"warn"} if level.startswith("&") else {word.lower() for word in re.findall(r"LOG_([A-Z]+)", level)}
        yield from ((name, levels or LEVELS) for name in names)


def test_the_document_has_every_event_and_its_levels():
    told = {"log_dropped": {"warn"}}  # put together by hand, since there may be no memory for it
    for path in (project.ROOT / "src").rglob("*.c"):
        for event, levels in events_of(path.read_text()) if not path.name.startswith("log") else []:
            told.setdefault(event, set()).update(levels)
    told["log_repeats"] = {"warn"}
    table = (project.ROOT / "docs" / "operations.md").read_text().partition("| event | level |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]+) \|[^|]+\|[^|]+\|$", table, re.MULTILINE)
    described = {name: set(re.findall(r"`(\w+)`", levels)) for names, levels in rows for name in re.findall(r"`(\w+)`", names)}
    assert len(told) > 30 and described == told
