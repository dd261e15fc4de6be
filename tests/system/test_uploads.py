"""Bodies on their way to a worker, as clients send them: long ones, slow ones, several on one connection, and those that two
programs could read differently. http/intake.h has the rules."""

import asyncio
import json
import os
import re
import socket
import threading
import time
import zlib

import pytest

from http_client import statuses
from peers import reply
from stage import of_all
from waiting import let_pass, wait_until

KIB, MIB = 1 << 10, 1 << 20
LONG = 256 * MIB
BLOCK = bytes(range(256)) * (MIB // 256)
GET = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


class Sink:
    """A worker that counts what comes and says it; it reads when it may. The kernel keeps no more for it than `buffer` says."""

    def __init__(self, stage, buffer=4 * MIB):
        self.taken, self.buffer = 0, buffer
        self.may_read = threading.Event()
        self.may_read.set()
        self.peer = stage.peers.start(self.behave)
        self.service = stage.service(self.peer)

    async def behave(self, connection):
        connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.buffer)
        while (request := await connection.read_head()) is not None:
            self.taken, check = 0, 0
            async for piece in connection.body_pieces(request):
                self.taken += len(piece)
                check = zlib.crc32(piece, check)
                while not self.may_read.is_set():
                    await asyncio.sleep(0.01)
            await connection.send(reply({"bytes": self.taken, "crc": check}))


@pytest.fixture(scope="module")
def stage(make_stage):
    stage = make_stage()
    stage.start(THREADS=1)
    return stage


@pytest.fixture(scope="module")
def sink(stage):
    return Sink(stage)


def head(sink, *lines, method="POST"):
    return "\r\n".join([f"{method} /service/{sink.service}/up HTTP/1.1", "Host: x", *lines]) + "\r\n\r\n"


