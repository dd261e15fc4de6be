"""Connections by the thousand: capped, calm at the cap and without descriptors, and nothing left of those that went."""

import contextlib
import resource
import time

import pytest

import processes
import project
from http_client import statuses
from waiting import PATIENCE, let_pass, wait_until

CALM = 0.25  # CPU seconds in
WATCH = 2.0  # seconds


def cpu_while_watching(coordinator):
    before = processes.cpu_seconds(coordinator.pid)
    let_pass(WATCH)
    return processes.cpu_seconds(coordinator.pid) - before


LIVEZ = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


def served_of(connections):
    """Those of the open raw connections on which a request is answered soon."""
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.send(LIVEZ)
    let_pass(0.5)
    served = []
    for connection in connections:
        connection.socket.setblocking(False)
        with contextlib.suppress(OSError):
            if statuses(connection.socket.recv(65536)) == [200]:
                served.append(connection)
        connection.socket.setblocking(True)
    return served


def assert_served(connections):
    for connection in connections:
        connection.socket.settimeout(PATIENCE)
        connection.send(LIVEZ)
    for connection in connections:
        assert connection.read_response().status == 200


def assert_calm_when_full(coordinator, connections):
    """Opens that many connections, more than there is room for; it stays calm, serves those it took, and recovers."""
    crowd = []
    for _ in range(connections):
        try:
            crowd.append(coordinator.raw(timeout=1))
        except OSError:
            pass
    let_pass(0.2)
    served = served_of(crowd)
    assert 5 <= len(served) < connections, f"{len(served)} of {connections} are served"
    assert cpu_while_watching(coordinator) < CALM
    assert_served(served)  # those that are in go on being served
    for connection in crowd:
        connection.close()
    wait_until(coordinator.is_alive, what="new connections are taken again")
    newcomers = [coordinator.raw() for _ in range(5)]
    assert_served(newcomers)
    for connection in newcomers:
        connection.close()
    coordinator.register("w")
    return len(served)


def test_calm_at_the_cap(redis, start_coordinator):
    coordinator = start_coordinator(redis, MAX_CONNECTIONS=40)
    assert assert_calm_when_full(coordinator, 80) <= 40


def test_calm_when_full_of_requests(redis, start_coordinator):
    """All connections wait for Redis, and new clients for them."""
    coordinator = start_coordinator(redis, MAX_CONNECTIONS=40, REQUEST_TIMEOUT_MS=2000)
    redis.freeze()
    crowd = [coordinator.raw(timeout=15).send("GET /api/worker/w HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
             for _ in range(80)]
    assert cpu_while_watching(coordinator) < CALM
    redis.thaw()
    assert {connection.read_response().status for connection in crowd} <= {404, 503, 504}
    for connection in crowd:
        connection.close()


def test_calm_without_descriptors(redis, start_coordinator):
    coordinator = start_coordinator(redis, prepare=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    assert_calm_when_full(coordinator, 120)
    assert processes.open_descriptors(coordinator.pid) <= 64


def test_redis_is_reached_again_without_spare_descriptors(redis, start_coordinator):
    """Clients can't take the descriptors that the coordinator needs for its Redis."""
    coordinator = start_coordinator(redis, prepare=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    crowd = []
    for _ in range(100):
        try:
            crowd.append(coordinator.raw(timeout=1))
        except OSError:
            pass
    let_pass(0.2)
    redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    let_pass(1)
    for connection in crowd:
        connection.close()
    coordinator.wait_until_ready()


def test_a_thousand_connections_leave_nothing(redis, start_coordinator):
    coordinator = start_coordinator(redis)
    coordinator.register("w")
    before = processes.open_descriptors(coordinator.pid)
    body = b'{"worker_id": "w"}'
    beat = b"POST /api/worker/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    for _ in range(4):
        crowd = [coordinator.raw().send(beat) for _ in range(250)]
        for connection in crowd[::2]:
            assert connection.read_response("POST").status == 200
        for connection in crowd:
            connection.close()
    wait_until(lambda: processes.open_descriptors(coordinator.pid) <= before)
    if project.MODE == "release":
        assert coordinator.memory_mb() <= 12


def test_idle_connections_are_closed_in_the_end(redis, start_coordinator):
    coordinator = start_coordinator(redis, IDLE_TIMEOUT_SECONDS=3)
    idle = coordinator.raw().send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    started = time.monotonic()
    assert statuses(idle.read_to_end(within=90)) == [200]
    assert time.monotonic() - started > 2, "keep-alive is worth something"


@pytest.mark.parametrize("preface", [
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_http2_with_prior_knowledge_is_refused(coordinator, preface):
    with coordinator.raw() as raw:
        raw.send(preface)
        said = raw.read_to_end()
    assert not said or statuses(said) == [400], said
    assert coordinator.is_alive()


def test_h2c_upgrade_is_not_taken(coordinator):
    with coordinator.raw() as raw:
        raw.send("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                 "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
        assert raw.read_response().status in (200, 400)
