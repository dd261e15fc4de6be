"""Redis killed, restarted, frozen, slow, forgetful: every request is answered in time, nothing acknowledged is lost, and when it
is back the coordinators go on by themselves."""

import contextlib
import socket
import threading
import time

import pytest
import redis as redis_library

import invariants
import processes
import project
from load import Load
from waiting import let_pass, promised, wait_until

ANSWER_WITHIN = 2.0
RECONNECT_WITHIN = promised(2)
# The bound on memory: a sanitizer keeps freed memory for a while.
MEMORY_MB = 30 if project.MODE == "release" else 400


def assert_away(attempts):
    """While Redis is away every request gets its 503 (504: it was under way), saying when to come back."""
    for attempt in attempts:
        assert attempt.outcome in (503, 504), attempt
        if attempt.outcome == 503:
            assert int(attempt.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("way", ["tcp", "unix socket"])
def test_killed_under_load_and_restarted(redis, start_coordinator, way):
    url = redis.url if way == "tcp" else redis.unix_url
    coordinators = [start_coordinator(redis, REDIS_URL=url) for _ in range(2)]
    load = Load(coordinators, threads=4)
    with load.running():
        let_pass(0.4)
        redis.kill()
        killed = time.monotonic()
        let_pass(1.5)
        back = time.monotonic()
        redis.restart()
        returned = time.monotonic()
        load.succeeds_again(back, within=RECONNECT_WITHIN + returned - back)
        let_pass(0.3)
    assert load.failures, "the load did not notice that Redis was away"
    assert min(failure.started for failure in load.failures) > killed - ANSWER_WITHIN
    coordinators[0].wait_until_ready(within=RECONNECT_WITHIN)
    assert_away(load.failures)
    settled = [attempt for attempt in load.since(returned + RECONNECT_WITHIN) if not attempt.ok]
    assert settled == []
    load.assert_nothing_acknowledged_is_lost(coordinators[0])
    assert all(coordinator.is_running() for coordinator in coordinators)
    invariants.assert_hold(redis.dump())


def test_while_redis_is_away(redis, coordinator):
    coordinator.register("w")
    redis.kill()
    wait_until(lambda: coordinator.get("/health").status == 503)
    for method, path, body in [("POST", "/api/worker/register", {"capabilities": {}}), ("GET", "/api/admin/workers", None),
                               ("POST", "/api/worker/heartbeat", {"worker_id": "w"}), ("GET", "/api/admin/stats", None),
                               ("GET", "/api/worker/w", None), ("DELETE", "/api/worker/unregister/w", None),
                               ("GET", "/api/admin/health", None)]:
        response = coordinator.request(method, path, body)
        assert response.status == 503, (path, response)
        assert int(response.headers["Retry-After"]) >= 1
        assert response.headers["Content-Type"].startswith("application/problem+json")
        assert response.json["detail"].endswith(".")
    health = coordinator.get("/health")
    assert health.status == 503
    assert health.json["status"] == "unhealthy"
    assert coordinator.get("/livez").status == 200, "the process itself is well"
    assert coordinator.get("/readyz").status == 503
    assert coordinator.post("/api/worker/heartbeat", {}).status == 422, "what is wrong with a request needs no Redis to be said"
    redis.restart()
    coordinator.wait_until_ready(within=RECONNECT_WITHIN)
    assert coordinator.worker("w")["status"] == "healthy"
    assert coordinator.get("/health").json["status"] == "healthy"


def test_reconnects_after_a_long_absence_as_soon_as_after_a_short_one(redis, coordinator):
    redis.kill()
    let_pass(6)
    redis.restart()
    coordinator.wait_until_ready(within=RECONNECT_WITHIN)
    coordinator.register("w")


def test_something_else_answers_in_its_place(start_coordinator, make_coordinator, redis):
    """An echo is no Redis: a port that nobody listens on may answer itself (a TCP connection of a socket with itself)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        def echo():
            while True:
                try:
                    connection, _ = server.accept()
                    while data := connection.recv(65536):
                        connection.sendall(data)
                except OSError:
                    if server.fileno() == -1:
                        return
        threading.Thread(target=echo, daemon=True).start()
        coordinator = make_coordinator(THREADS=1, REDIS_URL=f"redis://127.0.0.1:{server.getsockname()[1]}").start()
        wait_until(lambda: "no Redis" in coordinator.stderr(), what="it says that this is no Redis")
        assert coordinator.get("/readyz").status == 503
        assert coordinator.post("/api/worker/register", {"capabilities": {}}).status == 503
        server.shutdown(socket.SHUT_RDWR)


class NarrowRelay:
    """Stands between a coordinator and its Redis, and lets replies through a trickle at a time once it is told to."""

    def __init__(self, port):
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.narrow = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            redis = socket.create_connection(("127.0.0.1", self._to))
            threading.Thread(target=self._copy, args=(client, redis, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(redis, client, True), daemon=True).start()

    def _copy(self, source, target, is_reply):
        try:
            while data := source.recv(1000 if is_reply else 65536):
                if is_reply and self.narrow.is_set():
                    let_pass(0.02)
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


def test_slow_but_steady_answers_keep_the_connection(redis, start_coordinator):
    """Commands wait longer than the link's patience with silence, but Redis is not silent: late is not lost."""
    relay = NarrowRelay(redis.port)
    coordinator = start_coordinator(THREADS=1, REDIS_URL=f"redis://127.0.0.1:{relay.port}")
    for i in range(200):
        coordinator.register(f"w{i}", capabilities={"note": "x" * 900})
    relay.narrow.set()
    connections = [coordinator.raw() for _ in range(2)]
    for connection in connections:  # 400 KB, for which the relay takes 8 s
        connection.send("GET /api/admin/workers HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [connection.read_response().status for connection in connections] == [504, 504]
    coordinator.wait_until_ready()
    assert "redis_lost" not in coordinator.stderr()
    relay.close()


def test_started_before_redis(make_coordinator, redis):
    redis.kill()
    coordinator = make_coordinator(redis).start()
    assert coordinator.get("/livez").status == 200
    assert coordinator.post("/api/worker/register", {"capabilities": {}}).status == 503
    redis.restart()
    coordinator.wait_until_ready(within=RECONNECT_WITHIN)
    coordinator.register("w")


def test_an_absent_redis_is_not_hammered(redis, coordinator):
    """Reconnecting backs off: a coordinator without a Redis costs next to nothing, and logs no flood."""
    redis.kill()
    let_pass(0.5)
    before, lines = processes.cpu_seconds(coordinator.pid), len(coordinator.stderr().splitlines())
    let_pass(2)
    assert processes.cpu_seconds(coordinator.pid) - before < 0.3
    assert len(coordinator.stderr().splitlines()) - lines < 100


def test_script_flush_under_load_costs_no_request(redis, three_coordinators):
    load = Load(three_coordinators, threads=6, pause=0)
    with load.running():
        for _ in range(40):
            redis.client.script_flush()
            let_pass(0.03)
    assert load.failures == []
    load.assert_nothing_acknowledged_is_lost(three_coordinators[0])
    invariants.assert_hold(redis.dump())


def test_connections_cut_by_redis_are_made_anew(redis, coordinator):
    coordinator.register("w")
    for _ in range(3):
        redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        coordinator.wait_until_ready(within=RECONNECT_WITHIN)
        coordinator.beat("w")


def freeze(redis, seconds):
    redis.freeze()
    thaw = threading.Timer(seconds, redis.thaw)
    thaw.start()
    return thaw


def pause(redis, seconds):
    redis.client.execute_command("CLIENT", "PAUSE", int(seconds * 1000), "ALL")
    timer = threading.Timer(seconds, lambda: None)
    timer.start()
    return timer


def sleep(redis, seconds):
    own = redis_library.Redis(unix_socket_path=str(redis.socket))
    sleeper = threading.Thread(target=lambda: own.execute_command("DEBUG", "SLEEP", seconds))
    sleeper.start()
    return sleeper


SLOWNESS = {"CLIENT PAUSE": pause, "DEBUG SLEEP": sleep, "SIGSTOP": freeze}


@pytest.mark.parametrize("kind", SLOWNESS)
def test_slow_redis_makes_504_at_the_deadline(redis, start_coordinator, kind):
    coordinators = [start_coordinator(redis) for _ in range(2)]
    load = Load(coordinators, threads=6)
    with load.running():
        let_pass(0.2)
        slow = time.monotonic()
        end = SLOWNESS[kind](redis, 3.5)
        let_pass(0.1)
        for coordinator in coordinators:
            for _ in range(2):
                assert coordinator.get("/health").status in (200, 503)
                assert coordinator.get("/livez").status == 200, "it asks Redis nothing"
        end.join()
        awake = time.monotonic()
        load.succeeds_again(awake, within=RECONNECT_WITHIN)
        let_pass(0.3)
    coordinators[0].wait_until_ready(within=RECONNECT_WITHIN)
    assert_away(load.failures)
    deadlines = [attempt for attempt in load.failures if attempt.outcome == 504]
    assert deadlines, "nobody reached the deadline"
    assert all(attempt.latency > 1.2 for attempt in deadlines)
    assert min(attempt.started for attempt in load.failures) > slow - 0.5
    load.assert_nothing_acknowledged_is_lost(coordinators[0])
    assert coordinators[0].get("/health").json["status"] == "healthy"
    invariants.assert_hold(redis.dump())


def test_a_short_hiccup_costs_nothing(redis, coordinator):
    load = Load([coordinator], threads=4)
    with load.running():
        pause(redis, 0.5).join()
        let_pass(0.3)
    assert load.failures == []


def test_the_deadline_is_a_setting(redis, start_coordinator):
    coordinator, usual = start_coordinator(redis, REQUEST_TIMEOUT_MS=300), start_coordinator(redis)
    coordinator.register("w")
    with usual.raw() as patient:
        redis.freeze()
        patient.send("GET /api/worker/w HTTP/1.1\r\nHost: x\r\n\r\n")
        response = coordinator.post("/api/worker/heartbeat", {"worker_id": "w"})
        assert response.status == 504 and response.latency > 0.25 and not patient.has_answer()
    assert response.json["detail"].endswith(".")
    redis.thaw()
    coordinator.wait_until_ready(within=RECONNECT_WITHIN)
    coordinator.beat("w")


def test_clients_that_leave_while_redis_is_slow_harm_nobody(redis, coordinator):
    """Requests whose client has gone are not answered, and not touched after they are gone."""
    coordinator.register("w")
    body = b'{"worker_id": "w"}'
    beat = b"POST /api/worker/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    for turn in range(3):
        redis.freeze()
        leaving = [coordinator.raw().send(beat) for _ in range(50)]
        let_pass(0.1)
        for connection in leaving[:25]:
            connection.close()
        let_pass(0.2 if turn else 1.7)
        redis.thaw()
        for connection in leaving[25:]:
            assert connection.read_response("POST").status in (200, 503, 504)
            connection.close()
        coordinator.wait_until_ready(within=RECONNECT_WITHIN)
        coordinator.beat("w")


def test_memory_is_bounded_while_redis_is_slow(redis, start_coordinator):
    """Thousands of requests pile up on a frozen Redis: they end at the deadline, or at once above the bound, and leave nothing."""
    coordinator = start_coordinator(redis)
    coordinator.register("w")
    stop = threading.Event()
    outcomes = []

    def hurl():
        body = b'{"worker_id": "w"}'
        beats = b"POST /api/worker/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        while not stop.is_set():
            batch = []
            for _ in range(100):
                try:
                    batch.append(coordinator.raw().send(beats))
                except OSError:
                    pass
            for connection in batch:
                try:
                    outcomes.append(connection.read_response("POST").status)
                except Exception as error:  # noqa: any trouble is looked at below
                    outcomes.append(error)
                connection.close()

    redis.freeze()
    threads = [threading.Thread(target=hurl) for _ in range(4)]
    for thread in threads:
        thread.start()
    let_pass(4)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(outcomes) >= 400 and set(outcomes) <= {503, 504}, set(map(repr, outcomes))
    assert coordinator.memory_mb() < MEMORY_MB
    redis.thaw()
    coordinator.wait_until_ready(within=RECONNECT_WITHIN)
    coordinator.beat("w")


def test_a_full_redis_is_a_503(redis, coordinator):
    coordinator.register("w")
    redis.client.config_set("maxmemory", 1)
    response = coordinator.post("/api/worker/register", {"capabilities": {}})
    assert response.status == 503 and "Retry-After" in response.headers
    redis.client.config_set("maxmemory", 0)
    coordinator.register("v")


def test_an_evicting_redis_is_warned_of(start_redis, start_coordinator):
    redis = start_redis("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
    coordinator = start_coordinator(redis)
    wait_until(lambda: "maxmemory-policy" in coordinator.stderr())
