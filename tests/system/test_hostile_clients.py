"""Clients that try to make two readers see different requests, and clients that hold on: nothing reaches a worker but what a strict
server takes for the very requests that were let pass."""

import socket

import pytest

import project
from http_client import statuses
from peers import reply, saying, serving
from waiting import wait_until

INNER = "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"
CL, TE = f"Content-Length: {len(INNER)}\r\n", "Transfer-Encoding: chunked\r\n"
EMPTY = "0\r\n\r\n"


@pytest.fixture(scope="module")
def stage(make_stage):
    stage = make_stage()
    stage.start(MAX_CONNECTIONS=2000)
    stage.peer = stage.peers.start(saying(reply(b"reached")))
    stage.own = stage.service(stage.peer)
    return stage


def head(*lines, method="POST", version="HTTP/1.1", target="/service/{s}/outer"):
    return f"{method} {target} {version}\r\nHost: x\r\n" + "".join(line if line.endswith("\n") else f"{line}\r\n"
                                                                   for line in lines) + "\r\n"


# Refused before anything of them is passed on.
REFUSED = {
    "length and chunked": head(CL, TE) + EMPTY + INNER,
    "chunked and length": head(TE, CL) + EMPTY + INNER,
    "two lengths": head("Content-Length: 0", CL) + INNER,
    "two lengths, the other way": head(CL, "Content-Length: 0") + INNER,
    "two lengths in one": head(f"Content-Length: 0, {len(INNER)}") + INNER,
    **{f"length {value!r}": head(f"Content-Length: {value}") + INNER for value in (
        "+4", "-1", "4x", "0x4", "4 4", "4;4", "4.0", "", "x", "9" * 19, "9" * 25, "\x0b4", "4\x0b")},
    "length in a folded line": head("Content-Length:\r\n 4\r\n") + INNER,
    "a blank before the colon of the length": head(f"Content-Length : {len(INNER)}") + INNER,
    "a tab before the colon of the length": head(f"Content-Length\t: {len(INNER)}") + INNER,
    "a blank before the colon of the encoding": head("Transfer-Encoding : chunked", CL) + EMPTY + INNER,
    **{f"encoding {value!r}": head(f"Transfer-Encoding: {value}", CL) + EMPTY + INNER for value in (
        "xchunked", "chunked, gzip", "gzip, chunked", "chunked, chunked", "identity", "gzip", "chunked;q=1", "\x0bchunked",
        "chunked\x0b", "'chunked'",
        "", "chunked, identity", "identity, chunked", "chunked\x00", "ch\u00fcnked")},
    "encoding twice": head(TE, TE) + EMPTY + INNER,
    "encoding twice, one unknown": head(TE, "Transfer-Encoding: x") + EMPTY + INNER,
    "encoding in HTTP/1.0": head(TE, version="HTTP/1.0") + EMPTY + INNER,
    "encoding in a folded line": head("Transfer-Encoding:\r\n chunked\r\n", CL) + EMPTY + INNER,
    "encoding behind a bare CR": head("X: y\rTransfer-Encoding: chunked", CL) + EMPTY + INNER,
    "encoding behind a bare LF": head("X: y\nTransfer-Encoding: chunked", CL) + EMPTY + INNER,
    **{f"chunk size {size!r}": head(TE) + f"{size}\r\nabcd\r\n{EMPTY}{INNER}" for size in (
        "+4", "-4", "0x4", "4x", "", "g", "F" * 16, "F" * 17, "4\x00", "\x0b4")},
    "a chunk that is longer than it says": head(TE) + "2\r\nabcd\r\n" + EMPTY + INNER,
    "a chunk that ends with LF": head(TE) + "4\nabcd\n0\n\n" + INNER,
    "a last chunk that ends with LF": head(TE) + "4\r\nabcd\r\n0\n\n" + INNER,
    "an endless chunk extension": head(TE) + "4;" + "a" * 100000 + "\r\nabcd\r\n" + EMPTY,
    "endless trailers": head(TE) + "4\r\nabcd\r\n0\r\n" + "X: y\r\n" * 20000 + "\r\n",
    "a NUL in a value": head("X: a\0b", "Content-Length: 0"),
    "a bare CR in a value": head("X: a\rb", "Content-Length: 0"),
    "a NUL in a name": head("X\0: a", "Content-Length: 0"),
    "a control character in a name": head("X\x01: a", "Content-Length: 0"),
    "a blank in a name": head("X Y: a", "Content-Length: 0"),
    "an empty name": head(": a", "Content-Length: 0"),
    "no colon": head("X", "Content-Length: 0"),
    "a folded line": head("X: a\r\n b\r\n", "Content-Length: 0"),
    "two hosts": head("Host: y", "Content-Length: 0"),
    "no host": "GET /service/{s}/outer HTTP/1.1\r\n\r\n",
    "a host that is none": "GET /service/{s}/outer HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a host with a user": "GET /service/{s}/outer HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "a host with a path": "GET /service/{s}/outer HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "CONNECT": head(method="CONNECT"),
    "TRACE": head(method="TRACE"),
    "a method that is none": head("Content-Length: 0", method="P(ST"),
    "a version to come": head("Content-Length: 0", version="HTTP/2.0"),
    "a version of three parts": head("Content-Length: 0", version="HTTP/1.1.1"),
    "two blanks in the request line": head("Content-Length: 0", target="/service/{s}/outer "),
    "a blank in the target": head("Content-Length: 0", target="/service/{s}/outer x"),
    "a NUL in the target": head("Content-Length: 0", target="/service/{s}/out\0er"),
    "a control character in the target": head("Content-Length: 0", target="/service/{s}/out\x01er"),
    "a line end in the target": head("Content-Length: 0", target="/service/{s}/outer\rX:"),
    "a fragment in the target": head("Content-Length: 0", target="/service/{s}/outer#x"),
    "101 headers": head(*(f"X-{number}: y" for number in range(101)), "Content-Length: 0"),
    "a head of megabytes": head(*(f"X-{number}: {'y' * 60000}" for number in range(60)), "Content-Length: 0"),
    "an unknown expectation": head("Expect: 200-ok", CL) + INNER,
}


