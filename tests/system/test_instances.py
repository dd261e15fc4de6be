"""Many instances, no state: any number of coordinators on one Redis are one service, and any of them may die at any time."""

import time

import invariants
from load import Load
from waiting import let_pass, wait_until


def test_register_through_a_beat_through_b_list_through_c(redis, three_coordinators):
    a, b, c = three_coordinators
    a.register("w")
    b.beat("w", current_load=0.24, active_requests=3)
    row = c.workers()["w"]
    assert row["current_load"] == 0.24 and row["active_requests"] == 3
    assert a.stats()["total_workers"] == b.stats()["total_workers"] == c.stats()["total_workers"] == 1
    c.unregister("w")
    assert a.get("/api/worker/w").status == 404
    assert b.post("/api/worker/heartbeat", {"worker_id": "w"}).status == 404


def test_one_that_says_it_listens_serves_at_once(redis, make_coordinator):
    """Whoever waits for the start line, or for the port to be open, is not turned away with a 503."""
    coordinator = make_coordinator(redis, THREADS=4)
    for turn in range(8):
        coordinator.start()
        assert [coordinator.post("/api/worker/heartbeat", {"worker_id": "nobody"}).status for _ in range(4)] == [404] * 4, turn
        coordinator.kill()


def test_instances_may_reach_redis_by_different_ways(redis, start_coordinator):
    start_coordinator(redis, REDIS_URL=redis.url).register("w")
    assert start_coordinator(redis, REDIS_URL=redis.unix_url).workers().keys() == {"w"}
    assert start_coordinator(redis, REDIS_URL=f"redis://localhost:{redis.port}").workers().keys() == {"w"}


def test_another_prefix_or_database_is_another_fleet(redis, start_coordinator):
    start_coordinator(redis).register("w")
    other = start_coordinator(redis, KEY_PREFIX="{other}")
    assert other.workers() == {}
    other.register("w2")
    assert redis.client.exists("{other}:worker:w2") == 1
    database = start_coordinator(redis, REDIS_URL=f"redis://127.0.0.1:{redis.port}/3")
    assert database.workers() == {}
    database.register("w3")
    assert redis.client.exists("{rma}:worker:w3") == 0


def test_redis_with_a_password(start_redis, start_coordinator):
    redis = start_redis()
    redis.client.execute_command("ACL", "SETUSER", "fleet", "on", ">s3cret", "allkeys", "allcommands")
    redis.client.config_set("requirepass", "0ther")
    start_coordinator(REDIS_URL=f"redis://:0ther@127.0.0.1:{redis.port}/0").register("v")
    coordinator = start_coordinator(REDIS_URL=f"redis://fleet:s3cret@127.0.0.1:{redis.port}/0")
    assert coordinator.workers().keys() == {"v"}
    assert "s3cret" not in coordinator.stderr()


def test_killing_one_of_three_under_load_loses_nothing_and_disturbs_nobody(redis, three_coordinators):
    a, b, c = three_coordinators
    load = Load(three_coordinators, threads=6)
    with load.running():
        let_pass(0.5)
        b.kill()
        killed = time.monotonic()
        let_pass(1.5)
    others = [attempt for attempt in load.failures if attempt.coordinator is not b]
    assert others == [], "the others notice nothing"
    assert len([attempt for attempt in load.since(killed) if attempt.ok]) > 50
    assert any(not attempt.ok for attempt in load.since(killed) if attempt.coordinator is b)
    for survivor in (a, c):
        load.assert_nothing_acknowledged_is_lost(survivor)
    invariants.assert_hold(redis.dump())
    b.start()
    load.assert_nothing_acknowledged_is_lost(b)


def test_an_instance_started_under_load_joins(redis, three_coordinators, start_coordinator):
    load = Load(three_coordinators, threads=3)
    with load.running():
        fourth = start_coordinator(redis)
        fourth.register("through-the-fourth")
        wait_until(lambda: "through-the-fourth" in three_coordinators[0].workers())
    assert load.failures == []
    load.assert_nothing_acknowledged_is_lost(fourth)


def test_stopping_and_starting_all_of_them_loses_nothing(redis, three_coordinators):
    with Load(three_coordinators, threads=3).running() as load:
        let_pass(0.3)
    for coordinator in three_coordinators:
        coordinator.stop()
    three_coordinators[1].start()
    load.assert_nothing_acknowledged_is_lost(three_coordinators[1])
