"""Which worker gets a request: the one with the fewest in flight, which all instances know of by leases; what becomes of leases."""

import asyncio
import threading

import pytest

import invariants
from peers import reply, saying, serving
from waiting import PATIENCE, let_pass, wait_until


class Busy:
    """A worker that takes `seconds` for each request, or as long as it is held; it counts those in flight."""

    def __init__(self, seconds=0.0):
        self.seconds, self.held = seconds, threading.Event()
        self.now = self.most = self.served = 0
        self.behave = serving(self._answer)

    async def _answer(self, connection, _):
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.seconds)
            while self.held.is_set():
                await asyncio.sleep(0.005)
        finally:
            self.now -= 1
            self.served += 1
        await connection.send(reply(b"served"))


async def one_client(port, target, count):
    """Asks again and again on one connection; returns the statuses."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    statuses = []
    for _ in range(count):
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        statuses.append(int(head.split(b" ")[1]))
        length, = (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
    writer.close()
    return statuses


async def many_clients(ports, target, clients, count):
    found = await asyncio.gather(*(one_client(ports[number % len(ports)], target, count) for number in range(clients)))
    return [status for statuses in found for status in statuses]


@pytest.fixture(scope="module")
def stage(make_stage):
    stage = make_stage()
    for _ in range(3):
        stage.start(THREADS=1)  # for Redis, too, a client's request has ended before its next one begins
    return stage


class Asking:
    """Requests that are under way, each in a thread of its own."""

    def __init__(self, stage, service, count=1, coordinator=None):
        self.outcomes = []
        self._threads = [threading.Thread(target=self._ask, args=(stage, service, coordinator)) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _ask(self, stage, service, coordinator):
        self.outcomes.append(stage.ask("GET", f"/service/{service}/x", coordinator=coordinator, timeout=20))

    def wait(self):
        for thread in self._threads:
            thread.join(20)
        return [outcome.status for outcome in self.outcomes]


def test_no_worker_has_more_than_its_share_in_flight(stage):
    workers = [Busy(seconds) for seconds in (0.002, 0.002, 0.004, 0.008, 0.01, 0.02, 0.03, 0.05)]
    service = stage.service(*(stage.peers.start(worker.behave) for worker in workers))
    ports = [coordinator.port for coordinator in stage.coordinators]
    statuses = stage.peers.run(many_clients(ports, f"/service/{service}/x", 64, 30), within=60)
    assert statuses == [200] * (64 * 30)
    assert [worker.most for worker in workers if worker.most > 64 // 8 + 1] == [], [worker.most for worker in workers]
    assert all(worker.served
               for worker in workers) and workers[0].served > workers[-1].served, [worker.served for worker in workers]
    assert sum(worker.served for worker in workers) == 64 * 30


def test_leases_that_pass_from_request_to_request_are_counted(stage):
    """Of a busy thread's requests that end at once most get the lease of another one: each is counted, and nothing is left."""
    service = stage.service()
    ids = [stage.register(service, stage.peers.start(saying(reply(b"x")))) for _ in range(3)]
    statuses = stage.peers.run(many_clients([stage.coordinators[0].port], f"/service/{service}/x", 32, 40), within=60)
    assert statuses == [200] * (32 * 40)
    client = stage.redis.client
    wait_until(lambda: not client.hexists("{rma}:flights", service), what="all leases have ended")
    assert int(client.hget("{rma}:served", service)) == 32 * 40
    assert [client.hget("{rma}:requests", worker_id) for worker_id in ids] == [None] * 3
    assert sum(stage.coordinators[0].worker(worker_id)["requests_served"] for worker_id in ids) == 32 * 40


def test_leases_count_as_active_requests_everywhere(stage):
    workers = [Busy(), Busy()]
    service = stage.service()
    ids = [stage.register(service, stage.peers.start(worker.behave)) for worker in workers]
    for worker in workers:
        worker.held.set()
    asking = Asking(stage, service, 3, stage.coordinators[1])
    wait_until(lambda: sum(worker.now for worker in workers) == 3)
    assert sorted(worker.now for worker in workers) == [1, 2]
    for coordinator in stage.coordinators:
        for worker_id, worker in zip(ids, workers):
            wait_until(lambda: coordinator.worker(worker_id)["active_requests"] == worker.now, what="leases are seen")
        rows = coordinator.workers()
        assert [rows[worker_id]["active_requests"] for worker_id in ids] == [worker.now for worker in workers]
    more, less = (ids if workers[0].now == 2 else ids[::-1])
    found = stage.coordinators[2].get(f"/api/worker/find/{service}").json
    assert found["worker_id"] == less
    stage.coordinators[0].beat(less, active_requests=9)  # it reports more than it got from us
    assert stage.coordinators[2].worker(less)["active_requests"] == 9
    assert stage.coordinators[2].get(f"/api/worker/find/{service}").json["worker_id"] == more
    stage.coordinators[0].beat(less, active_requests=0)
    for worker in workers:
        worker.held.clear()
    assert asking.wait() == [200] * 3
    for worker_id in ids:
        wait_until(lambda: stage.coordinators[0].worker(worker_id)["active_requests"] in (0, None),
                   what="leases have ended")


