"""Long random lives of a fleet, with time passing in leaps: the books agree after every step, and with the workers after a
sweep."""

import random

import pytest
import redis as redis_library

import invariants
from scripts import NOW, REMOVAL

IDS = [f"w{number}" for number in range(12)] + ["", "", ""]
INSTANCES = ["", "", "i1", "i2", "i3"]
TUNNELS = ["", "", "t1", "t2", "t3"]
SERVICES = ["ocr", "rag", "translate", "ner", "-", "a:b"]
REGIONS = ["", "", "fra", "lhr", "no region"]
FAR = 500_000
ADDRESSES = ["198.51.100.1", "198.51.100.2", "2001:db8::1"]
MOVES = ["198.51.100.1 tunnel_url=t1", "198.51.100.3 ip_address=10.0.0.1 port=8000", " tunnel_url=t2 ip_address=10.0.0.2",
         "198.51.100.2 vpn_ip=10.1.1.1"]
MODELS = ["m", "x/y:7", "-"]
STATUSES = ["healthy", "healthy", "degraded", "draining", "offline"]
# Everything happens at whole seconds and expires between them: never in the moment in which it is looked at.
TIMEOUT = 300_500
SILENCE = 600_500
CATALOGUE = {1: "vision,vllm", 2: "rag,ner,notes", 3: "postgres", 4: "edge-proxy"}
HOUR, DAY = 3600, 86400


class Life:
    """Random operations on the scripts, from one seed."""

    def __init__(self, scripts, seed, revive):
        self.scripts = scripts
        self.dice = random.Random(seed)
        self.revive = revive
        self.seconds = 0
        self.made = 0
        self.revived = 0
        self.ends = {}  # id -> the moment at which its registration is forgotten if nothing more is heard of it

    def registration(self):
        """(arguments of register, fields)"""
        self.made += 1
        tier = self.dice.choice([1, 2, 2, 2, 3, 4])
        instance, tunnel = self.dice.choice(INSTANCES), self.dice.choice(TUNNELS)
        advertised = self.dice.sample(SERVICES, self.dice.randrange(3))
        fields = ["services", "[" + ",".join(f'"{name}"' for name in advertised) + "]"]
        fields += ["instance_id", instance] if instance else []
        fields += ["tunnel_url", tunnel] if tunnel else []
        region = self.dice.choice(REGIONS)
        fields += ["region", region] if region else []
        return {"candidate": f"made-{self.made}", "instance_id": instance, "tunnel_url": tunnel, "tier": tier,
                "advertised": ",".join(advertised)}, fields

    def health(self):
        """What is told of some services, or of none."""
        told = self.dice.sample(SERVICES, self.dice.choice([0, 0, 1, 2]))
        return ",".join(self.dice.choice(["", "!"]) + name for name in told)

    def register(self):
        args, fields = self.registration()
        worker_id = self.dice.choice(IDS)
        looks = self.dice.choice(["", "f1", "f2"]) if not worker_id and not args["instance_id"] else ""
        self.scripts.register(worker_id, at=self.seconds, timeout=TIMEOUT, revive=self.revive, fields=fields, fingerprint=looks,
                              **self.whence(looks),
                              catalogue=CATALOGUE[args["tier"]], also="rag,ner" if args["tier"] == 1 else "",
                              max_services=self.dice.choice([1, 1, 1, 3]), health=self.health(), **args)

    def whence(self, looks):
        """Where a registration comes from, and which machine sends it."""
        address = self.dice.choice(ADDRESSES)
        return {"caller": self.dice.choice(["", "@" + address, "~" + address]), "origin": address,
                "machine": self.dice.choice(["", "b:1", "b:2", "h:3"]),
                "looks": looks and self.dice.choice(["", "l" + looks])}

    def heartbeat(self):
        known = [key.rpartition("registration:")[2] for key in sorted(self.scripts.redis.keys("{rma}:registration:*"))] + ["nobody"]
        beats = []
        for _ in range(self.dice.randrange(1, 6)):
            active, special, models, fields = "", "", "", []
            if self.dice.random() < 0.3:
                active = str(self.dice.randrange(4))
                fields += ["active_requests", active]
            if self.dice.random() < 0.3:
                special = self.dice.choice(SERVICES)
                fields += ["specialization", special]
            if self.dice.random() < 0.3:
                names = self.dice.sample(MODELS, self.dice.randrange(3))
                models = ",".join(name for name in names if name != "-") or "-"
                fields += ["loaded_models", "[" + ",".join(f'"{name}"' for name in names) + "]"]
            beats.append(self.scripts.beat_of(self.dice.choice(known), self.dice.choice(["", *STATUSES]),
                                              self.dice.choice(["", *[str(self.dice.randrange(101) / 100)] * 3]),
                                              self.dice.choice([0, 0, 0, SILENCE]), active, special, models, fields, self.health(),
                                              whence=self.dice.choice(["", *ADDRESSES, *MOVES])))
        answer = self.scripts.heartbeat(*beats, at=self.seconds, timeout=TIMEOUT, revive=self.revive)
        self.revived += answer.count("2")

    def unregister(self):
        self._of_known(self.scripts.unregister)

    def drain(self):
        self._of_known(lambda worker_id: self.scripts.drain(worker_id, self.dice.choice([True, False])))

    def _of_known(self, operation):
        """Operates on some worker: it succeeds if there is one of that id, else there is none to be found."""
        worker_id = self.dice.choice(IDS[:12])
        known = self.scripts.redis.exists("{rma}:worker:" + worker_id)
        try:
            operation(worker_id)
        except redis_library.ResponseError as error:
            assert not known and str(error).startswith("NOTFOUND")
        else:
            assert known

    def import_worker(self):
        args, fields = self.registration()
        worker_id = self.dice.choice(IDS[:12])
        assigned = CATALOGUE[args["tier"]].split(",")[0]
        provides = dict.fromkeys([assigned, *(name for name in args["advertised"].split(",") if name)])
        fields += ["tier", args["tier"], "registered_at", NOW, "assigned_services", assigned, "provides", ",".join(provides)]
        fields += self.dice.choice([[], ["drained", "1"], ["fingerprint", "f1"]])
        answer = self.scripts.import_worker(
            worker_id, fields, at=self.seconds, last_heartbeat=self.seconds - self.dice.choice([0, 10, 301, 1000, 2000, DAY]),
            status=self.dice.choice(STATUSES), load=str(self.dice.randrange(101) / 100), timeout=TIMEOUT, revive=self.revive)
        if answer == "archived":
            self.ends[worker_id] = NOW + self.seconds * 1000 + self.revive

    def discover(self):
        service, model, most = self.dice.choice(SERVICES), self.dice.choice(["", *MODELS]), self.dice.choice([1, 3, 100])
        region = self.dice.choice(REGIONS)
        _, ids = self.scripts.discover(service, model, most, at=self.seconds, chance=self.dice.random(), region=region,
                                       revive=self.revive)
        dump = self.scripts.dump()
        listed = {worker_id: rank for worker_id, rank in dump.get(f"{{rma}}:service:{service}", (0, {}, 0))[1].items()
                  if rank < invariants.BANDS["draining"]}
        having = dump.get(f"{{rma}}:model:{service}/{model}", (0, {}, 0))[1]
        near = dump.get(f"{{rma}}:region:{service}/{region}", (0, {}, 0))[1]

        def order(worker_id):
            rank = listed[worker_id]
            is_far = region not in ("", "no region") and worker_id not in near
            return rank >= invariants.BANDS["degraded"], worker_id not in having, rank + (FAR if is_far else 0)

        ranks, best = [order(worker_id) for worker_id in ids], sorted(map(order, listed))
        assert ranks == best[:most] and len(set(ids)) == len(ids)

    def stats(self):
        self.scripts.stats(at=self.seconds, most=self.dice.choice([1, 2, 100]), revive=self.revive)

    def services(self):
        self.scripts.services(at=self.seconds, most=self.dice.choice([1, 2, 100]), revive=self.revive)

    def pass_time(self):
        self.seconds += self.dice.choice([1, 30, 46, 100, 299, 300, 301, 700, 1500, 2000])
        if self.dice.random() < 0.1:
            self.seconds += self.dice.choice([HOUR, 6 * HOUR, DAY + HOUR])
        self.scripts.at(self.seconds)

    def step(self):
        operation, = self.dice.choices(
            [self.register, self.heartbeat, self.unregister, self.drain, self.import_worker, self.discover, self.stats,
             self.services,
             self.pass_time], weights=[5, 6, 1, 1, 1, 1, 1, 1, 3])
        operation()
        return operation.__name__

    def misplaced(self, dump):
        """Registrations that are not kept aside for as long as they should be."""
        for worker_id, (_, removal) in invariants.workers_of(dump).items():
            self.ends[worker_id] = removal + self.revive
        # of one that was removed before any sweep saw it silent, nobody knows the moment better than to half the timeout
        return {worker_id: (expiry, self.ends.get(worker_id))
                for worker_id, (_, expiry) in invariants.registrations_of(dump).items()
                if expiry is not None and not self.ends.get(worker_id, 0) - TIMEOUT // 2 - 1 < expiry
                <= self.ends.get(worker_id, 0)}


