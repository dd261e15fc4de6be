"""docker-compose.yml: a fleet whose parts are killed. Prometheus and Grafana are left out where their images are not to be had."""

import contextlib
import json
import os
import signal
import subprocess
import urllib.request
import uuid

import pytest
import yaml

import http_client
import project
from coordinator import CAPABILITIES
from docker import Container, docker, run_once
from redis_server import free_port
from waiting import wait_until

COMPOSE = project.ROOT / "docker-compose.yml"
BASE = os.environ.get("BASE", "debian:bookworm-slim")
OWN = ["redis", "coordinator", "balancer"]


def variants():
    """The Compose commands that are here: the older program, the newer plugin."""
    found = [command for command in (["docker-compose"], ["docker", "compose"])
             if subprocess.run([*command, "version"], capture_output=True).returncode == 0]
    assert found, "there is no Compose: apt-get install docker-compose"
    return found


class Compose:
    """A project of its own name, ports and volumes."""

    def __init__(self, command, files=(), **settings):
        self.name = f"rmatest{uuid.uuid4().hex[:10]}"
        self.port = free_port()
        self._command = [*command, "-p", self.name, "-f", str(COMPOSE)]
        for file in files:  # that change what stands in it
            self._command += ["-f", str(file)]
        self._environment = {**os.environ, "PORT": str(self.port), "AUTH": "off", **settings}

    def __call__(self, *arguments, check=True):
        result = subprocess.run([*self._command, *arguments], env=self._environment, capture_output=True, text=True, timeout=240)
        assert not check or result.returncode == 0, result
        return result.stdout

    def containers(self, service):
        return [Container(name) for name in docker(
            "ps", "--filter", f"label=com.docker.compose.project={self.name}", "--filter",
            f"label=com.docker.compose.service={service}",
            "--format", "{{.Names}}").split()]

    def request(self, method, path, body=None):
        return http_client.request(self.port, method, path, body)

    def register(self, worker_id):
        answer = self.request("POST", "/api/worker/register", {"worker_id": worker_id, "capabilities": CAPABILITIES})
        assert answer.status == 200, answer

    def workers(self):
        answer = self.request("GET", "/api/admin/workers")
        assert answer.status == 200, answer
        return {worker["worker_id"] for worker in answer.json["workers"]}

    def answering(self, rounds=40):
        """The coordinators that answer through the balancer."""
        return {self.request("GET", "/health").json["coordinator"] for _ in range(rounds)}


@pytest.fixture(params=variants(), ids=" ".join)
def fleet(request):
    """A fleet, up and healthy."""
    with running(Compose(request.param, REDIS_PASSWORD="s3cret", HEARTBEAT_SECONDS="1"), *OWN) as compose:
        yield compose


@contextlib.contextmanager
def running(compose, *services):
    try:
        compose("up", "-d", "--no-build", *services)
        wait_until(lambda: compose.request("GET", "/readyz").status == 200, within=60, what="the fleet serves", every=0.2)
        yield compose
    finally:
        compose("--profile", "dev", "down", "-v", "--remove-orphans", "-t", "5", check=False)


def crash(container):
    """kill -9 of what runs in it, behind the engine's back."""
    os.kill(container.state()["Pid"], signal.SIGKILL)


def test_a_fleet_survives_the_death_of_each_of_its_parts(fleet):
    redis, = fleet.containers("redis")
    coordinators = fleet.containers("coordinator")
    assert len(coordinators) == 2
    assert {container.health() for container in [redis, *coordinators]} == {"healthy"}, "the order of the start waits for health"
    fleet.register("w")
    wait_until(lambda: len(fleet.answering()) == 2, what="both coordinators answer")

    # a coordinator that is killed: nobody notices
    docker("kill", coordinators[0].name)
    for _ in range(100):
        beat = fleet.request("POST", "/api/worker/heartbeat", {"worker_id": "w", "current_load": 0.5})
        assert beat.status == 200, beat
    assert fleet.workers() == {"w"}

    # Redis that crashes is started again, and has what it acknowledged
    crash(redis)
    wait_until(lambda: fleet.workers() == {"w"}, within=30, what="the worker is there after a crash of Redis", every=0.1)
    # Redis away: the coordinators say so
    docker("stop", redis.name)
    answer = fleet.request("GET", "/api/worker/w")
    assert answer.status == 503 and answer.json["code"].startswith("registry-") and answer.headers["Retry-After"]
    docker("start", redis.name)
    wait_until(lambda: fleet.workers() == {"w"}, within=30, what="the worker is there after a restart of Redis", every=0.1)

    # the last coordinator that crashes is started again
    crash(coordinators[1])
    wait_until(lambda: fleet.workers() == {"w"}, within=30, what="the coordinator is back", every=0.1)

    # all of it anew, on the same volume
    fleet("down", "-t", "10")
    fleet("up", "-d", "--no-build", *OWN)
    wait_until(lambda: fleet.workers() == {"w"}, within=60, what="the worker is there after all was away", every=0.2)