def test_a_draining_worker_ends_what_it_has_and_gets_nothing_new(stage):
    coordinator, worker = stage.coordinators[0], Busy()
    service = stage.service()
    worker_id = stage.register(service, stage.peers.start(worker.behave))
    worker.held.set()
    asking = Asking(stage, service, 2, stage.coordinators[1])
    wait_until(lambda: worker.now == 2)
    assert coordinator.post(f"/api/worker/{worker_id}/drain", {}).status == 200
    refused = stage.ask("GET", f"/service/{service}/x")
    assert refused.status == 503 and refused.json["retryable"] is True and worker.now == 2, refused
    wait_until(lambda: coordinator.worker(worker_id)["active_requests"] == 2)
    row = coordinator.worker(worker_id)
    assert row["status"] == "draining" and 2 in (row.get("requests_left"), row.get("active_requests")), row
    worker.held.clear()
    assert asking.wait() == [200, 200]
    wait_until(lambda: coordinator.worker(worker_id)["active_requests"] in (0, None))
    assert coordinator.post(f"/api/worker/{worker_id}/undrain", {}).status == 200
    assert stage.ask("GET", f"/service/{service}/x").status == 200


def test_a_worker_that_is_not_well_gets_nothing(stage):
    coordinator = stage.coordinators[0]
    service = stage.service()
    well, unwell = (stage.peers.start(saying(reply(name))) for name in (b"well", b"unwell"))
    stage.register(service, well)
    coordinator.register("unwell", services=[{"name": service, "service_url": unwell.url, "health": "unhealthy"}])
    assert {stage.ask("GET", f"/service/{service}/x").body for _ in range(12)} == {b"well"}
    coordinator.unregister("unwell")


def test_load_decides_between_workers_that_have_as_many(stage):
    service = stage.service()
    ids = [stage.register(service, stage.peers.start(saying(reply(b"x")))) for _ in range(3)]
    for worker_id, load in zip(ids, (0.9, 0.2, 0.7)):
        stage.coordinators[0].beat(worker_id, current_load=load)
    assert {stage.ask("GET", f"/service/{service}/x").headers["X-RMA-Worker"] for _ in range(10)} == {ids[1]}


def test_ties_are_broken_at_random(stage):
    service = stage.service()
    ids = {stage.register(service, stage.peers.start(saying(reply(b"x")))) for _ in range(4)}
    assert {stage.ask("GET", f"/service/{service}/x").headers["X-RMA-Worker"] for _ in range(60)} == ids


def test_a_session_keeps_its_worker_unless_that_has_too_much(stage):
    workers = [Busy() for _ in range(4)]
    service = stage.service()
    by_id = {stage.register(service, stage.peers.start(worker.behave)): worker for worker in workers}
    session = {"X-RMA-Session": "conversation-1"}

    def asked():
        return stage.ask("GET", f"/service/{service}/x", headers=session).headers["X-RMA-Worker"]

    mine, = {asked() for _ in range(12)}
    by_id[mine].held.set()
    asking = []
    try:
        while (held := by_id[mine].now) < 2:  # with one it keeps the session, whose last request may count for a moment yet
            asking.append(threading.Thread(target=asked))
            asking[-1].start()
            wait_until(lambda held=held: by_id[mine].now > held or not asking[-1].is_alive())
        outcome = stage.ask("GET", f"/service/{service}/x", headers=session)
        assert outcome.status == 200 and outcome.headers["X-RMA-Worker"] != mine, outcome
    finally:
        by_id[mine].held.clear()
        for thread in asking:
            thread.join(PATIENCE)


