"""The command `check`: finds what does not agree in Redis, finds nothing where all is well, and changes nothing."""

import json
import subprocess

import pytest
import redis as redis_library

import coordinator as coordinator_module
import project
from load import Load
from routes import Routes
from submissions import submit
from waiting import wait_until


def run_check(*options, **settings):
    return subprocess.run([project.BINARY, "check", *options], env=coordinator_module.environment(settings), capture_output=True,
                          text=True, timeout=60)


def check(redis, *options):
    """-> (exit code, lines of faults)"""
    done = run_check(*options, REDIS_URL=redis.url)
    return done.returncode, done.stdout.splitlines()


@pytest.fixture
def fleet(redis, coordinator):
    """Tasks in all states, and workers."""
    for worker in ("w", "v"):
        coordinator.register(worker)
    submit(redis, *[f"t{number}" for number in range(250)])
    submit(redis, *[f"pinned{number}" for number in range(3)], group="w:v", shape="tier=2")
    submit(redis, "later", due="+600000")
    with_dedup = coordinator.post("/api/tasks", {"type": "t", "dedup_key": "d", "ttl_seconds": 600, "queue": "other"})
    assert with_dedup.status == 201
    tasks = coordinator.get("/api/worker/tasks?worker_id=w&max=40&queues=default").json["tasks"]
    for task in tasks[:10]:
        coordinator.post(f"/api/worker/task-complete?worker_id=w&task_id={task['task_id']}", b"1")
    for task in tasks[10:20]:
        coordinator.post(f"/api/worker/task-fail?worker_id=w&task_id={task['task_id']}", {"retryable": task["task_id"] < "t3"})
    coordinator.delete(f"/api/tasks/{tasks[20]['task_id']}")
    coordinator.delete("/api/tasks/t200")
    assert all(choice.worker for choice in Routes(redis.client).choose("rag", count=3))
    wait_until(lambda: not redis.client.exists("{rma}:stale"))
    redis.dedup_task = with_dedup.json["task_id"]
    redis.held_task = tasks[30]["task_id"]
    return coordinator


def test_nothing_is_found_where_all_is_well(redis, fleet):
    before = redis.dump()
    code, lines = check(redis)
    assert code == 0 and len(lines) == 1 and f"agree in the Redis at 127.0.0.1:{redis.port}" in lines[0], lines
    code, lines = check(redis, "--json")
    answer = json.loads(lines[0])
    assert code == 0 and answer["faults"] == [] and answer["tasks"] == 255 and answer["redis"] == f"127.0.0.1:{redis.port}"
    assert redis.dump() == before


def test_an_empty_redis_is_well_and_said_to_be_empty(redis):
    code, lines = check(redis)
    assert code == 0 and lines[0].startswith(f"No key in the Redis at 127.0.0.1:{redis.port} begins with {{rma}}"), lines
    assert json.loads(check(redis, "--json")[1][0])["keys"] == 0


@pytest.mark.parametrize("exists", [False, True])
def test_without_a_redis_nothing_is_checked(directory, exists):
    """Not one of its own either, in which all would agree."""
    data = directory / "data"
    if exists:
        data.mkdir()
    done = run_check(DATA_DIR=data)
    assert done.returncode == 1 and done.stdout == "" and "REDIS_URL is not set" in done.stderr, done
    assert (list(data.iterdir()) if exists else data.exists()) in ([], False)


def test_the_data_of_a_coordinator_that_was_stopped(start_coordinator, directory):
    start_coordinator(DATA_DIR=directory / "data").stop()
    done = run_check(DATA_DIR=directory / "data")
    assert done.returncode == 0 and f"agree in the Redis at {directory / 'data'}/redis.sock" in done.stdout, done


@pytest.mark.parametrize("arguments", [["t1"], ["t1", "t2"], ["--json", "t1"], ["--all"]], ids=" ".join)
def test_arguments_that_it_does_not_take(redis, arguments):
    code, lines = check(redis, *arguments)
    assert (code, lines) == (2, [])


