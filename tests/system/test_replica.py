"""Reading from a replica near by: who reads where, how far behind it is, and what happens when it is late, frozen, cut off,
gone."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from waiting import let_pass, wait_until

LAG = "X-Replica-Lag"
READS = ["/api/admin/workers", "/api/coordinator/workers", "/api/admin/coordinators", "/api/admin/stats", "/api/admin/health",
         "/api/services/list", "/api/admin/services", "/api/admin/gaps", "/api/services/discover/rag", "/api/worker/find/rag",
         "/api/route/requests", "/api/worker/w"]


@pytest.fixture
def pair(start_redis):
    """A primary, and a replica of it."""
    primary = start_redis("--repl-diskless-sync-delay", "0")
    replica = start_redis("--replicaof", f"127.0.0.1 {primary.port}")
    wait_until(lambda: replica.client.info("replication").get("master_link_status") == "up")
    return primary, replica


@pytest.fixture
def read_here(pair, start_coordinator):
    """A coordinator that reads from the replica: read_here(SETTING=...)."""
    primary, replica = pair

    def start(**settings):
        return start_coordinator(primary, REDIS_READ_URL=replica.url, **settings)
    return start


def from_replica(coordinator, path="/api/admin/stats"):
    """The lag that an answer tells; None: it is the primary's."""
    response = coordinator.get(path)
    assert response.status == 200, response
    return None if LAG not in response.headers else float(response.headers[LAG])


def wait_for_the_replica(coordinator):
    """Until all threads read from it."""
    wait_until(lambda: all(from_replica(coordinator) is not None for _ in range(20)), what="the replica is read from")


def wait_for_the_primary(coordinator):
    wait_until(lambda: all(from_replica(coordinator) is None for _ in range(20)), what="the primary is read from")


def commands(server):
    return {name.removeprefix("cmdstat_"): row["calls"] for name, row in server.client.info("commandstats").items()}


def test_reads_go_to_the_replica_and_writes_to_the_primary(pair, read_here):
    primary, replica = pair
    coordinator = read_here()
    coordinator.register("w")
    coordinator.beat("w", current_load=0.5)
    wait_for_the_replica(coordinator)
    before = commands(replica)
    for path in READS:
        response = coordinator.get(path)
        assert response.status == 200, (path, response)
        assert 0 <= float(response.headers[LAG]) < 1, path
    after = commands(replica)
    assert after["evalsha"] - before.get("evalsha", 0) >= 6 and after["hmget"] > before.get("hmget", 0)
    assert coordinator.workers()["w"]["current_load"] == 0.5
    assert coordinator.get("/api/services/discover/rag").json["recommended"] == "w"
    for path in ("/health", "/readyz", "/api"):
        assert LAG not in coordinator.get(path).headers, path
    exposed = coordinator.get("/api/admin/stats").headers["Access-Control-Expose-Headers"]
    assert LAG in exposed, "pages may read it"
    assert coordinator.get("/api/worker/nobody").status == 404
    assert "READONLY" not in coordinator.stderr() and "redis_error" not in coordinator.stderr()
    assert replica.dump().keys() == primary.dump().keys()


def test_a_client_sees_what_it_has_written(read_here):
    """At once, whichever thread reads: until the replica is known to have it, from the primary."""
    coordinator = read_here(THREADS=4)
    wait_for_the_replica(coordinator)
    for number in range(40):
        coordinator.register(f"w{number}", services=[{"name": f"s{number}"}])
        assert coordinator.worker(f"w{number}")["status"] == "healthy"
        assert f"w{number}" in coordinator.workers()
        assert coordinator.stats()["total_workers"] == number + 1
        assert coordinator.get(f"/api/worker/find/s{number}").json["worker_id"] == f"w{number}"
    for number in range(40):
        assert coordinator.post(f"/api/worker/w{number}/drain").status == 200
        assert coordinator.worker(f"w{number}")["status"] == "draining"
        assert coordinator.post("/api/worker/heartbeats",
                                {"heartbeats": [{"worker_id": f"w{number}", "active_requests": number}]}).json["ok"]
        assert coordinator.worker(f"w{number}")["active_requests"] == number
        coordinator.unregister(f"w{number}")
        assert coordinator.get(f"/api/worker/w{number}").status == 404
    wait_for_the_replica(coordinator)