def test_a_random_spread_serves_without_leases(make_stage):
    stage = make_stage()
    stage.start([{"name": "light", "tier": 2, "image": "x", "port": 9, "spread": "random"}])
    peers = [stage.peers.start(saying(reply(b"x"))) for _ in range(3)]
    for peer in peers:
        stage.register("light", peer)
    wait_until(lambda: stage.ask("GET", "/service/light/x").status == 200)
    before = stage.redis.client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
    for _ in range(60):
        assert stage.ask("GET", "/service/light/x").status == 200
    calls = stage.redis.client.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    assert calls < 30, f"{calls} script calls for 60 requests"
    assert all(peer.requests for peer in peers)


def test_a_random_spread_finds_a_worker_that_came_just_now(make_stage):
    """That there was none is no list to keep."""
    stage = make_stage()
    stage.start([{"name": "light", "tier": 2, "image": "x", "port": 9, "spread": "random"}])
    assert [stage.ask("GET", "/service/light/x").status for _ in range(12)] == [503] * 12
    stage.register("light", stage.peers.start(saying(reply(b"x"))))
    assert [stage.ask("GET", "/service/light/x").status for _ in range(12)] == [200] * 12
    stage.coordinators[0].unregister(next(iter(stage.coordinators[0].workers())))
    wait_until(lambda: stage.ask("GET", "/service/light/x").status == 503)


def test_a_random_spread_serves_for_a_while_without_redis(make_stage):
    """Also when the worker's address is to be read again: after a second if an older coordinator has registered it."""
    stage = make_stage()
    coordinator = stage.start([{"name": "light", "tier": 2, "image": "x", "port": 9, "spread": "random"}], THREADS=1)
    worker_id = stage.register("light", stage.peers.start(saying(reply(b"x"))))
    stage.redis.client.hdel("{rma}:registration:" + worker_id, "stamp")
    assert stage.ask("GET", "/service/light/x").status == 200
    stage.redis.kill()
    wait_until(lambda: coordinator.get("/readyz").status == 503)
    let_pass(1.1)
    got = [stage.ask("GET", "/service/light/x") for _ in range(4)]
    assert [each.body for each in got] == [b"x"] * 4, got
    stage.redis.restart()
    wait_until(coordinator.is_ready)


def test_a_random_spread_does_not_end_with_the_best_workers(make_stage):
    """Another worker is less good, since it is degraded, or has not loaded the model; it serves all the same."""
    stage = make_stage()
    coordinator = stage.start([{"name": "light", "tier": 2, "image": "x", "port": 9, "spread": "random"},
                               {"name": "models", "tier": 1, "image": "x", "port": 9, "spread": "random", "loads_models": True}])
    good = stage.peers.start(saying(reply(b"x")))
    for service in ("light", "models"):
        coordinator.register(f"best-{service}", services=[{"name": service, "service_url": stage.peers.refusing().url}])
        coordinator.register(f"other-{service}", services=[{"name": service, "service_url": good.url}])
    coordinator.beat("other-light", status="degraded")
    coordinator.beat("best-models", loaded_models=["m"])
    for target, body in (("/service/light/x", None), ("/v1/completions", b'{"model": "m"}')):
        got = stage.ask("POST", target, body)
        assert (got.status, got.body, got.headers["X-RMA-Attempt"]) == (200, b"x", "2"), got


def test_an_instance_that_is_told_to_stop_ends_its_requests_first(stage):
    leaving = stage.start()
    worker = Busy()
    service = stage.service(stage.peers.start(worker.behave))
    worker.held.set()
    asking = Asking(stage, service, 1, leaving)
    wait_until(lambda: worker.now == 1)
    threading.Timer(0.3, worker.held.clear).start()
    leaving.stop()
    assert asking.wait() == [200]


def test_requests_go_on_while_redis_is_away_and_fail_clearly_when_they_cannot(make_stage):
    stage = make_stage()
    coordinator, worker = stage.start(), Busy()
    service = stage.service(stage.peers.start(worker.behave))
    worker.held.set()
    asking = Asking(stage, service, 1)
    wait_until(lambda: worker.now == 1)
    stage.redis.freeze()
    late = stage.ask("POST", f"/service/{service}/x")
    assert (late.status, late.json["code"]) == (504, "registry-late") and "sent to no worker" in late.json["detail"], late
    stage.redis.kill()
    wait_until(lambda: coordinator.get("/readyz").status == 503)
    refused = stage.ask("GET", f"/service/{service}/x")
    assert refused.status in (503, 504) and isinstance(refused.json["detail"], str), refused
    worker.held.clear()
    assert asking.wait() == [200]
    stage.redis.restart()
    wait_until(lambda: stage.ask("GET", f"/service/{service}/x").status == 200)
    invariants.assert_hold(stage.redis.dump())
