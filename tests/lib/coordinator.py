"""Starts, asks, hurts and stops the real binary, and checks its stderr when it has ended."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time

import event_stream
import http_client
import processes
import project
from waiting import PATIENCE, promised, wait_until

SANITIZER_CRIES = ("ERROR: AddressSanitizer", "LeakSanitizer", "runtime error:", "AddressSanitizer:DEADLYSIGNAL",
                   "WARNING: ThreadSanitizer")

# libh2o keeps at most 16 pieces of memory of each of two kinds for reuse, in each thread (see lsan.supp).
RECYCLED_BY_A_THREAD = 32

STOP_WITHIN = 5.0

# The least with which a service worker of the field registers.
CAPABILITIES = {"cpu_cores": 8, "ram": "15.6GB", "storage": "466.0GB"}
GPU_CAPABILITIES = {"cpu_cores": 16, "ram": "62.7GB", "storage": "915.3GB", "gpu_memory": "24564 MiB",
                    "gpu_type": "NVIDIA GeForce RTX 4090"}


def environment(settings, clock=None):
    """Returns the environment of a coordinator: its settings, options of sanitizers, and few variables of this process."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    kept.update(
        ASAN_OPTIONS="detect_leaks=1:exitcode=99",
        LSAN_OPTIONS=f"suppressions={project.LSAN_SUPPRESSIONS}:print_suppressions=1",
        UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1")
    if clock:
        kept.update(clock.environment())
    kept.update({name: str(value) for name, value in settings.items() if value is not None})
    return kept


