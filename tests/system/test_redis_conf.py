"""deploy/redis.conf: Redis starts with it as it stands, it says what it means to, and a coordinator has nothing to complain of."""

import subprocess

import pytest
import redis

import project
from redis_server import free_port
from waiting import wait_until

FILE = project.ROOT / "deploy" / "redis.conf"


@pytest.fixture
def configured(directory):
    """A redis-server on the file; where it listens, where its data is and its password come from the command line."""
    port = free_port()
    process = subprocess.Popen(["redis-server", str(FILE), "--port", str(port), "--dir", str(directory), "--requirepass", "s3cret",
                                "--logfile", str(directory / "redis.log")])
    client = redis.Redis(port=port, password="s3cret", decode_responses=True)
    wait_until(client.ping)
    yield client, port, directory
    client.close()
    process.kill()
    process.wait()


def test_redis_starts_with_it(configured, start_coordinator):
    client, port, directory = configured
    settings = client.config_get("*")
    assert {name: settings[name] for name in ("appendonly", "appendfsync", "save", "maxmemory-policy", "hash-max-listpack-value",
                                              "protected-mode", "maxmemory", "databases")} == \
        {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction",
         "hash-max-listpack-value": "1024",
         "protected-mode": "yes", "maxmemory": str(128 << 20), "databases": "1"}
    assert (directory / "appendonlydir").is_dir()
    assert "warning" not in (directory / "redis.log").read_text().lower().replace("warning: memory overcommit", "").replace(
        "warning memory overcommit", "")
    coordinator = start_coordinator(REDIS_URL=f"redis://:s3cret@127.0.0.1:{port}")
    coordinator.register("w")
    assert [line for line in coordinator.log_lines() if line["level"] in ("warn", "error")] == []


def test_without_a_password_only_this_machine_is_served():
    lines = [line.split() for line in FILE.read_text().splitlines() if line and not line.startswith("#")]
    assert ["bind", "127.0.0.1", "-::1"] in lines and ["protected-mode", "yes"] in lines
    assert not [line for line in lines if line[0] in ("requirepass", "masterauth", "user")], "a secret in a public file"
