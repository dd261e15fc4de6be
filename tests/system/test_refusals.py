"""Redis that answers but refuses: it is full, can't write to its disk, is a replica, loads, or does not permit. What can be
answered is answered, and the real cause is named."""

import re
import subprocess
import time

import pytest

import project
from coordinator import environment
from waiting import wait_until

OFFLINE, REMOVED = 300, 1800  # seconds after a heartbeat
READS = ("/health", "/", "/api/admin/stats", "/api/admin/health", "/api/admin/gaps", "/api/services/list", "/api/admin/services",
         "/api/admin/workers", "/api/worker/w",
         "/api/worker/find/rag", "/api/services/discover/rag", "/api/route/requests", "/api/admin/history", "/metrics", "/readyz")


@pytest.fixture
def start_fleet(clock, start_redis, start_coordinator):
    """A coordinator under a movable clock, whose fleet has one worker for each service of tier 2, and "w"."""
    def start(**settings):
        redis = start_redis(clock=clock)
        coordinator = start_coordinator(redis, clock=clock, **settings)
        for number in range(8):
            coordinator.register(f"other{number}")
        coordinator.register("w")
        return redis, coordinator
    return start


def without_room(redis):
    redis.client.config_set("maxmemory", 1)


def without_disk(redis):
    """A snapshot fails, since a directory stands where its file is to be."""
    (redis.directory / "dump.rdb").mkdir()
    redis.client.config_set("save", "1 1000000")
    redis.client.config_set("stop-writes-on-bgsave-error", "yes")
    redis.client.bgsave()
    wait_until(lambda: redis.client.info("persistence")["rdb_last_bgsave_status"] == "err")


def without_replicas(redis):
    redis.client.config_set("min-replicas-to-write", 1)


REFUSALS = {"registry-full": without_room, "registry-disk-failed": without_disk, "registry-replicas-lost": without_replicas}


@pytest.mark.parametrize("at", [OFFLINE + 1, REMOVED + 1])
@pytest.mark.parametrize("code", REFUSALS)
def test_reading_goes_on_where_writes_are_refused_and_timeouts_are_due(clock, start_fleet, code, at):
    redis, coordinator = start_fleet()
    REFUSALS[code](redis)
    wait_until(lambda: coordinator.get("/health").json["status"] == "degraded")
    clock.advance(at)
    for _ in range(3):
        for path in READS:
            answer = coordinator.get(path)
            assert answer.status == 200 or answer.json["code"] in ("no-worker", "worker-not-found"), (path, answer)
    health = coordinator.get("/health").json
    assert health["redis"]["status"] == "up" and health["redis"]["code"] == code and "out of reach" not in health["redis"]["detail"]


def test_a_full_redis_serves_the_workers_that_it_has(clock, start_fleet):
    redis, coordinator = start_fleet()
    coordinator.register("silent")
    without_room(redis)
    clock.advance(OFFLINE - 10)
    for number in range(8):
        coordinator.beat(f"other{number}", status="degraded", loaded_models=["m"])
    coordinator.beat("w")
    clock.advance(20)
    wait_until(lambda: coordinator.get("/api/admin/stats").json["offline_workers"] == 1)
    assert coordinator.get("/api/worker/silent").json["status"] == "offline"
    assert coordinator.post("/api/worker/silent/drain", {}).status == 200
    assert coordinator.post("/api/worker/silent/undrain", {}).status == 200
    coordinator.register("w")
    coordinator.beat("silent")
    assert coordinator.get("/api/worker/silent").json["status"] == "healthy"
    coordinator.unregister("silent")
    refused = coordinator.post("/api/worker/register", {"worker_id": "new", "capabilities": {}})
    assert refused.status == 503 and refused.json["code"] == "registry-full"
    told = [(entry["event"], entry["reason"]) for _, entry in redis.client.xrange("{rma}:events") if entry["worker_id"] == "silent"]
    assert told == [("registered", "new"), ("offline", "timeout"), ("updated", "drained"), ("updated", "undrained"),
                    ("online", "heartbeat"), ("removed", "unregistered")]


def test_history_goes_on_in_a_full_redis(clock, start_fleet):
    redis, _ = start_fleet()
    without_room(redis)
    points = redis.client.xlen("{rma}:history")
    clock.advance(3600)
    wait_until(lambda: redis.client.xlen("{rma}:history") > points)


# -- why there is none -------------------------------------------------------------------------------------------------------------

def health_code(coordinator):
    answer = coordinator.get("/health")
    assert answer.status == 503 and answer.json["status"] == "unhealthy", answer
    return answer.json["code"]


