"""Each thing that the scripts of tasks promise, alone."""

import pytest
import redis as redis_library

from scripts import NOW
from tasks import GPU_16

DAY = 86400


@pytest.fixture(autouse=True)
def invariants_hold(tasks):
    yield
    tasks.check()


def wakes(tasks, *threads):
    """Listens to the threads; returns a function that gives what they have been told since."""
    pubsub = tasks.redis.pubsub()
    pubsub.subscribe(*[f"{{rma}}:wake:{thread}" for thread in threads])
    for _ in threads:
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"

    def told():
        found = []
        while (message := pubsub.get_message(timeout=0.3)) is not None:
            found.append((message["channel"].rpartition(":")[2], message["data"].split(" ")[0]))
        return found
    return told


def park(tasks, worker_id, waiter, **how):
    assert tasks.ask(worker_id, waiter=waiter, wait=30_000, **how).word == "parked"


# -- order ------------------------------------------------------------------------------------------------------------------------

def test_first_in_first_out_within_queue_and_priority(tasks):
    tasks.worker("w")
    for number in range(30):
        tasks.enqueue(f"t{number:02}", priority=5 if number >= 20 else 0)
    order = [task for _ in range(15) for task in tasks.ask("w", 2).ids]
    assert order == [f"t{number:02}" for number in [*range(20, 30), *range(20)]]


ALL_DEMANDS = [("a", ""), ("s:ocr", ""), ("t:2", ""), ("m:m", "tier=2"), ("g", "gpu=1"), ("a", "label.rack=a"), ("w:w", ""),
               ("s:rag", ""), ("s:ocr", "region=fra")]


@pytest.mark.parametrize("most", [1, 4, 100])
def test_first_in_first_out_whatever_they_demand(tasks, most):
    tasks.worker("w", services="ocr,rag", models="m", hardware=GPU_16, labels="rack=a", region="fra")
    demands = [*ALL_DEMANDS, *reversed(ALL_DEMANDS), *ALL_DEMANDS[::2], *[ALL_DEMANDS[1]] * 5, *ALL_DEMANDS]
    for number, (group, shape) in enumerate(demands):
        tasks.enqueue(f"t{number:02}", group=group, shape=shape)
        tasks.enqueue(f"u{number:02}", group=group, shape=shape, priority=-7)
    order = [task for _ in range(0, 2 * len(demands), most) for task in tasks.ask("w", most).ids]
    assert order == [f"{letter}{number:02}" for letter in "tu" for number in range(len(demands))]


def test_what_was_lost_stands_in_front_whatever_it_demands(tasks):
    tasks.worker("w", services="ocr")
    tasks.worker("gone", services="ocr")
    for number, (group, _) in enumerate([*ALL_DEMANDS[:2]] * 5):
        tasks.enqueue(f"t{number}", group=group)
    assert tasks.ask("gone", 3).ids == ["t0", "t1", "t2"]
    assert tasks.ask("w", 1).ids == ["t3"]
    tasks.scripts.unregister("gone")
    assert tasks.ask("w", 9).ids == ["t0", "t1", "t2", "t4", "t5", "t6", "t7", "t8", "t9"]


def test_queues_share_evenly_beside_what_nobody_can_do(tasks):
    tasks.worker("w", services="ocr")
    tasks.enqueue_all([{"queue": "stuck", "group": "s:nobody"} for _ in range(500)])
    for number in range(40):
        tasks.enqueue(f"s{number:02}", queue="stuck", group=ALL_DEMANDS[number % 2][0])
        tasks.enqueue(f"o{number:02}", queue="other", group=ALL_DEMANDS[number % 2][0])
    served = [task for _ in range(40) for task in tasks.ask("w", 1).ids]
    assert [task for task in served if task[0] == "s"] == [f"s{number:02}" for number in range(20)]
    assert [task for task in served if task[0] == "o"] == [f"o{number:02}" for number in range(20)]


def test_a_queue_that_could_not_be_served_makes_up_for_nothing(tasks):
    tasks.worker("w", services="ocr")
    tasks.enqueue_all([{"queue": "late"} for _ in range(100)])
    tasks.set_queue("late", "paused", "1")
    tasks.enqueue_all([{"queue": queue, "group": "s:ocr"} for queue in ("early", "other") for _ in range(100)])
    for _ in range(3):
        tasks.ask("w", 20)
    tasks.set_queue("late", "paused", "")
    served = [task.queue for task in tasks.ask("w", 30).tasks]
    assert [served.count(queue) for queue in ("late", "early", "other")] == [10, 10, 10]


def test_asks_of_one_call_are_served_like_one_after_the_other(tasks):
    asks = [(worker, most, queues, "-", "n", "", "", "", 0) for worker, most, queues in
            [("w", 1, "*"), ("v", 3, "*"), ("w", 1, "p"), ("v", 2, "q"), ("w", 50, "p"), ("v", 1, "*"), ("w", 7, "*"),
             ("v", 30, "*")] * 2]

    def served(in_one_call):
        tasks.redis.flushall()
        tasks.worker("w", services="ocr")
        tasks.worker("v")
        tasks.enqueue_all([{"id": f"t{number:02}", "queue": "pqp"[number % 3], "group": ["a", "s:ocr", "a", "a"][number % 4],
                            "priority": number % 5 // 3, "ttl": 60000 if number % 7 == 0 else ""} for number in range(70)])
        for task in tasks.ask("w", 4).tasks + tasks.ask("v", 4).tasks:
            tasks.fail("wv"[int(task.lease[3:].split(".")[0]) % 2], task.id, after="0")
        tasks.sweep(0)
        answers = tasks.ask_all(asks) if in_one_call else [tasks.ask_all([ask])[0] for ask in asks]
        tasks.check()
        return [answer.ids for answer in answers]

    assert served(True) == served(False)


def test_what_cannot_be_read_takes_nothing_with_it(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": f"t{number}"} for number in range(3)])
    tasks.redis.rename("{rma}:task:t2", "aside")
    tasks.redis.set("{rma}:task:t2", "written by hand")
    with pytest.raises(redis_library.ResponseError, match="WRONGTYPE"):
        tasks.ask_all([("w", most, "*", "-", "n", "", "", "", 0) for most in (1, 2)])
    assert tasks.redis.hkeys("{rma}:held:w") == ["t0"]
    tasks.redis.rename("aside", "{rma}:task:t2")
    tasks.check()
    assert tasks.ask("w", 3).ids == ["t1", "t2"]


def test_queues_share_evenly(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"queue": "big"} for _ in range(1000)])
    tasks.enqueue_all([{"queue": "small"} for _ in range(100)])
    served = [task.queue for _ in range(2) for task in tasks.ask("w", 100).tasks]
    assert 99 <= served.count("small") <= 100, "whoever comes late gets every other turn"


def test_a_worker_gets_only_what_it_can_do(tasks):
    tasks.worker("w", services="ocr", models="m", hardware=GPU_16, labels="rack=a,zone=x", tier=2)
    yes = [("a", ""), ("s:ocr", ""), ("m:m", ""), ("t:2", ""), ("w:w", ""), ("g", "gpu=16000000000"),
           ("s:ocr", "tier=2;model=m;gpu=1"),
           ("a", "label.rack=a;label.zone=x")]
    no = [("s:vision", ""), ("m:n", ""), ("t:1", ""), ("w:v", ""), ("g", "gpu=16000000001"), ("s:ocr", "tier=1"),
          ("a", "region=fra"),
          ("a", "label.rack=b"), ("a", "label.row=1"), ("s:ocr", "service=vision"), ("a", "unheard-of=1")]
    tasks.enqueue_all([{"id": f"{answer}{at}", "group": group, "shape": shape}
                       for answer, demands in (("yes", yes), ("no", no)) for at, (group, shape) in enumerate(demands)])
    assert sorted(tasks.ask("w", 100).ids) == sorted(f"yes{at}" for at in range(len(yes)))


def test_a_service_that_is_not_well_gets_nothing(tasks):
    tasks.worker("w", services="ocr,ner")
    tasks.enqueue_all([{"id": "ocr", "group": "s:ocr"}, {"id": "ner", "group": "s:ner"}])
    tasks.redis.hset("{rma}:ledger", "w", "2 healthy 0 - rag,ocr,ner,!ocr 0 - -")
    assert tasks.ask("w", 9).ids == ["ner"]


def test_many_lanes_in_the_way_are_walked_over(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"shape": f"label.n=x{number}"} for number in range(200)])
    tasks.enqueue("mine", priority=-100)
    assert tasks.ask("w", 3).ids == ["mine"]


