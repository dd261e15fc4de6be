"""The life of a worker, on the real 300 and 1800 seconds of a moved clock: online, offline, removed, each on time."""

import pytest

import invariants
from clock import Clock
from waiting import promised, wait_until

OFFLINE_AFTER = 300_000
REMOVED_AFTER = 1_800_000
REVIVED_FOR = 86_400_000
A_LITTLE = 50  # ms


class Fleet:
    """A Redis under a moved clock, one worker in it, and coordinators that come and go."""

    def __init__(self, clock, redis, start):
        self.clock, self.redis, self.start = clock, redis, start

    def since_heartbeat(self, worker_id):
        """Moment of the newest heartbeat, as stored."""
        return int(self.redis.client.hget("{rma}:worker:" + worker_id, "last_heartbeat"))


@pytest.fixture(params=["all clocks move", "only the clock of Redis moves", "the coordinator's clock is an hour late"])
def fleet(request, directory, clock, start_redis, start_coordinator):
    redis = start_redis(clock=clock)
    if request.param == "all clocks move":
        own = clock
    elif request.param == "only the clock of Redis moves":
        own = None
    else:
        own = Clock(directory / "late-clock")
        own.advance(-3600)
    return Fleet(clock, redis, lambda: start_coordinator(redis, clock=own))


def assert_online(coordinator, worker_id):
    row = coordinator.worker(worker_id)
    assert row["status"] == "healthy" and row["is_healthy"] is True
    assert coordinator.workers()[worker_id]["status"] == "healthy"
    stats = coordinator.stats()
    assert (stats["total_workers"], stats["healthy_workers"], stats["offline_workers"]) == (1, 1, 0)
    health = coordinator.get("/health").json["workers"]
    assert (health["total"], health["healthy"], health["active"]) == (1, 1, 1)
    assert coordinator.get("/api/admin/health").json["workers_by_status"] == {"healthy": 1, "degraded": 0, "offline": 0}


def assert_offline(coordinator, worker_id):
    row = coordinator.worker(worker_id)
    assert row["status"] == "offline" and row["is_healthy"] is False
    assert coordinator.workers()[worker_id]["status"] == "offline"
    assert coordinator.workers("?status=offline").keys() == {worker_id}
    assert coordinator.workers("?status=healthy").keys() == set()
    # Stats may be as much as a second old.
    wait_until(lambda: coordinator.stats()["offline_workers"] == 1, within=promised(1.5))
    stats = coordinator.stats()
    assert (stats["total_workers"], stats["healthy_workers"], stats["offline_workers"]) == (1, 0, 1)
    assert stats["average_load"] == 0
    wait_until(lambda: coordinator.get("/health").json["workers"]["active"] == 0, within=promised(1.5))
    assert coordinator.get("/api/admin/health").json["workers_by_status"] == {"healthy": 0, "degraded": 0, "offline": 1}


def named(redis, worker_id):
    """The keys of workers that are in the fleet, and all indexes, which name the worker; what is kept for its late heartbeat does
    not count, nor what was told of it."""
    return [key for key, value in redis.dump().items()
            if (worker_id in key or worker_id in repr(value))
            and not key.startswith(("{rma}:registration:", "{rma}:identity:", "{rma}:events"))]


def assert_gone(coordinator, redis, worker_id, removed_at):
    """`removed_at`: the moment, in ms since 1970, from which its registration is kept."""
    assert coordinator.get(f"/api/worker/{worker_id}").status == 404
    answer = coordinator.get("/api/admin/workers").json
    assert answer["workers"] == [] and answer["total"] == answer["healthy"] == 0
    wait_until(lambda: coordinator.stats()["total_workers"] == 0, within=promised(1.5))
    stats = coordinator.stats()
    assert stats["healthy_workers"] == stats["degraded_workers"] == stats["offline_workers"] == 0
    assert set(stats["by_tier"].values()) == {0} and stats["average_load"] == 0
    assert coordinator.get("/health").json["workers"]["total"] == 0
    assert coordinator.get("/api/admin/health").json["workers_by_status"] == {"healthy": 0, "degraded": 0, "offline": 0}
    wait_until(lambda: not named(redis, worker_id), what="no key and no index of Redis names the worker")
    assert redis.client.execute_command("PEXPIRETIME", "{rma}:registration:" + worker_id) == removed_at + REVIVED_FOR
    invariants.assert_hold(redis.dump())


