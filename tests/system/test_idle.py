"""Connections between two requests, and requests that take their time: what is kept, what is closed, and how clients are told."""

import http.client
import json
import subprocess
import threading
import time

import pytest

from http_client import statuses
from waiting import let_pass, wait_until

GET = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
BEAT = "/api/worker/heartbeat"


def metric(coordinator, name):
    """The sample of that name and labels, as it stands in the metrics."""
    for line in coordinator.get("/metrics").body.decode().splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no sample {name}")


def refusals(coordinator, status):
    """The lines of the log about what was refused with that status."""
    return [line for line in coordinator.log_lines() if line.get("status") == status and line["message"].startswith("refused")]


def is_open(raw):
    """Whether the server has closed its side, as far as has arrived."""
    raw.socket.setblocking(False)
    try:
        return raw.socket.recv(1) != b""
    except BlockingIOError:
        return True
    finally:
        raw.socket.setblocking(True)


def takes_connections(coordinator):
    try:
        coordinator.raw(timeout=1).close()
        return True
    except OSError:
        return False


@pytest.mark.parametrize(("settings", "seconds"), [
    ({}, 75), ({"HEARTBEAT_INTERVAL_SECONDS": 10}, 75), ({"HEARTBEAT_INTERVAL_SECONDS": 120}, 135),
    ({"IDLE_TIMEOUT_SECONDS": 20}, 20), ({"IDLE_TIMEOUT_SECONDS": 600, "HEARTBEAT_INTERVAL_SECONDS": 200}, 600)])
def test_clients_are_told_for_how_long_an_idle_connection_is_kept(redis, start_coordinator, settings, seconds):
    coordinator = start_coordinator(redis, **settings)
    with coordinator.raw() as raw:
        for _ in range(2):
            answer = raw.send(GET).read_response()
            assert answer.headers["Keep-Alive"] == f"timeout={seconds}" and answer.headers["Connection"] == "keep-alive"