def say(stage, text):
    with stage.coordinators[0].raw() as raw:
        raw.socket.settimeout(5)
        try:
            raw.send(text.replace("{s}", stage.own).encode("latin-1", "replace"))
            raw.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has had enough
        said = b""
        try:
            while piece := raw.socket.recv(65536):
                said += piece
        except ConnectionResetError:
            pass
        return said


def ask(stage, text):
    """The answer to one request of a client that stays: one that has ended its side may be taken for one that has left."""
    with stage.coordinators[0].raw() as raw:
        return raw.send(text.replace("{s}", stage.own).encode("latin-1", "replace")).read_response()


def test_what_two_readers_could_read_differently_is_refused(stage):
    wrong = []
    for name, text in REFUSED.items():
        before = len(stage.peer.requests)
        said = say(stage, text)
        answered = statuses(said)
        if len(stage.peer.requests) != before or any(status < 400
                                                     for status in answered) or b"reached" in said or len(answered) > 1:
            wrong.append((name, said[:120], stage.peer.requests[before:]))
    assert not wrong, "\n".join(map(str, wrong))
    assert not stage.peer.asked("smuggled") and not stage.peer.malformed
    assert stage.coordinators[0].is_alive()


# Odd, and plain: they pass, as one request that says one thing.
PASSED = {
    "the same length twice": (head("Content-Length: 4", "Content-Length: 4") + "abcd", (b"abcd", None)),
    "chunked in capitals": (head("Transfer-Encoding: CHUNKED") + "4\r\nabcd\r\n" + EMPTY, (b"abcd",)),
    "an extension": (head(TE) + "4;a=b\r\nabcd\r\n" + EMPTY, (b"abcd",)),
    "a trailer": (head(TE) + "4\r\nabcd\r\n0\r\nX-Sum: 1\r\n\r\n", (b"abcd",)),
    "a GET with a body": (head("Content-Length: 4", method="GET") + "abcd", (b"abcd", b"", None)),
    "DELETE with a body": (head("Content-Length: 4", method="DELETE") + "abcd", (b"abcd",)),
    "blanks about a value": (head("Content-Length: \t 4 \t ") + "abcd", (b"abcd", None)),
    "leading zeros": (head("Content-Length: 0004") + "abcd", (b"abcd", None)),
    "HTTP/1.0": (head("Content-Length: 4", version="HTTP/1.0") + "abcd", (b"abcd",)),
    "an absolute target": (head("Content-Length: 4", target="http://x/service/{s}/outer") + "abcd", (b"abcd", None)),
    "Expect": (head("Expect: 100-continue", "Content-Length: 4") + "abcd", (b"abcd",)),
    "header names that hide": (head("Content_Length: 9", "Transfer_Encoding: chunked", "Content-Length: 4") + "abcd",
                               (b"abcd", None)),
}


def test_what_is_odd_arrives_as_one_plain_request(stage):
    for name, (text, bodies) in PASSED.items():
        before = len(stage.peer.requests)
        ask(stage, text)
        arrived = stage.peer.requests[before:]
        assert len(arrived) <= 1 and (arrived[0].body if arrived else None) in bodies, (name, arrived)
    assert not stage.peer.malformed


CONNECTIONS = ["X-Anything", "Content-Length", "Transfer-Encoding", "Host", "X-Forwarded-For, X-Forwarded-Proto, Forwarded, Via",
               "X-Request-Id, traceparent", "close, Content-Type", "keep-alive, X-RMA-Session", "Connection", "a b", "\u00e9",
               ", ,,", "X-Own"]


