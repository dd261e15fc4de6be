"""Long random lives of tasks, with time passing in leaps: after every step the indexes, counters and hashes agree, each lease took
the most urgent task that it might, of its queue the first, leases of a task never overlap, and each task has moved only as the
states allow."""

import itertools
import random

import pytest
import redis as redis_library

import task_invariants
from scripts import INTERVAL, REMOVAL, REVIVE
from tasks import GPU_4, GPU_16

WORKERS = ["w1", "w2", "w3", "w4"]
QUEUES = ["a", "b", "c"]
SERVICES = ["ocr", "rag", "ner"]
DEMANDS = [("a", ""), ("a", ""), ("s:ocr", ""), ("s:rag", "tier=2"), ("t:2", ""), ("t:1", ""), ("m:m1", ""),
           ("g", "gpu=8000000000"),
           ("a", "label.rack=b"), ("w:w1", "")]
MOVES = {
    None: {"queued", "scheduled"},
    "queued": {"leased", "cancelled", "expired"},
    "scheduled": {"queued", "cancelled", "expired"},
    "leased": {"queued", "scheduled", "completed", "dead", "cancelled", "expired"},
    "dead": {"queued"},
}
# What one step may do in between, since sweeps do several at once.
for state in ("completed", "cancelled", "expired"):
    MOVES[state] = set()
TIMEOUT = 300_000


