"""Long random lives of a fleet, with time passing in leaps: the books agree after every step, and with the workers after a sweep."""

import random

import pytest
import redis as redis_library

import invariants

IDS = [f"w{number}" for number in range(12)] + ["", "", ""]
INSTANCES = ["", "", "i1", "i2", "i3"]
TUNNELS = ["", "", "t1", "t2", "t3"]
SERVICES = ["ocr", "rag", "translate", "ner"]
# Everything happens at whole seconds and expires between them: never in the moment in which it is looked at.
TIMEOUT = 300_500
SILENCE = 600_500
CATALOGUE = {1: "vision,vllm", 2: "rag,ner,notes", 3: "postgres", 4: "edge-proxy"}


class Life:
    """Random operations on the scripts, from one seed."""

    def __init__(self, scripts, seed):
        self.scripts = scripts
        self.dice = random.Random(seed)
        self.seconds = 0
        self.made = 0

    def register(self):
        self.made += 1
        tier = self.dice.choice([1, 2, 2, 2, 3, 4])
        instance, tunnel = self.dice.choice(INSTANCES), self.dice.choice(TUNNELS)
        advertised = self.dice.sample(SERVICES, self.dice.randrange(3))
        fields = ["services", "[" + ",".join(f'"{name}"' for name in advertised) + "]"]
        fields += ["instance_id", instance] if instance else []
        fields += ["tunnel_url", tunnel] if tunnel else []
        self.scripts.register(self.dice.choice(IDS), at=self.seconds, timeout=TIMEOUT, fields=fields,
                              candidate=f"made-{self.made}", instance_id=instance, tunnel_url=tunnel, tier=tier, advertised=",".join(advertised), catalogue=CATALOGUE[tier],
                              also="rag,ner" if tier == 1 else "", max_services=self.dice.choice([1, 1, 1, 3]))

    def heartbeat(self):
        known = sorted(self.scripts.redis.zrange("{rma}:workers", 0, -1)) + ["nobody"]
        beats = [self.scripts.beat_of(self.dice.choice(known), self.dice.choice(["healthy", "healthy", "degraded", "draining", "offline"]),
                                      str(self.dice.randrange(101) / 100), self.dice.choice([0, 0, 0, SILENCE]))
                 for _ in range(self.dice.randrange(1, 6))]
        self.scripts.heartbeat(*beats, at=self.seconds, timeout=TIMEOUT)

    def unregister(self):
        try:
            self.scripts.unregister(self.dice.choice(IDS[:12]))
        except redis_library.ResponseError as error:
            assert str(error).startswith("NOTFOUND")

    def stats(self):
        self.scripts.stats(at=self.seconds, most=self.dice.choice([1, 2, 100]))

    def pass_time(self):
        self.seconds += self.dice.choice([1, 30, 100, 299, 300, 301, 700, 1500, 2000])
        self.scripts.at(self.seconds)

    def step(self):
        operation, = self.dice.choices([self.register, self.heartbeat, self.unregister, self.stats, self.pass_time],
                                       weights=[5, 5, 1, 1, 2])
        operation()
        return operation.__name__


@pytest.mark.parametrize("seed", range(8))
def test_books_and_workers_agree(scripts, seed):
    life = Life(scripts, seed)
    history = []
    for number in range(150):
        history.append(life.step())
        problems = invariants.books_disagree(scripts.dump())
        assert not problems, (history[-5:], problems)
        if number % 5 == 4:
            scripts.sweep(life.seconds)
            problems = invariants.faults(scripts.dump())
            assert not problems, (history[-10:], problems)
    life.seconds += 6000
    scripts.sweep(life.seconds)
    assert {key for key in scripts.state() if key != "stats"} == set()
    assert invariants.stored_counters(scripts.dump()) == {}
