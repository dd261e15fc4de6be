"""What comes to the port and is no request: it is refused, counted by its kind, and told of once."""

import json

import pytest

from http_client import statuses
from test_idle import metric, refusals
from waiting import wait_until

BEAT = "/api/worker/heartbeat"
HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(189))

KINDS = {
    "tls": (HELLO, "plain HTTP"),
    "tls of a browser": (b"\x16\x03\x03" + HELLO[3:], "TLS"),
    "proxy_protocol": (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n", "PROXY"),
    "proxy_protocol of unknown": (b"PROXY UNKNOWN\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n", "X-Forwarded-For"),
    "proxy_protocol 2": (b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12) + b"GET / HTTP/1.1\r\n\r\n", "PROXY"),
    "http2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), "HTTP/2"),
    "too_long": (b"GET /livez HTTP/1.1\r\n" + b"X: " + b"y" * 500_000, "long"),
    "malformed": (b"\x00\x01\x02\x03 nothing of the kind\r\n\r\n", "no HTTP/1.1"),
    "malformed redis": (b"*1\r\n$4\r\nPING\r\n", "no HTTP/1.1"),
    "malformed ssh": (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP/1.1"),
    "malformed version": (b"GET /livez HTTP/3.0\r\nHost: x\r\n\r\n", "no HTTP/1.1"),
    "malformed header": (b"GET /livez HTTP/1.1\r\nHost x\r\n\r\n", "no HTTP/1.1"),
    "malformed, of 101 headers": (b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 101 + b"\r\n", "100 headers"),
    "malformed, behind a request": (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n\x01\x02\x03 more\r\n\r\n", "no HTTP/1.1"),
}


def say(coordinator, data):
    with coordinator.raw() as raw:
        try:
            raw.send(data)
        except OSError:
            pass  # it has had enough before the end
        return raw.read_to_end()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_counted_and_told_of_once(redis, start_coordinator, kind):
    coordinator = start_coordinator(redis, THREADS=1)
    data, word = KINDS[kind]
    reason = kind.split()[0].rstrip(",")
    name = f'rma_http_connections_closed_total{{reason="{reason}"}}'
    assert metric(coordinator, name) == 0
    for _ in range(5):
        assert statuses(say(coordinator, data))[-1:] in ([400], []), kind
    wait_until(lambda: metric(coordinator, name) == 5)
    assert metric(coordinator, 'rma_http_requests_total{route="none",method="other",code="400"}') == 5
    lines = refusals(coordinator, 400)
    assert len(lines) == 1 and lines[0]["level"] == "info" and word in lines[0]["detail"], lines
    assert lines[0]["address"] == "127.0.0.1"
    assert coordinator.is_alive()


def test_a_client_that_says_nothing_wrong_is_not_counted(coordinator):
    """Whoever connects and goes, sends empty lines, waits for 100 Continue or leaves in the middle of a request."""
    for data in (b"", b"\r\n", b"\r\n\r\n", b"GET /li", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"):
        with coordinator.raw() as raw:
            raw.send(data)
    with coordinator.raw() as raw:
        raw.send(f"POST {BEAT} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert raw.socket.recv(4096).startswith(b"HTTP/1.1 100 ")
        assert raw.send("{}").read_response("POST").status == 422
    assert coordinator.is_alive()
    closed = [line for line in coordinator.get("/metrics").body.decode().splitlines()
              if line.startswith("rma_http_connections_closed_total{")]
    assert len(closed) == 9 and all(line.endswith(" 0") for line in closed), closed


REFUSED = {
    "too large": (f"POST {BEAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413),
    "a broken length": (f"POST {BEAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n\r\n{{}}", 400),
    "a broken chunk": (f"POST {BEAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    "an unknown transfer encoding": (f"POST {BEAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
    "an unknown expectation": (f"POST {BEAT} HTTP/1.1\r\nHost: x\r\nExpect: more\r\nContent-Length: 2\r\n\r\n{{}}", 417),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_requests_that_never_reach_their_handler_are_told_of_too(redis, start_coordinator, kind):
    coordinator = start_coordinator(redis, THREADS=1)
    data, status = REFUSED[kind]
    for _ in range(3):
        said = say(coordinator, data.encode())
        assert statuses(said) == [status]
        assert json.loads(said.split(b"\r\n\r\n", 1)[1])["status"] == status
    lines = refusals(coordinator, status)
    assert len(lines) == 1 and lines[0]["level"] == "info" and lines[0]["address"] == "127.0.0.1", lines
    assert lines[0]["method"] == "POST" and lines[0]["path"] == BEAT
    assert metric(coordinator, f'rma_http_requests_total{{route="none",method="POST",code="{status}"}}') == 3


@pytest.mark.parametrize("expect", ["Expect: 100-continue", "EXPECT:100-Continue", "expect:  more"])
@pytest.mark.parametrize("after", [b"", b"{}"])
def test_http_1_0_gets_no_100(coordinator, expect, after):
    coordinator.register("w")
    with coordinator.raw() as raw:
        raw.send(f"POST {BEAT} HTTP/1.0\r\nConnection: keep-alive\r\n{expect}\r\nContent-Length: 18\r\n\r\n")
        for piece in ('{"worker_', 'id": "w"}'):
            raw.send(piece)
        assert raw.read_response("POST").status == 200
        # and again on the same connection, the head in pieces
        for piece in (f"POST {BEAT} HTTP/1.0\r\nConnection: keep-alive\r\n{expect[:4]}",
                      f"{expect[4:]}\r\nContent-Length: 18\r\n\r\n",
                      '{"worker_id": "w"}'):
            raw.send(piece)
        assert raw.read_response("POST").status == 200
    with coordinator.raw() as raw:
        raw.send(f"POST {BEAT} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 18\r\n\r\n")
        assert raw.socket.recv(4096).startswith(b"HTTP/1.1 100 ")