def test_an_ask_names_queues(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": queue, "queue": queue} for queue in ("a", "b", "ab")])
    assert sorted(tasks.ask("w", 10, queues="a,b").ids) == ["a", "b"]


# -- enqueueing -------------------------------------------------------------------------------------------------------------------

def test_dedup_key_has_one_live_task(tasks):
    assert tasks.enqueue_all([{"id": "t1", "dedup": "d"}, {"id": "t2", "dedup": "d"}]) == [("new", "t1"), ("same", "t1")]
    assert tasks.enqueue_all([{"id": "t3", "dedup": "d", "queue": "other"}]) == [("new", "t3")]
    assert tasks.enqueue_all([{"id": "t4", "dedup": "d", "on_conflict": "replace"}]) == [("new", "t4")]
    assert (tasks.state("t1"), tasks.state("t4")) == ("cancelled", "queued")
    tasks.worker("w")
    tasks.ask("w", 10)
    assert tasks.enqueue_all([{"id": "t5", "dedup": "d", "on_conflict": "replace"}]) == [
        ("same", "t4")], "what has begun is not replaced"
    tasks.complete("w", "t4")
    assert tasks.enqueue("t6", dedup="d") == "new"


@pytest.mark.parametrize("due", ["", "+9000"])
@pytest.mark.parametrize("on_conflict", ["return", "replace", "return user:you"])
def test_a_task_that_has_expired_is_not_in_the_way(tasks, due, on_conflict):
    """It would be the answer, and then end before anybody could begin it."""
    tasks.at(0)
    assert tasks.enqueue("t1", dedup="d", ttl="3000", due=due) == "new"
    tasks.at(2.9)
    assert tasks.enqueue("t2", dedup="d") == "same"
    tasks.at(3)
    assert tasks.enqueue("t3", dedup="d", on_conflict=on_conflict) == "new"
    assert (tasks.state("t1"), tasks.state("t3")) == ("expired", "queued")


def test_a_task_that_has_expired_does_not_keep_a_dead_one_from_being_retried(tasks):
    tasks.at(0)
    tasks.worker("w")
    tasks.enqueue("t1", dedup="d")
    tasks.ask("w")
    tasks.fail("w", "t1", retryable=False)
    tasks.enqueue("t2", dedup="d", ttl="3000")
    assert tasks.retry("t1") == ["blocked"]
    tasks.at(3)
    assert tasks.retry("t1") == ["queued"]
    assert (tasks.state("t1"), tasks.state("t2"), tasks.enqueue("t3", dedup="d")) == ("queued", "expired", "same")


def test_idempotency_key_makes_one_task_in_a_day(tasks):
    tasks.at(0)
    assert tasks.enqueue_all([{"id": "t1", "key": "k", "body": "b"}, {"id": "t2", "key": "k", "body": "b"},
                              {"id": "t3", "key": "k", "body": "c"}]) == [("new", "t1"), ("again", "t1"), ("other", "t1")]
    tasks.at(DAY + 1)
    assert tasks.enqueue("t4", key="k", body="c") == "new"


def test_idempotency_key_remembers_what_it_was_answered_with(tasks):
    assert tasks.enqueue("t1", dedup="d") == "new"
    assert tasks.enqueue_all([{"id": "t2", "dedup": "d", "key": "k", "body": "b"}]) == [("same", "t1")]
    tasks.cancel("t1")
    assert tasks.enqueue_all([{"id": "t3", "dedup": "d", "key": "k", "body": "b"},
                              {"id": "t4", "key": "k", "body": "c"}]) == [("again", "t1"), ("other", "t1")]


def test_a_dedup_key_of_somebody_else_is_in_the_way(tasks):
    mine, theirs = {"fields": {"by": "user:me"}}, {"fields": {"by": "user:you"}}
    assert tasks.enqueue("t1", dedup="d", on_conflict="return user:me", **mine) == "new"
    for what in ("return", "replace"):
        assert tasks.enqueue_all([{"id": "t2", "dedup": "d", "on_conflict": f"{what} user:you", "key": "k", "body": "b",
                                   **theirs}]) == [("blocked", "t1")]
    assert tasks.state("t1") == "queued"
    assert tasks.enqueue("t3", dedup="d", on_conflict="return user:me", **mine) == "same"
    assert tasks.enqueue("t4", dedup="d", on_conflict="replace user:me", **mine) == "new"
    assert tasks.enqueue("t5", dedup="d", on_conflict="replace") == "new", "an operator replaces everybody's"


def test_delayed_tasks_wait_until_due(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": "in10", "due": "+10000"}, {"id": "at20", "due": str(NOW + 20_000)},
                       {"id": "past", "due": "86400000"}])
    assert tasks.ask("w", 10).ids == ["past"]
    tasks.at(10.1)
    assert tasks.ask("w").word == "due"
    tasks.sweep(10.1)
    assert tasks.ask("w").ids == ["in10"]
    tasks.sweep(20.1)
    assert tasks.ask("w").ids == ["at20"]


def test_what_waits_too_long_expires(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": "queued", "ttl": "5000"}, {"id": "later", "due": "+9000", "ttl": "5000"},
                       {"id": "begun", "ttl": "5000", "priority": 1}])
    assert tasks.ask("w").ids == ["begun"]
    tasks.at(5.1)
    assert tasks.ask("w", 9).ids == [], "not even before the sweep"
    tasks.sweep(5.2)
    assert [tasks.state(task) for task in ("queued", "later", "begun")] == ["expired", "expired", "leased"]
    tasks.fail("w", "begun")
    assert tasks.state("begun") == "expired"


def test_too_many_kinds_of_demands_are_refused(tasks):
    words = [word for at in range(0, 520, 40)
             for word, _ in tasks.enqueue_all([{"shape": f"label.n=x{at + n}"} for n in range(40)])]
    assert words == ["new"] * 512 + ["full"] * 8
    assert tasks.enqueue(shape="label.n=x1") == "new"


# -- leases -----------------------------------------------------------------------------------------------------------------------

def test_complete_once_and_again(tasks):
    tasks.worker("w", fields="x")
    tasks.enqueue("t", fields={"lease_ms": "5000"})
    task = tasks.ask("w").tasks[0]
    assert (task.id, task.payload, task.attempt, task.max_attempts, task.seq) == ("t", "{}", 1, 5, 1)
    assert tasks.complete("w", "t", task.lease, '{"a":1}') == "completed"
    before = tasks.scripts.dump()
    assert tasks.complete("w", "t", task.lease, '{"a":2}') == "completed"
    assert tasks.complete("w", "t") == "completed", "an agent that sends no lease"
    assert tasks.complete("v", "t", task.lease) == "conflict"
    assert tasks.scripts.dump() == before
    assert tasks.hash("t")["result"] == '{"a":1}'
    assert tasks.redis.hget("{rma}:registration:w", "tasks_completed") == "1"
    assert tasks.redis.hget("{rma}:stats", "tasks_completed") == "1"


def test_a_result_that_is_not_kept(tasks):
    tasks.worker("w")
    tasks.enqueue("t", fields={"result_ttl": "0", "payload": '"long"'}, dedup="d")
    task = tasks.ask("w").tasks[0]
    assert [tasks.complete("w", "t", task.lease) for _ in range(2)] == ["completed", "completed"]
    assert tasks.complete("v", "t") == tasks.complete("w", "t", "1 other") == tasks.fail("v", "t") == "conflict"
    assert tasks.fail("w", "t", task.lease) == tasks.touch("w", "t", task.lease)[0] == "lost"
    assert tasks.news("w", ["t"]) == (0, [], []) and tasks.news("v", ["t"]) == (0, ["t"], [])
    kept = tasks.hash("t")
    assert kept["state"] == "completed" and not kept.keys() & {"result", "payload"}, "those who wait read how it ended"
    assert 0 < tasks.redis.pttl("{rma}:task:t") <= 30_000
    assert not tasks.redis.exists("{rma}:dedup:q d")
    assert tasks.redis.hget("{rma}:queue:q", "completed") == "1"


