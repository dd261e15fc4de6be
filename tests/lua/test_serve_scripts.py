"""What a coordinator asks before it serves: the format of what is there."""

from random import Random

import pytest
import redis as redis_library

import invariants
from scripts import NOW, REMOVAL, REVIVE, TIMEOUT, Scripts
from tasks import Tasks
from waiting import wait_until

OFFLINE, REMOVED = 300, 1800


def serve(scripts, at=0, **args):
    """One call; returns (whether there is more to do, from which format all has been brought forward)"""
    more, forward, *_ = call(scripts, at, **args)
    return more == "1", forward


def call(scripts, at, **args):
    scripts.at(at)
    return scripts.call("serve", **{"format": 1, "beside": 0, "serves": "0", "instance": "a", "run": "", "uptime": 0, "loaded": "0",
                                    "timeout": TIMEOUT,
                                    "removal": REMOVAL, "revive": REVIVE, "max": 100, **args})


def test_an_empty_redis_gets_the_format(scripts):
    assert serve(scripts) == (False, "")
    assert scripts.redis.get("{rma}:format") == "1"
    assert scripts.redis.zrange("{rma}:instances", 0, -1) == ["1 a"]
    assert serve(scripts, instance="") == (False, "")


def written_before(scripts, count=5):
    """A fleet as coordinators without a format have left it: models as they came."""
    for number in range(count):
        scripts.register(f"w{number}")
        models = ["Llama3:latest,qwen2:7B", "-", ":latest,m:LATEST", "a,b:latest:latest", "m"][number % 5]
        scripts.heartbeat(Scripts.beat_of(f"w{number}", models=models, active="2",
                                          fields=["active_requests", "2", "loaded_models", '["m"]']))


def test_older_data_is_brought_forward_in_bounded_steps_whoever_comes(scripts):
    written_before(scripts)
    steps = 0
    while serve(scripts, instance="ab"[steps % 2], max=2)[0]:
        steps += 1
        # nobody waits for it: heartbeats go on in between
        assert scripts.heartbeat(Scripts.beat_of("w4", load="0.5")) == "1"
    assert steps == 2
    assert scripts.redis.get("{rma}:format") == "1" and scripts.redis.hgetall("{rma}:life") == {"beside": "0"}
    entries = {worker: entry.split(" ")[7] for worker, entry in scripts.redis.hgetall("{rma}:ledger").items()}
    assert entries == {"w0": "llama3,qwen2:7b", "w1": "-", "w2": ":latest,m", "w3": "a,b:latest", "w4": "m"}
    assert scripts.redis.exists("{rma}:model:rag/llama3") and not scripts.redis.exists("{rma}:model:rag/Llama3:latest")
    assert invariants.books_disagree(scripts.dump()) == []


def test_one_that_dies_in_between_is_followed_by_the_next(scripts):
    written_before(scripts)
    assert serve(scripts, max=2) == (True, "")
    told = []
    while True:
        more, forward = serve(scripts, instance="b", max=2)
        told.append(forward)
        if not more:
            break
    assert told == ["", "0"], "what is done is told once"
    assert serve(scripts, instance="a") == (False, "")


def test_a_still_newer_version_goes_on_from_where_the_data_came(scripts):
    """The one that began has ended before all was brought forward."""
    written_before(scripts)
    assert serve(scripts, max=2) == (True, "")
    assert serve(scripts, instance="newer", format=2) == (False, "0")
    entries = [entry.split(" ")[7] for _, entry in sorted(scripts.redis.hgetall("{rma}:ledger").items())]
    assert entries == ["llama3,qwen2:7b", "-", ":latest,m", "a,b:latest", "m"]


@pytest.mark.parametrize("found", ["2", "99", "007x", "", "-1", "1.5", "9" * 400])
def test_newer_data_is_not_touched(scripts, found):
    written_before(scripts)
    scripts.redis.set("{rma}:format", found)
    before = scripts.dump()
    with pytest.raises(redis_library.ResponseError, match="^NEWER "):
        serve(scripts)
    assert scripts.dump() == before


def test_data_whose_format_is_of_another_type_is_not_touched(scripts):
    scripts.redis.hset("{rma}:format", "a", "b")
    with pytest.raises(redis_library.ResponseError, match="^NEWER "):
        serve(scripts)


