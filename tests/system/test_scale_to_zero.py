"""Coordinators that come and go, as on Fly.io: started by requests, stopped when nobody asks; and no worker that notices.

tests/lib/fly_proxy.py stands for Fly's proxy; limits, signal and timeout are those of fly.toml. The wall clocks of Redis and of the
coordinators are moved, so that an hour takes seconds.
"""

import http.client
import json
import random
import socket
import threading
import tomllib

import pytest

import fly_config
import http_client
import project
from coordinator import CAPABILITIES
from fly_proxy import FlyProxy, may_stop
from waiting import PATIENCE, let_pass, wait_until

CONFIG = tomllib.loads((project.ROOT / "fly.toml").read_text())
LIMITS = CONFIG["http_service"]["concurrency"]
WORKERS = [f"worker-{number}" for number in range(7)]
BEAT_EVERY = 30.0  # seconds, as HEARTBEAT_INTERVAL_SECONDS
HOUR = 3600.0
COLD_START_MS = 1000 if not project.SANITIZED else 10000  # what `make bench` holds tightly
WARM_UP = 0.4  # seconds; a coordinator waits for 500 ms until it has reached Redis (WARM_UP_MS), then it takes requests anyhow


@pytest.fixture
def redis(clock, start_redis):
    # Redis is not killed here, so that no heartbeat needs to wait for the disk
    return start_redis("--appendfsync", "everysec", clock=clock)


@pytest.fixture
def start_proxy(redis, clock, make_coordinator):
    """Starts a proxy in front of so many machines, all of them stopped."""
    proxies = []

    def start(machines, soft_limit=LIMITS["soft_limit"]):
        proxy = FlyProxy(lambda **settings: make_coordinator(redis, clock=clock, THREADS=1, **settings), machines,
                         (soft_limit, LIMITS["hard_limit"]), CONFIG["kill_signal"], fly_config.seconds(CONFIG["kill_timeout"]),
                         now=lambda: clock.now_ms() / 1000)
        proxies.append(proxy)
        return proxy.__enter__()

    yield start
    for proxy in proxies:
        proxy.__exit__()


def ask(proxy, method, path, body=None):
    """Sends a request. Like an agent, it tries again where a start was held up so long that it answered before it reached Redis."""
    while True:
        response = http_client.request(proxy.port, method, path, body, timeout=30)
        held_up = response.latency > WARM_UP or max(proxy.cold_starts_ms, default=0) > 1000 * WARM_UP
        if not (held_up and response.status == 503 and b"registry-unavailable" in response.body):
            return response


def register(proxy, worker):
    response = ask(proxy, "POST", "/api/worker/register", {"worker_id": worker, "capabilities": CAPABILITIES})
    assert response.status == 200, response
    return response.json


def beat(proxy, worker, **members):
    return ask(proxy, "POST", "/api/worker/heartbeat", {"worker_id": worker, **members})


def at_once(calls):
    """Carries out all of them at the same time; returns what they give, in order."""
    results = [None] * len(calls)
    begin = threading.Barrier(len(calls))

    def run(index):
        begin.wait()
        results[index] = calls[index]()

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive(), "a request hung for a minute"
    return results


def online(redis):
    """The workers whose online key is there: the truth of who is online."""
    return {worker for worker in WORKERS if redis.client.exists(f"{{rma}}:worker:{worker}:online")}


def holding(redis, milliseconds):
    """Redis answers nobody for so long: requests pile up."""
    redis.client.execute_command("CLIENT", "PAUSE", milliseconds, "ALL")


@pytest.mark.parametrize("loads, stops", [
    ([], False), ([0], True), ([1], False), ([0, 0], True), ([5, 0], True), ([200, 0], False), ([200, 200], False),
    ([200, 0, 0], True),
    ([200, 200, 0], False), ([200, 200, 0, 0], True)])
def test_the_proxy_stops_machines_as_fly_documents_it(loads, stops):
    assert may_stop(loads, 200) == stops


