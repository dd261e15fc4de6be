"""fly.toml, deploy/fly.replica.toml and deploy/FLY.md are held against what the binary says of itself, and against each other.

Fly itself is not asked: what is known of it stands in tests/lib/fly_config.py.
"""

import copy
import json
import os
import re
import shlex
import signal
import subprocess
import tomllib
import urllib.parse

import pytest

import coordinator as coordinator_module
import fly_config
import project
from waiting import let_pass, wait_until

CONFIG = tomllib.loads((project.ROOT / "fly.toml").read_text())
REPLICA = tomllib.loads((project.ROOT / "deploy" / "fly.replica.toml").read_text())
RUNBOOK = (project.ROOT / "deploy" / "FLY.md").read_text()
IMAGE = project.ROOT / "deploy" / "Dockerfile"
ENTRY_POINT = project.ROOT / "deploy" / "entrypoint.sh"
FILES = {"fly.toml", "deploy/fly.replica.toml"}

# What a program would say of itself that fits fly.toml: for the tests of the checks themselves.
PROGRAM = {
    "settings": {"HOST": "::", "PORT": "8080", "METRICS_PORT": "0", "MAX_CONNECTIONS": "4096", "REDIS_URL": "",
                 "REDIS_READ_URL": "",
                 "AUTH": "off"},
    "routes": {("GET", "/readyz"), ("GET", "/livez"), ("POST", "/api/worker/heartbeat")},
    "ends_after": {"SIGTERM": 1.2, "SIGINT": 1.2}, "ends_within": 5.0, "not_ready_after": 0.8}


def settings():
    output = subprocess.run([str(project.BINARY), "--help"], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True,
                            check=True)
    return fly_config.settings_of_help(output.stdout)


@pytest.fixture
def program(redis, make_coordinator):
    """What the binary says of itself, and does: settings, routes, how it ends, when it says that it is not ready."""
    coordinator = make_coordinator(redis).start().wait_until_ready()
    routes = {tuple(route.split(" ", 1)) for route in coordinator.get("/api").json["endpoints"]}
    ends_after = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        # the worst of what it waits for: a request that Redis never answers
        if not coordinator.is_running():
            redis.thaw()
            coordinator.start().wait_until_ready()
        with coordinator.raw() as waiting:
            redis.freeze()
            waiting.send("GET /api/admin/stats HTTP/1.1\r\nHost: x\r\n\r\n")
            let_pass(0.1)
            not_ready = coordinator.get("/readyz")
            assert not_ready.status in (503, 504), not_ready
            ends_after[number.name] = coordinator.stop(number)
    redis.thaw()
    return {"settings": settings(), "routes": routes, "ends_after": ends_after, "ends_within": coordinator_module.STOP_WITHIN,
            "not_ready_after": not_ready.latency}


def roles():
    """The roles of the image; none as long as it is not there."""
    if not ENTRY_POINT.exists():
        return ()
    return set(re.findall(r"^#   ([a-z-]+) ", ENTRY_POINT.read_text(), re.MULTILINE)) & {"coordinator", "redis", "all-in-one"}


def test_fly_toml_fits_the_binary(program):
    assert fly_config.faults_of_config(CONFIG, program, roles()) == []


def test_the_replicas_fit_the_app():
    assert fly_config.faults_of_replica(REPLICA, CONFIG) == []


def test_the_runbook_fits_fly_toml():
    assert len(fly_config.fly_commands(RUNBOOK)) > 30
    assert fly_config.faults_of_runbook(RUNBOOK, CONFIG, settings(), FILES) == []


@pytest.mark.skipif(not IMAGE.exists(), reason="deploy/Dockerfile is not there")
def test_the_image_is_the_one_of_fly_toml():
    text = IMAGE.read_text()
    stages = re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE)
    for config, folder in ((CONFIG, project.ROOT), (REPLICA, project.ROOT / "deploy")):
        assert (folder / config["build"]["dockerfile"]).resolve() == IMAGE
        assert config["build"]["build-target"] in stages
        assert all(re.search(rf"^ARG {name}\b", text, re.MULTILINE) for name in config["build"].get("args", {}))
    assert roles() == {"coordinator", "redis", "all-in-one"}
    assert fly_config.REDIS_SECRET in ENTRY_POINT.read_text()


