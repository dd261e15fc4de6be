"""How many requests each worker has is known to all instances, whatever becomes of clients, instances and their connections to
Redis."""

import asyncio
import collections
import http.client
import threading

import pytest

import invariants
from peers import reply, saying, serving
from stage import ALLOWED
from waiting import promised, wait_until

WORKERS, CLIENTS = 8, 64


class Crew:
    """Workers that need longer the higher their number, and how many requests each has had at once."""

    def __init__(self, stage, seconds):
        self.now, self.most, self.served = [0] * WORKERS, [0] * WORKERS, [0] * WORKERS
        self.peers = [stage.peers.start(serving(self._answer(number, seconds * (1 + number)))) for number in range(WORKERS)]

    def _answer(self, number, seconds):
        async def answer(connection, _):
            self.now[number] += 1
            self.most[number] = max(self.most[number], self.now[number])
            await asyncio.sleep(seconds)
            self.now[number] -= 1
            self.served[number] += 1
            await connection.send(reply(b"ok"))
        return answer


class Holding:
    """A worker that answers when it is told to."""

    def __init__(self, stage):
        self.requests, self.go_on = 0, False
        self.peer = stage.peers.start(serving(self._answer))

    async def _answer(self, connection, _):
        self.requests += 1
        while not self.go_on:
            await asyncio.sleep(0.01)
        await connection.send(reply(b"ok"))


def run_clients(stage, service, seconds, meanwhile=lambda: None):
    """CLIENTS clients, each of which sends one request after the other over a connection of its own -> statuses"""
    statuses, over = [], threading.Event()

    def client(number):
        connection = None
        while not over.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", stage.coordinators[number % 3].port, timeout=20)
                connection.request("GET", f"/service/{service}/x")
                answer = connection.getresponse()
                answer.read()
                statuses.append(answer.status)
                if answer.headers.get("Connection", "").lower() == "close":
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                statuses.append(repr(error))
                connection = None
        if connection is not None:
            connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    timer = threading.Timer(seconds, over.set)
    timer.start()
    while not over.wait(0.2):
        meanwhile()
    for thread in threads:
        thread.join()
    return statuses


def in_flight(stage):
    return {worker: int(count) for worker, count in stage.redis.client.hgetall("{rma}:requests").items()}


def settled(stage):
    """Whether nothing is left of any request, in no index."""
    client = stage.redis.client
    return in_flight(stage) == {} and not client.keys("{rma}:requests:*") and not client.exists("{rma}:stale")


@pytest.fixture(scope="module")
def stage(make_stage):
    stage = make_stage()
    for _ in range(3):
        stage.start()
    return stage


def test_no_worker_has_more_than_its_share(stage):
    crew = Crew(stage, seconds=0.015)
    service = stage.service(*crew.peers)
    statuses = run_clients(stage, service, 1.5)
    assert set(statuses) == {200} and len(statuses) > 150
    assert max(crew.most) <= CLIENTS // WORKERS, crew.most
    assert crew.served[0] > 1.5 * crew.served[-1], "who is faster serves more"
    wait_until(lambda: settled(stage))
    assert invariants.books_disagree(stage.redis.dump()) == []


