"""Tasks as those see them who submit them and look at them."""

import datetime
import json
import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import credentials
import project
import task_work
from commands import Commands
from coordinator import GPU_CAPABILITIES
from waiting import PATIENCE, let_pass, wait_until


def submit(coordinator, headers=None, **members):
    return coordinator.post("/api/tasks", {"type": "t", **members}, headers=headers)


def task_of(coordinator, task_id):
    answer = coordinator.get(f"/api/tasks/{task_id}")
    assert answer.status == 200, answer
    return answer.json


def listed(coordinator, query=""):
    """The ids of all tasks that a query finds, page by page."""
    ids, cursor = [], ""
    while True:
        answer = coordinator.get(f"/api/tasks?limit=7{query}{cursor}")
        assert answer.status == 200, answer
        ids += [task["task_id"] for task in answer.json["tasks"]]
        if answer.json["next_cursor"] is None:
            return ids
        cursor = "&cursor=" + answer.json["next_cursor"]


# -- in ----------------------------------------------------------------------------------------------------------------------------

def test_a_submitted_task_is_there_as_it_was_answered(coordinator):
    answer = submit(coordinator, payload={"a": [1, {"b": None}], "\u00e9": "\u2028"}, priority=-5, requirements={"tier": 1},
                    max_attempts=2,
                    lease_seconds=30, ttl_seconds=60, result_ttl_seconds=0, dedup_key="k 1", queue="q:1")
    assert answer.status == 201
    task = answer.json
    assert task_of(coordinator, task["task_id"]) == task
    assert task["payload"] == {"a": [1, {"b": None}], "\u00e9": "\u2028"} and task["queue"] == "q:1" and task["state"] == "queued"
    assert (task["priority"], task["max_attempts"], task["lease_seconds"], task["result_ttl_seconds"]) == (-5, 2, 30, 0)
    assert task["requirements"] == {"tier": 1} and task["dedup_key"] == "k 1" and task["expires_at"] > task["created_at"]
    row, = coordinator.get("/api/tasks?queue=q:1").json["tasks"]
    assert row == {name: value for name, value in task.items() if name in row} and "payload" not in row and "result" not in row


@pytest.mark.parametrize("members", [
    {}, {"delay_seconds": 100, "ttl_seconds": 50.5}, {"delay_seconds": 0.0004}, {"run_at": 1_000, "ttl_seconds": 5},
    {"lease_seconds": 5.5}, {"priority": 100},
    {"max_attempts": 5, "lease_seconds": 90, "result_ttl_seconds": 86400, "priority": 0}, {"requirements": {}}, {"payload": None},
    {"payload": ""},
    {"type": "\u00e9 \"x\"", "dedup_key": "a b\tc"}, {"requirements": {"model": "M:latest", "labels": {"b": "1", "a": "2"}}},
    {"delay_seconds": 31_000_000}],
    ids=lambda value: str(value)[:40])
def test_what_is_answered_is_what_is_kept(coordinator, members):
    answer = submit(coordinator, **members)
    if answer.status == 422:
        assert "run_at" in members or "dedup_key" in members
        return
    assert task_of(coordinator, answer.json["task_id"]) == answer.json


@pytest.mark.parametrize("when", [{"delay_seconds": 100}, {"run_at": "2999-01-01T00:00:00Z"}], ids=str)
def test_a_delayed_task(coordinator, when):
    answer = submit(coordinator, **when)
    if answer.status == 422:  # further ahead than is taken
        assert answer.json["errors"][0]["field"] == "run_at"
        return
    assert (answer.status, answer.json["state"]) == (201, "scheduled")
    assert task_of(coordinator, answer.json["task_id"]) == answer.json and answer.json["available_at"] > answer.json["created_at"]


def test_the_same_idempotency_key_makes_one_task(three_coordinators):
    key = {"Idempotency-Key": "order 17"}
    first = submit(three_coordinators[0], key, payload=1)
    assert first.status == 201 and "Idempotency-Replayed" not in first.headers
    again = submit(three_coordinators[1], key, payload=1)
    assert (again.status, again.json, again.headers["Idempotency-Replayed"]) == (200, first.json, "true")
    assert "Idempotency-Replayed" in again.headers["Access-Control-Expose-Headers"], "pages may read it"
    other = submit(three_coordinators[2], key, payload=2)
    assert (other.status, other.json["code"]) == (422, "idempotency-key-reused")
    assert submit(three_coordinators[2], {"Idempotency-Key": "order 18"}, payload=1).status == 201
    assert len(listed(three_coordinators[0])) == 2


def test_the_task_of_a_key_is_answered_as_it_is_by_then(redis, coordinator):
    coordinator.register("w")
    key = {"Idempotency-Key": "k"}
    task_id = submit(coordinator, key, result_ttl_seconds=0).json["task_id"]
    (_, held), = task_work.lease(redis, "w").items()
    assert submit(coordinator, key, result_ttl_seconds=0).json["state"] == "leased"
    assert task_work.complete(redis, "w", task_id, held) == "completed"
    assert submit(coordinator, key, result_ttl_seconds=0).json["state"] == "completed"
    redis.client.delete(f"{{rma}}:task:{task_id}")
    gone = submit(coordinator, key, result_ttl_seconds=0)
    assert (gone.status, gone.json) == (200, {"task_id": task_id, "state": None})


def test_a_dedup_key_has_one_live_task(coordinator):
    first = submit(coordinator, dedup_key="d")
    same = submit(coordinator, dedup_key="d", payload="other")
    assert (same.status, same.json) == (200, first.json)
    assert submit(coordinator, dedup_key="d", queue="another").status == 201
    instead = submit(coordinator, dedup_key="d", on_conflict="replace", payload="other")
    assert instead.status == 201 and instead.json["task_id"] != first.json["task_id"]
    assert task_of(coordinator, first.json["task_id"])["state"] == "cancelled"


