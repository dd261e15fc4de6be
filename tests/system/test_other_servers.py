"""Servers that are not just a Redis 7.0 on the same machine: an older one, a Valkey, one behind a TLS tunnel."""

import contextlib
import os
import shutil
import socket
import subprocess
import threading

import pytest

import invariants
import project
from load import Load
from redis_server import free_port
from waiting import let_pass, wait_until


class OlderRedis:
    """A relay to a Redis that says of itself to be an older one."""

    def __init__(self, port, version):
        self._to, self._version = port, version
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                redis = socket.create_connection(("127.0.0.1", self._to))
                for source, target in ((client, redis), (redis, client)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _copy(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                at = data.find(b"redis_version:")
                if at != -1:  # of the same length, since the reply says its own
                    at += len(b"redis_version:")
                    end = data.index(b"\r", at)
                    data = data[:at] + self._version.ljust(end - at, "0").encode() + data[end:]
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._server.close()


@pytest.mark.parametrize("version", ["6.2.1", "5.0.3"])
def test_a_redis_that_is_too_old_is_refused_with_a_clear_line(redis, make_coordinator, version):
    with contextlib.closing(OlderRedis(redis.port, version)) as older:
        coordinator = make_coordinator(REDIS_URL=f"redis://127.0.0.1:{older.port}").start()
        wait_until(lambda: f"Redis {version}" in coordinator.stderr())
        assert "is too old: the scripts need 7.0 or newer" in coordinator.stderr()
        assert coordinator.get("/readyz").status == 503
    assert not redis.client.keys("*")


def test_a_newer_redis_is_taken(redis, start_coordinator):
    with contextlib.closing(OlderRedis(redis.port, "10.1.1")) as newer:
        start_coordinator(REDIS_URL=f"redis://127.0.0.1:{newer.port}", THREADS=1).register("w")


def test_valkey(start_redis, start_coordinator):
    program = os.environ.get("VALKEY_SERVER") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("no valkey-server here (Debian has it in bookworm-backports); VALKEY_SERVER names the binary")
    valkey = start_redis(program=program)
    coordinator = start_coordinator(valkey)
    load = Load([coordinator], threads=4)
    with load.running():
        let_pass(0.5)
        valkey.kill()
        valkey.restart()
        let_pass(0.5)
    load.assert_nothing_acknowledged_is_lost(coordinator)
    invariants.assert_hold(valkey.dump())


def test_through_a_tunnel_with_tls(redis, start_coordinator, directory):
    """As docs/redis.md tells it, with a second stunnel for Redis's end."""
    outer, inner = free_port(), free_port()
    certificate = project.ROOT / "tests" / "lib" / "certificate.pem"
    ends = {"client": f"client = yes\naccept = 127.0.0.1:{inner}\nconnect = 127.0.0.1:{outer}\nverifyPeer = yes\n"
                      f"CAfile = {certificate}",
            "server": f"accept = 127.0.0.1:{outer}\nconnect = 127.0.0.1:{redis.port}\ncert = {certificate}\nkey = {certificate}"}
    tunnel = []
    try:
        for name, service in ends.items():
            file = directory / f"{name}.conf"
            file.write_text(f"foreground = yes\npid =\n[redis]\n{service}\n")
            tunnel.append(subprocess.Popen(["stunnel", str(file)], stderr=(directory / f"{name}.log").open("w")))
        coordinator = start_coordinator(REDIS_URL=f"redis://127.0.0.1:{inner}")
        coordinator.register("w")
        assert redis.client.exists("{rma}:worker:w") == 1
        redis.kill()
        wait_until(lambda: coordinator.get("/readyz").status == 503)
        redis.restart()
        coordinator.wait_until_ready()
        coordinator.beat("w")
    finally:
        for process in tunnel:
            process.kill()
            process.wait()