def test_connection_takes_away_what_is_the_clients_and_nothing_of_ours(stage):
    for value in CONNECTIONS:
        text = head(f"Connection: {value}", "X-Own: mine", "X-Anything: secret", "X-Request-Id: id-1", "Content-Length: 4") + "abcd"
        before = len(stage.peer.requests)
        said = ask(stage, text)
        arrived = stage.peer.requests[before:]
        if not arrived:
            assert said.status == 400, (value, said)
            continue
        request, = arrived
        assert request.body == b"abcd" and request.header("host").startswith("127.0.0.1:"), value
        assert (request.header("x-forwarded-for") == "127.0.0.1" and request.header("x-forwarded-proto")
                and request.header("via")), value
        assert request.header("x-request-id") and request.header("traceparent"), value
        assert (request.header("x-anything") is None) == (value == "X-Anything"), value
        assert (request.header("x-own") is None) == (value == "X-Own"), value
        assert request.header("connection") in (None, "keep-alive"), value
    assert not stage.peer.malformed


def test_requests_behind_a_refused_one_are_not_served(stage):
    before = len(stage.peer.requests)
    for text in (head(CL, TE) + EMPTY, head("Content-Length: x"), head(TE) + "zz\r\n"):
        said = say(stage, text + head("Content-Length: 0", target="/service/{s}/behind"))
        assert len(statuses(said)) <= 1, said
    assert len(stage.peer.requests) == before


def test_a_body_that_ends_early_is_no_whole_request_to_the_worker(stage):
    def whole(request):
        return any(known is request and request.is_whole for known in stage.peer.requests)

    for framing, part in (("Content-Length: 1000000", b"x" * 500000),
                          ("Transfer-Encoding: chunked", b"7a120\r\n" + b"x" * 500000 + b"\r\n"),
                          ("Transfer-Encoding: chunked", b"7a120\r\n" + b"x" * 500000 + b"\r\n0\r\n"),
                          ("Content-Length: 1000", b"x" * 999)):
        before = len(stage.peer.requests)
        with stage.coordinators[0].raw() as raw:
            raw.send(head(framing).replace("{s}", stage.own)).send(part)
            if len(part) > 65536:  # else nothing reaches the worker before the whole body is there
                wait_until(lambda: len(stage.peer.requests) > before)
        wait_until(lambda: all(request.is_whole or request.gone for request in stage.peer.requests[before:]))
        assert not any(map(whole, stage.peer.requests[before:])), framing


def test_a_slow_sender_holds_up_nobody_else(stage):
    """A hundred clients that send a byte now and then: the others are served as ever, and the slow ones in the end, too."""
    slow = [stage.coordinators[0].raw() for _ in range(100)]
    try:
        for raw in slow:
            raw.send(head("Content-Length: 6").replace("{s}", stage.own))
        for piece in (b"a", b"b", b"c"):
            for raw in slow:
                raw.send(piece)
            assert all(stage.ask("POST", f"/service/{stage.own}/x", b"x").body == b"reached" for _ in range(10))
        for raw in slow:
            raw.send(b"def")
        for raw in slow:
            assert raw.read_response("POST").body == b"reached"
    finally:
        for raw in slow:
            raw.close()
    assert [request.body for request in stage.peer.requests if request.body == b"abcdef"] == [b"abcdef"] * 100


def test_readers_that_stop_cost_little_and_stop_their_workers(stage):
    """Each gets a stream without an end, and reads nothing: what a worker says waits at the worker."""
    said = []

    async def endless(connection, _):
        said.append(0)
        place = len(said) - 1
        while True:
            await connection.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            said[place] += 65536

    async def begin(connection, request):
        await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await endless(connection, request)

    coordinator, count = stage.coordinators[0], 40
    peer = stage.peers.start(serving(begin))
    service = stage.service(peer)
    stage.ask("GET", f"/service/{stage.own}/warm")
    before = coordinator.memory_mb()
    lazy = []
    for _ in range(count):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", coordinator.port))
        connection.sendall(f"GET /service/{service}/x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        lazy.append(connection)
    seen = []

    def is_stuck():
        seen.append(list(said))
        return len(said) == count and len(seen) > 30 and seen[-1] == seen[-30]

    wait_until(is_stuck, what="the workers can say nothing more")
    grown = coordinator.memory_mb() - before
    assert grown * 1e6 / count < (200_000 if project.MODE == "release" else 800_000), f"{grown} MB for {count} streams"
    assert max(said) < 8_000_000, f"{max(said)} bytes were taken off a worker's hands"
    assert stage.ask("GET", f"/service/{stage.own}/x").body == b"reached"
    for connection in lazy:
        connection.close()
    wait_until(lambda: peer.open == 0, what="the workers' streams end with their readers")


def test_header_floods_are_cut_off(stage):
    before = len(stage.peer.requests)
    with stage.coordinators[0].raw() as raw:
        raw.send(head().rstrip("\r\n").replace("{s}", stage.own) + "\r\n")
        try:
            for number in range(2000):
                raw.send(f"X-{number}: {'y' * 1000}\r\n")
        except OSError:
            pass
        said = raw.read_to_end()
    assert statuses(said) in ([400], [413], [431], []) and len(stage.peer.requests) == before