def test_many_at_once(coordinator):
    tasks = [{"type": "t", "payload": number} for number in range(998)] + [{"type": 5}, {"type": "t", "priority": 101}]
    answer = coordinator.post("/api/tasks/bulk", {"tasks": tasks}).json
    assert (answer["created"], answer["existing"], answer["failed"]) == (998, 0, 2)
    assert [result["status"] for result in answer["results"]] == [201] * 998 + [422] * 2
    assert [result["errors"][0]["field"] for result in answer["results"][-2:]] == ["type", "priority"]
    assert task_of(coordinator, answer["results"][500]["task_id"])["payload"] == 500
    assert len(listed(coordinator)) == 998
    for no_task in (5, None, "t", []):
        refused, made = coordinator.post("/api/tasks/bulk", {"tasks": [no_task, {"type": "t"}]}).json["results"]
        assert (refused["status"], made["status"]) == (400, 201) and "The body" not in refused["detail"]


def test_many_at_once_again(coordinator):
    body, key = {"tasks": [{"type": "t", "payload": number} for number in range(20)]}, {"Idempotency-Key": "batch"}
    first, again = (coordinator.post("/api/tasks/bulk", body, headers=key).json for _ in range(2))
    assert (first["created"], again["created"], again["existing"]) == (20, 0, 20)
    assert [result["task_id"] for result in first["results"]] == [result["task_id"] for result in again["results"]]
    body["tasks"][3]["payload"] = "changed"
    changed = coordinator.post("/api/tasks/bulk", body, headers=key).json
    assert (changed["existing"], changed["failed"]) == (19, 1) and changed["results"][3]["code"] == "idempotency-key-reused"


BAD = [
    ({}, "type"), ({"type": None}, "type"), ({"type": ""}, "type"), ({"type": 5}, "type"), ({"type": "x" * 129}, "type"),
    ({"type": "a\nb"}, "type"),
    ({"queue": "a b"}, "queue"), ({"queue": ""}, "queue"), ({"queue": "x" * 129}, "queue"), ({"queue": ["q"]}, "queue"),
    ({"priority": 101}, "priority"), ({"priority": -101}, "priority"), ({"priority": 0.5}, "priority"),
    ({"priority": "1"}, "priority"), ({"run_at": "1970-01-01T00:00:00Z"}, "run_at"), ({"run_at": "9999-12-31T23:59:59Z"}, "run_at"),
    ({"run_at": "tomorrow"}, "run_at"),
    ({"run_at": -1}, "run_at"), ({"delay_seconds": -1}, "delay_seconds"), ({"delay_seconds": 1e12}, "delay_seconds"),
    ({"delay_seconds": "5"}, "delay_seconds"), ({"ttl_seconds": 0}, "ttl_seconds"), ({"max_attempts": 0}, "max_attempts"),
    ({"max_attempts": 1.5}, "max_attempts"), ({"max_attempts": 101}, "max_attempts"), ({"lease_seconds": 4}, "lease_seconds"),
    ({"lease_seconds": 86401}, "lease_seconds"), ({"result_ttl_seconds": -1}, "result_ttl_seconds"),
    ({"dedup_key": 5}, "dedup_key"),
    ({"dedup_key": "x" * 257}, "dedup_key"), ({"on_conflict": "ignore"}, "on_conflict"), ({"requirements": []}, "requirements"),
    ({"requirements": {"tier": 5}}, "requirements.tier"), ({"requirements": {"service": "a b"}}, "requirements.service"),
    ({"requirements": {"worker_id": "a/b"}}, "requirements.worker_id"), ({"requirements": {"model": ""}}, "requirements.model"),
    ({"requirements": {"min_gpu_memory": "much"}}, "requirements.min_gpu_memory"),
    ({"requirements": {"colour": "red"}}, "requirements.colour"),
    ({"requirements": {"labels": {f"l{number}": "x" for number in range(33)}}}, "requirements.labels"),
    ({"requirements": {"labels": {f"l{number}": "x" for number in range(10_000)}}}, "requirements.labels"),
    ({"requirements": {"labels": {"a": 5}}}, "requirements.labels"),
]


@pytest.mark.parametrize("members, field", BAD, ids=lambda value: str(value)[:40])
def test_what_is_refused(redis, coordinator, members, field):
    before = redis.dump()
    body = members if "type" in members or not members else {"type": "t", **members}
    answer = coordinator.post("/api/tasks", body)
    assert answer.status == 422, answer
    assert any(error["field"].startswith(field) for error in answer.json["errors"]), answer.json
    assert redis.dump() == before, "nothing stored changes"


def test_sizes(redis, coordinator):
    before = redis.dump()
    for size in (256 * 1024 - 1, 1_000_000, 1_100_000, 2_000_000):  # the quotes count, too
        assert submit(coordinator, payload="x" * size).status == 413, size
    answer = coordinator.post("/api/tasks/bulk", {"tasks": [{"type": "t", "payload": "x" * 300_000}, {"type": "t"}]}).json
    assert [result["status"] for result in answer["results"]] == [413, 201]
    assert len(listed(coordinator)) == 1
    assert submit(coordinator, payload="x" * (256 * 1024 - 2)).status == 201
    deep = json.loads("[" * 40 + "]" * 40)
    assert submit(coordinator, payload=deep).status == 400
    assert before != redis.dump()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b'{"type": "t", "payload": NaN}', b'{"type": "\\u0000"}',
                                  b'{"type": "t"} x'])
def test_malformed(coordinator, body):
    for path in ("/api/tasks", "/api/tasks/bulk", "/api/tasks/retry", "/api/coordinator/broadcast-job"):
        assert coordinator.post(path, body).status == 400, path
    assert coordinator.request("PUT", "/api/queues/q", body).status == 400


@pytest.mark.parametrize("tasks", [None, [], {}, "t", [{"type": "t"}] * 1001], ids=lambda value: str(value)[:10])
def test_bulks_that_are_none(coordinator, tasks):
    answer = coordinator.post("/api/tasks/bulk", {"tasks": tasks})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "tasks")