def test_answers_of_redis_that_get_lost_leave_nothing(stage):
    crew = Crew(stage, seconds=0.001)
    service = stage.service(*crew.peers)
    statuses = run_clients(stage, service, 1.5,
                           meanwhile=lambda: stage.redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal"))
    counts = collections.Counter(statuses)
    assert counts[200] > 20 and set(counts) <= {200, 503, 504}, counts
    for coordinator in stage.coordinators:
        coordinator.wait_until_ready()
    wait_until(lambda: settled(stage))
    wait_until(lambda: invariants.books_disagree(stage.redis.dump()) == [])


def test_all_instances_count_the_requests_of_all(stage):
    holding = Holding(stage)
    service = stage.service(holding.peer)
    worker_id = next(row["worker_id"] for row in stage.coordinators[0].get("/api/admin/workers").json["workers"]
                     if row["worker_id"].startswith(service + "-"))

    def counted(coordinator):
        row = next((row for row in coordinator.get("/api/route/requests").json["services"] if row["service"] == service), {})
        worker = coordinator.worker(worker_id)
        assert row.get("in_flight", 0) == worker["requests_left"] and row.get("served", 0) == worker["requests_served"]
        return worker["requests_left"], worker["requests_served"]

    threads = [threading.Thread(target=stage.ask, args=("GET", f"/service/{service}/x"), kwargs={"coordinator": coordinator})
               for coordinator in stage.coordinators]
    assert [counted(coordinator) for coordinator in stage.coordinators] == [(0, 0)] * 3
    for thread in threads:
        thread.start()
    wait_until(lambda: holding.requests == 3)
    assert [counted(coordinator) for coordinator in stage.coordinators] == [(3, 0)] * 3
    holding.go_on = True
    for thread in threads:
        thread.join()
    wait_until(lambda: settled(stage))
    assert [counted(coordinator) for coordinator in stage.coordinators] == [(0, 3)] * 3


def test_what_redis_forgets_is_noted_again(stage):
    holding = Holding(stage)
    service = stage.service(holding.peer)
    threads = [threading.Thread(target=stage.ask, args=("GET", f"/service/{service}/x"), kwargs={"coordinator": coordinator})
               for coordinator in stage.coordinators]
    for thread in threads:
        thread.start()
    wait_until(lambda: holding.requests == 3)
    assert list(in_flight(stage).values()) == [3]
    client = stage.redis.client
    threads_of_redis = client.keys("{rma}:requests:*")
    client.delete("{rma}:requests", "{rma}:flights", *threads_of_redis)
    client.hdel("{rma}:stats", "requests")
    client.hset(threads_of_redis[0], "99999", f"nobody {service} - -")
    client.hset("{rma}:requests", "nobody", 1)
    client.hset("{rma}:flights", service, 1)
    client.hincrby("{rma}:stats", "requests", 1)
    wait_until(lambda: list(in_flight(stage).values()) == [3] and "nobody" not in in_flight(stage))
    holding.go_on = True
    for thread in threads:
        thread.join()
    wait_until(lambda: settled(stage))


def test_an_instance_that_is_killed_leaves_nothing(make_stage, clock, start_redis, make_coordinator):
    stage = make_stage()
    redis = start_redis(clock=clock)
    holding = Holding(stage)
    killed, other = (make_coordinator(redis, clock=clock, UPSTREAM_ALLOW=ALLOWED).start().wait_until_ready() for _ in range(2))
    killed.register("w", services=[{"name": "rag", "service_url": holding.peer.url}])
    threads = [threading.Thread(target=stage.ask, args=("GET", "/service/rag/x"), kwargs={"coordinator": coordinator})
               for coordinator in (killed, killed, killed, other)]
    for thread in threads:
        thread.start()
    wait_until(lambda: holding.requests == 4)
    assert redis.client.hgetall("{rma}:requests") == {"w": "4"} and other.worker("w")["requests_left"] == 4
    killed.kill()
    clock.advance(16)
    wait_until(lambda: redis.client.hgetall("{rma}:requests") == {"w": "1"}, within=promised(10))
    wait_until(lambda: redis.client.zscore("{rma}:service:rag", "w") == 10 ** 12 + 100_000)
    holding.go_on = True
    for thread in threads:
        thread.join()
    wait_until(lambda: not redis.client.exists("{rma}:requests"))


def test_a_worker_that_fails_is_left_alone_and_tried_again(clock, start_redis, make_coordinator, make_stage):
    peers = make_stage().peers
    redis = start_redis(clock=clock)
    coordinator = make_coordinator(redis, clock=clock, UPSTREAM_ALLOW=ALLOWED).start().wait_until_ready()
    ill, well = peers.start(saying(lambda _: ill.says)), peers.start(saying(reply(b"ok")))
    ill.says = reply(b"no", 500)
    for name, peer in (("ill", ill), ("well", well)):
        coordinator.register(name, services=[{"name": "rag", "service_url": peer.url}])

    def ask():
        return coordinator.request("GET", "/service/rag/x").status

    statuses = [ask() for _ in range(40)]
    assert statuses.count(500) == 5 == len(ill.requests) and set(statuses[-10:]) == {200}
    row = next(row for row in coordinator.get("/api/route/explain?service=rag").json["workers"] if row["worker_id"] == "ill")
    assert (row["code"], row["failures_in_a_row"]) == ("breaker-open", 5)
    clock.advance(11)
    assert [ask() for _ in range(20)].count(500) == 1, "one request tries it, and it is left alone again"
    ill.says = reply(b"ok")
    clock.advance(21)
    assert {ask() for _ in range(30)} == {200} and len(ill.requests) > 8
    metrics = coordinator.request("GET", "/metrics").body.decode()
    assert ('rma_passed_breakers_opened_total{service="rag"} 2\n' in metrics
            and 'rma_passed_breakers_closed_total{service="rag"} 1\n' in metrics)
    assert [line["event"] for line in coordinator.log_lines() if line["event"].startswith("breaker")] == [
        "breaker_opened"] * 2 + ["breaker_closed"]


def test_without_leases_failures_count_all_the_same(make_stage):
    stage = make_stage()
    coordinator = stage.start([{"name": "light", "tier": 2, "image": "x", "port": 9, "spread": "random"}])
    refusing, ill = stage.peers.refusing(), stage.peers.start(saying(reply(b"no", 500)))
    well = [stage.peers.start(saying(reply(b"ok"))) for _ in range(2)]
    for worker_id, peer in (("refusing", refusing), ("ill", ill), ("a", well[0]), ("b", well[1])):
        coordinator.register(worker_id, services=[{"name": "light", "service_url": peer.url}])

    def codes():
        return {row["worker_id"]: row["code"] for row in coordinator.get("/api/route/explain?service=light").json["workers"]}

    def ask_until(code, worker_id):
        statuses = []

        def is_so():
            statuses.append(stage.ask("GET", "/service/light/x").status)
            return codes()[worker_id] == code
        wait_until(is_so)
        return statuses

    assert set(ask_until("suspect", "refusing")) <= {200, 500}, "another worker serves what could not be sent"
    ask_until("breaker-open", "ill")
    wait_until(lambda: {stage.ask("GET", "/service/light/x").status for _ in range(20)} == {200})
    assert all(peer.requests for peer in well) and not stage.redis.client.exists("{rma}:requests")
    assert coordinator.get("/api/route/requests").json == {"services": [], "count": 0}, "what has no lease is not counted"
