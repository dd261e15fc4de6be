"""A proxy that starts and stops coordinators as Fly's does, as far as Fly documents it.

* A request goes to the started machine with the least load. If all of them are at their soft limit, the proxy starts a stopped one,
  if there is one, and the request waits for it. If all of them are at their hard limit, a request waits, and then gets 503.
* The proxy never makes machines: there are as many as it was given.
* look() is what Fly does every few minutes. It stops one machine if several run and more than one is below its soft limit. It stops
  the last machine if that has no request. A machine gets the kill signal, and is killed if it has not ended after kill_timeout.
* A connection to a machine is kept for some seconds and used again. A request that was not sent (the connection was refused, or was
  closed) goes to another machine. A request that was sent and not answered gets 502 and is not repeated, since nobody knows whether
  it was carried out.
* An event stream is passed on piece by piece, and counts as a request of its machine as long as it lasts.

Where Fly documents nothing, this proxy does what is harder for coordinators: a machine gets requests as soon as its port takes
connections, ready or not.
"""

import contextlib
import http.client
import os
import select
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from redis_server import free_port
from waiting import wait_until

KEEP_CONNECTIONS = 4.0   # seconds
START_WITHIN = 10.0
WAIT_FOR_ROOM = 10.0
# An address that only this process uses: a stopped machine leaves its port to anybody who wants it.
HOST = "127.{}.{}.{}".format(64 + (os.getpid() >> 16), os.getpid() >> 8 & 255, os.getpid() & 255)


def may_stop(loads, soft_limit):
    """Whether look() stops a machine, given the loads of those that run (fly-proxy-autostop-autostart, August 2026)."""
    if len(loads) <= 1:
        return loads == [0]
    over = sum(load >= soft_limit for load in loads)
    return len(loads) - (over + 1) >= 1