@pytest.mark.parametrize("key", ["x" * 256, "caf\u00e9".encode("latin-1"), "a\tb"])
def test_keys_that_are_none(coordinator, key):
    for path, body in (("/api/tasks", {"type": "t"}), ("/api/tasks/bulk", {"tasks": [{"type": "t"}]})):
        answer = coordinator.post(path, body, headers={"Idempotency-Key": key})
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, "Idempotency-Key")
    for path, body, field in (("/api/tasks", {"type": ""}, "type"), ("/api/tasks/bulk", {"tasks": []}, "tasks")):
        answer = coordinator.post(path, body, headers={"Idempotency-Key": key})
        assert {fault["field"] for fault in answer.json["errors"]} == {"Idempotency-Key", field}, "all faults are in one answer"
    assert listed(coordinator) == []


def test_a_moment_is_told_as_the_document_says(coordinator):
    submission = coordinator.get("/openapi.json").json["components"]["schemas"]["Submission"]["properties"]["run_at"]
    moment = round(time.time() * 1000) + 60_000
    assert ("number" in submission["type"]) == (submit(coordinator, run_at=moment).status == 201)
    text = datetime.datetime.fromtimestamp(moment / 1000, datetime.timezone(datetime.timedelta(hours=2))).isoformat()
    assert submit(coordinator, run_at=text).json["available_at"][:-1] == datetime.datetime.utcfromtimestamp(
        moment / 1000).isoformat(timespec="milliseconds")


BAD_PATHS = [("GET", "/api/tasks/{}"), ("DELETE", "/api/tasks/{}"), ("POST", "/api/tasks/{}/retry"),
             ("GET", "/api/tasks/{}/explain"),
             ("GET", "/api/queues/{}"), ("POST", "/api/queues/{}/pause"), ("POST", "/api/queues/{}/resume"),
             ("DELETE", "/api/queues/{}/tasks?state=dead")]


@pytest.mark.parametrize("method, path", BAD_PATHS)
def test_ids_of_other_kinds(redis, coordinator, method, path):
    before = redis.dump()
    for bad in ("a%20b", "x" * 129, "%00", "a%2Fb", "w:online", "%7Brma%7D"):
        assert coordinator.request(method, path.format(bad)).status == 422, bad
    if "tasks/{}" in path:
        answer = coordinator.request(method, path.format("nobody"))
        assert (answer.status, answer.json["code"]) == (404, "task-not-found")
    assert redis.dump() == before


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "state=done", "state=Queued", "queue=a%20b",
                                   "worker_id=a%20b", "cursor=x",
                                   "cursor=0", "cursor=zz", "type=" + "x" * 257, "error=%FF"])
def test_listings_that_are_refused(coordinator, query):
    answer = coordinator.get(f"/api/tasks?{query}")
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, query.split("=")[0])


@pytest.mark.parametrize("words", ["q", "q queued", "q queued a  1 t more", "q queued a  x t", "q dead  abc t", "q dead  - t",
                                   "q leased  1 t", "q   1 t", "* queued w  t", "*  w 1 t", "q dead  nan t", "q dead   t"])
def test_cursors_that_nobody_was_given(redis, coordinator, words):
    submit(coordinator, queue="q")
    cursor = words.replace(" ", "\t").encode().hex()
    before = redis.dump()
    for answer in (coordinator.get(f"/api/tasks?cursor={cursor}"), coordinator.post("/api/tasks/retry", {"cursor": cursor}),
                   coordinator.delete(f"/api/queues/q/tasks?state=queued&cursor={cursor}")):
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, "cursor")
    assert redis.dump() == before


@pytest.mark.parametrize("wait", ["-1", "00", "61", "x", "1e1"])
def test_waits_that_are_none(coordinator, wait):
    task_id = submit(coordinator).json["task_id"]
    answer = coordinator.get(f"/api/tasks/{task_id}?wait={wait}")
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "wait")


# -- one task ----------------------------------------------------------------------------------------------------------------------

def test_a_life_is_seen(redis, coordinator):
    coordinator.register("w")
    task_id = submit(coordinator, payload=1, max_attempts=5).json["task_id"]
    held = task_work.lease(redis, "w")[task_id]
    task = task_of(coordinator, task_id)
    assert (task["state"], task["worker_id"], task["attempts"]) == ("leased", "w", 0) and task["started_at"]
    assert [(attempt["worker_id"], attempt["outcome"], attempt["ended_at"])
            for attempt in task["history"]] == [("w", "leased", None)]
    assert task_work.complete(redis, "w", task_id, held, '{"answer":42}') == "completed"
    task = task_of(coordinator, task_id)
    assert (task["state"], task["result"]) == ("completed", {"answer": 42}) and task["finished_at"] >= task["started_at"]
    refused = coordinator.delete(f"/api/tasks/{task_id}")
    assert (refused.status, refused.json["code"], refused.json["detail"]) == (409, "task-ended", "The task is completed already.")
    refused = coordinator.post(f"/api/tasks/{task_id}/retry")
    assert (refused.status, refused.json["code"]) == (409, "task-not-dead") and "completed" in refused.json["detail"]


def test_cancelling(redis, coordinator):
    coordinator.register("w")
    waits = submit(coordinator).json["task_id"]
    delayed = submit(coordinator, delay_seconds=100).json["task_id"]
    for task_id in (waits, delayed):
        assert coordinator.delete(f"/api/tasks/{task_id}").json == {"status": "cancelled", "task_id": task_id}
        assert task_of(coordinator, task_id)["state"] == "cancelled"
        assert coordinator.delete(f"/api/tasks/{task_id}").status == 409
    held = submit(coordinator).json["task_id"]
    assert list(task_work.lease(redis, "w")) == [held]
    for _ in range(2):
        assert coordinator.delete(f"/api/tasks/{held}").json["status"] == "cancelling"
    task = task_of(coordinator, held)
    assert task["state"] == "leased" and task["cancelling"] is True