class Life:
    def __init__(self, tasks, seed):
        self.tasks = tasks
        self.dice = random.Random(seed)
        self.seconds = 0
        self.made = 0
        self.polls = itertools.count()
        self.leases = {}  # (worker, task) -> leases that it was given
        self.asks = []    # (worker, id of the ask, its answer)
        self.states = {}
        self.seqs = {}
        self.replaced = set()

    def register(self):
        worker = self.dice.choice(WORKERS)
        services = ",".join(self.dice.sample(SERVICES, self.dice.randrange(3)))
        self.tasks.worker(worker, self.seconds, services, self.dice.choice([None, "1", "2"]), self.dice.choice(["", "m1", "m1,m2"]),
                          self.dice.choice([1, 2]), hardware=self.dice.choice([GPU_4, GPU_16]),
                          labels=self.dice.choice(["rack=a", "rack=b,x=1"]))

    def heartbeat(self):
        worker, status = self.dice.choice(WORKERS), self.dice.choice(["healthy", "healthy", "healthy", "degraded", "draining",
                                                                      "offline"])
        self.tasks.scripts.call("heartbeat", *self.tasks.scripts.beat_of(worker, status), timeout=TIMEOUT, removal=REMOVAL,
                                revive=REVIVE, interval=INTERVAL, edge_interval=2 * INTERVAL)

    def unregister(self):
        try:
            self.tasks.scripts.unregister(self.dice.choice(WORKERS))
        except redis_library.ResponseError as error:
            assert str(error).startswith("NOTFOUND")

    def enqueue(self):
        batch = []
        for _ in range(self.dice.choice([1, 1, 3, 20])):
            self.made += 1
            group, shape = self.dice.choice(DEMANDS)
            task = {"id": f"t{self.made}", "queue": self.dice.choice(QUEUES), "group": group, "shape": shape,
                    "priority": self.dice.choice([0, 0, 0, -100, 7, 100]),
                    "due": self.dice.choice(["", "", "", "+4000", "+60000", "1900000010000"]),
                    "ttl": self.dice.choice(["", "", "3000", "100000"]), "dedup": self.dice.choice(["", "", "", "d1", "d2"]),
                    "on_conflict": self.dice.choice(["return", "replace"]), "fields": {}}
            for name, value in (("max_attempts", "2"), ("lease_ms", "5000"), ("result_ttl", "0"), ("lease_max_ms", "20000")):
                if self.dice.random() < 0.3:
                    task["fields"][name] = value
            batch.append(task)
        for word, _ in self.tasks.enqueue_all(batch):
            assert word in ("new", "same")

    def best_places(self, worker, queues):
        """{queue: the least place among its lanes that the worker may take from}"""
        dump = self.tasks.scripts.dump()
        able = set(self.abilities(dump, worker))
        places = {}
        for lane, members in task_invariants._under(dump, "ready:").items():
            group, queue, shape = lane.split(" ")
            settings = task_invariants._under(dump, "queue:").get(queue, {})
            full = "limit" in settings and int(settings.get("leased", 0)) >= int(settings["limit"])
            if (group in able and self.fits(dump, worker, shape) and "paused" not in settings and not full
                    and (queues == "*" or queue in queues.split(","))):
                for task, place in members.items():
                    fields = dump[f"{{rma}}:task:{task}"][1]
                    if fields.get("avoid") != worker and "expires_at" not in fields:
                        places[queue] = min(place, places.get(queue, place))
        return places

    def abilities(self, dump, worker):
        online = dump.get(f"{{rma}}:worker:{worker}:online")
        entry = dump.get("{rma}:ledger", (0, {}, 0))[1].get(worker)
        if not entry or not online or online[1] not in ("healthy", "degraded"):
            return []
        tier, _, _, _, services, _, _, models, *_ = entry.split(" ")
        return ["a", "g", "w:" + worker,
                "t:" + tier] + ["s:" + name for name in services.split(",")] + ["m:" + name for name in models.split(",")]

    @staticmethod
    def fits(dump, worker, shape):
        registration = dump[f"{{rma}}:registration:{worker}"][1]
        entry = dump["{rma}:ledger"][1][worker].split(" ")
        return {"": True, "tier=2": entry[0] == "2", "gpu=8000000000": registration.get("hardware") == GPU_16,
                "label.rack=b": "rack=b" in registration.get("labels", "")}[shape]

    def ask(self):
        worker, queues = self.dice.choice(WORKERS), self.dice.choice(["*", "*", "a,b", "c"])
        best = self.best_places(worker, queues)
        held = len(self.tasks.redis.hgetall(f"{{rma}}:held:{worker}"))
        most, poll = self.dice.choice([1, 1, 3, 50]), f"x {next(self.polls)}"  # no two polls of a thread have one name
        request = "=" + poll.split()[1]
        answer = self.tasks.ask(worker, most, queues, request, waiter=self.dice.choice(["", poll, poll, poll]), wait=30_000)
        self.asks.append((worker, request, answer))
        for task in answer.tasks:
            assert task.seq == self.seqs.get(task.id, 0) + 1, "leases of a task are numbered without a gap"
            self.seqs[task.id] = task.seq
            self.leases.setdefault((worker, task.id), []).append(task.lease)
        given = {}
        for task in answer.tasks:
            given.setdefault(task.queue, []).append(float(self.tasks.hash(task.id)["place"]))
        for queue, places in given.items():
            assert places == sorted(places) and places[0] <= best.get(queue, places[0]), (answer.ids, given, best)
        urgency = [100 - task.priority for task in answer.tasks]
        if best and held < 256:
            assert urgency and urgency == sorted(urgency), (answer.ids, best)
            assert urgency[0] <= min(best.values()) // task_invariants.BAND, (answer.ids, best)

    def ask_again(self):
        if self.asks:
            worker, request, _ = self.dice.choice(self.asks[-10:])
            held = {task: entry.split(" ") for task, entry in self.tasks.redis.hgetall(f"{{rma}}:held:{worker}").items()}
            mine = [task for task, entry in held.items() if entry[5] == request]
            if mine:
                answer, = self.tasks.ask_all([(worker, 100, "*", request, "again", "lost", "", "", 0)])
                assert sorted(answer.ids) == sorted(mine)
                for task in answer.tasks:
                    before, ends = (int(word) for word in held[task.id][1:3])
                    assert task.lease == self.leases[worker, task.id][-1]
                    assert before < task.deadline <= ends or before == task.deadline == ends
                self.asks.append((worker, request, answer))

    def _some_lease(self):
        worker, task = self.dice.choice(sorted(self.leases))
        return worker, task, self.dice.choice(["", self.leases[worker, task][-1], self.leases[worker, task][0]])

    def complete(self):
        if self.leases:
            worker, task, lease = self._some_lease()
            before = self.tasks.hash(task)
            word = self.tasks.complete(worker, task, lease)
            if before.get("state") == "leased":
                valid = before["worker_id"] == worker and lease in ("", before["lease"])
                assert (word == "completed") == valid, (word, before, worker, lease)
            else:
                assert word != "completed" or before.get("state") in ("completed", None)

    def fail(self):
        if self.leases:
            worker, task, lease = self._some_lease()
            self.tasks.fail(worker, task, lease, "no", self.dice.random() < 0.8, self.dice.choice(["", "", "0", "9000"]),
                            self.dice.random())

    def touch(self):
        if self.leases:
            self.tasks.touch(*self._some_lease(), self.dice.choice(["", "30000"]), self.dice.choice(["", "50"]), "m")

    def give_back(self):
        if self.asks:
            ask = self.dice.choice(self.asks[-10:])
            self.tasks.give_back(self.dice.choice([ask, ask[:2]]))

    def cancel(self):
        if self.made:
            task = f"t{self.dice.randrange(self.made) + 1}"
            state = self.tasks.redis.hget("{rma}:task:" + task, "state") or "queued"
            if self.dice.random() < 0.2:
                self.tasks.purge(task, self.dice.choice([state, state, "queued"]))
            else:
                self.tasks.cancel(task)

    def retry(self):
        dead = [task for task, _ in self.tasks.pages(state="dead")]
        if dead:
            self.tasks.retry(*dead[:3])

    def set_queue(self):
        self.tasks.set_queue(self.dice.choice(QUEUES),
                             *self.dice.choice([("paused", "1"), ("paused", ""), ("paused", ""), ("limit", "2"),
                                                                          ("limit", "")]))

    def sweep(self):
        self.tasks.scripts.call("sweep", timeout=TIMEOUT, removal=REMOVAL, revive=REVIVE, max=self.dice.choice([1, 50]))

    def pass_time(self):
        self.seconds += self.dice.choice([1, 3, 6, 20, 91, 301])
        self.tasks.at(self.seconds)

    def step(self):
        operation, = self.dice.choices(
            [self.register, self.heartbeat, self.unregister, self.enqueue, self.ask, self.complete, self.fail, self.touch,
             self.give_back, self.ask_again, self.cancel, self.retry, self.set_queue, self.sweep, self.pass_time],
            weights=[2, 3, 1, 5, 9, 6, 4, 2, 1, 2, 1, 1, 1, 3, 3])
        operation()
        return operation.__name__

    def look(self):
        """Checks what has become of each task since the last look."""
        dump = self.tasks.scripts.dump()
        problems = task_invariants.faults(dump, self.tasks.now())
        states = {task: fields["state"] for task, (fields, _) in task_invariants.tasks_of(dump).items()}
        for task, state in states.items():
            before = self.states.get(task)
            allowed = MOVES[before] | {before}
            if state not in allowed:  # by way of one other
                assert any(state in MOVES[way] for way in allowed if way), f"{task} went from {before} to {state}"
        self.states.update(states)
        return problems