def test_others_may_read_on_while_somebody_writes(read_here):
    """Only who writes reads his writes at once: a fleet that beats takes nobody's replica away."""
    coordinator = read_here(TRUST_PROXY=1, THREADS=1)
    coordinator.register("w")
    here, there = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}
    wait_until(lambda: LAG in coordinator.get("/api/admin/stats", headers=there).headers)
    for _ in range(50):
        assert coordinator.post("/api/worker/heartbeat", {"worker_id": "w"}, headers=here).status == 200
        assert LAG not in coordinator.get("/api/admin/stats", headers=here).headers
        assert LAG in coordinator.get("/api/admin/stats", headers=there).headers


def test_a_replica_that_is_cut_off_is_read_from_as_long_as_it_may_be(pair, read_here):
    """While nothing is written it has everything, however long it is cut off; then the lag grows, up to the bound."""
    primary, replica = pair
    coordinator = read_here(MAX_REPLICA_LAG_SECONDS=2, THREADS=1)
    wait_for_the_replica(coordinator)
    wait_until(lambda: 5 < time.time() % 60 < 50, what="the write of each minute is not near")
    wait_until(lambda: len({server.client.info("replication")["master_repl_offset"] for server in (primary, replica)}) == 1,
               what="what the start wrote has come to the replica")
    replica.client.execute_command("REPLICAOF", "127.0.0.1", "1")  # nobody is there
    let_pass(2.5)
    assert from_replica(coordinator) < 1, "nothing was written"
    lags = []

    def left():
        primary.client.incr("something else")
        lags.append(from_replica(coordinator))
        return lags[-1] is None
    wait_until(left)
    assert 1.7 <= lags[-2] <= 2 and max(lags[:-1]) == lags[-2]
    coordinator.register("w")
    assert coordinator.workers().keys() == {"w"}
    replica.client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
    wait_for_the_replica(coordinator)
    assert coordinator.workers().keys() == {"w"}


def test_a_frozen_replica_costs_a_moment_and_no_request(pair, read_here):
    _, replica = pair
    coordinator = read_here()
    coordinator.register("w")
    wait_for_the_replica(coordinator)
    replica.freeze()
    for path in READS * 3:
        response = coordinator.get(path)
        assert response.status == 200, (path, response)
        assert LAG not in response.headers, "this is the primary's answer"
    wait_for_the_primary(coordinator)
    assert coordinator.get("/api/admin/workers").status == 200
    replica.thaw()
    wait_for_the_replica(coordinator)


@pytest.mark.parametrize("path", ["/api/coordinator/workers", "/api/admin/coordinators", "/api/admin/workers?limit=5"])
def test_what_a_frozen_replica_takes_no_more_of_is_read_from_the_primary(pair, read_here, path):
    """A thread reads so many listings at once from one server; those beyond are refused at once, before the replica has failed."""
    _, replica = pair
    coordinator = read_here(THREADS=1)
    coordinator.register("w")
    wait_for_the_replica(coordinator)
    replica.freeze()
    with ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(lambda _: coordinator.get(path), range(60)))
    assert [answer.status for answer in answers] == [200] * 60
    assert all(LAG not in answer.headers for answer in answers)
    replica.thaw()


def test_a_replica_that_is_killed_costs_no_request(pair, read_here):
    _, replica = pair
    coordinator = read_here()
    coordinator.register("w")
    wait_for_the_replica(coordinator)
    replica.kill()
    for path in READS * 3:
        assert coordinator.get(path).status == 200, path
    assert from_replica(coordinator) is None
    replica.restart("--replicaof", f"127.0.0.1 {pair[0].port}")
    wait_for_the_replica(coordinator)


def test_without_its_primary_the_replica_serves_and_says_how_old_its_data_is(pair, read_here):
    """What is known no better is told with its age; with the primary back, MAX_REPLICA_LAG_SECONDS is kept again."""
    primary, _ = pair
    coordinator = read_here(MAX_REPLICA_LAG_SECONDS=1)
    coordinator.register("w")
    wait_for_the_replica(coordinator)
    primary.kill()
    assert coordinator.post("/api/worker/heartbeat", {"worker_id": "w"}).status == 503
    wait_until(lambda: from_replica(coordinator) is not None and from_replica(coordinator) > 1.5)
    for path in READS:
        assert coordinator.get(path).status == 200, path
    assert coordinator.post("/api/worker/heartbeat", {"worker_id": "w"}).status == 503
    primary.restart()
    coordinator.wait_until_ready()
    coordinator.beat("w")
    wait_for_the_replica(coordinator)


