"""The image: what is in it, what its roles do, and as whom."""

import contextlib
import http.server
import json
import os
import threading
import uuid

import pytest

import http_client
import project
from coordinator import CAPABILITIES
from docker import Container, docker, run_once
from waiting import wait_until

IMAGE = "rma-coordinator"
BASE = os.environ.get("BASE", "debian:bookworm-slim")
UID = "10001"


@pytest.fixture
def start():
    """Starts containers: start(role, options=[…])."""
    started = []

    def start_one(*command, options=()):
        started.append(Container.start(IMAGE, *command, options=options))
        return started[-1]

    yield start_one
    for container in started:
        container.remove()


@pytest.fixture
def volume():
    name = docker("volume", "create")
    yield name
    docker("volume", "rm", "-f", name)


@pytest.fixture
def network():
    name = f"rma-test-{uuid.uuid4().hex[:12]}"
    docker("network", "create", "--internal", name)
    yield name
    docker("network", "rm", name)


def inspect(image=IMAGE):
    return json.loads(docker("image", "inspect", image))[0]


# -- what is in it -----------------------------------------------------------------------------------------------------------------


def test_it_says_what_it_is_and_is_small():
    image = inspect()
    config = image["Config"]
    assert image["Size"] <= 120_000_000
    assert config["User"] == "rma" and config["StopSignal"] == "SIGTERM" and config["Healthcheck"]["Test"] == ["CMD", "health.sh"]
    code, version = run_once(IMAGE, "--version")
    labels = config["Labels"]
    about = (f"rma-coordinator {labels['org.opencontainers.image.version']} "
             f"(commit {labels['org.opencontainers.image.revision']}, format ")
    assert code == 0 and version.startswith(about)
    assert {"title", "description", "licenses", "revision", "created"} <= {name.rpartition(".")[2] for name in labels}


def test_it_has_nothing_to_build_with_and_the_listed_versions_alone():
    code, found = run_once("-c", "for name in gcc cc make curl wget git python3; do command -v $name; done; true",
                           options=["--entrypoint", "sh", IMAGE])
    assert (code, found) == (0, "")
    architecture = docker("run", "--rm", "--network", "none", "--entrypoint", "dpkg", IMAGE, "--print-architecture")
    listed = (project.ROOT / "deploy" / f"packages.{architecture}").read_text().splitlines()
    query = ["--entrypoint", "dpkg-query", IMAGE, "-W", "-f", "${Package}=${Version}\n"]
    installed = docker("run", "--rm", "--network", "none", *query).splitlines()
    base = docker("run", "--rm", "--network", "none", "--entrypoint", "dpkg-query", BASE, *query[3:]).splitlines()
    added = set(installed) - set(base)
    assert "redis-server" in {package.partition("=")[0] for package in added}
    assert added <= set(listed)


# -- its roles ---------------------------------------------------------------------------------------------------------------------


def test_all_in_one_keeps_the_fleet_on_its_volume(volume, start):
    options = ["-v", f"{volume}:/data", "-p", "127.0.0.1::8080", "--read-only", "--cap-drop", "ALL",
               "--security-opt", "no-new-privileges:true"]
    first = start(options=options).wait_until_healthy()
    answer = http_client.request(first.published(8080), "POST", "/api/worker/register",
                                 {"worker_id": "w", "capabilities": CAPABILITIES})
    assert answer.status == 200
    assert first.execute("stat", "-c", "%u", "/proc/1") == UID
    assert first.execute("cat", "/proc/1/comm") == "rma-coordinator"
    assert first.stop() == 0

    second = start(options=options).wait_until_healthy()
    assert http_client.request(second.published(8080), "GET", "/api/worker/w").status == 200
    assert json.loads(second.execute("rma-coordinator", "workers",
                                     "--json"))["total"] == 1, "an operator's command in the container"


def test_redis_lets_nobody_in_without_its_password_over_ipv6_either(network, volume, start):
    password = 'a "quoted\\ pass word#'
    redis = start("redis", options=["--network", network, "--network-alias", "redis", "-v", f"{volume}:/data",
                                    "--sysctl", "net.ipv6.conf.all.disable_ipv6=0", "-e",
                                    f"REDIS_PASSWORD={password}"]).wait_until_healthy()
    other = start("redis", options=["--network", network]).wait_until_healthy()
    assert other.execute("redis-cli", "-h", "redis", "ping", check=False).startswith("NOAUTH")
    ask = ["exec", "-e", f"REDISCLI_AUTH={password}", redis.name, "redis-cli"]
    assert docker(*ask, "-h", "::1", "ping") == "PONG"
    assert docker(*ask, "config", "get", "appendonly") == "appendonly\nyes"
    assert docker(*ask, "config", "get", "dir") == "dir\n/data"
    assert docker(*ask, "config", "get", "maxmemory-policy") == "maxmemory-policy\nnoeviction"
    assert "quoted" not in redis.execute("cat", "/proc/1/cmdline") + redis.execute("cat", "/etc/rma-coordinator/redis.conf")
    assert redis.execute("stat", "-c", "%u", "/proc/1") == UID
    # without a password it answers itself alone
    address = other.inspect()["NetworkSettings"]["Networks"][network]["IPAddress"]
    assert "protected mode" in redis.execute("redis-cli", "-h", address, "ping", check=False)
    assert redis.stop() == 0


