"""Workers that lie: nothing that two readers could read differently reaches a client, and what nobody can mistake passes."""

import asyncio
import time

import pytest

import project
from peer_faults import HARMLESS, HOSTILE_BODIES, HOSTILE_HEADS, after, close
from peers import reply, saying, serving
from stage import of_all
from waiting import wait_until

A_LITTLE = 0.015  # seconds; the coordinator waits for 25 ms (POOL_DOUBT_MS)


@pytest.fixture(scope="module")
def stage(make_stage):
    stage = make_stage()
    stage.start()
    return stage


def hostile(stage, table):
    """A service for each case of the table, all of them one server's, which says what its path asks for."""
    texts = {}
    behaviours = saying(lambda request: texts[request.path])
    peer = stage.peers.start(behaviours)
    services = {}
    for name, text in table.items():
        services[name] = stage.service()
        texts[f"/{services[name]}"] = text
        stage.register(services[name], peer.url)
    return services


def causes(stage, service):
    """What the log says of workers that failed a request for the service."""
    return [line["why"] for line in stage.coordinators[0].log_lines()
            if line["event"] == "passing" and line["service"] == service and line["cause"] == "bad-answer"]


def test_hostile_answers_are_refused_and_the_log_says_why(stage):
    services = hostile(stage, HOSTILE_HEADS)

    def run(name, _):
        service = services[name]
        got = stage.ask("GET", f"/service/{service}/{service}")
        assert got.is_whole and got.status == 502 and got.json["code"], got
        assert causes(stage, service), got

    of_all(run, HOSTILE_HEADS)
    assert stage.coordinators[0].is_alive()


def test_hostile_bodies_never_look_whole(stage):
    services = hostile(stage, HOSTILE_BODIES)

    def run(name, _):
        service = services[name]
        got = stage.ask("GET", f"/service/{service}/{service}")
        assert not got.is_whole or got.status == 502, got

    of_all(run, HOSTILE_BODIES)
    assert stage.coordinators[0].is_alive()


def test_odd_answers_that_deceive_nobody_pass(stage):
    def run(name, case):
        said, body = case
        service = stage.service(stage.peers.start(after(said, close)))
        got = stage.ask("GET", f"/service/{service}/x")
        assert got.is_whole and (got.status, got.body) == (200, body), got
        assert b"evil" not in got.body

    of_all(run, HARMLESS)


def test_bytes_behind_an_answer_reach_nobody(stage):
    """What stands behind an answer must not be taken for the answer to the next client's request."""
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"
    peer = stage.peers.start(saying(first + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"))
    service = stage.service(peer)
    for _ in range(8):
        assert stage.ask("GET", f"/service/{service}/x").body == b"first"
    assert peer.connections == 8


def test_bytes_behind_an_answer_that_come_late_reach_nobody(stage):
    async def behave(connection):
        while await connection.read_request() is not None:
            await connection.send(reply(b"first"))
            await connection.send(reply(b"evil"))

    peer = stage.peers.start(behave)
    service = stage.service(peer)
    for _ in range(8):
        assert stage.ask("GET", f"/service/{service}/x").body == b"first"


@pytest.mark.parametrize("method, path", [("HEAD", "/x"), ("GET", "/204"), ("GET", "/304")])
@pytest.mark.parametrize("body", [b"hello", reply(b"evil")], ids=["a body", "an answer"])
def test_a_body_where_none_may_be_harms_no_other_request(stage, method, path, body):
    """It comes a little after the head: a server that writes twice. Another client could have chosen it."""
    apart = []  # seconds between the head and the body

    async def answer(connection, request):
        if request.path == "/good":
            await connection.send(reply(b"good"))
            return
        status = b"200 OK" if request.method == "HEAD" else path[1:].encode() + b" X"
        began = time.monotonic()
        await connection.send(b"HTTP/1.1 " + status + b"\r\nX-A: b\r\n\r\n")
        await asyncio.sleep(0.0005)
        apart.append(time.monotonic() - began)
        await connection.send(body)

    service = stage.service(stage.peers.start(serving(answer)))
    with stage.coordinators[0].connection() as client:
        for number in range(20):
            assert client.request(method, f"/service/{service}{path}").body == b""
            got = client.request("POST" if number % 2 else "GET", f"/service/{service}/good", b"x" if number % 2 else None)
            wait_until(lambda number=number: len(apart) > number)
            if apart[number] < A_LITTLE:  # a machine that stalled proves nothing
                assert (got.status, got.body) == (200, b"good"), got
    assert min(apart) < A_LITTLE


@pytest.mark.parametrize("method, status", [("POST", 404), ("POST", 500), ("POST", 302), ("GET", 200), ("DELETE", 200),
                                            ("OPTIONS", 204)])
def test_a_body_that_the_worker_takes_for_a_request_harms_no_other_request(stage, method, status):
    """A server that answers a request without reading its body: it refuses or redirects the request, or expects no body with that
    method. The client could have written that for others."""
    async def behave(connection):
        while True:
            head = await connection.reader.readuntil(b"\r\n\r\n")
            is_unread = b" /unread " in head
            body = b"" if is_unread else head.partition(b" HTTP")[0]
            await connection.send(reply(body, status if is_unread else 200))
            await asyncio.sleep(0.0005 if is_unread else 0)

    service = stage.service(stage.peers.start(behave))
    with stage.coordinators[0].connection() as client:
        for _ in range(40):
            assert client.request(method, f"/service/{service}/unread", b"GET /evil HTTP/1.1\r\n\r\n").status == status
            got = client.request("GET", f"/service/{service}/good")
            assert (got.status, got.body) == (200, b"GET /good"), got


def test_endless_lies_take_bounded_memory(stage):
    """A thousand megabytes of head, of interim answers, of chunk extensions: none is kept."""
    async def endless_head(connection):
        await connection.read_request()
        await connection.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await connection.send(b"X-Pad: " + b"y" * 60000 + b"\r\n")

    coordinator = stage.coordinators[0]
    assert stage.ask("GET", f"/service/{stage.service(stage.peers.start(saying(reply(b'x'))))}/warm").status == 200
    before = coordinator.memory_mb()
    for _ in range(10):
        assert stage.ask("GET", f"/service/{stage.service(stage.peers.start(endless_head))}/x").status == 502
    grown = coordinator.memory_mb() - before
    assert grown < (3 if project.MODE == "release" else 30), f"{grown} MB"