def chunked(body, size):
    pieces = [body[at:at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def said(raw):
    response = raw.read_response("POST")
    assert response.status == 200, response
    return response.json


def peak_kib(coordinator):
    return int(re.search(r"VmHWM:\s*(\d+) kB", open(f"/proc/{coordinator.pid}/status").read())[1])


def deleted_files(coordinator):
    """What a process keeps on a disk without a name: h2o's way with long bodies."""
    folder = f"/proc/{coordinator.pid}/fd"
    names = []
    for fd in os.listdir(folder):
        try:
            names.append(os.readlink(f"{folder}/{fd}"))
        except OSError:
            pass
    return [name for name in names if "(deleted)" in name]


# -- long ones ---------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("way", ["a length", "chunks"])
def test_a_long_body_is_kept_nowhere(stage, sink, way):
    coordinator = stage.coordinators[0]
    with coordinator.raw(timeout=60) as raw:
        raw.send(head(sink, f"Content-Length: {10 * MIB}")).send(BLOCK * 10)  # what the first one needs is there afterwards
        assert said(raw)["bytes"] == 10 * MIB
        before = peak_kib(coordinator)
        raw.send(head(sink, f"Content-Length: {LONG}" if way == "a length" else "Transfer-Encoding: chunked"))
        check = 0
        for at in range(0, LONG, MIB):
            raw.send(BLOCK if way == "a length" else b"%x\r\n%s\r\n" % (MIB, BLOCK))
            check = zlib.crc32(BLOCK, check)
            if at == LONG // 2:
                assert not deleted_files(coordinator)
        if way == "chunks":
            raw.send("0\r\n\r\n")
        assert said(raw) == {"bytes": LONG, "crc": check}
        assert os.environ.get("MODE") == "asan" or peak_kib(coordinator) - before < 2 * KIB


def test_a_worker_that_does_not_read_holds_the_client_up(stage):
    size, sink = 100 * MIB, Sink(stage, 64 * KIB)
    with stage.coordinators[0].raw(timeout=60) as raw:
        sink.may_read.clear()
        raw.send(head(sink, f"Content-Length: {size}"))
        raw.socket.settimeout(0.5)
        sent = 0
        with pytest.raises(socket.timeout):
            while sent < size:
                sent += raw.socket.send(BLOCK[:size - sent])
        assert sent < 24 * MIB, "only the buffers of two sockets and of this process are between them"
        sink.may_read.set()
        raw.socket.settimeout(60)
        while sent < size:
            sent += raw.socket.send(BLOCK[sent % MIB:][:size - sent])
        assert said(raw)["bytes"] == size


def test_all_kinds_on_one_connection(stage, sink):
    """Whatever the body, the next request begins right behind it."""
    small, large = b"small" * 10, os.urandom(300 * KIB)
    kinds = [(head(sink, f"Content-Length: {len(body)}").encode() + body, body)
             for body in (small, large, b"x" * 64 * KIB, b"y" * (64 * KIB + 1))]
    kinds += [(head(sink, "Transfer-Encoding: chunked").encode() + chunked(body, size), body)
              for body, size in ((small, 7), (large, 1000), (large, 65536), (large, 300 * KIB))]
    with stage.coordinators[0].raw() as raw:
        for sent, body in kinds * 2:
            raw.send(sent)
            assert said(raw) == {"bytes": len(body), "crc": zlib.crc32(body)}
        # all at once
        raw.send(b"".join(sent + GET.encode() for sent, _ in kinds) + GET.replace("x", "x\r\nConnection: close").encode())
        answers = [json.loads(body) for body in re.findall(rb"\r\n\r\n({.*?})(?=HTTP|$)", raw.read_to_end())]
        assert answers[:-1:2] == [{"bytes": len(body), "crc": zlib.crc32(body)} for _, body in kinds]
        assert len(answers) == 2 * len(kinds) + 1 and all("bytes" not in answer for answer in answers[1::2])


def test_a_worker_that_answers_before_it_has_read(stage):
    async def refuse(connection, request):
        await connection.send(reply({"detail": "too much"}, 413, ["Connection: close"]))

    async def behave(connection):
        if (request := await connection.read_head()) is not None:
            await refuse(connection, request)

    service = stage.service(stage.peers.start(behave))
    for _ in range(3):
        with stage.coordinators[0].raw() as raw:
            raw.send(f"POST /service/{service}/up HTTP/1.1\r\nHost: x\r\nContent-Length: {LONG}\r\n\r\n")
            try:
                for _ in range(20):
                    raw.send(BLOCK)
            except OSError:
                pass  # it has heard enough
            answer = raw.read_response("POST")
            assert answer.status == 413 and answer.json == {"detail": "too much"}
            assert raw.read_to_end() == b""


# -- slow ones, and those that leave -----------------------------------------------------------------------------------------------

def test_slow_ones(stage):
    """A client that stops in the middle is not waited for; one that the worker holds up is, and so is one that goes on."""
    lazy, others = Sink(stage), [Sink(stage) for _ in range(3)]
    raws = {}
    lazy.may_read.clear()
    held_up = stage.coordinators[0].raw(timeout=30).send(head(lazy, f"Content-Length: {20 * MIB}"))
    sending = threading.Thread(target=lambda: held_up.send(BLOCK * 20))
    sending.start()
    going_on = stage.coordinators[0].raw().send(head(others[2], f"Content-Length: {80 * KIB}"))
    for name, sink, lines, start in (("no byte", others[0], ["Content-Length: 100000"], b""),
                                     ("a part", others[1], ["Content-Length: 100000"], b"x" * 90000),
                                     ("a chunk", others[1], ["Transfer-Encoding: chunked"], b"10\r\nhalf")):
        raws[name] = stage.coordinators[0].raw(timeout=20).send(head(sink, *lines)).send(start)
    started = time.monotonic()
    for piece in range(40):
        going_on.send(b"z" * 2 * KIB)
        let_pass(0.28)
    for name, raw in raws.items():
        answer = raw.read_response("POST")
        assert (answer.status, answer.json["code"]) == (408, "request-late"), name
        assert time.monotonic() - started > 9.5
        raw.close()
    assert said(going_on)["bytes"] == 80 * KIB
    going_on.close()
    lazy.may_read.set()
    assert said(held_up)["bytes"] == 20 * MIB
    sending.join()
    held_up.close()


@pytest.mark.parametrize("reads", [True, False], ids=["which reads", "which does not read"])
@pytest.mark.parametrize("way", ["closes", "resets"])
def test_a_client_that_leaves_in_the_middle(stage, reads, way):
    sink = Sink(stage)
    if not reads:
        sink.may_read.clear()
    raw = stage.coordinators[0].raw()
    raw.send(head(sink, f"Content-Length: {LONG}"))
    raw.socket.settimeout(0.2)
    try:
        for _ in range(4 if reads else 100):
            raw.send(BLOCK)
    except socket.timeout:
        pass
    wait_until(lambda: sink.taken > 0)
    if way == "resets":
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    raw.close()
    sink.may_read.set()
    wait_until(lambda: sink.peer.open == 0)
    assert not sink.peer.requests[-1].is_whole


# -- what two programs could read differently --------------------------------------------------------------------------------------

HIDDEN = "GET /service/{service}/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = f"0\r\n\r\n{HIDDEN}"

AMBIGUOUS = {
    "two lengths": "Content-Length: 5\r\nContent-Length: 500", "the same length twice": "Content-Length: 5\r\nContent-Length: 5",
    "a list of lengths": "Content-Length: 5, 5", "a sign": "Content-Length: +5", "a minus": "Content-Length: -5",
    "hexadecimal": "Content-Length: 0x5", "octal": "Content-Length: 05", "a fraction": "Content-Length: 5.0",
    "no number": "Content-Length: five",
    "nothing": "Content-Length:", "a blank between": "Content-Length: 5 5", "a tab": "Content-Length:\t5",
    "too many digits": "Content-Length: 1" + "0" * 18,
    "a length and chunks": "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "chunks and a length": "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "chunks, and no other coding": "Transfer-Encoding: gzip, chunked", "chunks twice": "Transfer-Encoding: chunked, chunked",
    "chunks in two lines": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "identity": "Transfer-Encoding: identity",
    "nearly chunks": "Transfer-Encoding: xchunked", "chunks with a tab": "Transfer-Encoding:\tchunked",
    "quoted": 'Transfer-Encoding: "chunked"',
    "a parameter": "Transfer-Encoding: chunked;q=1", "a vertical tab": "Transfer-Encoding: \x0bchunked",
    "a blank before the colon": "Transfer-Encoding : chunked",
    "a folded name": "Transfer-Encoding\r\n : chunked", "a folded value": "Transfer-Encoding:\r\n chunked",
    "a folded line": "X: y\r\n\tTransfer-Encoding: chunked",
    "a bare line feed": "X: y\nTransfer-Encoding: chunked", "a bare carriage return": "X: y\rTransfer-Encoding: chunked",
    "a NUL": "Transfer-Encoding: chunked\x00",
    "underscores": "Transfer_Encoding: chunked", "a length with an underscore": "Content_Length: 5",
    "a connection that needs no length": "Connection: close, Content-Length\r\nContent-Length: 5",
    "no other host": "Host: y\r\nContent-Length: 5",
    "an empty name": ": x\r\nContent-Length: 5", "no colon": "Content-Length 5",
}

# Bodies in chunks.
BROKEN_CHUNKS = {
    "a bare line feed behind the size": "5\nhello\r\n0\r\n\r\n", "a bare carriage return": "5\rhello\r\n0\r\n\r\n",
    "a blank behind the size": "5 \r\nhello\r\n0\r\n\r\n",
    "a sign": "+5\r\nhello\r\n0\r\n\r\n", "0x": "0x5\r\nhello\r\n0\r\n\r\n", "no digit": "g\r\nhello\r\n0\r\n\r\n",
    "no size": "\r\nhello\r\n0\r\n\r\n",
    "too many digits": "0000000000000005\r\nhello\r\n0\r\n\r\n", "a size that wraps": "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a line feed in an extension": "5;a\nb\r\nhello\r\n0\r\n\r\n", "an endless extension": "5;" + "a" * 5000
    + "\r\nhello\r\n0\r\n\r\n",
    "too much data": "5\r\nhello!\r\n0\r\n\r\n", "a bare line feed behind the data": "5\r\nhello\n0\r\n\r\n",
    "a bare line feed at the end": "0\r\n\n",
    "a trailer without a colon": "0\r\nGET / HTTP/1.1\r\n\r\n", "a folded trailer": "0\r\na: b\r\n c\r\n\r\n",
    "endless trailers": "0\r\n" + "a: b\r\n" * 1500 + "\r\n",
}


def assert_is_refused(stage, sink, request):
    """One answer, of 4xx, and the end; and nothing of it reached the worker as a request of its own, or whole."""
    with stage.coordinators[0].raw() as raw:
        raw.send(request.encode("latin-1"))
        answers = statuses(raw.read_to_end())
    assert len(answers) == 1 and 400 <= answers[0] < 500, answers


def test_ambiguous_heads(stage, sink):
    before = len(sink.peer.requests)

    def run(_, lines):
        for method in ("POST", "GET"):
            assert_is_refused(stage, sink, head(sink, lines, method=method) + BODY.format(service=sink.service))
    of_all(run, AMBIGUOUS)
    assert len(sink.peer.requests) == before and not sink.peer.malformed


def test_broken_chunks(stage):
    sink = Sink(stage)

    def run(_, body):
        hidden = HIDDEN.format(service=sink.service)
        for start in ("", "5\r\nfirst\r\n"):
            assert_is_refused(stage, sink, head(sink, "Transfer-Encoding: chunked") + start + body + hidden)
            with stage.coordinators[0].raw() as raw:  # with the body on its own, when the worker has the request already
                raw.send(head(sink, "Transfer-Encoding: chunked", "Expect: 100-continue"))
                assert raw.socket.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
                raw.send((start + body + hidden).encode("latin-1"))
                assert statuses(raw.read_to_end()) == [400]
    of_all(run, BROKEN_CHUNKS)
    wait_until(lambda: sink.peer.open == 0)
    assert not any(request.is_whole or "hidden" in request.target for request in sink.peer.requests) and not sink.peer.malformed


# Answered by the coordinator's own paths, but not passed on.
ODD = {
    "another host in the target": ("GET http://y/service/{service}/up HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a user in the target": ("GET http://u@x/service/{service}/up HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "line feeds alone": ("GET /service/{service}/up HTTP/1.1\nHost: x\n\n", 400),
    "a method of odd bytes": ("G\xffT /service/{service}/up HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
    "a fragment": ("GET /service/{service}/up#x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "another version": ("GET /service/{service}/up HTTP/1.2\r\nHost: x\r\n\r\n", 400),
    "a head of 70 KB": ("GET /service/{service}/up HTTP/1.1\r\nHost: x\r\nX: " + "y" * 70000 + "\r\n\r\n", 431),
    "101 headers": ("GET /service/{service}/up HTTP/1.1\r\nHost: x\r\n" + "X: y\r\n" * 100 + "\r\n", 400),
}


def test_odd_requests_are_not_passed_on(stage, sink):
    before = len(sink.peer.requests)

    def run(_, case):
        request, status = case
        with stage.coordinators[0].raw() as raw:
            raw.send(request.replace("{service}", sink.service).encode("latin-1"))
            assert statuses(raw.read_to_end()) == [status]
    of_all(run, ODD)
    assert len(sink.peer.requests) == before


def test_what_is_dropped_on_the_way(stage, sink):
    """Extensions of chunks, trailers and the framing's own headers are between two programs, and are not passed on."""
    body = "5;name=value\r\nhello\r\n0;x\r\nX-Trailer: y\r\nContent-Length: 99\r\n\r\n"
    with stage.coordinators[0].raw() as raw:
        raw.send(head(sink, "Transfer-Encoding: chunked", "Trailer: X-Trailer", "TE: trailers",
                      "Connection: keep-alive, X-Anything", "X-Anything: 1",
                      "Expect: 100-continue"))
        assert raw.socket.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert said(raw.send(body)) == {"bytes": 5, "crc": zlib.crc32(b"hello")}
    names = {name.lower() for name, _ in sink.peer.requests[-1].headers}
    assert not names & {"expect", "x-anything", "trailer", "te", "x-trailer",
                        "keep-alive"} and not any(name.startswith("-") for name in names), names