def test_faults_are_found(redis, fleet):
    held = redis.held_task
    fleet.stop()
    for breaking, said in [
            (lambda client: client.delete("{rma}:task:t100"), "t100"),
            (lambda client: client.zrem("{rma}:ready:a default ", "t101"), "t101"),
            (lambda client: client.hset("{rma}:task:t102", "state", "scheduled"), "t102"),
            (lambda client: client.hdel("{rma}:held:w", held), held),
            (lambda client: client.hset("{rma}:held:w", "t103", "1 2 3 4 default -"), "t103"),
            (lambda client: client.zadd("{rma}:lanes:a", {"default ": 2 ** 52}), "lane a default"),
            (lambda client: client.srem("{rma}:groups", "w:v"), "w:v"),
            (lambda client: client.zrem("{rma}:leases", "w"), "worker w holds"),
            (lambda client: client.zadd("{rma}:agenda", {"scheduled default": 2 ** 52}), "agenda"),
            (lambda client: client.zadd("{rma}:agenda", {"nonsense": 1}), "agenda has nonsense"),
            (lambda client: client.hset("{rma}:parked", "x 1", "9 w * * a w:w"), "waiter x 1"),
            (lambda client: client.hset("{rma}:parked", "x 1", "nonsense"), "waiter x 1"),
            (lambda client: client.zadd("{rma}:parked:a;default", {"x 1": 1}), "parked:a;default has waiter x 1"),
            (lambda client: client.hincrby("{rma}:queue:default", "leased", 1), "queue default"),
            (lambda client: client.hincrby("{rma}:queue:other", "completed", 1), "queue other"),
            (lambda client: client.delete("{rma}:dedup:other d"), redis.dedup_task),
            (lambda client: client.set("{rma}:dedup:other e", "nobody"), "dedup key"),
            (lambda client: client.zrem("{rma}:expiring:other", redis.dedup_task), redis.dedup_task),
            (lambda client: client.persist("{rma}:task:t200"), "t200"),
            (lambda client: client.hincrby("{rma}:requests", "w", 1), "requests has"),
            (lambda client: client.hset("{rma}:requests:t1", "9", "nobody rag - -"), "worker nobody"),
            (lambda client: client.hset("{rma}:requests:t1", "9", "nonsense"), "thread t1"),
            (lambda client: client.delete("{rma}:requesters"), "thread t1"),
            (lambda client: client.hincrby("{rma}:stats", "requests", 1), "stats has 4 requests"),
            (lambda client: client.zincrby("{rma}:service:rag", 1, "w"), "worker w should have rank"),
            (lambda client: client.hdel("{rma}:ledger", "v"), "worker v"),
            (lambda client: client.zrem("{rma}:workers", "v"), "worker v"),
            (lambda client: client.zadd("{rma}:offline", {"v": 2 ** 52}), "worker v")]:
        saved = save(redis)
        breaking(redis.client)
        code, lines = check(redis)
        assert code == 1 and any(said in line for line in lines), (said, lines)
        restore(redis, saved)
    assert check(redis)[0] == 0


def save(redis):
    """The content as Redis dumps it, {key: (text, moment of expiry, 0: none)}."""
    client = redis_library.Redis(unix_socket_path=str(redis.socket))
    return {key: (client.dump(key), max(0, client.execute_command("PEXPIRETIME", key))) for key in client.keys("{rma}:*")}


def restore(redis, saved):
    client = redis_library.Redis(unix_socket_path=str(redis.socket))
    client.flushdb()
    for key, (text, expiry) in saved.items():
        client.restore(key, expiry, text, absttl=True)


def test_a_key_of_a_wrong_type_hides_no_other_fault(redis, fleet):
    fleet.stop()
    redis.client.delete("{rma}:task:t100")
    for name in ("task:x", "dead:nobody", "ready:a nobody ", "held:x", "queue:x", "dedup:default x", "parked", "parked:a",
                 "agenda"):
        key = "{rma}:" + name
        if name.startswith("dedup:"):
            redis.client.hset(key, "x", "x")
        else:
            redis.client.set(key, "x")
        code, lines = check(redis)
        assert code == 1 and any("t100" in line for line in lines), lines
        assert any(line.startswith(name) and "wrong type" in line for line in lines), lines
        redis.client.delete(key)


def test_a_busy_fleet_is_well_at_any_moment(redis, three_coordinators):
    with Load(three_coordinators, threads=3).running():
        for number in range(10):
            submit(redis, *[f"t{number}-{each}" for each in range(20)])
            three_coordinators[0].register("w")
            for task in three_coordinators[1].get("/api/worker/tasks?worker_id=w&max=50").json["tasks"]:
                three_coordinators[2].post(f"/api/worker/task-complete?worker_id=w&task_id={task['task_id']}", b"1")
            code, lines = check(redis)
            assert code == 0, lines
    wait_until(lambda: check(redis)[0] == 0)