def test_a_result_that_is_kept_for_a_moment_is_kept_until_the_report_need_not_be_repeated(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": f"t{number}", "fields": {"result_ttl": str(ttl)}} for number, ttl in enumerate((1, 29_999, 40_000))])
    given = tasks.ask("w", 3).tasks
    assert [tasks.complete("w", task.id, task.lease, "7") for task in given] == ["completed"] * 3
    tasks.at(29)
    assert [tasks.complete("w", task.id, task.lease, "8") for task in given] == ["completed"] * 3, "the first answers may be lost"
    assert [tasks.hash(task.id)["result"] for task in given] == ["7"] * 3
    tasks.check()
    tasks.sweep(31)
    assert [tasks.complete("w", task.id, task.lease) for task in given] == ["unknown", "unknown", "completed"]


def test_the_leases_of_one_answer_differ(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": f"t{number}"} for number in range(20)])
    given = tasks.ask("w", 20, request="r").tasks
    assert len({task.lease for task in given}) == 20
    again = tasks.ask("w", 20, request="r").tasks
    assert {task.id: task.lease for task in again} == {task.id: task.lease for task in given}
    assert tasks.complete("w", "t0", given[1].lease) == tasks.fail("w", "t1", given[0].lease) == "conflict"
    assert tasks.complete("w", "t1", given[1].lease) == "completed"


def test_strangers_change_nothing(tasks):
    tasks.worker("w")
    tasks.worker("v")
    tasks.enqueue("t")
    lease = tasks.ask("w").tasks[0].lease
    before = tasks.scripts.dump()
    assert tasks.complete("v", "t", lease) == tasks.complete("w", "t", "1 other") == tasks.complete("w", "t", "2 n0") == "conflict"
    assert tasks.fail("v", "t") == "conflict" and tasks.touch("v", "t", extend="9000")[0] == "conflict"
    assert tasks.complete("w", "nothing") == tasks.fail("w", "nothing") == tasks.touch("w", "nothing")[0] == "unknown"
    assert tasks.scripts.dump() == before


def test_a_lease_runs_out_and_its_holder_is_late(tasks):
    tasks.worker("w")
    tasks.enqueue("t", fields={"lease_ms": "5000"})
    tasks.enqueue("u", fields={"lease_ms": "5000"})
    first = tasks.ask("w").tasks[0]
    tasks.sweep(4.9)
    assert tasks.state("t") == "leased"
    tasks.sweep(5.1)
    assert tasks.state("t") == "queued"
    assert tasks.scripts.heartbeat(tasks.scripts.beat_of("w"), at=5.15) == "3" and tasks.news("w") == (2, ["t"], [])
    tasks.worker("v", at=5.2)
    second = tasks.ask("v").tasks[0]
    assert (second.id, second.seq, second.attempt) == ("t", 2, 1), "it is in front again, and losing it is no attempt"
    assert tasks.complete("w", "t", first.lease, '"late"') == "lost"
    assert tasks.complete("w", "t", "", '"later"') == "lost"
    assert tasks.fail("w", "t", first.lease) == "lost"
    assert tasks.complete("v", "t", second.lease, '"right"') == "completed"
    kept = tasks.hash("t")
    assert (kept["result"], kept["late_result"], kept["late_by"]) == ('"right"', '"late"', "w")


def test_heartbeats_renew_leases_without_a_write(tasks):
    tasks.worker("w")
    tasks.enqueue("t", fields={"lease_ms": "5000", "lease_max_ms": "12000"})
    tasks.ask("w")
    for second in (4, 8):
        held = tasks.scripts.state()["held:w"]
        tasks.scripts.heartbeat(tasks.scripts.beat_of("w"), at=second)
        assert tasks.scripts.state()["held:w"] == held
        tasks.sweep(second + 3)
        assert tasks.state("t") == "leased"
    tasks.scripts.heartbeat(tasks.scripts.beat_of("w"), at=11)
    tasks.sweep(12.1)
    assert tasks.state("t") == "queued", "whatever renews it, a lease has a greatest age"


def test_an_announced_silence_keeps_leases(tasks):
    tasks.worker("w")
    tasks.enqueue("t", fields={"lease_ms": "5000"})
    tasks.ask("w")
    tasks.scripts.heartbeat(tasks.scripts.beat_of("w", silence=600_000), at=1)
    tasks.sweep(590)
    assert tasks.state("t") == "leased"


def test_extending_a_lease(tasks):
    tasks.worker("w")
    tasks.enqueue("t", fields={"lease_ms": "5000"})
    lease = tasks.ask("w").tasks[0].lease
    word, deadline, cancel = tasks.touch("w", "t", lease, extend="60000", percent="50", message="half")
    assert word == "held" and 0 <= int(deadline) - NOW - 60_000 < 3000 and cancel == "0"
    assert tasks.hash("t")["progress"] == "50 half"
    tasks.sweep(59)
    assert tasks.state("t") == "leased"
    tasks.sweep(64)
    assert tasks.state("t") == "queued"


@pytest.mark.parametrize("end", ["unregister", "restart", "restart without boot_id", "offline", "silent"])
def test_what_a_worker_held_is_free_at_once_when_it_goes(tasks, end):
    tasks.worker("w", boot="1")
    tasks.enqueue("t", fields={"lease_ms": "86400000"})
    tasks.ask("w")
    at = 1
    if end == "unregister":
        tasks.scripts.unregister("w")
    elif end == "restart":
        tasks.worker("w", boot="2")
    elif end == "restart without boot_id":
        tasks.worker("w")
    elif end == "offline":
        tasks.scripts.heartbeat(tasks.scripts.beat_of("w", "offline"))
        tasks.sweep(0.1)
    else:
        at = 301
        tasks.sweep(300.5)
    assert tasks.state("t") == "queued"
    tasks.worker("v", at=at)
    assert tasks.ask("v").ids == ["t"]


def test_the_same_start_of_a_worker_keeps_its_leases(tasks):
    tasks.worker("w", boot="1")
    tasks.enqueue("t")
    lease = tasks.ask("w").tasks[0].lease
    tasks.worker("w", boot="1", at=1)
    assert tasks.complete("w", "t", lease) == "completed"


def test_a_task_that_takes_down_three_workers_is_poison(tasks):
    tasks.enqueue("t")
    for boot in "1123":
        assert tasks.state("t") == "queued", "the same start of a worker counts once"
        tasks.worker("w", boot=boot)
        tasks.ask("w")
        if boot == "1":  # its lease runs out
            tasks.sweep(tasks.now() / 1000 - NOW / 1000 + 91)
            continue
        tasks.worker("w", boot=boot + "x")
    assert tasks.state("t") == "dead" and tasks.hash("t")["reason"] == "poison"
    assert tasks.retry("t") == ["queued"]
    assert "lost_by" not in tasks.hash("t")


def test_draining_offline_and_unknown_workers_get_nothing(tasks):
    tasks.enqueue("t")
    tasks.worker("w")
    tasks.scripts.drain("w")
    assert tasks.ask("w").word == "closed" and tasks.ask("w", waiter="x 1", wait=1000).word == "parked"
    tasks.scripts.drain("w", False)
    tasks.scripts.heartbeat(tasks.scripts.beat_of("w", "offline"))
    assert tasks.ask("w").word == "closed"
    assert tasks.ask("nobody").word == "unknown"
    tasks.scripts.heartbeat(tasks.scripts.beat_of("w", "degraded"))
    assert tasks.ask("w").ids == ["t"]


def test_a_worker_holds_256_at_most(tasks):
    tasks.worker("w")
    for _ in range(6):
        tasks.enqueue_all([{} for _ in range(50)])
    assert [len(tasks.ask("w", 100).ids) for _ in range(4)] == [100, 100, 56, 0]


def fill(tasks, worker_id):
    """Has a worker hold as many tasks as it may, and leaves 44."""
    for _ in range(6):
        tasks.enqueue_all([{} for _ in range(50)])
    while tasks.ask(worker_id, 100).ids:
        pass


def test_a_worker_that_may_hold_no_more_has_nothing_waiting(tasks):
    tasks.worker("w")
    tasks.worker("v")
    fill(tasks, "w")
    assert (tasks.news("w")[0], tasks.news("v")[0]) == (0, 44)
    told = tasks.explain(next(task for task, fields in tasks.pages() if fields["state"] == "queued"))
    assert (told["able"], told["full"]) == ("2", "1")
    tasks.complete("w", tasks.redis.hkeys("{rma}:held:w")[0])
    assert tasks.news("w")[0] == 44


# -- the answer to an ask is lost --------------------------------------------------------------------------------------------------

def test_the_same_ask_gets_the_same_tasks(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": f"t{number}"} for number in range(5)])
    first = tasks.ask("w", 2, request="r1")
    assert [(task.id, task.lease) for task in tasks.ask("w", 2, request="r1").tasks] == [
        (task.id, task.lease) for task in first.tasks]
    assert tasks.ask("w", 2, request="r2").ids == ["t2", "t3"]
    assert tasks.ask("w", 9).ids == ["t4"]


def test_an_agent_that_works_one_by_one_gets_again_what_it_holds(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": "t1"}, {"id": "t2"}])
    assert [tasks.ask("w", one_by_one=True).ids for _ in range(3)] == [["t1"]] * 3
    tasks.complete("w", "t1")
    assert tasks.ask("w", one_by_one=True).ids == ["t2"]


def test_what_nobody_heard_of_is_given_back(tasks):
    tasks.worker("w")
    tasks.worker("v")
    tasks.enqueue_all([{"id": "t1"}, {"id": "t2"}, {"id": "t3"}])
    assert (tasks.ask("w", 2, request="=1").ids, tasks.ask("w", request="=2").ids) == (["t1", "t2"], ["t3"])
    assert tasks.give_back(("v", "=1"), ("w", "1"), ("nobody", "=1"), ("w", "=1"), ("w", "=1")) == [0, 0, 0, 2, 0]
    assert [tasks.state(task) for task in ("t1", "t2", "t3")] == ["queued", "queued", "leased"]
    assert "lost_by" not in tasks.hash("t1")
    assert [task.seq for task in tasks.ask("v", 9).tasks] == [2, 2]


@pytest.mark.parametrize("how", [{"request": "r"}, {"one_by_one": True}], ids=str)
def test_what_was_asked_for_again_is_not_given_back(tasks, how):
    """The client of an ask has left, and its next ask is served before the first one gives back its tasks."""
    tasks.worker("w")
    tasks.enqueue_all([{"id": "t1"}, {"id": "t2"}])
    first = tasks.ask("w", 1, **{"request": "=1", **how})
    again = tasks.ask("w", 1, **{"request": "=2", **how})
    assert (again.ids, again.tasks[0].lease) == (first.ids, first.tasks[0].lease)
    assert again.tasks[0].deadline > first.tasks[0].deadline
    request = how.get("request", "=1")
    assert tasks.give_back(("w", request, first)) == [0]
    assert tasks.complete("w", "t1", again.tasks[0].lease) == "completed"
    last = tasks.ask("w", 1, **{"request": "=3", **how})
    assert last.ids == ["t2"]
    assert tasks.give_back(("w", how.get("request", "=3"), last)) == [1] and tasks.state("t2") == "queued"


def test_asks_of_one_call_give_back_what_they_got_last(tasks):
    tasks.worker("w")
    tasks.enqueue("t")
    first, again = tasks.ask_all([("w", 1, "*", "r", f"n{number}", "", "", "", 0) for number in range(2)])
    assert first.ids == again.ids == ["t"]
    assert tasks.give_back(("w", "r", first)) == [0] and tasks.state("t") == "leased"
    assert tasks.give_back(("w", "r", again)) == [1] and tasks.state("t") == "queued"


def test_a_heartbeat_tells_what_the_worker_works_on(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": "a"}, {"id": "b"}, {"id": "c"}])
    tasks.ask("w", 2)
    assert tasks.news("w") == (1, [], [])
    assert tasks.news("w", ["a", "other"]) == (1, ["other"], []), "it may be on its way yet"
    tasks.scripts.heartbeat(tasks.scripts.beat_of("w"), at=11)
    tasks.cancel("a")
    assert tasks.news("w", ["a"]) == (2, [], ["a"])
    assert (tasks.state("a"), tasks.state("b")) == ("leased", "queued")
    assert tasks.news("w", []) == (2, [], []) and tasks.state("a") == "cancelled"
    assert tasks.ask("w", 9).ids == ["b", "c"]


def test_heartbeats_and_reports_may_overtake_each_other(tasks):
    tasks.worker("w")
    tasks.worker("v")
    tasks.enqueue_all([{"id": name} for name in ("done", "failed", "fatal", "taken", "cancelled")])
    for task in [tasks.ask("w", request=f"={number}").tasks[0] for number in range(5)]:
        {"done": tasks.complete, "fatal": lambda *of: tasks.fail(*of, retryable=False), "failed": tasks.fail,
         "taken": lambda *_: tasks.give_back(("w", "=3")), "cancelled": lambda *of: tasks.cancel(of[1])}[task.id](
             "w", task.id, task.lease)
    assert tasks.complete("w", "cancelled") == "completed"
    assert tasks.news("w", ["done", "failed", "fatal", "taken", "cancelled"]) == (1, ["taken"], []), "it has reported on the others"
    assert tasks.news("v", ["done", "failed"]) == (1, ["done", "failed"], [])


@pytest.mark.parametrize("hear", [lambda tasks: tasks.news("w"), lambda tasks: tasks.news("w", ["t", "u"]),
                                  lambda tasks: (0, tasks.ask("w").lost, [])], ids=["heartbeat", "names them", "poll"])
def test_what_a_worker_has_again_is_not_lost(tasks, hear):
    tasks.worker("w")
    tasks.enqueue_all([{"id": task, "fields": {"lease_ms": "5000"}} for task in ("t", "u")])
    tasks.ask("w", 2)
    tasks.sweep(6)
    assert tasks.ask("w").ids == ["t"], "it is given again before it was told that it had lost it"
    tasks.worker("v", at=6)
    assert tasks.ask("v").ids == ["u"]
    assert hear(tasks) == (0, ["u"], [])


def test_a_cancel_is_told_until_it_is_heard(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": "t", "queue": "cancel"}, {"id": "u", "queue": "cancel"}])
    tasks.ask("w", 2, request="cancel")
    tasks.cancel("t")
    assert [tasks.news("w", ["t", "u"]) for _ in range(2)] == [(0, [], ["t"])] * 2
    assert tasks.news("w") == (0, [], []), "only what it names"
    assert tasks.scripts.call("check", "task:t", "task:u", index="") == []


def test_heartbeats_hear_of_tasks_only_while_there_is_something(tasks):
    tasks.worker("w")
    beat = tasks.scripts.beat_of("w")
    assert tasks.scripts.heartbeat(beat) == "1"
    tasks.enqueue("t", group="s:nowhere")
    assert tasks.scripts.heartbeat(beat) == "3" and tasks.news("w") == (0, [], [])
    tasks.cancel("t")
    assert tasks.scripts.heartbeat(beat) == "1"
    tasks.enqueue("u")
    tasks.ask("w")
    tasks.cancel("u")
    assert tasks.scripts.heartbeat(beat) == "3" and tasks.news("w") == (0, [], ["u"])
    assert tasks.scripts.heartbeat(beat) == "1"
    with pytest.raises(redis_library.ResponseError, match="BADCALL"):
        tasks.scripts.call("task_news", "w", 2, "t")


# -- failures ----------------------------------------------------------------------------------------------------------------------

def test_failures_are_retried_with_growing_delays(tasks):
    tasks.worker("w")
    tasks.enqueue("t")
    at, delays = 0, []
    for _ in range(4):
        task = tasks.ask("w").tasks[0]
        word, state, again_at = tasks.fail("w", "t", task.lease, random=1).split(" ")
        assert (word, state) == ("failed", "scheduled")
        assert tasks.fail("w", "t", task.lease, random=0) == f"failed scheduled {again_at}", "asked again, counted once"
        delays.append(round((int(again_at) - NOW) / 1000 - at))
        at += delays[-1] + 1
        tasks.sweep(at)
        tasks.scripts.heartbeat(tasks.scripts.beat_of("w"), at=at)
    assert delays == [5, 10, 20, 40]
    assert tasks.fail("w", "t", tasks.ask("w").tasks[0].lease) == "failed dead 0"
    kept = tasks.hash("t")
    assert (kept["state"], kept["attempts"], kept["error"], kept["reason"]) == ("dead", "5", "broken", "attempts")
    assert len(kept["history"].split("\n")) == 5


@pytest.mark.parametrize("how, low, high", [({"random": 0}, 2.5, 2.6), ({"random": 1}, 5, 5.1), ({"after": "77000"}, 77, 77.1),
                                            ({"after": "0"}, 0, 0.1)])
def test_delays(tasks, how, low, high):
    tasks.worker("w")
    tasks.enqueue("t")
    tasks.ask("w")
    before = tasks.now()
    again_at = int(tasks.fail("w", "t", **how).split(" ")[2])
    assert low * 1000 <= again_at - before <= high * 1000 + 900


def test_a_completed_task_has_no_error(tasks):
    tasks.worker("w")
    tasks.enqueue("t")
    tasks.ask("w")
    tasks.fail("w", "t", error="out of memory", after="0")
    tasks.sweep(1)
    assert tasks.hash("t")["error"] == "out of memory"
    tasks.ask("w")
    tasks.complete("w", "t")
    assert "error" not in tasks.hash("t") and "out of memory" in tasks.hash("t")["history"]


def test_the_next_attempt_begins_without_progress(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": task} for task in ("failed", "lost", "dead")])
    for task in tasks.ask("w", 3).tasks:
        assert tasks.touch("w", task.id, percent="50")[0] == "held"
    tasks.fail("w", "failed")
    tasks.fail("w", "dead", retryable=False)
    tasks.scripts.unregister("w")
    assert [tasks.hash(task).get("progress") for task in ("failed", "lost", "dead")] == [None, None, "50 "]


def test_a_backoff_of_its_own(tasks):
    tasks.worker("w")
    tasks.enqueue("t", fields={"backoff": "1000 3000", "max_attempts": "9"})
    at = 0
    for want in (1000, 2000, 3000, 3000):
        tasks.at(at)
        tasks.scripts.heartbeat(tasks.scripts.beat_of("w"), at=at)
        tasks.ask("w")
        before = tasks.now()
        assert 0 <= int(tasks.fail("w", "t", random=1).split(" ")[2]) - before - want < 900
        at += 10
        tasks.sweep(at)


def test_a_repeated_failure_is_one_whoever_has_the_task_by_then(tasks):
    tasks.worker("w")
    tasks.worker("v")
    tasks.enqueue("t")
    first, = tasks.ask("w").tasks
    tasks.fail("w", "t", first.lease, after="0")
    tasks.sweep(1)
    assert tasks.ask("v").ids == ["t"]
    assert tasks.fail("w", "t", first.lease, after="0") == "failed leased 0"
    assert (tasks.state("t"), tasks.hash("t")["attempts"]) == ("leased", "1")
    assert tasks.complete("w", "t", first.lease) == "lost"


def test_a_failure_that_no_attempt_mends(tasks):
    tasks.worker("w")
    tasks.enqueue("t")
    tasks.ask("w")
    assert tasks.fail("w", "t", retryable=False) == "failed dead 0"
    assert tasks.hash("t")["reason"] == "fatal"


def test_a_retry_prefers_another_worker(tasks):
    tasks.worker("w")
    tasks.worker("v")
    tasks.enqueue("t")
    tasks.ask("w")
    tasks.fail("w", "t", after="0")
    tasks.sweep(0.5)
    assert tasks.ask("w").ids == []
    tasks.enqueue("u")
    assert tasks.ask("w").ids == ["u"], "it holds up nothing behind it"
    assert tasks.ask("v").ids == ["t"]
    tasks.fail("v", "t", after="0")
    tasks.sweep(30)
    tasks.scripts.heartbeat(tasks.scripts.beat_of("v"), at=30)
    assert tasks.ask("v").ids == ["t"], "but it does not wait for ever"


def test_a_retry_that_one_worker_alone_may_do_waits_for_no_other(tasks):
    told = wakes(tasks, "x")
    tasks.worker("w")
    tasks.worker("v")
    tasks.enqueue("t", group="w:w")
    tasks.ask("w")
    tasks.fail("w", "t", after="1000")
    park(tasks, "w", "x 1")
    tasks.sweep(1.1)
    assert told() == [("x", "1")] and "avoided_until" not in tasks.explain("t")
    assert tasks.ask("w").ids == ["t"]


def test_the_only_worker_is_woken_for_its_own_retry(tasks):
    told = wakes(tasks, "x")
    tasks.worker("w")
    tasks.enqueue("t")
    tasks.ask("w")
    tasks.fail("w", "t", after="1000")
    park(tasks, "w", "x 1")
    tasks.sweep(1.1)
    assert told() == [("x", "1")]
    assert tasks.ask("w").ids == ["t"]


@pytest.mark.parametrize("failed", [1, 2, 3, 10])
def test_retries_that_wait_for_another_worker_hold_up_nothing(tasks, failed):
    tasks.worker("w")
    tasks.worker("v")
    tasks.enqueue_all([{"id": f"t{number}"} for number in range(failed)])
    for task in tasks.ask("w", failed).tasks:
        tasks.fail("w", task.id, after="0")
    tasks.sweep(0.5)
    tasks.enqueue_all([{"id": "u"}, {"id": "x"}])
    assert [tasks.ask("w").ids for _ in range(3)] == [["u"], ["x"], []]


def test_a_worker_that_fails_where_others_succeed_is_marked(tasks):
    tasks.worker("bad")
    tasks.worker("good")
    for number in range(8):
        assert ("suspect_since" in tasks.redis.hgetall("{rma}:worker:bad")) == (number >= 5)
        tasks.enqueue(f"t{number}")
        assert tasks.ask("bad").ids == [f"t{number}"]
        tasks.fail("bad", f"t{number}", after="0")
        tasks.sweep(number + 1)
        assert tasks.ask("good").ids == [f"t{number}"]
        tasks.complete("good", f"t{number}")
    assert tasks.redis.zrange("{rma}:failures:bad", 0, -1) == [f"t{number}" for number in range(3, 8)], "no more than what tells"
    assert ("suspect", "tasks", "bad", "healthy") in tasks.scripts.events()
    assert tasks.redis.hget("{rma}:stats", "event:suspect:tasks") == "1"


@pytest.mark.parametrize("minutes, restarted, marked", [
    ((0, 1, 2, 3, 4), None, True), ((0, 3, 6, 9, 12), None, False), ((0, 3, 6, 9, 9.9), None, True), ((0, 0, 0, 0, 0), 1, False),
    ((0, 0, 2, 2, 2), 1, False)])
def test_what_counts_is_when_a_worker_failed(tasks, minutes, restarted, marked):
    """Others may complete the tasks much later, all at once, and after a restart of the worker."""
    tasks.worker("bad", boot="one")
    for number, minute in enumerate(minutes):
        if restarted is not None and minute > restarted:
            tasks.worker("bad", boot="two", at=60 * restarted)
        beat = tasks.scripts.beat_of("bad")
        tasks.scripts.heartbeat(beat, at=60 * minute)
        tasks.enqueue(f"t{number}")
        assert tasks.ask("bad").ids == [f"t{number}"]
        tasks.fail("bad", f"t{number}", after="1200000")
    if restarted is not None:
        tasks.worker("bad", boot="two", at=60 * max(restarted, minutes[-1]))
    tasks.sweep(2100)
    tasks.worker("good", at=2100)
    tasks.scripts.heartbeat(beat, at=2100)
    for number in range(5):
        assert tasks.ask("good").ids == [f"t{number}"]
        tasks.complete("good", f"t{number}")
    assert ("suspect_since" in tasks.redis.hgetall("{rma}:worker:bad")) == marked


# -- cancelling, retrying ----------------------------------------------------------------------------------------------------------

def test_cancelling(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": "queued", "ttl": "9000", "priority": -1}, {"id": "later", "due": "+9000"}, {"id": "failing"},
                       {"id": "winning"}])
    assert tasks.ask("w", 2).ids == ["failing", "winning"]
    assert [tasks.cancel(task) for task in ("queued", "later", "failing", "failing", "winning", "nothing")] == [
        "cancelled", "cancelled", "cancelling", "cancelling", "cancelling", "unknown"]
    assert tasks.touch("w", "failing")[2] == "1"
    assert sorted(tasks.ask("w").cancel) == ["failing", "winning"]
    assert tasks.fail("w", "failing") == "failed cancelled 0"
    assert tasks.complete("w", "winning") == "completed", "a valid result still wins"
    assert tasks.cancel("winning") == "ended completed"


def test_a_purge_leaves_alone_what_has_moved_on(tasks):
    tasks.worker("w")
    tasks.enqueue("t")
    tasks.ask("w")
    assert tasks.purge("t", "queued") == "moved leased" and tasks.touch("w", "t")[2] == "0", "it was not cancelled"
    tasks.complete("w", "t")
    assert tasks.purge("t", "queued") == "moved completed" and tasks.redis.hget("{rma}:task:t", "result") == "1"
    assert [tasks.purge("t", "completed") for _ in range(2)] == ["deleted", "unknown"]


def test_a_cancelled_task_that_is_lost_stays_so(tasks):
    tasks.worker("w")
    tasks.enqueue("t")
    tasks.ask("w")
    tasks.cancel("t")
    tasks.scripts.unregister("w")
    assert tasks.state("t") == "cancelled"


def test_dead_tasks_are_tried_again(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": "t", "dedup": "d"}, {"id": "u"}])
    tasks.ask("w", 2)
    tasks.fail("w", "t", retryable=False)
    assert tasks.enqueue("other", dedup="d") == "new"
    assert tasks.retry("t", "u", "nothing") == ["blocked", "alive leased", "unknown"]
    tasks.cancel("other")
    assert tasks.retry("t") == ["queued"]
    kept = tasks.hash("t")
    assert "attempts" not in kept and "error" not in kept
    assert tasks.redis.pttl("{rma}:task:t") == -1


# -- queues ------------------------------------------------------------------------------------------------------------------------

def test_a_limit_is_kept_and_never_leaks(tasks):
    tasks.worker("w")
    tasks.worker("v")
    tasks.set_queue("q", "limit", "3")
    tasks.enqueue_all([{} for _ in range(10)])
    tasks.enqueue("free", queue="other", priority=-100)
    assert len(tasks.ask("w", 2).ids) == 2
    last = tasks.ask("v", 5).ids
    assert len(last) == 2 and "free" in last
    assert tasks.ask("v").ids == []
    tasks.scripts.unregister("w")
    assert len(tasks.ask("v", 5).ids) == 2
    tasks.set_queue("q", "limit", "")
    assert len(tasks.ask("v", 50).ids) == 7


def test_a_paused_queue_gives_nothing(tasks):
    told = wakes(tasks, "x")
    tasks.worker("w")
    tasks.set_queue("q", "paused", "1")
    park(tasks, "w", "x 1")
    tasks.enqueue("t")
    assert tasks.ask("w").ids == [] and told() == []
    tasks.set_queue("q", "paused", "")
    assert told() == [("x", "1")]
    assert tasks.ask("w").ids == ["t"]


def test_queues_are_counted(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": "a", "queue": "one"}, {"queue": "one", "due": "+9999"}, {"queue": "two"},
                       {"queue": "one", "priority": -5}])
    tasks.at(20)
    tasks.ask("w", 1, queues="one")
    queues = tasks.queues()
    assert list(queues) == ["one", "two"]
    one = queues["one"]
    assert (one["queued"], one["scheduled"], one["leased"], one["enqueued"]) == (1, 1, "1", "3")
    assert 19_000 < int(one["oldest"]) < 22_000


def test_the_oldest_is_the_one_that_has_waited_longest(tasks):
    tasks.worker("w")
    tasks.at(0)
    tasks.enqueue_all([{"id": "later", "queue": "delayed", "due": "+60000"}, {"id": "dead", "queue": "retried"},
                       {"id": "high", "queue": "mixed", "priority": 9}, {"id": "middle", "queue": "mixed"}])
    tasks.ask("w", queues="retried")
    tasks.fail("w", "dead", retryable=False)
    tasks.cancel("high")
    tasks.at(40)
    tasks.enqueue_all([{"queue": "mixed", "priority": priority} for priority in (9, -9)])
    tasks.sweep(61)
    tasks.retry("dead")
    tasks.at(63)
    oldest = {queue: int(fields["oldest"]) // 1000 for queue, fields in tasks.queues().items()}
    assert oldest["delayed"] <= 4 and oldest["retried"] <= 4 and oldest["mixed"] >= 62, oldest


def test_a_job_for_all_workers_hides_no_task(tasks):
    """A queue has a lane for each of them then."""
    tasks.at(0)
    tasks.worker("w7")
    queues = ("a", "b", "c", "d")
    tasks.enqueue_all([{"queue": queue, "group": "w:w7"} for queue in queues])
    tasks.at(60)
    tasks.enqueue_all([{"id": f"{queue}{number}", "queue": queue, "group": f"w:w{number}"}
                       for queue in queues for number in range(100, 300)])
    told = tasks.queues()
    assert [(told[queue]["queued"], int(told[queue]["oldest"])) for queue in queues] == [(201, 60000)] * 4
    assert [(told["position"], told["of"]) for told in map(tasks.explain, ("a100", "b299"))] == [("2", "201"), ("201", "201")]


def test_the_worker_that_a_task_demands_is_found_among_many(tasks):
    tasks.redis.hset("{rma}:ledger", mapping={f"x{number}": "2 healthy 0 - rag 0 - -" for number in range(4000)})
    tasks.worker("w")
    tasks.enqueue_all([{"id": "t", "group": "w:w"}, {"id": "u", "group": "w:nobody"},
                       {"id": "v", "group": "w:w", "shape": "tier=1"}])
    assert [tasks.explain(task)["able"] for task in "tuv"] == ["1", "0", "0"]
    assert tasks.explain("u")["all"] <= tasks.explain("u")["counted"] == "1"


@pytest.mark.parametrize("state", ["cancelled", "dead", "expired"])
def test_so_many_that_have_ended_are_kept(tasks, state):
    key = f"{{rma}}:{state}:q"
    tasks.redis.zadd(key, {f"old{number}": NOW + DAY * 1000 + number for number in range(100_000)})
    tasks.worker("w")
    if state == "cancelled":
        tasks.enqueue_all([{"dedup": "d", "on_conflict": "replace"} for _ in range(300)])
    elif state == "expired":
        tasks.enqueue_all([{"ttl": "1000"} for _ in range(300)])
        tasks.enqueue("another", queue="another")
        for _ in range(20):
            tasks.sweep(2)
    else:
        tasks.enqueue("t")
        for boot in range(3):
            tasks.worker("w", boot=f"{boot}")
            tasks.ask("w")
        tasks.worker("w", boot="last")
        assert tasks.state("t") == "dead"
    assert tasks.redis.zcard(key) == 100_000
    tasks.redis.zrem(key, *[f"old{number}" for number in range(100_000)])


# -- waiting -----------------------------------------------------------------------------------------------------------------------

def test_as_many_wake_as_there_are_tasks_first_come_first_served(tasks):
    told = wakes(tasks, "x", "y")
    tasks.worker("w")
    tasks.worker("v", services="ocr")
    for at, (worker, waiter) in enumerate([("w", "x 1"), ("v", "y 1"), ("w", "y 2"), ("v", "x 2")]):
        tasks.at(at)
        park(tasks, worker, waiter)
    tasks.enqueue()
    assert told() == [("x", "1")]
    tasks.enqueue(group="s:ocr")
    assert told() == [("y", "1")]
    tasks.enqueue_all([{}, {}, {}])
    assert told() == [("y", "2"), ("x", "2")]
    assert "{rma}:parked" not in tasks.scripts.dump()


def test_dead_threads_and_polls_that_are_over_are_passed_over(tasks):
    told = wakes(tasks, "x")
    tasks.worker("w")
    for number in range(40):
        park(tasks, "w", f"dead {number}")
    park(tasks, "w", "x 1")
    park(tasks, "w", "x 2")
    tasks.unpark("x 1", "x 9")
    tasks.enqueue()
    assert told() == [("x", "2")]


def test_a_worker_that_may_hold_no_more_stands_before_nobody(tasks):
    told = wakes(tasks, "x")
    tasks.worker("full")
    tasks.worker("v")
    for _ in range(6):
        tasks.enqueue_all([{} for _ in range(50)])
    while tasks.ask("full", 100).ids:
        pass
    tasks.ask("v", 100)
    park(tasks, "full", "x 1")
    park(tasks, "v", "x 2")
    tasks.enqueue("t")
    assert told() == [("x", "2")]
    tasks.complete("full", tasks.redis.hkeys("{rma}:held:full")[0])
    tasks.enqueue("u")
    assert told() == [("x", "1")]


@pytest.mark.parametrize("end", [
    lambda tasks, task: tasks.complete("w", task), lambda tasks, task: tasks.fail("w", task),
    lambda tasks, task: tasks.news("w", [other for other in tasks.redis.hkeys("{rma}:held:w") if other != task]),
    lambda tasks, task: tasks.scripts.call("task_complete", "w", task, "", "1", "v", "nothing", "", "1")],
    ids=["complete", "fail", "not worked on", "of many"])
def test_a_worker_that_held_all_that_it_may_is_woken_once_it_holds_less(tasks, end):
    told = wakes(tasks, "x")
    tasks.worker("w")
    fill(tasks, "w")
    tasks.scripts.heartbeat(tasks.scripts.beat_of("w"), at=11)
    park(tasks, "w", "x 1")
    end(tasks, tasks.redis.hkeys("{rma}:held:w")[0])
    assert told() == [("x", "1")]
    park(tasks, "w", "x 2", queues="other")
    end(tasks, tasks.redis.hkeys("{rma}:held:w")[0])
    assert told() == [], "it was not full before"


def test_a_task_that_a_woken_worker_may_not_take_wakes_another(tasks):
    told = wakes(tasks, "x")
    for worker in ("w", "v", "u"):
        tasks.worker(worker)
    fill(tasks, "w")
    tasks.ask("v", 100)
    tasks.complete("w", tasks.redis.hkeys("{rma}:held:w")[0])
    for waiter, worker in (("x 1", "w"), ("x 2", "w"), ("x 3", "v"), ("x 4", "u"), ("x 5", "u")):
        park(tasks, worker, waiter)

    def ask(waiter, worker):
        return tasks.ask_all([(worker, 1, "*", "-", waiter[2:], "", waiter, str(NOW), 1000, "a q ")])[0]
    tasks.enqueue_all([{}, {}, {}])
    assert told() == [("x", "1"), ("x", "2"), ("x", "3")]
    assert ask("x 1", "w").word == "given" and ask("x 2", "w").word == "parked" and told() == [("x", "4")], "w is full"
    tasks.scripts.drain("v")
    assert ask("x 3", "v").word == "parked" and told() == [("x", "5")], "v takes no work"
    assert ask("x 4", "u").word == "given" and ask("x 5", "u").word == "given" and told() == []


def test_waiters_for_other_queues_sleep_on(tasks):
    told = wakes(tasks, "x")
    tasks.worker("w")
    park(tasks, "w", "x 1", queues="a,b")
    park(tasks, "w", "x 2", queues="c")
    tasks.enqueue(queue="c")
    assert told() == [("x", "2")]


def test_whoever_waits_for_another_queue_stands_before_nobody(tasks):
    told = wakes(tasks, "x")
    for worker in ("w", "v"):
        tasks.worker(worker, services="ocr")
    for number in range(400):
        park(tasks, "w", f"x {number}", queues="a,c" if number % 2 else "a")
    park(tasks, "v", "x first", queues="d,b")
    tasks.at(1)
    park(tasks, "v", "x all")
    tasks.at(2)
    park(tasks, "v", "x many", queues="b," + ",".join(f"q{number}" for number in range(99)))
    tasks.enqueue_all([{"queue": "b"}])
    assert told() == [("x", "first")]
    tasks.enqueue_all([{"queue": "b", "group": "s:ocr"}, {"queue": "b", "group": "s:ocr"}])
    assert told() == [("x", "all"), ("x", "many")]
    tasks.enqueue_all([{"queue": "c", "group": "w:w"}])
    assert told() == [("x", "1")]


def test_everything_that_makes_work_wakes(tasks):
    told = wakes(tasks, "x")
    tasks.worker("w")
    tasks.worker("v")
    tasks.enqueue("t", fields={"lease_ms": "5000"})
    tasks.set_queue("q", "limit", "1")
    tasks.ask("v")
    tasks.enqueue("u", due="+4000")
    park(tasks, "w", "x 1")
    tasks.sweep(4.1)
    assert told() == [], "the queue is full"
    tasks.complete("v", "t")
    assert told() == [("x", "1")]
    assert tasks.ask("w").ids == ["u"]
    park(tasks, "v", "x 2")
    tasks.scripts.unregister("w")
    assert told() == [("x", "2")]


def test_a_resumed_queue_wakes_those_who_wait_for_each_of_its_lanes(tasks):
    told, count = wakes(tasks, "x"), 100
    tasks.set_queue("q", "paused", "1")
    for number in range(count):
        tasks.worker(f"w{number}")
        tasks.enqueue(f"t{number}", group=f"w:w{number}")
        park(tasks, f"w{number}", f"x {number}")
    assert told() == []
    tasks.set_queue("q", "paused", "")
    assert {waiter for _, waiter in told()} == {str(number) for number in range(count)}


def test_room_in_a_queue_wakes_the_one_who_can_use_it_among_many_lanes(tasks):
    told = wakes(tasks, "x")
    tasks.worker("v")
    tasks.worker("w", services="ocr")
    tasks.set_queue("q", "limit", "1")
    tasks.enqueue_all([{"id": "first"}, *[{"group": f"s:none{number}"} for number in range(150)], {"id": "t", "group": "s:ocr"}])
    assert tasks.ask("v").ids == ["first"]
    park(tasks, "w", "x 1")
    tasks.complete("v", "first")
    assert told() == [("x", "1")]


def test_room_for_several_tasks_wakes_as_many_for_each_lane_as_it_has_tasks(tasks):
    told, services = wakes(tasks, "x"), ("one", "six", "two")
    tasks.worker("v")
    tasks.set_queue("q", "limit", "3")
    tasks.enqueue_all([{"id": "a"}, {"id": "b"}, {"id": "c"}, *[{"group": f"s:{service}"} for service in services]])
    assert tasks.ask("v", most=3).ids == ["a", "b", "c"]
    for name in (f"{service}{number}" for service in services for number in range(3)):
        tasks.worker(name, services=name[:3])
        park(tasks, name, f"x {name}")
    tasks.scripts.call("task_complete", *[word for task in "abc" for word in ("v", task, "", "1")])
    assert {waiter for _, waiter in told()} == {"one0", "six0", "two0"}


def test_a_heartbeat_tells_of_work_behind_much_that_the_worker_can_not_do(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"shape": f"label.rack={number}"} for number in range(100)])
    assert tasks.news("w")[0] == 0
    tasks.enqueue_all([{"id": "t"}, {"id": "u", "queue": "paused"}])
    tasks.set_queue("paused", "paused", "1")
    assert tasks.news("w")[0] == 1 and tasks.ask("w").ids == ["t"]


def test_another_is_woken_in_place_of_one_that_takes_another_task(tasks):
    told = wakes(tasks, "x")
    for worker in "abc":
        tasks.worker(worker)
    park(tasks, "a", "x 1", queues="x,y")
    park(tasks, "b", "x 2", queues="y")
    for number in range(3, 7):
        park(tasks, "c", f"x {number}", queues="x")

    def ask(worker, lane, request="-", queues="x,y"):
        return tasks.ask_all([(worker, 1, queues, request, f"n{worker}", "", "", "", 0, lane)])[0]
    tasks.enqueue_all([{"id": "u", "queue": "x"}, {"id": "v", "queue": "y", "priority": 9}])
    assert sorted(told()) == [("x", "1"), ("x", "2")]
    assert ask("a", "a x ", "r").ids == ["v"] and told() == [("x", "3")]
    assert ask("a", "a x ", "r").ids == ["v"] and told() == [("x", "4")], "the same task again"
    tasks.cancel("v")
    assert ask("a", "a x ", queues="z").cancel == ["v"] and told() == [("x", "5")], "news"
    tasks.set_queue("x", "paused", "1")
    tasks.enqueue("w", queue="y")
    assert ask("b", "a x ").ids == ["w"] and told() == []
    tasks.set_queue("x", "paused", "")
    assert told() == [("x", "6")]
    park(tasks, "b", "x 7", queues="y")
    for lane in ("", "nonsense", "a z ", "a x ", "s:x x tier=1"):
        ask("c", lane)
    assert tasks.hash("u")["worker_id"] == "c" and told() == []


def test_a_cancel_reaches_a_parked_worker_at_once(tasks):
    told = wakes(tasks, "x")
    tasks.worker("w")
    tasks.enqueue("t")
    tasks.ask("w")
    park(tasks, "w", "x 1")
    tasks.cancel("t")
    assert told() == [("x", "1")]
    answer = tasks.ask("w", waiter="x 1", since=str(NOW), wait=1000)
    assert (answer.word, answer.cancel) == ("given", ["t"])


def test_another_is_woken_in_place_of_one_that_is_gone(tasks):
    told = wakes(tasks, "x")
    tasks.worker("w")
    park(tasks, "w", "x 1")
    park(tasks, "w", "x 2")
    tasks.enqueue("t")
    assert told() == [("x", "1")]
    assert tasks.scripts.call("task_wake", "a q ") == 1 and told() == [("x", "2")]
    assert tasks.ask("w").ids == ["t"]
    park(tasks, "w", "x 3")
    assert tasks.scripts.call("task_wake", "a q ", "nonsense", "s:x q tier=1") == 0 and told() == []


def test_waiters_of_dead_threads_are_forgotten(tasks):
    tasks.worker("w")
    park(tasks, "w", "x 1")
    tasks.sweep(89)
    assert "{rma}:parked" in tasks.scripts.dump()
    tasks.sweep(91)
    assert "{rma}:parked" not in tasks.scripts.dump() and "{rma}:parked:a" not in tasks.scripts.dump()


def test_a_woken_waiter_keeps_its_turn(tasks):
    told = wakes(tasks, "x")
    tasks.worker("w")
    park(tasks, "w", "x 1")
    tasks.at(5)
    park(tasks, "w", "x 2")
    assert tasks.ask("w", waiter="x 1", since=str(NOW), wait=20_000).word == "parked"
    tasks.enqueue()
    assert told() == [("x", "1")]


def beat(tasks, **said):
    assert tasks.scripts.heartbeat(tasks.scripts.beat_of("w", **said)) in "123"


@pytest.mark.parametrize("task, before, after", [
    ({}, lambda tasks: tasks.scripts.drain("w"), lambda tasks: tasks.scripts.drain("w", False)),
    ({}, lambda tasks: beat(tasks, status="draining"), lambda tasks: beat(tasks)),
    ({}, lambda tasks: beat(tasks, status="draining"), lambda tasks: beat(tasks, status="degraded")),
    ({}, lambda tasks: beat(tasks, status="offline"), lambda tasks: beat(tasks)),
    ({}, lambda tasks: beat(tasks, status="offline"), lambda tasks: tasks.worker("w")),
    ({"group": "s:rag"}, lambda tasks: beat(tasks, health="!rag"), lambda tasks: beat(tasks, health="rag")),
    ({"group": "s:ner"}, lambda tasks: None, lambda tasks: tasks.worker("w", services="rag,ner")),
    ({"group": "m:m"}, lambda tasks: None, lambda tasks: beat(tasks, models="m")),
    ({"shape": "label.rack=b"}, lambda tasks: None, lambda tasks: tasks.worker("w", services="rag", labels="rack=b")),
    ({"shape": "region=fra"}, lambda tasks: None, lambda tasks: tasks.worker("w", services="rag", region="fra")),
    ({}, lambda tasks: tasks.set_queue("q", "paused", "1"), lambda tasks: tasks.set_queue("q", "paused", "")),
    ({}, lambda tasks: tasks.set_queue("q", "limit", "0"), lambda tasks: tasks.set_queue("q", "limit", "1"))],
    ids=["undrained", "healthy", "degraded", "online", "registered", "well", "service", "model", "label", "region", "resumed",
         "limit"])
def test_a_worker_that_becomes_able_is_woken(tasks, task, before, after):
    told = wakes(tasks, "x")
    tasks.worker("w", services="rag")
    before(tasks)
    tasks.enqueue("t", **task)
    park(tasks, "w", "x 1")
    park(tasks, "w", "x 2", queues="q")
    assert told() == []
    after(tasks)
    assert {("x", "1")} <= set(told())
    tasks.check()
    assert tasks.ask("w").ids == ["t"]


def test_a_worker_that_becomes_no_abler_is_not_woken(tasks):
    told = wakes(tasks, "x")
    tasks.worker("w")
    park(tasks, "w", "x 1")
    for said in ({"load": "0.5"}, {"status": "degraded"}, {}, {"active": 3}, {"status": "draining"}, {"status": "draining"}):
        beat(tasks, **said)
    assert told() == []


def test_a_drained_workers_poll_stands_before_nobody(tasks):
    told = wakes(tasks, "x", "y")
    tasks.worker("w")
    tasks.worker("v")
    tasks.scripts.drain("w")
    for number in range(300):
        park(tasks, "w", f"x {number}")
    park(tasks, "v", "y 1")
    tasks.enqueue("t")
    assert told() == [("y", "1")]


def test_a_drained_workers_poll_is_told_what_to_cancel(tasks):
    told = wakes(tasks, "x")
    tasks.worker("w")
    tasks.enqueue("t")
    tasks.ask("w")
    tasks.scripts.drain("w")
    park(tasks, "w", "x 1")
    assert tasks.cancel("t") == "cancelling" and told() == [("x", "1")]
    answer = tasks.ask("w", waiter="x 1", wait=30_000)
    assert (answer.word, answer.ids, answer.cancel) == ("given", [], ["t"])


@pytest.mark.parametrize("end", ["complete", "complete, and nothing is kept", "fail", "cancel", "expire"])
def test_threads_are_told_of_the_end(tasks, end):
    told = wakes(tasks, "x", "y", "z")

    def watch(thread, task="t"):
        return tasks.scripts.call("task_watch", thread=thread, id=task)

    assert watch("x", "nobody") == 0 and "{rma}:task:nobody" not in tasks.scripts.dump()
    tasks.worker("w")
    tasks.enqueue("t", ttl="5000", fields={"result_ttl": "0" if "nothing" in end else "5000"})
    assert [watch(thread) for thread in ("x", "y", "x")] == [1, 1, 1] and told() == []
    assert tasks.redis.hget("{rma}:task:t", "watchers") == "x y"
    if end == "cancel":
        assert tasks.cancel("t") == "cancelled"
    elif end == "expire":
        tasks.sweep(6)
    else:
        assert tasks.ask("w").ids == ["t"] and told() == []
        tasks.fail("w", "t", retryable=False) if end == "fail" else tasks.complete("w", "t")
    assert sorted(told()) == [("x", "="), ("y", "=")]
    assert watch("z") == 0


def test_a_thread_is_told_of_a_retried_task_too(tasks):
    told = wakes(tasks, "x")
    tasks.worker("w")
    tasks.enqueue("t")
    assert tasks.scripts.call("task_watch", thread="x", id="t") == 1
    tasks.ask("w")
    tasks.fail("w", "t")
    assert told() == []
    tasks.sweep(60)
    tasks.ask("w")
    tasks.complete("w", "t")
    assert told() == [("x", "=")]


def test_a_task_has_a_bounded_number_of_watchers(tasks):
    tasks.enqueue("t")
    for number in range(40):
        assert tasks.scripts.call("task_watch", thread=f"x{number}", id="t") == 1
    assert tasks.redis.hget("{rma}:task:t", "watchers").split() == [f"x{number}" for number in range(39, 7, -1)]


# -- looking -----------------------------------------------------------------------------------------------------------------------

def test_listing_in_pages(tasks):
    tasks.worker("w")
    tasks.worker("v")
    for queue in ("a", "b"):
        tasks.enqueue_all([{"id": f"{queue}{number}", "queue": queue, "priority": number % 3, "fields": {"type": f"k{number % 2}"}}
                           for number in range(40)])
        tasks.enqueue_all([{"id": f"{queue}-later{number}", "queue": queue, "due": "+9999", "group": "s:x"}
                           for number in range(10)])
    for worker in ("w", "v"):
        for task in tasks.ask(worker, 20).tasks[:10]:
            tasks.fail(worker, task.id, error=f"{worker} broke", retryable=False)
    everything = {key.split(":task:")[1] for key in tasks.scripts.dump() if ":task:" in key}
    for most in (1, 7, 500):
        found = [task for task, _ in tasks.pages(most)]
        assert len(found) == len(set(found)) and set(found) == everything
    assert {task for task, _ in tasks.pages(3, state="dead", error="w broke")} == {
        task for task in everything if tasks.hash(task).get("error") == "w broke"}
    assert {task for task, _ in tasks.pages(3, queue="b", type="k1", state="queued")} == {
        task for task in everything if tasks.hash(task)["state"] == "queued" and task.startswith("b")
        and tasks.hash(task)["type"] == "k1"}
    assert {fields["worker_id"] for _, fields in tasks.pages(4, state="leased", worker_id="v")} == {"v"}


@pytest.mark.parametrize("state", ["scheduled", "cancelled"])
def test_thousands_with_one_moment_are_listed_at_the_same_cost(tasks, state):
    ids = [f"t{number:04}" for number in range(3000)]
    tasks.enqueue_all([{"id": task, "due": str(NOW + 3_600_000)} for task in ids])
    if state == "cancelled":
        tasks.scripts.call("task_cancel", *ids)
    found, cursor, most = [], "", 0
    while True:
        tasks.redis.config_resetstat()
        cursor, *words = tasks.scripts.call("task_list", cursor=cursor, max=100, queue="q", state=state, type="", worker_id="",
                                            error="")
        stats = tasks.redis.info("commandstats")
        most = max(most, sum(stats[name]["calls"] for name in stats if name in ("cmdstat_zrange", "cmdstat_zrevrange")))
        found += words[::20]
        if not cursor:
            break
        tasks.purge(found[-1], state)  # where the next page begins is found all the same
    assert sorted(found) == ids and most < 20


@pytest.mark.parametrize("state, count", [("queued", 1), ("queued", 499), ("queued", 500), ("scheduled", 3), ("leased", 3),
                                          ("dead", 3)])
def test_more_follow_a_full_page_only_if_there_are_more(tasks, state, count):
    tasks.worker("w")

    def make(number, kind):
        tasks.enqueue_all([{"due": "+9000" if state == "scheduled" else "", "fields": {"type": kind}} for _ in range(number)])
        given = tasks.ask("w", number).ids if state in ("leased", "dead") else []
        for task in given if state == "dead" else []:
            tasks.fail("w", task, retryable=False)

    def page(most, cursor="", kind=""):
        cursor, *words = tasks.scripts.call("task_list", queue="q", state=state, type=kind, worker_id="", error="", cursor=cursor,
                                            max=most)
        return len(words) // 20, cursor
    for first in range(0, count, 50):
        make(min(50, count - first), "u")
    assert page(count) == page(count, kind="u") == (count, "")
    make(1, "t")
    if count < 500:  # it looks at 500 at once
        assert page(count, kind="u") == (count, "")
    listed, cursor = page(count)
    assert listed == count and page(count, cursor) == (1, "")


def test_a_cursor_is_short_however_much_the_tasks_demand(tasks):
    demands = [";".join(f"label.n{number:02}={letter * 300}" for number in range(32)) + f";label.z={end}"
               for letter in "ab" for end in "xy"]
    ids = [f"t{number:03}" for number in range(80)]
    tasks.enqueue_all([{"id": task, "shape": demands[number % 4]} for number, task in enumerate(ids)])
    found, cursor = [], ""
    while True:
        cursor, *words = tasks.scripts.call("task_list", cursor=cursor, max=7, queue="q", state="queued", type="", worker_id="",
                                            error="")
        found += words[::20]
        if not cursor:
            break
        assert len(cursor) < 500
    assert sorted(found) == ids


@pytest.mark.parametrize("fleet", [499, 500, 501, 1000, 1001])
def test_what_a_large_fleet_holds_is_listed_once(tasks, fleet):
    names = [f"w{number:04}" for number in range(fleet)]
    holders = [name for name in ("w0000", "w0498", "w0499", "w0500", "w0999", "w1000") if name in names]
    for worker in holders:
        tasks.worker(worker)
    tasks.redis.zadd("{rma}:workers", {name: 0 for name in names})
    tasks.enqueue_all([{} for _ in range(2 * len(holders))])
    held = [task for worker in holders for task in tasks.ask(worker, 2).ids]
    for most in (1, 2, 500):
        assert sorted(task for task, _ in tasks.pages(most, state="leased")) == sorted(held)
    tasks.redis.zrem("{rma}:workers", *set(names).difference(holders))


def test_what_one_worker_holds_is_listed_at_once(tasks):
    tasks.redis.zadd("{rma}:workers", {f"a{number}": 0 for number in range(600)})
    tasks.worker("w")
    tasks.enqueue_all([{"id": f"t{number}"} for number in range(5)])
    tasks.ask("w", 5)
    filters = {"queue": "", "state": "leased", "type": "", "worker_id": "w", "error": "", "max": 3}
    cursor, *words = tasks.scripts.call("task_list", cursor="", **filters)
    assert words[::20] == ["t0", "t1", "t2"]
    cursor, *words = tasks.scripts.call("task_list", cursor=cursor, **filters)
    assert (cursor, words[::20]) == ("", ["t3", "t4"])


def test_why_a_task_waits(tasks):
    tasks.worker("w", services="ocr")
    tasks.worker("gone", services="ner")
    tasks.scripts.heartbeat(tasks.scripts.beat_of("gone", "offline"))
    tasks.set_queue("q", "limit", "1")
    tasks.enqueue_all([{"id": "t1"}, {"id": "t2", "group": "s:ner"}, {"id": "t3"}, {"id": "later", "due": "+5000"}])
    tasks.ask("w")
    told = tasks.explain("t2")
    assert (told["state"], told["able"], told["offline"]) == ("queued", "0", "1")
    told = tasks.explain("t3")
    assert (told["position"], told["of"], told["ahead"], told["able"], told["limit"], told["leased"],
            told["held_by"]) == ("2", "2", "0", "1", "1", "1", "w")
    assert 4000 < int(tasks.explain("later")["available_at"]) - int(tasks.explain("later")["now"]) <= 5000
    assert tasks.explain("t1")["worker_id"] == "w" and int(tasks.explain("t1")["deadline"]) > NOW
    with pytest.raises(redis_library.ResponseError, match="NOTASK"):
        tasks.explain("nothing")


def test_ahead_of_a_task_is_what_its_workers_could_do(tasks):
    tasks.worker("w", services="ocr")
    tasks.enqueue_all([{"group": "s:ocr"}] * 7 + [{"group": "s:ocr", "shape": "tier=4"}, {"group": "s:none"}, {"group": "w:v"}, {}])
    tasks.enqueue("t")
    assert (tasks.explain("t")["position"], tasks.explain("t")["ahead"]) == ("12", "8")
    tasks.worker("v")
    assert tasks.explain("t")["ahead"] == "2", "v comes to it first"
    tasks.enqueue("u", group="s:ocr")
    assert tasks.explain("u")["ahead"] == "9"


def test_what_has_ended_goes_by_itself(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": "short", "fields": {"result_ttl": "50000"}}, {"id": "day"}, {"id": "dead"},
                       {"id": "cancelled", "priority": -1}])
    tasks.ask("w", 3)
    tasks.complete("w", "short")
    tasks.complete("w", "day")
    tasks.fail("w", "dead", retryable=False)
    tasks.cancel("cancelled")
    for at, left in ((51, {"day", "dead", "cancelled"}), (DAY + 6, {"dead"}), (31 * DAY, set())):
        tasks.sweep(at)
        assert {key.split(":task:")[1] for key in tasks.scripts.dump() if ":task:" in key} == left
        assert {task for task, _ in tasks.pages()} == left
        tasks.check()


def test_malformed_calls_change_nothing(tasks):
    before = tasks.scripts.dump()
    for name, args in {"task_enqueue": [["t"], ["t", "q", "a", "", "101", "", "", "", "", "", "", "0"],
                                        ["t", "q q", "a", "", "0", "", "", "", "", "", "", "0"],
                                        ["t", "q", "a", "", "0", "x", "", "", "", "", "", "0"],
                                        ["t", "q", "a", "", "0", "", "", "", "", "", "", "2", "x"]],
                       "task_lease": [["w"], ["w", "0", "*", "-", "n", "", "", "", "0", ""],
                                      ["w", "1", "", "-", "n", "", "", "", "0", ""], ["w", "1", "*", "-", "n", "", "", "", "0"]],
                       "task_complete": [["w", "t", ""]],
                       "task_fail": [["w"], ["w", "t", "", "e", "1", "x", "0.5"], ["w", "t", "", "e", "1", "", "2"]]}.items():
        for words in args:
            with pytest.raises(redis_library.ResponseError, match="BADCALL"):
                tasks.scripts.call(name, *words)
    assert tasks.scripts.dump() == before


def test_a_full_redis_refuses_tasks_and_takes_results(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": f"t{number}"} for number in range(4)])
    tasks.ask("w", 3)
    tasks.redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(redis_library.ResponseError, match="OOM"):
            tasks.enqueue("new")
        assert tasks.complete("w", "t0") == "completed"
        assert tasks.fail("w", "t1").startswith("failed scheduled")
        assert [tasks.ask("w", request="r").ids for _ in range(2)] == [["t3"]] * 2
        assert tasks.touch("w", "t2", extend="5000")[0] == "held"
        assert tasks.cancel("t2") == "cancelling"
        assert tasks.touch("w", "t2", percent="50")[0] == "held"
        assert tasks.news("w")[2] == ["t2"]
        assert tasks.ask("w", waiter="x 1", wait=30_000).word == "parked"
        assert tasks.set_queue("q", "paused", "1") == "1"
        assert tasks.scripts.call("task_watch", thread="x", id="t3") == 1, "else its end is noticed late"
    finally:
        tasks.redis.config_set("maxmemory", "0")


def test_what_a_coordinator_lost_is_given_again_when_it_says_so(tasks):
    tasks.worker("w")
    tasks.enqueue_all([{"id": f"t{number}"} for number in range(4)])

    def ask(request, nonce, how):
        return tasks.ask_all([("w", 1, "*", request, nonce, how, "", "", 0)])[0]
    assert ask("=x.1", "n1", "").ids == ["t0"]
    assert ask("=x.1", "n2", "lost").ids == ["t0"] and ask("=x.2", "n3", "lost").ids == ["t1"]
    assert ask("=x.1", "n4", "").ids == ["t2"] and ask("-", "n5", "lost").ids == ["t3"]


def test_a_full_redis_takes_results_beside_one_that_is_late(tasks):
    tasks.worker("w", boot="1")
    tasks.enqueue_all([{"id": "late"}, {"id": "timely"}])
    lost, = tasks.ask("w").tasks
    tasks.worker("w", boot="2")
    tasks.worker("v")
    tasks.ask("v")
    timely, = tasks.ask("w").tasks
    tasks.redis.config_set("maxmemory", "1")
    try:
        assert tasks.scripts.call("task_complete", "w", "late", lost.lease, "1", "w", "timely", timely.lease, "2") == [
            "lost", "completed"]
    finally:
        tasks.redis.config_set("maxmemory", "0")
    assert tasks.hash("late")["late_result"] == "1"