def test_more_coordinators_are_found_and_fewer_too(fleet):
    fleet("up", "-d", "--no-build", "--scale", "coordinator=4", *OWN)
    wait_until(lambda: len(fleet.answering()) == 4, within=40, what="four coordinators answer", every=0.2)
    fleet("up", "-d", "--no-build", "--scale", "coordinator=1", *OWN)
    wait_until(lambda: len(fleet.answering()) == 1, within=40, what="one coordinator answers", every=0.2)
    assert len(fleet.containers("coordinator")) == 1


def test_an_event_stream_passes_the_balancer_as_it_comes(fleet):
    with http_client.RawConnection(fleet.port, timeout=10) as client:
        client.send("GET /api/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        seen = b""
        registered = False
        while b"worker.registered" not in seen:
            piece = client.socket.recv(65536)
            assert piece, seen
            seen += piece
            if b"event: stats" in seen and not registered:
                fleet.register("seen")
                registered = True
        assert b"text/event-stream" in seen and b'"worker_id":"seen"' in seen


def test_three_example_workers_come_beat_and_go(fleet):
    fleet("--profile", "dev", "up", "-d", "--no-build", *OWN, "worker")
    wait_until(lambda: len(fleet.workers()) == 3, within=40, what="three workers have registered", every=0.2)
    ids = fleet.workers()
    before = {worker: fleet.request("GET", f"/api/worker/{worker}").json["last_heartbeat"] for worker in ids}
    wait_until(lambda: all(fleet.request("GET", f"/api/worker/{worker}").json["last_heartbeat"] > before[worker] for worker in ids),
               what="all have beaten", every=0.2)
    fleet("stop", "-t", "10", "worker")
    assert fleet.workers() == set(), "they said goodbye"


def test_a_backup_in_the_container_restores_into_a_new_volume(fleet):
    fleet.register("w")
    redis, = fleet.containers("redis")
    redis.execute("rma-coordinator-backup", "/data", "/backup/today.tar.gz")
    volume = docker("volume", "create")
    try:
        code, text = run_once("rma-coordinator", "/backup/today.tar.gz", "/data", options=[
            "-v", f"{fleet.name}_backup:/backup", "-v", f"{volume}:/data", "--entrypoint", "rma-coordinator-restore"])
        assert code == 0, text
        other = Container.start("rma-coordinator", options=["-v", f"{volume}:/data", "-p", "127.0.0.1::8080"])
        try:
            other.wait_until_healthy()
            assert http_client.request(other.published(8080), "GET", "/api/worker/w").status == 200
        finally:
            other.remove()
    finally:
        docker("volume", "rm", volume)


def test_parts_are_closed_to_strangers(fleet):
    redis, = fleet.containers("redis")
    coordinator = fleet.containers("coordinator")[0]
    for container in (redis, coordinator):
        assert not any(container.inspect()["NetworkSettings"]["Ports"].values())
        assert container.inspect()["HostConfig"]["ReadonlyRootfs"]
    balancer, = fleet.containers("balancer")
    assert f"{fleet.name}_redis" not in balancer.inspect()["NetworkSettings"]["Networks"]
    code, text = run_once("rma-coordinator", "status", "--url", "http://coordinator:8080", network=f"{fleet.name}_redis")
    assert code in (0, 4) and "s3cret" not in text
    assert redis.execute("redis-cli", "ping", check=False).startswith("NOAUTH")


@pytest.fixture
def prometheus_here(directory):
    """Changes to docker-compose.yml under which Prometheus can be started: none where its image is here, else Debian's in its
    place."""
    image = yaml.safe_load(COMPOSE.read_text())["services"]["prometheus"]["image"]
    if docker("image", "ls", "-q", image):
        yield []
        return
    docker("build", "--network", "host", "-t", "rma-test-prometheus", "-", input=f"""
        FROM {BASE}
        RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends prometheus && install -d -o nobody /prometheus
        USER nobody
        ENTRYPOINT ["prometheus"]
        """)
    change = directory / "prometheus.yml"
    change.write_text(yaml.safe_dump({"services": {"prometheus": {"image": "rma-test-prometheus"}}}))
    yield [change]
    docker("image", "rm", "-f", "rma-test-prometheus")


def test_prometheus_finds_the_coordinators_that_there_are(prometheus_here):
    port = free_port()
    with running(Compose(variants()[0], prometheus_here, PROMETHEUS_PORT=str(port)), *OWN, "prometheus") as fleet:
        def ask(path):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=10) as answer:
                return json.load(answer)["data"]

        def healthy(count):
            targets = [target for target in ask("targets")["activeTargets"] if target["scrapePool"] == "rma-coordinator"]
            return len(targets) == count and {target["health"] for target in targets} == {"up"}

        wait_until(lambda: healthy(2), within=60, what="Prometheus has asked two coordinators", every=0.5)
        fleet("up", "-d", "--no-build", "--scale", "coordinator=3", *OWN, "prometheus")
        wait_until(lambda: healthy(3), within=60, what="Prometheus has asked three", every=0.5)
        rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
        assert rules
        wait_until(lambda: all(rule["health"] == "ok" for group in ask("rules")["groups"] for rule in group["rules"]), within=60,
                   what="all rules have been evaluated without an error", every=1)