def test_dead_ones_are_tried_again(redis, coordinator):
    coordinator.register("w")
    task_id = submit(coordinator, dedup_key="d").json["task_id"]
    assert task_work.kill(redis, "w", "no luck") == [task_id]
    task = task_of(coordinator, task_id)
    assert (task["state"], task["error"]) == ("dead", "no luck")
    assert coordinator.post(f"/api/tasks/{task_id}/retry").json == {"status": "queued", "task_id": task_id}
    assert task_of(coordinator, task_id)["state"] == "queued"
    assert task_work.kill(redis, "w", "no luck") == [task_id]
    submit(coordinator, dedup_key="d")
    blocked = coordinator.post(f"/api/tasks/{task_id}/retry")
    assert (blocked.status, blocked.json["code"]) == (409, "dedup-key-taken")


@pytest.mark.parametrize("kept, result", [({}, 17), ({"result_ttl_seconds": 0}, None)], ids=["kept", "not kept"])
def test_waiting_for_the_end(redis, start_coordinator, kept, result):
    one, other = start_coordinator(redis), start_coordinator(redis)
    one.register("w")
    task_id = submit(one, **kept).json["task_id"]
    held = task_work.lease(redis, "w")[task_id]
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(other.get(f"/api/tasks/{task_id}?wait=30", timeout=40)))
               for _ in range(5)]
    for thread in threads:
        thread.start()
    wait_until(lambda: "rma_http_requests_waiting 6\n" in other.get("/metrics").body.decode(), what="they wait, and the scrape")
    assert answers == []
    task_work.complete(redis, "w", task_id, held, "17")
    for thread in threads:
        thread.join(PATIENCE)
    assert [(answer.status, answer.json["state"], answer.json["result"]) for answer in answers] == [(200, "completed", result)] * 5
    assert one.get(f"/api/tasks/{task_id}?wait=30").json["state"] == "completed", "at once"
    assert one.get(f"/api/tasks/{task_id}").json["type"] == "t"
    assert one.get("/api/tasks/nobody?wait=30").status == one.get("/api/tasks/nobody?wait=0").status == 404


def test_whoever_waits_is_woken_and_costs_nothing(redis, start_coordinator):
    one, other = start_coordinator(redis), start_coordinator(redis, THREADS=1)
    one.register("w")
    task_id = submit(one).json["task_id"]
    held = task_work.lease(redis, "w")[task_id]
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(other.get(f"/api/tasks/{task_id}?wait=30", timeout=40)))
    waiting.start()
    wait_until(lambda: redis.client.hget("{rma}:task:" + task_id, "watchers"))

    def reads():
        return redis.client.info("commandstats")["cmdstat_hmget"]["calls"]
    let_pass(0.2)
    before = reads()
    let_pass(1)
    assert reads() - before < 6, "sweeps alone"
    with Commands(redis) as commands:
        task_work.complete(redis, "w", task_id, held, "17")
        waiting.join(PATIENCE)
    assert answers[0].json["result"] == 17
    assert commands.sweeps() <= 3, "the reading of each 5 s would have more before it"


def test_whoever_waits_is_woken_after_a_restart_of_redis(redis, coordinator):
    coordinator.register("w")
    task_id = submit(coordinator).json["task_id"]
    held = task_work.lease(redis, "w")[task_id]
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(coordinator.get(f"/api/tasks/{task_id}?wait=30", timeout=40)))
    waiting.start()
    wait_until(lambda: redis.client.hget("{rma}:task:" + task_id, "watchers"))
    redis.kill()
    redis.restart()
    coordinator.wait_until_ready()
    task_work.complete(redis, "w", task_id, held, "17")
    waiting.join(PATIENCE)
    assert answers[0].json["result"] == 17


def test_waiting_ends_with_the_task_as_it_is(coordinator):
    task_id = submit(coordinator).json["task_id"]
    before = time.monotonic()
    answer = coordinator.get(f"/api/tasks/{task_id}?wait=1")
    assert (answer.status, answer.json["state"]) == (200, "queued") and time.monotonic() - before > 0.9


def test_who_waits_holds_up_no_shutdown(redis, coordinator):
    task_id = submit(coordinator).json["task_id"]
    request = f"GET /api/tasks/{task_id}?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n"
    with coordinator.raw() as waits:
        waits.send(request)
        wait_until(lambda: redis.client.hexists("{rma}:task:" + task_id, "watchers"))
        coordinator.raw().send(request).close()  # and one that leaves
        coordinator.stop()
        assert waits.read_response().json["state"] == "queued"


# -- why it waits ------------------------------------------------------------------------------------------------------------------

def explain(coordinator, task_id):
    answer = coordinator.get(f"/api/tasks/{task_id}/explain")
    assert answer.status == 200, answer
    explained = answer.json
    assert explained["text"] == " ".join(reason["text"] for reason in explained["reasons"])
    return explained, {reason["code"]: reason for reason in explained["reasons"]}


def test_nobody_can_do_it(coordinator):
    task_id = submit(coordinator, requirements={"service": "ocr", "tier": 2}).json["task_id"]
    explained, reasons = explain(coordinator, task_id)
    assert explained["text"] == "No live worker with service ocr and of tier 2 takes work."
    assert explained["eta_seconds"] is None and explained["position"] == 1
    for worker_id in ("a", "b", "c", "d"):
        coordinator.register(worker_id, services=["ocr"])
    coordinator.beat("a", status="offline")
    coordinator.beat("b", status="offline")
    coordinator.beat("c", status="draining")
    coordinator.beat("d", status="draining")
    _, reasons = explain(coordinator, task_id)
    assert (reasons["no-worker"]["draining"], reasons["no-worker"]["offline"]) == (2, 2)
    assert (": 2 draining, 2 offline, the longest since 20" in reasons["no-worker"]["text"]
            and reasons["no-worker"]["offline_since"].endswith("Z"))
    coordinator.beat("d", status="healthy")
    explained, reasons = explain(coordinator, task_id)
    assert reasons["position"] == {"code": "position", "text": "It is number 1 of 1 in queue default; 1 live worker can do it.",
                                   "position": 1, "of": 1, "workers": 1}
    assert explained["eta_seconds"] == 0