class Coordinator:
    """One instance. Settings are its environment variables; None removes a default of this class."""

    def __init__(self, directory, name="coordinator", clock=None, prepare=None, program=project.BINARY, **settings):
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.directory = directory
        self.port = None
        self._settings = {"HOST": "127.0.0.1", "PORT": 0, "THREADS": 2, "REGISTRATIONS_PER_MINUTE": 0, **settings}
        self._clock = clock
        self._program = program
        self._prepare = prepare  # called in the child before exec: resource limits
        self._process = None
        self._starts = 0
        self._end_is_expected = False
        self._problems = []

    # -- life -------------------------------------------------------------------------------------------------------------

    def start(self):
        """Starts, and waits for the line that says where it listens."""
        return self.launch().wait_for_start()

    def wait_for_start(self, within=PATIENCE):
        self.port = wait_until(self._listening_port, within=within, what=f"{self.name} says where it listens")
        return self

    def launch(self):
        """Starts and does not wait."""
        assert not self.is_running(), f"{self.name} runs already"
        self._starts += 1
        self._end_is_expected = False
        self.stderr_path = self.directory / f"{self.name}.{self._starts}.stderr"
        with self.stderr_path.open("wb") as stderr:
            self._process = subprocess.Popen([str(self._program)], env=environment(self._settings, self._clock), stderr=stderr,
                                             stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, cwd=self.directory,
                                             preexec_fn=self._prepare, start_new_session=True)
        return self

    def _listening_port(self):
        for line in self.log_lines():
            if "port" in line:
                return line["port"]
        if self._process.poll() is not None:
            self._end_is_expected = True
            raise RuntimeError(f"{self.name} ended at once with {self._process.returncode}: {self.stderr()[-1000:]}")
        return None

    def is_running(self):
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self):
        return self._process.pid

    def send_signal(self, number):
        """Sends a signal. After one that ends the process, call wait_for_end()."""
        if number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            self._end_is_expected = True
        self._process.send_signal(number)

    def wait_for_end(self, within=promised(STOP_WITHIN)):
        """Waits for the process to end; returns its exit code."""
        try:
            return self._process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"{self.name} had not ended after {within} s; stderr: {self.stderr()[-1000:]}") from None

    def stop(self, number=signal.SIGTERM, within=promised(STOP_WITHIN)):
        """Asks it to end, and checks that it does so with 0 in time. Returns the seconds that it took."""
        started = time.monotonic()
        self.send_signal(number)
        code = self.wait_for_end(within)
        assert code == 0, f"{self.name} ended with {code} when asked to stop; stderr: {self.stderr()[-1500:]}"
        return time.monotonic() - started

    def refuses_to_start(self, within=PATIENCE):
        """Starts it and checks that it refuses to start: it ends by itself, and does not crash. Returns its stderr."""
        self.launch()
        self._end_is_expected = True
        code = self.wait_for_end(within)
        assert code > 0, f"{self.name} ended with {code}; stderr: {self.stderr()[-1500:]}"
        return self.stderr()

    def kill(self):
        """kill -9."""
        self.send_signal(signal.SIGKILL)
        self._process.wait()

    def crash(self):
        """Ends it as an assertion of its own does."""
        self._end_is_expected = True
        self._process.send_signal(signal.SIGABRT)
        self._process.wait()

    def finish(self):
        """Call it at the end of a test. Stops the process if it runs, and returns what was wrong in all runs of this instance."""
        problems = []
        if self._process is not None:
            if self.is_running():
                self._process.send_signal(signal.SIGCONT)
                try:
                    self.stop(within=PATIENCE)  # a sanitizer looks for leaks
                except AssertionError as error:
                    problems.append(str(error))
            elif not self._end_is_expected:
                problems.append(f"{self.name} ended unexpectedly with {self._process.returncode}: {self.stderr()[-1500:]}")
            for path in sorted(self.directory.glob(f"{self.name}.*.stderr")):
                text = path.read_text(errors="replace")
                if any(cry in text for cry in SANITIZER_CRIES):
                    problems.append(f"a sanitizer cried in {path.name}: {text[-4000:]}")
                suppressed = re.search(r"^ *(\d+) +\d+ h2o_mem_alloc_recycle$", text, re.MULTILINE)
                threads = self._settings.get("THREADS") or os.cpu_count()
                if suppressed and int(suppressed[1]) > RECYCLED_BY_A_THREAD * int(threads):
                    problems.append(f"{path.name}: {suppressed[1]} leaks of h2o's memory are more than its lists can hold")
        return problems

    # -- what it says -----------------------------------------------------------------------------------------------------

    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def log_lines(self):
        """The JSON objects on stderr."""
        lines = []
        for line in self.stderr().splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    lines.append(entry)
        return lines

    # -- HTTP -------------------------------------------------------------------------------------------------------------

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def request(self, method, path, body=None, headers=None, **more):
        return http_client.request(self.port, method, path, body, headers, **more)

    def get(self, path, headers=None, **more):
        return self.request("GET", path, headers=headers, **more)

    def post(self, path, body=None, headers=None, **more):
        return self.request("POST", path, body, headers, **more)

    def delete(self, path, headers=None):
        return self.request("DELETE", path, headers=headers)

    def connection(self, **more):
        return http_client.Connection(self.port, **more)

    def events(self, headers=None, query=""):
        """Opens a stream of GET /api/events."""
        return event_stream.EventStream(self.port, headers, query=query)

    def raw(self, **more):
        return http_client.RawConnection(self.port, **more)

    # -- the fleet, for tests that are not about these requests -------------------------------------------------------------

    def register(self, worker_id=None, capabilities=None, **members):
        """Registers a worker, by default a service worker; returns the answer."""
        body = {"capabilities": CAPABILITIES if capabilities is None else capabilities, **members}
        if worker_id is not None:
            body["worker_id"] = worker_id
        return self._ok(self.post("/api/worker/register", body))

    def beat(self, worker_id, **members):
        return self._ok(self.post("/api/worker/heartbeat", {"worker_id": worker_id, **members}))

    def unregister(self, worker_id):
        return self._ok(self.delete(f"/api/worker/unregister/{worker_id}"))

    def worker(self, worker_id):
        return self._ok(self.get(f"/api/worker/{worker_id}"))

    def workers(self, query=""):
        """The rows of the list by worker id."""
        rows = self._ok(self.get("/api/admin/workers" + query))["workers"]
        by_id = {row["worker_id"]: row for row in rows}
        assert len(by_id) == len(rows), "a worker is listed twice"
        return by_id

    def stats(self):
        return self._ok(self.get("/api/admin/stats"))

    def is_alive(self):
        return self.get("/livez").status == 200

    def is_ready(self):
        return self.get("/readyz").status == 200

    def wait_until_ready(self, within=PATIENCE):
        """Waits until all its threads reach Redis. It asks many times, since the kernel spreads connections over the threads."""
        wait_until(lambda: all(self.is_ready() for _ in range(25)), within=within, what=f"{self.name} is ready")
        return self

    def memory_mb(self):
        return processes.resident_mb(self.pid)

    @staticmethod
    def _ok(response):
        assert response.status == 200, response
        return response.json