def test_a_replica_of_something_else_is_not_read_from(start_redis, start_coordinator):
    """Its place in another stream of writes says nothing about this one."""
    primary, stranger = start_redis(), start_redis()
    start_redis("--replicaof", f"127.0.0.1 {primary.port}", "--repl-diskless-sync-delay", "0")
    for number in range(100):
        stranger.client.set(f"{number}", "x" * 1000)
    coordinator = start_coordinator(primary, REDIS_READ_URL=stranger.url)
    coordinator.register("w")
    let_pass(1)
    wait_for_the_primary(coordinator)
    assert coordinator.workers().keys() == {"w"}


def test_the_primary_itself_may_be_read_from(redis, start_coordinator):
    """As after a failover that has made the replica near by the primary."""
    coordinator = start_coordinator(redis, REDIS_READ_URL=redis.url)
    coordinator.register("w")
    wait_for_the_replica(coordinator)
    assert coordinator.workers().keys() == {"w"}


def test_who_falls_silent_is_told_by_the_replica_too(clock, start_redis, start_coordinator):
    """The replica sweeps nothing: the TTLs say who lives, and the primary's sweep reaches it."""
    primary = start_redis("--repl-diskless-sync-delay", "0", clock=clock)
    replica = start_redis("--replicaof", f"127.0.0.1 {primary.port}", clock=clock)
    coordinator = start_coordinator(primary, clock=clock, REDIS_READ_URL=replica.url)
    coordinator.register("silent")
    coordinator.register("w")
    wait_for_the_replica(coordinator)
    clock.advance(200)
    coordinator.beat("w")
    clock.advance(150)
    wait_for_the_replica(coordinator)
    for path in ("/api/admin/workers", "/api/coordinator/workers"):
        assert LAG in coordinator.get(path).headers
    assert coordinator.workers()["silent"]["status"] == "offline"
    wait_until(lambda: coordinator.stats()["offline_workers"] == 1)
    assert [row["worker_id"] for row in coordinator.get("/api/coordinator/workers").json["workers"]] == ["w"]


def test_while_the_primary_is_away_nobody_falls_silent(clock, start_redis, start_coordinator):
    """TTLs go on at the replica, but nobody can beat: everybody counts as the primary's last sweep has left them."""
    primary = start_redis("--repl-diskless-sync-delay", "0", clock=clock)
    replica = start_redis("--replicaof", f"127.0.0.1 {primary.port}", clock=clock)
    coordinator = start_coordinator(primary, clock=clock, REDIS_READ_URL=replica.url)
    for worker_id in ("w", "drained", "silent"):
        coordinator.register(worker_id)
    coordinator.post("/api/worker/drained/drain", {"reason": "disk"})
    clock.advance(250)
    for worker_id in ("w", "drained"):
        coordinator.beat(worker_id)
    clock.advance(55)
    wait_until(lambda: coordinator.stats()["offline_workers"] == 1)
    wait_for_the_replica(coordinator)
    before = {worker_id: row["status"] for worker_id, row in coordinator.workers().items()}
    assert before == {"w": "healthy", "drained": "draining", "silent": "offline"}
    primary.kill()
    wait_until(lambda: coordinator.post("/api/worker/heartbeat", {"worker_id": "w"}).status == 503)
    clock.advance(900)
    wait_until(lambda: from_replica(coordinator) is not None)
    assert {worker_id: row["status"] for worker_id, row in coordinator.workers().items()} == before
    assert coordinator.worker("w")["status"] == "healthy"
    for path in ("/api/services/discover/rag", "/api/worker/find/rag", "/api/coordinator/workers"):
        answer = coordinator.get(path)
        assert answer.status == 200 and '"w"' in answer.body.decode() and '"silent"' not in answer.body.decode(), (path, answer)
    primary.restart()
    coordinator.wait_until_ready()
    assert {worker_id: row["status"] for worker_id, row in coordinator.workers().items()} == before


@pytest.mark.parametrize("whose", ["primary", "replica"])
def test_without_permission_for_info_all_is_read_from_the_primary(pair, start_coordinator, whose):
    primary, replica = pair
    {"primary": primary, "replica": replica}[whose].client.execute_command("ACL", "SETUSER", "default", "-info")
    coordinator = start_coordinator(primary, REDIS_READ_URL=replica.url, THREADS=1)
    coordinator.register("w")
    let_pass(1)
    assert from_replica(coordinator) is None
    assert len([line for line in coordinator.log_lines() if line["event"] == "redis_error"]) == 1


@pytest.mark.parametrize("url", ["redis+sentinel://a,b/fleet", "http://localhost", "localhost"])
def test_a_bad_address_is_one_clear_line(redis, make_coordinator, url):
    says = make_coordinator(redis, REDIS_READ_URL=url).refuses_to_start()
    assert len(says.splitlines()) == 1 and "REDIS_READ_URL" in says
