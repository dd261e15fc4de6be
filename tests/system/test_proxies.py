"""The recipes of docs/proxies.md: each proxy runs with just that in front of a real coordinator."""

import asyncio
import http.client
import json
import re
import subprocess
import threading

import pytest

import http_client
import project
from coordinator import CAPABILITIES
from event_stream import EventStream
from peers import reply
from redis_server import free_port
from test_idle import metric
from waiting import PATIENCE, let_pass, wait_until

PAGE = (project.ROOT / "docs" / "proxies.md").read_text()
CLIENT = "127.0.0.2"  # an address that is not the proxy's own
REGISTER = "/api/worker/register"


def recipe(language, changes):
    """The page's block in that language, with the ports of the test in place of its own."""
    text = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]
    for own, tests_ in changes:
        assert text.count(own) == 1, f"{own} in the recipe for {language}"
        text = text.replace(own, tests_)
    return text


def nginx(directory, port, upstream):
    inner = recipe("nginx", [("listen 80;", f"listen 127.0.0.1:{port};"), ("127.0.0.1:8080", f"127.0.0.1:{upstream}")])
    places = "".join(f"{kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (directory / "nginx.conf").write_text(f"daemon off;\nmaster_process off;\npid {directory}/nginx.pid;\nerror_log stderr;\n"
                                          f"events {{}}\nhttp {{\naccess_log off;\n{places}{inner}}}\n")
    return ["nginx", "-c", str(directory / "nginx.conf"), "-p", str(directory), "-e", "stderr"]


def caddy(directory, port, upstream):
    inner = recipe("caddy", [("coordinator.example", f"http://:{port}"), ("127.0.0.1:8080", f"127.0.0.1:{upstream}")])
    (directory / "Caddyfile").write_text("{\n\tadmin off\n}\n" + inner)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(directory / "Caddyfile")]


def haproxy(directory, port, upstream):
    inner = recipe("haproxy", [("bind :80", f"bind 127.0.0.1:{port}"), ("127.0.0.1:8080", f"127.0.0.1:{upstream}")])
    (directory / "haproxy.cfg").write_text(inner)
    return ["haproxy", "-db", "-f", str(directory / "haproxy.cfg")]


@pytest.fixture(params=[nginx, caddy, haproxy], ids=lambda make: make.__name__)
def front(request, directory, redis, start_coordinator):
    """A proxy, its port in place of the coordinator's own."""
    coordinator = start_coordinator(redis, TRUST_PROXY=1, THREADS=1, UPSTREAM_ALLOW="127.0.0.1")
    port = free_port()
    command = request.param(directory, port, coordinator.port)
    with (directory / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory,
                                   env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(directory)})
    try:
        wait_until(lambda: http_client.request(port, "GET", "/livez").status == 200, what="the proxy runs")
        yield coordinator, port
    finally:
        process.terminate()
        process.wait(PATIENCE)
    assert "WARNING" not in (directory / "proxy.log").read_text()


def ask(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(CLIENT, 0))
    connection.request(method, path, json.dumps(body) if body is not None else None,
                       {"Content-Type": "application/json", **(headers or {})})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer, text


def register(port, worker_id, headers=None):
    answer, text = ask(port, "POST", REGISTER, {"worker_id": worker_id, "capabilities": CAPABILITIES}, headers)
    assert answer.status == 200, text
    return json.loads(text)


def test_workers_are_told_the_url_that_they_used(front):
    _, port = front
    assert register(port, "w")["coordinator_url"] == f"http://127.0.0.1:{port}"
    assert register(port, "w", {"Host": "coordinator.example"})["coordinator_url"] == "http://coordinator.example"
    assert register(port, "w", {"Host": "coordinator.example:8443"})["coordinator_url"] == "http://coordinator.example:8443"


def test_the_client_is_the_one_that_the_proxy_saw(front):
    _, port = front
    assert register(port, "w")["endpoint"] == CLIENT
    made_up = {"X-Forwarded-For": "203.0.113.1", "Fly-Client-IP": "203.0.113.2",
               "Forwarded": "for=203.0.113.3;host=evil.example;proto=https",
               "X-Real-IP": "203.0.113.4", "X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "666",
               "X-Forwarded-Proto": "https",
               "Host": "coordinator.example"}
    answer = register(port, "w", made_up)
    assert answer["endpoint"] == CLIENT and answer["coordinator_url"] == "http://coordinator.example"