@pytest.mark.parametrize("seed", range(8))
def test_tasks_and_indexes_agree(tasks, seed):
    life, history = Life(tasks, seed), []
    life.tasks.at(0)
    for _ in range(200):
        history.append(life.step())
        problems = life.look()
        assert not problems, (history[-5:], problems)
    # whoever is left does what is left: nothing is stuck
    for queue in QUEUES:
        tasks.set_queue(queue, "paused", "")
        tasks.set_queue(queue, "limit", "")
    for _ in range(60):
        life.seconds += 1000
        tasks.worker("w1", life.seconds, "ocr,rag,ner", None, "m1", 1, hardware=GPU_16, labels="rack=b")
        tasks.worker("w2", life.seconds, "ocr,rag,ner", None, "m1", 2, hardware=GPU_16, labels="rack=b")
        tasks.sweep(life.seconds)
        for worker in ("w1", "w2"):
            for task in tasks.ask(worker, 100).tasks:
                assert tasks.complete(worker, task.id, task.lease) == "completed"
        tasks.check()
    live = [task for task, (fields, _) in task_invariants.tasks_of(tasks.scripts.dump()).items()
            if fields["state"] not in task_invariants.ENDED]
    assert not live, live
    life.seconds += 31 * 86400
    tasks.at(life.seconds)
    tasks.redis.delete("{rma}:events")
    for _ in range(30):
        tasks.sweep(life.seconds)
    left = {key for key in tasks.scripts.dump() if key.startswith(
        tuple("{rma}:" + name for name in ("task:", "ready:", "lanes:", "groups", "held:", "scheduled:", "expiring:", "completed:",
                                           "dead:", "cancelled:", "expired:", "dedup:", "agenda", "leases", "queue_lanes:")))}
    assert left <= {"{rma}:leases"}, left
