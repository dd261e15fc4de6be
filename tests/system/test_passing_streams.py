"""Answers and bodies that take their time: tokens pass as they come, nothing piles up, and whoever leaves ends the other end's
work."""

import asyncio
import base64
import hashlib
import os
import socket
import threading
import time

import pytest

import project
from http_client import statuses
from peer_faults import CHUNKED, TRICKLE
from peers import reply, saying, serving
from waiting import wait_until

MEGABYTE = 1 << 20
SIZE = 96 * MEGABYTE if project.MODE == "release" else 32 * MEGABYTE
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def stage(make_stage):
    stage = make_stage()
    stage.start(members={"timeouts": {"head": 20, "silence": 20}})
    return stage


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def open_raw(stage, service, path="x", method="GET", extra="", receive_buffer=None):
    raw = socket.socket()
    if receive_buffer:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    raw.connect(("127.0.0.1", stage.coordinators[0].port))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.settimeout(10)
    raw.sendall(f"{method} /service/{service}/{path} HTTP/1.1\r\nHost: x\r\n{extra}\r\n".encode())
    return raw


def read_until(raw, end, data=b""):
    while end not in data:
        piece = raw.recv(65536)
        assert piece, f"the connection ended: {data[-300:]}"
        data += piece
    return data


# -- piece by piece


def test_an_event_passes_as_it_comes(stage):
    """Each event waits for the client's having got the last one, so none may be held back until the next one comes."""
    steps = asyncio.Queue()

    async def events(connection, _):
        await connection.send(SSE)
        for number in range(200):
            await steps.get()
            await connection.send(chunk(f"data: {number}\n\n".encode()))
        await connection.send(b"0\r\n\r\n")

    raw = open_raw(stage, stage.service(stage.peers.start(serving(events))))
    data = read_until(raw, b"\r\n\r\n")
    for number in range(200):
        stage.peers.call(steps.put_nowait, None)
        data = read_until(raw, f"data: {number}\n\n".encode(), data)
    assert b"text/event-stream" in data
    read_until(raw, b"0\r\n\r\n", data)
    raw.close()


def test_a_head_passes_before_its_body(stage):
    release = asyncio.Event()

    async def slowly(connection, _):
        await connection.send(TRICKLE)
        await release.wait()
        await connection.send(b"x" * 1000)

    raw = open_raw(stage, stage.service(stage.peers.start(serving(slowly))))
    data = read_until(raw, b"\r\n\r\n")
    assert statuses(data) == [200] and b"ontent-length: 1000" in data.lower()

    stage.peers.call(release.set)
    read_until(raw, b"x" * 1000, data)
    raw.close()


# -- whoever leaves


@pytest.mark.parametrize("moment", ["before the head", "in a stream", "in a stream that is full", "with a request behind it"])
@pytest.mark.parametrize("way", ["close", "reset"])
def test_a_client_that_leaves_ends_the_workers_request(stage, moment, way):
    async def behave(connection):
        request = await connection.read_request()
        watch = asyncio.ensure_future(connection.wait_until_gone(request))
        if moment != "before the head":
            await connection.send(CHUNKED + chunk(b"begun"))
        while moment == "in a stream that is full" and not watch.done():
            await connection.send(chunk(b"x" * 65536))
        await watch

    for _ in range(5):
        peer = stage.peers.start(behave)
        raw = open_raw(stage, stage.service(peer), receive_buffer=4096 if "full" in moment else None)
        if moment == "before the head":
            wait_until(lambda: peer.requests)
        else:
            read_until(raw, b"begun")
        if moment == "with a request behind it":
            raw.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        if way == "reset":
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        raw.close()
        request, = peer.requests
        wait_until(lambda: request.gone or peer.open == 0)


def test_a_client_that_leaves_is_no_failure_of_the_worker(stage):
    """Else readers in a hurry would close a good worker down."""
    peer = stage.peers.start(serving(begin_and_wait))
    service = stage.service(peer)
    for _ in range(12):
        raw = open_raw(stage, service)
        read_until(raw, b"begun")
        raw.close()
        wait_until(lambda: peer.open == 0)
    raw = open_raw(stage, service)
    read_until(raw, b"begun")
    raw.close()


async def begin_and_wait(connection, request):
    await connection.send(CHUNKED + chunk(b"begun"))
    await connection.wait_until_gone(request)


# -- size and back-pressure


