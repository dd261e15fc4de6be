"""Calls the coordinator's scripts by name, with named keys and arguments, and shows the whole state that they leave."""

import project
import state

PREFIX = "{rma}:"

# Names of keys that end in ':' are themselves the beginning of many keys.
KEYS = {name: name + ":" for name in ("worker", "registration", "service", "model", "region", "identity", "fingerprint",
                                      "credential", "limit", "joined")}
KEYS["prefix"] = ""  # of all keys

NOW = 1_900_000_000_000  # a moment; tests count seconds from it
TIMEOUT = 300_000
REMOVAL = 1_500_000
REVIVE = 86_400_000
MISSED = 45_000
INTERVAL = 30_000


class Scripts:
    def __init__(self, redis, clock):
        self.redis = redis.client
        self._clock = clock
        self.at(0)

    def at(self, seconds):
        """Stops Redis's clock so many seconds after NOW: what a script writes is exact."""
        self._clock.stop_at(NOW + seconds * 1000)

    def now(self):
        """The moment at which Redis's clock stands, in ms."""
        seconds, microseconds = self.redis.time()
        return seconds * 1000 + microseconds // 1000

    @staticmethod
    def names():
        return sorted(path.stem for path in project.SCRIPTS.glob("*.args"))

    @staticmethod
    def interface(name):
        """(keys, arguments) of a script, by name, in order."""
        lines = [line.split() for line in (project.SCRIPTS / f"{name}.args").read_text().splitlines()]
        return ([word for kind, word, *_ in lines if kind == "key"], [word for kind, word, *_ in lines if kind == "arg"])

    def call_raw(self, name, keys, args):
        return self.redis.eval((project.SCRIPTS / f"{name}.lua").read_text(), len(keys), *keys, *args)

    def full_keys(self, name):
        return [PREFIX + KEYS.get(key, key) for key in self.interface(name)[0]]

    def call(self, name, *rest, **args):
        """One call; every argument by its name, then the rest."""
        names = self.interface(name)[1]
        assert set(names) == set(args), f"{name} takes {names}"
        return self.call_raw(name, self.full_keys(name), [*(args[argument] for argument in names), *rest])

    def dump(self):
        return state.dump(self.redis, everything=True)

    def state(self):
        """The whole content with names without the prefix, and for a moment of expiry the whole seconds from NOW until it; without
        the events, which are only ever added to (see events())."""
        content = {}
        for key, (kind, value, expiry) in self.dump().items():
            assert key.startswith(PREFIX), key
            if key == PREFIX + "stats":
                value = {name: count for name, count in value.items() if not name.startswith("event:")}
            if key == PREFIX + "events" or not value:
                continue
            content[key[len(PREFIX):]] = (kind, value, None if expiry is None else (expiry - NOW) // 1000)
        return content

    def events(self):
        """What has been told so far, oldest first: [(kind, reason, worker, status)]"""
        entries = [entry for _, entry in self.redis.xrange(PREFIX + "events")]
        return [(entry["event"], entry["reason"], entry["worker_id"], entry["status"]) for entry in entries]

    # -- the operations, with what most tests take for granted ----------------------------------------------------------------

    def register(self, worker_id="", at=0, fields=(), **args):
        """-> (id, whether it was known, its assigned services, whether it restarted); or the ms to wait for"""
        self.sweep_once(at, timeout=args.get("timeout", TIMEOUT), revive=args.get("revive", REVIVE))
        given = {"timeout": TIMEOUT, "removal": REMOVAL, "revive": REVIVE, "missed": MISSED, "candidate": "worker-00000000",
                 "worker_id": worker_id, "instance_id": "", "tunnel_url": "", "told_tunnel": "", "fingerprint": "",
                 "looks": "", "origin": "", "caller": "", "machine": "", "tier": 2, "advertised": "",
                 "catalogue": "rag,ner,notes", "also": "", "max_services": 1, "health": "", "join": "", "grant": "", "join_max": 0,
                 "bucket": "", "interval": "", "burst": "", **args}
        answer = self.call("register", *fields, **given)
        if isinstance(answer, int):
            return answer
        worker_id, known, services, restarted, self.conflict = answer
        return worker_id, known == "1", [name for name in services.split(",") if name], restarted == "1"

    @staticmethod
    def beat_of(worker_id, status="healthy", load="0", silence=0, active="", special="", models="", fields=(), health="",
                ignored="", whence="", caller=""):
        """What is "" is not told: it stays as before. `health`: as lua/lib/health.lua has it."""
        said = [str(word) for word in (active, special, models)]
        ranking = " ".join(word or "=" for word in said) if any(said) else ""
        return [worker_id, caller, status, load, silence, ranking, health, ignored, whence, len(fields), *fields]

    def heartbeat(self, *beats, at=0, timeout=TIMEOUT, revive=REVIVE):
        """-> one character for each of the beats (see beat_of)"""
        return self.heartbeat_and_more(*beats, at=at, timeout=timeout, revive=revive)[0]

    def heartbeat_and_lateness(self, *beats, at=0, timeout=TIMEOUT, revive=REVIVE):
        """-> one character for each of the beats; by how many seconds each was late, None where that is not known"""
        results, late, *_ = self.heartbeat_and_more(*beats, at=at, timeout=timeout, revive=revive)
        return results, [None if each == "-" else int(each) / 1000 for each in late.split()]

    def heartbeat_and_more(self, *beats, at=0, timeout=TIMEOUT, revive=REVIVE):
        """-> what the script returns"""
        self.at(at)
        return self.call("heartbeat", *[word for beat in beats for word in beat], timeout=timeout, removal=REMOVAL, revive=revive,
                         interval=INTERVAL, edge_interval=2 * INTERVAL)

    def unregister(self, worker_id):
        return self.call("unregister", worker_id=worker_id, join="")

    def drain(self, worker_id, drain=True, reason="", origin=""):
        """-> the status that it counts as"""
        return self.call("drain", **{"worker_id": worker_id, "drain": "1" if drain else "0", "reason": reason, "from": origin})

    def discover(self, service, model="", most=100, at=0, chance=0, region="", revive=REVIVE):
        """-> (how many workers provide it and take work, ids, best first)"""
        self.sweep_once(at, revive=revive)
        count, *ids = self.call("discover", service=service, model=model, region=region, max=most, random=chance,
                                indexed="0")
        return count, ids

    def import_worker(self, worker_id, fields, at=0, last_heartbeat=0, status="healthy", load="0", **args):
        """-> "live", "offline", "archived" or "known"; last_heartbeat in seconds from NOW"""
        answer, = self.import_workers(self.import_of(worker_id, fields, last_heartbeat, status, load), at=at, **args)
        return {"l": "live", "o": "offline", "a": "archived", "k": "known"}[answer]

    @staticmethod
    def import_of(worker_id="w", fields=(), last_heartbeat=0, status="healthy", load="0"):
        return [worker_id, NOW + last_heartbeat * 1000, status, load, len(fields), *fields]

    def import_workers(self, *workers, at=0, **args):
        """-> one character for each of the workers (see import_of)"""
        self.at(at)
        given = {"timeout": TIMEOUT, "removal": REMOVAL, "revive": REVIVE, **args}
        return self.call("import", *[word for worker in workers for word in worker], **given)

    def stats(self, at=0, most=100, revive=REVIVE):
        """-> (whether there is more to sweep, counters, but for those of events)"""
        more = self.sweep_once(at, most, revive=revive)
        pairs = self.call("stats")
        return more, {field: int(value) for field, value in zip(pairs[::2], pairs[1::2]) if not field.startswith("event:")}

    def services(self, at=0, most=100, revive=REVIVE):
        """-> (whether there is more to sweep, counters)"""
        more = self.sweep_once(at, most, revive=revive)
        pairs = self.call("services")
        return more, {field: int(value) for field, value in zip(pairs[::2], pairs[1::2])}

    def history(self, at=0):
        """-> whether this call kept a point"""
        self.at(at)
        return self.call("history") == "1"

    def beats(self, since, most=100):
        """-> {id: (ledger entry, last heartbeat, when it goes offline, load)} of those that go offline `since` seconds from NOW or
        later"""
        _, *words = self.call("beats", since=NOW + since * 1000, max=most)
        return {worker_id: (entry, int(last), int(offline_at), load)
                for worker_id, entry, last, offline_at, load in zip(words[::5], words[1::5], words[2::5], words[3::5], words[4::5])}

    def swept(self, at, most=50, timeout=TIMEOUT, revive=REVIVE):
        """One sweep -> (whether there is more to sweep, [("offline" or "removed", id, for how many ms it has been silent, None:
        unknown)])"""
        self.at(at)
        more, *words = self.call("sweep", timeout=timeout, removal=REMOVAL, revive=revive, max=most)
        return more[0] == "1", [(kind, worker_id, int(silent) if silent else None)
                             for kind, worker_id, silent in zip(words[::3], words[1::3], words[2::3])]

    def sweep_once(self, at, most=50, timeout=TIMEOUT, revive=REVIVE):
        """What the coordinator does before it reads or registers -> whether there is more to sweep"""
        return self.swept(at, most, timeout, revive)[0]

    def sweep(self, at, revive=REVIVE):
        """Lets the fleet catch up with the time."""
        while self.sweep_once(at, revive=revive):
            pass
