"""What may go wrong around the actors: with one Redis, or with a primary and a replica under Sentinels."""

import contextlib
import itertools
import random
import threading
import time

import redis

from history import History
from waiting import wait_until

ENDED = ("completed", "dead", "cancelled", "expired")
LOADS_WITHIN = 120  # seconds, what Redis has after an hour
LIVE = 500  # tasks at once, from which on producers pause


class World:
    """Three coordinators on one Redis."""

    pause = (0.5, 3)  # seconds between one blow and the next
    pace = 5  # tasks a second, at the least

    def __init__(self, redis, clock, coordinators, seed):
        self._redis, self.clock, self.coordinators = redis, clock, coordinators
        self.seed, self.dice = seed, random.Random(seed)
        self.history = History()
        self.stopping = threading.Event()
        self.drops = 0.02
        self._numbers = itertools.count()
        self.live = 0
        self.done = []

    def redis(self):
        """The server that has the truth."""
        return self._redis

    def next_number(self):
        while self.live > LIVE and not self.stopping.is_set():
            time.sleep(0.1)
        return next(self._numbers)

    def count_live(self):
        """How many tasks have not ended."""
        client = self.redis().client
        queues = [client.hgetall("{rma}:queue:" + name) for name in client.smembers("{rma}:queues")]
        self.live = sum(int(each.get("enqueued", 0)) - sum(int(each.get(state, 0)) for state in ENDED) for each in queues)
        return self.live

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
        self._redis.kill()
        time.sleep(self.dice.random())
        self._redis.restart(within=LOADS_WITHIN)

    def freeze_redis(self):
        self._redis.freeze()
        time.sleep(self.dice.choice([0.3, 3]))
        self._redis.thaw()

    def leap(self):
        self.clock.advance(self.dice.choice([3, 6, 20]))

    def blows(self):
        return [self.kill_coordinator, self.stop_coordinator, self.kill_redis, self.freeze_redis, self.leap]

    def hurt(self):
        what = self.dice.choice(self.blows())
        self.done.append(what.__name__)
        what()
        with contextlib.suppress(redis.RedisError):  # what was hurt may be down still
            self.count_live()

    def heal(self):
        """Waits until everything runs again."""
        for coordinator in self.coordinators:
            coordinator.wait_until_ready(15)

    def summary(self):
        return ""


class SentinelWorld(World):
    """Three coordinators, a primary that takes writes as long as its replica is in step, and Sentinels that fail over."""

    OPTIONS = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "5")
    pause = (2, 10)
    pace = 1

    def __init__(self, group, *more):
        super().__init__(group.servers[0], *more)
        self.group = group

    def redis(self):
        """The one that the Sentinels name; before they agree, the last one."""
        named = {sentinel.primary_port() for sentinel in self.group.sentinels if sentinel.is_running()}
        found = [server for server in self.group.servers if {server.port} == named and server.is_running()]
        self._redis = found[0] if found else self._redis
        return self._redis

    def _replica(self):
        primary = self.redis()
        return next(server for server in self.group.servers if server is not primary)

    def _kill(self, server, seconds):
        server.kill()
        time.sleep(seconds)
        primary = self.redis()
        role = () if server is primary else ("--replicaof", f"127.0.0.1 {primary.port}")
        server.restart(*role, "--repl-diskless-sync-delay", "0", *self.OPTIONS, within=LOADS_WITHIN)

    def kill_redis(self):
        self._kill(self.redis(), self.dice.choice([0.2, 2, 5]))

    def kill_replica(self):
        self._kill(self._replica(), self.dice.random())

    def freeze_redis(self):
        server = self.redis()
        server.freeze()
        time.sleep(self.dice.choice([0.3, 4]))
        server.thaw()

    def fail_over(self):
        """As an operator asks for it: writes that the old primary takes meanwhile are lost unless its replica has them."""
        try:
            self.dice.choice(self.group.sentinels).client.execute_command("SENTINEL", "FAILOVER", "fleet")
        except redis.RedisError:  # one is under way, or there is no good replica
            self.done[-1] += " (refused)"

    def kill_sentinel(self):
        sentinel = self.dice.choice(self.group.sentinels)
        sentinel.kill()
        time.sleep(self.dice.random())
        sentinel.start()

    def blows(self):
        return super().blows() + [self.kill_replica, self.fail_over, self.kill_sentinel]

    def heal(self):
        assert self.group.failovers() > 0, "Redis has not failed over: give it more CHAOS_SECONDS"

        def is_whole():
            client = self.redis().client
            return client.role()[0] == "master" and client.info("replication")["min_slaves_good_slaves"] >= 1
        wait_until(is_whole, within=60, what="there is a primary with a replica in step")
        super().heal()

    def summary(self):
        return f"{self.group.failovers()} failovers, "