def test_an_hour_of_heartbeats_while_coordinators_come_and_go(redis, clock, start_proxy):
    chance = random.Random(20)
    proxy = start_proxy(machines=3)
    for worker in WORKERS:
        register(proxy, worker)
    began = clock.now_ms()
    phases = [chance.random() for _ in WORKERS]
    due = sorted((began + (phase + number) * BEAT_EVERY * 1000, worker)
                 for worker, phase in zip(WORKERS, phases) for number in range(int(HOUR / BEAT_EVERY)))
    minute, stops = 0, 0
    for moment, worker in due:
        if moment > clock.now_ms():
            clock.move_to(moment)
        response = beat(proxy, worker, current_load=0.2)
        assert response.status == 200 and "revived" not in response.json, response
        assert len(online(redis)) == len(WORKERS)
        if moment - began > minute * 60_000:
            minute += 1
            # far oftener than Fly looks, and never at the same moment of a minute
            if proxy.look() is not None:
                stops += 1
                if chance.random() < 0.5:
                    proxy.wait_for_stops()
    proxy.wait_for_stops()
    assert clock.now_ms() - began >= HOUR * 1000 - BEAT_EVERY * 1000
    assert stops >= 50 and proxy.starts >= 50, (stops, proxy.starts)
    assert proxy.killed == 0, "a coordinator did not end within kill_timeout"
    assert redis.client.zcard("{rma}:offline") == 0 and redis.client.zcard("{rma}:workers") == len(WORKERS)
    assert max(proxy.cold_starts_ms) < COLD_START_MS, sorted(proxy.cold_starts_ms)[-5:]
    print(f"cold starts: {len(proxy.cold_starts_ms)}, median {sorted(proxy.cold_starts_ms)[len(proxy.cold_starts_ms) // 2]:.0f} ms,"
          f" worst {max(proxy.cold_starts_ms):.0f} ms")


def test_nobody_is_there_for_twenty_minutes_and_the_first_heartbeats_start_one(redis, clock, start_proxy):
    proxy = start_proxy(machines=2)
    for worker in WORKERS:
        register(proxy, worker)
    registered = [ask(proxy, "GET", f"/api/worker/{worker}").json for worker in WORKERS]
    proxy.stop_all()
    assert proxy.count("stopped") == 2
    clock.advance(20 * 60)
    assert online(redis) == set(), "their time ran on without a coordinator"
    starts = proxy.starts
    responses = at_once([lambda worker=worker: beat(proxy, worker) for worker in WORKERS])
    assert [response.status for response in responses] == [200] * len(WORKERS), responses
    assert proxy.starts == starts + 1, "one was enough"
    assert online(redis) == set(WORKERS)
    stats = ask(proxy, "GET", "/api/admin/stats").json
    assert stats["total_workers"] == stats["healthy_workers"] == len(WORKERS)
    for before, worker in zip(registered, WORKERS):
        row = ask(proxy, "GET", f"/api/worker/{worker}").json
        assert row["assigned_services"] == before["assigned_services"] and row["registered_at"] <= row["last_heartbeat"]


def test_more_are_started_past_the_soft_limit_and_stopped_one_by_one(redis, start_proxy):
    proxy = start_proxy(machines=3, soft_limit=2)
    for worker in WORKERS:
        register(proxy, worker)
    assert proxy.count("started") == 1
    holding(redis, 1000)
    responses = at_once([lambda worker=worker: beat(proxy, worker) for worker in WORKERS])
    # those that were started while Redis was silent say that they don't reach it, rather than to keep anybody waiting
    assert {response.status for response in responses} <= {200, 503}, responses
    assert sum(response.status == 200 for response in responses) >= 2
    assert proxy.count("started") == 3
    wait_until(lambda: all(beat(proxy, worker).status == 200 for worker in WORKERS), what="all are well again")
    for running in (2, 1, 0):
        assert proxy.look() is not None
        proxy.wait_for_stops()
        assert proxy.count("started") == running
    assert proxy.look() is None
    assert beat(proxy, WORKERS[0]).status == 200 and proxy.count("started") == 1


def test_two_start_at_the_same_moment(redis, start_proxy):
    proxy = start_proxy(machines=2, soft_limit=1)
    for _ in range(5):
        responses = at_once([lambda worker=worker: register(proxy, worker) for worker in WORKERS[:2]])
        assert sorted(response["worker_id"] for response in responses) == WORKERS[:2]
        assert redis.client.zcard("{rma}:workers") == 2
        assert all(beat(proxy, worker).status == 200 for worker in WORKERS[:2])
        proxy.stop_all()
    assert proxy.starts >= 6, "the second one was started, too"