def _pieces(response):
    """Yields the pieces of a stream as they come, until it ends or breaks off."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        while piece := response.read1(65536):
            yield piece


def _end_with(client, upstream):
    """Ends a stream's connection to its machine as soon as the client leaves. The stream itself would only notice with its next
    event."""
    with contextlib.suppress(OSError):
        client.recv(1)
    with contextlib.suppress(OSError):
        upstream.shutdown(socket.SHUT_RDWR)


class Machine:
    """A machine of the group app: a coordinator that is started and stopped, and the connections to it."""

    def __init__(self, coordinator, port, now):
        self.coordinator = coordinator
        coordinator.port = port
        self._now = now
        self.state = "stopped"  # starting, started, stopping
        self.load = 0           # requests that it handles, or that wait for its start
        self.starts = 0
        self.served = 0
        self.launched = None    # when it was started last
        self._idle = []         # (since, connection)

    def connect(self):
        """Returns a connection on which no request is under way; raises OSError if the port is closed."""
        while self._idle:
            since, connection = self._idle.pop()
            closed = select.select([connection.sock], [], [], 0)[0]
            if not closed and self._now() - since < KEEP_CONNECTIONS:
                return connection
            connection.close()
        connection = http.client.HTTPConnection(HOST, self.coordinator.port, timeout=30)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def keep(self, connection):
        self._idle.append((self._now(), connection))

    def close_idle(self):
        while self._idle:
            self._idle.pop()[1].close()


class FlyProxy:
    """Listens on a port of 127.0.0.1. `make_coordinator(HOST=…, PORT=…)` makes a coordinator that is not started yet. `now()` tells
    the time in seconds, to which the age of connections refers: that of a moved clock, if the coordinators have one."""

    def __init__(self, make_coordinator, machines, limits, kill_signal="SIGTERM", kill_timeout=10.0, now=time.monotonic):
        self._soft_limit, self._hard_limit = limits
        self._kill_signal, self._kill_timeout = getattr(signal, kill_signal), kill_timeout
        self._changed = threading.Condition()
        self._stoppers = []
        self.killed = 0   # machines that had not ended in time
        self.cold_starts_ms = []  # from the start of a machine to its first answer, for each request that started one
        self.machines = []
        for _ in range(machines):
            port = free_port()
            self.machines.append(Machine(make_coordinator(HOST=HOST, PORT=port), port, now))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self.stop_all()

    # -- machines ---------------------------------------------------------------------------------------------------------

    def count(self, *states):
        with self._changed:
            return sum(machine.state in states for machine in self.machines)

    @property
    def starts(self):
        return sum(machine.starts for machine in self.machines)

    def look(self):
        """Does what Fly does every few minutes. Returns the machine that it stops, or None."""
        with self._changed:
            running = [machine for machine in self.machines if machine.state == "started"]
            if not may_stop([machine.load for machine in running], self._soft_limit):
                return None
            machine = min(running, key=lambda each: each.load)
            self._begin_to_stop(machine)
        return machine

    def start(self, machine):
        """Starts a machine, as operators and deploys do, and waits until it takes connections. Does nothing if it runs."""
        with self._changed:
            if machine.state != "stopped":
                return
            machine.state, machine.launched = "starting", time.monotonic()
            machine.starts += 1
        machine.coordinator.launch()
        connection = self._connect(machine)
        with self._changed:
            if connection is not None:
                machine.state = "started"
                machine.keep(connection)
            self._changed.notify_all()

    def stop(self, machine):
        """Begins to stop a machine, as operators and deploys do."""
        with self._changed:
            if machine.state == "started":
                self._begin_to_stop(machine)

    def stop_all(self):
        """Stops whatever runs, and waits for it."""
        with self._changed:
            for machine in self.machines:
                if machine.state == "started":
                    self._begin_to_stop(machine)
        self.wait_for_stops()

    def wait_for_stops(self):
        wait_until(lambda: self.count("starting", "stopping") == 0, within=START_WITHIN + self._kill_timeout,
                   what="machines are at rest")
        for stopper in self._stoppers:
            stopper.join()
        self._stoppers.clear()

    def kill(self, machine):
        """kill -9, in the middle of whatever it does."""
        machine.coordinator.kill()
        with self._changed:
            machine.close_idle()
            machine.state = "stopped"
            self._changed.notify_all()

    def _begin_to_stop(self, machine):
        machine.state = "stopping"
        machine.close_idle()
        stopper = threading.Thread(target=self._stop, args=(machine,), daemon=True)
        self._stoppers.append(stopper)
        stopper.start()

    def _stop(self, machine):
        machine.coordinator.send_signal(self._kill_signal)
        try:
            machine.coordinator.wait_for_end(within=self._kill_timeout)
        except AssertionError:  # it was killed
            self.killed += 1
        with self._changed:
            machine.state = "stopped"
            self._changed.notify_all()

    # -- requests ---------------------------------------------------------------------------------------------------------

    def _choose(self, deadline):
        """Returns a machine with room, to whose load the request now counts, and whether the request must start it; None, False if
        there is none by the deadline."""
        with self._changed:
            while True:
                there = [machine for machine in self.machines if machine.state in ("starting", "started")]
                below = [machine for machine in there if machine.load < self._soft_limit]
                stopped = [machine for machine in self.machines if machine.state == "stopped"]
                room = [machine for machine in there if machine.load < self._hard_limit]
                for candidates in (below, stopped, room):
                    if candidates:
                        machine = min(candidates, key=lambda each: (each.load, each.served))
                        machine.served += 1
                        begins = machine.state == "stopped"
                        if begins:
                            machine.state, machine.launched = "starting", time.monotonic()
                            machine.starts += 1
                        machine.load += 1
                        return machine, begins
                if not self._changed.wait(timeout=max(0, deadline - time.monotonic())):
                    return None, False

    def _connect(self, machine):
        """Returns a connection to a machine, as soon as its port takes one; None if the machine stops or does not start."""
        while True:
            try:
                return machine.connect()
            except OSError:
                with self._changed:
                    if machine.state != "starting" or time.monotonic() - machine.launched > START_WITHIN:
                        return None
                time.sleep(0.001)

    def _release(self, machine):
        with self._changed:
            machine.load -= 1
            self._changed.notify_all()

    def _forward(self, request, client, answer):
        """Sends the request to a machine. Calls answer(status, headers, body, rest) once; `rest` yields the pieces of a stream, or
        is None. `client` is the socket from which the request came."""
        deadline = time.monotonic() + WAIT_FOR_ROOM
        while True:
            machine, begins = self._choose(deadline)
            if machine is None:
                return answer(503, [], b"no machine has room", None)
            try:
                if begins:
                    machine.coordinator.launch()
                connection = self._connect(machine)
                if connection is None:
                    continue  # the request was not sent: try another machine
                with self._changed:
                    if machine.state == "starting":
                        machine.state = "started"
                        self._changed.notify_all()
                return self._exchange(machine, connection, request, (client, answer), machine.launched if begins else None)
            finally:
                self._release(machine)

    def _exchange(self, machine, connection, request, to, launched):
        method, path, headers, body = request
        client, answer = to
        try:
            connection.request(method, path, body=body, headers=headers)
            upstream = connection.sock  # the connection forgets it if the answer is its last one
            response = connection.getresponse()
            is_stream = response.getheader("Content-Type", "").startswith("text/event-stream")
            content = b"" if is_stream else response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return answer(502, [], f"{machine.coordinator.name} did not answer: {error!r}".encode(), None)
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in ("connection", "content-length",
                                                                                              "transfer-encoding")]
        if launched is not None:
            self.cold_starts_ms.append((time.monotonic() - launched) * 1000)
        if is_stream:
            with contextlib.closing(connection):
                threading.Thread(target=_end_with, args=(client, upstream), daemon=True).start()
                return answer(response.status, kept, b"", _pieces(response))
        with self._changed:
            if response.will_close or machine.state != "started":
                connection.close()
            else:
                machine.keep(connection)
        return answer(response.status, kept, content, None)

    def _handler(self):
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                headers["Fly-Client-IP"] = "203.0.113.7"
                headers["X-Forwarded-Proto"] = "https"
                # pylint: disable-next=protected-access
                proxy._forward((self.command, self.path, headers, body), self.connection, self._answer)

            def _answer(self, status, headers, body, rest):
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                if rest is None:
                    self.send_header("Content-Length", str(len(body)))
                else:
                    self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)
                with contextlib.suppress(OSError):  # a client that left
                    for piece in rest or ():
                        self.wfile.write(piece)

            do_GET = do_POST = do_DELETE = _serve

            def log_message(self, *_):
                pass

        return Handler