def register(coordinator):
    coordinator.register("silent-worker", instance_id="silent-worker-instance", tunnel_url="https://silent-worker.example",
                         services=[{"name": "ocr"}])
    coordinator.beat("silent-worker", current_load=0.5)


def test_each_border_is_kept_to_the_second(fleet):
    coordinator = fleet.start()
    register(coordinator)
    beat = fleet.since_heartbeat("silent-worker")
    with fleet.clock.standing_at(beat + OFFLINE_AFTER - A_LITTLE):
        assert_online(coordinator, "silent-worker")
    fleet.clock.move_to(beat + OFFLINE_AFTER + A_LITTLE)
    assert_offline(coordinator, "silent-worker")
    with fleet.clock.standing_at(beat + REMOVED_AFTER - A_LITTLE):
        assert_offline(coordinator, "silent-worker")
    fleet.clock.move_to(beat + REMOVED_AFTER + A_LITTLE)
    assert_gone(coordinator, fleet.redis, "silent-worker", beat + REMOVED_AFTER)
    fleet.clock.move_to(beat + REMOVED_AFTER + REVIVED_FOR + A_LITTLE)
    assert fleet.redis.client.keys("*silent-worker*") == []


def test_borders_are_kept_with_no_coordinator_running(fleet):
    first = fleet.start()
    register(first)
    beat = fleet.since_heartbeat("silent-worker")
    first.stop()
    fleet.clock.move_to(beat + OFFLINE_AFTER + A_LITTLE)
    assert fleet.redis.client.exists("{rma}:worker:silent-worker:online") == 0
    second = fleet.start()
    assert_offline(second, "silent-worker")
    second.kill()
    fleet.clock.move_to(beat + REMOVED_AFTER + A_LITTLE)
    assert fleet.redis.client.exists("{rma}:worker:silent-worker") == 0
    third = fleet.start()
    assert_gone(third, fleet.redis, "silent-worker", beat + REMOVED_AFTER)


def test_removed_straight_from_online_with_no_coordinator_running(fleet):
    first = fleet.start()
    register(first)
    beat = fleet.since_heartbeat("silent-worker")
    first.stop()
    fleet.clock.advance(REMOVED_AFTER / 1000 + 1)
    assert_gone(fleet.start(), fleet.redis, "silent-worker", beat + REMOVED_AFTER)


def test_a_heartbeat_on_an_offline_worker_brings_it_back(fleet):
    coordinator = fleet.start()
    register(coordinator)
    fleet.clock.advance(1000)
    assert_offline(coordinator, "silent-worker")
    coordinator.beat("silent-worker", current_load=0.5)
    wait_until(lambda: coordinator.stats()["healthy_workers"] == 1, within=promised(1.5))
    assert_online(coordinator, "silent-worker")
    beat = fleet.since_heartbeat("silent-worker")
    with fleet.clock.standing_at(beat + OFFLINE_AFTER - A_LITTLE):
        assert_online(coordinator, "silent-worker")
    invariants.assert_hold(fleet.redis.dump())


IDENTITIES = [{"worker_id": "silent-worker"}, {"instance_id": "silent-worker-instance"},
              {"tunnel_url": "https://silent-worker.example"}]


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: next(iter(identity)))
def test_registering_again_after_removal_is_the_same_worker(fleet, identity):
    coordinator = fleet.start()
    register(coordinator)
    fleet.redis.client.hset("{rma}:registration:silent-worker", "tasks_completed", 41)
    before = coordinator.worker("silent-worker")
    fleet.clock.advance((REMOVED_AFTER + REVIVED_FOR) / 1000 - 10)
    assert coordinator.workers() == {}
    answer = coordinator.register(**identity)
    assert answer["reregistered"] is True and answer["worker_id"] == "silent-worker"
    assert answer["assigned_services"] == before["assigned_services"]
    after = coordinator.workers()["silent-worker"]
    assert (after["registered_at"], after["tasks_completed"]) == (before["registered_at"], 41)
    invariants.assert_hold(fleet.redis.dump())


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: next(iter(identity)))
@pytest.mark.parametrize("how", ["unregistered", "forgotten"])
def test_registering_again_after_the_end_is_a_new_worker(moving, identity, how):
    clock, redis, coordinator = moving
    register(coordinator)
    redis.client.hset("{rma}:registration:silent-worker", "tasks_completed", 41)
    before = coordinator.worker("silent-worker")
    clock.advance(2)
    if how == "unregistered":
        coordinator.unregister("silent-worker")
    else:
        clock.advance((REMOVED_AFTER + REVIVED_FOR) / 1000)
    answer = coordinator.register(**identity)
    assert answer["reregistered"] is False
    after = coordinator.worker(answer["worker_id"])
    assert after["registered_at"] > before["registered_at"] and after["tasks_completed"] == 0
    assert coordinator.workers().keys() == {answer["worker_id"]}
    invariants.assert_hold(redis.dump())