def test_a_replica_is_named_as_the_cause(start_redis, make_coordinator):
    primary, replica = start_redis(), start_redis()
    replica.client.replicaof("127.0.0.1", primary.port)
    wait_until(lambda: replica.client.info("replication")["master_link_status"] == "up")
    coordinator = make_coordinator(replica).start()
    wait_until(lambda: health_code(coordinator) == "registry-read-only")
    assert "replica" in coordinator.get("/health").json["detail"]
    for answer in (coordinator.get("/readyz"), coordinator.post("/api/worker/heartbeat", {"worker_id": "w"}),
                   coordinator.get("/api/worker/w"), coordinator.get("/api/admin/stats")):
        assert answer.status == 503 and answer.json["code"] == "registry-read-only", answer


def test_loading_is_named_as_the_cause(start_redis, make_coordinator):
    redis = start_redis()
    pipeline = redis.client.pipeline(transaction=False)
    for number in range(60_000):
        pipeline.set(f"filler{number}", "x")
    pipeline.execute()
    redis.kill()
    redis.launch("--key-load-delay", "200")
    coordinator = make_coordinator(redis).start()
    wait_until(lambda: health_code(coordinator) == "registry-loading")
    wait_until(lambda: coordinator.get("/api/admin/stats").json["code"] == "registry-loading")


@pytest.mark.parametrize("user, code", [("", "registry-wants-password"), (":wrong@", "registry-refuses-password"),
                                        ("nobody:s3cret@", "registry-refuses-password")])
def test_a_password_is_named_as_the_cause(start_redis, make_coordinator, user, code):
    redis = start_redis(password="s3cret")
    coordinator = make_coordinator(REDIS_URL=f"redis://{user}127.0.0.1:{redis.port}").start()
    wait_until(lambda: health_code(coordinator) == code)
    assert coordinator.get("/readyz").json["code"] == code
    assert "s3cret" not in coordinator.stderr() and "wrong" not in coordinator.stderr().replace("WRONGPASS", "")


# -- permissions -------------------------------------------------------------------------------------------------------------------

def acl_line(title):
    """The commands of the ACL line of that title in docs/redis.md."""
    text = (project.ROOT / "docs" / "redis.md").read_text()
    line, = re.findall(rf"{title}.*?```\n(ACL SETUSER .*?)\n```", text, re.DOTALL)
    return line.split()


def commands_used():
    """Every command that the scripts and the coordinator call, as ACL writes them."""
    scripts = "".join(path.read_text() for path in (project.ROOT / "lua").rglob("*.lua") if path.name != "embed.lua")
    used = set(re.findall(r"call\('([A-Z]+)'", scripts))
    for path in (project.ROOT / "src" / "store").glob("*.c"):
        used |= set(re.findall(r'command_begin\([^;]*;\s*command_add\(&?\w+, STR\("([A-Z]+)"\)', path.read_text()))
    return {"+" + name.lower() for name in used} | {"+evalsha", "+script|load", "+subscribe"}


def let_in(redis, *changes):
    words = acl_line("What it needs")
    assert words[2] == "coordinator"
    redis.client.execute_command(*words, *changes)
    password, = (word[1:] for word in words if word.startswith(">"))
    return f"redis://coordinator:{password}@127.0.0.1:{redis.port}"


def test_the_documented_permissions_are_those_that_are_needed():
    given = {word for word in acl_line("What it needs") if word.startswith("+")}
    assert given == commands_used() | {"+wait"}


def test_help_says_what_is_needed():
    text = subprocess.run([str(project.BINARY), "--help"], capture_output=True, text=True, check=True).stdout
    line, = [line for line in text.splitlines() if "+evalsha" in line]
    assert set(line.split()) == set(acl_line("What it needs")[5:])


def test_every_command_is_tried_before_it_is_needed():
    tried = set(re.findall(r"\{ '([A-Z]+)'", (project.ROOT / "lua" / "ready.lua").read_text()))
    assert {"+" + name.lower() for name in tried} == commands_used() - {"+evalsha", "+script|load", "+wait", "+publish",
                                                                        "+subscribe"}


def exercise(coordinator):
    """Every operation there is."""
    coordinator.register("w", instance_id="i", tunnel_url="https://t.example")
    coordinator.register("w", boot_id="1", instance_id="i")
    coordinator.beat("w", active_requests=1, loaded_models=["m"], specialization="rag", expect_silence=600)
    coordinator.beat("w", status="offline")
    coordinator.beat("w")
    assert coordinator.post("/api/worker/w/drain", {}).status == 200
    assert coordinator.post("/api/worker/w/undrain", {}).status == 200
    for path in READS:
        assert coordinator.get(path).status == 200 or path == "/api/worker/find/rag", (path, coordinator.get(path))
    coordinator.unregister("w")