def test_an_idle_connection_is_kept_for_as_long_as_its_client_was_told(redis, start_coordinator):
    coordinator = start_coordinator(redis, IDLE_TIMEOUT_SECONDS=2)
    coordinator.register("w")
    connection = http.client.HTTPConnection("127.0.0.1", coordinator.port, timeout=10)
    for _ in range(3):  # Python's http.client never repeats what fails
        connection.request("POST", BEAT, json.dumps({"worker_id": "w"}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read()
        socket = connection.sock
        let_pass(2)
    assert connection.sock is socket, "it has never connected again"
    connection.close()
    before = metric(coordinator, 'rma_http_connections_closed_total{reason="idle"}')
    with coordinator.raw() as raw:
        asked = time.monotonic()
        raw.send(GET).read_response()
        assert raw.read_to_end() == b"" and time.monotonic() - asked > 2.9, "not before the time that it was told"
    assert metric(coordinator, 'rma_http_connections_closed_total{reason="idle"}') == before + 1
    assert refusals(coordinator, 408) == []


# Heartbeats with pauses of the given lengths, by the two clients that Node.js has: the first is axios's, too. It heeds the hint
# only if it has a timeout of its own.
NODE = """
const [port, ...pauses] = process.argv.slice(1).map(Number);
const http = require('http');
const body = JSON.stringify({worker_id: 'w'});
const headers = {'Content-Type': 'application/json', 'Content-Length': body.length};
const agent = new http.Agent({keepAlive: true, maxSockets: 1, timeout: 60000});
const byAgent = () => new Promise((resolve, reject) => {
  const request = http.request({port, host: '127.0.0.1', method: 'POST', path: '/api/worker/heartbeat', agent, headers}, answer => {
    answer.resume().on('end', () => resolve(answer.statusCode));
  });
  request.on('error', reject).end(body);
});
const byFetch = async () => {
  const headers = {'Content-Type': 'application/json'};
  const answer = await fetch(`http://127.0.0.1:${port}/api/worker/heartbeat`, {method: 'POST', body, headers});
  await answer.text();
  return answer.status;
};
(async () => {
  const said = [];
  for (const pause of [0, ...pauses]) {
    await new Promise(resolve => setTimeout(resolve, pause));
    said.push(...await Promise.all([byAgent(), byFetch()].map(each => each.catch(error => error.code || String(error)))));
  }
  console.log(JSON.stringify(said));
  process.exit(0);
})();
"""


def test_clients_that_heed_the_hint_never_meet_the_closing(redis, start_coordinator):
    """Pauses around the moment at which the server closes: one that did not know of it would send into a closed connection."""
    coordinator = start_coordinator(redis, IDLE_TIMEOUT_SECONDS=2)
    coordinator.register("w")
    pauses = [900, 1500, 1950, 2000, 2050, 2900, 2990, 3000, 3010, 3200]
    result = subprocess.run(["node", "-e", NODE, str(coordinator.port), *map(str, pauses)], capture_output=True, text=True,
                            timeout=60)
    assert result.returncode == 0 and json.loads(result.stdout) == [200] * (2 * len(pauses) + 2), result


def test_ten_seconds_are_not_the_end_of_a_connection(coordinator):
    """Without any clock of the test's."""
    with coordinator.raw() as raw:
        raw.send(GET).read_response()
        let_pass(11)
        assert raw.send(GET).read_response().status == 200


@pytest.mark.parametrize(("request_", "kept"), [
    ("GET /livez HTTP/1.0\r\n\r\n", False), ("GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", False), ("GET /livez HTTP/1.1\r\n\r\n", False),
    ("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", True), ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", True),
    (f"POST {BEAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}", True),
    (f"POST {BEAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", False)])
def test_only_a_connection_that_is_kept_is_told_for_how_long(coordinator, request_, kept):
    with coordinator.raw() as raw:
        answer = raw.send(request_).read_response(request_.split()[0])
        assert (answer.headers["Keep-Alive"] == "timeout=75") == kept == (answer.headers["Connection"] == "keep-alive"), answer
        assert kept or answer.headers["Keep-Alive"] is None


def test_a_request_has_its_time_from_its_first_byte(redis, start_coordinator):
    """However long the connection was idle before."""
    coordinator = start_coordinator(redis, IDLE_TIMEOUT_SECONDS=1)
    with coordinator.raw() as raw:
        raw.send(GET).read_response()
        let_pass(1.5)
        raw.send(GET[:20])
        let_pass(3)  # longer than an idle connection is kept
        assert raw.send(GET[20:]).read_response().status == 200


HALVES = {
    "a letter": "G", "a line": "GET /livez HTTP/1.1\r\n", "a head without its end": "GET /livez HTTP/1.1\r\nHost: x\r\n",
    "no body": f"POST {BEAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
    "half a body": f'POST {BEAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{"worker_id":',
    "half a chunk": f"POST {BEAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "no last chunk": f"POST {BEAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n",
    "a body that was asked for": f"POST {BEAT} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n",
    "the second of two": GET + GET[:30],
}


def test_what_is_not_whole_in_time_gets_408(coordinator):
    """All kinds at once, since each takes ten seconds."""
    before = metric(coordinator, 'rma_http_connections_closed_total{reason="late"}')
    started = time.monotonic()
    silent = coordinator.raw()
    raws = {name: coordinator.raw().send(half) for name, half in HALVES.items()}
    for name, raw in raws.items():
        said = raw.read_to_end()
        assert time.monotonic() - started > 9.9, name
        assert statuses(said)[-1] == 408, (name, said)
        head, body = said.rsplit(b"\r\n\r\n", 1)
        problem = json.loads(body)
        assert problem["status"] == 408 and "KiB" in problem["detail"] and b"Connection: close" in head
        assert b"application/problem+json" in head
        raw.close()
    assert silent.read_to_end() == b"", "one on which nothing ever came is closed without a word"
    silent.close()
    assert metric(coordinator, 'rma_http_connections_closed_total{reason="late"}') == before + len(HALVES)
    assert metric(coordinator, 'rma_http_requests_total{route="none",method="other",code="408"}') == len(HALVES)
    lines = refusals(coordinator, 408)
    assert 1 <= len(lines) <= 4, "one line of each thread, and those that count"
    assert all(line["level"] == "info" and line["address"] == "127.0.0.1" for line in lines)


def drip(raw, text, piece, every):
    """Sends the text piece by piece, until it is sent or the server has had enough."""
    for at in range(0, len(text), piece):
        try:
            raw.send(text[at:at + piece])
        except OSError:
            return
        let_pass(every)


def test_a_request_that_goes_on_gets_the_time_that_it_needs(coordinator):
    """2 KiB/s for 14 s are fine, 500 bytes/s are not, and neither is a burst with nothing behind it."""
    coordinator.register("w")
    body = json.dumps({"worker_id": "w", "services_status": {"note": "x" * 28000}})
    head = f"POST {BEAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    steady, slow, burst = (coordinator.raw().send(head) for _ in range(3))
    started = time.monotonic()
    burst.send(body[:20000])
    threads = [threading.Thread(target=drip, args=(steady, body, 512, 0.25)),
               threading.Thread(target=drip, args=(slow, body, 100, 0.2))]
    for thread in threads:
        thread.start()
    assert statuses(burst.read_to_end()) == [408]
    assert steady.read_response("POST").status != 408
    assert time.monotonic() - started > 13
    slow.socket.settimeout(20)
    assert statuses(slow.socket.recv(4096)) == [408]
    assert time.monotonic() - started > 15, "10 s, and those that its bytes were worth"
    for raw in (steady, slow, burst):
        raw.close()
    for thread in threads:
        thread.join()


def test_at_the_cap_the_longest_idle_connection_makes_room(redis, start_coordinator):
    coordinator = start_coordinator(redis, MAX_CONNECTIONS=10, THREADS=1)
    held = []
    for _ in range(10):
        held.append(coordinator.raw().send(GET))
        assert held[-1].read_response().status == 200
        let_pass(0.06)
    held[0].send(GET).read_response()  # it is not the longest any more
    let_pass(4.1)
    newcomers = []
    for number in (1, 2, 3):
        newcomers.append(coordinator.raw().send(GET))
        assert newcomers[-1].read_response().status == 200
        assert held[number].read_to_end() == b"", "closed, and not by a reset"
    assert [number for number, raw in enumerate(held) if raw.socket.fileno() != -1 and is_open(raw)] == [0, *range(4, 10)]
    full = [line for line in coordinator.log_lines() if line["event"] == "connections_full"]
    assert len(full) == 1 and full[0]["level"] == "warn" and full[0]["max_connections"] == 10
    for raw in held[4:]:
        raw.send(GET)
        assert raw.read_response().status == 200
    for raw in held + newcomers:
        raw.close()
    wait_until(lambda: metric(coordinator, 'rma_http_connections_closed_total{reason="full"}') >= 3)


def test_at_the_cap_requests_on_their_way_are_left_alone(redis, start_coordinator):
    """Neither one that waits for Redis nor one that is half sent makes room."""
    coordinator = start_coordinator(redis, MAX_CONNECTIONS=4, THREADS=1, REQUEST_TIMEOUT_MS=2000)
    coordinator.register("w")
    half = [coordinator.raw().send(GET[:25]) for _ in range(2)]
    redis.freeze()
    waiting = [coordinator.raw().send("GET /api/worker/w HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(2)]
    let_pass(0.7)
    newcomer = coordinator.raw().send(GET)
    let_pass(0.7)
    assert is_open(newcomer) and all(is_open(raw) for raw in half + waiting)
    redis.thaw()
    for raw in waiting:
        assert raw.read_response().status == 200
    assert newcomer.read_response().status == 200, "in the place of one of those that are idle now"
    for raw in half:
        assert raw.send(GET[25:]).read_response().status == 200
    for raw in [*half, *waiting, newcomer]:
        raw.close()


def test_idle_connections_close_when_it_ends_and_requests_on_their_way_are_answered(redis, coordinator):
    raws = [coordinator.raw().send(GET) for _ in range(20)]
    for raw in raws:
        assert raw.read_response().status == 200
    let_pass(1)
    coordinator.send_signal(15)
    wait_until(lambda: not takes_connections(coordinator), every=0.001)
    for raw in raws[:10]:
        answer = raw.send(GET).read_response()
        assert answer.status == 200 and answer.headers["Connection"] == "close" and "Keep-Alive" not in answer.headers
    for raw in raws:
        assert raw.read_to_end() == b""
        raw.close()
    assert coordinator.wait_for_end() == 0


def test_a_clock_that_is_set_back_holds_nobody_up(redis, start_coordinator, clock):
    """The machine's, while requests are served: neither an answer nor a time limit waits until it is as late again."""
    coordinator = start_coordinator(redis, clock=clock, THREADS=1, IDLE_TIMEOUT_SECONDS=1)
    coordinator.register("w")
    served = []

    def beat():
        with coordinator.connection(timeout=15) as connection:
            served.append([connection.request("POST", BEAT, {"worker_id": "w"}).status for _ in range(1500)])

    threads = [threading.Thread(target=beat) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        clock.advance(-3600)
        let_pass(0.005)
    assert served == [[200] * 1500] * 4
    with coordinator.raw() as raw:
        raw.send(GET).read_response()
        clock.advance(-3600)
        assert raw.read_to_end() == b""
