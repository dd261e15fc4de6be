"""A primary, its replicas and the Sentinels that watch them: real redis-server and redis-sentinel processes."""

import signal
import subprocess

import redis

from redis_server import free_port
from waiting import wait_until

NAME = "fleet"
DOWN_AFTER_MS = 3000  # with less, a server that waits for the disk or the CPU counts as dead, even one that was just promoted


class Sentinel:
    """One redis-sentinel. It keeps what it learns in its configuration file, so it can be killed and started again."""

    def __init__(self, directory, primary, quorum, password=None):
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._log = directory / "sentinel.log"
        self._file = directory / "sentinel.conf"
        self._process = None
        protection = f"requirepass {password}\nsentinel sentinel-pass {password}\n" if password else ""
        auth = f"sentinel auth-pass {NAME} {primary.password}\n" if primary.password else ""
        self._file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {directory}\nlogfile {self._log}\n{protection}"
            f"sentinel monitor {NAME} 127.0.0.1 {primary.port} {quorum}\n{auth}"
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}\nsentinel failover-timeout {NAME} 4000\n")
        self.client = redis.Redis(port=self.port, password=password, decode_responses=True)

    def start(self):
        # the program redis-sentinel is the same one under another name
        self._process = subprocess.Popen(["redis-server", str(self._file), "--sentinel"], stdout=subprocess.DEVNULL,
                                         stderr=subprocess.STDOUT)
        wait_until(self.client.ping, what="the Sentinel answers PING")
        return self

    def primary_port(self):
        return int(self.client.sentinel_get_master_addr_by_name(NAME)[1])

    def knows(self, replicas, others):
        state = self.client.sentinel_master(NAME)
        return state["num-slaves"] >= replicas and state["num-other-sentinels"] >= others

    def is_running(self):
        return self._process.poll() is None

    def kill(self):
        self._process.kill()
        self._process.wait()
        self.client.connection_pool.disconnect()

    def freeze(self):
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def stop(self):
        if self._process is not None and self.is_running():
            self.thaw()
            self.kill()
        self.client.close()


class Group:
    """Servers, the first of which begins as the primary, and the Sentinels that watch them."""

    def __init__(self, servers, sentinels):
        self.servers = servers
        self.sentinels = sentinels

    def url(self, sentinels=None, options="", user=""):
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels or self.sentinels)
        return f"redis+sentinel://{user}{places}/{NAME}{options}"

    def wait_until_settled(self):
        """Waits until the replicas are in step, and every Sentinel knows all replicas and Sentinels."""
        replicas, others = len(self.servers) - 1, len(self.sentinels) - 1
        wait_until(lambda: self.servers[0].client.info("replication")["connected_slaves"] == replicas)
        wait_until(lambda: all(server.client.info("replication").get("master_link_status") == "up" for server in self.servers[1:]),
                   what="the replicas are in step")
        wait_until(lambda: all(sentinel.knows(replicas, others) for sentinel in self.sentinels),
                   what="the Sentinels know each other")
        return self

    def failovers(self):
        """Returns how many failovers there were, as far as the Sentinels know."""
        return max(int(sentinel.client.sentinel_master(NAME)["config-epoch"])
                   for sentinel in self.sentinels if sentinel.is_running())

    def wait_for_failover(self, old, within=40):  # Sentinels that split their votes try again after 8 s
        """Waits until all running Sentinels name the same server, which is not `old` and is a primary; returns it."""
        def other():
            ports = {sentinel.primary_port() for sentinel in self.sentinels if sentinel.is_running()}
            servers = [server for server in self.servers if server.port in ports]
            if len(servers) == 1 and servers[0] is not old and servers[0].client.role()[0] == "master":
                return servers[0]
            return None
        return wait_until(other, within=within, what="the Sentinels have made another one the primary")