# -- the runbook's commands, carried out against a fly that only writes down what it is told ---------------------------------------

STUB = """#!/usr/bin/python3
import json, os, select, sys
piped = not sys.stdin.isatty() and select.select([sys.stdin], [], [], 0)[0]
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps([os.path.basename(sys.argv[0]), sys.argv[1:], sys.stdin.read() if piped else ""]) + "\\n")
"""


@pytest.fixture
def carry_out(directory):
    """Runs shell text of the runbook in the top folder; returns what fly and curl were called with."""
    for name in ("fly", "curl"):
        (directory / name).write_text(STUB)
        (directory / name).chmod(0o755)
    calls = directory / "calls"

    def run(*texts):
        calls.write_text("")
        subprocess.run(["bash", "-euc", "\n".join(texts)], cwd=project.ROOT, check=True, stdin=subprocess.DEVNULL, timeout=30,
                       env={"PATH": f"{directory}:{os.environ['PATH']}", "CALLS": str(calls)})
        return [json.loads(line) for line in calls.read_text().splitlines()]

    return run


def block_after(heading):
    """The first shell block below a heading of the runbook."""
    return fly_config.blocks(RUNBOOK[RUNBOOK.index(heading):])[0]


def secrets_of(calls):
    """What `fly secrets import` was given."""
    return dict(line.split("=", 1) for _, words, given in calls if words[:2] == ["secrets", "import"]
                for line in given.splitlines())


def assert_leads_to_redis(url, password, host):
    parts = urllib.parse.urlsplit(url)
    assert (parts.scheme, parts.username, parts.password, parts.hostname, parts.port, parts.path) == (
        "redis", "default", password, host, fly_config.REDIS_PORT, "/0")


@pytest.mark.parametrize("heading", ["## The first time", "## Another password"])
def test_the_secrets_lead_to_redis(carry_out, heading):
    calls = carry_out(fly_config.blocks(RUNBOOK)[0], block_after(heading))
    secrets = secrets_of(calls)
    assert set(secrets) == {"REDIS_PASSWORD", "REDIS_URL"}
    assert re.fullmatch("[0-9a-f]{64}", secrets["REDIS_PASSWORD"])
    assert_leads_to_redis(secrets["REDIS_URL"], secrets["REDIS_PASSWORD"], f"redis.process.{CONFIG['app']}.internal")
    assert ["curl", ["-s", f"https://{CONFIG['app']}.fly.dev/health"], ""] in calls


def test_the_first_time_makes_the_app_and_the_volume(carry_out):
    calls = [words for name, words, _ in carry_out(fly_config.blocks(RUNBOOK)[0], block_after("## The first time"))
             if name == "fly"]
    assert ["apps", "create", CONFIG["app"]] in calls
    assert ["volumes", "create", CONFIG["mounts"][0]["source"], "--region",
            CONFIG["primary_region"]] in [words[:5] for words in calls]
    assert calls[-1] == ["deploy"]


def test_the_replicas_secrets(carry_out):
    calls = carry_out(fly_config.blocks(RUNBOOK)[0], "PASSWORD=p", block_after("Copies of Redis for reading"))
    assert ["apps", "create", REPLICA["app"]] in [words for _, words, _ in calls]
    secrets = secrets_of(calls)
    assert secrets["REDIS_PASSWORD"] == "p"
    assert_leads_to_redis(secrets["REDIS_READ_URL"], "p", f"top1.nearest.of.{REPLICA['app']}.internal")


# -- what the runbook says of Redis and of the coordinator's log -------------------------------------------------------------------

def test_redis_takes_the_options_of_its_group(start_redis):
    options = shlex.split(CONFIG["processes"]["redis"])[1:]
    redis = start_redis(*options)
    assert int(redis.client.config_get("maxmemory")["maxmemory"]) == 96 * 1024 * 1024


