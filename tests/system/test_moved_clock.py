"""The tool that the tests of the timeouts stand on: a wall clock that moves, for any process, and timers that don't notice. And
what becomes of a fleet whose Redis has its clock set."""

import subprocess
import sys
import time

import invariants
import pytest
from waiting import wait_until

ASK = "import time; print(int(time.time() * 1000), int(time.monotonic() * 1000))"


def ask(clock):
    output = subprocess.run([sys.executable, "-c", ASK], env={**clock.environment(), "PATH": "/usr/bin"}, check=True,
                            capture_output=True, text=True).stdout
    wall, monotonic = map(int, output.split())
    return wall, monotonic


def test_wall_clock_moves_both_ways_and_timers_do_not(clock):
    for offset in (0, 1_800_000, -3_600_000, 1, -1, 999, -999):
        clock.offset_ms = offset
        wall, monotonic = ask(clock)
        assert abs(wall - (time.time() * 1000 + offset)) < 2000
        assert abs(monotonic - time.monotonic() * 1000) < 2000


def test_without_a_file_the_clock_is_the_real_one(clock):
    output = subprocess.run([sys.executable, "-c", ASK], env={"LD_PRELOAD": clock.environment()["LD_PRELOAD"]}, check=True,
                            capture_output=True, text=True).stdout
    assert abs(int(output.split()[0]) - time.time() * 1000) < 2000


def test_redis_follows_and_expires_keys_by_it(clock, start_redis):
    redis = start_redis(clock=clock)
    redis.client.set("short", "1", ex=300)
    redis.client.set("long", "1", ex=1800)
    clock.advance(301)
    assert redis.client.get("short") is None
    assert 1498 <= redis.client.ttl("long") <= 1499
    assert abs(redis.now_ms() - clock.now_ms()) < 2000
    clock.advance(1500)
    assert redis.client.dbsize() == 0 or redis.client.get("long") is None


def test_the_coordinator_follows(clock, redis, start_coordinator):
    coordinator = start_coordinator(redis, clock=clock)
    clock.advance(86400)
    assert coordinator.is_alive()
    assert coordinator.register()["status"] == "registered"


# -- Redis's clock is set ----------------------------------------------------------------------------------------------------------

HOUR, DAY = 3600, 86400


def minutes_kept(redis):
    return [int(entry.partition("-")[0]) for entry, _ in redis.client.xrange("{rma}:history")]


@pytest.mark.parametrize("back", [2 * HOUR, 3 * DAY])
def test_a_clock_that_is_set_back(clock, start_redis, start_coordinator, back):
    """Those that are silent go offline and are removed as long after it as ever, and the history goes on."""
    redis = start_redis(clock=clock)
    coordinators = [start_coordinator(redis, clock=clock) for _ in range(2)]
    for worker_id in ("lives", "dies"):
        coordinators[0].register(worker_id)
    wait_until(lambda: minutes_kept(redis))
    clock.advance(-back)
    coordinators[1].beat("lives")
    wait_until(lambda: redis.client.zscore("{rma}:online", "dies") < clock.now_ms() + 301_000)
    coordinators[1].beat("lives")
    clock.advance(250)
    coordinators[1].beat("lives")
    assert coordinators[0].stats()["healthy_workers"] == 2
    clock.advance(55)
    wait_until(lambda: coordinators[0].stats()["offline_workers"] == 1)
    assert coordinators[0].worker("lives")["status"] == "healthy" and coordinators[0].worker("dies")["status"] == "offline"
    clock.advance(200)
    coordinators[1].beat("lives")
    clock.advance(1300)
    coordinators[1].beat("lives")
    wait_until(lambda: coordinators[0].stats()["total_workers"] == 1)
    wait_until(lambda: clock.now_ms() - 120_000 < minutes_kept(redis)[-1] <= clock.now_ms())
    coordinators[1].beat("dies")
    wait_until(lambda: not invariants.faults(redis.dump(everything=True)))


@pytest.mark.parametrize("forward, status", [(HOUR, 200), (3 * DAY, 404)])
def test_a_clock_that_is_set_forward(clock, start_redis, start_coordinator, forward, status):
    """Takes those that live for removed; their next heartbeat brings them back, or tells them to register."""
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis, clock=clock)
    coordinator.register("w")
    clock.advance(forward)
    wait_until(lambda: coordinator.stats()["total_workers"] == 0)
    assert coordinator.post("/api/worker/heartbeat", {"worker_id": "w"}).status == status
    coordinator.register("w")
    assert coordinator.stats()["healthy_workers"] == 1
    wait_until(lambda: not invariants.faults(redis.dump(everything=True)))
