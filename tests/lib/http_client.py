"""HTTP clients of a coordinator: one request on a connection of its own, many on one connection, or raw bytes."""

import http.client
import json
import re
import select
import socket
import time

from waiting import PATIENCE


class Response:
    """An answer, read whole."""

    def __init__(self, raw, started):
        self.body = raw.read()
        self.status = raw.status
        self.headers = raw.headers
        self.latency = time.monotonic() - started

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


def _encode(body, headers):
    """Returns the body as bytes, and the headers. A dict or list becomes JSON, with its Content-Type unless the caller set one."""
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    if isinstance(body, str):
        body = body.encode()
    return body, headers


class Connection:
    """A keep-alive connection. It never repeats a request, so each failure is seen by the test."""

    def __init__(self, port, host="127.0.0.1", timeout=PATIENCE):
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout)

    def request(self, method, path, body=None, headers=None):
        body, headers = _encode(body, headers)
        started = time.monotonic()
        self._connection.request(method, path, body=body, headers=headers)
        return Response(self._connection.getresponse(), started)

    def close(self):
        self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def request(port, method, path, body=None, headers=None, host="127.0.0.1", timeout=PATIENCE):
    """Sends one request on a new connection; returns the answer."""
    with Connection(port, host, timeout) as connection:
        return connection.request(method, path, body, {"Connection": "close", **(headers or {})})


class RawConnection:
    """A TCP connection on which a test sends exactly the bytes that it gives."""

    def __init__(self, port, host="127.0.0.1", timeout=PATIENCE):
        self.socket = socket.create_connection((host, port), timeout=timeout)

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)
        return self

    def read_response(self, method="GET"):
        started = time.monotonic()
        raw = http.client.HTTPResponse(self.socket, method=method)
        raw.begin()
        return Response(raw, started)

    def has_answer(self):
        """Whether something has come that was not read yet."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def read_to_end(self, within=PATIENCE):
        """Returns all bytes until the server closes the connection. Fails if the server does not close it in time."""
        self.socket.settimeout(within)
        deadline = time.monotonic() + within
        data = b""
        while True:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                return data
            except socket.timeout:
                raise AssertionError(f"the server kept the connection open for {within} s; it said {data[:300]!r}") from None
            if not piece:
                return data
            data += piece
            assert time.monotonic() < deadline, "the server goes on and on"

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def statuses(data):
    """Returns the status codes of the HTTP/1 answers in a stream of bytes."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", data)]
