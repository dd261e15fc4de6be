"""Which worker gets a request: what the script chooses, what it leaves, and what becomes of it when somebody dies."""

import collections
import random

import pytest
import redis as redis_library

import invariants
from scripts import NOW, PREFIX, REMOVAL, TIMEOUT

GONE = (TIMEOUT + REMOVAL) // 1000 + 1  # seconds after which a silent worker is removed
LEASES = 13  # seconds for which leases last that nobody renews


def add(scripts, *ids, services="llm", load="0", models="", at=0, status="healthy", active="", special="", health="", fields=(),
        **args):
    for worker_id in ids:
        scripts.register(worker_id, at=at, advertised=services, catalogue=services, fields=[
            "services", "[" + ",".join(f'"{name}"' for name in services.split(",")) + "]", *fields], **args)
        told = (["active_requests", active] if active else []) + (["specialization", special] if special else []) + \
            (["loaded_models", "[" + ",".join(f'"{name}"' for name in models.split(",")) + "]"] if models else [])
        scripts.heartbeat(scripts.beat_of(worker_id, status, load, active=active, special=special, models=models, health=health,
                                          fields=told), at=at)


def ranks(scripts, index):
    return dict(scripts.redis.zrange(PREFIX + index, 0, -1, withscores=True))


def workers_of(choices):
    return collections.Counter(choice.worker for choice in choices)


def assert_sound(scripts):
    invariants.assert_hold(scripts.dump())


# -- whom it chooses ---------------------------------------------------------------------------------------------------------------


def test_requests_are_spread_evenly(scripts, routes):
    add(scripts, *[f"w{number}" for number in range(8)])
    chosen = routes.choose("llm", count=64)
    assert set(workers_of(chosen).values()) == {8}
    assert routes.in_flight() == {f"w{number}": 8 for number in range(8)}
    assert_sound(scripts)
    for choice in chosen:
        assert routes.release(choice) == "1"
        assert routes.release(choice) == "0", "a lease ends once"
    assert routes.in_flight() == {}
    assert_sound(scripts)


def test_the_fewest_requests_count_before_the_load(scripts, routes):
    add(scripts, "calm", load="0.1")
    add(scripts, "busy", load="0.9")
    assert [routes.choose("llm").worker for _ in range(4)] == ["calm", "busy", "calm", "busy"]


def test_ranks_that_lag_behind_requests_decide_nothing(scripts, routes):
    """A sweep has written that a worker has a request, or that it has none: what counts is what it has now."""
    add(scripts, "a", "b")
    before = routes.choose("llm", excluded="b", at=1)
    scripts.sweep(1)
    assert ranks(scripts, "service:llm")["a"] > ranks(scripts, "service:llm")["b"]
    routes.release(before)
    chosen = []
    for seed in range(24):
        chosen.append(routes.choose("llm", seed=seed * 7919, at=1))
        routes.release(chosen[-1])
    assert set(workers_of(chosen)) == {"a", "b"}
    held = [routes.choose("llm", at=1, seed=seed) for seed in range(4)]
    assert set(workers_of(held).values()) == {2}
    scripts.sweep(2)
    routes.release(held[0])
    add(scripts, "c", load="0.2", at=2)
    assert routes.choose("llm", at=2).worker == "c" and routes.choose("llm", at=2).worker in "abc"


def test_of_equals_any_is_chosen(scripts, routes):
    add(scripts, "a", "b", "c", "d")
    first = collections.Counter()
    for seed in range(60):
        choice = routes.choose("llm", seed=seed * 7919)
        first[choice.worker] += 1
        routes.release(choice)
    assert set(first) == {"a", "b", "c", "d"} and max(first.values()) < 40


