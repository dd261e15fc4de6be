"""The move from the file-based coordinator: import, export, and what happens when something is in the way."""

import datetime
import json
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import coordinator as coordinator_module
import invariants
import processes
import project
from state import difference
from waiting import wait_until

OLD_REGISTRY = project.ROOT / "tests" / "system" / "fixtures" / "registry.json"
OLD = json.loads(OLD_REGISTRY.read_text())
SERVICES = {"rma-rag-worker": "rag", "rma-ner-worker": "ner", "rma-notes-worker": "notes", "rma-upload-worker": "upload",
            "rma-client-rag-worker": "client-rag", "rma-doc-processor-worker": "doc-processor"}
COMPLETES = 120.0  # nothing here takes so long, on the slowest machine

KEPT = ["worker_id", "tier", "registered_at", "tasks_completed", "capabilities", "assigned_services", "provides",
        "assigned_containers",
        "ip_address", "tunnel_url", "vpn_ip", "instance_id", "boot_id", "fingerprint", "region", "drained", "services",
        "containers",
        "location", "dht_port", "labels"]


def time_ago(seconds):
    """As the old coordinator wrote times: UTC without a zone."""
    return (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()


def record(worker_id="w", /, **members):
    return {"worker_id": worker_id, "tier": 2, "status": "healthy", "last_heartbeat": time_ago(10),
            "registered_at": time_ago(99999),
            "capabilities": {"cpu_cores": 8, "ram": "16GB"}, "current_load": 0.25, "tasks_completed": 3,
            "assigned_containers": [{"name": "rma-rag-worker"}], **members}


def fleet(count):
    return {f"worker-{number:05d}": record(f"worker-{number:05d}") for number in range(count)}


@pytest.fixture
def run(directory):
    """Runs a command to its end."""
    def run(*arguments, within=COMPLETES, **settings):
        return subprocess.run([str(project.BINARY), *map(str, arguments)], env=coordinator_module.environment(settings),
                              cwd=directory,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=within)
    return run


@pytest.fixture
def write(directory):
    """Writes a registry file, of records or of a text as it is; returns its path."""
    def write(records, name="registry.json"):
        path = directory / name
        if isinstance(records, bytes):
            path.write_bytes(records)
        else:
            path.write_text(records if isinstance(records, str) else json.dumps(records, indent=2))
        return path
    return write


@pytest.fixture
def take_over(run, redis):
    """Imports into the test's Redis; returns the counts."""
    def take_over(path, **settings):
        result = run("import", path, "--json", REDIS_URL=redis.url, **settings)
        assert result.returncode == 0 and result.stderr == "", result
        outcome = json.loads(result.stdout)
        assert outcome.pop("redis") == f"127.0.0.1:{redis.port}"
        return outcome
    return take_over


@pytest.fixture
def exported(run, redis):
    """What export says of the test's Redis."""
    def exported(**settings):
        result = run("export", REDIS_URL=redis.url, **settings)
        assert result.returncode == 0 and result.stderr == "", result
        return json.loads(result.stdout)
    return exported


def counts(**given):
    every = {"live": 0, "offline": 0, "archived": 0, "known": 0, **given}
    taken = every["live"] + every["offline"] + every["archived"]
    return {"workers": taken + every["known"], "taken_over": taken, "unknown_containers": 0, **every}


# -- the whole move --------------------------------------------------------------------------------------------------------

def check_move(coordinator):
    """Agents go on beating with their old ids; they are back, as they were."""
    for worker_id in OLD:
        answer = coordinator.beat(worker_id, status="healthy", current_load=0.5)
        assert answer["revived"] is True
    rows = coordinator.workers()
    assert rows.keys() == OLD.keys()
    for worker_id, row in rows.items():
        old = OLD[worker_id]
        assert row["status"] == "healthy" and row["tier"] == old["tier"] and row["capabilities"] == old["capabilities"]
        assert row["registered_at"] == old["registered_at"][:-3] + "Z"
        assert row["tasks_completed"] == old["tasks_completed"]
        assert row["ip_address"] == old["ip_address"] and row["tunnel_url"] == old["tunnel_url"]
        names = [container["name"] for container in old["assigned_containers"]]
        assert row["assigned_containers"] == names
        assert row["assigned_services"] == [SERVICES[name] for name in names]
    stats = coordinator.stats()
    assert stats["total_workers"] == len(OLD)
    beat = coordinator.post("/api/worker/heartbeat", {"worker_id": next(iter(OLD))}).json
    assert "revived" not in beat


def test_the_whole_move_while_a_coordinator_serves(redis, coordinator, take_over):
    assert take_over(OLD_REGISTRY) == counts(archived=len(OLD))
    assert coordinator.workers() == {} and coordinator.stats()["total_workers"] == 0
    check_move(coordinator)
    invariants.assert_hold(redis.dump())


def test_the_whole_move_before_the_first_start(run, start_coordinator, directory):
    result = run("import", OLD_REGISTRY, DATA_DIR=directory / "data")
    assert result.returncode == 0 and result.stderr == "", result
    assert result.stdout.startswith(f"{len(OLD)} of {len(OLD)} workers taken over: ")
    assert result.stdout.endswith(f"; in the Redis at {directory / 'data'}/redis.sock\n")
    assert [pid for pid in processes.living_in(directory / "data")] == [], "the server that was started for it is gone"
    check_move(start_coordinator(DATA_DIR=directory / "data"))


def test_through_the_socket_of_a_coordinator_that_serves(run, start_coordinator, directory):
    coordinator = start_coordinator(DATA_DIR=directory / "data")
    assert run("import", OLD_REGISTRY, DATA_DIR=directory / "data").returncode == 0
    check_move(coordinator)
    assert json.loads(run("export", DATA_DIR=directory / "data").stdout).keys() == OLD.keys()


def test_an_agent_that_registers_again_keeps_what_it_had(coordinator, take_over):
    take_over(OLD_REGISTRY)
    worker_id = next(worker_id for worker_id, old in OLD.items() if old["tasks_completed"] > 0)
    assert coordinator.register(worker_id)["reregistered"] is True
    row = coordinator.workers()[worker_id]
    assert row["tasks_completed"] == OLD[worker_id]["tasks_completed"]
    assert row["registered_at"] == OLD[worker_id]["registered_at"][:-3] + "Z"
    assert row["assigned_services"] == [SERVICES[OLD[worker_id]["assigned_containers"][0]["name"]]]


# -- what becomes of a record ---------------------------------------------------------------------------------------------

def test_live_offline_and_archived(coordinator, write, take_over):
    path = write({"live": record("live"), "late": record("late", last_heartbeat=time_ago(600)),
                  "off": record("off", status="offline"), "gone": record("gone", last_heartbeat=time_ago(4000)),
                  "never": record("never", last_heartbeat=None)})
    assert take_over(path) == counts(live=1, offline=2, archived=2)
    assert {worker_id: row["status"] for worker_id, row in coordinator.workers().items()} == {
        "live": "healthy", "late": "offline", "off": "offline"}
    assert coordinator.workers()["live"]["current_load"] == 0.25


def test_timeouts_are_the_settings(write, take_over):
    settings = {"HEARTBEAT_TIMEOUT_SECONDS": 1000, "WORKER_TIMEOUT_SECONDS": 5000}
    path = write({"a": record("a", last_heartbeat=time_ago(600)), "b": record("b", last_heartbeat=time_ago(4000))})
    assert take_over(path, **settings) == counts(live=1, offline=1)


def test_the_least_that_a_record_needs(coordinator, write, take_over):
    take_over(write({"w": {"tier": 3}, "v": {member: None for member in KEPT + ["status", "current_load"]} | {"tier": 1}}))
    for worker_id, tier in (("w", 3), ("v", 1)):
        coordinator.beat(worker_id)
        row = coordinator.worker(worker_id)
        assert row["tier"] == tier and row["assigned_services"] == [] and row["tasks_completed"] == 0 and row["capabilities"] == {}


def test_unknown_members_and_unknown_containers_are_left_out(coordinator, write, take_over):
    path = write({"w": record(port=80, note={"a": [1]},
                              assigned_containers=[{"name": "gone"}, {"name": "rma-ner-worker"}, "other"])})
    assert take_over(path) == {**counts(live=1), "unknown_containers": 2}
    assert coordinator.workers()["w"]["assigned_services"] == ["ner"]


def test_containers_of_another_catalogue(write, take_over, exported):
    catalogue = write({"services": [{"name": "mine", "tier": 2, "image": "i", "port": 1, "container": "box",
                                     "env": {"TOKEN": "${TOKEN}"}}]}, "catalogue.json")
    settings = {"SERVICE_CATALOG": catalogue, "TOKEN": "s3cret", "LOG_LEVEL": "warn"}
    assert take_over(write({"w": record(assigned_containers=[{"name": "box"}])}), **settings)["unknown_containers"] == 0
    row = exported(**settings)["w"]
    assert row["assigned_services"] == ["mine"]
    assert row["assigned_containers"][0]["name"] == "box" and "s3cret" not in json.dumps(row), "a secret stays where it is"


@pytest.mark.parametrize("text, milliseconds", [
    ("2026-01-02T03:04:05.678901", 1767323045678), ("2026-01-02T03:04:05", 1767323045000), ("2026-01-02 03:04:05.6", 1767323045600),
    ("2026-01-02T03:04:05Z", 1767323045000), ("2026-01-02T05:04:05+02:00", 1767323045000),
    ("2024-02-29T00:00:00-0130", 1709170200000)])
def test_times(redis, write, take_over, text, milliseconds):
    take_over(write({"w": record(registered_at=text)}))
    assert redis.client.hget("{rma}:registration:w", "registered_at") == str(milliseconds)


def test_known_workers_stay_as_they_are(redis, coordinator, write, take_over):
    coordinator.register("known")
    path = write({"known": record("known", tier=3, tasks_completed=77), "new": record("new")})
    before = redis.dump()
    assert take_over(path) == counts(live=1, known=1)
    now = redis.dump()
    assert {key: now[key] for key in now if key.endswith(":known")} == {key: before[key]
                                                                        for key in before if key.endswith(":known")}
    assert coordinator.workers()["known"]["tasks_completed"] == 0


def test_twice_changes_nothing(redis, write, take_over):
    path = write({**OLD, "live": record("live"), "late": record("late", last_heartbeat=time_ago(600))})
    take_over(path)
    before = redis.dump()
    assert take_over(path) == counts(known=len(OLD) + 2)
    assert difference(before, redis.dump()) == ""
    invariants.assert_hold(before)


def test_keys_are_those_of_the_prefix(redis, take_over, exported):
    take_over(OLD_REGISTRY, KEY_PREFIX="other")
    assert all(key.startswith("other:") for key in redis.dump())
    assert exported() == {} and exported(KEY_PREFIX="other").keys() == OLD.keys()


def test_flags_and_file_in_any_order(run, redis):
    for arguments in (["--redis-url", redis.url, OLD_REGISTRY, "--json"], ["--json", OLD_REGISTRY, f"--redis-url={redis.url}"]):
        result = run("import", *arguments)
        assert result.returncode == 0 and json.loads(result.stdout)["workers"] == len(OLD), result


# -- faults of the file ---------------------------------------------------------------------------------------------------

def refused(run, redis, path):
    """What is said of a file that is not taken, from which nothing was."""
    before = redis.dump()
    result = run("import", path, REDIS_URL=redis.url)
    assert result.returncode == 1 and result.stdout == "", result
    assert difference(before, redis.dump()) == ""
    lines = result.stderr.splitlines()
    assert lines[-1] == f"rma-coordinator: nothing was taken over from {path}"
    return [line.removeprefix(str(path)) for line in lines[:-1]]


@pytest.mark.parametrize("text, said", [
    ("", ":1:1: the file is empty; it must be a JSON object."),
    ("[]", ":1:1: the file must be a JSON object."),
    ('{"w": {"tier": 2}', ":1:18: the file ends in the middle of its JSON."),
    ('{\n  "w": {"tier": 2},\n}', ":3:1: the file is not valid JSON."),
    ('{"w": {"tier": 02}}', ":1:17: the file is not valid JSON."),
    ('{"w": {"tier": 2}}\n{}', ":2:1: the file has something behind its JSON object."),
    (b'{"w": {"tier": 2, "region": "\xff"}}', ":1:30: the file is not valid UTF-8."),
    ("{" + '"a": {' * 40 + "}" * 41, None)])
def test_malformed_json_is_refused_with_its_line_and_column(run, redis, write, text, said):
    lines = refused(run, redis, write(text))
    assert len(lines) == 1 and (said is None or lines == [said])


def test_a_truncated_file_is_refused_wherever_it_ends(run, redis, write):
    text = OLD_REGISTRY.read_text().rstrip()
    for end in (1, 2, 30, 700, 2000, len(text) // 2, len(text) - 1):
        assert "in the middle" in refused(run, redis, write(text[:end]))[0]


FAULTS = [
    ({"tier": 0}, "tier must be from 1 to 4"), ({"tier": 5}, "tier must be from 1 to 4"),
    ({"tier": 1.5}, "tier must be a whole number"), ({"tier": "2"}, "tier must be a number"), ({"tier": None}, "tier is required"),
    ({"worker_id": "other"}, "worker_id is not the id under which the record stands"),
    ({"worker_id": 7}, "worker_id must be a string"),
    ({"status": "asleep"}, "status must be healthy, degraded, draining, offline or online"),
    ({"status": 1}, "status must be a string"),
    ({"current_load": "0.2"}, "current_load must be a number"), ({"current_load": -1}, "current_load must be 0 or more"),
    ({"tasks_completed": -1}, "tasks_completed must be from 0 to 9.00719925474099e+15"),
    ({"tasks_completed": 0.5}, "tasks_completed must be a whole number"),
    ({"last_heartbeat": "yesterday"}, "last_heartbeat must be a time like"),
    ({"last_heartbeat": 17}, "last_heartbeat must be a string"),
    ({"registered_at": "2025-02-29T00:00:00"}, "registered_at must be a time like"),
    ({"registered_at": "2025-01-01T00:00:00+1"}, "registered_at must be a time like"),
    ({"capabilities": []}, "capabilities must be an object"),
    ({"capabilities": {"x": "y" * 20000}}, "capabilities must be at most"),
    ({"ip_address": ["1"]}, "ip_address must be a string"), ({"tunnel_url": "a\nb"}, "tunnel_url must have no control characters"),
    ({"tunnel_url": "x" * 5000}, "tunnel_url must be at most"), ({"instance_id": "a b"}, "instance_id must be 1 to 128 characters"),
    ({"assigned_containers": {}}, "assigned_containers must be an array"),
    ({"assigned_containers": [{}]}, "assigned_containers[0] must be an object with a name, or a name"),
    ({"assigned_services": ["a,b"]}, "assigned_services[0] must be 1 to 128 characters"),
    ({"provides": ["ok", 3]}, "provides[1] must be a string"), ({"provides": ["-"]}, "provides[0] must be"),
    ({"provides": ["a"] * 1000}, "provides must have at most 128 entries"), ({"drained": "yes"}, "drained must be true or false"),
    ({"services": {}}, "services must be an array"), ({"note": "x" * 300_000}, "the record must be at most 262144 bytes long"),
]


@pytest.mark.parametrize("members, said", FAULTS,
                         ids=[f"{next(iter(members))}-{number}" for number, (members, _) in enumerate(FAULTS)])
def test_a_bad_record_is_refused_with_its_line_and_member(run, redis, write, members, said):
    path = write({"good": record("good"), "bad": record("bad", **members)})
    line, = refused(run, redis, path)
    number, worker_id, message = re.fullmatch(r":(\d+): (\S+): (.*)", line).groups()
    assert worker_id == "bad" and message.startswith(said)
    member = "bad" if said.startswith("the record") else next(iter(members))
    assert f'"{member}":' in path.read_text().splitlines()[int(number) - 1]


@pytest.mark.parametrize("worker_id", ["", "a b", "x" * 129, "a:online", "\u00e4", "a/b", "a\\u0062"])
def test_a_bad_id_is_refused(run, redis, write, worker_id):
    lines = refused(run, redis, write('{"%s": {"tier": 2}}' % worker_id))
    assert len(lines) == 1 and "the id must be 1 to 128 characters" in lines[0] and lines[0].isascii()


@pytest.mark.parametrize("value", ["[]", "null", "7", '"x"'])
def test_a_record_that_is_no_object_is_refused(run, redis, write, value):
    assert refused(run, redis, write('{\n"w": %s}' % value)) == [":2: w: the record must be an object"]


def test_an_id_given_twice_is_refused(run, redis, write):
    path = write('{\n"w": {"tier": 2},\n"v": {"tier": 2},\n"w": {"tier": 2}\n}')
    assert refused(run, redis, path) == [":4: w: the id stands in the file more than once"]


def test_a_member_given_twice_is_refused(run, redis, write):
    assert refused(run, redis, write('{"w": {"tier": 2, "tier": 2}}')) == [":1: w: tier is given twice"]


def test_all_faults_are_told_up_to_some_dozens(run, redis, write):
    few = {f"w-{number}": record(f"w-{number}", tier=9, status="asleep") for number in range(10)}
    assert len(refused(run, redis, write(few))) == 20
    many = {f"w-{number}": record(f"w-{number}", tier=9) for number in range(1000)}
    lines = refused(run, redis, write(many))
    assert len(lines) == 49 and lines[-1] == ": and 952 more"


def test_a_file_that_can_not_be_read_is_one_line(run, redis, directory):
    for path in (directory / "missing.json", directory):
        result = run("import", path, REDIS_URL=redis.url)
        assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
        assert str(path) in result.stderr and "can't be read" in result.stderr


def record_text(worker_id):
    return json.dumps({worker_id: {"worker_id": worker_id, "tier": 2, "status": "healthy", "last_heartbeat": "2026-11-27T05:00:00",
                                   "registered_at": "2026-11-27T05:00:00",
                                   "assigned_containers": [], "capabilities": {}}})


def test_a_file_may_be_of_any_size(run, redis, directory):
    """It is never in memory as a whole."""
    path = directory / "huge.json"
    blanks = b" " * (1 << 20)
    with path.open("wb") as file:
        file.write(record_text("first").encode()[:-1] + b",")
        for _ in range(300):
            file.write(blanks)
        file.write(record_text("last").encode()[1:])
    result = run("import", path, "--json", REDIS_URL=redis.url)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["workers"] == 2
    assert redis.client.exists("{rma}:registration:first", "{rma}:registration:last") == 2


def test_a_pipe_is_read_too(run, redis, directory):
    pipe = directory / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(pipe.write_text, record_text("w"))
        result = run("import", pipe, REDIS_URL=redis.url)
    assert result.returncode == 0 and redis.client.exists("{rma}:registration:w"), result.stderr


def test_an_empty_file_is_no_registry(run, redis, directory):
    (directory / "empty.json").write_bytes(b"")
    result = run("import", directory / "empty.json", REDIS_URL=redis.url)
    assert result.returncode == 1 and "empty.json:1:1:" in result.stderr


@pytest.mark.parametrize("arguments", [["import"], ["import", "a", "b"], ["export", "a", "b"], ["export", "--json"],
                                       ["import", "a", "--no"]])
def test_wrong_arguments_are_usage_errors(run, redis, directory, arguments):
    result = run(*arguments, REDIS_URL=redis.url)
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1 and result.stdout == ""
    assert [path for path in directory.iterdir() if path.is_file()] == []


# -- Redis is in the way --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("command", ["import", "export"])
def test_no_redis_is_one_line(run, command, directory):
    arguments = [command, OLD_REGISTRY if command == "import" else directory / "out.json"]
    for url in (f"unix://{directory}/none.sock", "redis://127.0.0.1:1", "redis://:s3cret@nowhere.invalid:1"):
        result = run(*arguments, REDIS_URL=url)
        assert result.returncode == 1 and result.stdout == "" and len(result.stderr.splitlines()) == 1, result
        assert "can't be reached" in result.stderr and "s3cret" not in result.stderr
    assert not (directory / "out.json").exists()


def test_password_and_database(run, redis):
    redis.client.config_set("requirepass", "s3cret")
    result = run("import", OLD_REGISTRY, REDIS_URL=redis.url)
    assert result.returncode == 1 and "NOAUTH" in result.stderr
    url = f"redis://:s3cret@127.0.0.1:{redis.port}/3"
    assert run("import", OLD_REGISTRY, REDIS_URL=url).returncode == 0
    assert json.loads(run("export", REDIS_URL=url).stdout).keys() == OLD.keys()


def test_something_else_answers(run):
    with socket.create_server(("127.0.0.1", 0)) as server:
        def echo():
            connection, _ = server.accept()
            while data := connection.recv(65536):
                connection.sendall(data)
        threading.Thread(target=echo, daemon=True).start()
        result = run("import", OLD_REGISTRY, REDIS_URL=f"redis://127.0.0.1:{server.getsockname()[1]}")
    assert result.returncode == 1 and "is no Redis" in result.stderr


def test_only_a_redis_that_loads_its_data_is_waited_for(run):
    """What it says begins with the word LOADING, and not: has that word somewhere."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        probes = []

        def answer():
            connection, _ = server.accept()
            while data := connection.recv(65536):
                if b"EXISTS" in data:
                    probes.append(data)
                loading = b"-LOADING Redis is loading the dataset in memory\r\n" if len(probes) < 4 else b"-ERR no LOADING here\r\n"
                connection.sendall(loading if b"EXISTS" in data else b"+OK\r\n")
        threading.Thread(target=answer, daemon=True).start()
        result = run("import", OLD_REGISTRY, REDIS_URL=f"redis://127.0.0.1:{server.getsockname()[1]}")
    assert result.returncode == 1 and "no LOADING here" in result.stderr and len(probes) == 4


def test_redis_refuses_writes(run, redis):
    redis.client.config_set("maxmemory", 1)
    result = run("import", OLD_REGISTRY, REDIS_URL=redis.url)
    assert result.returncode == 1 and "OOM" in result.stderr and len(result.stderr.splitlines()) == 1


def test_redis_is_killed_in_the_middle_and_a_second_run_completes_it(redis, write, take_over, start_coordinator):
    count = 10_000
    path = write(fleet(count))
    process = subprocess.Popen([str(project.BINARY), "import", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True,
                               env=coordinator_module.environment({"REDIS_URL": redis.url}))
    wait_until(lambda: redis.client.zcard("{rma}:workers") > 50, within=30, what="some workers are taken over", every=0.001)
    redis.kill()
    output, says = process.communicate(timeout=COMPLETES)
    assert process.returncode == 1 and output == "" and len(says.splitlines()) == 1, says
    taken = int(re.search(rf"(\d+) of {count} workers were taken over, running it again completes it", says)[1])
    assert 0 < taken < count
    redis.restart()
    again = take_over(path)
    assert again["workers"] == count and again["known"] >= taken and again["live"] == count - again["known"] > 0
    assert start_coordinator(redis).stats()["total_workers"] == count
    invariants.assert_hold(redis.dump())


def test_a_large_registry_while_agents_beat(redis, coordinator, write, take_over, exported):
    coordinator.register("busy")
    path = write(fleet(5000))
    stop, trouble = threading.Event(), []

    def beat():
        while not stop.is_set():
            response = coordinator.post("/api/worker/heartbeat", {"worker_id": "busy"})
            if response.status != 200:
                trouble.append(response)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        assert take_over(path) == counts(live=5000)
    finally:
        stop.set()
        thread.join()
    assert trouble == []
    assert coordinator.stats()["total_workers"] == 5001
    assert len(exported()) == 5001
    invariants.assert_hold(redis.dump())


# -- export ---------------------------------------------------------------------------------------------------------------

def registered_fleet(coordinator, write, take_over):
    """Workers of every kind: registered in every way, archived, offline, drained."""
    take_over(OLD_REGISTRY)
    coordinator.register("plain")
    coordinator.register("rich", {"cpu_cores": 8, "name": "\u00e9\"\\\n"}, instance_id="pod-1", boot_id="b-1", vpn_ip="10.0.0.1",
                         tunnel_url="https://x.example", services=[{"name": "mine", "port": 1}], containers=[{"name": "c"}],
                         labels={"rack": "b c"})
    coordinator.register()
    coordinator.register("busy")
    coordinator.beat("busy", current_load=0.5, status="degraded")
    take_over(write({"late": record("late", last_heartbeat=time_ago(600)),
                     "held": record("held", drained=True, tasks_completed=9)}))


def test_export_and_import_into_an_empty_redis(redis, start_redis, coordinator, write, take_over, exported, run, directory):
    registered_fleet(coordinator, write, take_over)
    before = exported()
    assert len(before) == len(OLD) + 6 and list(before) == sorted(before)
    assert run("export", "out.json", REDIS_URL=redis.url).stdout == f"{len(before)} workers written to out.json\n"
    assert json.loads((directory / "out.json").read_text()) == before
    assert sorted(path.name for path in directory.iterdir() if path.name.startswith("out.json")) == ["out.json"]

    other = start_redis()
    result = run("import", "out.json", "--json", REDIS_URL=other.url)
    assert json.loads(result.stdout) == {"redis": f"127.0.0.1:{other.port}", **counts(live=5, offline=1, archived=len(OLD))}, result
    after = json.loads(run("export", REDIS_URL=other.url).stdout)
    assert after.keys() == before.keys()
    for worker_id, row in before.items():
        assert {member: after[worker_id].get(member) for member in KEPT} == {member: row.get(member) for member in KEPT}
    assert after["rich"]["labels"] == "rack=b%20c,"
    assert after["busy"]["status"] == "degraded" and after["busy"]["current_load"] == 0.5
    assert after["held"]["status"] == "draining" and after["held"]["drained"] is True
    assert any(row["fingerprint"] for row in after.values())
    invariants.assert_hold(other.dump())


def test_the_old_file_comes_out_as_it_went_in(take_over, exported):
    take_over(OLD_REGISTRY)
    for worker_id, row in exported(PUBLIC_URL="http://coordinator:8080").items():
        old = OLD[worker_id]
        for member in ("worker_id", "tier", "capabilities", "registered_at", "tasks_completed", "ip_address", "tunnel_url", "port",
                       "assigned_containers"):
            assert row[member] == old[member], member


def test_an_empty_fleet_is_an_empty_object(exported):
    assert exported() == {}


def test_a_failing_export_leaves_the_old_file(run, redis, directory, take_over):
    take_over(OLD_REGISTRY)
    (directory / "out.json").write_text("old")
    (directory / "folder").mkdir()
    assert run("export", "out.json", REDIS_URL="redis://127.0.0.1:1").returncode == 1
    assert (directory / "out.json").read_text() == "old"
    for path, said in (("folder", "no regular file"), ("missing/out.json", "can't be written"), ("/dev/full", "no regular file")):
        result = run("export", path, REDIS_URL=redis.url)
        assert result.returncode == 1 and said in result.stderr and len(result.stderr.splitlines()) == 1
    assert run("export", "out.json", REDIS_URL=redis.url).returncode == 0
    assert len(json.loads((directory / "out.json").read_text())) == len(OLD)
    assert not list(directory.glob("*.part-*"))


def test_standard_output_that_is_full_or_closed(redis, take_over):
    take_over(OLD_REGISTRY)
    reader, closed = os.pipe()
    os.close(reader)
    full = os.open("/dev/full", os.O_WRONLY)
    for sink in (full, closed):
        result = subprocess.run([str(project.BINARY), "export"], env=coordinator_module.environment({"REDIS_URL": redis.url}),
                                stdout=sink, stderr=subprocess.PIPE, text=True, timeout=COMPLETES, check=False)
        os.close(sink)
        assert result.returncode == 1 and "standard output can't be written" in result.stderr, result


def test_export_makes_no_data(run, directory):
    (directory / "empty").mkdir()
    for name in ("none", "empty"):
        result = run("export", DATA_DIR=directory / name)
        assert result.returncode == 1 and result.stdout == "" and "REDIS_URL is not set" in result.stderr
        assert not list(directory.glob(name + "/*")) and not (directory / "none").exists()


# -- a terminal -----------------------------------------------------------------------------------------------------------

def test_progress_on_a_terminal(redis, write, directory):
    path = write(fleet(3000))
    for arguments, doing in ((["import", str(path)], "taking over workers"),
                             (["export", str(directory / "out")], "writing workers")):
        leader, follower = pty.openpty()
        process = subprocess.Popen([str(project.BINARY), *arguments], stdout=subprocess.DEVNULL, stderr=follower,
                                   stdin=subprocess.DEVNULL,
                                   env=coordinator_module.environment({"REDIS_URL": redis.url}))
        os.close(follower)
        said = b""
        while process.poll() is None or select.select([leader], [], [], 0)[0]:
            try:
                if select.select([leader], [], [], 0.1)[0]:
                    said += os.read(leader, 65536)
            except OSError:
                break
        os.close(leader)
        assert process.wait() == 0
        text = said.decode()
        assert f"\r{doing}: " in text and "of 3000" in text and text.endswith("\r\x1b[K") and "\n" not in text


# -- the page -----------------------------------------------------------------------------------------------------------

def test_the_move_as_the_page_prints_it(start_coordinator, directory):
    section = (project.ROOT / "docs/migration.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert blocks
    coordinator = start_coordinator(DATA_DIR=directory / "data")
    (directory / "build").symlink_to(project.BUILD.parent)
    shutil.copy(OLD_REGISTRY, directory / "workers.json")
    script = "set -e\n" + "".join(blocks).replace("build/release/", f"build/{project.MODE}/")
    script = script.replace("localhost:8080", f"localhost:{coordinator.port}")
    result = subprocess.run(["bash", "-c", script], cwd=directory, env=coordinator_module.environment({}), capture_output=True,
                            text=True,
                            timeout=COMPLETES)
    assert result.returncode == 0, result
    assert f"{len(OLD)} of {len(OLD)} workers taken over" in result.stdout
    assert json.loads((directory / "backup.json").read_text()).keys() == OLD.keys()
