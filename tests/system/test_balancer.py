"""deploy/haproxy.cfg: the balancer in front of coordinators, with servers of the test's own in place of those that it finds by
DNS."""

import http.server
import os
import re
import signal
import subprocess
import threading
import time

import pytest

import http_client
import processes
import project
from coordinator import CAPABILITIES
from redis_server import free_port
from waiting import PATIENCE, wait_until

CONFIG = project.ROOT / "deploy" / "haproxy.cfg"


@pytest.fixture
def balance(directory):
    """Starts a balancer before the given ports; returns its port."""
    started = []

    def start(*ports, changes=()):
        port, health = free_port(), free_port()
        servers = "\n".join(f"    server s{number} 127.0.0.1:{number}" for number in ports)
        text, templates = re.subn(r"^    server-template .*$", servers, CONFIG.read_text(), flags=re.MULTILINE)
        assert templates == 2
        for own, tests_ in [("bind :::8080 v4v6", f"bind 127.0.0.1:{port}"), ("bind :::8081 v4v6", f"bind 127.0.0.1:{health}"),
                            (" resolvers network init-addr none resolve-prefer ipv4", ""), *changes]:
            assert own in text
            text = text.replace(own, tests_)
        config = directory / "haproxy.cfg"
        config.write_text(text)
        log = (directory / "haproxy.log").open("wb")
        started.append(subprocess.Popen(["haproxy", "-db", "-f", str(config)], stdout=log, stderr=log))
        wait_until(lambda: http_client.request(health, "GET", "/").status == 200, what="the balancer runs")
        return port

    yield start
    for process in started:
        process.kill()
        process.wait()


def register(port, worker_id):
    answer = http_client.request(port, "POST", "/api/worker/register", {"worker_id": worker_id, "capabilities": CAPABILITIES})
    assert answer.status == 200, answer
    return answer


def test_the_file_is_what_haproxy_understands():
    result = subprocess.run(["haproxy", "-c", "-f", str(CONFIG)], capture_output=True, text=True, timeout=30)
    assert result.returncode == 0 and "WARNING" not in result.stderr, result


class Beats:
    """Heartbeats and readings through the balancer, one after the other, until told to stop."""

    def __init__(self, port, worker_id):
        self._port, self._worker_id = port, worker_id
        self.statuses = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            with http_client.Connection(self._port) as connection:
                while not self._stop.is_set():
                    beat = connection.request("POST", "/api/worker/heartbeat", {"worker_id": self._worker_id, "current_load": 0.5})
                    read = connection.request("GET", f"/api/worker/{self._worker_id}")
                    self.statuses += [beat.status, read.status]
        except Exception as error:  # whatever a socket or http.client can throw is an outcome here
            self.statuses.append(repr(error))

    def stop(self):
        self._stop.set()
        self._thread.join(timeout=20)
        return self.statuses


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_nobody_notices_that_a_coordinator_goes(redis, three_coordinators, balance, how):
    port = balance(*[coordinator.port for coordinator in three_coordinators])
    for number in range(4):
        register(port, f"w{number}")
    beats = [Beats(port, f"w{number}") for number in range(4)]
    try:
        for coordinator in three_coordinators[:2]:
            seen = len(beats[0].statuses)
            getattr(coordinator, how)()
            wait_until(lambda: len(beats[0].statuses) > seen + 200 or beats[0].statuses[-1] != 200,
                       what="heartbeats go on")
    finally:
        statuses = [status for beat in beats for status in beat.stop()]
    assert set(statuses) == {200}, {status: statuses.count(status) for status in set(statuses)}
    third = three_coordinators[2]
    assert http_client.request(port, "GET", "/api/admin/workers").json["total"] == len(third.workers()) == 4


def test_while_redis_is_away_coordinators_say_so_themselves(redis, three_coordinators, balance):
    port = balance(*[coordinator.port for coordinator in three_coordinators])
    register(port, "w")
    redis.kill()

    def says_why():
        answer = http_client.request(port, "GET", "/api/worker/w")
        return answer.status == 503 and answer.json["code"].startswith("registry-") and answer.headers["Retry-After"]

    # before it has seen that none is ready, and after
    wait_until(says_why)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        assert says_why()
    redis.restart()
    wait_until(lambda: http_client.request(port, "GET", "/api/worker/w").status == 200)


def test_with_no_coordinator_at_all_it_answers_as_one_would(balance):
    answer = http_client.request(balance(free_port()), "GET", "/health")
    assert answer.status == 503 and answer.headers["Retry-After"] == "2"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == 503 and answer.json["title"] and answer.json["code"] == "coordinators-unavailable"


