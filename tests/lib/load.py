"""Threads that register workers and send heartbeats all the time, and remember what the coordinator has acknowledged."""

import contextlib
import itertools
import threading
import time

import http_client
from waiting import wait_until


class Attempt:
    """One request of the load: how it ended (a status, or an exception) and how long it took."""

    def __init__(self, coordinator, kind, started, outcome, headers):
        self.coordinator = coordinator
        self.kind = kind
        self.started = started
        self.latency = time.monotonic() - started
        self.outcome = outcome
        self.headers = headers

    @property
    def ok(self):
        return self.outcome == 200

    def __repr__(self):
        return f"<{self.kind} at {self.coordinator.name}: {self.outcome!r} after {self.latency:.3f} s>"


class Load:
    """Threads, spread over the coordinators. Each registers a worker, sends some heartbeats for it, and goes on to the next one."""

    def __init__(self, coordinators, threads=4, beats_per_worker=4, prefix="load", pause=0.002):
        self._coordinators = list(coordinators)
        self._threads = threads
        self._beats = beats_per_worker
        self._prefix = prefix
        self._pause = pause
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.attempts = []
        self.registered = set()   # ids whose registration was answered 200
        self.beats = {}           # id -> the active_requests number of the newest acknowledged heartbeat

    @contextlib.contextmanager
    def running(self):
        """Runs the load during the block, which begins when the load is warm."""
        workers = [threading.Thread(target=self._run, args=(index,), daemon=True) for index in range(self._threads)]
        for worker in workers:
            worker.start()
        try:
            wait_until(lambda: len(self.registered) >= self._threads, what="the load is warm")
            yield self
        finally:
            self._stop.set()
            for worker in workers:
                worker.join(timeout=30)
                assert not worker.is_alive(), "a request of the load hung for 30 s"

    def _run(self, index):
        coordinator = self._coordinators[index % len(self._coordinators)]
        connection = None
        for number in itertools.count():
            worker_id = f"{self._prefix}-{index}-{number}"
            steps = [("register", "/api/worker/register",
                      {"worker_id": worker_id, "capabilities": {"cpu_cores": 8, "ram": "15.6GB"}})]
            steps += [("beat", "/api/worker/heartbeat", {"worker_id": worker_id, "active_requests": beat, "current_load": 0.25})
                      for beat in range(1, self._beats + 1)]
            for kind, path, body in steps:
                if self._stop.is_set():
                    if connection:
                        connection.close()
                    return
                if connection is None:
                    connection = http_client.Connection(coordinator.port)
                attempt = self._attempt(coordinator, connection, kind, path, body)
                if isinstance(attempt.outcome, Exception) or attempt.headers.get("Connection", "").lower() == "close":
                    connection.close()
                    connection = None
                if not attempt.ok and kind == "register":
                    break
                time.sleep(self._pause if attempt.ok else 0.02)

    def _attempt(self, coordinator, connection, kind, path, body):
        started = time.monotonic()
        headers = {}
        try:
            response = connection.request("POST", path, body)
            outcome, headers = response.status, response.headers
        except Exception as error:  # whatever a socket or http.client can throw is an outcome here
            outcome = error
        attempt = Attempt(coordinator, kind, started, outcome, headers)
        worker_id = body["worker_id"]
        with self._lock:
            self.attempts.append(attempt)
            if attempt.ok and kind == "register":
                self.registered.add(worker_id)
            elif attempt.ok:
                self.beats[worker_id] = body["active_requests"]
        return attempt

    # -- the outcome --------------------------------------------------------------------------------------------------------

    def since(self, moment):
        """Returns the attempts that began after a time.monotonic() moment."""
        with self._lock:
            return [attempt for attempt in self.attempts if attempt.started >= moment]

    @property
    def failures(self):
        with self._lock:
            return [attempt for attempt in self.attempts if not attempt.ok]

    def succeeds_again(self, moment, within):
        """Waits for a success of each coordinator's load that began after the moment."""
        def all_did():
            return {attempt.coordinator.name for attempt in self.since(moment) if attempt.ok} >= \
                {coordinator.name for coordinator in self._coordinators}
        wait_until(all_did, within=within, what="the load succeeds again at every coordinator")

    def assert_no_registration_is_lost(self, coordinator):
        """Checks that every acknowledged registration is listed. Returns the list."""
        rows = coordinator.workers()
        missing = self.registered - rows.keys()
        assert not missing, f"{len(missing)} of {len(self.registered)} acknowledged registrations are lost: {sorted(missing)[:5]}"
        return rows

    def assert_nothing_acknowledged_is_lost(self, coordinator):
        """Checks that every acknowledged registration is listed, with its newest acknowledged heartbeat or a newer one."""
        rows = self.assert_no_registration_is_lost(coordinator)
        for worker_id, beat in self.beats.items():
            stored = rows[worker_id]["active_requests"]
            assert stored is not None and stored >= beat, f"{worker_id}: heartbeat {beat} was acknowledged, {stored} is stored"