def test_killed_with_a_request_on_its_way(redis, start_proxy):
    proxy = start_proxy(machines=2)
    for worker in WORKERS:
        register(proxy, worker)
    holding(redis, 600)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(beat(proxy, WORKERS[0], active_requests=9)), daemon=True)
    waiting.start()
    victim = next(machine for machine in proxy.machines if machine.state == "started")
    wait_until(lambda: victim.load == 1, what="the request is on its way")
    let_pass(0.1)
    proxy.kill(victim)
    waiting.join(PATIENCE)
    assert answers[0].status == 502, "nobody knows whether it was carried out"
    # the next heartbeats start a coordinator, and nothing is missing
    wait_until(lambda: beat(proxy, WORKERS[0], active_requests=9).status == 200, what="the next heartbeat is taken")
    assert all(beat(proxy, worker).status == 200 for worker in WORKERS)
    assert online(redis) == set(WORKERS)


def test_a_request_in_flight_when_its_machine_is_stopped_is_finished(redis, start_proxy):
    proxy = start_proxy(machines=2)
    register(proxy, WORKERS[0])
    holding(redis, 800)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(beat(proxy, WORKERS[0])), daemon=True)
    waiting.start()
    wait_until(lambda: any(machine.load for machine in proxy.machines), what="the request is on its way")
    let_pass(0.1)
    proxy.stop_all()
    waiting.join(PATIENCE)
    assert answers[0].status == 200 and proxy.killed == 0


def test_machines_are_stopped_under_workers_that_beat_without_pause(redis, start_proxy):
    proxy = start_proxy(machines=4, soft_limit=3)
    for worker in WORKERS:
        register(proxy, worker)
    over = threading.Event()
    faults, beats = [], []

    def work(worker):
        while not over.is_set():
            response = beat(proxy, worker)
            beats.append(response)
            if response.status != 200 or "revived" in response.json:
                faults.append(response)

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in WORKERS]
    for thread in threads:
        thread.start()
    try:
        stops = 0
        for _ in range(60):
            let_pass(0.05)
            stops += proxy.look() is not None
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=30)
    assert faults == [] and len(beats) > 100
    assert stops >= 5 and proxy.starts >= stops, (stops, proxy.starts)
    assert online(redis) == set(WORKERS)


class Stream:
    """An event stream through the proxy: the events that came so far, and the id of the last one that had one."""

    def __init__(self, proxy, last_id=None):
        self.events, self.last_id = [], last_id
        self._connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
        self._connection.request("GET", "/api/events", headers={"Last-Event-ID": last_id} if last_id else {})
        self._socket = self._connection.sock
        self._response = self._connection.getresponse()
        assert self._response.status == 200
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        fields = {}
        for line in self._response:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
                continue
            if "event" in fields:
                self.last_id = fields.get("id", self.last_id)
                self.events.append((fields["event"], json.loads(fields["data"])))
            fields = {}

    def has(self, kind, worker):
        return any(event == kind and data.get("worker_id") == worker for event, data in self.events)

    def has_ended(self):
        return not self._reader.is_alive()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(PATIENCE)
        self._connection.close()


def test_an_event_stream_keeps_its_coordinator_and_goes_on_at_the_next_one(redis, start_proxy):
    proxy = start_proxy(machines=2)
    stream = Stream(proxy)
    register(proxy, WORKERS[0])
    wait_until(lambda: stream.has("worker.registered", WORKERS[0]), what="the event comes")
    assert proxy.look() is None, "a stream is a request"
    proxy.stop_all()  # a new version
    wait_until(stream.has_ended, what="the stream ends with its coordinator")
    assert proxy.killed == 0
    register(proxy, WORKERS[1])
    again = Stream(proxy, stream.last_id)
    wait_until(lambda: again.has("worker.registered", WORKERS[1]), what="what happened meanwhile is told")
    assert not again.has("worker.registered", WORKERS[0]) and not any(event == "reset" for event, _ in again.events)
    again.close()
    wait_until(lambda: sum(machine.load for machine in proxy.machines) == 0, what="the proxy sees that the client left")
    wait_until(lambda: proxy.look() is not None, what="nothing keeps the coordinator any more")
    proxy.wait_for_stops()
    assert proxy.count("stopped") == 2
