"""Why a worker is drained, since when, and who said so: kept, shown, told, changed, forgotten."""

import json
import platform
import re
import subprocess

import pytest

import coordinator as coordinator_module
import project
from waiting import wait_until

TOLD = ("drained", "drain_reason", "drained_at", "drained_from")


def drain(coordinator, worker_id="w", body=None, **headers):
    return coordinator.request("POST", f"/api/worker/{worker_id}/drain", body, headers=headers or None)


def told(coordinator, worker_id="w"):
    worker, row = coordinator.worker(worker_id), coordinator.workers()[worker_id]
    assert {name: worker[name] for name in TOLD} == {name: row[name] for name in TOLD}
    return tuple(worker[name] for name in TOLD)


def command(*arguments, **settings):
    return subprocess.run([str(project.BINARY), *arguments], env=coordinator_module.environment(settings), capture_output=True,
                          text=True,
                          timeout=30)


def test_why_since_when_and_from_where(coordinator):
    coordinator.register("w")
    assert told(coordinator) == (False, None, None, None)
    with coordinator.events() as stream:
        stream.wait_for(lambda stream: stream.events)
        assert drain(coordinator, body={"reason": "disk swap"}).json == {"status": "ok", "message": "Worker w takes no new work"}
        drained, reason, since, origin = told(coordinator)
        assert (drained, reason, origin) == (True, "disk swap", "127.0.0.1")
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", since)
        stream.wait_for(lambda stream: stream.of("worker.updated"))
        event = stream.of("worker.updated")[-1].data
        assert (event["reason"], event["drain_reason"], event["drained_from"]) == ("drained", "disk swap", "127.0.0.1")
        assert drain(coordinator, body={"reason": "two disks"}).status == 200
        assert told(coordinator) == (True, "two disks", since, "127.0.0.1"), "it is drained since when it was"
        stream.wait_for(lambda stream: len(stream.of("worker.updated")) == 2)
        assert stream.of("worker.updated")[-1].data["drain_reason"] == "two disks"
        assert drain(coordinator).status == 200
        assert told(coordinator) == (True, "two disks", since, "127.0.0.1"), "nothing new was said"
        coordinator.post("/api/worker/w/undrain")
        assert told(coordinator) == (False, None, None, None)
        stream.wait_for(lambda stream: len(stream.of("worker.updated")) == 3)
        assert "drain_reason" not in stream.of("worker.updated")[-1].data
    drain(coordinator)
    assert told(coordinator)[:2] == (True, None)


@pytest.mark.parametrize("body", [{}, {"reason": None}, {"reason": ""}, {"reason": " \t\n"}, {"other": 1}])
def test_no_reason_is_needed(coordinator, body):
    coordinator.register("w")
    assert drain(coordinator, body=body).status == 200
    assert told(coordinator)[:2] == (True, None)


@pytest.mark.parametrize("body, status", [
    ({"reason": 7}, 422), ({"reason": ["a"]}, 422), ({"reason": {}}, 422), ({"reason": True}, 422), ({"reason": "x" * 501}, 422),
    (b"[]", 400), (b"disk swap", 400), (b'{"reason": "', 400), (b'{"reason": "\xff"}', 400), (b'{"reason": "\\u0000"}', 400)])
def test_a_reason_that_is_none_changes_nothing(coordinator, body, status):
    coordinator.register("w")
    response = drain(coordinator, body=body)
    assert response.status == status, response
    if status == 422:
        assert [error["field"] for error in response.json["errors"]] == ["reason"]
    assert told(coordinator) == (False, None, None, None)


def test_a_reason_is_one_line_of_text(coordinator):
    coordinator.register("w")
    drain(coordinator, body={"reason": "  two\r\nlines \x1b[31m \u202e<b>caf\xe9</b> \U0001f600\x85 "})
    assert told(coordinator)[1] == "two lines [31m <b>caf\xe9</b> \U0001f600"
    drain(coordinator, body={"reason": "x" * 500})
    assert told(coordinator)[1] == "x" * 500


def test_behind_a_proxy_it_is_the_clients_address(redis, start_coordinator):
    coordinator = start_coordinator(redis, TRUST_PROXY="1")
    coordinator.register("w")
    drain(coordinator, **{"X-Forwarded-For": "203.0.113.7"})
    assert told(coordinator)[3] == "203.0.113.7"


def test_it_outlasts_registrations_removal_and_instances(redis, start_coordinator):
    first, second = (start_coordinator(redis, HEARTBEAT_INTERVAL_SECONDS=1, HEARTBEAT_TIMEOUT_SECONDS=2, WORKER_TIMEOUT_SECONDS=3)
                     for _ in range(2))
    first.register("w")
    drain(first, body={"reason": "disk swap"})
    before = told(second)
    first.register("w")
    assert told(second) == before
    wait_until(lambda: "w" not in second.workers(), what="it is removed")
    assert second.beat("w")["revived"] is True
    assert told(first) == before


def test_a_worker_drained_before_reasons_were_kept(redis, coordinator):
    coordinator.register("w")
    redis.client.hset("{rma}:registration:w", "drained", "1")
    assert told(coordinator) == (True, None, None, None)
    drain(coordinator, body={"reason": "disk swap"})
    assert told(coordinator) == (True, "disk swap", None, "127.0.0.1")


def test_export_and_import_keep_it(redis, start_redis, start_coordinator, directory):
    coordinator = start_coordinator(redis)
    for worker_id in ("w", "silent", "not"):
        coordinator.register(worker_id)
    drain(coordinator, body={"reason": "disk \"swap\" \U0001f600"})
    drain(coordinator, "silent")
    exported = command("export", REDIS_URL=redis.url)
    (directory / "workers.json").write_text(exported.stdout)
    other = start_redis()
    assert command("import", str(directory / "workers.json"), REDIS_URL=other.url).returncode == 0
    there = start_coordinator(other)
    for worker_id in ("w", "silent", "not"):
        assert told(there, worker_id) == told(coordinator, worker_id)
    assert "drain" not in json.dumps(json.loads(exported.stdout)["not"])


def test_the_command_says_why_and_who(redis, coordinator):
    coordinator.register("w")
    assert command("drain", "w", "--reason", "disk swap", "--url", coordinator.url).returncode == 0
    assert told(coordinator)[1::2] == ("disk swap", "127.0.0.1")
    assert command("drain", "w", "--reason=two \"disks\"\nof \u00fc", REDIS_URL=redis.url).returncode == 0
    assert told(coordinator)[1::2] == ('two "disks" of \u00fc', f"a command on {platform.node()}, straight at Redis")
    listed = command("workers", "--url", coordinator.url).stdout
    assert re.search(r'^w +2 cpu +draining: two "disks" of \u00fc +', listed, re.MULTILINE), listed
    shown = command("worker", "w", "--url", coordinator.url).stdout
    for pattern in (r"drained +yes", r'drain_reason +two "disks"', r"drained_at +20.* \(\d+ s ago\)",
                    r"drained_from +a command on "):
        assert re.search(pattern, shown), shown
    assert command("undrain", "w", "--url", coordinator.url).returncode == 0
    assert "drain_reason         -" in command("worker", "w", "--url", coordinator.url).stdout
    for reason in ("x" * 501, b"\xff"):
        refused = command("drain", "w", "--reason", reason, "--url", coordinator.url)
        assert refused.returncode == 2 and "--reason takes up to 500 bytes" in refused.stderr
    assert command("undrain", "w", "--reason", "x", "--url", coordinator.url).returncode == 2
    assert told(coordinator) == (False, None, None, None)