def test_a_user_with_the_documented_permissions_is_served(clock, start_redis, start_coordinator):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(REDIS_URL=let_in(redis), clock=clock)
    exercise(coordinator)
    coordinator.register("w")
    clock.advance(OFFLINE + 1)
    wait_until(lambda: coordinator.get("/api/admin/stats").json["offline_workers"] == 1)
    clock.advance(REMOVED)
    wait_until(lambda: coordinator.get("/api/worker/w").status == 404)
    coordinator.beat("w")
    assert coordinator.get("/health").json["status"] == "healthy"
    assert [line for line in coordinator.log_lines() if line["level"] in ("warn", "error")] == []


def test_a_user_with_the_documented_permissions_reads_from_a_replica(start_redis, start_coordinator):
    """Which needs INFO besides."""
    primary, replica = start_redis(), start_redis()
    urls = [let_in(redis, "+info") for redis in (primary, replica)]
    replica.client.replicaof("127.0.0.1", primary.port)
    wait_until(lambda: replica.client.info("replication")["master_link_status"] == "up")
    coordinator = start_coordinator(REDIS_URL=urls[0], REDIS_READ_URL=urls[1])
    coordinator.register("w")
    for path in ("/api/admin/stats", "/api/admin/workers", "/api/worker/w", "/api/services/list", "/api/services/discover/rag",
                 "/api/admin/history"):
        wait_until(lambda path=path: "X-Replica-Lag" in coordinator.get(path).headers)
        assert coordinator.get(path).status == 200
    assert [line for line in coordinator.log_lines() if line["level"] in ("warn", "error")] == []


@pytest.mark.parametrize("refused", ["-time", "-hget", "-zadd", "-hincrby", "-evalsha", "-script", "-exists", "-mget"])
def test_a_permission_that_is_missing_is_named(start_redis, make_coordinator, refused):
    redis = start_redis()
    coordinator = make_coordinator(REDIS_URL=let_in(redis, refused)).start()
    name = refused[1:].upper()
    wait_until(lambda: health_code(coordinator) == "registry-forbids")
    ready = coordinator.get("/readyz")
    assert ready.status == 503 and ready.json["code"] == "registry-forbids"
    wait_until(lambda: name in coordinator.stderr().upper())
    if refused != "-mget":
        assert coordinator.post("/api/worker/register", {"worker_id": "w", "capabilities": {}}).status == 503
    redis.client.execute_command("ACL", "SETUSER", "coordinator", "+script|load" if refused == "-script" else "+" + refused[1:])
    coordinator.wait_until_ready()
    coordinator.register("w")


def test_a_script_that_lacks_a_permission_says_which(start_redis, start_coordinator):
    redis = start_redis()
    coordinator = start_coordinator(REDIS_URL=let_in(redis))
    coordinator.register("w")
    for refused in ("hset", "hmget", "zrem"):
        redis.client.execute_command("ACL", "SETUSER", "coordinator", "-" + refused)
        answer = coordinator.delete("/api/worker/unregister/w") if refused != "hset" else coordinator.post(
            "/api/worker/register", {"worker_id": "v", "capabilities": {}})
        assert answer.status == 503 and answer.json["code"] == "registry-forbids", answer
        lines = [line for line in coordinator.log_lines() if line["event"] == "redis_error"]
        assert lines[-1]["command"] == refused.upper() and lines[-1]["script"] in ("register", "unregister")
        redis.client.execute_command("ACL", "SETUSER", "coordinator", "+" + refused)


@pytest.mark.parametrize("changes",
                         [["-client"], ["-ping"], ["-client", "-ping", "-info", "-role", "-config", "-select", "-command"]])
def test_what_only_adorns_may_be_refused(redis, start_coordinator, directory, changes):
    redis.client.execute_command("ACL", "SETUSER", "fleet", "on", ">s3cret", "~{rma}:*", "+@all", *changes)
    url = f"redis://fleet:s3cret@127.0.0.1:{redis.port}"
    coordinator = start_coordinator(REDIS_URL=url)
    exercise(coordinator)
    coordinator.register("w")
    result = subprocess.run([str(project.BINARY), "export"], env=environment({"REDIS_URL": url}), cwd=directory,
                            capture_output=True,
                            text=True, timeout=30)
    assert result.returncode == 0 and '"w"' in result.stdout, result.stderr