@pytest.mark.parametrize("labels, able", [
    ({"rack": "b", "disk": "nvme"}, 1), ({"rack": "a"}, 0), ({"rack": "b c"}, 0), ({}, 0), (None, 0), ({"rack": 5}, 0), ("rack", 0),
    ({f"l{number}": "x" for number in range(40)} | {"rack": "b"}, 0)], ids=lambda value: str(value)[:30])
@pytest.mark.parametrize("among_capabilities", [False, True])
def test_labels_that_a_task_demands(redis, coordinator, labels, able, among_capabilities):
    more = {"capabilities": {"cpu_cores": 4, "labels": labels}} if among_capabilities else {"capabilities": {"cpu_cores": 4},
                                                                                            "labels": labels}
    answer = coordinator.post("/api/worker/register", {"worker_id": "w", **more})
    assert answer.status == 200
    task_id = submit(coordinator, requirements={"labels": {"rack": "b"}}).json["task_id"]
    assert list(task_work.lease(redis, "w")) == [task_id] * able
    if labels in ({"rack": 5}, "rack"):
        assert answer.json["ignored"][0]["field"].endswith("labels")


def test_labels_of_any_text(redis, coordinator):
    labels = {"a.b:c-d_e": "b c;d=e,f%\u00e9"}
    coordinator.register("w", labels=labels)
    task_id = submit(coordinator, requirements={"labels": labels}).json["task_id"]
    assert list(task_work.lease(redis, "w")) == [task_id]


@pytest.mark.parametrize("requirements, words", [
    ({}, ""), ({"tier": 1}, " of tier 1"), ({"model": "Llama3:latest"}, " with model llama3"), ({"worker_id": "w9"}, " with id w9"),
    ({"min_gpu_memory": "16GB"}, " with 16.0 GB of GPU memory"), ({"region": "fra"}, " in region fra"),
    ({"service": "ocr", "labels": {"rack": "b"}}, " with service ocr and labelled rack=b"),
    ({"labels": {"a.b": "Z\u00fcrich; 7%=" + "\u00e9" * 58, "c": ""}},
     " labelled a.b=Z\u00fcrich; 7%=" + "\u00e9" * 58 + " and labelled c=")], ids=str)
def test_what_is_demanded_in_words(coordinator, requirements, words):
    explained, _ = explain(coordinator, submit(coordinator, requirements=requirements).json["task_id"])
    assert explained["text"] == f"No live worker{words} takes work."


def test_paused_limited_delayed(redis, coordinator):
    coordinator.register("w")
    first = submit(coordinator, queue="q").json["task_id"]
    assert list(task_work.lease(redis, "w")) == [first]
    _, reasons = explain(coordinator, first)
    assert reasons["under-way"]["worker_id"] == "w" and reasons["under-way"]["lease_until"].endswith("Z")
    coordinator.request("PUT", "/api/queues/q", {"limit": 1})
    ids = [submit(coordinator, queue="q").json["task_id"] for _ in range(3)]
    explained, reasons = explain(coordinator, ids[2])
    assert (explained["position"], reasons["position"]["of"]) == (3, 3)
    assert reasons["queue-limit"]["text"] == "Queue q has 1 of 1 tasks that it may have under way, held by w."
    assert explained["eta_seconds"] is None, "nobody knows how long the one under way takes"
    redis.client.hset("{rma}:task:done", mapping={"started_at": 1000, "finished_at": 9000})
    redis.client.zadd("{rma}:completed:q", {"done": 9999999999999})
    assert [explain(coordinator, task_id)[0]["eta_seconds"] for task_id in ids] == [8, 16, 24]
    redis.client.delete("{rma}:completed:q", "{rma}:task:done")
    coordinator.post("/api/queues/q/pause")
    explained, reasons = explain(coordinator, ids[0])
    assert reasons["queue-paused"]["queue"] == "q" and explained["eta_seconds"] is None
    coordinator.post("/api/queues/q/resume")
    delayed = submit(coordinator, delay_seconds=50).json["task_id"]
    explained, reasons = explain(coordinator, delayed)
    assert reasons["not-before"]["at"] == task_of(coordinator, delayed)["available_at"]
    assert explained["position"] is None and 45 < explained["eta_seconds"] <= 50
    coordinator.delete(f"/api/tasks/{delayed}")
    assert explain(coordinator, delayed)[0]["text"] == "It has ended: it is cancelled."
    coordinator.delete(f"/api/tasks/{first}")
    assert "cancelling" in explain(coordinator, first)[1]
    coordinator.request("PUT", "/api/queues/closed", {"limit": 0})
    explained, reasons = explain(coordinator, submit(coordinator, queue="closed").json["task_id"])
    assert reasons["queue-limit"]["leased"] == reasons["queue-limit"]["limit"] == 0 and explained["eta_seconds"] is None
    hopeless = submit(coordinator, delay_seconds=50, ttl_seconds=20).json
    explained, reasons = explain(coordinator, hopeless["task_id"])
    assert reasons["expires-first"]["at"] == hopeless["expires_at"] and explained["eta_seconds"] is None


# -- many --------------------------------------------------------------------------------------------------------------------------

def test_listings(redis, coordinator):
    coordinator.register("w")
    kinds = [("a", "x"), ("a", "y"), ("b", "x")] * 10
    ids = [submit(coordinator, queue=queue, type=kind).json["task_id"] for queue, kind in kinds]
    assert sorted(listed(coordinator)) == sorted(ids)
    assert listed(coordinator, "&queue=b") == [task_id for task_id, (queue, _) in zip(ids, kinds) if queue == "b"], "in their order"
    assert set(listed(coordinator, "&type=y&queue=a")) == {task_id for task_id, kind in zip(ids, kinds) if kind == ("a", "y")}
    held = list(task_work.lease(redis, "w", 4))
    assert set(listed(coordinator, "&state=leased")) == set(listed(coordinator, "&worker_id=w")) == set(held)
    assert set(listed(coordinator)[:4]) == set(held), "those under way first"
    assert listed(coordinator, "&state=dead") == listed(coordinator, "&queue=nowhere") == []


