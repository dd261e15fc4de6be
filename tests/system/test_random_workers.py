"""Workers that say and do what chance decides, and clients that send, leave and come again, while the coordinator stands still
now and then. Whatever happens: an answer reaches the client that asked for it, a POST reaches one worker at most, and nothing is
left."""

import asyncio
import collections
import http.client
import random
import signal
import threading

import pytest

from certificates import Authority
from peers import reply
from waiting import let_pass, wait_until

SECONDS, CLIENTS, WORKERS = 5, 12, 4
METHODS = ("GET", "GET", "HEAD", "OPTIONS", "POST", "POST", "PUT", "DELETE")
SIZES = (0, 0, 5, 3000, 70_000, 300_000)  # of bodies
MOST = 20_000  # how often an answer repeats its unit


def unit(target):
    return f"<{target}>".encode()


def answer_of(chance, request):
    """-> the bytes of an answer, and whether the connection ends behind it"""
    body = unit(request.target) * chance.choice((1, 1, 5, 500, MOST))
    status = chance.choice((200,) * 12 + (302, 404, 429, 500, 503))
    ends = chance.random() < 0.1
    head = f"HTTP/1.1 {status} X\r\nX-Target: {request.target}\r\n".encode() + (b"Connection: close\r\n" if ends else b"")
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    if request.method == "HEAD":
        return head + length, ends
    chunks = b"Transfer-Encoding: chunked\r\n\r\n%x;a=b\r\n" % len(body) + body
    return chance.choice(((head + length + body, ends),) * 8 + ((head + chunks + b"\r\n0\r\nX-Sum: 1\r\n\r\n", ends),) * 6 + (
        (head + b"\r\n" + body, True),                                           # until the end
        (head + length + body[:-1], True), (head + chunks, True),                # cut off
        (head + length + body + reply(b"behind it"), True),
        (head[:chance.randrange(len(head))], True),
        (head + b"Content-Length: 1\r\n" + length + body, True),
        (b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", True)))


def by_chance(seed):
    chance = random.Random(seed)

    async def behave(connection):
        while chance.random() > 0.03 and (request := await connection.read_head()) is not None:
            if chance.random() < 0.02:
                return
            reads = chance.random() > 0.15
            async for _ in connection.body_pieces(request) if reads else empty():
                if chance.random() < 0.002:
                    connection.reset()
                    return
            text, ends = answer_of(chance, request)
            text = b"HTTP/1.1 103 Early Hints\r\n\r\n" * chance.choice((0, 0, 0, 1, 8, 9)) + text
            at = chance.choice((0, 1, 20, 200, len(text)))
            for piece in (text[:at], text[at:]):
                await connection.send(piece)
                await asyncio.sleep(chance.choice((0, 0, 0, 0.001, 0.003)))
            if ends or not reads:
                if chance.random() < 0.3:
                    connection.reset()
                return

    return behave


async def empty():
    for nothing in ():
        yield nothing


class Client(threading.Thread):
    def __init__(self, port, services, number, over):
        super().__init__()
        self.port, self.services, self.number, self.over = port, services, number, over
        self.chance, self.connection = random.Random(number), None
        self.served, self.wrong, self.once = 0, [], set()

    def run(self):
        turn = 0
        while not self.over.is_set():
            turn += 1
            try:
                self.connection = self.connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                self.ask(f"/{self.number}-{turn}")
            except (OSError, http.client.HTTPException):
                self.leave()
        self.leave()

    def leave(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def ask(self, target):
        method, service, size = self.chance.choice(METHODS), self.chance.choice(self.services), self.chance.choice(SIZES)
        body = b"x" * size if size and method != "HEAD" else None
        headers = {"Idempotency-Key": target} if self.chance.random() < 0.3 else {}
        in_chunks = body is not None and self.chance.random() < 0.4
        if method in ("POST", "PUT", "DELETE") and not headers:
            self.once.add(target)
        self.connection.request(method, f"/service/{service}{target}", iter([body]) if in_chunks else body, headers)
        if self.chance.random() < 0.04:
            self.leave()
            return
        answer = self.connection.getresponse()
        try:
            got, is_whole = answer.read(), True
        except http.client.IncompleteRead as error:
            got, is_whole = error.partial, False
        self.check(method, target, answer, got, is_whole)
        if not is_whole or answer.will_close:
            self.leave()

    def check(self, method, target, answer, got, is_whole):
        expected, told = unit(target), answer.headers["X-Target"]
        if told is None:
            fits = answer.headers["Content-Type"] == "application/problem+json" and is_whole
        elif method == "HEAD" or not is_whole:
            fits = (expected * MOST).startswith(got)
        else:
            fits = got == expected * max(1, len(got) // len(expected))
        self.served += 1
        if not fits or told not in (None, target):
            self.wrong.append((method, target, answer.status, told, got[:100]))


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "TLS"])
def test_whatever_chance_decides(make_stage, is_secure):
    stage = make_stage()
    authority = Authority(stage.directory)
    context = authority.context("127.0.0.1") if is_secure else None
    times = {"timeouts": {"head": 2, "silence": 2}}
    coordinator = stage.start([{"name": "random", "tier": 2, "image": "x", "port": 9, "spread": "random", **times}], times,
                              SSL_CERT_FILE=authority.file)
    services = [stage.service(), "random"]
    for service in services:
        for number in range(WORKERS):
            stage.register(service, stage.peers.start(by_chance(number), tls=context))
        stage.register(service, stage.peers.refusing())
        urls = ("http://169.254.1.1", stage.peers.start(by_chance(WORKERS), tls=context).url)
        coordinator.register(f"{service}-two", services=[{"name": service, "service_url": url} for url in urls])
    over, chance = threading.Event(), random.Random(0)
    clients = [Client(coordinator.port, services, number, over) for number in range(CLIENTS)]
    timer = threading.Timer(SECONDS, over.set)
    for thread in (*clients, timer):
        thread.start()
    while not over.is_set():
        let_pass(chance.random() * 0.01)
        coordinator.send_signal(signal.SIGSTOP)
        let_pass(chance.random() * 0.006)
        coordinator.send_signal(signal.SIGCONT)
    for client in clients:
        client.join()
    assert not [wrong for client in clients for wrong in client.wrong]
    assert sum(client.served for client in clients) > 100
    arrived = collections.Counter(request.target for _, request in stage.peers.requests)
    assert not [target for client in clients for target in client.once if arrived[target] > 1]
    wait_until(lambda: not stage.redis.client.exists("{rma}:requests"))
    assert {row["in_flight"] for row in coordinator.get("/api/route/requests").json["services"]} == {0}