def test_one_that_cannot_serve_beside_older_ones_waits_and_names_them(scripts):
    written_before(scripts)
    serve(scripts, instance="old-1")
    serve(scripts, instance="old-2")
    before = scripts.dump()
    with pytest.raises(redis_library.ResponseError, match="^OLDER .*old-1, old-2"):
        serve(scripts, at=20, instance="new", format=3, beside=2)
    assert scripts.dump() == before
    serve(scripts, at=25, instance="old-2")
    with pytest.raises(redis_library.ResponseError, match="^OLDER .*: old-2$"):
        serve(scripts, at=40, instance="new", format=3, beside=2)
    assert serve(scripts, at=56, instance="new", format=3, beside=2) == (False, "1")
    assert scripts.redis.get("{rma}:format") == "3"
    with pytest.raises(redis_library.ResponseError, match="^NEWER .*of format 3, this version knows 1"):
        serve(scripts, at=57, instance="old-1")
    assert scripts.redis.zrange("{rma}:instances", 0, -1) == ["3 new"]


def test_one_that_can_serve_beside_older_ones_does(scripts):
    serve(scripts, instance="old")
    assert serve(scripts, at=1, instance="new", format=2, beside=1) == (False, "1")
    assert scripts.redis.zrange("{rma}:instances", 0, -1) == ["1 old", "2 new"]
    before = scripts.dump()
    assert call(scripts, at=2, instance="old", serves="1") == ["n", ""]
    with pytest.raises(redis_library.ResponseError, match="^NEWER "):
        serve(scripts, at=2, instance="old")
    assert scripts.dump() == before


def test_one_that_was_not_seen_serves_no_longer_beside_one_that_cannot(scripts):
    """It was frozen for so long that the newer one did not wait for it."""
    serve(scripts, instance="old")
    assert serve(scripts, at=31, instance="new", format=3, beside=2) == (False, "1")
    before = scripts.dump()
    with pytest.raises(redis_library.ResponseError, match="^NEWER "):
        serve(scripts, at=32, instance="old", serves="1")
    assert scripts.dump() == before
    assert call(scripts, at=32, instance="mid", format=2, beside=1, serves="1") == ["n", ""]


# -- time in which Redis was not running -------------------------------------------------------------------------------------------

def alive(scripts, count=5, run="r1", at=0):
    """A fleet that is served, and whose last sign of life is of that moment."""
    for number in range(count):
        scripts.register(f"w{number}")
    serve(scripts, at=at, run=run)
    scripts.sweep_once(at)


def ends(scripts):
    """{worker: seconds from NOW until it is offline, by the index}"""
    return {worker: (score - NOW) / 1000 for worker, score in scripts.redis.zrange("{rma}:online", 0, -1, withscores=True)}


def sweep(scripts, at):
    """-> [(kind, reason, worker, status)] of what it told"""
    before = len(scripts.events())
    scripts.sweep(at)
    return scripts.events()[before:]


def finish(scripts, at, run, max=100, uptime=0, instances="ab"):
    """Calls until there is no more to do -> (how many calls, what they told of the end: [(workers, ms)])"""
    calls, told, more = 0, [], "1"
    while more == "1":
        more, _, *moved = call(scripts, at, run=run, max=max, uptime=uptime, instance=instances[calls % len(instances)])
        told += [tuple(map(int, moved))] if moved else []
        calls += 1
    return calls, told


@pytest.mark.parametrize("down", [1, 360, 2700, 90000])
def test_an_outage_moves_all_deadlines_once_in_bounded_steps(scripts, down):
    alive(scripts)
    calls, told = finish(scripts, at=down, run="r2", max=2)
    assert calls == 3 and told == [(5, down * 1000)]
    assert ends(scripts) == {f"w{number}": OFFLINE + down for number in range(5)}
    assert finish(scripts, at=down, run="r2") == (1, []), "once for all"
    assert sweep(scripts, down) == []
    invariants.assert_hold(scripts.dump())
    assert [event[:2] for event in sweep(scripts, down + OFFLINE)] == [("offline", "timeout")] * 5


def test_what_passed_since_redis_is_back_counts(scripts):
    alive(scripts)
    assert finish(scripts, at=1000, run="r2", uptime=400)[1] == [(5, 600_000)]
    assert set(ends(scripts).values()) == {OFFLINE + 600}
    assert len(sweep(scripts, 1000)) == 5, "it was back for longer than the timeout, and nobody beat"


def test_until_it_had_loaded_its_data_it_was_away(scripts):
    alive(scripts)
    more, _, count, ms = call(scripts, 1000, run="r2", uptime=400, loaded="1")
    assert (more, count, ms) == ("0", "5", "1000000")


def test_one_that_dies_in_between_and_a_redis_that_ends_in_between(scripts):
    """Those that were not moved yet are owed both times."""
    alive(scripts)
    assert call(scripts, 2700, run="r2", max=2)[0] == "1"
    assert call(scripts, 2701, run="r2", max=2)[0] == "1"
    calls, told = finish(scripts, at=7000, run="r3", max=2)
    assert told == [(5, 2_700_000), (5, 4_299_000)]
    assert set(ends(scripts).values()) <= {OFFLINE + 2700 + 4299, OFFLINE + 2700 + 4300}, "they may have beaten at 2701"
    assert sweep(scripts, 7000) == [] and scripts.redis.hget("{rma}:life", "run") == "r3"
    invariants.assert_hold(scripts.dump())


@pytest.mark.parametrize("at, uptime", [(100, 100), (100, 5000), (100, 99.5), (-3600, 0)])
def test_a_run_that_began_before_the_last_sign_is_no_downtime(scripts, at, uptime):
    """A failover; or a clock that was set back."""
    alive(scripts, at=1)
    before = ends(scripts)
    assert finish(scripts, at=at, run="r2", uptime=uptime)[1] == []
    assert ends(scripts) == before and scripts.redis.hget("{rma}:life", "run") == "r2"


def test_a_run_that_begins_in_the_future_is_no_downtime(scripts):
    """A failover after the clock was set back: the new primary was started before that."""
    alive(scripts, at=1)
    scripts.redis.xadd("{rma}:history", {"2:healthy": 1}, id=f"{NOW + 60_000}-0")
    before = ends(scripts)
    assert finish(scripts, at=10, run="r2", uptime=-3600)[1] == []
    assert ends(scripts) == before and scripts.redis.hget("{rma}:life", "run") == "r2"
    assert scripts.redis.get("{rma}:alive") == str(NOW + 10_000)


def test_without_a_sign_nothing_is_moved(scripts):
    for number in range(2):
        scripts.register(f"w{number}")
    assert finish(scripts, at=1000, run="r1")[1] == []
    assert len(sweep(scripts, 1000)) == 2
    assert finish(scripts, at=2000, run="")[1] == []


def test_older_coordinators_leave_the_history_as_a_sign(scripts):
    alive(scripts)
    for minute in (1, 2, 3):
        scripts.at(60 * minute)
        scripts.call("history")
    assert finish(scripts, at=1000, run="r2")[1][0][1] == (1000 - 180) * 1000 + NOW % 60_000


def test_an_outage_after_the_clock_was_set_back(scripts):
    """Then the history had points of the future: they are no signs."""
    alive(scripts)
    for minute in range(5):
        scripts.history(at=60 * minute)
    scripts.sweep_once(250)
    scripts.sweep_once(60)
    assert finish(scripts, at=3600, run="r2")[1] == [(5, 3_540_000)]


def test_a_heartbeat_after_the_last_sign_announces_no_silence(scripts):
    alive(scripts)
    assert scripts.heartbeat(Scripts.beat_of("w1"), Scripts.beat_of("w2", silence=900_000), at=0.5) == "11"
    finish(scripts, at=400, run="r2")
    assert scripts.redis.hget("{rma}:worker:w1", "silent_until") is None
    assert int(scripts.redis.hget("{rma}:worker:w2", "silent_until")) == NOW + 900_500 + 400_000
    scripts.at(400)
    assert scripts.redis.pexpiretime("{rma}:worker:w1:online") == NOW + 300_500 + 400_000


@pytest.mark.parametrize("restarts", [False, True])
def test_a_clock_that_is_set_right_after_it_was_ahead_when_redis_returned(scripts, restarts):
    """A machine starts with a wrong clock. The downtime then seemed longer than it was."""
    alive(scripts)
    scripts.heartbeat(Scripts.beat_of("w0", silence=900_000), at=1)
    scripts.heartbeat(Scripts.beat_of("w4", status="offline"), at=1)
    finish(scripts, at=7200, run="r2")
    scripts.sweep_once(7201)
    assert scripts.heartbeat(Scripts.beat_of("w3"), at=7202) == "1"
    before = scripts.redis.hgetall("{rma}:worker:w1")
    finish(scripts, at=60, run="r3" if restarts else "r2")
    assert sweep(scripts, 60) == [], "nobody is reported for it"
    assert {worker: at for worker, at in ends(scripts).items() if worker != "w0"} == {"w1": 360, "w2": 360, "w3": 360}
    assert scripts.redis.hgetall("{rma}:worker:w1") == before, "its last heartbeat is known"
    assert scripts.heartbeat(Scripts.beat_of("w2"), at=70) == "1"
    assert [event[2] for event in sweep(scripts, 361)] == ["w1", "w3"]
    sweep(scripts, 61 + REMOVED)
    assert scripts.redis.zrange("{rma}:workers", 0, -1) == ["w0", "w2"]
    invariants.assert_hold(scripts.dump())


@pytest.mark.parametrize("down", [600, 5000])
def test_a_worker_hears_that_a_task_is_cancelled_after_any_outage(scripts, down):
    tasks = Tasks(scripts)
    for worker in ("w", "v"):
        tasks.worker(worker)
    tasks.enqueue_all([{"id": "t1"}, {"id": "t2"}])
    tasks.ask("w")
    tasks.ask("v")
    serve(scripts, run="r1")
    scripts.sweep_once(1)
    assert [tasks.cancel(task) for task in ("t1", "t2")] == ["cancelling"] * 2
    assert tasks.news("v") == (0, [], ["t2"])
    finish(scripts, at=down, run="r2")
    scripts.sweep(down)
    assert tasks.news("w") == (0, [], ["t1"]) and tasks.news("v") == (0, [], [])
    assert not scripts.redis.exists("{rma}:news")


def test_leases_of_requests_end_although_the_clock_was_set_back(scripts):
    scripts.redis.zadd("{rma}:requesters", {"thread": NOW + 3_600_000})
    scripts.sweep_once(0)
    assert scripts.redis.zscore("{rma}:requesters", "thread") == NOW + 13_000
    scripts.sweep_once(14)
    assert not scripts.redis.exists("{rma}:requesters")


def test_who_has_beaten_since_is_not_moved(scripts):
    """Through a coordinator that knows nothing of all this."""
    alive(scripts)
    assert scripts.heartbeat(Scripts.beat_of("w1"), at=201) == "1"
    finish(scripts, at=210, run="r2", uptime=10)
    assert ends(scripts) == {**{f"w{number}": OFFLINE + 200 for number in (0, 2, 3, 4)}, "w1": 501}


def test_the_sign_is_left_once_a_second(scripts):
    alive(scripts)
    signs = []
    for tenth in range(30):
        scripts.sweep_once(tenth / 10)
        signs.append((int(scripts.redis.get("{rma}:alive")) - NOW) / 1000)
    assert sorted(set(signs)) == [0, 0.9, 1.8, 2.7]
    scripts.sweep_once(-3600)
    assert int(scripts.redis.get("{rma}:alive")) == NOW - 3_600_000, "a clock that was set back"


