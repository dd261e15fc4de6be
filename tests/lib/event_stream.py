"""A client of GET /api/events: a thread of its own reads the events until close()."""

import contextlib
import http.client
import json
import socket
import threading

from jsonschema import Draft202012Validator, RefResolver

import project
from waiting import PATIENCE, wait_until

DOCUMENT = json.loads((project.ROOT / "src" / "api" / "openapi.json").read_text())
SCHEMAS = DOCUMENT["paths"]["/api/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]["x-event-data"]


def assert_as_documented(stream):
    """Each event has a kind of openapi.json, and the data that it says."""
    for event in stream.events:
        if event.kind in SCHEMAS:
            faults = list(Draft202012Validator(SCHEMAS[event.kind], resolver=RefResolver("", DOCUMENT)).iter_errors(event.data))
            assert not faults, (event, faults)
            assert (event.id is None) == (event.kind == "heartbeats")
        else:
            assert event.kind in ("stats", "reset", "unavailable"), event


class Event:
    """One event. `id` and `data` are None if it has none."""

    def __init__(self, block):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        self.kind = fields.pop("event", None)
        self.id = fields.pop("id", None)
        self.retry = fields.pop("retry", None)
        text = fields.pop("data", None)
        self.data = json.loads(text) if text is not None else None
        assert not fields, f"unknown fields in an event: {fields}"

    def __repr__(self):
        return f"<{self.kind} {self.id} {self.data}>"


class EventStream:
    def __init__(self, port, headers=None, host="127.0.0.1", last_event_id=None, query=""):
        headers = {**({"Last-Event-ID": last_event_id} if last_event_id else {}), **(headers or {})}
        self._connection = http.client.HTTPConnection(host, port, timeout=30)
        self._connection.request("GET", "/api/events" + query, headers=headers)
        self._raw = self._connection.getresponse()
        self._socket = self._raw.fp.raw._sock if self._raw.fp else None
        self.status, self.headers = self._raw.status, self._raw.headers
        self.text = ""
        self.ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            while piece := self._raw.read1(65536):
                self.text += piece.decode()
        self.ended = True

    @property
    def blocks(self):
        """All blocks that have come whole so far."""
        return [Event(block) for block in self.text.split("\n\n")[:-1]]

    @property
    def events(self):
        """The blocks that a browser would give to the page: those with data."""
        return [event for event in self.blocks if event.data is not None]

    def of(self, *kinds):
        return [event for event in self.events if event.kind in kinds]

    @property
    def workers(self):
        """[(kind, reason, worker)] of the events of workers."""
        return [(event.kind.removeprefix("worker."), event.data["reason"], event.data["worker_id"])
                for event in self.events if event.kind.startswith("worker.")]

    @property
    def last_id(self):
        return [event.id for event in self.blocks if event.id][-1]

    def wait_for(self, condition, within=PATIENCE, what=None):
        """Waits until condition(stream) is true."""
        return wait_until(lambda: condition(self), within=within, what=what or "the stream has it")

    def response(self):
        """Waits for the first event, or the end of an error. Returns what has come, which looks like http_client.Response."""
        self.wait_for(lambda stream: stream.ended or stream.events)
        self.body = self.text.encode()
        return self

    @property
    def json(self):
        return json.loads(self.text)

    def close(self):
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
