"""A private redis-server for one test: a unix socket, a loopback TCP port, an append-only file, and ways to disturb it."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess

import redis

import state
from waiting import PATIENCE, wait_until


# The ports are below those that the kernel assigns (net.ipv4.ip_local_port_range). Otherwise a connection of another test could
# take the port before its server does, or while its server restarts.
FIRST_PORT, SLICES, SLICE = 12000, 50, 400


def claim_slice():
    """Returns the number of a range of ports that no other test process of this machine uses, and what to keep for that."""
    for number in itertools.count():
        claim = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):
            claim.bind(f"\0rma-test-ports-{number}")  # the name of a socket in no directory: it ends with the process
            return number % SLICES, claim


NUMBER, CLAIM = claim_slice()
PORTS = itertools.cycle(range(FIRST_PORT + SLICE * NUMBER, FIRST_PORT + SLICE * (NUMBER + 1)))


def free_port():
    """Returns a free TCP port, which no other test will use."""
    for port in PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


class RedisServer:
    """A redis-server. Its appendfsync is "no": Redis then writes before it answers, so kill -9 loses nothing, and does not wait for
    the disk. With "always", a busy disk makes requests late; with "everysec", Redis answers before it writes while a sync is under
    way."""

    def __init__(self, directory, clock=None, password=None, program="redis-server"):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self.password = password
        self._program = program
        self.socket = directory / "redis.sock"
        self._environment = {**os.environ, **(clock.environment() if clock else {})}
        # jemalloc's thread waits for moments of the real clock; if the process's clock is behind it, the thread never pauses
        self._options = ("--jemalloc-bg-thread", "no") if clock else ()
        self._process = None
        self.client = redis.Redis(unix_socket_path=str(self.socket), password=password, decode_responses=True)

    @property
    def url(self):
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    @property
    def unix_url(self):
        return f"unix://{self.socket}"

    @property
    def pid(self):
        return self._process.pid

    def is_running(self):
        return self._process is not None and self._process.poll() is None

    def start(self, *options, within=PATIENCE):
        self.launch(*options)
        wait_until(self._answers, within=within, what="redis-server answers PING", every=0.003)
        return self

    def launch(self, *options):
        """Starts and does not wait."""
        if self.password:
            options = ("--requirepass", self.password, "--masterauth", self.password, *options)
        self._process = subprocess.Popen(
            [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket),
             "--dir", str(self.directory), "--appendonly", "yes", "--appendfsync", "no", "--save", "",
             "--enable-debug-command", "yes", "--logfile", str(self.directory / "redis.log"), *self._options, *options],
            env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)

    def _answers(self):
        assert self._process.poll() is None, "redis-server ended: " + (self.directory / "redis.log").read_text()[-500:]
        return self.client.ping()

    def kill(self):
        """kill -9."""
        self._process.kill()
        self._process.wait()
        self.client.connection_pool.disconnect()

    def restart(self, *options, within=PATIENCE):
        """Starts again on the same port, socket and append-only file."""
        return self.start(*options, within=within)

    def freeze(self):
        """Sends SIGSTOP: the kernel still accepts connections, but Redis never answers."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def stop(self):
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self.kill()
        self.client.close()

    def now_ms(self):
        seconds, micros = self.client.time()
        return seconds * 1000 + micros // 1000

    def dump(self, everything=False):
        """The content; see state.dump."""
        return state.dump(self.client, everything)
