"""Clients that leave while their requests wait: they are noticed within a second. Those that only have no more to say get their
answers."""

import socket
import struct

import pytest

from http_client import statuses
from waiting import let_pass, wait_until

GET = b"GET /api/worker/w HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def patient(redis, start_coordinator):
    """A coordinator whose requests wait for as long as they may, and that tells of each."""
    coordinator = start_coordinator(redis, THREADS=1, REQUEST_TIMEOUT_MS=2000, LOG_LEVEL="debug")
    coordinator.register("w")
    return coordinator


def ended_before(coordinator, request_id):
    """How many requests that found Redis silent ended before that one."""
    def told():
        lines = [line for line in coordinator.log_lines() if line["event"] == "request" and line.get("status", 0) >= 500]
        return [line["request_id"] for line in lines]
    wait_until(lambda: request_id in told(), what=f"{request_id} is answered")
    return told().index(request_id)


def connect(coordinator):
    return socket.create_connection(("127.0.0.1", coordinator.port), timeout=5)


def close(client):
    client.close()


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def read_to_end(client):
    data = b""
    while chunk := client.recv(65536):
        data += chunk
    return data


@pytest.mark.parametrize("leave", [close, reset])
@pytest.mark.parametrize("sent", [GET, GET * 3, GET + b"GET /api/wor"], ids=["one request", "three requests", "one and a half"])
def test_one_that_leaves_is_noticed(patient, redis, leave, sent):
    """One that was there before them and stays waits for its two seconds: they are over earlier."""
    redis.freeze()
    clients = [connect(patient) for _ in range(5)]
    with connect(patient) as stays:
        stays.sendall(GET.replace(b"Host: x", b"Host: x\r\nX-Request-Id: stays"))
        for client in clients:
            client.sendall(sent)
        let_pass(0.3)
        for client in clients:
            leave(client)
        assert ended_before(patient, "stays") >= len(clients)
    redis.thaw()


@pytest.mark.parametrize("requests", [1, 3])
def test_one_that_has_no_more_to_say_gets_its_answers(patient, redis, requests):
    with connect(patient) as client:
        redis.freeze()
        client.sendall(GET * requests)
        client.shutdown(socket.SHUT_WR)
        let_pass(0.3)
        redis.thaw()
        assert statuses(read_to_end(client)) == [200] * requests


def test_one_that_has_no_more_to_say_gets_an_answer_in_any_case(patient, redis):
    with connect(patient) as client:
        redis.freeze()
        client.sendall(GET)
        client.shutdown(socket.SHUT_WR)
        assert statuses(read_to_end(client)) == [504]
        redis.thaw()


def test_one_that_pipelines_and_stays_is_answered_in_order(patient, redis):
    with connect(patient) as client:
        redis.freeze()
        client.sendall(GET + GET.replace(b"worker/w", b"worker/nobody")
                       + GET.replace(b"HTTP/1.1", b"HTTP/1.1\r\nConnection: close"))
        let_pass(1.2)
        redis.thaw()
        assert statuses(read_to_end(client)) == [200, 404, 200]


def test_at_the_end_of_the_program_nobody_is_left_without_an_answer(patient, redis):
    clients = [connect(patient) for _ in range(5)]
    redis.freeze()
    for client in clients:
        client.sendall(GET)
    let_pass(0.1)
    patient.stop()
    for client in clients:
        assert statuses(read_to_end(client)) == [504]
        client.close()
