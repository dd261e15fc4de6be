"""Everything at once at full speed, for ENDURANCE_SECONDS: heartbeats, registrations, events, listings, tasks, requests that are
passed on, and kills. One coordinator is never killed: its memory and its descriptors must stay what they were after the first sixth
of the time, and so must Redis's memory. Afterwards the counters follow from the ledger. From five minutes on, p99 of the last
minute must be like that of the first."""

import os
import random
import subprocess
import threading
import time

import invariants
import processes
import project
from everybody import CROWD
from peers import reply, serving
from waiting import let_pass, wait_until

SECONDS = float(os.environ.get("ENDURANCE_SECONDS", "25"))
SEED = os.environ.get("ENDURANCE_SEED") or str(random.SystemRandom().randrange(10 ** 6))
LONG = SECONDS >= 300
GROWTH_MB = 12 if project.MODE == "release" else 60  # what a sanitizer keeps of freed memory and of its own is not ours
REDIS_GROWTH_MB = 8
# A sanitizer's memory must not hide ours: what is freed is kept for a moment only.
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=1:exitcode=99:quarantine_size_mb=4:malloc_context_size=5",
              "TSAN_OPTIONS": "exitcode=98:halt_on_error=0:history_size=2"}


class World:
    def __init__(self, redis, coordinators, service_url):
        self.redis, self.coordinators, self.service_url = redis, coordinators, service_url
        self.steady, self.seed, self.dice = coordinators[0], SEED, random.Random(SEED)
        self.over = threading.Event()
        self._latencies, self._lock = [], threading.Lock()
        self._many = (0, False)

    def note_latency(self, moment, seconds):
        with self._lock:
            self._latencies.append((moment, seconds))

    def p99_ms(self, since, until):
        within = sorted(seconds for moment, seconds in self._latencies if since <= moment < until)
        return within[int(len(within) * 0.99)] * 1000 if within else 0

    def has_many_tasks(self):
        since, was = self._many
        if time.monotonic() - since > 0.5:
            try:
                was = sum(int(self.redis.client.zcard(key))
                          for key in self.redis.client.scan_iter("{rma}:ready:*", count=1000)) > 300
            except Exception:  # Redis is away for a moment
                was = True
            self._many = (time.monotonic(), was)
        return was

    # -- what goes wrong -----------------------------------------------------------------------------------------------------------

    def kill_a_coordinator(self):
        victim = self.dice.choice(self.coordinators[1:])
        victim.kill()
        let_pass(self.dice.random() / 2)
        victim.start()

    def stop_a_coordinator(self):
        victim = self.dice.choice(self.coordinators[1:])
        victim.stop()
        victim.start()

    def cut_connections(self):
        self.redis.client.client_kill_filter(_type="normal", skipme=True)

    def restart_redis(self):
        self.redis.kill()
        self.redis.restart(within=60)

    def hurt(self):
        self.dice.choice([self.kill_a_coordinator, self.stop_a_coordinator, self.cut_connections, self.restart_redis])()


class Figures:
    """Memory and descriptors of the coordinator that is never killed, and the memory of Redis, as the time goes on."""

    def __init__(self, world):
        self._world, self.rows = world, []

    def take(self):
        steady, redis = self._world.steady, self._world.redis
        self.rows.append((time.monotonic(), processes.resident_mb(steady.pid), processes.open_descriptors(steady.pid),
                          redis.client.info("memory")["used_memory"] / 1e6))

    def least(self, column, rows):
        """What it has at rest: the least of some moments, since requests come and go."""
        return min(row[column] for row in rows)

    def growth(self, column):
        sixth = max(1, len(self.rows) // 6)
        return self.least(column, self.rows[-sixth:]) - self.least(column, self.rows[sixth:2 * sixth])


def test_everything_at_once(start_redis, start_coordinator, peers):
    redis = start_redis("--appendfsync", "everysec")

    async def answer(connection, request):
        for noted in (connection.peer.requests, peers.requests):  # in an hour they would be gigabytes
            noted.clear()
        await connection.send(reply({"answer": len(request.body)}))

    peer = peers.start(serving(answer))
    settings = {"THREADS": 4, "UPSTREAM_ALLOW": "127.0.0.0/8", **SANITIZERS}
    world = World(redis, [start_coordinator(redis, **settings) for _ in range(3)], peer.url)
    crowd = [kind(world, number) for kind, count in CROWD for number in range(count)]
    for client in crowd:
        client.start()
    figures, began = Figures(world), time.monotonic()
    next_hurt = began + 3
    while time.monotonic() - began < SECONDS:
        let_pass(0.5)
        if time.monotonic() >= next_hurt:
            world.hurt()
            next_hurt = time.monotonic() + world.dice.uniform(2, 8)
        figures.take()
    world.over.set()
    for client in crowd:
        client.join(60)
    ended = time.monotonic()
    errors = [f"{client.name}: {client.error!r}" for client in crowd if client.error or client.is_alive()]
    assert not errors, errors
    minute = min(60, SECONDS / 3)
    first, last = world.p99_ms(began + minute, began + 2 * minute), world.p99_ms(ended - minute, ended)
    answers = sum((client.answers for client in crowd), start=type(crowd[0].answers)())
    print(f"\nseed {SEED}, {project.MODE}: {sum(answers.values())} requests {dict(answers)}; memory of the coordinator "
          f"{figures.rows[-1][1]:.0f} MB"
          f" ({figures.growth(1):+.1f}), descriptors {figures.rows[-1][2]} ({figures.growth(2):+}), memory of Redis "
          f"{figures.rows[-1][3]:.0f} MB"
          f" ({figures.growth(3):+.1f}); p99 of a heartbeat {first:.0f} ms, then {last:.0f} ms")
    assert answers[200] > 20 * SECONDS
    assert figures.growth(1) < GROWTH_MB, [row[1] for row in figures.rows]
    assert figures.growth(2) < 20, [row[2] for row in figures.rows]
    assert not LONG or figures.growth(3) < REDIS_GROWTH_MB, [row[3] for row in figures.rows]
    assert not LONG or last < 2 * first + 10, (first, last)
    wait_until(lambda: processes.open_descriptors(world.steady.pid) < 120, what="the connections are gone")
    wait_until(lambda: not invariants.faults(redis.dump()), what="counters and indexes follow from the ledger")
    checked = subprocess.run([project.BINARY, "check"], env={**os.environ, **SANITIZERS, "REDIS_URL": redis.url},
                             capture_output=True, text=True,
                             timeout=120, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
