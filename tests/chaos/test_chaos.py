"""Tasks while everything breaks: coordinators and Redis are killed and stopped, workers die or are too slow, connections end between a request and
its answer, the clock leaps. Afterwards the recorded history and what is in Redis must prove that no task was lost and none was held twice.
CHAOS_SECONDS says for how long (60), CHAOS_SEED with which dice."""

import itertools
import os
import random
import subprocess
import threading
import time

import project
from actors import Producer, Worker
from history import History
from waiting import wait_until

SECONDS = int(os.environ.get("CHAOS_SECONDS", "60"))
SEED = os.environ.get("CHAOS_SEED") or str(random.SystemRandom().randrange(10 ** 6))
LIVE = 500  # tasks at once, from which on producers pause


class World:
    def __init__(self, redis, clock, coordinators):
        self.redis, self.clock, self.coordinators = redis, clock, coordinators
        self.seed, self.dice = SEED, random.Random(SEED)
        self.history = History()
        self.stopping = threading.Event()
        self.drops = 0.02
        self._numbers = itertools.count()
        self.done = []

    def next_number(self):
        while len(self.history.submitted) - len(self.history.completed) > LIVE and not self.stopping.is_set():
            time.sleep(0.1)
        return next(self._numbers)

    # -- what goes wrong --------------------------------------------------------------------------------------------------------

    def kill_coordinator(self):
        coordinator = self.dice.choice(self.coordinators)
        coordinator.kill()
        time.sleep(self.dice.random())
        coordinator.start()

    def stop_coordinator(self):
        coordinator = self.dice.choice(self.coordinators)
        coordinator.send_signal(19)
        time.sleep(self.dice.choice([0.5, 3]))
        coordinator.send_signal(18)

    def kill_redis(self):
        self.redis.kill()
        time.sleep(self.dice.random())
        self.redis.restart()

    def freeze_redis(self):
        self.redis.freeze()
        time.sleep(self.dice.choice([0.3, 3]))
        self.redis.thaw()

    def leap(self):
        self.clock.advance(self.dice.choice([3, 6, 20]))

    def hurt(self):
        what = self.dice.choice([self.kill_coordinator, self.stop_coordinator, self.kill_redis, self.freeze_redis, self.leap])
        self.done.append(what.__name__)
        what()


def test_no_task_is_lost_and_none_is_held_twice(clock, start_redis, make_coordinator):
    redis = start_redis(clock=clock)
    world = World(redis, clock, [make_coordinator(redis, clock=clock).start().wait_until_ready() for _ in range(3)])
    producers = [Producer(world, f"producer{number}") for number in range(2)]
    workers = [Worker(world, f"worker{number}") for number in range(6)]
    for actor in producers + workers:
        actor.start()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(world.dice.uniform(0.5, 3))
        world.hurt()
    # peace: producers stop, workers finish what there is
    world.drops = 0
    real, world.next_number = world.next_number, lambda: time.sleep(3600)
    for coordinator in world.coordinators:
        coordinator.wait_until_ready(15)

    def live():
        names = [name for name in redis.client.smembers("{rma}:queues")]
        fields = [redis.client.hgetall("{rma}:queue:" + name) for name in names]
        count = sum(int(each.get("enqueued", 0)) - sum(int(each.get(state, 0)) for state in ("completed", "dead", "cancelled", "expired"))
                    for each in fields)
        clock.advance(1)
        return count

    try:
        wait_until(lambda: live() == 0, within=90, every=0.2, what="nothing is live any more")
    finally:
        world.stopping.set()
        print(f"seed {SEED}: {world.history.counts()}, hurt: {world.done}")
    for actor in workers:
        actor.join(30)
    errors = [f"{actor.name}: {actor.error!r}" for actor in producers + workers if actor.error]
    assert not errors, errors
    faults = world.history.faults(redis.dump(), redis.now_ms())
    assert not faults, (SEED, world.done, faults[:20])
    assert len(world.history.submitted) > 5 * SECONDS and len(world.history.completed) > 5 * SECONDS
    checked = subprocess.run([project.BINARY, "check"], env={**os.environ, "REDIS_URL": redis.url}, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout
