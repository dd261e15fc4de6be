"""What workers do with tasks: they ask, wait, complete, fail, extend, and vanish."""

import concurrent.futures
import contextlib
import json
import select
import socket
import subprocess
import threading
import time

import pytest

import project
import task_invariants
from commands import Commands
from event_stream import EventStream, assert_as_documented
from relay import Relay
from submissions import state_of, submit
from waiting import let_pass, promised, wait_until

TASKS = "/api/worker/tasks"


@pytest.fixture(autouse=True)
def invariants_hold(request):
    redis = request.getfixturevalue("redis") if "redis" in request.fixturenames else None
    yield
    if redis:
        wait_until(lambda: not task_invariants.faults(redis.dump(), redis.now_ms()), what="the tasks' books agree")


def ask(coordinator, worker="w", **query):
    response = coordinator.get(TASKS + "?" + "&".join(f"{name}={value}" for name, value in {"worker_id": worker, **query}.items()))
    assert response.status == 200, response
    return response.json


def lease(coordinator, worker="w", **query):
    """-> the one task that there is"""
    task, = ask(coordinator, worker, **{"max": 1, **query})["tasks"]
    return task


def complete(coordinator, task, worker="w", result=1):
    return coordinator.post(f"/api/worker/task-complete?worker_id={worker}&task_id={task['task_id']}&lease={task['lease']}",
                            json.dumps(result))


def ids(answer):
    return [task["task_id"] for task in answer["tasks"]]


class Asking:
    """An ask in a thread of its own."""

    def __init__(self, coordinator, worker="w", wait=30, **query):
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._future = self._pool.submit(ask, coordinator, worker, wait=wait, **query)

    def answer(self, within=promised(5)):
        return self._future.result(within)

    def is_over(self):
        return self._future.done()


def parked(redis):
    return redis.client.hlen("{rma}:parked")


def test_a_task_from_the_ask_to_its_result(redis, coordinator):
    coordinator.register("w")
    assert ask(coordinator) == {"tasks": []}
    submit(redis, "t", payload='{"a":[1,"é"]}', priority=7)
    task = lease(coordinator)
    assert (task["task_id"], task["queue"], task["type"], task["payload"],
            task["priority"]) == ("t", "default", "work", {"a": [1, "é"]}, 7)
    assert (task["attempt"], task["max_attempts"], task["lease_seq"], task["lease_seconds"]) == (1, 5, 1, 90)
    for _ in range(2):
        response = complete(coordinator, task, result={"answer": 42})
        assert response.status == 200
        assert response.json == {"status": "ok", "message": "Task result received", "task_id": "t", "state": "completed"}
    assert redis.client.hget("{rma}:task:t", "result") == '{"answer":42}'
    assert coordinator.worker("w")["tasks_completed"] == 1 and coordinator.stats()["total_tasks_completed"] == 1


def test_the_fields_agent(redis, coordinator):
    """It asks with its id alone, works on one task after the other, and sends all in the body."""
    coordinator.register("w")
    submit(redis, "t1", "t2")
    assert ids(ask(coordinator)) == ids(ask(coordinator)) == ["t1"], "an answer that it never got comes again"
    response = coordinator.post("/api/worker/task-complete", {"worker_id": "w", "task_id": "t1", "result": {"text": "x"}})
    assert response.status == 200 and response.json["message"] == "Task result received"
    assert redis.client.hget("{rma}:task:t1", "result") == '{"text":"x"}'
    assert ids(ask(coordinator)) == ["t2"]
    response = coordinator.post("/api/worker/task-complete?worker_id=w&task_id=t2",
                                {"worker_id": "w", "task_id": "t2", "result": 5})
    assert response.status == 200 and redis.client.hget("{rma}:task:t2", "result") == "5"


def test_the_fields_agent_is_answered_when_what_is_due_cannot_be_moved_on(redis, coordinator):
    coordinator.register("w")
    redis.client.set("{rma}:scheduled:q", "no set of tasks")
    redis.client.zadd("{rma}:agenda", {"scheduled q": 1})
    assert ask(coordinator) == ask(coordinator, max=1) == {"tasks": []}
    redis.client.delete("{rma}:scheduled:q", "{rma}:agenda")


@pytest.mark.parametrize("body, result", [(b"", "null"), (b"null", "null"), (b'"x"', '"x"'), (b"[1, 2]", "[1,2]"),
                                          (b'{"result": 3}', '{"result":3}'),
                                          (b'{"task_id": "y"}', '{"task_id":"y"}'),
                                          (b'{"worker_id": "w", "task_id": "t", "text": "x"}',
                                           '{"worker_id":"w","task_id":"t","text":"x"}'),
                                          (b'{"worker_id": "w", "task_id": "t"}', "null"),
                                          (b'{"worker_id": "w", "task_id": "t", "took": 2, "result": 3}', "3")])
def test_a_body_is_the_result(redis, coordinator, body, result):
    coordinator.register("w")
    submit(redis, "t")
    task = lease(coordinator)
    response = coordinator.post(f"/api/worker/task-complete?worker_id=w&task_id=t&lease={task['lease']}", body)
    assert response.status == 200 and redis.client.hget("{rma}:task:t", "result") == result


def test_what_was_lost_is_refused_and_kept_apart(redis, coordinator):
    for worker in ("w", "v"):
        coordinator.register(worker)
    submit(redis, "t")
    first = lease(coordinator)
    coordinator.unregister("w")
    second = lease(coordinator, "v")
    assert second["lease_seq"] == 2 and second["attempt"] == 1
    response = complete(coordinator, first, result="late")
    assert response.status == 409 and response.json["code"] == "lease-lost"
    assert complete(coordinator, second, "v", result="right").status == 200
    kept = redis.client.hgetall("{rma}:task:t")
    assert (kept["result"], kept["late_result"]) == ('"right"', '"late"')


def test_failing(redis, coordinator):
    coordinator.register("w")
    submit(redis, "t")
    task = lease(coordinator)
    path = f"/api/worker/task-fail?worker_id=w&task_id=t&lease={task['lease']}"
    answers = [coordinator.post(path, {"error": "it broke", "retry_after": 60}).json for _ in range(2)]
    assert answers[0] == answers[1] and (answers[0]["status"], answers[0]["state"]) == ("ok", "scheduled")
    assert answers[0]["available_at"].endswith("Z")
    submit(redis, "u")
    lease(coordinator)
    answer = coordinator.post("/api/worker/task-fail",
                              {"worker_id": "w", "task_id": "u", "error": {"code": 5}, "retryable": False}).json
    assert (answer["state"], answer["available_at"]) == ("dead", None)
    assert redis.client.hget("{rma}:task:u", "error") == '{"code": 5}'


@pytest.mark.parametrize("what, report", [("task-complete", {"result": 1}), ("task-fail", {"error": "x", "retryable": False}),
                                          ("tasks/complete", None), ("tasks/fail", None)])
def test_a_report_is_answered_with_the_next_tasks(redis, coordinator, what, report):
    coordinator.register("w")
    submit(redis, "t1", "t2", "t3", "t4")
    first = lease(coordinator)
    names = {"task_id": "t1", "lease": first["lease"]}
    body = {"worker_id": "w", **({**names, **report} if report else {"results": [names]})}
    path = f"/api/worker/{what}?next=2&request_id=r"
    response = coordinator.post(path, body)
    assert response.status == 200 and ids(response.json) == ["t2", "t3"], response
    assert (response.json["status"] == "ok") if report else (response.json["results"][0]["status"] == 200)
    given = response.json["tasks"]
    assert given[0].keys() == first.keys()
    if "complete" in what:  # an answer that was lost: the report counts once, and the same tasks come again
        again = coordinator.post(path, body).json["tasks"]
        assert again == [{**task, "deadline": later["deadline"]} for task, later in zip(given, again, strict=True)]
    assert complete(coordinator, given[0]).status == 200
    query = f"worker_id=w&task_id=t3&lease={given[1]['lease']}&next=9&queues=other"
    response = coordinator.post(f"/api/worker/task-complete?{query}", b"1")
    assert response.json["state"] == "completed" and response.json["tasks"] == []
    assert state_of(redis, "t4") == "queued"


def test_all_faults_of_a_report_are_in_one_answer(coordinator):
    for path, body, fields in (
            ("task-complete?next=0", {"task_id": "t"}, {"next", "worker_id"}),
            ("task-fail?next=1&queues=a,,b", {"worker_id": "w", "task_id": "t", "retryable": 1}, {"queues", "retryable"}),
            ("tasks/complete?next=x", {"worker_id": "w"}, {"next", "results"})):
        answer = coordinator.post(f"/api/worker/{path}", body)
        assert answer.status == 422 and {fault["field"] for fault in answer.json["errors"]} == fields, answer


def test_a_report_that_is_refused_gets_no_tasks(redis, coordinator):
    coordinator.register("w")
    submit(redis, "t1", "t2")
    task = lease(coordinator)
    for query, status in (("next=0", 422), ("next=101", 422), ("next=x", 422), ("next=1&queues=a,,b", 422),
                          ("next=1&request_id=%20", 422), ("next=1&lease=9-abc", 409)):
        held = "" if "lease" in query else f"&lease={task['lease']}"
        response = coordinator.post(f"/api/worker/task-complete?worker_id=w&task_id=t1{held}&{query}", b"1")
        assert response.status == status and "tasks" not in response.json, response
        assert state_of(redis, "t1") == "leased" and state_of(redis, "t2") == "queued"
    for what in ("complete", "fail"):
        response = coordinator.post(f"/api/worker/tasks/{what}?next=0", {"worker_id": "w", "results": [{"task_id": "t1"}]})
        assert response.status == 422 and state_of(redis, "t1") == "leased"
    response = coordinator.post(f"/api/worker/task-complete?worker_id=w&task_id=t1&lease={task['lease']}&queues=a,,b&max=x", b"1")
    assert response.status == 200 and "tasks" not in response.json, "without next, nothing is asked for"


def test_a_report_counts_even_if_no_tasks_can_be_given(redis, coordinator):
    coordinator.register("w")
    submit(redis, "t1", "t2", "t3")
    task = lease(coordinator)
    coordinator.beat("w", status="draining")
    path = "/api/worker/task-complete?worker_id=w&next=1&task_id="
    response = coordinator.post(f"{path}t1&lease={task['lease']}", b"1")
    assert (response.status, response.json["state"], response.json["tasks"]) == (200, "completed", [])
    coordinator.beat("w", status="healthy")
    task = lease(coordinator)
    groups = redis.client.smembers("{rma}:groups")
    redis.client.delete("{rma}:groups")
    redis.client.set("{rma}:groups", "not a set")  # the script that gives tasks fails
    response = coordinator.post(f"{path}t2&lease={task['lease']}", b"1")
    assert (response.status, response.json["state"], response.json["tasks"]) == (200, "completed", [])
    redis.client.delete("{rma}:groups")
    redis.client.sadd("{rma}:groups", *groups)
    assert state_of(redis, "t2") == "completed" and ids(ask(coordinator)) == ["t3"]


def test_extending_and_progress(redis, coordinator):
    coordinator.register("w")
    submit(redis, "t", lease_ms="5000")
    task = lease(coordinator)
    answer = coordinator.post(f"/api/worker/task-extend?worker_id=w&task_id=t&lease={task['lease']}", {"seconds": 600}).json
    assert answer["status"] == "ok" and answer["cancel"] is False and answer["deadline"] > task["deadline"]
    answer = coordinator.post("/api/tasks/t/progress",
                              {"worker_id": "w", "lease": task["lease"], "percent": 50, "message": "half"}).json
    assert answer == {"status": "ok", "cancel": False}
    assert redis.client.hget("{rma}:task:t", "progress") == "50 half"
    assert coordinator.post("/api/tasks/t/progress", {"worker_id": "v", "percent": 50}).status == 409
    assert coordinator.post("/api/tasks/none/progress", {"worker_id": "w", "percent": 50}).json["code"] == "task-not-found"


# -- waiting -----------------------------------------------------------------------------------------------------------------------

def test_a_poll_is_woken_through_any_instance(redis, three_coordinators):
    for number, coordinator in enumerate(three_coordinators):
        coordinator.register(f"w{number}")
    polls = []
    for number, coordinator in enumerate(three_coordinators):
        polls.append(Asking(coordinator, f"w{number}"))
        wait_until(lambda: parked(redis) == len(polls))
    for number, poll in enumerate(polls):
        submit(redis, f"t{number}")
        assert ids(poll.answer()) == [f"t{number}"], "first come, first served"
        assert not any(later.is_over() for later in polls[number + 1:])


def test_a_poll_that_nothing_comes_for_ends_with_nothing(redis, coordinator):
    coordinator.register("w")
    started = time.monotonic()
    assert ask(coordinator, wait=1) == {"tasks": []}
    assert time.monotonic() - started > 0.9
    wait_until(lambda: parked(redis) == 0)


def test_a_parked_poll_gets_what_waits_once_its_worker_is_undrained(redis, coordinator):
    coordinator.register("w")
    coordinator.post("/api/worker/w/drain")
    submit(redis, "t")
    poll = Asking(coordinator)
    wait_until(lambda: parked(redis) == 1)
    with Commands(redis) as commands:
        coordinator.post("/api/worker/w/undrain")
        assert ids(poll.answer()) == ["t"]
    assert commands.sweeps() <= 1, "the look of each 5 s would have more before it"


def test_a_worker_that_held_all_that_it_may_gets_the_next_task_once_it_has_completed_one(redis, coordinator):
    coordinator.register("w")
    submit(redis, *(f"t{number}" for number in range(257)))
    held = [task for most in (100, 100, 100) for task in ask(coordinator, max=most)["tasks"]]
    assert len(held) == 256
    explained = coordinator.get("/api/tasks/t256/explain").json
    assert explained["reasons"][0] == {
        "code": "workers-full", "text": "1 live worker can do it, but holds as many tasks as a worker may.", "workers": 1}
    assert explained["eta_seconds"] is None and "tasks_waiting" not in coordinator.beat("w")
    poll = Asking(coordinator)
    wait_until(lambda: parked(redis) == 1)
    with Commands(redis) as commands:
        complete(coordinator, held[0])
        assert ids(poll.answer()) == ["t256"]
    assert commands.sweeps() <= 1, "the look of each 5 s would have more before it"


def test_a_parked_poll_costs_redis_nothing(redis, coordinator):
    for number in range(20):
        coordinator.register(f"w{number}")
    polls = [Asking(coordinator, f"w{number}", wait=50) for number in range(20)]
    wait_until(lambda: parked(redis) == 20)

    def calls():
        stats = redis.client.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0)
                   for name in ("evalsha", "zadd", "hset", "publish", "zrem", "hdel"))

    def sweeps():
        return redis.client.info("commandstats")["cmdstat_evalsha"]["calls"]

    before, swept = calls(), sweeps()
    let_pass(3)
    assert calls() - before - (sweeps() - swept) <= 2 and sweeps() - swept <= 6, "there is but the sweep of each second"
    submit(redis, *[f"t{number}" for number in range(20)])
    assert sorted(task for poll in polls for task in ids(poll.answer())) == sorted(f"t{number}" for number in range(20))


def test_a_client_that_left_gets_nothing(redis, coordinator):
    coordinator.register("w")
    with socket.create_connection(("127.0.0.1", coordinator.port)) as client:
        client.sendall(b"GET /api/worker/tasks?worker_id=w&wait=30 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: parked(redis) == 1)
    wait_until(lambda: parked(redis) == 0)
    submit(redis, "t")
    assert state_of(redis, "t") == "queued"
    assert ids(ask(coordinator, max=1)) == ["t"]


def test_clients_that_leave_all_the_time_lose_nothing(redis, coordinator):
    """However close the wake comes to the leaving."""
    coordinator.register("w")
    coordinator.register("v")

    def work():
        for task in ask(coordinator, "v", max=100)["tasks"]:
            assert complete(coordinator, task, "v").status == 200

    for number in range(60):
        work()
        client = socket.create_connection(("127.0.0.1", coordinator.port))
        client.sendall(b"GET /api/worker/tasks?worker_id=w&wait=30 HTTP/1.1\r\nHost: x\r\n\r\n")
        if number % 3:
            wait_until(lambda: parked(redis) == 1 or select.select([client], [], [], 0)[0])  # what one gave back is the next one's
        leaving = threading.Thread(target=client.close)
        leaving.start()
        submit(redis, f"t{number}")
        leaving.join()
        wait_until(lambda: parked(redis) == 0)
    # what was written into a socket that nobody reads any more is the worker's until it says what it works on, or is started anew
    coordinator.register("w", boot_id="again")

    def all_done():
        work()
        return all(state_of(redis, f"t{number}") == "completed" for number in range(60))
    wait_until(all_done)


def test_polls_outlive_a_restart_of_redis(redis, coordinator):
    coordinator.register("w")
    poll = Asking(coordinator)
    wait_until(lambda: parked(redis) == 1)
    redis.kill()
    redis.restart()
    coordinator.wait_until_ready()
    submit(redis, "t")
    assert ids(poll.answer(15)) == ["t"]


class ForgetfulRoad(Relay):
    """Loses the first answer of Redis that has a text in it, and the connection on which it came."""

    def __init__(self, redis, text):
        self._text, self.has_lost = text, False
        super().__init__(lambda: redis.port)

    def _pass(self, one):
        if not self.has_lost and one in self._pairs and self._text in one.recv(65536, socket.MSG_PEEK):
            self.has_lost = True
            one.shutdown(socket.SHUT_RDWR)  # after which it reads as ended
            while one.recv(65536):
                pass
        super()._pass(one)


def test_a_poll_gets_the_tasks_of_an_answer_that_was_lost_between_redis_and_the_coordinator(redis, start_coordinator):
    with contextlib.closing(ForgetfulRoad(redis, b"to be lost")) as road:
        coordinator = start_coordinator(THREADS=1, REDIS_URL=f"redis://127.0.0.1:{road.port}")
        coordinator.register("w")
        poll = Asking(coordinator)
        wait_until(lambda: parked(redis) == 1)
        submit(redis, "t", payload='"to be lost"')
        wait_until(lambda: road.has_lost)
        assert ids(poll.answer(15)) == ["t"]
        submit(redis, "u")
        assert ids(Asking(coordinator).answer()) == ["u"], "only what an answer has lost is given again"


def ask_once(coordinator, _):
    return coordinator.get(f"{TASKS}?worker_id=w&max=9")


def ask_with_a_report(coordinator, task):
    return coordinator.post(f"/api/worker/task-complete?worker_id=w&task_id={task['task_id']}&lease={task['lease']}&next=9", b"1")


def ask_and_leave(coordinator, _):
    coordinator.raw().send(f"GET {TASKS}?worker_id=w&max=9&wait=30 HTTP/1.1\r\nHost: x\r\n\r\n").close()


@pytest.mark.parametrize("ask_for", [ask_once, ask_with_a_report, ask_and_leave])
def test_tasks_of_an_answer_that_nobody_will_hear_are_given_back(redis, start_coordinator, ask_for):
    with contextlib.closing(ForgetfulRoad(redis, b"to be lost")) as road:
        coordinator = start_coordinator(THREADS=1, REDIS_URL=f"redis://127.0.0.1:{road.port}")
        coordinator.register("w")
        submit(redis, "before")
        before = lease(coordinator)
        for name in ("t", "u"):
            submit(redis, name, payload='"to be lost"')
        ask_for(coordinator, before)
        wait_until(lambda: road.has_lost)
        wait_until(lambda: [state_of(redis, name) for name in ("t", "u")] == ["queued"] * 2)
        coordinator.wait_until_ready()
        coordinator.register("v")
        assert ids(ask(coordinator, "v", max=9)) == ["t", "u"]


class SlowRoad(ForgetfulRoad):
    """Holds back an answer of Redis that has a text in it, until it is freed; may then lose something."""

    def __init__(self, redis, text, lost=b"nothing that anybody says"):
        self._held, self.is_holding, self.is_free = text, False, False
        super().__init__(redis, lost)

    def _pass(self, one):
        if not self.is_free and one in self._pairs and self._held in one.recv(65536, socket.MSG_PEEK):
            self.is_holding = True
            self._over.wait(0.01)
        else:
            super()._pass(one)


def leave_unheard(coordinator, redis, road, query):
    """Worker w asks for work and leaves while Redis's answer, with the task t, is still on the road."""
    coordinator.register("w")
    submit(redis, "t", payload='"to be held back"')
    client = coordinator.raw().send(f"GET {TASKS}?worker_id=w&{query} HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: road.is_holding)
    client.close()


@pytest.mark.parametrize("query", ["request_id=r&wait=30", ""], ids=["named", "one by one"])
def test_what_a_worker_has_by_a_second_ask_is_not_given_back_by_the_first(redis, start_coordinator, query):
    """Its client has left before Redis's answer came, and asks another coordinator."""
    there = start_coordinator(redis)
    with contextlib.closing(SlowRoad(redis, b"to be held back")) as road:
        here = start_coordinator(THREADS=1, REDIS_URL=f"redis://127.0.0.1:{road.port}")
        leave_unheard(here, redis, road, query)
        with Commands(redis) as commands:
            task, = there.get(f"{TASKS}?worker_id=w&{query}").json["tasks"]
            let_pass(0.9)  # a client that has sent its end may still read for 0.75 s
            road.is_free = True
            wait_until(lambda: any(f" t {redis.client.hget('{rma}:task:t', 'started_at')[:5]}" in line for line in commands.lines))
        assert state_of(redis, "t") == "leased" and complete(there, task).status == 200


def test_tasks_are_given_back_when_redis_is_back_and_has_moved_their_deadlines(redis, start_coordinator):
    lost = b"\r\nt 1"  # of the call that gives back the task t
    with contextlib.closing(SlowRoad(redis, b"to be held back", lost)) as road:
        coordinator = start_coordinator(THREADS=1, REDIS_URL=f"redis://127.0.0.1:{road.port}")
        leave_unheard(coordinator, redis, road, "wait=30")
        let_pass(0.9)  # a client that has sent its end may still read for 0.75 s
        road.is_free = True
        wait_until(lambda: road.has_lost)
        lease_ms, until, ends, rest = redis.client.hget("{rma}:held:w", "t").split(" ", 3)
        redis.client.hset("{rma}:held:w", "t", f"{lease_ms} {int(until) + 5000} {int(ends) + 5000} {rest}")
        wait_until(lambda: state_of(redis, "t") == "queued")


def test_a_lost_wake_is_made_up_for(redis, coordinator):
    coordinator.register("w")
    poll = Asking(coordinator)
    wait_until(lambda: parked(redis) == 1)
    redis.client.delete("{rma}:parked")
    redis.client.delete(*redis.client.keys("{rma}:parked:*"))
    submit(redis, "t")
    assert ids(poll.answer(15)) == ["t"]


def test_a_delayed_task_wakes_a_poll(redis, coordinator):
    coordinator.register("w")
    poll = Asking(coordinator)
    wait_until(lambda: parked(redis) == 1)
    submit(redis, "t", due="+500")
    assert ids(poll.answer(10)) == ["t"]


def test_what_a_worker_holds_that_says_it_goes_is_another_ones_at_once(redis, three_coordinators):
    """The coordinator that has told Redis of it sweeps, before anybody sweeps anyhow."""
    here, there, elsewhere = three_coordinators
    sweepers = []
    for number in range(5):
        here.register("w")
        elsewhere.register("v", boot_id="1")
        submit(redis, f"t{number}")
        assert lease(here)["task_id"] == f"t{number}"
        poll = Asking(elsewhere, "v", request_id=number)
        wait_until(lambda: parked(redis) == 1)
        with Commands(redis) as commands:
            there.beat("w", status="offline")
            assert ids(poll.answer()) == [f"t{number}"]
        calls = [(line, client) for line, client in zip(commands.lines, commands.clients) if line.startswith("EVALSHA")]
        told = next(i for i, (line, _) in enumerate(calls) if " w  offline " in line)
        sweeper = next(client for line, client in calls[told:] if " {rma}:alive " in line)
        sweepers.append(sweeper == calls[told][1])
    assert sum(sweepers) >= 4, "of five; another one may sweep just then"


def test_ten_thousand_wakes_find_their_polls(redis, three_coordinators):
    """Many workers, polls and tasks at once: each task is given once."""
    for number in range(12):
        three_coordinators[0].register(f"w{number}")
    given, stop = [], threading.Event()

    def work(number):
        coordinator = three_coordinators[number % 3]
        while not stop.is_set():
            for task in ask(coordinator, f"w{number}", wait=2, max=1 + number % 3)["tasks"]:
                given.append(task["task_id"])
                assert complete(coordinator, task, f"w{number}").status == 200

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        works = [pool.submit(work, number) for number in range(12)]
        for burst in range(60):
            submit(redis, *[f"t{burst}-{number}" for number in range(1 + burst % 10)])
        wait_until(lambda: redis.client.hget("{rma}:queue:default", "enqueued")
                   == redis.client.hget("{rma}:queue:default", "completed"))
        stop.set()
        for each in works:
            each.result()
    assert len(given) == len(set(given)) == int(redis.client.hget("{rma}:queue:default", "enqueued"))


def test_a_worker_that_fails_where_others_succeed_is_shown(redis, coordinator):
    for worker in ("bad", "good"):
        coordinator.register(worker, boot_id="one")
    assert coordinator.worker("bad")["suspect_since"] is None
    submit(redis, *(f"t{number}" for number in range(5)))
    for task in ask(coordinator, "bad", max=5)["tasks"]:
        coordinator.post("/api/worker/task-fail",
                         {"worker_id": "bad", "task_id": task["task_id"], "lease": task["lease"], "error": "no", "retry_after": 0})
    given = []

    def all_five():
        given.extend(ask(coordinator, "good", max=5)["tasks"])
        return len(given) == 5
    wait_until(all_five)
    with EventStream(coordinator.port) as stream:
        for task in given:
            assert complete(coordinator, task, "good").status == 200
        stream.wait_for(lambda stream: ("suspect", "tasks", "bad") in stream.workers)
        event, = stream.of("worker.suspect")
        assert_as_documented(stream)
    row = coordinator.worker("bad")
    assert (event.data["status"], event.data["tier"], event.data["services"]) == ("healthy", row["tier"], row["assigned_services"])
    assert row["suspect_since"] and coordinator.workers()["bad"]["suspect_since"] == row["suspect_since"]
    assert coordinator.worker("good")["suspect_since"] is None
    shown = subprocess.run([project.BINARY, "worker", "bad", "--url", f"http://127.0.0.1:{coordinator.port}"], capture_output=True,
                           text=True, timeout=30)
    assert "suspect_since" in shown.stdout and shown.returncode == 0
    assert 'rma_worker_events_total{event="suspect",reason="tasks"} 1' in coordinator.get("/metrics").body.decode()
    coordinator.register("bad", boot_id="one")
    assert coordinator.worker("bad")["suspect_since"], "it has not been started anew"
    coordinator.register("bad", boot_id="two")
    assert coordinator.worker("bad")["suspect_since"] is None


# -- heartbeats --------------------------------------------------------------------------------------------------------------------

def test_heartbeats_tell_of_tasks(clock, start_redis, start_coordinator):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis, clock=clock)
    coordinator.register("w")

    def beat(**members):
        return coordinator.post("/api/worker/heartbeat", {"worker_id": "w", **members}).json

    plain = {"status": "ok", "message": "Heartbeat received"}
    assert beat() == beat(tasks=[]) == plain
    submit(redis, "t1", "t2", "t3")
    submit(redis, "other", group="s:nowhere")
    assert beat() == {**plain, "tasks_waiting": 3}
    for _ in range(2):
        lease(coordinator)
    assert beat(tasks=["t1", "gone"]) == {**plain, "tasks_waiting": 1, "tasks_lost": ["gone"]}, "t2 may be on its way"
    clock.advance(11)
    assert beat(tasks=["t1"]) == {**plain, "tasks_waiting": 2}, "nobody works on t2"
    assert state_of(redis, "t2") == "queued"
    assert coordinator.delete("/api/tasks/t1").json["status"] == "cancelling"
    assert beat() == {**plain, "tasks_waiting": 2, "tasks_cancel": ["t1"]}
    assert beat(tasks=["a b"]) == {**plain, "tasks_waiting": 2,
                                   "ignored": [{"field": "tasks", "message": "must be an array of at most 256 ids of tasks"}]}
    assert state_of(redis, "t1") == "leased", "what can't be read takes nothing away"
    clock.advance(91)
    wait_until(lambda: state_of(redis, "t1") == "cancelled")
    assert beat()["tasks_lost"] == ["t1"]
    answer = beat(tasks=[])
    assert answer == {**plain, "tasks_waiting": 2}


@pytest.mark.parametrize("tasks", [["v", "0", "a b"], ["v", "0", 5], {"a": "v", "b": "0"}, ["v", "0"] * 129])
@pytest.mark.parametrize("path", ["heartbeat", "heartbeats"])
def test_a_list_of_tasks_with_a_bad_id_says_nothing(clock, start_redis, start_coordinator, path, tasks):
    """The ids before the bad one must not reach the script, which would take them for the heartbeat of another worker."""
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis, clock=clock)
    for worker in ("v", "w"):
        coordinator.register(worker)
    submit(redis, "t1", "t2")
    lease(coordinator, "v")
    clock.advance(11)
    beat = {"worker_id": "w", "tasks": tasks}
    answer = coordinator.post(f"/api/worker/{path}", beat if path == "heartbeat" else {"heartbeats": [beat]}).json
    assert answer["ignored"][0]["field"] == "tasks"
    assert (answer if path == "heartbeat" else answer["tasks"][0])["tasks_waiting"] == 1
    assert state_of(redis, "t1") == "leased", "nobody but its worker gives back a task"


def test_bulk_heartbeats_tell_of_tasks(clock, start_redis, start_coordinator):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis, clock=clock)
    for worker in ("w", "x", "y"):
        coordinator.register(worker)

    def beat(*beats):
        answer = coordinator.post("/api/worker/heartbeats", {"heartbeats": beats}).json
        assert answer["ok"] == len(beats)
        return answer

    w, x, y = ({"worker_id": name} for name in ("w", "x", "y"))
    assert "tasks" not in beat(w, {**x, "tasks": []}, y)
    submit(redis, "t1", "t2", "t3")
    for name in ("w", "x"):
        lease(coordinator, name)
    told = beat({**w, "tasks": ["t1"]}, {**x, "tasks": ["gone"]})["tasks"]
    assert told == [{**w, "tasks_waiting": 1}, {**x, "tasks_waiting": 1, "tasks_lost": ["gone"]}]
    clock.advance(11)
    assert beat({**w, "tasks": ["t1"]}, {**x, "tasks": []}, y)["tasks"][2] == {**y, "tasks_waiting": 2}, "nobody works on t2"
    assert state_of(redis, "t2") == "queued"
    assert coordinator.delete("/api/tasks/t1").json["status"] == "cancelling"
    assert beat(x, w, w)["tasks"] == [{**x, "tasks_waiting": 2}, {**w, "tasks_waiting": 2, "tasks_cancel": ["t1"]},
                                      {**w, "tasks_waiting": 2}]
    answer = beat({**w, "tasks": ["a b"]})
    assert answer["ignored"] == [{"index": 0, "field": "tasks", "message": "must be an array of at most 256 ids of tasks"}]
    assert state_of(redis, "t1") == "leased", "what can't be read takes nothing away"
    answer = coordinator.post("/api/worker/heartbeats",
                              {"heartbeats": [{**w, "tasks": ["t1"]}, {"worker_id": "nobody", "tasks": ["t1"]}]}).json
    assert answer["not_found"] == ["nobody"] and [each["worker_id"] for each in answer["tasks"]] == ["w"]


def test_a_cancel_reaches_a_parked_poll_at_once(redis, coordinator):
    coordinator.register("w")
    submit(redis, "t")
    task = lease(coordinator)
    poll = Asking(coordinator)
    wait_until(lambda: parked(redis) == 1)
    assert coordinator.delete("/api/tasks/t").json["status"] == "cancelling"
    assert poll.answer() == {"tasks": [], "tasks_cancel": ["t"]}
    answer = coordinator.post("/api/tasks/t/progress", {"worker_id": "w", "lease": task["lease"], "percent": 1}).json
    assert answer == {"status": "ok", "cancel": True}
    assert coordinator.post(f"/api/worker/task-fail?worker_id=w&task_id=t&lease={task['lease']}", {}).json["state"] == "cancelled"


def test_events_tell_of_tasks_that_die_and_are_lost(redis, coordinator):
    coordinator.register("w")
    submit(redis, "t1", "t2", "t3")
    with coordinator.events() as stream:
        first, second = lease(coordinator), lease(coordinator)
        coordinator.post(f"/api/worker/task-fail?worker_id=w&task_id={first['task_id']}&lease={first['lease']}",
                         {"retryable": False})
        coordinator.post("/api/queues/default/pause")
        coordinator.request("PUT", "/api/queues/default", {"limit": 7})
        coordinator.unregister("w")
        kinds = ("task.dead", "task.lost", "queue.paused", "queue.limit")
        stream.wait_for(lambda stream: len(stream.of(*kinds)) == 4)
        told = stream.of(*kinds)
        assert_as_documented(stream)
        names = [(event.kind, event.data["task_id"], event.data["queue"], event.data["reason"]) for event in told]
    assert names == [("task.dead", "t1", "default", "fatal"), ("queue.paused", None, "default", "1"),
                     ("queue.limit", None, "default", "7"), ("task.lost", second["task_id"], "default", "unregistered")]


# -- what is not done --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("query, fields", [
    ("", ["worker_id"]), ("worker_id=a%20b", ["worker_id"]), ("worker_id=w&max=0", ["max"]), ("worker_id=w&max=101", ["max"]),
    ("worker_id=w&wait=-1", ["wait"]), ("worker_id=w&wait=61", ["wait"]), ("worker_id=w&wait=x", ["wait"]),
    ("worker_id=w&queues=a,,b", ["queues"]),
    ("worker_id=w&queues=a%20b", ["queues"]), ("worker_id=w&queues=" + "a" * 2000, ["queues"]),
    ("worker_id=w&request_id=%20", ["request_id"]),
    ("max=-5&wait=-5", ["worker_id", "max", "wait"])])
def test_asks_that_make_no_sense(redis, coordinator, query, fields):
    coordinator.register("w")
    submit(redis, "t")
    response = coordinator.get(f"{TASKS}?{query}")
    assert response.status == 422 and [error["field"] for error in response.json["errors"]] == fields
    assert state_of(redis, "t") == "queued"


def test_unknown_draining_and_offline_workers(redis, coordinator):
    submit(redis, "t")
    response = coordinator.get(TASKS + "?worker_id=nobody")
    assert response.status == 404 and response.json["code"] == "worker-not-found"
    coordinator.register("w")
    coordinator.beat("w", status="draining")
    assert ask(coordinator) == {"tasks": []} and ask(coordinator, wait=1) == {"tasks": []}
    coordinator.beat("w", status="offline")
    assert ask(coordinator) == {"tasks": []}
    coordinator.beat("w", status="healthy")
    assert coordinator.request("HEAD", TASKS + "?worker_id=w").status == 200
    assert state_of(redis, "t") == "queued"