@pytest.mark.parametrize("seed", range(12))
def test_books_and_workers_agree(scripts, seed):
    life = Life(scripts, seed, revive=0 if seed % 4 == 3 else DAY * 1000)
    history = []
    for number in range(200):
        history.append(life.step())
        dump = scripts.dump()
        problems = invariants.books_disagree(dump)
        assert not problems, (history[-5:], problems)
        assert not life.misplaced(dump), history[-5:]
        ledger = dump.get("{rma}:ledger", (0, {}, 0))[1]
        assert invariants.told_statuses(dump) == {worker_id: entry.split(" ")[1]
                                                  for worker_id, entry in ledger.items()}, history[-5:]
        assert invariants.told_events(dump) == invariants.counted_events(dump), history[-5:]
        if number % 5 == 4:
            scripts.sweep(life.seconds, life.revive)
            dump = scripts.dump()
            problems = invariants.faults(dump)
            assert not problems, (history[-10:], problems)
            due = dict(dump.get("{rma}:online", (0, {}, 0))[1]).values()
            assert all(moment > NOW + life.seconds * 1000 for moment in due), "the sweep has left nobody whose moment has come"
    assert (life.revived > 0) == (life.revive > 0)
    life.seconds += 6000
    scripts.sweep(life.seconds, life.revive)
    kept = {key for key in scripts.state() if key != "stats"}
    assert all(key.startswith(("registration:", "identity:")) for key in kept) and (life.revive > 0 or not kept), kept
    assert invariants.stored_counters(scripts.dump()) == {}
    assert not life.misplaced(scripts.dump())
    scripts.at(life.seconds + DAY)
    assert {key for key in scripts.state() if key != "stats"} == set()