# -- whoever sweeps says whom it has moved on --------------------------------------------------------------------------------------

def moved(coordinators, event):
    return [line for coordinator in coordinators for line in coordinator.log_lines() if line["event"] == event]


def test_a_worker_that_falls_silent_has_one_line_in_the_fleet(clock, start_redis, start_coordinator):
    redis = start_redis(clock=clock)
    coordinators = [start_coordinator(redis, clock=clock) for _ in range(3)]
    began = time.monotonic()
    for worker_id in ("a", "b"):
        coordinators[0].register(worker_id)
    clock.advance(OFFLINE + 5)
    wait_until(lambda: len(moved(coordinators, "worker_offline")) == 2)
    clock.advance(REMOVED - OFFLINE)
    wait_until(lambda: len(moved(coordinators, "worker_removed")) == 2)
    for _ in range(3):
        for coordinator in coordinators:
            coordinator.get("/api/admin/stats")
    passed = time.monotonic() - began + 1
    for event, seconds, word in (("worker_offline", OFFLINE + 5, "offline"), ("worker_removed", REMOVED + 5, "removed")):
        lines = moved(coordinators, event)
        assert sorted(line["worker_id"] for line in lines) == ["a", "b"]
        assert all(line["level"] == "info" and seconds <= line["silent_seconds"] <= seconds + passed for line in lines), lines
        assert all(f"worker {line['worker_id']} is {word}: silent for" in line["message"] for line in lines), lines


def test_a_worker_that_is_unregistered_has_a_line(coordinator):
    coordinator.register("w")
    coordinator.unregister("w")
    assert coordinator.delete("/api/worker/unregister/w").status == 404
    line, = moved([coordinator], "worker_removed")
    assert line["level"] == "info" and line["worker_id"] == "w" and line["address"] == "127.0.0.1"
    assert line["message"] == "worker w is removed: unregistered"


def test_a_fleet_that_falls_silent_does_not_flood_the_log(clock, start_redis, start_coordinator):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis, clock=clock)
    for first in range(0, 400, 50):
        entries = [{"worker_id": f"w{number}", "capabilities": {}} for number in range(first, first + 50)]
        for entry in entries:
            coordinator.register(entry["worker_id"])
    clock.advance(OFFLINE + 1)
    wait_until(lambda: coordinator.get("/api/admin/stats").json["offline_workers"] == 400)
    lines = moved([coordinator], "worker_offline")
    assert 50 <= len(lines) <= 60
    assert any("the others are only counted" in line["message"] for line in lines)


@pytest.mark.parametrize("arguments", [["status"], ["workers"], ["services"], ["services", "rag"], ["worker", "w"], ["gaps"],
                                       ["tasks"], ["queues"]])
def test_a_reading_command_straight_at_redis_moves_nobody_on(clock, start_redis, start_coordinator, directory, arguments):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis, clock=clock)
    coordinator.register("w")
    coordinator.register("v")
    coordinator.stop()
    wait_until(lambda: not any(client["name"] == "rma-coordinator" for client in redis.client.client_list()),
               what="Redis has done what the coordinator had sent")
    clock.advance(REMOVED + 1)
    before = redis.dump(everything=True)
    result = subprocess.run([str(project.BINARY), *arguments, "--json"],
                            env={**environment({"REDIS_URL": redis.url}), **clock.environment()},
                            cwd=directory, capture_output=True, text=True, timeout=30)
    assert "rror" not in result.stderr or result.returncode in (0, 3, 4), result.stderr
    assert redis.dump(everything=True) == before


# -- thirty thousand silent at once ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/api/services/list", "/api/services/discover/rag", "/api/admin/stats", "/health"])
def test_reads_wait_for_the_sweep_for_a_bounded_time(clock, start_redis, start_coordinator, path):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis, clock=clock, THREADS=1)
    pipeline = redis.client.pipeline(transaction=False)
    coordinator.register("w")
    moment = redis.client.zscore("{rma}:online", "w")
    entry = redis.client.hget("{rma}:ledger", "w")
    for number in range(30_000):
        pipeline.zadd("{rma}:online", {f"x{number}": moment})
        pipeline.hset("{rma}:ledger", f"x{number}", entry)
    pipeline.execute()
    clock.advance(REMOVED + 1)
    answer = coordinator.get(path)
    assert answer.status in (200, 503), f"{answer}; the deadline would have been a 504"
    assert answer.status == 200 or answer.json["code"] == "no-worker"
