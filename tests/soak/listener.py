"""One who listens to all events, through the proxy, like a dashboard that stays open: when its stream ends it comes back with the
last id."""

import contextlib
import http.client
import threading

from waiting import wait_until

TROUBLE = (OSError, http.client.HTTPException)


class Listener:
    def __init__(self, port, headers):
        self._port, self._headers = port, headers
        self._lock = threading.Lock()
        self._ids, self._last_id, self.resets = [], None, 0
        self._over = None
        self._connection = None

    def open(self):
        self._over, self._hears = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        assert self._hears.wait(20), "the stream begins"  # what was told before it did would seem missed

    def close(self):
        self._over.set()
        with contextlib.suppress(OSError, AttributeError):
            self._socket.shutdown(2)
        self._thread.join(20)

    def _listen(self):
        while not self._over.is_set():
            with contextlib.suppress(*TROUBLE):
                self._read_stream()
            self._over.wait(0.1)

    def _read_stream(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        with contextlib.closing(connection):
            resumes = {"Last-Event-ID": self._last_id} if self._last_id else {}
            connection.request("GET", "/api/events", headers={**self._headers, **resumes})
            self._socket = connection.sock
            response = connection.getresponse()
            if response.status == 200:
                self._hears.set()
            identity = None
            for line in response if response.status == 200 else ():
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "id":
                    identity = value
                elif name == "event":
                    self._hear(identity, value)
                    identity = None

    def _hear(self, identity, kind):
        with self._lock:
            self._last_id = identity or self._last_id
            if kind == "reset":
                self.resets += 1
            elif identity:
                self._ids.append(identity)

    def take(self, newest):
        """What it has heard since the last call, and how often it was told to load anew; waits until it has heard the event
        `newest`."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self._last_id == newest)
        with self._lock:
            heard, resets = self._ids, self.resets
            self._ids, self.resets = [], 0
        return heard, resets
