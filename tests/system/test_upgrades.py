"""Two versions on one Redis: the one before the format came beside this one, under load, forward and back; and one that can't serve
beside."""

import random
import subprocess
import threading

import pytest

import invariants
import project
import versions
from coordinator import environment
from load import Load
from waiting import let_pass, wait_until

PHASE = 0.7  # seconds of load
MODELS = [None, [], ["Llama3:latest"], ["llama3", "qwen2:7B"], ["m"]]


class Traffic:
    """What a fleet does besides beating: each step goes to any of the coordinators. Notes what was acknowledged."""

    def __init__(self, coordinators):
        self.coordinators = coordinators
        self.random = random.Random(1)
        self.workers = {}     # id -> its last acknowledged active_requests
        self.submitted, self.completed, self.failures = set(), set(), []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()

    def _call(self, path, body=None):
        coordinator = self.random.choice(self.coordinators)
        answer = coordinator.post(path, body) if body is not None else coordinator.get(path)
        if answer.status >= 400:
            self.failures.append((path, body, answer))
        return answer.json if answer.status < 400 else None

    def _run(self):
        while not self._over.is_set():
            worker_id = f"w{self.random.randrange(12)}"
            if worker_id not in self.workers:
                if self._call("/api/worker/register", {"worker_id": worker_id, "capabilities": {}, "services": [{"name": "ocr"}],
                                                       "tunnel_url": f"https://{worker_id}.example"}):
                    self.workers[worker_id] = 0
                continue
            self._beat(worker_id)
            self._work(worker_id)

    def _beat(self, worker_id):
        active = self.random.randrange(5)
        told = {"active_requests": active, "current_load": self.random.random(),
                "status": self.random.choice(["healthy", "healthy", "degraded"]),
                "services_status": {"ocr": self.random.choice(["up", "down"])}, "loaded_models": self.random.choice(MODELS)}
        if self._call("/api/worker/heartbeat",
                      {"worker_id": worker_id, **{name: value for name, value in told.items() if value is not None}}):
            self.workers[worker_id] = active

    def _work(self, worker_id):
        made = self._call("/api/tasks", {"queue": "q", "type": "t", "payload": {"n": len(self.submitted)}})
        if made:
            self.submitted.add(made["task_id"])
        polled = self._call(f"/api/worker/tasks?worker_id={worker_id}&max=2")
        for task in (polled or {}).get("tasks", []):
            report = {"worker_id": worker_id, "task_id": task["task_id"], "lease": task["lease"], "result": 1}
            if self._call("/api/worker/task-complete", report):
                assert task["task_id"] not in self.completed
                self.completed.add(task["task_id"])


def told(redis):
    return [(entry["event"], entry["reason"], entry.get("worker_id")) for _, entry in redis.client.xrange("{rma}:events")
            if entry["event"] in ("offline", "removed", "conflict", "task.lost", "task.dead")]


def assert_whole(redis, traffic, load, coordinators, directory):
    assert traffic.failures == [] and load.failures == []
    assert told(redis) == []
    for coordinator in coordinators:
        load.assert_nothing_acknowledged_is_lost(coordinator)
        rows = coordinator.workers()
        assert {worker_id: rows[worker_id]["active_requests"] or 0 for worker_id in traffic.workers} == traffic.workers
        stats = coordinator.stats()
        assert stats["total_workers"] == len(rows) and stats["offline_workers"] == 0
        for task_id in traffic.submitted:
            state = coordinator.get(f"/api/tasks/{task_id}").json["state"]
            assert state == ("completed" if task_id in traffic.completed else "queued"), (task_id, state)
    invariants.assert_hold(redis.dump())
    checked = subprocess.run([str(project.BINARY), "check"], env=environment({"REDIS_URL": redis.url}), cwd=directory,
                             capture_output=True,
                             text=True, timeout=30)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_version_before_serves_beside_this_one_forward_and_back(redis, make_coordinator, directory):
    """A rolling deploy, and its way back: nothing is lost, counters are right, nobody is offline."""
    def start(count, program=None):
        made = [make_coordinator(redis, THREADS=1, **({"program": program} if program else {})).start() for _ in range(count)]
        return [coordinator.wait_until_ready() for coordinator in made]

    before = versions.build_before()
    old = start(2, before)
    phases = [("old", old)]
    for kind in ("forward", "back", "forward again"):
        phases.append((kind, None))
    for kind, _ in phases:
        if kind == "old":
            serving = old
        elif kind == "back":
            leaving, serving = serving, start(2, before)
        else:
            leaving, serving = serving, start(2)
        both = serving if kind == "old" else leaving + serving
        traffic, load = Traffic(both), Load(both, threads=4, prefix=kind.replace(" ", "-"), beats_per_worker=20)
        with load.running(), traffic:
            let_pass(PHASE)
        assert len(traffic.completed) > 5 and len(load.beats) > 3
        assert_whole(redis, traffic, load, both, directory)
        if kind != "old":
            for coordinator in leaving:
                coordinator.stop()
            assert redis.client.get("{rma}:format") == "1"


@pytest.fixture
def fleet(clock, start_redis, make_coordinator):
    redis = start_redis(clock=clock)

    def start(**settings):
        return make_coordinator(redis, clock=clock, THREADS=1, **settings).start()
    return redis, start


def test_a_version_that_cannot_serve_beside_waits_and_says_for_whom(clock, fleet):
    redis, start = fleet
    older = start(COORDINATOR_ID="the-older-one").wait_until_ready()
    older.register("w")
    before = redis.dump()
    newer = start(program=versions.build_newer(3, 2), COORDINATOR_ID="newer")
    wait_until(lambda: newer.get("/health").json["code"] == "registry-older")
    health = newer.get("/health")
    assert health.status == 503 and "the-older-one" in health.json["detail"]
    assert newer.post("/api/worker/heartbeat", {"worker_id": "w"}).status == 503
    wait_until(lambda: any(line["event"] == "redis_left" and "the-older-one" in line["why"] for line in newer.log_lines()))
    assert redis.dump() == before and redis.client.get("{rma}:format") == "1"
    older.beat("w")
    older.stop()
    clock.advance(31)
    newer.wait_until_ready()
    assert redis.client.get("{rma}:format") == "3"
    newer.beat("w")
    assert newer.worker("w")["status"] == "healthy"
    again = start(COORDINATOR_ID="back")
    wait_until(lambda: again.get("/health").json.get("code") == "registry-newer")
    assert again.post("/api/worker/heartbeat", {"worker_id": "w"}).status == 503


def test_a_version_that_can_serve_beside_does(fleet):
    """The older one that is connected goes on."""
    redis, start = fleet
    older = start(COORDINATOR_ID="older").wait_until_ready()
    older.register("w")
    newer = start(program=versions.build_newer(2, 1), COORDINATOR_ID="newer").wait_until_ready()
    assert redis.client.get("{rma}:format") == "2"
    older.beat("w")
    newer.beat("w")
    assert older.workers().keys() == newer.workers().keys() == {"w"}
    invariants.assert_hold(redis.dump())