def test_retrying_what_a_filter_finds(redis, coordinator):
    coordinator.register("w")
    for number in range(30):
        submit(coordinator, type="even" if number % 2 == 0 else "odd")
    dead = task_work.kill(redis, "w", "timeout: upstream", 20) + task_work.kill(redis, "w", "out of memory", 10)
    assert len(listed(coordinator, "&state=dead")) == 30 and set(listed(coordinator, "&error=timeout")) == set(dead[:20])
    counted = coordinator.post("/api/tasks/retry", {"error": "timeout", "state": "dead", "dry_run": True}).json
    assert counted == {"matched": 20, "retried": 0, "next_cursor": None} and len(listed(coordinator, "&state=dead")) == 30
    some = coordinator.post("/api/tasks/retry", {"type": "even", "error": "timeout", "queue": "default", "worker_id": "w"}).json
    assert (some["matched"], some["retried"]) == (10, 10)
    rest, cursor = 0, None
    for _ in range(20):
        answer = coordinator.post("/api/tasks/retry", {"limit": 3, "cursor": cursor}).json
        rest, cursor = rest + answer["retried"], answer["next_cursor"]
        if cursor is None:
            break
    assert rest == 20 and listed(coordinator, "&state=dead") == [] and len(listed(coordinator, "&state=queued")) == 30
    for bad in ({"queue": "a b"}, {"worker_id": 5}, {"limit": 0}, {"limit": 501}, {"cursor": "x"}, {"dry_run": "yes"},
                {"type": []}, {"state": "queued"}, {"typ": "even"}, {"type": ""}, {"error": ""}):
        assert coordinator.post("/api/tasks/retry", bad).status == 422, bad


# -- queues ------------------------------------------------------------------------------------------------------------------------

def test_queues(redis, coordinator):
    assert coordinator.get("/api/queues").json == {"queues": []}
    missing = coordinator.get("/api/queues/q")
    assert (missing.status, missing.json["code"]) == (404, "queue-not-found")
    coordinator.register("w")
    for _ in range(3):
        submit(coordinator, queue="q")
    submit(coordinator, queue="q", delay_seconds=100)
    submit(coordinator, queue="p")
    task_work.kill(redis, "w", "x", 1)
    names = [queue["queue"] for queue in coordinator.get("/api/queues").json["queues"]]
    assert names == ["p", "q"]
    queues = {queue["queue"]: queue for queue in coordinator.get("/api/queues").json["queues"]}
    assert coordinator.get("/api/queues/q").json["counts"] == queues["q"]["counts"]
    assert sum(queue["counts"]["dead"] for queue in queues.values()) == 1
    assert (queues["q"]["counts"]["scheduled"], queues["q"]["totals"]["enqueued"], queues["p"]["totals"]["enqueued"]) == (1, 4, 1)
    assert queues["q"]["oldest_seconds"] >= 0


def test_pausing_and_limits(redis, coordinator):
    coordinator.register("w")
    submit(coordinator, queue="q")
    assert coordinator.post("/api/queues/q/pause").json["paused"] is True
    assert task_work.lease(redis, "w") == {}
    assert coordinator.post("/api/queues/q/resume").json["paused"] is False
    assert coordinator.request("PUT", "/api/queues/q", {"limit": 0}).json["limit"] == 0
    assert task_work.lease(redis, "w") == {}
    assert coordinator.request("PUT", "/api/queues/q", {"limit": None}).json["limit"] is None
    assert len(task_work.lease(redis, "w")) == 1
    for bad in ({}, {"limit": -1}, {"limit": 1.5}, {"limit": "3"}, {"limit": 1_000_001}, {"limit": True}):
        answer = coordinator.request("PUT", "/api/queues/q", bad)
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, "limit"), bad


def test_there_is_an_end_to_queues(coordinator):
    tasks = [{"type": "t", "queue": f"q{number}"} for number in range(512)]
    assert coordinator.post("/api/tasks/bulk", {"tasks": tasks}).json["created"] == 512
    assert submit(coordinator, queue="q5").status == 201
    full = submit(coordinator, queue="one-more")
    assert (full.status, full.json["code"]) == (429, "too-many-queues") and full.headers["Retry-After"]
    answer = coordinator.post("/api/tasks/bulk", {"tasks": [{"type": "t", "queue": "one-more"}, {"type": "t", "queue": "q1"}]}).json
    assert [result["status"] for result in answer["results"]] == [429, 201]
    for number in range(512, 1000):
        assert coordinator.post(f"/api/queues/q{number}/pause").status == 200
    for answer in (coordinator.post("/api/queues/one-more/pause"),
                   coordinator.request("PUT", "/api/queues/one-more", {"limit": 1})):
        assert (answer.status, answer.json["code"]) == (429, "too-many-queues") and answer.headers["Retry-After"]
    assert len(coordinator.get("/api/queues").json["queues"]) == 1000


def test_purging(redis, coordinator):
    coordinator.register("w")
    for _ in range(6):
        submit(coordinator, queue="q")
    kept = submit(coordinator, queue="other").json["task_id"]
    coordinator.post("/api/queues/other/pause")
    dead = task_work.kill(redis, "w", "x", 2)
    assert coordinator.delete("/api/queues/q/tasks").status == coordinator.delete("/api/queues/q/tasks?state=x").status == 422
    assert coordinator.delete("/api/queues/q/tasks?state=dead").json == {"matched": 2, "removed": 2, "next_cursor": None}
    assert [coordinator.get(f"/api/tasks/{task_id}").status for task_id in dead] == [404, 404]
    assert coordinator.delete("/api/queues/q/tasks?state=queued").json["removed"] == 4
    assert len(listed(coordinator, "&queue=q&state=cancelled")) == 4
    assert task_of(coordinator, kept)["state"] == "queued"


# -- broadcasts --------------------------------------------------------------------------------------------------------------------

def broadcast(coordinator, **members):
    return coordinator.post("/api/coordinator/broadcast-job", {"job_type": "warm-up", **members})


