"""Producers and workers that go on whatever happens to their requests."""

import http.client
import json
import random
import threading
import time
import uuid

TROUBLE = (OSError, http.client.HTTPException, ValueError)


class Actor(threading.Thread):
    def __init__(self, world, name):
        super().__init__(name=name, daemon=True)
        self.world = world
        self.dice = random.Random(f"{world.seed} {name}")
        self.error = None

    def run(self):
        try:
            while not self.world.stopping.is_set():
                self.act()
        except Exception as error:  # a fault of the harness: the test tells of it
            self.error = error

    def call(self, method, path, body=None, headers=None, timeout=8):
        """-> (status, answer); (None, None) when there was no answer."""
        coordinator = self.dice.choice(self.world.coordinators)
        connection = http.client.HTTPConnection("127.0.0.1", coordinator.port, timeout=timeout)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json", **(headers or {})})
            if self.dice.random() < self.world.drops:
                return None, None  # the connection ends between the request and its answer
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except TROUBLE:
            return None, None
        finally:
            connection.close()

    def insist(self, *request, within=60, **more):
        """Asks until there is an answer that is none of 5xx; None when there is none in time."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            status, answer = self.call(*request, **more)
            if status is not None and status < 500:
                return status, answer
            time.sleep(0.05)
        return None


class Producer(Actor):
    def act(self):
        number = self.world.next_number()
        task = {"type": "chaos", "queue": self.dice.choice(["a", "b"]), "payload": {"number": number}, "lease_seconds": 5,
                "max_attempts": 50,
                "priority": self.dice.choice([0, 0, 5]), "retry_delay_seconds": 0.2, "retry_max_seconds": 1}
        if self.dice.random() < 0.1:
            task["delay_seconds"] = 1
        done = self.insist("POST", "/api/tasks", task, {"Idempotency-Key": uuid.uuid4().hex})
        if done:
            assert done[0] in (200, 201), done
            self.world.history.note_submitted(done[1]["task_id"], number)
        time.sleep(self.dice.random() * 0.05)


class Worker(Actor):
    boot = None

    def register(self):
        self.boot = uuid.uuid4().hex
        return self.insist("POST", "/api/worker/register", {"worker_id": self.name, "boot_id": self.boot, "capabilities": {}})

    def act(self):
        if self.boot is None and not self.register():
            return
        # waits for longer than any outage, so that an ask that was served is known by its id
        answer = self.insist("GET", f"/api/worker/tasks?worker_id={self.name}&max={self.dice.choice([1, 1, 3])}&wait=2"
                             f"&request_id={uuid.uuid4().hex}")
        if answer is None or answer[0] == 404:
            self.boot = None
            return
        assert answer[0] == 200, answer
        tasks = self.note_given(answer[1]["tasks"])
        if self.dice.random() < 0.03:  # killed: it comes back later, started anew
            time.sleep(self.dice.random() * 2)
            self.boot = None
            return
        while tasks:
            tasks.extend(self.work(tasks.pop(0)))
        self.call("POST", "/api/worker/heartbeat", {"worker_id": self.name, "tasks": []})

    def note_given(self, tasks):
        for task in tasks:
            self.world.history.note_given(task["task_id"], task["lease_seq"], self.name + " " + self.boot)
        return tasks

    def work(self, task):
        """-> the next tasks, for which the report about this one asks now and then"""
        luck = self.dice.random()
        time.sleep(6 if luck < 0.01 else self.dice.random() * 0.02)  # sometimes beyond its lease
        names = {"worker_id": self.name, "task_id": task["task_id"], "lease": task["lease"]}
        following = f"?next={self.dice.choice([1, 1, 3])}&request_id={uuid.uuid4().hex}" if self.dice.random() < 0.4 else ""
        if luck > 0.93:
            outcome, done = "failed", self.insist("POST", "/api/worker/task-fail" + following, {**names, "error": "chaos"})
        else:
            outcome, done = "completed", self.insist("POST", "/api/worker/task-complete" + following,
                                                     {**names, "result": {"seq": task["lease_seq"]}})
        if done and done[0] == 200:
            self.world.history.note(outcome, task["task_id"], task["lease_seq"])
        elif done:
            assert done[0] == 409, done
            self.world.history.note("refused", task["task_id"], task["lease_seq"])
        return self.note_given(done[1].get("tasks", [])) if done else []
