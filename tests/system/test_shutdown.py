"""SIGTERM and SIGINT: stop accepting, finish what is in flight, exit 0 within 5 seconds, whoever still holds a connection."""

import signal
import threading

import pytest

from http_client import RawConnection
from load import Load
from redis_server import free_port
from waiting import let_pass, wait_until

SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("number", SIGNALS)
def test_ends_at_once_when_idle(redis, coordinator, number):
    assert coordinator.get("/livez").status == 200
    assert coordinator.stop(number) < 2


@pytest.mark.parametrize("number", SIGNALS)
def test_under_load_every_request_taken_is_answered(redis, three_coordinators, number):
    leaving = three_coordinators[0]
    load = Load(three_coordinators, threads=6)
    with load.running():
        let_pass(0.3)
        leaving.stop(number)
        let_pass(0.2)
    assert [attempt for attempt in load.failures if attempt.coordinator is not leaving] == []
    for attempt in load.failures:
        # A connection that is refused, or closed between two requests, took nothing with it.
        assert isinstance(attempt.outcome, Exception), attempt
    load.assert_nothing_acknowledged_is_lost(three_coordinators[1])


def test_a_request_in_flight_is_finished(redis, coordinator):
    coordinator.register("w")
    with coordinator.connection() as connection:
        redis.client.execute_command("CLIENT", "PAUSE", 1000, "ALL")
        answers = []
        waiting = threading.Thread(
            target=lambda: answers.append(connection.request("POST", "/api/worker/heartbeat",
                                                             {"worker_id": "w", "active_requests": 9})))
        waiting.start()
        let_pass(0.2)
        coordinator.stop()
        waiting.join()
    assert answers[0].status == 200
    assert int(redis.client.hget("{rma}:worker:w", "active_requests")) == 9


def test_a_redis_that_never_answers_does_not_hold_it(redis, coordinator):
    coordinator.register("w")
    redis.freeze()
    waiting = coordinator.raw().send(
        'POST /api/worker/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: 18\r\n\r\n{"worker_id": "w"}')
    let_pass(0.1)
    coordinator.stop()
    assert waiting.read_response("POST").status in (503, 504)
    waiting.close()


def test_no_redis_at_all_does_not_hold_it(redis, coordinator):
    redis.kill()
    let_pass(0.2)
    coordinator.stop()


def test_idle_and_half_open_connections_do_not_hold_it(redis, coordinator):
    idle = coordinator.connection()
    idle.request("GET", "/livez")
    held = [coordinator.raw() for _ in range(5)]
    held[0].send("GET /livez HT")
    held[1].send("POST /api/worker/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    held[2].send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").read_response()
    held[3].send("POST /api/worker/heartbeat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{")
    let_pass(0.1)
    coordinator.stop()
    for connection in [idle, *held]:
        connection.close()


def test_a_reader_that_reads_nothing_does_not_hold_it(redis, coordinator):
    for number in range(200):
        coordinator.register(f"w-{number}", {"note": "x" * 4000})
    reader = coordinator.raw()
    reader.send("GET /api/admin/workers HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
    let_pass(0.5)
    coordinator.stop()
    reader.close()


def test_new_connections_are_refused_while_it_ends(redis, coordinator):
    coordinator.register("w")
    redis.client.execute_command("CLIENT", "PAUSE", 1000, "ALL")
    held = coordinator.raw().send('POST /api/worker/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: 18\r\n\r\n{"worker_id": "w"}')
    let_pass(0.1)
    coordinator.send_signal(signal.SIGTERM)

    def is_refused():
        try:
            coordinator.get("/livez", timeout=0.3)
        except OSError:
            return True
        return False

    wait_until(is_refused)
    assert held.read_response("POST").status == 200
    held.close()
    assert coordinator.wait_for_end() == 0


def test_a_second_signal_changes_nothing_for_the_worse(redis, coordinator):
    held = coordinator.raw().send("GET /livez HT")
    coordinator.send_signal(signal.SIGTERM)
    coordinator.send_signal(signal.SIGTERM)
    assert coordinator.wait_for_end() in (0, -signal.SIGTERM)
    held.close()


@pytest.mark.parametrize("pause", [0, 0.002, 0.005, 0.01, 0.02])
def test_stopped_right_after_its_start(redis, make_coordinator, pause):
    coordinator = make_coordinator(redis)
    for _ in range(8):
        coordinator.start()
        let_pass(pause)
        coordinator.stop()


def test_told_to_stop_while_it_starts_it_answers_who_has_connected(redis, make_coordinator):
    port = free_port()
    coordinator = make_coordinator(redis, PORT=port)
    for _ in range(8):
        coordinator.launch()
        waiting = wait_until(lambda: RawConnection(port), what="the port takes connections", every=0.0005)
        waiting.send("GET /api/admin/stats HTTP/1.1\r\nHost: x\r\n\r\n")
        coordinator.send_signal(signal.SIGTERM)
        assert waiting.read_response().status == 200, "503 would say that Redis is away, which it is not"
        waiting.close()
        assert coordinator.wait_for_end() == 0


def test_its_port_is_free_afterwards(redis, make_coordinator):
    first = make_coordinator(redis).start()
    with first.connection() as connection:
        connection.request("GET", "/livez")
        first.stop()
    second = make_coordinator(redis, PORT=first.port).start()
    assert second.port == first.port and second.is_alive()
