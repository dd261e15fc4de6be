"""Answers that pages of other origins share: a hundred open dashboards cost Redis no more than one, and nobody else sees anything
old."""

import contextlib
import itertools
import re
import socket
import threading
import time

import pytest

import processes
import project
from commands import Commands
from waiting import let_pass, promised, wait_until

PATHS = ("/api/admin/workers", "/api/admin/stats", "/api/admin/health")
PAGE = {"Origin": "https://dashboard.example"}
CAPABILITIES = {"cpu_cores": 8, "ram": "15.6GB"}


def is_load(dashboards):
    """Whether each path has been asked for so often that answers must have been shared."""
    asked = [path for path, _, _ in dashboards.answers]
    return min(asked.count(path) for path in PATHS) > 80


def listings(redis):
    """How many listings of a small fleet Redis has begun so far."""
    return redis.client.info("commandstats").get("cmdstat_zrangebylex", {"calls": 0})["calls"]


class Dashboards:
    """Pages that ask for the three paths again and again, each on a connection of its own; every answer is kept with its times."""

    def __init__(self, coordinators, count, paths=PATHS, threads=10):
        self.answers = []  # (path, began, response)
        self.troubles = []
        self._end = threading.Event()
        pages = [(coordinators[number % len(coordinators)], paths[number % len(paths)]) for number in range(count)]
        self._threads = [threading.Thread(target=self._poll, args=(pages[first::threads],), daemon=True)
                         for first in range(threads)]

    def _poll(self, pages):
        try:
            with contextlib.ExitStack() as stack:
                connections = [(path, stack.enter_context(coordinator.connection())) for coordinator, path in pages]
                while not self._end.is_set():
                    for path, connection in connections:
                        began = time.monotonic()
                        self.answers.append((path, began, connection.request("GET", path, headers=PAGE)))
                    self._end.wait(0.02)
        except Exception as error:
            self.troubles.append(error)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join(timeout=30)
        assert not self.troubles, self.troubles


def test_a_hundred_dashboards_cost_redis_one(redis, start_coordinator):
    """And none of them sees anything older than a second: a worker beats meanwhile, with a number that grows."""
    coordinator = start_coordinator(redis)
    for number in range(20):
        coordinator.register(f"w{number}")
    beats = []  # (when it was acknowledged, its number)
    with Commands(redis) as commands:
        before, began = listings(redis), time.monotonic()
        with Dashboards([coordinator], 100) as dashboards:
            for number in itertools.count(1):
                coordinator.beat("w7", active_requests=number)
                beats.append((time.monotonic(), number))
                if time.monotonic() - began > 4 and is_load(dashboards):
                    break
        seconds, listed = time.monotonic() - began, listings(redis) - before
    assert {response.status for _, _, response in dashboards.answers} == {200}
    assert 3 <= listed <= seconds + 1
    # the statistics and the health each once a second; before each and before the listing, and once a second by itself, the look
    # for those that have fallen silent
    scripts = redis.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    called = [line for line in commands.lines if line.startswith("EVALSHA") and "w7" not in line]
    sweeps = [line for line in called if " {rma}:offline " in line]
    reads = len(called) - len(sweeps)
    assert scripts >= len(called) and 4 <= reads <= 2 * (seconds + 1) and len(sweeps) <= reads + 2 * (seconds + 1)
    assert {int(response.headers["Age"]) for _, _, response in dashboards.answers} <= {0, 1}
    for path, asked, response in dashboards.answers:
        if path == PATHS[0]:
            shown, = [row["active_requests"] for row in response.json["workers"] if row["worker_id"] == "w7"]
            known = max((number for at, number in beats if at < asked - 1.3), default=0)
            assert (shown or 0) >= known, f"{shown} was shown when {known} had been acknowledged for more than a second"


@pytest.mark.parametrize("path, name", [(PATHS[0], "total"), (PATHS[1], "total_workers")])
def test_only_pages_of_other_origins_see_what_is_a_second_old(redis, start_coordinator, path, name):
    """Whoever writes and reads without an Origin, or asks with a query, sees what was written."""
    coordinator = start_coordinator(redis)
    old = 0
    for total in range(1, 11):
        first = coordinator.get(path, PAGE)
        assert first.status == 200 and first.headers["Age"] in ("0", "1") and first.headers["Cache-Control"] == "no-cache"
        assert first.headers["Access-Control-Allow-Origin"] == "*" and "Age" in first.headers["Access-Control-Expose-Headers"]
        coordinator.register(f"w{total}")
        for query, headers in [("", None), ("?limit=100", PAGE),
                               ("", {"Referer": "https://dashboard.example/", "Sec-Fetch-Site": "same-origin"})]:
            fresh = coordinator.get(path + query, headers)
            assert fresh.json[name] == total and "Age" not in fresh.headers
        old += coordinator.get(path, PAGE).json[name] < total
    assert old >= 5, "pages were given answers of their own"
    wait_until(lambda: coordinator.get(path, PAGE).json[name] == 10, within=promised(2))


@pytest.mark.parametrize("path", PATHS)
def test_a_shared_answer_is_what_the_others_get(redis, start_coordinator, path):
    coordinator = start_coordinator(redis)
    for number in range(300):  # three pages
        coordinator.register(f"w{number}")

    def without_age(response):
        """age_seconds grows from one answer to the next."""
        return re.sub(rb'("age_seconds":)[0-9.]+', rb"\1", response.body)
    assert without_age(coordinator.get(path, PAGE)) == without_age(coordinator.get(path))
    head = coordinator.request("HEAD", path, headers=PAGE)
    assert head.status == 200 and head.body == b"" and int(head.headers["Content-Length"]) > 0


