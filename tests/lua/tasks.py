"""The scripts of tasks, by what they do, on a private Redis whose clock the test moves."""

import itertools

import task_invariants
from scripts import PREFIX

# As a registration keeps it.
GPU_4, GPU_16 = (f"g {size}000000000:{size * 1024} - -" for size in (4, 16))


class Task:
    """One of an answer to an ask."""

    def __init__(self, words):
        (self.id, self.queue, self.type, self.payload, priority, attempt, most, self.lease, lease_ms, deadline, started) = words
        self.priority, self.attempt, self.max_attempts = int(priority), int(attempt), int(most)
        self.lease_ms, self.deadline, self.started = int(lease_ms), int(deadline), int(started)

    @property
    def seq(self):
        return int(self.lease.split(" ")[0])


class Answer:
    def __init__(self, words):
        self.word, self.now = words[0], int(words[1])
        self.lost, self.cancel = words[2].split(), words[3].split()
        self.tasks = [Task(words[at:at + 11]) for at in range(4, len(words), 11)]

    @property
    def ids(self):
        return [task.id for task in self.tasks]


class Tasks:
    def __init__(self, scripts):
        self.scripts = scripts
        self.redis = scripts.redis
        self._nonces = itertools.count()
        self._ids = itertools.count()

    def worker(self, worker_id, at=0, services="", boot=None, models="", tier=2, **fields):
        """Registers a live worker."""
        words = ["services", "[" + ",".join(f'"{name}"' for name in services.split(",") if name) + "]"]
        words += [word for pair in fields.items() for word in pair]
        words += ["boot_id", boot] if boot else []
        self.scripts.register(worker_id, at=at, advertised=services, fields=words, tier=tier)
        if models:
            self.scripts.heartbeat(self.scripts.beat_of(worker_id, models=models, fields=["loaded_models", "[]"]), at=at)

    def enqueue_all(self, tasks):
        """tasks: [{id, queue, group, shape, priority, due, ttl, dedup, on_conflict, key, body, fields}] -> [(word, id)]"""
        words = []
        for task in tasks:
            fields = {"type": "t", "payload": "{}", **task.get("fields", {})}
            for name, default in (("group", "a"), ("shape", ""), ("priority", 0), ("dedup", "")):
                if task.get(name, default) != default:
                    fields[name] = task[name]
            words += [task.get("id") or f"t{next(self._ids)}", task.get("queue", "q"), task.get("group", "a"),
                      task.get("shape", ""),
                      task.get("priority", 0), task.get("due", ""), task.get("ttl", ""), task.get("dedup", ""),
                      task.get("on_conflict", "return"), task.get("key", ""), task.get("body", ""), 2 * len(fields)]
            words += [word for pair in fields.items() for word in pair]
        return [tuple(answer.split(" ")) for answer in self.scripts.call("task_enqueue", *words)[1:]]

    def enqueue(self, task_id=None, **task):
        """-> the word of the answer"""
        return self.enqueue_all([{"id": task_id, **task}])[0][0]

    def ask(self, worker_id, most=1, queues="*", request="-", one_by_one=False, waiter="", since="", wait=0):
        return (self.ask_all([(worker_id, most, queues, request, f"n{next(self._nonces)}", "again" if one_by_one else "", waiter,
                               since, wait)])[0])

    def ask_all(self, asks):
        """asks: the strings of each, of which the lane may be left out"""
        return [Answer(words) for words in self.scripts.call("task_lease", *[word for ask in asks for word in [*ask, ""][:10]])]

    def complete(self, worker_id, task_id, lease="", result="1"):
        return self.scripts.call("task_complete", worker_id, task_id, lease, result)[0]

    def fail(self, worker_id, task_id, lease="", error="broken", retryable=True, after="", random=0.5):
        return self.scripts.call("task_fail", worker_id, task_id, lease, error, "1" if retryable else "0", after, random)[0]

    def touch(self, worker_id, task_id, lease="", extend="", percent="", message=""):
        return self.scripts.call("task_touch", worker_id=worker_id, task_id=task_id, lease=lease, extend=extend, percent=percent,
                                 message=message)

    def cancel(self, task_id):
        return self.scripts.call("task_cancel", task_id)[0]

    def purge(self, task_id, state):
        return self.scripts.call("task_purge", task_id, state)[0]

    def retry(self, *task_ids):
        return self.scripts.call("task_retry", *task_ids)

    def give_back(self, *asks):
        """asks: (worker, id of the ask); and its answer, if that has come"""
        words = []
        for worker, request, *answer in asks:
            words += [worker, request, " ".join(f"{task.id} {task.deadline}" for of in answer for task in of.tasks)]
        return self.scripts.call("task_give_back", *words)

    def news(self, worker_id, works_on=None):
        """-> (how many wait for it, tasks that it lost, tasks to cancel)"""
        waiting, lost, cancel = self.scripts.call("task_news", worker_id, -1 if works_on is None else len(works_on),
                                                  *(works_on or []))[0]
        return waiting, lost.split(), cancel.split()

    def unpark(self, *waiters):
        return self.scripts.call("task_unpark", *waiters)

    def pages(self, most=100, **filters):
        """Every task of a listing, as [(id, {field: value})], page by page."""
        names = ("state", "queue", "type", "priority", "attempts", "max_attempts", "created_at", "available_at", "started_at",
                 "finished_at",
                 "expires_at", "worker_id", "lease_ms", "requirements", "dedup", "progress", "error", "reason", "cancel")
        found, cursor = [], ""
        while True:
            args = {"queue": "", "state": "", "type": "", "worker_id": "", "error": "", **filters}
            cursor, *words = self.scripts.call("task_list", cursor=cursor, max=most, **args)
            rows = [(words[at], dict(zip(names, words[at + 1:at + 20]))) for at in range(0, len(words), 20)]
            assert len(rows) <= most + 1
            found += rows
            if not cursor:
                return found

    def explain(self, task_id):
        words = self.scripts.call("task_explain", task_id=task_id)
        return dict(zip(words[::2], words[1::2]))

    def set_queue(self, queue, field, value):
        return self.scripts.call("queue_set", queue=queue, field=field, value=value)

    def queues(self):
        """{queue: {queued, scheduled, completed, dead, cancelled, expired: how many are there, oldest, other fields of its
        hash}}"""
        _, *words = self.scripts.call("queue_list", **{"from": "", "only": "", "max": 100})
        names = ("queued", "scheduled", "completed", "dead", "cancelled", "expired", "oldest")
        return {words[at]: {**dict(zip(words[at + 8][::2], words[at + 8][1::2])), **dict(zip(names, words[at + 1:at + 8]))}
                for at in range(0, len(words), 9)}

    def at(self, seconds):
        return self.scripts.at(seconds)

    def sweep(self, at):
        self.scripts.sweep(at)

    def hash(self, task_id):
        return self.redis.hgetall(f"{PREFIX}task:{task_id}")

    def state(self, task_id):
        return self.redis.hget(f"{PREFIX}task:{task_id}", "state")

    def now(self):
        seconds, micros = self.redis.time()
        return seconds * 1000 + micros // 1000

    def check(self):
        """Holds the invariants."""
        task_invariants.assert_hold(self.scripts.dump(), self.now())