class Server:
    """A stand-in for a coordinator that is ready and does with other requests what the test says."""

    def __init__(self, answer):
        self.requests = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def respond(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path in ("/readyz", "/livez"):
                    self.send_response(200)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                outer.requests.append((self.command, self.path, self.headers, body))
                answer(self)

            do_GET = do_POST = do_DELETE = respond

            def log_message(self, *_):
                pass

        class Listener(http.server.ThreadingHTTPServer):
            request_queue_size = 64  # with the usual 5, connections at the same moment are refused
            daemon_threads = True

        self._server = Listener(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve():
    servers = []

    def start(answer):
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def die(handler):
    """Takes the request and closes the connection without a word, as a coordinator that is killed then does."""
    handler.close_connection = True
    handler.connection.shutdown(2)


@pytest.mark.parametrize(("method", "path", "again"), [
    ("GET", "/health", True), ("POST", "/api/worker/heartbeat", True), ("POST", "/api/worker/heartbeats", True),
    ("POST", "/api/worker/register", False), ("DELETE", "/api/worker/unregister/w", False), ("POST", "/api/worker/w/drain", False)])
def test_only_what_is_safe_is_sent_again(serve, balance, method, path, again):
    servers = [serve(die), serve(die)]
    port = balance(*[server.port for server in servers])
    answer = http_client.request(port, method, path, {"x": 1} if method == "POST" else None)
    assert answer.status in (502, 503)
    count = sum(len(server.requests) for server in servers)
    assert count > 1 if again else count == 1


def test_what_clients_say_of_themselves_is_not_believed(serve, balance):
    def greet(handler):
        handler.send_response(204)
        handler.end_headers()

    server = serve(greet)
    http_client.request(balance(server.port), "GET", "/x", headers={
        "X-Forwarded-For": "203.0.113.1", "Fly-Client-IP": "203.0.113.2", "X-Forwarded-Proto": "https"})
    headers = server.requests[0][2]
    assert headers.get_all("X-Forwarded-For") == ["127.0.0.1"] and headers.get_all("X-Forwarded-Proto") == ["http"]
    assert headers["Fly-Client-IP"] is None


def test_metrics_are_not_for_strangers(coordinator, balance):
    assert coordinator.get("/metrics").status == 200
    answer = http_client.request(balance(coordinator.port), "GET", "/metrics")
    assert answer.status == answer.json["status"] == 404 and answer.headers["Content-Type"] == "application/problem+json"


def test_event_streams_pass_piece_by_piece(serve, balance):
    go_on = [threading.Event(), threading.Event()]

    def stream(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for number, event in enumerate(go_on):
            piece = f"id: {number}\ndata: x\n\n"
            handler.wfile.write(f"{len(piece):x}\r\n{piece}\r\n".encode())
            handler.wfile.flush()
            event.wait(timeout=20)
        handler.wfile.write(b"0\r\n\r\n")

    port = balance(serve(stream).port)
    with http_client.RawConnection(port) as client:
        client.send("GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n")
        seen = b""
        for number, event in enumerate(go_on):
            # the next piece is not sent before this one has arrived
            while b"id: %d\n" % number not in seen:
                piece = client.socket.recv(4096)
                assert piece, seen
                seen += piece
            event.set()


WAITING = ["/api/worker/tasks?worker_id=w&wait=60", "/api/tasks/t?wait=60", "/service/rag/query", "/api/upload/file",
           "/v1/chat/completions", "/api/inference/llm", "/api/an-operators-own-route"]


def test_requests_that_wait_may_take_longer_than_those_that_a_coordinator_answers_itself(serve, balance):
    finish = threading.Event()

    def late(handler):
        finish.wait(timeout=20)
        handler.send_response(200)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"ok")

    port = balance(serve(late).port, changes=[("timeout client 60s", "timeout client 200ms"), ("server 20s", "server 400ms")])
    clients = [http_client.RawConnection(port) for _ in WAITING]
    for client, path in zip(clients, WAITING):
        client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert http_client.request(port, "POST", "/api/worker/register", {}).status == 504
    assert http_client.request(port, "POST", "/api/admin/x", {}).status == 504
    finish.set()
    for client, path in zip(clients, WAITING):
        with client:
            assert client.socket.recv(4096).startswith(b"HTTP/1.1 200 "), path


def test_asked_to_end_it_finishes_what_is_in_flight(serve, directory, balance):
    """STOPSIGNAL of the image is SIGUSR1."""
    arrived, finish = threading.Event(), threading.Event()

    def late(handler):
        arrived.set()
        finish.wait(timeout=20)
        handler.send_response(200)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"ok")

    port = balance(serve(late).port)
    with http_client.RawConnection(port) as client:
        client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert arrived.wait(PATIENCE)
        pid = next(pid for pid in processes.living_in(directory))
        os.kill(pid, signal.SIGUSR1)
        wait_until(lambda: not listens(port), what="it takes no more connections")
        finish.set()
        assert client.read_response().body == b"ok"


def listens(port):
    try:
        http_client.RawConnection(port, timeout=1).close()
        return True
    except OSError:
        return False