def test_a_large_answer_passes_in_little_memory(stage):
    block = os.urandom(MEGABYTE)

    async def large(connection, _):
        await connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        for _ in range(SIZE // MEGABYTE):
            await connection.send(block)

    service, coordinator = stage.service(stage.peers.start(serving(large))), stage.coordinators[0]
    stage.ask("GET", f"/service/{stage.service(stage.peers.start(saying(reply(b'x' * 300_000))))}/warm")
    before, most = coordinator.memory_mb(), 0
    raw = open_raw(stage, service)
    data = read_until(raw, b"\r\n\r\n")
    rest = data.partition(b"\r\n\r\n")[2]
    digest, left, room = hashlib.blake2b(rest), SIZE - len(rest), bytearray(MEGABYTE)
    while left:
        got = raw.recv_into(room)
        assert got
        digest.update(memoryview(room)[:got])
        left -= got
        if left // MEGABYTE % 16 == 0:
            most = max(most, coordinator.memory_mb())
    raw.close()
    wanted = hashlib.blake2b()
    for _ in range(SIZE // MEGABYTE):
        wanted.update(block)
    assert digest.digest() == wanted.digest()
    most = max(most, coordinator.memory_mb())
    assert most - before < 2 or project.SANITIZED, f"{most - before:.1f} MB more"  # sanitizers keep what is freed


def test_a_reader_that_stops_stops_the_worker_and_goes_on(stage):
    said, block = [0], bytes(range(256)) * 256

    async def large(connection, _):
        await connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(block) * 1000}\r\n\r\n".encode())
        for _ in range(1000):
            await connection.send(block)
            said[0] += len(block)

    raw = open_raw(stage, stage.service(stage.peers.start(serving(large))), receive_buffer=65536)
    body = read_until(raw, b"\r\n\r\n").partition(b"\r\n\r\n")[2]
    seen = []

    def is_stuck():
        seen.append(said[0])
        return len(seen) > 20 and seen[-1] == seen[-20] > 0

    wait_until(is_stuck)
    assert said[0] < 10 * MEGABYTE, said
    body = bytearray(body)
    while len(body) < len(block) * 1000:
        body += raw.recv(MEGABYTE)
    assert body == block * 1000
    raw.close()


# -- uploads


class Upload:
    """A worker that reads bodies as they come, or not at all while it is held."""

    def __init__(self):
        self.digest, self.size, self.held = hashlib.blake2b(), 0, threading.Event()

    async def __call__(self, connection):
        request = await connection.read_head()
        while self.held.is_set():
            await asyncio.sleep(0.01)
        async for piece in connection.body_pieces(request):
            self.digest.update(piece)
            self.size += len(piece)
        await connection.send(reply({"size": self.size}))


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_large_upload_passes_in_little_memory_and_leaves_no_file(stage, framing):
    upload, coordinator, block = Upload(), stage.coordinators[0], os.urandom(MEGABYTE)
    service = stage.service(stage.peers.start(upload))
    stage.ask("POST", f"/service/{stage.service(stage.peers.start(saying(reply(b'x'))))}/warm", b"x" * 300_000)
    before, most = coordinator.memory_mb(), 0
    temporary = free_bytes()
    raw = open_raw(stage, service, method="POST", extra="Content-Type: multipart/form-data; boundary=b\r\n" + (
        f"Content-Length: {SIZE}\r\n" if framing == "length" else "Transfer-Encoding: chunked\r\n"))
    wanted = hashlib.blake2b()
    for number in range(SIZE // MEGABYTE):
        wanted.update(block)
        raw.sendall(block if framing == "length" else chunk(block))
        if number % 16 == 0:
            most = max(most, coordinator.memory_mb())
    if framing == "chunked":
        raw.sendall(b"0\r\n\r\n")
    assert free_bytes() > temporary - SIZE // 2
    data = read_until(raw, b"}")
    raw.close()
    assert statuses(data)[-1] == 200 and upload.size == SIZE and upload.digest.digest() == wanted.digest()
    most = max(most, coordinator.memory_mb())
    assert most - before < 2 or project.SANITIZED, f"{most - before:.1f} MB more"  # sanitizers keep what is freed


def free_bytes():
    state = os.statvfs("/tmp")
    return state.f_bavail * state.f_frsize


def test_a_worker_that_does_not_read_stops_the_sender(stage):
    upload = Upload()
    upload.held.set()
    raw = open_raw(stage, stage.service(stage.peers.start(upload)), method="POST", extra=f"Content-Length: {64 * MEGABYTE}\r\n")
    raw.settimeout(0.5)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 64 * MEGABYTE:
            sent += raw.send(b"x" * 65536)
    assert sent < 40 * MEGABYTE, "more than the kernel's buffers hold"
    upload.held.clear()
    raw.settimeout(10)
    while sent < 64 * MEGABYTE:
        sent += raw.send(b"x" * min(65536, 64 * MEGABYTE - sent))
    read_until(raw, b'{"size": 67108864}')
    raw.close()


def test_an_upload_over_the_limit_is_refused_with_the_limit(make_stage):
    stage = make_stage()
    stage.start(MAX_UPLOAD_BYTES=1_000_000)
    peer = stage.peers.start(saying(reply(b"x")))
    service = stage.service(peer)
    assert stage.ask("POST", f"/service/{service}/x", b"x" * 1_000_000).status == 200
    refused = stage.ask("POST", f"/service/{service}/x", b"x" * 1_000_001)
    assert refused.status == 413 and "1000000" in refused.json["detail"].replace(",", ""), refused
    with stage.coordinators[0].raw() as raw:
        raw.send(f"POST /service/{service}/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(40):
                raw.send(chunk(b"x" * 65536))
        except OSError:
            pass
        assert statuses(raw.read_to_end()) in ([413], [])
    assert sum(request.is_whole for request in peer.requests) == 1


def test_a_client_that_waits_for_100_gets_it(stage):
    peer = stage.peers.start(saying(reply(b"x")))
    raw = open_raw(stage, stage.service(peer), method="POST", extra="Expect: 100-continue\r\nContent-Length: 200000\r\n")
    assert read_until(raw, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    raw.sendall(b"y" * 200000)
    assert statuses(read_until(raw, b"\r\n\r\nx")) == [200]
    assert peer.requests[0].body == b"y" * 200000 and peer.requests[0].header("expect") is None
    raw.close()


# -- WebSockets

KEY = base64.b64encode(b"sixteen bytes of").decode()
ASK = ("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
       f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: chat\r\n")


async def echo_socket(connection):
    """Takes an upgrade, and then says back what comes."""
    request = await connection.read_head()
    if request is None:
        return
    assert request.header("upgrade").lower() == "websocket" and request.header("connection").lower() == "upgrade"
    accept = base64.b64encode(hashlib.sha1(request.header("sec-websocket-key").encode()
                                           + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    await connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          b"Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\nwelcome")
    while piece := await connection.reader.read(65536):
        await connection.send(piece)
    request.gone = time.monotonic()


def test_websockets_pass_both_ways(stage):
    peer = stage.peers.start(echo_socket)
    service = stage.service(peer)
    raw = open_raw(stage, service, "socket?room=7", extra=ASK)
    data = read_until(raw, b"welcome")
    head = data.partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 101 ") and b"upgrade: websocket" in head and b"sec-websocket-protocol: chat" in head
    assert b"sec-websocket-accept: " in head and peer.requests[0].target == "/socket?room=7"
    for size in (1, 125, 70000, 3_000_000):
        text = os.urandom(size)
        sender = threading.Thread(target=raw.sendall, args=(text,))
        sender.start()
        back = b""
        while len(back) < size:
            back += raw.recv(MEGABYTE)
        sender.join()
        assert back == text
    raw.close()
    wait_until(lambda: peer.requests[0].gone or peer.open == 0)


def test_a_websocket_ends_with_its_worker(stage):
    async def short(connection):
        await connection.read_head()
        await connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nbye")

    raw = open_raw(stage, stage.service(stage.peers.start(short)), extra=ASK)
    read_until(raw, b"bye")
    assert raw.recv(100) == b""
    raw.close()


def test_a_worker_may_refuse_an_upgrade(stage):
    raw = open_raw(stage, stage.service(stage.peers.start(saying(reply(b"no", 426, ["X-Why: not"])))), extra=ASK)
    data = read_until(raw, b"\r\n\r\nno")
    assert statuses(data) == [426] and b"x-why: not" in data.lower()
    raw.close()


@pytest.mark.parametrize("extra", ["Connection: close\r\n", ASK], ids=["close", "upgrade"])
def test_bytes_behind_a_connections_last_request_cost_no_answer(stage, extra):
    """To close a connection on which bytes have come that nobody reads is to reset it, and with it goes what is on its way."""
    body = b"z" * (8 * MEGABYTE)
    service = stage.service(stage.peers.start(saying(reply(body, 403))))
    raw = open_raw(stage, service, extra=extra, receive_buffer=65536)
    data = read_until(raw, b"z")
    raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    while piece := raw.recv(65536):
        data += piece
    assert statuses(data) == [403] and data.count(b"z" * 1000) == len(body) // 1000
    raw.close()


def test_websockets_without_traffic_cost_little(stage):
    coordinator, count = stage.coordinators[0], 200
    service = stage.service(stage.peers.start(echo_socket))
    open_raw(stage, service, extra=ASK).close()
    before = coordinator.memory_mb()
    sockets = [open_raw(stage, service, extra=ASK) for _ in range(count)]
    for raw in sockets:
        read_until(raw, b"welcome")
    grown = coordinator.memory_mb() - before
    for raw in sockets:
        raw.close()
    assert grown * 1e6 / count < (40_000 if project.MODE == "release" else 400_000), f"{grown} MB for {count}"


def test_idle_streams_cost_little(stage):
    coordinator, count = stage.coordinators[0], 400
    peer = stage.peers.start(serving(begin_and_wait))
    service = stage.service(peer)
    read_until(open_raw(stage, service), b"begun")
    before = coordinator.memory_mb()
    streams = [open_raw(stage, service) for _ in range(count)]
    for raw in streams:
        read_until(raw, b"begun")
    grown = coordinator.memory_mb() - before
    for raw in streams:
        raw.close()
    assert grown * 1e6 / count < (30_000 if project.MODE == "release" else 300_000), f"{grown} MB for {count}"
    wait_until(lambda: peer.open <= 1)