def test_a_password_that_does_not_fit_is_told_and_harms_nothing(start_redis, make_coordinator):
    redis = start_redis()
    redis.client.config_set("requirepass", "right")
    with_wrong = make_coordinator(REDIS_URL=f"redis://default:wrong@127.0.0.1:{redis.port}/0").start()
    wait_until(lambda: "WRONGPASS" in with_wrong.stderr(), what="the log tells WRONGPASS")
    assert "WRONGPASS" in RUNBOOK
    assert with_wrong.get("/readyz").status == 503 and with_wrong.get("/health").status == 503
    # a password that is there in addition, as Redis's ACL has it, lets it in without a restart
    redis.client.execute_command("AUTH", "right")
    redis.client.execute_command("ACL", "SETUSER", "default", ">wrong")
    with_wrong.wait_until_ready()


# -- the checks themselves: each sees what it is for -------------------------------------------------------------------------------

def set_at(tree, path, value):
    *way, last = path
    for key in way:
        tree = tree[key]
    if value is None:
        del tree[last]
    else:
        tree[last] = value


def test_the_checks_find_nothing_in_what_is_right():
    assert fly_config.faults_of_config(CONFIG, PROGRAM, {"coordinator", "redis"}) == []


@pytest.mark.parametrize("path, value, fault", [
    (["http_service", "internal_port"], 8081, "internal_port is not the PORT"),
    (["env", "PORT"], "9000", "internal_port is not the PORT"),
    (["http_service", "processes"], ["app", "redis"], "the proxy would stop Redis"),
    (["http_service", "processes"], ["web"], "names the process group web"),
    (["http_service", "auto_stop_machines"], "off", "auto_stop_machines is off"),
    (["http_service", "auto_start_machines"], False, "auto_start_machines is False"),
    (["http_service", "min_machines_running"], 1, "min_machines_running is 1"),
    (["http_service", "autostop"], True, "the key autostop"),
    (["http_service", "concurrency", "type"], "connections", "must count requests"),
    (["http_service", "concurrency", "soft_limit"], 2000, "soft_limit must be below"),
    (["http_service", "concurrency", "hard_limit"], 5000, "at most MAX_CONNECTIONS"),
    (["http_service", "checks"], [], "the check asks None"),
    (["http_service", "checks", 0, "path"], "/livez", "not /readyz"),
    (["http_service", "checks", 0, "path"], "/ready", "not /readyz"),
    (["http_service", "checks", 0, "method"], "POST", "not /readyz"),
    (["http_service", "checks", 0, "timeout"], "500ms", "gives up before"),
    (["http_service", "checks", 0, "interval"], "1s", "interval must be"),
    (["kill_signal"], "SIGQUIT", "does not end on SIGQUIT"),
    (["kill_timeout"], "5s", "does not fit"),
    (["kill_timeout"], 301, "does not fit"),
    (["metrics", 0, "port"], 9090, "not at METRICS_PORT"),
    (["metrics", 0, "path"], "/prometheus", "path /metrics"),
    (["metrics", 0, "processes"], None, "for the group app"),
    (["env", "METRICS_PORT"], "8080", "not at METRICS_PORT"),
    (["env", "HOST"], "0.0.0.0", "does not reach"),
    (["env", "REDIS_URL"], "redis://x", "is a secret"),
    (["env", "NO_SUCH_SETTING"], "1", "is no setting"),
    (["env", "PORT"], 8080, "must be a string"),
    (["mounts", 0, "destination"], "/var/lib/redis", "volume at /data"),
    (["mounts", 0, "processes"], ["app", "redis"], "it alone"),
    (["mounts", 0, "processes"], ["data"], "names the process group data"),
    (["mounts", 0, "source"], "data", "the volume is data, not rma_data"),
    (["primary_region"], "fra", "primary_region is fra, not lhr"),
    (["restart", 0, "policy"], "on-failure", "started again"),
    (["checks", "redis", "port"], 6380, "nothing checks"),
    (["processes", "redis"], "redis", "--maxmemory"),
    (["processes", "redis"], "redis --maxmemory 128mb", "at most 3/8"),
    (["processes", "redis"], "redis-server --maxmemory 96mb", "no role of the image"),
    (["processes", "worker"], "coordinator", "not app and redis"),
    (["deploy", "strategy"], "bluegreen", "can't be used with a volume"),
    (["vm", 0, "memory"], "128mb", "at most 3/8"),
])
def test_the_checks_find_a_fault_of_fly_toml(path, value, fault):
    config = copy.deepcopy(CONFIG)
    set_at(config, path, value)
    found = fly_config.faults_of_config(config, PROGRAM, {"coordinator", "redis"})
    assert any(fault in line for line in found), found