def test_a_job_for_all(redis, coordinator):
    nobody = broadcast(coordinator, job_data={})
    assert (nobody.status, nobody.json["detail"]) == (503, "No capable workers available for job type: warm-up")
    coordinator.register("cpu")
    coordinator.register("gpu", GPU_CAPABILITIES)
    coordinator.register("disk", {"worker_type": "storage"})
    for worker_id, status in (("drains", "draining"), ("gone", "offline")):
        coordinator.register(worker_id)
        coordinator.beat(worker_id, status=status)
    answer = broadcast(coordinator, job_data={"model": "m"}).json
    assert (answer["job_type"], answer["broadcasted_to"], answer["successful"], answer["failed"]) == ("warm-up", 2, 2, 0)
    assert [(worker["worker_id"], worker["status"], worker["message"]) for worker in answer["workers"]] == [
        (worker_id, "queued", "Job broadcast successful") for worker_id in ("cpu", "gpu")]
    for worker in answer["workers"]:
        task = task_of(coordinator, worker["task_id"])
        assert (task["type"], task["payload"]) == ("warm-up", {"model": "m"})
        assert task["requirements"] == {"worker_id": worker["worker_id"]}
        made, expires = (datetime.datetime.fromisoformat(task[name][:-1]) for name in ("created_at", "expires_at"))
        assert expires - made == datetime.timedelta(days=1), "its worker may never come back"
        assert list(task_work.lease(redis, worker["worker_id"], 5)) == [worker["task_id"]], "its own, and no other"


@pytest.mark.parametrize("capability, reached", [
    (None, {"a", "b", "c"}), ("", {"a", "b", "c"}), ("pdf", {"a"}), ("has_ssd", set()), ("ocr", {"b"}), ("tables", {"b"}),
    ("embeddings", {"c"}),
    ("llm-inference", {"c"}), ("vllm", {"c"}), ("cpu_cores", {"a", "b", "c"}), ("nobody", set())])
def test_the_capability_that_a_job_needs(coordinator, capability, reached):
    coordinator.register("a", {"cpu_cores": 4, "ram": "8GB", "pdf": True, "has_ssd": False})
    coordinator.register("b", {"cpu_cores": 4, "ram": "8GB"}, services=[{"name": "ocr", "capabilities": ["tables"]}])
    coordinator.register("c", {"cpu_cores": 4, "ram": "8GB"},
                         containers=[{"name": "rma-vllm-worker", "capabilities": ["embeddings"]}])
    answer = broadcast(coordinator, required_capability=capability)
    assert answer.status == (200 if reached else 503)
    assert {worker["worker_id"] for worker in answer.json.get("workers", [])} == reached


@pytest.mark.parametrize("members, status", [
    ({"job_type": None}, 422), ({"job_type": ""}, 422), ({"job_type": 5}, 422), ({"job_type": "x" * 129}, 422),
    ({"job_type": "a\nb"}, 422),
    ({"required_capability": 5}, 422), ({"required_capability": "x" * 129}, 422), ({"job_data": "x" * 300_000}, 413),
    ({"job_data": "x" * 600_000}, 413)],
    ids=lambda value: str(value)[:30])
def test_broadcasts_that_are_refused(coordinator, members, status):
    coordinator.register("w")
    assert broadcast(coordinator, **members).status == status
    assert listed(coordinator) == []


@pytest.fixture
def a_fleet_of(redis, coordinator, directory):
    """Makes that many live workers, w0 and so on."""
    def make(count):
        path = directory / "registry.json"
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        path.write_text(json.dumps({f"w{number}": {"worker_id": f"w{number}", "tier": 2, "status": "healthy",
                                                   "last_heartbeat": moment}
                                    for number in range(count)}))
        subprocess.run([project.BINARY, "import", path], env={**os.environ, "REDIS_URL": redis.url}, check=True,
                       capture_output=True, timeout=60)
        return coordinator
    return make


def test_a_job_for_more_workers_than_are_served_at_once(redis, a_fleet_of):
    coordinator = a_fleet_of(1700)
    answer = broadcast(coordinator, job_data=1).json
    assert (answer["broadcasted_to"], answer["successful"], answer["failed"]) == (1700, 1700, 0)
    assert {worker["worker_id"] for worker in answer["workers"]} == {f"w{number}" for number in range(1700)}
    assert len({worker["task_id"] for worker in answer["workers"]}) == 1700
    assert redis.client.hget("{rma}:queue:default", "enqueued") == "1700"
    too_large = broadcast(coordinator, job_data="x" * 40_000)
    assert (too_large.status, too_large.json["code"]) == (413, "body-too-large")
    assert redis.client.hget("{rma}:queue:default", "enqueued") == "1700"


def test_a_job_for_too_many_is_for_nobody(redis, a_fleet_of):
    coordinator = a_fleet_of(10001)
    answer = broadcast(coordinator)
    assert (answer.status, answer.json["code"]) == (409, "too-many")
    assert not redis.client.exists("{rma}:queues")


def test_a_job_for_many_takes_its_time(redis, start_coordinator):
    """It takes many calls of Redis. A client that was told \"too late\" would send it again, and workers would do it twice."""
    coordinator = start_coordinator(redis, REQUEST_TIMEOUT_MS=100)
    coordinator.register("w")
    redis.freeze()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(broadcast, coordinator)
        let_pass(0.5)
        redis.thaw()
        assert (answer.result().status, answer.result().json.get("successful")) == (200, 1)


# -- who may -----------------------------------------------------------------------------------------------------------------------

