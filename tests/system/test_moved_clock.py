"""The tool that the tests of the timeouts stand on: a wall clock that moves, for any process, and timers that don't notice."""

import subprocess
import sys
import time

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