@pytest.mark.parametrize("change, fault", [
    ({"not_ready_after": 3.5}, "gives up before"), ({"routes": {("GET", "/livez")}}, "not /readyz"),
    ({"ends_after": {"SIGTERM": 5.5}}, "does not fit"), ({"ends_within": 10.0}, "does not fit"),
    ({"ends_after": {}}, "does not end on"),
    ({"settings": {**PROGRAM["settings"], "MAX_CONNECTIONS": "500"}}, "at most MAX_CONNECTIONS")])
def test_the_checks_find_what_the_binary_no_longer_does(change, fault):
    found = fly_config.faults_of_config(CONFIG, {**PROGRAM, **change}, {"coordinator", "redis"})
    assert any(fault in line for line in found), found


@pytest.mark.parametrize("path, value, fault", [
    (["app"], "replica", "must be"), (["primary_region"], "fra", "belongs into lhr"),
    (["processes", "redis"], "redis --replicaof redis.process.other.internal 6379 --maxmemory 96mb",
                                      "do not follow"),
    (["processes", "redis"], f"redis --replicaof redis.process.{CONFIG['app']}.internal 6379", "--maxmemory"),
    (["processes", "redis"], REPLICA["processes"]["redis"].replace("--repl-timeout 3", "--repl-timeout 60"), "three pings"),
    (["http_service"], {}, "lead strangers")])
def test_the_checks_find_a_fault_of_the_replicas(path, value, fault):
    config = copy.deepcopy(REPLICA)
    set_at(config, path, value)
    found = fly_config.faults_of_replica(config, CONFIG)
    assert any(fault in line for line in found), found


@pytest.mark.parametrize("old, new, fault", [
    ("fly scale count app=3", "fly scale count web=3", "scales what is not there"),
    ("fly scale count app=3", "fly scale count redis=2", "or Redis"),
    ("fly scale show", "fly scale list", "there is no such command"),
    ("fly logs --no-tail", "fly logs --tail", "there is no flag --tail"),
    ("fly volumes create rma_data", "fly volumes create data", "not the one of [[mounts]]"),
    ("--size 1 --snapshot", "--size 2 --snapshot", "not the one of [[mounts]]"),
    ("--snapshot-retention 14", "--snapshot-retention 5", "not the one of [[mounts]]"),
    ("VOLUME_ID:/data", "VOLUME_ID:/var", "belongs at /data"),
    ("app=0 --region lhr", "app=0 --region fra", "fra is neither the primary region"),
    ("fly-prefer-region: lhr", "fly-prefer-region: fra", "fra is not the primary region"),
    ("--process-groups app", "--process-groups web", "web is no process group"),
    ("--process-group redis --quiet", "--process-group cache --quiet", "cache is no process group"),
    ("redis.process.$APP", "cache.process.$APP", "names no process group"),
    ("16379:6379", "16379:6380", "leads elsewhere"),
    ("deploy/fly.replica.toml --ha", "deploy/replica.toml --ha", "there is no file"),
    ("REDIS_URL=redis://default:$PASSWORD@redis", "REDIS_URI=redis://default:$PASSWORD@redis", "secret REDIS_URI"),
    ("port 9091, `/metrics`", "port 9090, `/metrics`", "does not say: port 9091"),
    ("past 200 requests", "past 100 requests", "does not say: past 200"),
])
def test_the_checks_find_a_fault_of_the_runbook(old, new, fault):
    assert old in RUNBOOK
    found = fly_config.faults_of_runbook(RUNBOOK.replace(old, new), CONFIG, PROGRAM["settings"], FILES)
    assert any(fault in line for line in found), found


@pytest.mark.parametrize("value, wanted", [(10, 10.0), ("10s", 10.0), ("2m", 120.0), ("1500ms", 1.5)])
def test_durations(value, wanted):
    assert fly_config.seconds(value) == wanted


def test_settings_are_read_from_help():
    found = settings()
    assert found["PORT"] == "8080" and found["HOST"] == "::" and found["REDIS_URL"] == "" and found["MAX_CONNECTIONS"] == "4096"