def test_event_streams_pass_piece_by_piece(front):
    coordinator, port = front
    stream = EventStream(port)
    stream.wait_for(lambda stream: stream.events)
    for number in range(3):
        coordinator.register(f"w{number}")
        stream.wait_for(lambda stream: any(worker == f"w{number}" for _, _, worker in stream.workers))
    stream.close()


def test_metrics_are_not_for_strangers(front):
    coordinator, port = front
    assert coordinator.get("/metrics").status == 200
    for path in ("/metrics", "//metrics", "/metrics/", "/./metrics", "/%6detrics", "/metrics?x"):
        answer, text = ask(port, "GET", path)
        assert answer.status in (400, 404) and b"rma_http" not in text, path


def test_heartbeats_share_connections_that_are_kept(front):
    coordinator, port = front
    register(port, "w")
    started = metric(coordinator, 'rma_http_connections')
    with http_client.Connection(port) as connection:
        for _ in range(20):
            assert connection.request("POST", "/api/worker/heartbeat", {"worker_id": "w"}).status == 200
            let_pass(0.02)
    assert metric(coordinator, 'rma_http_connections') <= started + 2


def test_a_bulk_request_passes_and_so_does_a_refusal(front):
    coordinator, port = front
    workers = [f"w{number}" for number in range(100)]
    for worker_id in workers:
        coordinator.register(worker_id)
    beats = [{"worker_id": worker_id, "services_status": {"note": "x" * 5000}} for worker_id in workers]
    answer, text = ask(port, "POST", "/api/worker/heartbeats", {"heartbeats": beats})
    assert answer.status == 200, text[:300]
    answer, text = ask(port, "POST", "/api/worker/heartbeat", {"worker_id": "w1", "note": "x" * 100_000})
    assert answer.status == 413 and json.loads(text)["code"] == "body-too-large"


def test_requests_to_workers_pass(front, peers):
    """Large bodies, answers in pieces, and WebSockets."""
    coordinator, port = front
    go_on = threading.Event()

    async def work(connection):
        while (request := await connection.read_request()) is not None:
            if request.path == "/pieces":
                await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
                await asyncio.to_thread(go_on.wait, 20)
                await connection.send(b"3\r\ntwo\r\n0\r\n\r\n")
            elif request.path == "/socket":
                await connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                      b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
                await connection.send(await connection.reader.readexactly(5))
            else:
                await connection.send(reply({"bytes": len(request.body)}))

    coordinator.register("w", services=[{"name": "rag", "service_url": peers.start(work).url}])
    with http_client.RawConnection(port) as client:
        client.send("GET /service/rag/socket HTTP/1.1\r\nHost: coordinator.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        wait_for(client, b"\r\n\r\n", b"HTTP/1.1 101 ")
        client.send("hello")
        wait_for(client, b"hello")
    with http_client.RawConnection(port) as client:
        client.send("GET /service/rag/pieces HTTP/1.1\r\nHost: coordinator.example\r\n\r\n")
        wait_for(client, b"one", b"HTTP/1.1 200 ")
        go_on.set()
        wait_for(client, b"two")
    answer, text = ask(port, "POST", "/service/rag/upload", "x" * 3_000_000)
    assert (answer.status, json.loads(text)) == (200, {"bytes": 3_000_002}), "with its quotes"


def wait_for(client, text, begin=b""):
    """Reads until `text` has come; what has come by then begins with `begin`."""
    seen = b""
    while text not in seen:
        piece = client.socket.recv(4096)
        assert piece, seen
        seen += piece
    assert seen.startswith(begin), seen


@pytest.mark.parametrize(("language", "patience"), [("nginx", "proxy_read_timeout 1h;"), ("haproxy", "timeout server 1h"),
                                                    ("haproxy", "timeout tunnel 1h")])
def test_requests_may_wait_as_long_as_the_coordinator_lets_them(language, patience):
    assert patience in recipe(language, [])
