"""The format of what is in Redis: data of a newer one is not touched, and says so; older data is brought forward."""

import json
import re
import subprocess

import pytest

import project
from coordinator import environment
from waiting import wait_until


def run(directory, *arguments, **settings):
    return subprocess.run([str(project.BINARY), *arguments], env=environment(settings), cwd=directory, capture_output=True,
                          text=True,
                          timeout=30)


def numbers(sentence):
    """What a sentence about formats tells: which one is there, and which one is known."""
    return re.findall(r"\d+", sentence)


def events(coordinator, event):
    return [line for line in coordinator.log_lines() if line["event"] == event]


def test_data_of_a_newer_format_is_not_touched(directory, redis, start_coordinator, make_coordinator):
    start_coordinator(redis).stop()
    redis.client.set("{rma}:format", "7")
    before = redis.dump(everything=True)
    coordinator = make_coordinator(redis, REDIS_READ_URL=redis.url).start()
    wait_until(lambda: events(coordinator, "redis_left"))
    assert numbers(events(coordinator, "redis_left")[0]["why"]) == ["7", "1"]
    for method, path, body in [("POST", "/api/worker/register", {"worker_id": "w", "capabilities": {}}),
                               ("GET", "/api/admin/workers", None),
                               ("POST", "/api/worker/heartbeat", {"worker_id": "w"}), ("GET", "/health", None),
                               ("GET", "/readyz", None)]:
        answer = coordinator.request(method, path, body)
        assert (answer.status, answer.json["code"]) == (503, "registry-newer"), answer
    assert numbers(coordinator.get("/health").json["detail"]) == ["7", "1"]
    assert coordinator.is_alive()
    for command in (["workers"], ["export"], ["check"], ["users", "list"], ["queues"]):
        refused = run(directory, *command, REDIS_URL=redis.url)
        assert refused.returncode == 1 and "newer" in refused.stderr and "Traceback" not in refused.stderr, (command, refused)
    assert redis.dump(everything=True) == before
    redis.client.set("{rma}:format", "1")
    coordinator.wait_until_ready()
    coordinator.register("w")


def test_one_that_is_connected_says_so_and_serves_on_if_it_may(coordinator, redis, start_redis, start_coordinator):
    """A rolling deploy: the newer version waits for those beside which it can't serve. But it does not see one that is frozen."""
    coordinator.register("w")
    redis.client.set("{rma}:format", "7")
    other_redis = start_redis()
    frozen = start_coordinator(other_redis, THREADS=3)
    frozen.register("w")
    other_redis.client.hset("{rma}:life", "beside", "2")
    other_redis.client.set("{rma}:format", "7")
    wait_until(lambda: events(coordinator, "format_newer"))
    coordinator.beat("w")
    assert redis.client.get("{rma}:format") == "7"
    wait_until(lambda: all(frozen.get("/api/admin/workers").json.get("code") == "registry-newer" for _ in range(25)))
    assert frozen.get("/health").json["code"] == "registry-newer" and not events(frozen, "format_newer")
    assert all(numbers(line["why"]) == ["7", "1"] for line in events(frozen, "redis_left"))


def test_whoever_only_reads_touches_no_format_either_that_is_no_number(directory, redis, start_coordinator, make_coordinator):
    start_coordinator(redis).stop()
    reader = make_coordinator(redis, REDIS_READ_URL=redis.url).start()
    for found in ("-1", " 1", "+1", "1 ", "", "1.0", "one", "a list"):
        redis.client.delete("{rma}:format")
        write = redis.client.rpush if found == "a list" else redis.client.set
        write("{rma}:format", found)
        refused = run(directory, "check", REDIS_URL=redis.url)
        why = "WRONGTYPE" if found == "a list" else "of a format that is no number, this version knows 1"
        assert refused.returncode == 1 and why in refused.stderr, (found, refused)
        redis.client.client_kill_filter(_type="normal", skipme=True)
        wait_until(lambda: reader.get("/api/admin/workers").json.get("code") == "registry-newer",
                   what=f"{found!r} is refused")
    redis.client.delete("{rma}:format")
    redis.client.set("{rma}:format", "1")
    reader.wait_until_ready()


def test_it_is_named_and_each_coordinator_says_that_it_serves(redis, three_coordinators):
    assert redis.client.get("{rma}:format") == "1"
    assert {name.split(" ")[0] for name in redis.client.zrange("{rma}:instances", 0, -1)} == {"1"}
    assert redis.client.zcard("{rma}:instances") == 3


def test_the_version_names_commit_and_format(directory):
    words = run(directory, "--version").stdout
    assert (words.startswith("rma-coordinator ") and words.endswith(", format 1)\n") and "(commit " in words
            and words.count("\n") == 1)


def test_older_data_is_brought_forward(redis, start_coordinator):
    coordinator = start_coordinator(redis)
    coordinator.register("w")
    coordinator.beat("w", loaded_models=["m"])
    coordinator.stop()
    redis.client.delete("{rma}:format")
    redis.client.hset("{rma}:ledger", "w", redis.client.hget("{rma}:ledger", "w").replace(" m ", " M:latest "))
    coordinator = start_coordinator(redis)
    assert redis.client.get("{rma}:format") == "1" and " m " in redis.client.hget("{rma}:ledger", "w")
    assert [(line["from"], line["to"]) for line in events(coordinator, "format")] == [("0", 1)]