@pytest.fixture
def moving(clock, start_redis, start_coordinator):
    """(clock, redis, coordinator), all on one clock."""
    redis = start_redis(clock=clock)
    return clock, redis, start_coordinator(redis, clock=clock)


def test_heartbeats_keep_a_worker_for_days(moving):
    clock, redis, coordinator = moving
    coordinator.register("steady")
    registered_at = coordinator.worker("steady")["registered_at"]
    for _ in range(100):
        clock.advance(290)
        coordinator.beat("steady")
    row = coordinator.worker("steady")
    assert row["status"] == "healthy" and row["registered_at"] == registered_at
    assert row["age_seconds"] < 60


def test_the_ttls_are_the_timeouts(redis, coordinator):
    coordinator.register("w")
    assert 299_000 < redis.client.pttl("{rma}:worker:w:online") <= 300_000
    assert 1_799_000 < redis.client.pttl("{rma}:worker:w") <= 1_800_000
    coordinator.beat("w", status="degraded")
    assert redis.client.get("{rma}:worker:w:online") == "degraded"
    assert 299_000 < redis.client.pttl("{rma}:worker:w:online") <= 300_000
    assert 1_799_000 < redis.client.pttl("{rma}:worker:w") <= 1_800_000


def test_the_timeouts_are_settings(clock, start_redis, start_coordinator):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis, clock=clock, HEARTBEAT_TIMEOUT_SECONDS=60, WORKER_TIMEOUT_SECONDS=120)
    coordinator.register("w")
    clock.advance(61)
    assert coordinator.worker("w")["status"] == "offline"
    clock.advance(60)
    assert coordinator.get("/api/worker/w").status == 404


def test_an_announced_silence_is_kept(moving):
    """expect_silence: healthy until then, and the removal moves with it."""
    clock, redis, coordinator = moving
    coordinator.register("loads-a-model")
    coordinator.beat("loads-a-model", expect_silence=600)
    beat = int(redis.client.hget("{rma}:worker:loads-a-model", "last_heartbeat"))
    with clock.standing_at(beat + 599_000):
        assert coordinator.worker("loads-a-model")["status"] == "healthy"
    with clock.standing_at(beat + 601_000):
        assert coordinator.worker("loads-a-model")["status"] == "offline"
    with clock.standing_at(beat + 2_099_000):
        assert coordinator.worker("loads-a-model")["status"] == "offline"
    clock.move_to(beat + 2_101_000)
    assert coordinator.get("/api/worker/loads-a-model").status == 404
    assert coordinator.stats()["total_workers"] == 0
    invariants.assert_hold(redis.dump())


def test_a_fleet_that_dies_at_once_is_forgotten_whole(moving):
    """More workers than one sweep's step takes: counts and indexes still come to nothing, by themselves."""
    clock, redis, coordinator = moving
    for number in range(450):
        coordinator.register(f"mayfly-{number:03}")
    clock.advance(301)
    wait_until(lambda: coordinator.stats()["offline_workers"] == 450)
    assert set(row["status"] for row in coordinator.workers().values()) == {"offline"}
    clock.advance(1500)
    assert coordinator.workers() == {}
    wait_until(lambda: coordinator.stats()["total_workers"] == 0)
    wait_until(lambda: not named(redis, "mayfly"))
    clock.advance(86400)
    assert redis.client.keys("*mayfly*") == []


def test_a_silent_fleet_is_swept_without_any_request(moving):
    """Indexes are cleaned by the coordinators themselves: nobody needs to ask for anything."""
    clock, redis, coordinator = moving
    for number in range(50):
        coordinator.register(f"mayfly-{number}")
    clock.advance(1801)
    wait_until(lambda: redis.client.zcard("{rma}:workers") == 0 and redis.client.hlen("{rma}:ledger") == 0)


def test_a_clock_that_jumps_back_harms_nobody(moving):
    clock, redis, coordinator = moving
    coordinator.register("w")
    clock.advance(-3600)
    coordinator.beat("w", current_load=0.5)
    row = coordinator.worker("w")
    assert row["status"] == "healthy" and row["age_seconds"] >= 0
    assert coordinator.stats()["healthy_workers"] == 1
