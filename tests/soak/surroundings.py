"""What the coordinators of the simulated week live on: two regions, each with a proxy and its machines, a primary with a replica
and Sentinels, and a clock that the simulator moves."""

import collections
import contextlib
import functools
import http.client
import json
import shutil
import subprocess

import credentials
import http_client
import preloaded
import project
from fly_proxy import HOST, FlyProxy
from names import Names
from receiver import NAME as WORKERS
from redis_group import NAME, Group, Sentinel
from redis_server import RedisServer, free_port
from relay import Relay
from waiting import let_pass, wait_until

PREFIX = "{rma}:"
PATIENCE_MS = 60_000
HOST_NAME = "redis.internal"
# The clock leaps by half a minute at a time: what Redis does with its own wall clock must not take that for a dead replica.
OPTIONS = ("--appendfsync", "everysec", "--repl-diskless-sync-delay", "0", "--repl-timeout", "100000000", "--repl-backlog-ttl", "0")


class Surroundings:
    """now() is the true time, in seconds since the beginning; the clock of Redis and of the coordinators may be wrong by `skew`
    seconds."""

    def __init__(self, directory, clock, make_coordinator, began_ms, settings):
        self.directory, self.clock, self._began_ms = directory, clock, began_ms
        self.skew = self.down_since = 0
        self.down = 0.0  # for how long Redis has not run so far
        clock.move_to(began_ms)
        self.servers = [RedisServer(directory / f"redis{number}", clock=clock) for number in range(2)]
        self.servers[0].start(*OPTIONS)
        self.servers[1].start(*OPTIONS, "--replicaof", f"127.0.0.1 {self.servers[0].port}")
        # Sentinels have the real time, in which the servers answer them
        sentinels = [Sentinel(directory / f"sentinel{number}", self.servers[0], 2).start() for number in range(3)]
        self.group = Group(self.servers, sentinels).wait_until_settled()
        self._be_patient(PATIENCE_MS)
        self.relay = Relay(lambda: self.primary.port)
        self.names = Names(directory)
        self.names.resolve(HOST_NAME, "127.0.0.1")
        self.names.resolve(WORKERS, "127.0.0.1")
        self.admin = credentials.bearer(credentials.make_token(self.primary.client))
        self.sites = {region: credentials.bearer(credentials.make_token(self.primary.client, "join")) for region in ("near", "far")}
        settings = {**settings, **self.names.settings(), "AUTH": "on", "UPSTREAM_ALLOW": "127.0.0.0/8",
                    "LD_PRELOAD": f"{preloaded.build('clock')}:{preloaded.build('names')}"}
        far = {"REDIS_URL": f"redis://{HOST_NAME}:{self.relay.port}/0"}
        near = {"REDIS_URL": self.group.url()}
        self._metrics_ports = {}  # of coordinators, by name

        def make(how, **more):
            port = free_port()
            coordinator = make_coordinator(clock=clock, THREADS=1, METRICS_PORT=port, **settings, **how, **more)
            self._metrics_ports[coordinator.name] = port
            return coordinator
        self.proxies = {region: FlyProxy(functools.partial(make, how), count, (200, 400), "SIGTERM", 30.0,
                                         now=lambda: clock.now_ms() / 1000)
                        for region, how, count in (("near", near, 2), ("far", far, 1))}
        for proxy in self.proxies.values():
            proxy.__enter__()
        self._connections = collections.defaultdict(collections.deque)  # port -> those that nobody uses now

    def close(self):
        for proxy in self.proxies.values():
            proxy.__exit__()
        self.relay.close()
        for each in (*self.group.sentinels, *self.servers):
            each.stop()

    # -- time ---------------------------------------------------------------------------------------------------------------------

    def now(self):
        return (self.clock.now_ms() - self._began_ms) / 1000 - self.skew

    def true_ms(self):
        return self.clock.now_ms() - self.skew * 1000

    def redis_time(self):
        """For how long Redis has run since the beginning: the time that counts for workers."""
        return self.now() - self.down - (self.now() - self.down_since if self.down_since else 0)

    def leap(self, seconds):
        """The clock is set; no time passes."""
        self.skew += seconds
        self.clock.advance(seconds)

    # -- requests -----------------------------------------------------------------------------------------------------------------

    def ask(self, method, path, body=None, region="near", headers=None):
        """-> (status, answer); (None, None) when there was none. Asked by the admin, unless the headers have another credential."""
        port = self.proxies[region].port
        for fresh in (False, True):
            try:
                connection = self._connections[port].pop()
            except IndexError:
                connection = None
            if connection is None or fresh:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                text = None if body is None else json.dumps(body)
                connection.request(method, path, text, {"Content-Type": "application/json", **(headers or self.admin)})
                response = connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                continue
            self._connections[port].append(connection)
            try:
                return response.status, json.loads(content)
            except ValueError:
                return response.status, {}
        return None, None

    # -- coordinators --------------------------------------------------------------------------------------------------------------

    @property
    def machines(self):
        return [machine for proxy in self.proxies.values() for machine in proxy.machines]

    def running(self):
        return [machine.coordinator for machine in self.machines if machine.state == "started"]

    def ask_directly(self, coordinator, path):
        """Not through the proxy; the answer, or None."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            port = self._metrics_ports[coordinator.name] if path == "/metrics" else coordinator.port
            return http_client.request(port, "GET", path, host=HOST)

    def is_ready(self, coordinator):
        answer = self.ask_directly(coordinator, "/readyz")
        return answer is not None and answer.status == 200

    def start_machines(self):
        for proxy in self.proxies.values():
            for machine in proxy.machines:
                proxy.start(machine)

    def deploy(self):
        """One after the other is stopped and started anew."""
        for proxy in self.proxies.values():
            for machine in proxy.machines:
                proxy.stop(machine)
                proxy.wait_for_stops()
                proxy.start(machine)
                yield

    def stop_machines(self):
        for proxy in self.proxies.values():
            proxy.stop_all()

    # -- Redis ---------------------------------------------------------------------------------------------------------------------

    @property
    def primary(self):
        for server in self.servers:
            with contextlib.suppress(Exception):
                if server.is_running() and server.client.role()[0] == "master" and \
                        server.port == self.group.sentinels[0].primary_port():
                    return server
        raise AssertionError("no primary")

    def redis_is_up(self):
        return not self.down_since

    def kill_redis(self):
        self._was_primary = self.primary
        for server in self.servers:
            server.kill()
        self.down_since = self.now()

    def start_redis(self):
        primary = self._was_primary
        other = next(server for server in self.servers if server is not primary)
        primary.start(*OPTIONS, within=60)
        self.down += self.now() - self.down_since
        self.down_since = 0
        other.start(*OPTIONS, "--replicaof", f"127.0.0.1 {primary.port}", within=60)
        self._wait_for_replica(other)
        self.wait_until_served()

    def _wait_for_replica(self, replica):
        wait_until(lambda: replica.client.info("replication").get("master_link_status") == "up", within=60,
                   what="the replica is in step")

    def wait_until_served(self):
        """All that run reach their Redis again, which takes them some moments of the real time."""
        wait_until(lambda: self.primary, within=60)
        wait_until(lambda: all(self.is_ready(coordinator) for coordinator in self.running()), within=60,
                   what="all reach their Redis")

    def fail_over(self):
        old = self.primary
        self._be_patient(1000)
        old.kill()
        self.group.wait_for_failover(old)
        self._be_patient(PATIENCE_MS)
        old.start(*OPTIONS, "--replicaof", f"127.0.0.1 {self.primary.port}", within=60)
        self._wait_for_replica(old)
        let_pass(1)  # each instance asks twice a second whether its Redis still is the primary
        self.wait_until_served()

    def _be_patient(self, milliseconds):
        """For how long a server must be silent until the Sentinels take it for dead. A busy machine is to cause no failover of its
        own."""
        for sentinel in self.group.sentinels:
            sentinel.client.sentinel_set(NAME, "down-after-milliseconds", milliseconds)

    def back_up(self, archive):
        primary = self.primary
        subprocess.run([str(project.ROOT / "deploy" / "backup.sh"), primary.directory, archive], check=True, capture_output=True,
                       env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "REDIS_URL": primary.url})

    def restore(self, archive):
        """In place of what is there."""
        self.kill_redis()
        for server in self.servers:
            shutil.rmtree(server.directory / "appendonlydir", ignore_errors=True)
            (server.directory / "dump.rdb").unlink(missing_ok=True)
        place = self.directory / "restored"
        subprocess.run([str(project.ROOT / "deploy" / "restore.sh"), archive, place], check=True, capture_output=True)
        shutil.move(place / "appendonlydir", self._was_primary.directory / "appendonlydir")
        shutil.rmtree(place)
        self.start_redis()