def test_without_redis_all_get_503_and_the_next_one_tries_again(redis, start_coordinator):
    coordinator = start_coordinator(redis)
    for path in PATHS:
        assert coordinator.get(path, PAGE).status == 200
    redis.kill()
    wait_until(lambda: all(coordinator.get("/readyz").status == 503 for _ in range(25)))
    let_pass(1.1)  # until nothing is fresh any more
    for path in PATHS * 5:
        response = coordinator.get(path, PAGE)
        assert response.status == 503 and response.headers["Retry-After"] and "Age" not in response.headers
        assert response.headers["Content-Type"] == "application/problem+json"
    redis.restart()
    coordinator.wait_until_ready()
    for path in PATHS * 5:
        assert coordinator.get(path, PAGE).status == 200


def ask_at_once(coordinator, count):
    """Sends requests of as many pages, and reads nothing yet."""
    asked = []
    for number in range(count):
        raw = coordinator.raw()
        raw.send(f"GET {PATHS[number % 3]} HTTP/1.1\r\nHost: x\r\nOrigin: https://dashboard.example\r\n\r\n")
        asked.append(raw)
    return asked


@pytest.mark.parametrize("end", ["killed", "cut off"])
def test_a_making_whose_connection_dies_holds_nobody_up(redis, start_coordinator, end):
    coordinator = start_coordinator(redis)
    coordinator.register("w")
    redis.freeze()
    asked = ask_at_once(coordinator, 30)
    let_pass(0.3)
    if end == "killed":
        redis.kill()
        for raw in asked:
            assert raw.read_response().status == 503
        redis.restart()
    else:
        for raw in asked:
            assert raw.read_response().status == 504
        for raw in ask_at_once(coordinator, 30):  # while the connections are given up
            assert raw.read_response().status in (503, 504)
        redis.thaw()
    coordinator.wait_until_ready()
    for path in PATHS * 5:
        assert coordinator.get(path, PAGE).status == 200
    assert {raw.read_response().status for raw in ask_at_once(coordinator, 30)} == {200}


def test_clients_may_leave_at_any_time(redis, start_coordinator):
    coordinator = start_coordinator(redis)
    for number in range(300):
        coordinator.register(f"w{number}")
    for pause in (0, 0.001, 0.01, 0.3):
        redis.freeze()
        asked = ask_at_once(coordinator, 60)
        let_pass(pause)
        for raw in asked[::2]:
            raw.close()
        redis.thaw()
        for raw in asked[1::4]:
            raw.close()
        for raw in asked[3::4]:
            assert raw.read_response().status in (200, 504)
        for raw in ask_at_once(coordinator, 30):  # answered at once, with what is there
            raw.close()
        let_pass(1.1)
    coordinator.wait_until_ready()
    for path in PATHS:
        assert coordinator.get(path, PAGE).status == 200


def slow_readers(coordinator, count, origin):
    """The statuses that clients get who begin to read only when all have asked."""
    with contextlib.ExitStack() as stack:
        asked = [stack.enter_context(contextlib.closing(socket.socket())) for _ in range(count)]
        for reader in asked:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", coordinator.port))
            reader.sendall(f"GET {PATHS[0]} HTTP/1.1\r\nHost: x\r\n{origin}Connection: close\r\n\r\n".encode())
            let_pass(0.05)
        megabytes = processes.resident_mb(coordinator.pid)
        return [int(reader.recv(4096).split()[1]) for reader in asked], megabytes


def test_slow_readers_share_the_bytes(redis, start_coordinator):
    """Clients that take a long answer slowly: it is in memory once, and counts once among the bytes that nobody has read yet."""
    coordinator = start_coordinator(redis, THREADS=1)

    def register(first):
        with coordinator.connection() as connection:
            for number in range(first, 1800, 6):
                body = {"worker_id": f"w{number}", "capabilities": CAPABILITIES,
                        "tunnel_url": f"https://{number}.example/" + "x" * 2000}
                assert connection.request("POST", "/api/worker/register", body).status == 200
    threads = [threading.Thread(target=register, args=(first,)) for first in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(coordinator.get(PATHS[0]).body) > 1800 * 2000
    before = processes.resident_mb(coordinator.pid)
    statuses, megabytes = slow_readers(coordinator, 20, "Origin: https://dashboard.example\r\n")
    assert statuses == [200] * 20
    if not project.SANITIZED:
        assert megabytes - before < 30
    assert {503, 504} & set(slow_readers(coordinator, 20, "")[0]), "these clients read too fast to show anything"
    wait_until(lambda: coordinator.get(PATHS[0]).status == 200)


def test_two_instances_each_make_their_own(redis, start_coordinator):
    coordinators = [start_coordinator(redis), start_coordinator(redis)]
    coordinators[0].register("w0")
    before, began = listings(redis), time.monotonic()
    with Dashboards(coordinators, 60, paths=PATHS[:1]) as dashboards:
        let_pass(2.5)
        wait_until(lambda: len(dashboards.answers) > 200, what="that is a load")
    seconds, listed = time.monotonic() - began, listings(redis) - before
    assert {response.status for _, _, response in dashboards.answers} == {200}
    assert 4 <= listed <= 2 * (seconds + 1)
    coordinators[0].register("w1")
    assert coordinators[1].workers().keys() == {"w0", "w1"}
    wait_until(lambda: coordinators[1].get(PATHS[0], PAGE).json["total"] == 2, within=promised(2))