def test_options_of_redis_can_be_added(start):
    redis = start("redis", "--maxmemory", "96mb", options=["--network", "none"]).wait_until_healthy()
    assert redis.execute("redis-cli", "config", "get", "maxmemory") == "maxmemory\n100663296"


@pytest.mark.parametrize(("role", "program"), [("redis", "redis-server"), ("all-in-one", "rma-coordinator")])
def test_started_as_root_it_takes_over_a_volume_of_roots_and_goes_on_as_rma(start, directory, role, program):
    directory.chmod(0o755)
    data = directory / "data"
    (data / "appendonlydir").mkdir(parents=True)
    (data / "lost+found").mkdir()
    container = start(role, options=["--network", "none", "--user", "root", "-v", f"{data}:/data"]).wait_until_healthy()
    assert container.execute("cat", "/proc/1/comm") == program
    status = dict(line.split(":\t", 1) for line in container.execute("cat", "/proc/1/status").splitlines() if ":\t" in line)
    assert set(status["Uid"].split()) == {UID} and set(status["Gid"].split()) == {UID}
    assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == "0" * 16 and status["NoNewPrivs"] == "1"
    assert data.stat().st_uid == int(UID) and (data / "appendonlydir").stat().st_uid == int(UID)
    assert (data / "lost+found").stat().st_uid == 0


def test_it_refuses_what_can_not_work_in_one_line(directory):
    code, text = run_once(IMAGE, "coordinator")
    assert code == 1 and "needs REDIS_URL" in text and len(text.splitlines()) == 1
    code, text = run_once(IMAGE, "no-such-role")
    assert code == 2 and "there is no command" in text
    directory.chmod(0o755)
    code, text = run_once(IMAGE, "redis", options=["-v", f"{directory}:/data"])
    assert code == 1 and f"user {UID} can't write /data" in text and len(text.splitlines()) == 1
    code, text = run_once(IMAGE, "redis", options=["-e", "REDIS_PASSWORD=two\nlines"])
    assert code == 1 and "control character" in text and "two" not in text


def test_a_coordinator_is_unhealthy_without_its_redis_and_well_again_with_it(network, start):
    redis = start("redis", options=["--network", network, "--network-alias", "redis", "-e", "REDIS_PROTECTED_MODE=no"])
    coordinator = start("coordinator", options=["--network", network, "-e", "REDIS_URL=redis://redis:6379", "-e", "PORT=9000"])
    coordinator.wait_until_healthy()
    redis.execute("true")
    docker("pause", redis.name)
    wait_until(lambda: coordinator.health() == "unhealthy", within=60, what="it is unhealthy", every=0.5)
    docker("unpause", redis.name)
    coordinator.wait_until_healthy()


# -- how it is built ---------------------------------------------------------------------------------------------------------------

SOURCES = "/usr/local/lib/rma-coordinator"


@contextlib.contextmanager
def archive():
    """A stand-in for snapshot.debian.org on the loopback: whatever the day, today's mirror. Gives its port and the paths asked
    for."""
    paths = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            _, suite, _, *rest = self.path.split("/")
            self.send_response(302)
            self.send_header("Location", "http://deb.debian.org/" + "/".join([suite, *rest]))
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port, paths
    finally:
        server.shutdown()


def install(directory, listed, port, sources=None):
    """Installs one small package in the base, as the Dockerfile does; the exit code and what was said."""
    directory.chmod(0o755)
    architecture = docker("run", "--rm", "--network", "none", BASE, "dpkg", "--print-architecture")
    (directory / f"packages.{architecture}").write_text(f"# snapshot: 20200102T030405Z\n{listed}\n")
    script = project.ROOT / "deploy" / "install-packages.sh"
    command = f"{sources or 'true'}; /install-packages.sh /list/packages pinned liblzf1 && dpkg-query -W liblzf1"
    return run_once(BASE, "sh", "-c", command, network="host", options=[
        "-v", f"{script}:/install-packages.sh:ro", "-v", f"{directory}:/list:ro",
        "-e", f"SNAPSHOT_MIRROR=http://127.0.0.1:{port}"])


def test_versions_that_the_mirror_has_no_more_come_from_the_archive_of_their_day(directory):
    with archive() as (port, paths):
        # a mirror without the package: only the archive has it
        code, text = install(directory, "liblzf1=3.6-3", port, "sed -i '/main/d; s/main//' /etc/apt/sources.list")
    assert code == 0 and "\t3.6-3" in text, text
    assert any(path.startswith("/debian/20200102T030405Z/") for path in paths)


def test_versions_that_nobody_has_stop_the_build_and_it_says_what_to_do(directory):
    with archive() as (port, paths):
        code, text = install(directory, "liblzf1=9.9-9", port)
    assert code == 1 and paths
    assert "not to be had in the listed versions: liblzf1=3.6" in text and "make image-packages" in text
