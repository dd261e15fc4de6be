"""Clients and workers that do anything at any moment, by chance: nothing crashes, no POST is delivered twice, no answer is another
request's, and in the end nothing is left over."""

import asyncio
import contextlib
import random
import socket
import struct

import pytest

from certificates import Authority
from peer_faults import CUT, DELIVERED, HOSTILE_BODIES, HOSTILE_HEADS
from peers import reply
from waiting import wait_until

CLIENTS, REQUESTS = 48, 30
SILENT = {"hangs at the head", "hangs in the head", "hangs in the body", "hangs between chunks", "sends a broken chunk later"}
BAD = [fault.behave for table in (DELIVERED, CUT) for name, fault in table.items() if name not in SILENT]
LIES = [*HOSTILE_HEADS.values(), *HOSTILE_BODIES.values()]


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def mark_of(request):
    return request.target.rpartition("/")[2].encode()


async def good(connection, request):
    """Says which request it answers, in one of several ways."""
    mark = mark_of(request)
    way = random.random()
    if way < 0.5:
        await connection.send(reply(mark))
    elif way < 0.8:
        await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (mark[:3], mark[3:], *[b"x" * random.randrange(1, 40000) for _ in range(random.randrange(6))]):
            if piece:
                await connection.send(chunk(piece))
            if random.random() < 0.3:
                await asyncio.sleep(random.random() * 0.01)
        await connection.send(b"0\r\n\r\n")
    else:
        await connection.send(reply(mark, random.choice((201, 404, 500, 503, 429))))


async def moody(connection):
    """A worker that is well mostly."""
    mood = random.random()
    if mood < 0.15:
        await random.choice(BAD)(connection)
        return
    while (request := await connection.read_head()) is not None:
        if random.random() < 0.05:
            await connection.send(reply(mark_of(request), 413))  # before it has read the body
            return
        async for piece in connection.body_pieces(request):
            request.body += piece
        if random.random() < 0.05:
            await connection.send(random.choice(LIES))
            return
        await good(connection, request)
        if random.random() < 0.1:
            return


