"""Workers for a coordinator: any number of servers in this process, each with a behaviour of its own.

They run on one event loop in a thread of its own. They note every connection and every request that reaches them, whole or not. A
behaviour is a coroutine that gets a Connection; serving(answer) makes one from a coroutine that answers one request.
"""

import asyncio
import contextlib
import json
import re
import socket
import struct
import threading
import time

HOST = "127.0.0.1"
PIECE = 65536
BACKLOG = 512
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
BROKEN = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")  # line ends that two servers could read differently


class Request:
    """A request that reached a worker, as far as it came. Moments are time.monotonic()."""

    def __init__(self, method, target, version, headers):
        self.method, self.target, self.version = method, target, version
        self.headers = headers    # (name, value) as they came
        self.body = b""
        self.is_whole = False     # its whole body has come
        self.arrived = time.monotonic()
        self.gone = None          # when the other end left, if it did before the request was whole or answered

    def values(self, name):
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def header(self, name):
        """Returns the one value of the header; None if there is no such header."""
        values = self.values(name)
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.method} {self.target} {len(self.body)} bytes{'' if self.is_whole else ', not whole'}>"


class Malformed(Exception):
    """Raised for data that a strict server does not accept as a request."""


class Connection:
    """One connection to a worker, from the worker's side."""

    def __init__(self, peer, reader, writer):
        self.peer, self.reader, self.writer = peer, reader, writer
        self._set(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _set(self, level, option, value):
        if not self.writer.transport.is_closing():  # else the other end has reset it, and there is no socket any more
            self.writer.get_extra_info("socket").setsockopt(level, option, value)

    # -- reading

    async def read_head(self):
        """Returns the next request, without its body; None if the other end has left."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                self.peer.malformed.append(error.partial)
            return None
        except ConnectionError:
            return None
        try:
            first, *lines = head[:-4].decode("latin-1").split("\r\n")
            method, target, version = first.split(" ")
            headers = [(name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines)]
            if version not in ("HTTP/1.1", "HTTP/1.0") or not all(NAME.fullmatch(name)
                                                                  for name, _ in headers) or BROKEN.search(head[:-4]):
                raise ValueError
        except ValueError:
            self.peer.malformed.append(head)
            raise Malformed(head) from None
        request = Request(method, target, version, headers)
        self.peer.note(request)
        return request

    async def body_pieces(self, request):
        """Yields the pieces of the request's body as they come."""
        encoding, length = request.header("transfer-encoding"), request.header("content-length")
        if encoding is not None:
            if encoding != "chunked" or length is not None:
                raise Malformed(f"{encoding} {length}")
            while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
                yield await self.reader.readexactly(size)
                if await self.reader.readexactly(2) != b"\r\n":
                    raise Malformed("a chunk")
            while await self.reader.readuntil(b"\r\n") != b"\r\n":
                pass
        else:
            left = int(length or 0)
            while left:
                piece = await self.reader.read(min(left, PIECE))
                if not piece:
                    raise asyncio.IncompleteReadError(b"", left)
                left -= len(piece)
                yield piece
        request.is_whole = True

    async def read_request(self):
        """Returns the next request with its body; None if no whole one comes."""
        request = await self.read_head()
        if request is not None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                async for piece in self.body_pieces(request):
                    request.body += piece
            if request.is_whole:
                return request
            request.gone = time.monotonic()
        return None

    async def wait_until_gone(self, request=None):
        """Waits until the other end leaves, and notes when it did."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(PIECE):
                pass
        if request is not None and request.gone is None:
            request.gone = time.monotonic()

    # -- writing

    async def send(self, data):
        """Sends data. Returns when most of it has been sent."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self):
        """Sends a reset. Data that was not sent yet is lost."""
        self._set(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self):
        self.writer.close()


def reply(body=b"", status=200, headers=(), reason="OK"):
    """Returns the bytes of a whole answer. A dict or list becomes JSON."""
    lines = [f"{name}: {value}" for name, value in dict(headers).items()] if isinstance(headers, dict) else list(headers)
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
        lines.append("Content-Type: application/json")
    lines.append(f"Content-Length: {len(body)}")
    return f"HTTP/1.1 {status} {reason}\r\n".encode() + "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body


def serving(answer):
    """Returns a behaviour that calls answer(connection, request) for each whole request, and keeps connections open."""

    async def behave(connection):
        while (request := await connection.read_request()) is not None:
            await answer(connection, request)
            if (request.header("connection") or "").lower() == "close" or connection.writer.is_closing():
                return

    return behave


def saying(data):
    """Returns a behaviour that answers every request with the same bytes, or with those of data(request)."""

    async def answer(connection, request):
        await connection.send(data(request) if callable(data) else data)

    return serving(answer)


class Peer:
    """One worker's server: its address, and what has reached it."""

    def __init__(self, peers, tls):
        self._peers = peers
        self.scheme = "https" if tls else "http"
        self.port = None
        self.connections = 0     # how many were accepted
        self.open = 0            # how many are open now
        self.requests = []       # those whose head has come, in order
        self.malformed = []      # data that is no request
        self.errors = []         # of the behaviour itself
        self.server = None

    def note(self, request):
        self.requests.append(request)
        self._peers.requests.append((self, request))

    @property
    def url(self):
        return f"{self.scheme}://{HOST}:{self.port}"

    def asked(self, mark):
        """The requests whose target has the mark."""
        return [request for request in self.requests if mark in request.target]

    async def serve(self, behave, reader, writer):
        self.connections += 1
        self.open += 1
        try:
            await behave(Connection(self, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, Malformed):
            pass
        except asyncio.CancelledError:
            return
        except Exception as error:  # a fault of the behaviour must not look like one of the coordinator
            self.errors.append(error)
        finally:
            self.open -= 1
            with contextlib.suppress(Exception):
                writer.close()


class Peers:
    """The loop, and all servers on it."""

    def __init__(self):
        self.requests = []  # (peer, request) of all servers, in the order in which they came
        self._peers = []
        self._sockets = []
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda loop, context: None if isinstance(context.get("exception"), OSError) else (
            loop.default_exception_handler(context)))  # some tests are about failing handshakes
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine, within=30):
        """Runs the coroutine on the loop, and returns what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(within)

    def call(self, function, *arguments):
        """Calls the function on the loop, soon; with it a test can wake a behaviour that waits."""
        self._loop.call_soon_threadsafe(function, *arguments)

    def start(self, behave, tls=None, host=HOST):
        """Starts a worker with a behaviour: serving(…), saying(…), or a coroutine that gets each connection. `tls` is an
        SSLContext. `host` "" means all addresses of this machine."""
        peer = Peer(self, tls)

        async def begin():
            bound = socket.create_server((host, 0), backlog=BACKLOG, dualstack_ipv6=not host,
                                         family=socket.AF_INET if host else socket.AF_INET6)
            return await asyncio.start_server(lambda reader, writer: peer.serve(behave, reader, writer), sock=bound, ssl=tls,
                                              limit=1 << 20,
                                              backlog=BACKLOG)

        peer.server = self.run(begin())
        peer.port = peer.server.sockets[0].getsockname()[1]
        self._peers.append(peer)
        return peer

    def refusing(self):
        """Makes a worker on whose port nobody listens."""
        peer = Peer(self, None)
        self._hold(peer)
        return peer

    def unreachable(self, tls=None):
        """Makes a worker on which connections hang, because its queue of new connections is full."""
        peer = Peer(self, tls)
        listener = self._hold(peer)
        listener.listen(0)
        for _ in range(8):
            filler = socket.socket()
            self._sockets.append(filler)
            filler.settimeout(0.1)
            try:
                filler.connect((HOST, peer.port))
            except TimeoutError:
                return peer
        raise AssertionError("the queue of connections does not fill up")

    def _hold(self, peer):
        held = socket.socket()
        held.bind((HOST, 0))
        self._sockets.append(held)
        peer.port = held.getsockname()[1]
        return held

    def asked(self, mark):
        """[(peer, request)] of the requests whose target has the mark."""
        return [(peer, request) for peer, request in self.requests if mark in request.target]

    def close(self):
        for held in self._sockets:
            held.close()
        self.run(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        errors = [error for peer in self._peers for error in peer.errors]
        assert not errors, f"a worker of the test itself failed: {errors}"

    async def _cancel_all(self):
        for peer in self._peers:
            peer.server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