def test_replicas_get_a_sign_once_a_minute(scripts, start_redis):
    """A fleet at rest must not make a replica late that is cut off."""
    scripts.redis.config_set("repl-diskless-sync-delay", 0)
    port = scripts.redis.config_get("port")["port"]
    replica = start_redis("--replicaof", f"127.0.0.1 {port}").client
    wait_until(lambda: replica.info("replication")["master_link_status"] == "up")
    alive(scripts)
    serve(scripts, run="r1")
    got = {}
    for second in range(1, 125):
        scripts.sweep_once(second)
        if second % 10 == 0:
            serve(scripts, at=second, run="r1")
        assert int(scripts.redis.get("{rma}:alive")) == NOW + second * 1000
        scripts.redis.wait(1, 1000)
        got[replica.get("{rma}:alive"), replica.zscore("{rma}:instances", "1 a")] = second
    first = (-NOW // 1000) % 60 or 60
    assert [(int(at) - NOW) // 1000 for at, _ in got] == [0, first, first + 60] and len({noted for _, noted in got}) == 1


def test_what_somebody_has_written_by_hand_stops_nobody(scripts):
    alive(scripts)
    scripts.redis.hset("{rma}:ledger", "w1", "nonsense")
    scripts.redis.set("{rma}:worker:w2", "nonsense")
    scripts.redis.delete("{rma}:registration:w3")
    scripts.redis.zadd("{rma}:workers", {"nobody": 0})
    finish(scripts, at=360, run="r2", max=2)
    assert ends(scripts)["w0"] == ends(scripts)["w4"] == OFFLINE + 360


@pytest.mark.parametrize("nonsense", [
    lambda redis: redis.set("{rma}:life", "x"), lambda redis: redis.set("{rma}:instances", "x"),
    lambda redis: redis.set("{rma}:alive", "x"), lambda redis: redis.hset("{rma}:life", mapping={"downtime": "x"}),
    lambda redis: redis.hset("{rma}:life", mapping={"downtime": "1000", "downtime_from": "x"})])
def test_nonsense_in_its_own_keys_stops_nobody(scripts, nonsense):
    alive(scripts)
    nonsense(scripts.redis)
    scripts.sweep_once(1)
    finish(scripts, at=400, run="r2")
    serve(scripts, at=400, run="r2")
    scripts.sweep_once(401)
    assert scripts.redis.hget("{rma}:life", "run") == "r2" and int(scripts.redis.get("{rma}:alive")) >= NOW + 400_000
    finish(scripts, at=2000, run="r3")
    assert scripts.redis.hget("{rma}:life", "moved_ms") == "1599000"


def test_random_fleets_stand_after_an_outage_as_before(scripts):
    """Whatever workers have said: status, load, models, drains, silences; and however long it was."""
    random = Random(7)
    for worker in range(40):
        scripts.register(f"w{worker}", at=-random.randrange(OFFLINE), advertised="ocr",
                         fields=["region", random.choice(["fra", "ord"]), "services", '["ocr"]'])
    for _ in range(200):
        worker = f"w{random.randrange(40)}"
        if random.random() < 0.1:
            scripts.drain(worker, random.random() < 0.7)
        models = random.choice(["", "m,n", "-"])
        active = str(random.randrange(5))
        fields = ["active_requests", active, *(["loaded_models", '["m","n"]' if models == "m,n" else "[]"] if models else [])]
        scripts.heartbeat(Scripts.beat_of(worker, random.choice(["healthy", "degraded", "draining", "offline"]),
                                          str(random.randrange(11) / 10),
                                          silence=random.choice([0, 0, 0, 900_000]), active=active, models=models, fields=fields,
                                          health=random.choice(["", "!ocr", "ocr"])))
    serve(scripts, run="r1")
    before, events = scripts.redis.hgetall("{rma}:ledger"), scripts.events()
    for run, at in enumerate((10, 400, 3000, 100_000, 5_000_000), start=2):
        finish(scripts, at=at, run=f"r{run}", max=7)
        scripts.sweep(at)
        assert scripts.redis.hgetall("{rma}:ledger") == before and scripts.events() == events
        invariants.assert_hold(scripts.dump())


def test_leases_of_requests_and_who_looks_alike_move_along(scripts):
    scripts.register(looks="l", origin="203.0.113.7", candidate="w")
    scripts.redis.zadd("{rma}:requesters", {"thread": NOW + 15_000})
    serve(scripts, run="r1")
    finish(scripts, at=400, run="r2")
    assert scripts.redis.zscore("{rma}:requesters", "thread") == NOW + 415_000
    twins, = scripts.redis.keys("{rma}:fingerprint:*")
    assert scripts.redis.zscore(twins, "w") == NOW + 400_000
    assert scripts.register(looks="l", origin="203.0.113.7", candidate="v", at=420)[0] == "v", "the first one lives"
