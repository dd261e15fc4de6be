"""Tasks while everything breaks: coordinators and Redis are killed and stopped, workers die or are too slow, connections end
between a request and its answer, the clock leaps. Afterwards the recorded history and what is in Redis must prove that no task was
lost and none was held twice. CHAOS_SECONDS says for how long (60), CHAOS_SEED with which dice; CHAOS_SENTINEL=1 has a primary and a
replica under Sentinels, which fail over."""

import collections
import os
import random
import subprocess
import threading
import time

import pytest

import project
from actors import Producer, Worker
from waiting import wait_until
from worlds import SentinelWorld, World

SECONDS = int(os.environ.get("CHAOS_SECONDS", "60"))
SEED = os.environ.get("CHAOS_SEED") or str(random.SystemRandom().randrange(10 ** 6))


@pytest.fixture
def world(clock, make_coordinator, start_redis, start_group):
    def coordinators(url):
        return [make_coordinator(clock=clock, REDIS_URL=url).start().wait_until_ready() for _ in range(3)]

    if os.environ.get("CHAOS_SENTINEL", "0") == "0":
        redis = start_redis(clock=clock)
        return World(redis, clock, coordinators(redis.url), SEED)
    group = start_group(*SentinelWorld.OPTIONS, clock=clock)
    return SentinelWorld(group, clock, coordinators(group.url()), SEED)


def test_no_task_is_lost_and_none_is_held_twice(world):
    producers = [Producer(world, f"producer{number}") for number in range(2)]
    workers = [Worker(world, f"worker{number}") for number in range(6)]
    for actor in producers + workers:
        actor.start()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(world.dice.uniform(*world.pause))
        world.hurt()
    # peace: producers stop, workers finish what there is
    world.drops = 0
    world.next_number = threading.Event().wait
    world.heal()

    def nothing_is_live():
        world.clock.advance(1)
        return world.count_live() == 0

    try:
        wait_until(nothing_is_live, within=90, every=0.2, what="nothing is live any more")
    finally:
        world.stopping.set()
        print(f"seed {SEED}: {world.history.counts()}, {world.summary()}hurt: {dict(collections.Counter(world.done))}")
    for actor in workers:
        actor.join(30)
    errors = [f"{actor.name}: {actor.error!r}" for actor in producers + workers if actor.error]
    assert not errors, errors
    redis = world.redis()
    faults = world.history.faults(redis.dump(), redis.now_ms())
    assert not faults, (SEED, world.done, faults[:20])
    assert len(world.history.submitted) > world.pace * SECONDS and len(world.history.completed) > world.pace * SECONDS
    checked = subprocess.run([project.BINARY, "check"], env={**os.environ, "REDIS_URL": redis.url}, capture_output=True, text=True,
                             timeout=60)
    assert checked.returncode == 0, checked.stdout
