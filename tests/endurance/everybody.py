"""All kinds of clients at once, each as fast as it gets answers, whatever happens to its requests."""

import collections
import http.client
import itertools
import random
import threading
import time

import http_client
from event_stream import EventStream

TROUBLE = (OSError, http.client.HTTPException, ValueError)
NUMBERS = itertools.count()


class Client(threading.Thread):
    """Acts until it is told to stop; keeps one connection to one of the coordinators, and another one after trouble."""

    def __init__(self, world, number):
        super().__init__(name=f"{type(self).__name__.lower()}-{number}", daemon=True)
        self.world, self.dice = world, random.Random(f"{world.seed} {self.name}")
        self.error, self.answers, self._connection, self._to = None, collections.Counter(), None, None

    def run(self):
        try:
            self.begin()
            while not self.world.over.is_set():
                self.act()
        except Exception as error:  # a fault of the harness: the test tells of it
            self.error = error
        finally:
            self._hang_up()

    def begin(self):
        pass

    def _hang_up(self):
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def ask(self, method, path, body=None, headers=None):
        """-> (status, answer); (None, None) without one."""
        if self._connection is None:
            self._to = self.dice.choice(self.world.coordinators)
            self._connection = http_client.Connection(self._to.port, timeout=20)
        began = time.monotonic()
        try:
            response = self._connection.request(method, path, body, headers)
        except TROUBLE:
            self._hang_up()
            self.answers["none"] += 1
            time.sleep(0.02)
            return None, None
        self.answers[response.status] += 1
        if self._to is self.world.steady and method == "POST" and path == "/api/worker/heartbeat" and response.status == 200:
            self.world.note_latency(began, time.monotonic() - began)
        if response.status >= 500:
            time.sleep(0.02)
        if self.dice.random() < 0.002 or response.headers.get("Connection") == "close":
            self._hang_up()
        return response.status, response

    def insist(self, *request):
        while not self.world.over.is_set():
            status, response = self.ask(*request)
            if status is not None and status < 500:
                return status, response
        return None, None


class Worker(Client):
    """Registers, beats, takes tasks, and sometimes leaves and comes back."""

    def begin(self):
        self.insist("POST", "/api/worker/register",
                    {"worker_id": self.name, "boot_id": str(next(NUMBERS)), "capabilities": {"cpu_cores": 8},
                                                     "services": [{"name": "rag", "service_url": self.world.service_url}]})

    def act(self):
        status, _ = self.ask("POST", "/api/worker/heartbeat",
                             {"worker_id": self.name, "status": self.dice.choice(["healthy", "healthy", "degraded"]),
                                                               "current_load": self.dice.random(),
                              "loaded_models": ["llama3.2:3b"]})
        if status == 404:
            self.answers["worker unknown"] += 1
        if status == 404 or self.dice.random() < 0.005:
            self.ask("DELETE", f"/api/worker/unregister/{self.name}")
            self.begin()
        if self.dice.random() < 0.3:
            self._work()

    def _work(self):
        status, response = self.ask("GET", f"/api/worker/tasks?worker_id={self.name}&max=2")
        for task in response.json["tasks"] if status == 200 else ():
            names = {"worker_id": self.name, "task_id": task["task_id"], "lease": task["lease"]}
            if self.dice.random() < 0.1:
                self.insist("POST", "/api/worker/task-fail", {**names, "error": "endurance"})
            else:
                self.insist("POST", "/api/worker/task-complete", {**names, "result": {"done": True}})


class Newcomer(Client):
    """A new worker each time, which leaves again."""

    def act(self):
        worker_id = f"newcomer-{next(NUMBERS)}"
        self.insist("POST", "/api/worker/register",
                    {"worker_id": worker_id, "capabilities": {"gpu_memory": "24GB", "gpu_type": "RTX"}})
        self.ask("POST", "/api/worker/heartbeats",
                 {"heartbeats": [{"worker_id": worker_id, "current_load": 0.5}, {"worker_id": "nobody"}]})
        # the end of the test counts on it
        while self.ask("DELETE", f"/api/worker/unregister/{worker_id}")[0] not in (200, 404):
            pass


class Producer(Client):
    def act(self):
        if self.world.has_many_tasks():
            time.sleep(0.05)
            return
        self.ask("POST", "/api/tasks", {"type": "endurance", "queue": self.dice.choice("ab"), "payload": {"number": next(NUMBERS)},
                                        "result_ttl_seconds": 0, "max_attempts": 50, "retry_delay_seconds": 0.1,
                                        "retry_max_seconds": 0.1})


class Reader(Client):
    """Dashboards and scrapes."""

    PATHS = ("/api/admin/workers", "/api/admin/stats", "/api/admin/health", "/api/services/discover/rag", "/api/worker/find/rag",
             "/metrics",
             "/api/queues", "/api/tasks?limit=10", "/api/admin/history", "/health", "/openapi.json", "/nowhere")

    def act(self):
        self.ask("GET", self.dice.choice(self.PATHS))


class Caller(Client):
    """Requests that are passed on to a worker."""

    def act(self):
        size = self.dice.choice([0, 100, 100_000])
        self.ask("POST", "/api/service/rag/query", {"question": "?" * size})


class Listener(Client):
    """Event streams that come and go."""

    def act(self):
        try:
            stream = EventStream(self.dice.choice(self.world.coordinators).port)
        except TROUBLE:
            time.sleep(0.05)
            return
        self.world.over.wait(self.dice.random() * 2)
        stream.close()


CROWD = ((Worker, 4), (Newcomer, 1), (Producer, 1), (Reader, 2), (Caller, 1), (Listener, 1))