def test_a_users_tasks_are_the_users_own(redis, start_coordinator):
    coordinator = start_coordinator(redis, AUTH="on")
    viewer, user, other, operator = (credentials.bearer(credentials.make_token(redis.client, role=role))
                                     for role in ("viewer", "user", "user", "operator"))
    assert coordinator.post("/api/tasks", {"type": "t"}).status == 401
    assert coordinator.post("/api/tasks", {"type": "t"}, headers=viewer).status == 403
    made = coordinator.post("/api/tasks", {"type": "t", "payload": "s3cret"}, headers=user)
    assert made.status == 201 and made.json["submitted_by"].startswith("token:")
    path = f"/api/tasks/{made.json['task_id']}"
    bulk, = coordinator.post("/api/tasks/bulk", {"tasks": [{"type": "t", "payload": "s3cret"}]}, headers=user).json["results"]
    for headers in (user, operator):
        assert coordinator.get(path, headers=headers).json == made.json
        assert coordinator.get(f"/api/tasks/{bulk['task_id']}", headers=headers).json["payload"] == "s3cret"
    for headers in (viewer, other):
        for query in ("", "?wait=1"):
            seen = coordinator.get(path + query, headers=headers)
            assert seen.status == 200 and "s3cret" not in str(seen.json) and seen.json["state"] == "queued"
        assert "s3cret" not in str(coordinator.get("/api/tasks", headers=headers).json)
        assert coordinator.delete(path, headers=headers).status == 403
        assert coordinator.post("/api/queues/default/pause", headers=headers).status == 403
    assert coordinator.delete("/api/tasks/nobody", headers=user).status == 404
    assert coordinator.delete(path, headers=user).json["status"] == "cancelled"
    assert coordinator.delete(f"/api/tasks/{bulk['task_id']}", headers=operator).json["status"] == "cancelled"


def test_users_share_neither_idempotency_keys_nor_dedup_keys(redis, start_coordinator):
    coordinator = start_coordinator(redis, AUTH="on")
    user, other, operator = (credentials.bearer(credentials.make_token(redis.client, role=role))
                             for role in ("user", "user", "operator"))
    key = {"Idempotency-Key": "1"}
    body = {"type": "t", "payload": "s3cret", "dedup_key": "d"}
    made = coordinator.post("/api/tasks", body, headers={**user, **key})
    assert coordinator.post("/api/tasks", body, headers={**user, **key}).headers["Idempotency-Replayed"] == "true"
    for on_conflict in ("return", "replace"):
        theirs = {**body, "on_conflict": on_conflict}
        taken = coordinator.post("/api/tasks", theirs, headers={**other, **key})
        assert (taken.status, taken.json["code"]) == (409, "dedup-key-taken") and "s3cret" not in str(taken.json)
        item, = coordinator.post("/api/tasks/bulk", {"tasks": [theirs]}, headers={**other, **key}).json["results"]
        assert (item["status"], item["code"]) == (409, "dedup-key-taken")
    assert coordinator.post("/api/tasks", body, headers=user).json == made.json
    assert coordinator.post("/api/tasks", body, headers=operator).json == made.json
    del body["dedup_key"]
    assert coordinator.post("/api/tasks", body, headers={**other, **key}).status == 201
    assert coordinator.post("/api/tasks", {**body, "dedup_key": "d", "on_conflict": "replace"}, headers=operator).status == 201


def test_a_retry_that_waits_for_another_worker_says_so(clock, start_redis, start_coordinator):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis, clock=clock)
    coordinator.register("w", services=["ocr"])
    coordinator.register("v")
    task_id = submit(coordinator, requirements={"service": "ocr"}, retry_delay_seconds=0.001).json["task_id"]
    (_, held), = task_work.lease(redis, "w").items()
    assert task_work.fail(redis, "w", task_id, held, "broken", again=True).startswith("failed scheduled")
    wait_until(lambda: task_of(coordinator, task_id)["state"] == "queued", what="it is due")
    explained, reasons = explain(coordinator, task_id)
    assert reasons["retry-elsewhere"]["worker_id"] == "w" and 5 < explained["eta_seconds"] <= 15
    clock.advance(16)
    explained, reasons = explain(coordinator, task_id)
    assert "retry-elsewhere" not in reasons and explained["eta_seconds"] == 0


# -- without Redis -----------------------------------------------------------------------------------------------------------------

def test_without_redis(redis, coordinator):
    redis.kill()
    for method, path, body in (
            ("POST", "/api/tasks", {"type": "t"}), ("POST", "/api/tasks/bulk", {"tasks": [{"type": "t"}] * 3}),
            ("GET", "/api/tasks", None),
            ("GET", "/api/tasks/t", None), ("DELETE", "/api/tasks/t", None), ("POST", "/api/tasks/t/retry", None),
            ("GET", "/api/tasks/t/explain", None),
            ("POST", "/api/tasks/retry", {}), ("GET", "/api/queues", None), ("PUT", "/api/queues/q", {"limit": 1}),
            ("POST", "/api/queues/q/pause", None),
            ("DELETE", "/api/queues/q/tasks?state=dead", None), ("POST", "/api/coordinator/broadcast-job", {"job_type": "t"})):
        answer = coordinator.request(method, path, body)
        assert answer.status == 503 and answer.headers["Retry-After"], (method, path, answer)


def test_a_full_redis_takes_no_new_tasks_and_all_else(redis, coordinator):
    coordinator.register("w")
    held, done, waits, dead = (submit(coordinator, payload=number).json["task_id"] for number in range(4))
    leases = task_work.lease(redis, "w", 2)
    assert set(leases) == {held, done}
    redis.client.config_set("maxmemory", "1mb")
    many = coordinator.post("/api/tasks/bulk", {"tasks": [{"type": "t"}] * 2})
    for answer in (submit(coordinator), many, broadcast(coordinator)):
        assert (answer.status, answer.json["code"]) == (503, "registry-full"), answer
    assert task_work.complete(redis, "w", done, leases[done], '"result"') == "completed"
    assert task_of(coordinator, done)["result"] == "result"
    assert coordinator.delete(f"/api/tasks/{waits}").json["status"] == "cancelled"
    assert coordinator.delete(f"/api/tasks/{held}").json["status"] == "cancelling"
    assert set(listed(coordinator)) == {held, done, waits, dead}
    assert coordinator.get("/api/queues/default").json["counts"]["completed"] == 1
    redis.client.config_set("maxmemory", 0)
    assert submit(coordinator).status == 201