def make_request(service, mark):
    method = random.choice(("GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE"))
    lines = [f"{method} /service/{service}/{mark} HTTP/1.1", "Host: x"]
    body = b""
    if method in ("POST", "PUT"):
        body = b"y" * random.choice((0, 1, 100, 5000, 70000, 300000))
        if random.random() < 0.5:
            lines.append(f"Content-Length: {len(body)}")
        else:
            lines.append("Transfer-Encoding: chunked")
            half = len(body) // 2
            body = b"".join(chunk(piece) for piece in (body[:half], body[half:]) if piece) + b"0\r\n\r\n"
    elif random.random() < 0.1:
        lines += ["Connection: Upgrade", "Upgrade: websocket"]
    return method, "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def read_answer(reader, method):
    """The status, and the beginning of the body of one whole answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ")[1])
    if status == 100:
        return await read_answer(reader, method)
    if method == "HEAD" or status in (101, 204):
        return status, b""
    if b"transfer-encoding: chunked" in head:
        body = b""
        while size := int((await reader.readuntil(b"\r\n")), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return status, body
    length, = (int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
    return status, await reader.readexactly(length)


async def client(port, service, number, seen):
    """Asks on connections that it keeps, or leaves in the middle."""
    reader = writer = None
    for count in range(REQUESTS):
        mark = f"m{number}x{count}x"
        if writer is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        method, data = make_request(service, mark)
        try:
            if random.random() < 0.15:
                writer.write(data[:random.randrange(len(data))])
                await asyncio.sleep(random.random() * 0.01)
                raise ConnectionError
            writer.write(data)
            if random.random() < 0.15:
                await asyncio.sleep(random.random() * 0.02)
                raise ConnectionError
            status, body = await asyncio.wait_for(read_answer(reader, method), 20)
            seen.append((mark, method, status, body))
            if status == 101:  # a lie, to one who did ask for an upgrade: nothing of HTTP follows
                assert b"Upgrade: websocket" in data
                raise ConnectionError
        except TimeoutError:
            seen.append((mark, method, "hangs", b""))
            raise
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()
            writer = None
    if writer is not None:
        writer.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_anything_at_any_moment(make_stage, seed):
    random.seed(seed)
    stage = make_stage()
    coordinators = [stage.start(members={"timeouts": {"head": 2, "silence": 2}}) for _ in range(2)]
    service = stage.service()
    workers = [stage.register(service, stage.peers.start(moody)) for _ in range(6)]
    seen = []

    async def all_clients():
        await asyncio.gather(*(client(coordinators[number % 2].port, service, number, seen) for number in range(CLIENTS)))

    stage.peers.run(all_clients(), within=120)
    answered = [status for _, _, status, _ in seen]
    assert answered.count(200) > len(answered) // 4 and set(answered) <= {101, 200, 201, 400, 404, 413, 429, 500, 502, 503,
                                                                          504}, set(answered)
    for mark, method, status, body in seen:
        if status in (200, 201, 404, 500, 429) and method != "HEAD" and body[:1] == b"m":
            assert body.startswith(mark.encode()), f"{mark} got {body[:40]}"
    delivered = {}
    for _, request in stage.peers.requests:
        delivered.setdefault((request.method, mark_of(request)), []).append(request)
    twice = [key for key, requests in delivered.items() if key[0] in ("POST", "DELETE", "PUT") and len(requests) > 1]
    assert not twice, twice
    assert not [peer.malformed for peer, _ in stage.peers.requests if any(b"HTTP/1.1\r\n" in part for part in peer.malformed)]
    for coordinator in coordinators:
        wait_until(lambda: all(coordinator.worker(worker)["active_requests"] in (0, None) for worker in workers),
                   what="no lease is left")
        assert coordinator.is_alive()


# -- the same through WebSockets

UPGRADE = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def act(reader, writer):
    """One end of a tunnel: sends, reads, ends its direction, waits, and in the end closes or resets."""
    may_send = True
    for _ in range(random.randrange(1, 12)):
        what = random.choice(("send", "send", "send", "read", "read", "read", "read", "end", "wait", "leave"))
        if what == "send" and may_send:
            writer.write(b"w" * random.choice((1, 1000, 300_000)))
        elif what == "read":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(random.choice((10, 100_000))), 0.02)
        elif what == "end" and may_send and writer.can_write_eof():
            writer.write_eof()
            may_send = False
        elif what == "wait":
            await asyncio.sleep(random.random() * 0.02)
        elif what == "leave":
            break
    if random.random() < 0.3 and not writer.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()


async def moody_socket(connection):
    await connection.read_head()
    with contextlib.suppress(OSError):
        await connection.send(UPGRADED + b"hi")
        await act(connection.reader, connection.writer)


async def socket_client(port, service):
    for _ in range(8):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /service/{service}/x HTTP/1.1\r\n{UPGRADE}".encode() + b"early" * random.choice((0, 1, 20_000)))
        with contextlib.suppress(OSError):
            await act(reader, writer)


def test_anything_at_any_moment_of_a_websocket(make_stage):
    random.seed(1)
    stage = make_stage()
    authority = Authority(stage.directory)
    coordinator, service = stage.start(SSL_CERT_FILE=authority.file), stage.service()
    workers = [stage.register(service, stage.peers.start(moody_socket, tls=tls)) for tls in (None, authority.context("127.0.0.1"))]

    async def all_clients():
        await asyncio.gather(*(socket_client(coordinator.port, service) for _ in range(CLIENTS)))

    stage.peers.run(all_clients(), within=60)
    wait_until(lambda: all(coordinator.worker(worker)["active_requests"] in (0, None) for worker in workers),
               what="no lease is left")
    assert len(stage.peers.requests) > CLIENTS