def test_who_takes_no_work_is_not_chosen(scripts, routes):
    add(scripts, "draining", status="draining")
    add(scripts, "drained")
    scripts.drain("drained")
    add(scripts, "offline", status="offline")
    add(scripts, "unwell", health="!llm")
    add(scripts, "silent", at=-TIMEOUT // 1000 - 5)
    scripts.at(0)
    assert routes.choose("llm").refusal == "closed"
    assert routes.choose("other").refusal == "none"
    add(scripts, "degraded", status="degraded")
    assert routes.choose("llm").worker == "degraded"
    add(scripts, "healthy", load="1")
    assert [routes.choose("llm").worker for _ in range(2)] == ["healthy"] * 2


def test_those_that_were_tried_are_not_chosen_again(scripts, routes):
    add(scripts, "a", "b")
    assert {routes.choose("llm", excluded="a", seed=seed).worker for seed in range(5)} == {"b"}
    assert routes.choose("llm", excluded="a b").refusal == "tried"


def test_who_has_the_model_loaded_comes_first(scripts, routes):
    add(scripts, "with", models="llama3,other", load="0.9", status="degraded")
    add(scripts, "without")
    first, second = routes.choose("llm", model="llama3"), routes.choose("llm", model="llama3", excluded="with")
    assert (first.worker, first.has_model) == ("with", True) and (second.worker, second.has_model) == ("without", False)
    nobody_has_it = routes.choose("llm", model="unheard/of:1")
    assert nobody_has_it.worker and not nobody_has_it.has_model
    assert_sound(scripts)


def test_of_those_without_the_model_one_may_want_the_silent_ones_alone(scripts, routes):
    """A server that tells what it has loaded, and does not load on demand, would answer that it does not know the model."""
    add(scripts, "told", models="other")
    wish = {"model": "m", "others": "silent"}
    assert routes.choose("llm", **wish).refusal == "closed" and routes.call(["list", "llm", "m", "silent"]) == ["! closed"]
    assert routes.choose("llm", model="m").worker == "told", "unless that is not wished"
    add(scripts, "silent", load="0.9")
    assert [routes.choose("llm", **wish).worker for _ in range(3)] == ["silent"] * 3
    assert routes.list("llm", **wish) == [("silent", "-")]
    both = routes.call(routes.wish("llm", **wish), routes.wish("llm"))
    assert [choice.split()[0] for choice in both] == ["silent", "told"]
    add(scripts, "with", models="m,other", load="0.9")
    assert routes.choose("llm", **wish).worker == "with"
    assert_sound(scripts)


def test_one_of_several_services(scripts, routes):
    add(scripts, "a", services="llm", models="m")
    add(scripts, "b", services="vision", models="m,n")
    assert {choice.service for choice in routes.choose("llm,vision", count=10, model="m")} == {"llm", "vision"}
    assert routes.choose("llm,vision", model="n").service == "vision"
    assert routes.choose("vision,llm", excluded="b").service == "llm"


def test_workers_near_by_come_first_among_equals(scripts, routes):
    add(scripts, "far", load="0.2", fields=["region", "lhr"])
    add(scripts, "near", load="0.4", fields=["region", "fra"])
    assert routes.choose("llm", region="fra").worker == "near"
    assert routes.choose("llm", region="fra").worker == "far", "but who has less to do counts before"
    assert routes.choose("llm").worker == "far", "and who is nowhere prefers nobody"


def test_of_a_large_service_none_gets_a_second_one_while_others_are_idle(scripts, routes):
    add(scripts, *[f"w{number}" for number in range(100)])
    assert set(workers_of(routes.choose("llm", count=50) + routes.choose("llm", count=50)).values()) == {1}


def test_ranks_of_a_large_service_follow_at_once(scripts, routes):
    add(scripts, *[f"w{number}" for number in range(50)], services="llm,rag", models="m", fields=["region", "fra"])
    choice = routes.choose("llm", model="m", region="fra")
    for index in ("service:llm", "model:llm/m", "region:llm/fra", "region:llm/fra/m"):
        assert ranks(scripts, index)[choice.worker] == 10 ** 12 + 100_000
    assert_sound(scripts)
    routes.release(choice)
    assert set(ranks(scripts, "service:llm").values()) == {10 ** 12}
    assert_sound(scripts)


def test_behind_many_that_can_not_be_chosen_others_are_found(scripts, routes):
    add(scripts, *[f"a{number}" for number in range(70)])
    add(scripts, "last", load="0.9")
    for number in range(70):
        routes.call(["report", f"a{number}", "llm", "c", ""])
    assert routes.choose("llm").worker == "last"


def test_behind_many_that_are_silent_others_are_found(scripts, routes):
    """Without a sweep: when most of a fleet falls silent at once, sweeps take a while."""
    add(scripts, *[f"a{number}" for number in range(1000)])
    add(scripts, "last", load="0.9", at=200)
    scripts.at(TIMEOUT // 1000 + 1)
    assert routes.list("llm") == [("last", "-")]
    assert routes.choose("llm").worker == "last"


# -- sessions ----------------------------------------------------------------------------------------------------------------------


def test_a_session_stays_with_its_worker(scripts, routes):
    add(scripts, *[f"w{number}" for number in range(5)])
    homes = {}
    for turn in range(4):
        for session in range(20):
            choice, _ = routes.request("llm", "s", session=session, seed=turn * 100 + session)
            assert homes.setdefault(session, choice.worker) == choice.worker
    assert len(set(homes.values())) > 2
    assert scripts.redis.ttl(PREFIX + "sessions:llm") > 0


def test_a_session_goes_elsewhere_while_its_worker_is_above_the_mean(scripts, routes):
    add(scripts, "a", "b", "c", "d")
    home = routes.choose("llm", session=7)
    before = routes.choose("llm", session=7)
    assert before.worker == home.worker, "one request is not too much: it may have ended, and nobody has heard of it yet"
    routes.release(before)
    others = routes.choose("llm", count=3)
    assert set(workers_of(others)) == {"a", "b", "c", "d"} - {home.worker}
    second = routes.choose("llm", session=7)
    assert second.worker == home.worker, "all have one: 1 is not above 1.25 times the mean"
    assert routes.choose("llm", session=7).worker != home.worker
    for lease in (home, second, *others):
        routes.release(lease)
    assert routes.choose("llm", session=7).worker == home.worker


def test_a_session_gets_another_worker_when_its_own_is_gone(scripts, routes):
    add(scripts, "a", "b", "c")
    choice, _ = routes.request("llm", "s", session=0)
    elsewhere, _ = routes.request("llm", "s", session=0, excluded=choice.worker)
    assert elsewhere.worker != choice.worker and routes.request("llm", "s", session=0)[0].worker == choice.worker
    scripts.drain(choice.worker)
    second, _ = routes.request("llm", "s", session=0)
    scripts.drain(choice.worker, drain=False)
    assert second.worker != choice.worker
    assert {routes.request("llm", "s", session=0, seed=seed)[0].worker for seed in range(10)} == {second.worker}


def test_a_session_knows_its_worker_among_many(scripts, routes):
    add(scripts, *[f"w{number:03}" for number in range(80)])
    choice, _ = routes.request("llm", "s", session=9)
    scripts.heartbeat(scripts.beat_of(choice.worker, load="1"))
    assert routes.choose("llm", session=9).worker == choice.worker


# -- what it leaves ----------------------------------------------------------------------------------------------------------------


def test_requests_count_in_ranks_and_discovery(scripts, routes):
    add(scripts, "w", services="llm,rag", models="m,n", fields=["region", "fra"])
    add(scripts, "v", services="llm,rag", load="0.25")
    before = ranks(scripts, "service:llm")["w"]
    held = [routes.choose("llm", model="m", excluded="v") for _ in range(3)]
    assert_sound(scripts)
    assert scripts.discover("rag")[1] == ["v", "w"], "the sweep has brought the ranks up to date, those of the other service, too"
    for index in ("service:llm", "model:llm/m", "region:llm/fra/m", "model:rag/n"):
        assert ranks(scripts, index)["w"] == before + 300_000
    assert scripts.redis.smembers(PREFIX + "stale") == set()
    for choice in held:
        routes.release(choice)
    assert scripts.discover("rag")[1] == ["w", "v"]
    assert_sound(scripts)


@pytest.mark.parametrize("reported, leased, counted", [(0, 2, 2), (5, 2, 5), (2, 2, 2)])
def test_what_a_worker_reports_counts_when_it_is_more(scripts, routes, reported, leased, counted):
    add(scripts, "w", active=str(reported))
    for _ in range(leased):
        routes.choose("llm")
    scripts.sweep(0)
    band = 10 ** 12
    assert ranks(scripts, "service:llm") == {"w": band + counted * 100_000}
    scripts.heartbeat(scripts.beat_of("w", load="0.5", active=str(reported)))
    assert ranks(scripts, "service:llm") == {"w": band + 500_000 + counted * 100_000}
    assert_sound(scripts)


def test_live_events_tell_of_requests(scripts, routes):
    add(scripts, "w", active="1")
    scripts.beats(0)
    routes.choose("llm", count=3)
    scripts.heartbeat(scripts.beat_of("w"))
    assert scripts.beats(0)["w"][0].split(" ")[5] == "3"


@pytest.mark.parametrize("happens", ["unregister", "drain", "offline", "register", "beat", "silence", "removal"])
def test_a_worker_that_changes_while_it_has_requests(scripts, routes, happens):
    add(scripts, "w", services="llm,rag", models="m")
    add(scripts, "v")
    held = [routes.choose("llm", model="m", excluded="v") for _ in range(3)]
    at = {"silence": TIMEOUT // 1000 + 1, "removal": GONE}.get(happens, 0)
    {"unregister": lambda: scripts.unregister("w"), "drain": lambda: scripts.drain("w"),
     "offline": lambda: scripts.heartbeat(scripts.beat_of("w", "offline")),
     "beat": lambda: scripts.heartbeat(scripts.beat_of("w", load="0.7")),
     "register": lambda: scripts.register("w", advertised="llm", fields=["services", '["llm"]'])}.get(happens, lambda: None)()
    for elapsed in range(10, at, 10):
        routes.renew(at=elapsed)
    scripts.sweep(at)
    assert routes.in_flight() == {"w": 3}
    assert_sound(scripts)
    scripts.register("w", at=at, advertised="llm", fields=["services", '["llm"]'])
    assert_sound(scripts)
    for choice in held:
        assert routes.release(choice) == "1"
    scripts.sweep(at)
    assert routes.in_flight() == {} and scripts.stats(at)[1].get("requests", 0) == 0
    assert_sound(scripts)


# -- leases of those that are gone -------------------------------------------------------------------------------------------------


def test_leases_end_with_their_thread(scripts, routes):
    add(scripts, "a", "b", services="llm,rag", models="m")
    before = {index: ranks(scripts, index) for index in ("service:llm", "service:rag", "model:rag/m")}
    dead = [routes.choose("llm", model="m", at=0, thread="dead") for _ in range(5)]
    alive = routes.choose("llm", at=0, thread="alive")
    assert routes.renew("alive", at=LEASES - 5) == [alive.lease]
    scripts.sweep_once(LEASES - 1)
    assert sum(routes.in_flight().values()) == 6
    scripts.sweep(LEASES)
    assert routes.in_flight() == {alive.worker: 1}
    assert_sound(scripts)
    assert routes.release(dead[0]) == "0", "it was only slow, and comes too late"
    routes.release(alive)
    scripts.sweep(LEASES)
    assert {index: ranks(scripts, index) for index in before} == before
    assert {key for key in scripts.state() if key.startswith(("requests", "requesters"))} <= {"requesters"}


def test_many_leases_end_in_steps(scripts, routes):
    add(scripts, *[f"w{number}" for number in range(3)])
    for _ in range(20):
        routes.choose("llm", count=50, at=0, thread="dead")
    assert scripts.sweep_once(LEASES, most=50), "there is more"
    assert 0 < sum(routes.in_flight().values()) < 1000
    assert_sound(scripts)
    scripts.sweep(LEASES)
    assert routes.in_flight() == {} and scripts.redis.exists(PREFIX + "requesters") == 0
    assert_sound(scripts)


def test_a_lease_that_redis_has_forgotten_is_noted_again(scripts, routes):
    add(scripts, "w")
    choice = routes.choose("llm")
    scripts.redis.delete(PREFIX + "requests:t1", PREFIX + "requests", PREFIX + "flights")
    scripts.redis.hdel(PREFIX + "stats", "requests")
    assert routes.renew() == []
    for _ in range(2):
        assert routes.call(["hold", choice.lease, "w", "llm", "-"]) == ["1"]
        assert routes.in_flight() == {"w": 1}
    assert_sound(scripts)


# -- what becomes of requests ------------------------------------------------------------------------------------------------------


def fail(routes, worker, count=1, outcome="f", others="", at=0):
    """Requests that fail at a worker; others: ids of all others"""
    answers = []
    for _ in range(count):
        choice, answer = routes.request("llm", outcome, excluded=others, at=at)
        assert choice.worker == worker
        answers.append(answer)
    return answers


def test_who_can_not_be_reached_comes_last(scripts, routes):
    add(scripts, "a", "b")
    fail(routes, "a", outcome="c", others="b")
    assert workers_of(routes.choose("llm", count=4)) == {"b": 4}
    assert routes.choose("llm", excluded="b").worker == "a", "when there is no other, it may be chosen"
    assert {routes.choose("llm", at=11, seed=seed).worker for seed in range(4)} == {
        "a"}, "after a while it is as good as others, and has fewer"


def test_a_request_that_is_served_ends_the_doubt(scripts, routes):
    add(scripts, "a", "b")
    fail(routes, "a", outcome="c", others="b")
    fail(routes, "a", outcome="s", others="b")
    assert routes.explain("llm")["a"][8] == "well"
    assert set(workers_of(routes.choose("llm", count=2))) == {"a", "b"}


def test_five_failures_in_a_row_open_the_breaker(scripts, routes):
    add(scripts, "a", "b", "c")
    assert fail(routes, "a", 4, others="b c") == ["1"] * 4
    assert fail(routes, "a", 1, outcome="s", others="b c") == ["1"]
    assert fail(routes, "a", 5, others="b c") == ["1"] * 4 + ["1 opened llm a"]
    assert routes.choose("llm", excluded="b c").refusal == "tried"
    assert workers_of(routes.choose("llm", count=6)) == {"b": 3, "c": 3}


def test_half_of_ten_within_half_a_minute_open_it(scripts, routes):
    add(scripts, "a", "b")
    for second in range(4):
        fail(routes, "a", outcome="f", others="b", at=second)
        assert fail(routes, "a", outcome="s", others="b", at=second) == ["1"]
    assert fail(routes, "a", outcome="s", others="b", at=5) == ["1"]
    assert fail(routes, "a", outcome="f", others="b", at=6) == ["1 opened llm a"]


def test_failures_long_ago_do_not_count(scripts, routes):
    add(scripts, "a", "b")
    for second in range(0, 90, 10):
        fail(routes, "a", outcome="f", others="b", at=second)
        assert fail(routes, "a", outcome="s", others="b", at=second) == ["1"]


def test_one_request_tries_it_and_closes_it(scripts, routes):
    add(scripts, "a", "b")
    fail(routes, "a", 5, others="b")
    assert routes.choose("llm", excluded="b", at=9).refusal is not None
    trial = routes.choose("llm", excluded="b", at=10)
    assert trial.worker == "a" and routes.choose("llm", excluded="b").worker is None, "one at a time"
    assert routes.release(trial) == "1 closed llm a"
    assert len(routes.choose("llm", excluded="b", count=3)) == 3
    assert scripts.redis.exists(PREFIX + "outcomes:llm", PREFIX + "open:llm") == 0


def test_each_time_it_is_open_for_twice_as_long(scripts, routes):
    add(scripts, "a", "b")
    fail(routes, "a", 5, others="b")
    at, seconds = 0, []
    for wait in (10, 20, 40, 80, 160, 300, 300):
        scripts.heartbeat(scripts.beat_of("a"), scripts.beat_of("b"), at=at)
        assert routes.choose("llm", excluded="b", at=at + wait - 1).worker is None, seconds
        scripts.heartbeat(scripts.beat_of("a"), scripts.beat_of("b"), at=at + wait)
        assert fail(routes, "a", others="b", at=at + wait) == ["1 opened llm a"]
        seconds.append(wait)
        at += wait


def test_a_trial_of_which_nothing_is_heard_is_repeated(scripts, routes):
    add(scripts, "a", "b")
    fail(routes, "a", 5, others="b")
    assert routes.request("llm", "u", excluded="b", at=10)[1] == "1"
    assert routes.choose("llm", excluded="b", at=10, thread="dead").worker == "a"
    assert routes.choose("llm", excluded="b", at=11).worker is None
    scripts.sweep(10 + LEASES)
    assert routes.choose("llm", excluded="b").worker == "a"


def test_no_more_than_half_of_a_service_is_left_alone(scripts, routes):
    ids = [f"w{number}" for number in range(5)]
    add(scripts, *ids)
    for second, worker in enumerate(ids):
        routes.call(*[["report", worker, "llm", "f", ""] for _ in range(12)], at=second)
    standing = collections.Counter(row[8] for row in routes.explain("llm").values())
    assert standing["open"] == 2
    scripts.unregister("w2"), scripts.unregister("w3"), scripts.unregister("w4")
    assert collections.Counter(row[8] for row in routes.explain("llm").values()) == {
        "open": 1, "forced": 1}, "those that left have made them too many"
    assert routes.choose("llm").worker in ("w0", "w1")


def test_the_only_worker_is_never_left_alone(scripts, routes):
    add(scripts, "w")
    for _ in range(30):
        assert routes.request("llm", "c")[0].worker == "w"


def test_what_was_noted_before_the_clock_was_set_back_keeps_nobody_away(scripts, routes):
    add(scripts, "a", "b", "c", "d")
    fail(routes, "a", 5, others="b c d", at=250)
    fail(routes, "b", outcome="c", others="a c d", at=250)
    assert ("a", "t") in routes.list("llm", at=261)
    fail(routes, "b", outcome="c", others="a c d", at=261)
    scripts.at(-600)
    assert {worker: row[8] for worker, row in routes.explain("llm").items()} == {
        "a": "trial", "b": "well", "c": "well", "d": "well"}
    trial = routes.choose("llm", excluded="b c d", at=-600)
    assert routes.choose("llm", excluded="b c d", at=-600).refusal == "tried"
    assert routes.release(trial, "f") == "1 opened llm a"
    assert routes.choose("llm", excluded="b c d", at=-581).worker is None
    trial = routes.choose("llm", excluded="b c d", at=-580)
    assert routes.release(trial) == "1 closed llm a"


def test_what_failed_before_the_breaker_opened_does_not_open_it_anew(scripts, routes):
    add(scripts, "a", "b")
    held = [routes.choose("llm", excluded="b") for _ in range(8)]
    answers = [routes.release(choice, "f", at=number) for number, choice in enumerate(held)]
    assert answers == ["1"] * 4 + ["1 opened llm a"] + ["1"] * 3
    assert routes.choose("llm", excluded="b", at=14).worker == "a"


def test_a_list_has_those_that_take_work(scripts, routes):
    add(scripts, "a", "b", "c", "d")
    add(scripts, "degraded", status="degraded")
    scripts.drain("d")
    routes.call(["report", "b", "llm", "c", ""], *[["report", "c", "llm", "f", ""] for _ in range(5)])
    assert sorted(routes.list("llm")) == [("a", "-")]
    assert sorted(routes.list("llm", at=11)) == [("a", "-"), ("b", "d"), ("c", "t")]
    assert sorted(routes.list("llm", thread="t2")) == [("a", "-"), ("b", "d")], "one of all threads tries it"
    assert routes.call(["report", "c", "llm", "s", "t"]) == ["1 closed llm c"]
    assert routes.call(["list", "nowhere", "", ""]) == ["! none"]


# -- what is counted ---------------------------------------------------------------------------------------------------------------


def counts(scripts, name):
    return {field: int(count) for field, count in scripts.redis.hgetall(PREFIX + name).items()}


def test_requests_are_counted_by_service_and_by_worker(scripts, routes):
    add(scripts, "w", services="llm,rag")
    add(scripts, "v", services="rag", load="0.9")
    held = routes.choose("llm", count=2) + [routes.choose("rag", excluded="v")]
    assert counts(scripts, "flights") == {"llm": 2, "rag": 1} and counts(scripts, "served") == {}
    routes.release(held[0])
    routes.release(held[1], requests=7)
    routes.release(held[2], "f")
    routes.release(held[2], "f"), routes.release(held[1], requests=5)
    assert counts(scripts, "flights") == {} and counts(scripts, "served") == {"llm": 8, "rag": 1}
    assert scripts.redis.hget(PREFIX + "registration:w", "requests_served") == "9"
    assert_sound(scripts)
    add(scripts, "w", services="llm,rag")
    assert scripts.redis.hget(PREFIX + "registration:w", "requests_served") == "9", "a new registration keeps it"
    gone = routes.choose("llm")
    scripts.unregister("w")
    routes.release(gone)
    assert not scripts.redis.exists(PREFIX + "registration:w")
    assert counts(scripts, "flights") == {} and counts(scripts, "served") == {"llm": 9, "rag": 1}


def test_a_choice_that_was_given_back_is_no_request(scripts, routes):
    add(scripts, "w")
    assert routes.release(routes.choose("llm"), "u", requests=0) == "1"
    assert counts(scripts, "flights") == counts(scripts, "served") == {} and routes.in_flight() == {}
    assert not scripts.redis.hexists(PREFIX + "registration:w", "requests_served")
    gone = routes.choose("llm")
    scripts.unregister("w")
    routes.release(gone, "u", requests=0)
    assert not scripts.redis.exists(PREFIX + "registration:w")
    assert_sound(scripts)


def test_names_of_services_that_anybody_makes_up_are_not_all_counted(scripts, routes):
    scripts.redis.hset(PREFIX + "served", mapping={f"s{number}": 1 for number in range(1000)})
    add(scripts, "w", services="llm,s5")
    routes.release(routes.choose("llm"))
    routes.release(routes.choose("s5"))
    assert scripts.redis.hlen(PREFIX + "served") == 1000 and counts(scripts, "served")["s5"] == 2


def test_nonsense_in_the_counts_stops_no_request(scripts, routes):
    add(scripts, "w")
    choice = routes.choose("llm")
    scripts.redis.hset(PREFIX + "flights", "llm", "many")
    scripts.redis.hset(PREFIX + "registration:w", "requests_served", "many")
    scripts.redis.set(PREFIX + "served", "many")
    assert routes.release(choice) == "1" and routes.in_flight() == {}
    scripts.redis.delete(PREFIX + "served")
    routes.release(routes.choose("llm"))
    assert scripts.redis.hget(PREFIX + "registration:w", "requests_served") == "1" and counts(scripts, "flights") == {}


def test_a_choice_says_whether_its_outcome_counts(scripts, routes):
    add(scripts, "a", "b")
    assert routes.choose("llm", excluded="b").mark == "-"
    for _ in range(5):
        routes.request("llm", "f", excluded="b")
    assert routes.choose("llm", excluded="b").refusal
    assert [routes.choose("llm", excluded=other, at=11).mark for other in ("b", "a")] == ["t", "-"]
    routes.request("llm", "f", excluded="a")
    assert routes.choose("llm", excluded="a").mark == "d"


# -- calls that are wrong ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thing", [
    ["choose"], ["choose", "1", "llm", "", "", "", ""], ["choose", "1", "", "", "", "", "", 1],
    ["choose", "1", "a b", "", "", "", "", 1], ["choose", "1", "llm", "a b", "", "", "", 1],
    ["choose", "1", "llm", "", "x", "", "", 1],
    ["choose", "1", "llm", "", "", "x", "", 1], ["choose", "1", "llm", "", "", "16384", "", 1],
    ["choose", "1", "llm", "", "", "", "a,b", 1], ["choose", "1", "llm", "", "", "", "", "x"],
    ["choose", "a b", "llm", "", "", "", "", 1],
    ["release", "1", "s"], ["release", "1", "x", "1"], ["release", "1", "s", "-1"], ["release", "1", "s", "1" * 10],
    ["report", "a b", "llm", "s", ""], ["report", "w", "llm", "x", ""],
    ["hold", "1", "w", "llm"], ["hold", "1", "w", "llm", ""], ["list", "", "", ""],
    ["list", "a b", "", ""], ["list", "llm", "", "x"], ["dance"]], ids=str)
def test_malformed_things_are_refused_whole(scripts, routes, thing):
    add(scripts, "w")
    before = scripts.dump()
    for things in ([thing], [["choose", "9", "llm", "", "", "", "", 1], thing]):
        with pytest.raises(redis_library.ResponseError, match="^BADCALL"):
            routes.call(*things)
    with pytest.raises(redis_library.ResponseError, match="^BADCALL"):
        routes.call(["renew"], thread="a b")
    assert scripts.dump() == before


def test_a_full_redis_still_serves_requests(scripts, routes):
    add(scripts, "w", "v")
    scripts.redis.config_set("maxmemory", 1)
    choice = routes.choose("llm", session=5, at=0)
    assert routes.release(choice, "c") == "1"
    routes.choose("llm", thread="dead")
    scripts.sweep(LEASES)
    assert routes.in_flight() == {}
    assert_sound(scripts)


# -- random lives ------------------------------------------------------------------------------------------------------------------


class Life:
    """Random requests to random workers through random threads, some of which die."""

    def __init__(self, scripts, routes, seed):
        self.scripts, self.routes, self.dice = scripts, routes, random.Random(seed)
        self.seconds, self.held, self.threads, self.made = 0, [], ["t1", "t2", "t3"], 3
        self.ids = [f"w{number}" for number in range(9)]

    def register(self):
        services = ",".join(self.dice.sample(["llm", "rag", "ocr"], self.dice.randrange(1, 4)))
        region = self.dice.choice([[], ["region", "fra"], ["region", "lhr"]])
        self.scripts.register(self.dice.choice(self.ids), at=self.seconds, advertised=services, catalogue="ner",
                              fields=["services", "[" + ",".join(f'"{name}"' for name in services.split(",")) + "]", *region])

    def beat(self):
        models, active = ",".join(self.dice.sample(["m", "n", "x/y:1"], self.dice.randrange(1, 3))), str(self.dice.randrange(4))
        health = self.dice.choice(["", "", "!llm", "llm"])
        beats = [self.scripts.beat_of(worker, self.dice.choice(["healthy", "healthy", "degraded", "draining", "offline"]),
                                      str(self.dice.randrange(101) / 100), active=active, models=models, health=health,
                                      fields=["active_requests", active, "loaded_models",
                                              "[" + ",".join(f'"{name}"' for name in models.split(",")) + "]"])
                 for worker in self.ids if self.dice.random() < 0.4]
        self.scripts.heartbeat(*beats, at=self.seconds)

    def choose(self):
        thread, region = self.dice.choice(self.threads), self.dice.choice(["", "fra"])
        things = [self.routes.wish(self.dice.choice(["llm", "rag", "llm,ocr", "nowhere"]),
                                   self.dice.choice(["", "m", "n", "unknown"]), self.dice.choice(["", "silent"]),
                                   self.dice.choice(["", "1", "2"]), self.dice.choice(["", "w1", "w2 w3"]),
                                   self.dice.randrange(1 << 30))
                  for _ in range(self.dice.randrange(1, 20))]
        for thing, answer in zip(things, self.routes.call(*things, at=self.seconds, thread=thread, region=region)):
            if not answer.startswith("!"):
                self.held.append((thread, thing[1], answer.split(" ")[0]))

    def release(self):
        for _ in range(min(len(self.held), self.dice.randrange(1, 25))):
            thread, lease, _ = self.held.pop(self.dice.randrange(len(self.held)))
            answer, = self.routes.call(["release", lease, self.dice.choice("sssssffcu"), self.dice.randrange(1, 9)],
                                       at=self.seconds, thread=thread)
            assert answer.startswith("1")

    def die(self):
        dead = self.dice.randrange(3)
        self.made += 1
        self.held = [lease for lease in self.held if lease[0] != self.threads[dead]]
        self.threads[dead] = f"t{self.made}"

    def remove(self):
        worker = self.dice.choice(self.ids)
        if self.scripts.redis.exists(f"{PREFIX}worker:{worker}"):
            self.scripts.unregister(worker)

    def drain(self):
        worker = self.dice.choice(self.ids)
        if self.scripts.redis.exists(f"{PREFIX}worker:{worker}"):
            self.scripts.drain(worker, self.dice.random() < 0.5)

    def pass_time(self):
        self.seconds += self.dice.choice([1, 5, 12])
        for thread in self.threads:
            held = {lease for each, lease, _ in self.held if each == thread}
            assert set(self.routes.renew(thread, at=self.seconds)) >= held


@pytest.mark.parametrize("seed", range(3))
def test_a_long_random_life(scripts, routes, seed):
    life = Life(scripts, routes, seed)
    for _ in range(6):
        life.register()
    for step in range(400):
        life.dice.choice([life.register, life.beat, life.beat, life.choose, life.choose, life.choose, life.release, life.release,
                          life.release, life.die,
                          life.remove, life.drain, life.pass_time])()
        problems = invariants.books_disagree(scripts.dump())
        assert problems == [], (step, problems)
    life.seconds += LEASES
    for thread in life.threads:
        routes.renew(thread, at=life.seconds)
    scripts.sweep(life.seconds)
    assert sum(routes.in_flight().values()) == len(life.held)
    assert routes.in_flight() == dict(collections.Counter(worker for _, _, worker in life.held))
    assert_sound(scripts)
    life.seconds += LEASES
    scripts.sweep(life.seconds)
    assert routes.in_flight() == {}
    assert_sound(scripts)