@pytest.mark.parametrize("path, body, status, code", [
    ("task-complete?worker_id=w&task_id=t&lease=LEASE", b"{", 400, "bad-request"),
    ("task-complete?worker_id=w&task_id=t&lease=LEASE", b"1,2", 400, "bad-request"),
    ("task-complete?worker_id=w&task_id=t&lease=LEASE", b'1,"x":2', 400, "bad-request"),
    ("task-complete?worker_id=w&task_id=t&lease=LEASE", b'"' + b"x" * (256 * 1024 - 1) + b'"', 413, "body-too-large"),
    ("task-complete?worker_id=w&task_id=t&lease=LEASE", b"[" * 40 + b"]" * 40, 400, "bad-request"),
    ("task-complete?worker_id=w&task_id=t&lease=9-abc", b"1", 409, "lease-lost"),
    ("task-complete?worker_id=v&task_id=t&lease=LEASE", b"1", 409, "lease-lost"),
    ("task-complete?worker_id=v&task_id=t", b"1", 409, "lease-lost"),
    ("task-complete?worker_id=w&task_id=other&lease=LEASE", b"1", 404, "task-not-found"),
    ("task-complete?worker_id=w&task_id=t&lease=nonsense", b"1", 422, "fields-invalid"),
    ("task-complete?worker_id=w", b"1", 400, "bad-request"),
    ("task-complete", b"{}", 422, "fields-invalid"),
    ("task-complete", b'{"worker_id": 5, "task_id": "a b", "result": 1}', 422, "fields-invalid"),
    ("task-fail?worker_id=w&task_id=t", b'{"retryable": "no", "retry_after": -1}', 422, "fields-invalid"),
    ("task-fail?worker_id=v&task_id=t", b"{}", 409, "lease-lost"),
    ("task-extend?worker_id=w&task_id=t", b"{}", 422, "fields-invalid"),
    ("task-extend?worker_id=w&task_id=t", b'{"seconds": 1e9}', 422, "fields-invalid"),
    ("task-extend?worker_id=v&task_id=t", b'{"seconds": 60}', 409, "lease-lost")], ids=lambda value: str(value)[:40])
def test_reports_that_change_nothing(redis, coordinator, path, body, status, code):
    for worker in ("w", "v"):
        coordinator.register(worker)
    submit(redis, "t")
    task = lease(coordinator)
    before = {key: value for key, value in redis.dump().items() if ":task:" in key or ":held:" in key}
    response = coordinator.post("/api/worker/" + path.replace("LEASE", task["lease"]), body)
    assert (response.status, response.json["code"]) == (status, code), response.json
    assert {key: value for key, value in redis.dump().items() if ":task:" in key or ":held:" in key} == before
    assert complete(coordinator, task, result="x" * (256 * 1024 - 2)).status == 200


@pytest.mark.parametrize("what", ["complete", "fail"])
def test_each_of_a_bulk_is_answered_by_its_name(redis, coordinator, what):
    coordinator.register("w")
    for name in ("t1", "t2"):
        submit(redis, name)
    first, second = ask(coordinator, max=2, request_id="r")["tasks"]
    good = {"task_id": "t1", "lease": first["lease"]}
    items = [good, {"task_id": "t2", "lease": second["lease"][:-1]}, {"task_id": "t2", "lease": "none of ours"},
             {"task_id": "t2", "lease": 5}, {"task_id": "a b", "lease": first["lease"]}, {"task_id": ["t2"]},
             {"lease": first["lease"]}, ["t2"], "t2", None, 7, {}, good, {"task_id": "t3", "lease": first["lease"]}]
    answer = coordinator.post(f"/api/worker/tasks/{what}", {"worker_id": "w", "results": items}).json["results"]
    assert [(item["task_id"], item["status"]) for item in answer] == [
        ("t1", 200), ("t2", 409), ("t2", 422), ("t2", 422), (None, 422), (None, 422), (None, 422), *[(None, 400)] * 4, (None, 422),
        ("t1", 200), ("t3", 404)]
    assert not any("The body" in item.get("detail", "") for item in answer)
    assert state_of(redis, "t2") == "leased"


# -- what a task demands -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("requirements", [
    {"service": "ocr"}, {"service": "vision-ocr"}, {"tier": 1}, {"model": "Llama3:latest"}, {"worker_id": "able"},
    {"min_gpu_memory": "20GB"}, {"min_gpu_memory": 20000}, {"region": "fra"}, {"labels": {"rack": "b 7"}},
    {"service": "ocr", "tier": 1, "model": "llama3", "min_gpu_memory": "20GB", "region": "fra",
     "labels": {"rack": "b 7", "row": "1"}}], ids=str)
def test_a_task_goes_to_a_worker_that_meets_its_demands(redis, start_coordinator, requirements):
    coordinator, elsewhere = start_coordinator(redis, REGION="fra"), start_coordinator(redis, REGION="lhr")
    elsewhere.register("other", labels={"rack": "a"}, services=["rag"])
    elsewhere.beat("other", loaded_models=["mistral"])
    coordinator.register("able", {"gpu_type": "NVIDIA RTX 4090", "gpu_memory": "24564 MiB", "worker_type": "gpu"},
                         services=["ocr", "vision-ocr"], labels={"rack": "b 7", "row": "1"})
    polls = [Asking(elsewhere, "other", wait=20), Asking(elsewhere, "able", wait=20)]
    wait_until(lambda: parked(redis) == 2)
    coordinator.beat("able", loaded_models=["llama3"])
    response = coordinator.post("/api/tasks", {"type": "t", "requirements": requirements})
    assert response.status == 201 and response.json["requirements"] == requirements
    assert ids(polls[1].answer(15)) == [response.json["task_id"]]
    assert not polls[0].is_over()
    coordinator.post("/api/tasks", {"type": "t", "requirements": {"worker_id": "other"}})
    assert len(polls[0].answer()["tasks"]) == 1
