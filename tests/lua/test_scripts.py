"""Each script alone: the whole state that it leaves, compared with what it should be."""

import hashlib
import random

import pytest
import redis as redis_library

import invariants
from scripts import MISSED, NOW, REMOVAL, REVIVE, TIMEOUT, Scripts

OFFLINE, REMOVED, FORGOTTEN = 300, 1800, 1800 + 86400  # seconds after a heartbeat
TUNNEL = "https://t.example"
TUNNEL_KEY = "identity:tunnel:" + hashlib.sha1(TUNNEL.encode()).hexdigest()[:20]


def zero(counters):
    return {name: value for name, value in counters.items() if value}


def one_worker(**changes):
    """The state that registering the one worker "w" leaves at NOW."""
    state = {
        "worker:w": ("hash", {"status": "healthy", "current_load": "0", "last_heartbeat": str(NOW)}, REMOVED),
        "worker:w:online": ("string", "healthy", OFFLINE),
        "registration:w": ("hash", {"tier": "2", "registered_at": str(NOW), "tasks_completed": "0", "assigned_services": "rag",
                                    "provides": "rag"}, None),
        "workers": ("zset", {"w": 0.0}, None),
        "online": ("zset", {"w": float(NOW + OFFLINE * 1000)}, None),
        "ledger": ("hash", {"w": "2 healthy 0 - rag 0 - -"}, None),
        "service:rag": ("zset", {"w": 1_000_000_000_000.0}, None),
        "services": ("hash", {"healthy rag": "1"}, None),
        "stats": ("hash", {"2:healthy": "1"}, None),
    }
    state.update(changes)
    return {key: value for key, value in state.items() if value is not None}


def readable(state):
    """Leaves out counters of the statistics that are zero, so that states compare by meaning."""
    if "stats" in state:
        kind, value, expiry = state["stats"]
        kept = {name: count for name, count in value.items() if count != "0"}
        if kept:
            state["stats"] = (kind, kept, expiry)
        else:
            del state["stats"]
    return state


def hash_of(**changes):
    return ("hash", {**one_worker()["worker:w"][1], **changes})


def registration_of(**changes):
    return ("hash", {**one_worker()["registration:w"][1], **changes})


def kept_aside(**more):
    """The state in which nothing is left of the worker but its registration, until it is forgotten."""
    return {"registration:w": (*registration_of(**more), FORGOTTEN)}


# -- register -----------------------------------------------------------------------------------------------------------------

def test_register_leaves_exactly_this(scripts):
    assert scripts.register("w") == ("w", False, ["rag"], False)
    assert readable(scripts.state()) == one_worker()


def test_register_with_everything(scripts):
    answer = scripts.register("w", instance_id="i", tunnel_url=TUNNEL, advertised="ocr,rag", fingerprint="f",
                              fields=["instance_id", "i", "tunnel_url", TUNNEL, "capabilities", "{}"])
    assert answer == ("w", False, ["rag"], False)
    assert readable(scripts.state()) == one_worker(**{
        "registration:w": (*registration_of(provides="rag,ocr", instance_id="i", tunnel_url=TUNNEL, capabilities="{}",
                                            fingerprint="f"),
                           None),
        "ledger": ("hash", {"w": "2 healthy 0 - rag,ocr 0 - -"}, None),
        "service:ocr": ("zset", {"w": 1_000_000_000_000.0}, None),
        "services": ("hash", {"healthy rag": "1", "healthy ocr": "1"}, None),
        "identity:instance:i": ("string", "w", None), TUNNEL_KEY: ("string", "w", None),
        "fingerprint:f": ("zset", {"w": float(NOW)}, None)})


def test_register_again_changes_only_the_moments(scripts):
    scripts.register("w", at=0)
    assert scripts.register("w", at=100) == ("w", True, ["rag"], False)
    later = NOW + 100_000
    assert readable(scripts.state()) == one_worker(**{
        "worker:w": (*hash_of(last_heartbeat=str(later)), REMOVED + 100),
        "worker:w:online": ("string", "healthy", OFFLINE + 100),
        "online": ("zset", {"w": float(later + OFFLINE * 1000)}, None)})


def test_register_again_drops_what_is_no_longer_said(scripts):
    scripts.register("w", instance_id="i", tunnel_url=TUNNEL, advertised="ocr", fingerprint="f",
                     fields=["instance_id", "i", "tunnel_url", TUNNEL])
    scripts.heartbeat(scripts.beat_of("w", special="rag", models="m,n", active="3", fields=["specialization", "rag"]))
    scripts.register("w")
    assert readable(scripts.state()) == one_worker()


def test_register_keeps_the_tasks_completed(scripts):
    scripts.register("w")
    scripts.redis.hset("{rma}:registration:w", "tasks_completed", 41)
    scripts.register("w")
    assert readable(scripts.state()) == one_worker(**{"registration:w": (*registration_of(tasks_completed="41"), None)})


def test_register_without_an_id_takes_the_candidate(scripts):
    assert scripts.register(candidate="worker-0badcafe")[0] == "worker-0badcafe"


def test_register_makes_another_id_when_the_candidate_is_taken(scripts):
    ids = {scripts.register(candidate="worker-0badcafe")[0] for _ in range(20)}
    assert len(ids) == 20
    assert all(len(worker_id) == len("worker-0badcafe") and worker_id.startswith("worker-") for worker_id in ids)
    invariants.assert_hold(scripts.dump())


def test_register_takes_no_id_of_a_worker_that_may_come_back(scripts):
    scripts.register("w")
    assert scripts.register(candidate="w", at=REMOVED + 1)[0] != "w"
    invariants.assert_hold(scripts.dump())


def test_register_finds_the_worker_by_instance_and_by_tunnel(scripts):
    first, *_ = scripts.register(candidate="a", instance_id="i", tunnel_url="t", fields=["instance_id", "i", "tunnel_url", "t"])
    assert scripts.register(candidate="b", instance_id="i", fields=["instance_id", "i"])[:2] == (first, True)
    assert scripts.register(candidate="b", instance_id="i", tunnel_url="t",
                            fields=["instance_id", "i", "tunnel_url", "t"])[:2] == (first, True)
    assert scripts.register(candidate="b", tunnel_url="t", fields=["tunnel_url", "t"])[:2] == (first, True)


def test_register_takes_two_instances_behind_one_tunnel_for_two_workers(scripts):
    assert scripts.register(candidate="a", instance_id="i", tunnel_url="t", fields=["instance_id", "i"])[0] == "a"
    assert scripts.register(candidate="b", instance_id="j", tunnel_url="t", fields=["instance_id", "j"])[0] == "b"
    assert scripts.register(candidate="c", instance_id="i", tunnel_url="t", fields=["instance_id", "i"])[:2] == ("a", True)
    assert scripts.register(candidate="c", instance_id="j", tunnel_url="t", fields=["instance_id", "j"])[:2] == ("b", True)
    invariants.assert_hold(scripts.dump())


@pytest.mark.parametrize("found_by", ["worker_id", "instance_id", "tunnel_url"])
def test_register_after_removal_is_the_same_worker(scripts, found_by):
    fields = ["instance_id", "i", "tunnel_url", TUNNEL]
    scripts.register("w", instance_id="i", tunnel_url=TUNNEL, fields=fields)
    scripts.redis.hset("{rma}:registration:w", "tasks_completed", 41)
    at = FORGOTTEN - 1
    scripts.sweep(at)
    answer = scripts.register(at=at, candidate="c", fields=fields, **{found_by: {"worker_id": "w", "instance_id": "i",
                                                                                   "tunnel_url": TUNNEL}[found_by]})
    assert answer == ("w", True, ["rag"], False)
    moved = NOW + at * 1000
    assert readable(scripts.state()) == one_worker(**{
        "worker:w": (*hash_of(last_heartbeat=str(moved)), REMOVED + at), "worker:w:online": ("string", "healthy", OFFLINE + at),
        "registration:w": (*registration_of(tasks_completed="41", instance_id="i", tunnel_url=TUNNEL), None),
        "online": ("zset", {"w": float(moved + OFFLINE * 1000)}, None),
        "identity:instance:i": ("string", "w", None), TUNNEL_KEY: ("string", "w", None)})


@pytest.mark.parametrize("at, revive", [(FORGOTTEN + 1, REVIVE), (REMOVED + 1, 0)])
@pytest.mark.parametrize("others", [0, 130])
def test_register_of_a_forgotten_worker_is_a_new_one(scripts, at, revive, others):
    """However many others there are, of which the sweep takes only some."""
    for number in range(others):
        scripts.register(f"a{number:03}", max_services=0)
    scripts.register("w")
    assert scripts.register("w", at=at, revive=revive)[1] is False
    scripts.sweep(at, revive)
    moved = NOW + at * 1000
    assert readable(scripts.state()) == one_worker(**{
        "worker:w": (*hash_of(last_heartbeat=str(moved)), REMOVED + at), "worker:w:online": ("string", "healthy", OFFLINE + at),
        "registration:w": (*registration_of(registered_at=str(moved)), None),
        "online": ("zset", {"w": float(moved + OFFLINE * 1000)}, None)})


def test_register_of_a_new_worker_in_a_full_redis_changes_nothing(scripts):
    scripts.register("w", fingerprint="f")
    scripts.redis.config_set("maxmemory", 1)
    before = scripts.dump()
    for worker_id, looks in (("v", ""), ("", ""), ("", "f")):
        with pytest.raises(redis_library.ResponseError, match="OOM|maxmemory"):
            scripts.register(worker_id, fingerprint=looks)
    assert scripts.dump() == before
    assert scripts.heartbeat(scripts.beat_of("w"), at=10) == "1", "those that it has live on"


def test_register_says_whether_the_worker_restarted(scripts):
    assert scripts.register("w", fields=["boot_id", "1"])[3] is False
    assert scripts.register("w", fields=["boot_id", "1"])[3] is False
    assert scripts.register("w", fields=["boot_id", "2"])[3] is True
    assert scripts.register("w", fields=[])[3] is False
    assert scripts.register("w", fields=["boot_id", "2"])[3] is False
    assert scripts.register("w", fields=["boot_id", "3"], at=REMOVED + 1)[3] is True


def test_register_assigns_the_least_covered_service_and_keeps_it(scripts):
    got = [scripts.register(f"w{number}")[2] for number in range(5)]
    assert got == [["rag"], ["ner"], ["notes"], ["rag"], ["ner"]]
    assert [scripts.register(f"w{number}")[2] for number in range(5)] == got
    scripts.unregister("w2")
    assert scripts.register("new")[2] == ["notes"]
    invariants.assert_hold(scripts.dump())


def test_register_sweeps_before_it_counts(scripts):
    """A place that time has freed is free, also when nobody else has noticed."""
    scripts.register("dies", at=0)
    scripts.register("lives", at=200)
    assert scripts.register("new", at=OFFLINE + 1)[2] == ["rag"]
    scripts.sweep(OFFLINE + 1)
    invariants.assert_hold(scripts.dump())


def test_register_gives_another_tier_another_service(scripts):
    scripts.register("w")
    assert scripts.register("w", tier=1, catalogue="vision,vllm") == ("w", True, ["vision"], False)
    assert readable(scripts.state()) == one_worker(**{
        "registration:w": (*registration_of(tier="1", assigned_services="vision", provides="vision"), None),
        "ledger": ("hash", {"w": "1 healthy 0 - vision 0 - -"}, None), "stats": ("hash", {"1:healthy": "1"}, None),
        "services": ("hash", {"healthy vision": "1"}, None),
        "service:rag": None, "service:vision": ("zset", {"w": 1_000_000_000_000.0}, None)})


def test_register_fills_gaps_only_up_to_the_most(scripts):
    assert scripts.register("a", max_services=2, also="x")[2] == ["rag", "ner"]
    assert scripts.register("b", max_services=8, also="x,y")[2] == ["notes", "x", "y"]
    assert scripts.register("c", max_services=8, also="x,y")[2] == ["rag"]
    invariants.assert_hold(scripts.dump())


# -- register, by how a worker looks ----------------------------------------------------------------------------------------------

def test_workers_that_look_alike_are_several_while_they_beat(scripts):
    ids = [scripts.register(candidate=f"c{number}", fingerprint="f", at=number)[0] for number in range(3)]
    assert ids == ["c0", "c1", "c2"]
    scripts.heartbeat(*[scripts.beat_of(worker_id) for worker_id in ids], at=30)
    assert scripts.register(candidate="c3", fingerprint="f", at=30 + 44)[:2] == ("c3", False)
    assert set(scripts.state()["fingerprint:f"][1]) == {"c0", "c1", "c2", "c3"}
    invariants.assert_hold(scripts.dump())


def test_one_that_has_missed_a_heartbeat_is_taken_for_the_one_that_registers(scripts):
    for number in range(3):
        scripts.register(candidate=f"c{number}", fingerprint="f")
    scripts.heartbeat(scripts.beat_of("c0"), scripts.beat_of("c2"), at=30)
    assert scripts.register(candidate="new", fingerprint="other", at=MISSED / 1000)[0] == "new"
    assert scripts.register(candidate="c3", fingerprint="f", at=MISSED / 1000 - 0.001)[0] == "c3"
    assert scripts.register(candidate="c4", fingerprint="f", at=MISSED / 1000)[:2] == ("c1", True)
    assert scripts.register(candidate="c4", fingerprint="f", at=MISSED / 1000)[:2] == ("c4", False)
    invariants.assert_hold(scripts.dump())


def test_an_announced_silence_is_no_missed_heartbeat(scripts):
    scripts.register(candidate="c0", fingerprint="f")
    scripts.heartbeat(scripts.beat_of("c0", silence=600_000))
    assert scripts.register(candidate="c1", fingerprint="f", at=600 + 44)[0] == "c1"
    scripts.heartbeat(scripts.beat_of("c1"), at=645)
    assert scripts.register(candidate="c2", fingerprint="f", at=645)[0] == "c0"


def test_one_that_reports_itself_offline_but_beats_is_another_one(scripts):
    scripts.register(candidate="c0", fingerprint="f")
    scripts.heartbeat(scripts.beat_of("c0", "offline"), at=10)
    assert scripts.register(candidate="c1", fingerprint="f", at=54)[0] == "c1"
    assert scripts.register(candidate="c2", fingerprint="f", at=55)[0] == "c0"
    invariants.assert_hold(scripts.dump())


def test_one_that_is_offline_is_taken_and_one_that_unregistered_is_not(scripts):
    scripts.register(candidate="c0", fingerprint="f")
    scripts.register(candidate="c1", fingerprint="f")
    scripts.sweep(OFFLINE + 1)
    scripts.unregister("c0")
    assert scripts.register(candidate="c2", fingerprint="f", at=OFFLINE + 1)[:2] == ("c1", True)
    assert scripts.register(candidate="c2", fingerprint="f", at=OFFLINE + 1)[:2] == ("c2", False)
    invariants.assert_hold(scripts.dump())


def test_only_so_many_that_look_alike_are_asked(scripts):
    """Those that were asked in vain go to the end, so that each registration asks others; and who beat lately is not asked at
    all."""
    for number in range(1500):
        scripts.register(candidate=f"c{number:04}", fingerprint="f")
    living = [scripts.beat_of(f"c{number:04}") for number in range(1499)]
    for first in range(0, len(living), 100):
        scripts.heartbeat(*living[first:first + 100], at=50)
    answers = [scripts.register(candidate=f"new{turn}", fingerprint="f", at=50)[0] for turn in range(2)]
    assert answers == ["new0", "c1499"]


# -- heartbeat ----------------------------------------------------------------------------------------------------------------

def test_heartbeat_leaves_exactly_this(scripts):
    scripts.register("w")
    beat = scripts.beat_of("w", "degraded", "0.25", active="2", special="rag", models="a/b:7,c",
                           fields=["active_requests", "2", "specialization", "rag", "loaded_models", '["a/b:7","c"]'])
    assert scripts.heartbeat(beat, at=30) == "1"
    later = NOW + 30_000
    rank = {"w": 2_000_000_450_000.0}
    changed = one_worker(**{
        "worker:w": (*hash_of(status="degraded", current_load="0.25", last_heartbeat=str(later), active_requests="2",
                              specialization="rag", loaded_models='["a/b:7","c"]'), REMOVED + 30),
        "worker:w:online": ("string", "degraded", OFFLINE + 30),
        "online": ("zset", {"w": float(later + OFFLINE * 1000)}, None),
        "ledger": ("hash", {"w": "2 degraded 250000 - rag 2 rag a/b:7,c"}, None),
        "service:rag": ("zset", rank, None), "model:rag/a/b:7": ("zset", rank, None), "model:rag/c": ("zset", rank, None),
        "services": ("hash", {"degraded rag": "1"}, None),
        "stats": ("hash", {"2:degraded": "1", "2:load": "250000"}, None)})
    assert readable(scripts.state()) == changed
    assert scripts.heartbeat(scripts.beat_of("w", "degraded", "0.25"), at=30) == "1"
    assert readable(scripts.state()) == changed, "what it does not say stays"
    assert scripts.heartbeat(scripts.beat_of("w", active="0", special="-", models="-", fields=["loaded_models", "[]"])) == "1"
    assert scripts.state()["ledger"][1] == {"w": "2 healthy 0 - rag 0 - -"}
    assert not [key for key in scripts.state() if key.startswith("model:")]


def test_heartbeat_that_says_offline(scripts):
    scripts.register("w")
    assert scripts.heartbeat(scripts.beat_of("w", "offline", "0.5", models="m", fields=["loaded_models", '["m"]'])) == "1"
    assert readable(scripts.state()) == one_worker(**{
        "worker:w": (*hash_of(status="offline", current_load="0.5", loaded_models='["m"]'), REMOVED), "worker:w:online": None,
        "online": None, "offline": ("zset", {"w": float(NOW + REMOVED * 1000)}, None),
        "ledger": ("hash", {"w": "2 offline 0 - rag 0 - m"}, None), "stats": ("hash", {"2:offline": "1"}, None),
        "service:rag": None,
        "services": None})
    assert scripts.heartbeat(scripts.beat_of("w", models="-", fields=["loaded_models", "[]"])) == "1"
    assert readable(scripts.state()) == one_worker(**{"worker:w": (*hash_of(loaded_models="[]"), REMOVED)})


def test_heartbeat_with_an_announced_silence(scripts):
    scripts.register("w")
    scripts.heartbeat(scripts.beat_of("w", silence=600_000))
    assert readable(scripts.state()) == one_worker(**{
        "worker:w": (*hash_of(silent_until=str(NOW + 600_000)), REMOVED + 300), "worker:w:online": ("string", "healthy", 600),
        "online": ("zset", {"w": float(NOW + 600_000)}, None)})
    scripts.heartbeat(scripts.beat_of("w"))
    assert readable(scripts.state()) == one_worker()


def test_a_load_that_hardly_changes_moves_nothing(scripts):
    """The worker's hash has it; ledger, counters and ranks learn of it when it is 0.05 away from what they know."""
    scripts.register("w")
    known = 0
    for load in (40_000, 49_999, 50_000, 90_000, 99_999, 1, 0, 500_000, 549_999, 450_001, 550_000, 1_000_000):
        scripts.heartbeat(scripts.beat_of("w", load=str(load / 1_000_000)), at=1)
        known = load if abs(load - known) >= 50_000 else known
        assert float(scripts.redis.hget("{rma}:worker:w", "current_load")) == load / 1_000_000
        assert scripts.state()["ledger"][1]["w"].split()[2] == str(known), load
        assert scripts.state()["service:rag"][1]["w"] == 1_000_000_000_000 + known
        invariants.assert_hold(scripts.dump())
    scripts.heartbeat(scripts.beat_of("w", "degraded", load="0.999"), at=1)
    assert scripts.state()["ledger"][1]["w"].split()[2] == "999000", "with the status all is told"


def test_usual_heartbeats_leave_what_the_others_leave(scripts):
    """A heartbeat with a member that can't be used is no usual one."""
    dice = random.Random(11)

    def beat():
        if dice.random() < 0.7:
            return {"load": dice.choice(["0.5", "0.52", "0.6"]), "active": "2", "special": "rag", "models": "m", "health": "rag"}
        return {"load": f"{dice.random():.3f}", "active": dice.choice(["", "2", "3"]), "models": dice.choice(["", "m"]),
                "special": dice.choice(["", "rag"]), "health": dice.choice(["", "rag", "!rag"]),
                "status": dice.choice(["", "healthy", "degraded"]), "whence": dice.choice(["", "10.0.0.1"]),
                "silence": dice.choice([0, 0, 40_000, 700_000]), "fields": dice.choice([[], ["gpu_utilization", "7"]])}
    rounds = [[beat() for _ in range(dice.choice([1, 2]))] for _ in range(120)]

    def states(**more):
        scripts.redis.flushall()
        scripts.register("w")
        for number, beats in enumerate(rounds):
            scripts.redis.config_resetstat()
            answer = scripts.heartbeat_and_more(*[scripts.beat_of("w", **beat, **more) for beat in beats], at=29 * number)
            is_usual = "cmdstat_hget" not in scripts.redis.info("commandstats")
            state = readable(scripts.state())
            state["worker:w"][1].pop("ignored", None)
            state["online"] = list(state.get("online", ({},))[0])  # its moments may be earlier ones, as the test below says
            yield beats, is_usual, answer[:2], state
    usual = 0
    for (beats, is_usual, *left), (_, _, *others) in zip(list(states()), states(ignored="x")):
        assert left == others, beats
        usual += is_usual
    assert usual > 20


def test_the_usual_heartbeats_are_cheap(scripts):
    """The calls of two that change nothing, then of one that changes the load."""
    for worker in ("a", "b"):
        scripts.register(worker)
    fields = ["gpu_utilization", "7"]

    def calls(at, *beats):
        scripts.redis.config_resetstat()
        scripts.heartbeat(*beats, at=at)
        made = scripts.redis.info("commandstats")
        return {name.removeprefix("cmdstat_"): of["calls"] for name, of in made.items()
                if not name.endswith(("eval", "evalsha", "resetstat", "info"))}
    assert calls(30, scripts.beat_of("a", fields=fields), scripts.beat_of("b", load="0.04", fields=fields)) == {
        "time": 1, "hmget": 1, "exists": 1, "pexpiretime": 2, "pexpireat": 4, "hset": 2}
    assert calls(31, scripts.beat_of("a", load="0.5")) == {
        "time": 1, "hmget": 1, "exists": 2, "pexpiretime": 1, "pexpireat": 2, "hset": 2, "zadd": 1, "hincrby": 1}


def test_the_index_of_live_workers_moves_once_in_half_the_timeout(scripts):
    scripts.register("w")
    scores = set()
    for at in range(0, 10 * OFFLINE, 10):
        scripts.heartbeat(scripts.beat_of("w"), at=at)
        score = scripts.redis.zscore("{rma}:online", "w")
        scores.add(score)
        assert (NOW + at * 1000 + OFFLINE * 500 <= score <= NOW + (at + OFFLINE)
                * 1000), "an older coordinator, which believes it, sees nothing due"
        invariants.assert_hold(scripts.dump())
    assert len(scores) <= 21


def test_who_speaks_for_a_worker_is_remembered_until_it_registers_anew(scripts):
    boot = ["boot_id", "b"]  # its state stays when it registers anew

    def beat(caller):
        return scripts.heartbeat(scripts.beat_of("w", caller=caller))

    scripts.register("w", join="office", grant="1", fields=boot)
    assert beat("home") == "4" and beat("office") == "1" and beat("office.1") == "1"
    scripts.redis.hset("{rma}:registration:w", "grant", "office.0")
    assert beat("office.1") == "1", "the registration was read again"
    scripts.register("w", join="office", grant="2", fields=boot)
    assert beat("office.1") == "4"
    assert beat("office.2") == "1"
    assert beat("office.1") == "4" and beat("office.2") == "1"
    assert beat("home.7") == "4"


def test_a_sweep_asks_the_worker_s_own_key_before_it_believes_the_index(scripts):
    scripts.register("w")
    scripts.heartbeat(scripts.beat_of("w"), at=OFFLINE - 10)
    scripts.redis.zadd("{rma}:online", {"w": NOW + 1000})
    assert scripts.swept(OFFLINE + 5) == (False, [])
    assert scripts.redis.zscore("{rma}:online", "w") == NOW + (2 * OFFLINE - 10) * 1000
    assert scripts.swept(2 * OFFLINE - 9)[1] == [("offline", "w", (OFFLINE + 1) * 1000)]
    invariants.assert_hold(scripts.dump())


def test_a_silence_that_ends_early_does_not_hide_the_next_one(scripts):
    scripts.register("w")
    scripts.heartbeat(scripts.beat_of("w", silence=3_000_000))
    scripts.heartbeat(scripts.beat_of("w"), at=10)
    assert scripts.swept(OFFLINE + 11)[1] == [("offline", "w", (OFFLINE + 1) * 1000)]
    invariants.assert_hold(scripts.dump())


BARE = {"status": "", "load": ""}


def reported(scripts, worker_id="w"):
    return {name: scripts.redis.hget("{rma}:worker:" + worker_id, name) for name in ("status", "current_load")}


@pytest.mark.parametrize("drained", [False, True])
@pytest.mark.parametrize("silent_until", [None, OFFLINE + 1])
def test_what_a_heartbeat_does_not_tell_stays_as_it_was(scripts, drained, silent_until):
    scripts.register("w")
    scripts.heartbeat(scripts.beat_of("w", "degraded", "0.9", active="3", models="m",
                                      fields=["active_requests", "3", "loaded_models", '["m"]']))
    if drained:
        scripts.drain("w")
    counts_as = "draining" if drained else "degraded"
    at = silent_until or 10
    if silent_until:
        scripts.sweep(at)
    scripts.heartbeat(scripts.beat_of("w", **BARE), at=at)
    assert reported(scripts) == {"status": "degraded", "current_load": "0.9"}
    assert scripts.state()["ledger"][1]["w"].split()[1:4] == [counts_as, "900000", "d" if drained else "-"]
    invariants.assert_hold(scripts.dump())
    scripts.heartbeat(scripts.beat_of("w", "", "0.25"), at=at)
    assert reported(scripts) == {"status": "degraded", "current_load": "0.25"}
    scripts.heartbeat(scripts.beat_of("w", "healthy", ""), at=at)
    assert reported(scripts) == {"status": "healthy", "current_load": "0.25"}
    assert scripts.state()["ledger"][1]["w"].split()[1:3] == ["draining" if drained else "healthy", "250000"]
    invariants.assert_hold(scripts.dump())


def test_a_worker_that_reported_itself_offline_and_beats_is_healthy(scripts):
    scripts.register("w")
    scripts.heartbeat(scripts.beat_of("w", "offline", "0.9"))
    scripts.heartbeat(scripts.beat_of("w", **BARE), at=10)
    assert reported(scripts) == {"status": "healthy", "current_load": "0.9"}
    invariants.assert_hold(scripts.dump())


def test_a_removed_worker_that_tells_nothing_begins_anew(scripts):
    scripts.register("w")
    scripts.heartbeat(scripts.beat_of("w", "degraded", "0.9"))
    scripts.sweep(REMOVED + 1)
    scripts.heartbeat(scripts.beat_of("w", **BARE), at=REMOVED + 2)
    assert reported(scripts) == {"status": "healthy", "current_load": "0"}
    invariants.assert_hold(scripts.dump())


def test_an_unknown_status_is_kept_as_told_until_a_known_one_comes(scripts):
    scripts.register("w")
    odd = scripts.beat_of("w", "degraded", "0.5", fields=["reported_status", "busy"])

    def told():
        return scripts.redis.hget("{rma}:worker:w", "reported_status")

    for known in ("healthy", "degraded", "draining", "offline"):
        scripts.heartbeat(odd)
        assert told() == "busy" and reported(scripts)["status"] == "degraded"
        scripts.heartbeat(scripts.beat_of("w", **BARE))
        assert told() == "busy"
        scripts.heartbeat(scripts.beat_of("w", known))
        assert told() is None and reported(scripts)["status"] == known
    invariants.assert_hold(scripts.dump())


def test_what_is_told_in_vain_is_news_once(scripts):
    scripts.register("a")
    scripts.register("b")

    def news(*beats):
        return scripts.heartbeat_and_more(*beats)[2:]

    assert news(scripts.beat_of("a"), scripts.beat_of("b")) == []
    assert news(scripts.beat_of("a", ignored="status"), scripts.beat_of("b")) == ["status -"]
    assert news(scripts.beat_of("a", ignored="status"), scripts.beat_of("b")) == []
    assert news(scripts.beat_of("a", ignored="gpu_utilization,status"), scripts.beat_of("b", ignored="status,other"),
                scripts.beat_of("nobody", ignored="status")) == ["gpu_utilization status,other -"]
    assert news(scripts.beat_of("a", ignored="status,gpu_utilization"), scripts.beat_of("b")) == []
    scripts.register("a")
    assert news(scripts.beat_of("a", ignored="status")) == ["status"], "a new registration begins anew"


def test_lateness_of_heartbeats(scripts):
    """Counted from one interval after the last heartbeat, or the registration; an edge node has two."""
    scripts.register("w")
    scripts.register("edge", tier=4)
    beats = [scripts.beat_of(worker_id) for worker_id in ("w", "edge", "nobody")]
    assert scripts.heartbeat_and_lateness(*beats, at=30) == ("110", [0, 0, None])
    assert scripts.heartbeat_and_lateness(*beats, at=90.25) == ("110", [30.25, 0.25, None])
    assert scripts.heartbeat_and_lateness(*beats[:1], *beats[:1], at=91) == ("11", [0, 0]), "too early is not late"
    assert scripts.heartbeat_and_lateness(beats[0], at=91 + REMOVED + 1) == ("2", [None]), "how long it was silent is known no more"
    assert scripts.heartbeat_and_lateness(at=91) == ("", [])
    scripts.redis.flushdb()
    scripts.register("w")
    silent = scripts.beat_of("w", silence=600_000)
    assert scripts.heartbeat_and_lateness(silent) == ("1", [0])
    assert scripts.heartbeat_and_lateness(beats[0], at=590) == ("1", [0]), "it has kept its word"
    assert scripts.heartbeat_and_lateness(silent, at=630) == ("1", [10]), "a silence ends with the next heartbeat"
    assert scripts.heartbeat_and_lateness(beats[0], at=1240) == ("1", [10]), "later than announced"
    scripts.redis.persist("{rma}:worker:w")
    assert scripts.heartbeat_and_lateness(beats[0], at=91 + REMOVED + 2) == ("1", [None])


def test_heartbeats_of_many_and_of_one_twice(scripts):
    scripts.register("a")
    scripts.register("b")
    beats = [scripts.beat_of("a", load="0.5"), scripts.beat_of("nobody"), scripts.beat_of("b", "draining", "1"),
             scripts.beat_of("a", "degraded", "0.125", fields=["available_memory", "1GB"])]
    assert scripts.heartbeat(*beats, at=10) == "1011"
    state = readable(scripts.state())
    assert state["ledger"] == ("hash", {"a": "2 degraded 125000 - rag 0 - -", "b": "2 draining 1000000 - ner 0 - -"}, None)
    assert state["stats"] == ("hash", {"2:degraded": "1", "2:draining": "1", "2:load": "1125000"}, None)
    assert "worker:nobody" not in state
    invariants.assert_hold(scripts.dump())


def test_more_active_requests_than_count(scripts):
    scripts.register("w")
    assert scripts.heartbeat(scripts.beat_of("w", active="9" * 400, fields=["active_requests", "9" * 400])) == "1"
    assert scripts.state()["service:rag"][1] == {"w": 1_010_000_000_000.0}
    invariants.assert_hold(scripts.dump())
    scripts.unregister("w")
    assert readable(scripts.state()) == {}


def test_a_worker_is_ranked_in_a_bounded_number_of_indexes(scripts):
    """Whatever it makes up: each of them is a write in each script call that moves it."""
    services, models = [f"s{number}" for number in range(32)], [f"m{number}" for number in range(32)]
    scripts.register("many", advertised=",".join(services), fields=["services", '["' + '","'.join(services) + '"]'])
    scripts.register("two", catalogue="ner", advertised="ocr", fields=["services", '["ocr"]'])
    said = ["loaded_models", '["' + '","'.join(models) + '"]']
    scripts.heartbeat(*[scripts.beat_of(worker_id, models=",".join(models), fields=said) for worker_id in ("many", "two")])
    indexes = [key for key in scripts.state() if key.startswith("model:")]
    assert len([key for key in indexes if key.startswith(("model:ner/", "model:ocr/"))]) == 64
    assert len(indexes) == 64 + 33
    invariants.assert_hold(scripts.dump())
    scripts.unregister("many")
    scripts.unregister("two")
    assert readable(scripts.state()) == {}


def test_nothing_is_no_specialization(scripts):
    """A service may be called "-"."""
    scripts.register("w", advertised="-", fields=["services", '["-"]'])
    assert scripts.state()["service:-"][1] == scripts.state()["service:rag"][1] == {"w": 1_000_000_000_000.0}
    invariants.assert_hold(scripts.dump())


def test_heartbeat_of_nobody_changes_nothing(scripts):
    scripts.register("w")
    before = scripts.dump()
    assert scripts.heartbeat(scripts.beat_of("nobody"), at=10) == "0"
    assert scripts.dump() == before


def test_no_heartbeats_change_nothing(scripts):
    scripts.register("w")
    before = scripts.dump()
    assert scripts.heartbeat(at=10) == ""
    assert scripts.dump() == before


def test_heartbeat_brings_an_offline_worker_back(scripts):
    scripts.register("w", advertised="ocr", fields=["services", '["ocr"]'])
    scripts.sweep(OFFLINE + 1)
    assert readable(scripts.state())["stats"] == ("hash", {"2:offline": "1"}, None)
    assert scripts.heartbeat(scripts.beat_of("w"), at=OFFLINE + 2) == "1"
    state = readable(scripts.state())
    assert state["service:ocr"] == state["service:rag"] == ("zset", {"w": 1_000_000_000_000.0}, None)
    assert state["stats"] == ("hash", {"2:healthy": "1"}, None)
    invariants.assert_hold(scripts.dump())


@pytest.mark.parametrize("swept", ["swept", "unseen", "offline, then unseen"])
def test_heartbeat_brings_a_removed_worker_back(scripts, swept):
    fields = ["instance_id", "i", "tunnel_url", TUNNEL]
    scripts.register("w", instance_id="i", tunnel_url=TUNNEL, fingerprint="f", fields=fields)
    scripts.heartbeat(scripts.beat_of("w", "degraded", "1", active="9", special="rag", models="m"))
    at = FORGOTTEN - 1
    if swept == "offline, then unseen":
        scripts.sweep(OFFLINE + 1)
    if swept == "swept":
        scripts.sweep(REMOVED + 1)
        assert readable(scripts.state()) == {
            **kept_aside(instance_id="i", tunnel_url=TUNNEL, fingerprint="f"), "identity:instance:i": ("string", "w", FORGOTTEN),
            TUNNEL_KEY: ("string", "w", FORGOTTEN)}
    assert scripts.heartbeat(scripts.beat_of("w"), scripts.beat_of("w"), at=at) == "21"
    moved = NOW + at * 1000
    assert readable(scripts.state()) == one_worker(**{
        "worker:w": (*hash_of(last_heartbeat=str(moved)), REMOVED + at), "worker:w:online": ("string", "healthy", OFFLINE + at),
        "registration:w": (*registration_of(instance_id="i", tunnel_url=TUNNEL, fingerprint="f"), None),
        "online": ("zset", {"w": float(moved + OFFLINE * 1000)}, None),
        "identity:instance:i": ("string", "w", None), TUNNEL_KEY: ("string", "w", None),
        "fingerprint:f": ("zset", {"w": float(moved)}, None)})


@pytest.mark.parametrize("at, revive", [(FORGOTTEN + 1, REVIVE), (REMOVED + 1, 0)])
@pytest.mark.parametrize("swept", [True, False])
def test_heartbeat_of_a_forgotten_worker_cleans_up_after_it(scripts, at, revive, swept):
    scripts.register("w", instance_id="i", advertised="ocr", fingerprint="f", fields=["instance_id", "i"])
    if swept:
        scripts.sweep(at, revive)
    assert scripts.heartbeat(scripts.beat_of("w"), at=at, revive=revive) == "0"
    assert readable(scripts.state()) == {}


def test_heartbeat_takes_no_identity_back_that_another_has_taken(scripts):
    scripts.register("w", instance_id="i", fields=["instance_id", "i"])
    scripts.sweep(REMOVED + 1)
    scripts.register("v", instance_id="i", fields=["instance_id", "i"], at=REMOVED + 1)
    assert scripts.heartbeat(scripts.beat_of("w"), at=REMOVED + 2) == "2"
    assert scripts.state()["identity:instance:i"] == ("string", "v", None)
    invariants.assert_hold(scripts.dump())


def test_a_silence_moves_both_moments_and_the_end_of_the_registration(scripts):
    scripts.register("w")
    scripts.heartbeat(scripts.beat_of("w", silence=600_000))
    scripts.sweep(REMOVED + 301)
    assert readable(scripts.state()) == {"registration:w": (*registration_of(), FORGOTTEN + 300)}


# -- unregister -----------------------------------------------------------------------------------------------------------------

def test_unregister_leaves_nothing(scripts):
    scripts.register("w", instance_id="i", tunnel_url=TUNNEL, advertised="ocr", fingerprint="f",
                     fields=["instance_id", "i", "tunnel_url", TUNNEL])
    scripts.heartbeat(scripts.beat_of("w", special="ocr", models="m,n", active="3"))
    scripts.drain("w")
    assert scripts.unregister("w") == "1"
    assert readable(scripts.state()) == {}


def test_unregister_touches_nobody_else(scripts):
    scripts.register("w", fingerprint="f")
    before = readable(scripts.state())
    scripts.register("v", advertised="ocr", instance_id="i", fingerprint="f", fields=["instance_id", "i"])
    scripts.unregister("v")
    assert readable(scripts.state()) == before


def test_unregister_of_an_offline_worker(scripts):
    scripts.register("w")
    scripts.sweep(OFFLINE + 1)
    assert scripts.unregister("w") == "1"
    assert readable(scripts.state()) == {}


def test_unregister_leaves_an_identity_that_another_has_taken(scripts):
    scripts.register("a", instance_id="i", fields=["instance_id", "i"])
    scripts.register("b", instance_id="i", fields=["instance_id", "i"])
    scripts.unregister("a")
    assert scripts.state()["identity:instance:i"] == ("string", "b", None)


def test_unregister_of_nobody_is_an_error(scripts):
    with pytest.raises(redis_library.ResponseError, match="^NOTFOUND"):
        scripts.unregister("nobody")
    assert scripts.state() == {}


@pytest.mark.parametrize("swept", [True, False])
def test_unregister_of_a_removed_worker_cleans_up_and_is_an_error(scripts, swept):
    scripts.register("w", instance_id="i", fields=["instance_id", "i"])
    scripts.at(REMOVED + 1)
    if swept:
        scripts.sweep(REMOVED + 1)
    with pytest.raises(redis_library.ResponseError, match="^NOTFOUND"):
        scripts.unregister("w")
    assert readable(scripts.state()) == {}


# -- drain ------------------------------------------------------------------------------------------------------------------------

DRAINED = {"worker:w:online": ("string", "draining", OFFLINE),
           "registration:w": (*registration_of(drained="1", drained_at=str(NOW)), None),
           "ledger": ("hash", {"w": "2 draining 0 d rag 0 - -"}, None), "service:rag": ("zset", {"w": 5_000_000_000_000.0}, None),
           "services": ("hash", {"draining rag": "1"}, None), "stats": ("hash", {"2:draining": "1"}, None)}


def test_drain_leaves_exactly_this_and_undrain_takes_it_back(scripts):
    scripts.register("w")
    assert scripts.drain("w") == "draining"
    assert readable(scripts.state()) == one_worker(**DRAINED)
    assert scripts.drain("w") == "draining"
    assert readable(scripts.state()) == one_worker(**DRAINED)
    assert scripts.drain("w", False) == "healthy"
    assert readable(scripts.state()) == one_worker()
    assert scripts.drain("w", False) == "healthy"
    assert readable(scripts.state()) == one_worker()


def test_a_drain_keeps_why_since_when_and_from_where(scripts):
    def told():
        fields = scripts.redis.hgetall("{rma}:registration:w")
        return {name: value for name, value in fields.items() if name.startswith("drain")}

    def events():
        return [(entry["reason"], entry.get("drain_reason"), entry.get("drained_from"))
                for _, entry in scripts.redis.xrange("{rma}:events")][1:]

    scripts.register("w")
    scripts.drain("w", reason="disk swap", origin="192.0.2.1")
    assert told() == {"drained": "1", "drained_at": str(NOW), "drain_reason": "disk swap", "drained_from": "192.0.2.1"}
    scripts.at(60)
    scripts.drain("w", reason="disk swap", origin="192.0.2.2")
    scripts.drain("w", origin="192.0.2.2")
    assert told()["drained_from"] == "192.0.2.1", "nothing new was said"
    scripts.drain("w", reason="two disks", origin="192.0.2.2")
    assert told() == {"drained": "1", "drained_at": str(NOW), "drain_reason": "two disks", "drained_from": "192.0.2.2"}
    assert events() == [("drained", "disk swap", "192.0.2.1"), ("drained", "two disks", "192.0.2.2")]
    scripts.register("w", at=60)
    assert told() == {"drained": "1", "drained_at": str(NOW), "drain_reason": "two disks", "drained_from": "192.0.2.2"}
    scripts.drain("w", False, origin="192.0.2.2")
    assert told() == {}
    scripts.drain("w", reason="", origin="192.0.2.3")
    assert told() == {"drained": "1", "drained_at": str(NOW + 60_000), "drained_from": "192.0.2.3"}
    invariants.assert_hold(scripts.dump())


def test_a_drained_worker_counts_as_draining_whatever_it_says(scripts):
    scripts.register("w")
    scripts.drain("w")
    scripts.heartbeat(scripts.beat_of("w"))
    assert readable(scripts.state()) == one_worker(**DRAINED)
    scripts.register("w")
    assert readable(scripts.state()) == one_worker(**DRAINED)
    scripts.heartbeat(scripts.beat_of("w", "degraded"))
    assert readable(scripts.state()) == one_worker(**DRAINED, **{"worker:w": (*hash_of(status="degraded"), REMOVED)})
    assert scripts.drain("w", False) == "degraded"
    invariants.assert_hold(scripts.dump())


def test_a_drain_lasts_over_removal_and_revival(scripts):
    scripts.register("w")
    scripts.drain("w")
    scripts.sweep(REMOVED + 1)
    assert readable(scripts.state()) == kept_aside(drained="1", drained_at=str(NOW))
    assert scripts.heartbeat(scripts.beat_of("w"), at=REMOVED + 1) == "2"
    assert scripts.redis.get("{rma}:worker:w:online") == "draining"
    invariants.assert_hold(scripts.dump())


def test_drain_of_an_offline_worker(scripts):
    scripts.register("w")
    scripts.sweep(OFFLINE + 1)
    assert scripts.drain("w") == "offline"
    assert scripts.redis.hget("{rma}:ledger", "w") == "2 offline 0 d rag 0 - -"
    invariants.assert_hold(scripts.dump())
    assert scripts.drain("w", False) == "offline"
    invariants.assert_hold(scripts.dump())


def test_drain_of_one_that_fell_silent_unseen(scripts):
    scripts.register("w")
    scripts.at(OFFLINE + 1)
    assert scripts.drain("w") == "offline"
    assert invariants.books_disagree(scripts.dump()) == []
    scripts.sweep(OFFLINE + 1)
    invariants.assert_hold(scripts.dump())


@pytest.mark.parametrize("drain", [True, False])
def test_drain_of_nobody_changes_nothing_and_is_an_error(scripts, drain):
    scripts.register("w")
    scripts.sweep(REMOVED + 1)
    before = scripts.dump()
    for worker_id in ("nobody", "w"):
        with pytest.raises(redis_library.ResponseError, match="^NOTFOUND"):
            scripts.drain(worker_id, drain)
    assert scripts.dump() == before


# -- discover -------------------------------------------------------------------------------------------------------------------

def test_discover_of_nobody(scripts):
    assert scripts.discover("rag") == (0, [])
    assert scripts.state() == {}


def fleet_to_discover(scripts):
    for worker_id in ("idle", "busy", "special", "degraded", "draining", "offline", "loaded", "loaded-degraded"):
        scripts.register(worker_id, catalogue="rag")
    scripts.heartbeat(
        scripts.beat_of("idle", load="0.1"), scripts.beat_of("busy", load="0.1", active="1", fields=["active_requests", "1"]),
        scripts.beat_of("special", load="0.9", special="rag", fields=["specialization", "rag"]),
        scripts.beat_of("degraded", "degraded"), scripts.beat_of("draining", "draining"), scripts.beat_of("offline", "offline"),
        scripts.beat_of("loaded", load="0.95", models="x/m:1", fields=["loaded_models", '["x/m:1"]']),
        scripts.beat_of("loaded-degraded", "degraded", load="0.5", models="x/m:1", fields=["loaded_models", '["x/m:1"]']))
    invariants.assert_hold(scripts.dump())


def test_discover_finds_the_best_first(scripts):
    fleet_to_discover(scripts)
    before = scripts.dump()
    order = ["special", "idle", "busy", "loaded", "degraded", "loaded-degraded"]
    assert scripts.discover("rag") == (6, order)
    for most in range(2, 7):
        assert scripts.discover("rag", most=most) == (6, order[:most])
    assert scripts.discover("rag", most=1, chance=0.999) == (6, ["special"])
    assert scripts.discover("ocr") == (0, [])
    assert scripts.dump() == before


def test_discover_prefers_those_that_have_the_model(scripts):
    fleet_to_discover(scripts)
    order = ["loaded", "special", "idle", "busy", "loaded-degraded", "degraded"]
    assert scripts.discover("rag", "x/m:1") == (6, order)
    for most in range(1, 7):
        assert scripts.discover("rag", "x/m:1", most=most) == (6, order[:most])
    assert scripts.discover("rag", "unknown", most=1) == (6, ["special"])


def test_discover_shares_the_work_among_equals(scripts):
    for number in range(4):
        scripts.register(f"w{number}", catalogue="rag")
    scripts.heartbeat(scripts.beat_of("w3", load="0.05"))
    assert [scripts.discover("rag", most=1, chance=chance)[1] for chance in (0, 0.3, 0.34, 0.66, 0.67, 0.999999)] == \
        [["w0"], ["w0"], ["w1"], ["w1"], ["w2"], ["w2"]]
    scripts.heartbeat(*[scripts.beat_of(f"w{number}", "degraded") for number in range(3)], scripts.beat_of("w3", "draining"))
    assert scripts.discover("rag", most=1, chance=0.999999) == (3, ["w2"])


def test_discover_sweeps(scripts):
    scripts.register("dies", catalogue="rag")
    scripts.register("lives", catalogue="rag", at=200)
    assert scripts.discover("rag", at=OFFLINE + 1) == (1, ["lives"])
    assert scripts.discover("rag", at=REMOVED + 201) == (0, [])
    assert set(readable(scripts.state())) == {"registration:dies", "registration:lives"}


def test_discover_shows_nobody_that_time_has_taken(scripts):
    """Not even when more have fallen silent at once than one call moves on."""
    for number in range(300):
        scripts.register(f"dies{number:03}", catalogue="rag", at=number / 1000)
    scripts.register("lives", catalogue="rag", at=200)
    scripts.heartbeat(scripts.beat_of("lives", load="1"), at=200)
    for most in (1, 100):
        for _ in range(3):
            assert set(scripts.discover("rag", at=OFFLINE + 1, most=most)[1]) <= {"lives"}
    assert scripts.discover("rag", at=OFFLINE + 1) == (1, ["lives"])


@pytest.mark.parametrize("region", ["", "north"])
@pytest.mark.parametrize("model", ["", "m"])
@pytest.mark.parametrize("most, found", [(1, 1), (2, 2), (100, 3)])
def test_discover_finds_who_lives_behind_many_that_are_silent(scripts, model, region, most, found):
    """Without a sweep: when most of a fleet falls silent at once, sweeps take a while."""
    for number in range(500):
        scripts.register(f"dies{number}", catalogue="rag", fields=["region", "north"])
    scripts.heartbeat(*[scripts.beat_of(f"dies{number}", models="m") for number in range(500)])
    for number, status in enumerate(("healthy", "healthy", "degraded")):
        scripts.register(f"lives{number}", catalogue="rag", at=200, fields=["region", "south"])
        scripts.heartbeat(scripts.beat_of(f"lives{number}", status, f"0.{number + 6}", models="m"), at=200)
    scripts.at(OFFLINE + 1)
    count, *ids = scripts.call("discover", service="rag", model=model, region=region, max=most, random=0.5, indexed="0")
    assert (count, ids) == (3, ["lives0", "lives1", "lives2"][:found])


# -- services -------------------------------------------------------------------------------------------------------------------

def test_services_counts_and_sweeps(scripts):
    assert scripts.services() == (False, {})
    fleet_to_discover(scripts)
    assert scripts.services() == (False, {"healthy rag": 4, "degraded rag": 2, "draining rag": 1})
    scripts.register("late", advertised="made:up", at=100)
    assert scripts.services(at=100)[1] == {"healthy rag": 4, "degraded rag": 2, "draining rag": 1, "healthy ner": 1,
                                           "healthy made:up": 1}
    assert scripts.services(at=OFFLINE + 1, most=3)[0] is True
    while scripts.services(at=OFFLINE + 1, most=3)[0]:
        pass
    assert set(scripts.services(at=OFFLINE + 1)[1].values()) == {1}
    assert scripts.services(at=OFFLINE + 101) == (False, {})


# -- import ---------------------------------------------------------------------------------------------------------------------

FIELDS = ["tier", "2", "registered_at", str(NOW), "tasks_completed", "0", "assigned_services", "rag", "provides", "rag"]


def test_import_leaves_what_registering_would(scripts):
    assert scripts.import_worker("w", FIELDS) == "live"
    assert readable(scripts.state()) == one_worker()
    assert scripts.import_worker("w", FIELDS, at=10, load="1") == "known"
    assert readable(scripts.state()) == one_worker()


def test_import_of_one_that_is_offline(scripts):
    assert scripts.import_worker("w", FIELDS, at=OFFLINE + 1, load="0.5") == "offline"
    assert scripts.import_worker("v", FIELDS, at=OFFLINE + 1, last_heartbeat=OFFLINE, status="offline") == "offline"
    state = scripts.state()
    assert state["worker:w"] == (*hash_of(current_load="0.5"), REMOVED)
    assert state["offline"][1] == {"w": float(NOW + REMOVED * 1000), "v": float(NOW + (OFFLINE + REMOVED) * 1000)}
    assert state["ledger"][1]["w"] == "2 offline 0 - rag 0 - -"
    invariants.assert_hold(scripts.dump())


@pytest.mark.parametrize("last_heartbeat", [0, -10**9, -10**290])
def test_import_of_one_that_was_removed_long_ago(scripts, last_heartbeat):
    at = REMOVED + 1
    fields = [*FIELDS, "instance_id", "i", "tunnel_url", TUNNEL]
    assert scripts.import_worker("w", fields, at=at, last_heartbeat=last_heartbeat) == "archived"
    until = at + REVIVE // 1000
    assert readable(scripts.state()) == {
        "registration:w": (*registration_of(instance_id="i", tunnel_url=TUNNEL), until),
        "identity:instance:i": ("string", "w", until), TUNNEL_KEY: ("string", "w", until)}
    assert scripts.import_worker("w", fields, at=at, last_heartbeat=at) == "known"
    assert scripts.heartbeat(scripts.beat_of("w"), at=at) == "2"
    invariants.assert_hold(scripts.dump())


def test_import_of_a_removed_one_where_none_come_back(scripts):
    assert scripts.import_worker("w", [*FIELDS, "instance_id", "i"], at=REMOVED + 1, revive=0) == "archived"
    assert readable(scripts.state()) == {}


def test_import_of_one_from_the_future(scripts):
    assert scripts.import_worker("w", FIELDS, last_heartbeat=10**6) == "live"
    assert readable(scripts.state()) == one_worker()


def test_import_takes_no_identity_from_anybody(scripts):
    scripts.register("v", instance_id="i", fields=["instance_id", "i"])
    assert scripts.import_worker("w", [*FIELDS, "instance_id", "i"]) == "live"
    assert scripts.state()["identity:instance:i"] == ("string", "v", None)
    scripts.sweep(REMOVED + 1)
    assert scripts.import_worker("u", [*FIELDS, "instance_id", "i"], at=REMOVED + 1) == "archived"
    assert scripts.state()["identity:instance:i"] == ("string", "v", FORGOTTEN)


def test_import_of_a_drained_one(scripts):
    assert scripts.import_worker("w", [*FIELDS, "drained", "1", "drained_at", NOW]) == "live"
    assert readable(scripts.state()) == one_worker(**DRAINED)


@pytest.mark.parametrize("provides", ["a b", "a\nb", "rag,a\tb"])
def test_import_of_services_that_cannot_be_is_refused(scripts, provides):
    """The other registry may have let its workers advertise anything."""
    scripts.register("dies")
    scripts.register("lives", at=100)
    scripts.at(OFFLINE + 1)
    before = scripts.dump()
    for fields in ([*FIELDS, "provides", provides], FIELDS[2:], ["tier", "5"], ["tier", ""]):
        with pytest.raises(redis_library.ResponseError, match="^BADCALL"):
            scripts.import_worker("w", fields, at=OFFLINE + 1)
    assert scripts.dump() == before, "a call that was refused has changed something"


def test_import_counts_a_service_once(scripts):
    assert scripts.import_worker("w", [*FIELDS, "provides", "rag,rag,,rag"]) == "live"
    assert scripts.services()[1] == {"healthy rag": 1}
    scripts.unregister("w")
    assert readable(scripts.state()) == {}


# -- stats, which sweeps ----------------------------------------------------------------------------------------------------------

def test_stats_of_nobody(scripts):
    assert scripts.stats() == (False, {})
    assert scripts.state() == {}


def test_stats_counts(scripts):
    scripts.register("w")
    scripts.register("g", tier=1, catalogue="vllm")
    scripts.heartbeat(scripts.beat_of("g", "degraded", "0.5"))
    more, counters = scripts.stats()
    assert more is False
    assert zero(counters) == {"2:healthy": 1, "1:degraded": 1, "1:load": 500_000}


def test_stats_moves_the_silent_offline_on_time(scripts):
    scripts.register("w", at=0)
    before = scripts.dump()
    scripts.stats(at=OFFLINE - 0.5)
    assert scripts.dump() == before
    assert zero(scripts.stats(at=OFFLINE + 0.1)[1]) == {"2:offline": 1}
    invariants.assert_hold(scripts.dump())
    assert zero(scripts.stats(at=REMOVED - 0.5)[1]) == {"2:offline": 1}
    assert zero(scripts.stats(at=REMOVED + 0.1)[1]) == {}
    assert readable(scripts.state()) == kept_aside()
    scripts.at(FORGOTTEN + 1)
    assert readable(scripts.state()) == {}


def test_stats_forgets_at_once_where_none_come_back(scripts):
    scripts.register("w", instance_id="i", fields=["instance_id", "i"])
    scripts.stats(at=OFFLINE + 0.1, revive=0)
    assert zero(scripts.stats(at=REMOVED + 0.1, revive=0)[1]) == {}
    assert readable(scripts.state()) == {}


def test_stats_removes_what_went_from_online_to_gone(scripts):
    scripts.register("w", advertised="ocr", fields=["services", '["ocr"]'])
    assert zero(scripts.stats(at=REMOVED + 1)[1]) == {}
    assert readable(scripts.state()) == kept_aside(provides="rag,ocr", services='["ocr"]')


def test_stats_moves_on_a_bounded_number(scripts):
    for number in range(25):
        scripts.register(f"w{number}")
    assert scripts.stats(at=OFFLINE + 1, most=10)[0] is True
    assert scripts.redis.zcard("{rma}:offline") == 10
    assert scripts.stats(at=OFFLINE + 1, most=10)[0] is True
    more, counters = scripts.stats(at=OFFLINE + 1, most=10)
    assert more is False and zero(counters) == {"2:offline": 25}
    invariants.assert_hold(scripts.dump())


# -- what somebody's redis-cli has left -------------------------------------------------------------------------------------------

POISON = ["", "x", "2 healthy 0", "2 weird 0 - rag 0 - -", "9 healthy 0 - rag 0 - -", "2 healthy 99999999999999999999 - rag 0 - -",
 "2 healthy 0 - a b 0 - -", "2 healthy 1000001 - rag 0 - -"]


def every_script(scripts, at):
    """Calls each script as it is called all the time; "w" is the worker whose keys are hurt, "v" one that is well."""
    scripts.heartbeat(scripts.beat_of("v"), scripts.beat_of("w"), at=at)
    scripts.register("new", at=at)
    scripts.sweep_once(at)
    for name in ("stats", "services"):
        scripts.call(name)
    scripts.discover("rag", at=at)
    scripts.drain("v")
    scripts.drain("v", False)
    scripts.import_worker("imported", FIELDS, at=at, last_heartbeat=at)
    scripts.unregister("imported")
    scripts.register("w", at=at)


@pytest.mark.parametrize("at", [10, OFFLINE + 1, REMOVED + 1, FORGOTTEN + 1])
@pytest.mark.parametrize("entry", POISON)
def test_a_ledger_entry_that_cannot_be_read_stops_nobody(scripts, entry, at):
    scripts.register("w")
    scripts.register("v", at=min(at, 200))
    scripts.redis.hset("{rma}:ledger", "w", entry)
    scripts.stats(at=at)
    every_script(scripts, at)
    dump = scripts.dump()
    assert {"w", "new"} <= set(invariants.workers_of(dump))
    places = invariants.places_of(dump)
    assert dump["{rma}:ledger"][1] == places


@pytest.mark.parametrize("entry", POISON)
def test_a_ledger_entry_that_cannot_be_read_is_written_anew(scripts, entry):
    scripts.register("w")
    scripts.redis.hset("{rma}:ledger", "w", entry)
    assert scripts.heartbeat(scripts.beat_of("w"), at=10) == "1"
    assert scripts.redis.hget("{rma}:ledger", "w") == "2 healthy 0 - rag 0 - -"
    scripts.redis.hset("{rma}:ledger", "w", entry)
    scripts.sweep(OFFLINE + 11)
    assert scripts.redis.hget("{rma}:ledger", "w") == "2 offline 0 - rag 0 - -", "it is silent, not gone"
    assert scripts.redis.zcard("{rma}:offline") == 1
    scripts.redis.hset("{rma}:ledger", "w", entry)
    scripts.unregister("w")
    assert not [key for key in scripts.state() if key not in ("stats", "services")]


@pytest.mark.parametrize("at", [10, OFFLINE + 1, REMOVED + 1])
@pytest.mark.parametrize("key, kind", [
    ("registration:w", "missing"), ("registration:w", "list"), ("worker:w", "missing"), ("worker:w", "list"),
    ("identity:instance:i", "missing"), ("identity:instance:i", "list"), ("fingerprint:f", "missing"), ("fingerprint:f", "list"),
    ("worker:w:online", "missing"), ("worker:w:online", "list")])
def test_a_key_of_a_worker_that_is_gone_or_of_another_type_stops_nobody(scripts, key, kind, at):
    scripts.register("w", instance_id="i", fingerprint="f", fields=["instance_id", "i"])
    scripts.register("v", at=min(at, 200))
    scripts.redis.delete("{rma}:" + key)
    if kind == "list":
        scripts.redis.rpush("{rma}:" + key, "x")
    scripts.stats(at=at)
    every_script(scripts, at)
    scripts.register(instance_id="i", fingerprint="f", candidate="c", at=at, fields=["instance_id", "i"])
    scripts.unregister("w")
    if kind == "missing":
        invariants.assert_hold(scripts.dump())


def test_a_worker_whose_registration_is_gone_is_asked_to_register(scripts):
    scripts.register("w")
    scripts.redis.delete("{rma}:registration:w")
    assert scripts.heartbeat(scripts.beat_of("w"), at=OFFLINE // 2) == "0", "it is looked for once in half the timeout"
    assert scripts.register("w", at=OFFLINE // 2)[:2] == ("w", False)
    invariants.assert_hold(scripts.dump())


def test_an_error_of_another_kind_is_an_error(scripts):
    """Not taken for a key of another type."""
    scripts.register("w")
    scripts.sweep(REMOVED + 1)
    scripts.redis.acl_setuser("default", keys=["{rma}:*"], reset_keys=True, enabled=True, nopass=True, commands=["+@all", "-hmget"])
    with pytest.raises(redis_library.RedisError, match="can.t run this command"):
        scripts.heartbeat(scripts.beat_of("w"), at=REMOVED + 1)


@pytest.mark.parametrize("key, field", [("stats", "2:healthy"), ("stats", "2:load"), ("services", "healthy rag")])
@pytest.mark.parametrize("value", ["x", "", "9223372036854775807"])
def test_a_counter_that_is_no_number_stops_nobody(scripts, key, field, value):
    scripts.register("w")
    scripts.register("v", catalogue="rag")
    scripts.heartbeat(scripts.beat_of("v", load="0.5"))
    for at in (10, OFFLINE + 11):
        scripts.redis.hset("{rma}:" + key, field, value)
        every_script(scripts, at)
        assert set(invariants.workers_of(scripts.dump())) == {"w", "v", "new"}


def test_what_a_script_has_changed_before_it_fails_is_counted(scripts):
    scripts.register("w", advertised="ocr")
    scripts.redis.delete("{rma}:workers")
    scripts.redis.set("{rma}:workers", "mine")
    with pytest.raises(redis_library.ResponseError, match=r"^WRONGTYPE .* user_script:\d+: "):
        scripts.unregister("w")
    dump = scripts.dump()
    assert invariants.told_events(dump) == invariants.counted_events(dump) == {"registered:new": 1}
    assert invariants.stored_counters(dump) == {}


@pytest.mark.parametrize("score", ["-inf", "-1e300", "1", "0"])
@pytest.mark.parametrize("index", ["online", "offline"])
def test_a_moment_that_is_none_stops_nobody(scripts, index, score):
    scripts.register("w")
    scripts.register("v")
    if index == "offline":
        scripts.sweep(OFFLINE + 1)
    scripts.redis.zadd("{rma}:" + index, {"w": score, "stranger with spaces": score})
    every_script(scripts, OFFLINE + 2)
    scripts.sweep(OFFLINE + 2)
    invariants.assert_hold(scripts.dump())


# -- calls that are wrong ---------------------------------------------------------------------------------------------------------

GOOD = {"timeout": TIMEOUT, "removal": REMOVAL, "revive": REVIVE, "missed": MISSED, "candidate": "c", "worker_id": "w",
        "instance_id": "", "tunnel_url": "", "fingerprint": "", "tier": "2", "advertised": "", "catalogue": "rag", "also": "",
        "health": "",
        "max_services": "1", "max": 100, "drain": "1", "reason": "", "join": "", "grant": "", "join_max": 0, "service": "rag",
        "model": "", "told_tunnel": "", "looks": "", "origin": "",
        "caller": "", "machine": "", "region": "", "random": "0.5", "indexed": "0", "last_heartbeat": NOW,
        "status": "healthy", "load": "0", "since": NOW, "interval": 30_000, "edge_interval": 60_000,
        "member": "user:anna", "mode": "new", "ends_at": "", "keep_admin": "1", "who": "user:anna", "from": "::1", "by": "here",
        "action": "test", "version": "",
        "index": "", "after": "", "prune": "1", "kid": "k", "pem": "p", "keep": 1000, "target": "user:anna", "outcome": "done",
        "burst": 3, "bucket": "register:here", "format": 1, "beside": 0, "serves": "0", "instance": "a",
        "cursor": "0", "thread": "t", "run": "r1", "uptime": 0, "loaded": "0"}
NUMBERS = {"register": ("timeout", "removal", "revive", "missed", "tier", "max_services", "join_max"),
           "heartbeat": ("timeout", "removal", "revive", "interval", "edge_interval"), "stats": (),
           "sweep": ("timeout", "removal", "revive", "max"),
           "services": (), "requests": (), "ready": (), "discover": ("max", "random"),
           "import": ("timeout", "removal", "revive"), "drain": ("drain",), "unregister": (),
           "history": (), "beats": ("since", "max"),
           "credential_put": ("max", "mode", "member"), "credential_remove": (), "credentials": ("max",),
           "signing_key": ("keep", "mode"), "audit": (), "limit": ("interval", "burst"), "check": (),
           "serve": ("format", "beside", "uptime", "timeout", "removal", "revive", "max"),
           "models": ("cursor",), "route": (), "route_explain": ("cursor",)}
NAMES = ("check",)  # takes any number of names behind its arguments


def good_args(scripts, name, **changes):
    return [{**GOOD, **changes}[each] for each in scripts.interface(name)[1]]


def good_rest(name):
    return {"heartbeat": Scripts.beat_of("w"), "import": Scripts.import_of("w", FIELDS)}.get(name, [])


def assert_refused(scripts, name, keys, args):
    before = scripts.dump()
    with pytest.raises(redis_library.ResponseError, match="^BADCALL"):
        scripts.call_raw(name, keys, args)
    assert scripts.dump() == before, f"{name} {args} was refused, but changed something"


def due(scripts):
    """A fleet in which a sweep would find something to do."""
    scripts.register("silent", at=-OFFLINE)
    scripts.register("w", at=-1)
    scripts.at(0)


READING = ("beats", "discover", "models", "ready", "requests", "route_explain", "services", "stats")


def test_reading_scripts_write_nothing(scripts):
    """As on a replica, where a write would be refused."""
    due(scripts)
    scripts.redis.replicaof("127.0.0.1", "1")
    for name in READING:
        scripts.call_raw(name, scripts.full_keys(name), good_args(scripts, name))
    with pytest.raises(redis_library.exceptions.ReadOnlyError):
        scripts.sweep_once(0)
    scripts.redis.replicaof("NO", "ONE")
    assert scripts.stats()[1]["2:healthy"] == 1


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_wrong_numbers_of_keys_and_arguments_are_refused(scripts, name):
    due(scripts)
    keys, args = scripts.full_keys(name), good_args(scripts, name)
    for wrong in (keys[:-1], [*keys, "{rma}:more"], []):
        assert_refused(scripts, name, wrong, args + good_rest(name))
    if args:
        assert_refused(scripts, name, keys, args[:-1])
        assert_refused(scripts, name, keys, [])
    if name not in NAMES:
        assert_refused(scripts, name, keys, [*args, "odd"])


@pytest.mark.parametrize("bad", ["x", "1x", "nan", "inf", "-inf", ""])
@pytest.mark.parametrize("name, argument", [(name, argument) for name, numbers in NUMBERS.items() for argument in numbers])
def test_arguments_that_are_no_numbers_are_refused(scripts, name, argument, bad):
    due(scripts)
    assert_refused(scripts, name, scripts.full_keys(name), good_args(scripts, name, **{argument: bad}) + good_rest(name))


@pytest.mark.parametrize("changes", [
    {"status": "weird"}, {"status": "nan"}, {"load": "-0.1"}, {"load": "1.1"}, {"load": "nan"}, {"load": "x"},
    {"silence": "x"}, {"silence": "nan"}, {"silence": ""}, {"silence": "1e300"}, {"active": "x"}, {"active": "-1"},
    {"active": "1.5"},
    {"special": "a b"}, {"models": "a b"}, {"models": "a\nb"}], ids=str)
def test_malformed_heartbeats_are_refused_whole(scripts, changes):
    scripts.register("w")
    changes.pop("at", None)
    beats = scripts.beat_of("w", "degraded", "0.5") + scripts.beat_of("w", **changes)
    assert_refused(scripts, "heartbeat", scripts.full_keys("heartbeat"), good_args(scripts, "heartbeat") + beats)


@pytest.mark.parametrize("beats", [
    ["w"], ["w", "healthy"], ["w", "healthy", "0", "0", "", "", ""], ["w", "healthy", "0", "0", "", "", "", "x"],
    ["w", "healthy", "0", "0", "", "", "", "1", "field"], ["w", "healthy", "0", "0", "", "", "", "2", "field"],
    ["w", "healthy", "0", "0", "", "", "", "-2"], ["w", "healthy", "0", "0", "", "", "", "0.5"],
    ["w", "healthy", "0", "0", "", "", "", "0", "w", "healthy", "0", "0", "", "", "", "4", "a", "b"]], ids=" ".join)
def test_heartbeats_of_a_wrong_length_are_refused_whole(scripts, beats):
    scripts.register("w")
    for before in ([], scripts.beat_of("w", "degraded")):
        assert_refused(scripts, "heartbeat", scripts.full_keys("heartbeat"), good_args(scripts, "heartbeat") + before + beats)


@pytest.mark.parametrize("changes", [{"tier": "0"}, {"tier": "5"}, {"tier": "22"}, {"candidate": "", "worker_id": ""},
                                     {"advertised": "a b"}, {"catalogue": "a b"}, {"also": "a\nb"},
                                     {"bucket": "a b"}, {"interval": "0"}, {"burst": "x"}])
def test_malformed_registrations_are_refused(scripts, changes):
    due(scripts)
    assert_refused(scripts, "register", scripts.full_keys("register"), good_args(scripts, "register", **changes))


@pytest.mark.parametrize("changes", [{"random": "1"}, {"random": "-0.1"}, {"max": "0"}, {"max": "-1"}, {"max": "1.5"}], ids=str)
def test_malformed_questions_are_refused(scripts, changes):
    due(scripts)
    assert_refused(scripts, "discover", scripts.full_keys("discover"), good_args(scripts, "discover", **changes))


@pytest.mark.parametrize("changes", [
    {"worker_id": ""}, {"status": ""}, {"status": "weird"}, {"load": "-0.1"}, {"load": "1.1"}, {"load": "x"}, {"load": "nan"},
    {"fields": FIELDS[:-1]}, {"fields": []}], ids=str)
def test_malformed_imports_are_refused_whole(scripts, changes):
    due(scripts)
    for before in ([], Scripts.import_of("new", FIELDS)):
        bad = Scripts.import_of(**{"worker_id": "other", "fields": FIELDS, **changes})
        assert_refused(scripts, "import", scripts.full_keys("import"), good_args(scripts, "import") + before + bad)


@pytest.mark.parametrize("bad", [
    ["v"], ["v", NOW, "healthy", "0"], ["v", "x", "healthy", "0", 2, "tier", "2"], ["v", NOW, "healthy", "0", "x", "tier", "2"],
    ["v", NOW, "healthy", "0", 4, "tier", "2"], ["v", NOW, "healthy", "0", -2, "tier", "2"],
    ["v", NOW, "healthy", "0", "0.5", "tier", "2"]],
    ids=str)
def test_imports_of_a_wrong_length_are_refused_whole(scripts, bad):
    due(scripts)
    for before in ([], Scripts.import_of("new", FIELDS)):
        assert_refused(scripts, "import", scripts.full_keys("import"), good_args(scripts, "import") + before + bad)


def test_imports_of_many_and_of_one_twice(scripts):
    scripts.register("known")
    workers = [scripts.import_of(worker_id, FIELDS, last) for worker_id, last in (
        ("live", 0), ("known", 0), ("offline", -OFFLINE - 1), ("archived", -REMOVED - 1), ("live", 0))]
    assert scripts.import_workers(*workers) == "lkoak"
    assert scripts.import_workers() == ""
    invariants.assert_hold(scripts.dump())


def test_every_script_states_its_interface(scripts):
    assert set(NUMBERS) == {name for name in scripts.names()
                            if not name.startswith(("task_", "queue_"))}, "each has its malformed calls here"
    for name in scripts.names():
        keys, args = scripts.interface(name)
        assert len(set(keys)) == len(keys) and len(set(args)) == len(args)


# -- boot_id: whether a worker that registers again has been started anew ----------------------------------------------------------

def test_the_same_start_of_a_worker_keeps_what_it_reported(scripts):
    scripts.register("w", fields=["boot_id", "1"])
    scripts.heartbeat(scripts.beat_of("w", "draining", "0.5", active=3, models="m",
                                      fields=["active_requests", "3", "loaded_models", '["m"]']))
    before = scripts.state()
    assert scripts.register("w", fields=["boot_id", "1"])[3] is False
    assert scripts.state() == before
    invariants.assert_hold(scripts.dump())


@pytest.mark.parametrize("boot", [["boot_id", "2"], []])
def test_another_start_of_a_worker_begins_afresh(scripts, boot):
    scripts.register("w", fields=["boot_id", "1"])
    scripts.heartbeat(scripts.beat_of("w", "draining", "0.5", active=3))
    scripts.register("w", fields=boot)
    assert scripts.redis.hget("{rma}:ledger", "w") == "2 healthy 0 - rag 0 - -"
    invariants.assert_hold(scripts.dump())


def test_the_same_start_of_a_worker_that_said_offline_is_back(scripts):
    scripts.register("w", fields=["boot_id", "1"])
    scripts.heartbeat(scripts.beat_of("w", "offline"))
    scripts.register("w", fields=["boot_id", "1"])
    assert scripts.redis.hget("{rma}:ledger", "w") == "2 healthy 0 - rag 0 - -"
    invariants.assert_hold(scripts.dump())


# -- a Redis that is full ----------------------------------------------------------------------------------------------------------

def fill(scripts):
    scripts.redis.config_set("maxmemory", 1)


@pytest.mark.parametrize("at", [OFFLINE + 1, REMOVED + 1])
def test_a_full_redis_still_moves_on_those_that_fall_silent(scripts, at):
    scripts.register("w", fingerprint="f", instance_id="i", fields=["instance_id", "i"])
    if at > REMOVED:
        scripts.sweep(OFFLINE + 1)
    fill(scripts)
    told = len(scripts.events())
    kind = "offline" if at < REMOVED else "removed"
    assert scripts.swept(at) == (False, [(kind, "w", at * 1000)])
    assert scripts.swept(at) == (False, [])
    assert [event[:3] for event in scripts.events()[told:]] == [(kind, "timeout", "w")]
    invariants.assert_hold(scripts.dump())


OPERATIONS = {
    "heartbeat": lambda scripts: scripts.heartbeat(scripts.beat_of("w", "degraded", "0.5", active=3, models="m,n", fields=[
        "loaded_models", '["m","n"]'])),
    "heartbeat of one that is offline": lambda scripts: scripts.heartbeat(scripts.beat_of("w"), at=OFFLINE + 1),
    "heartbeat of one that was removed": lambda scripts: scripts.heartbeat(scripts.beat_of("w"), at=REMOVED + 1),
    "heartbeat that says offline": lambda scripts: scripts.heartbeat(scripts.beat_of("w", "offline")),
    "heartbeat that announces a silence": lambda scripts: scripts.heartbeat(scripts.beat_of("w", silence=600_000)),
    "register again": lambda scripts: scripts.register("w"),
    "register again after a crash": lambda scripts: scripts.register(fingerprint="f", at=OFFLINE + 1),
    "register again, removed": lambda scripts: scripts.register("w", at=REMOVED + 1),
    "drain": lambda scripts: scripts.drain("w"),
    "undrain": lambda scripts: scripts.drain("drained", False),
    "unregister": lambda scripts: scripts.unregister("w"),
    "history": lambda scripts: scripts.history(),
    "discover": lambda scripts: scripts.discover("rag"),
    "stats": lambda scripts: scripts.stats(at=OFFLINE + 1),
    "services": lambda scripts: scripts.services(at=REMOVED + 1),
    "beats": lambda scripts: scripts.beats(0)}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_full_redis_does_all_that_one_with_room_does(scripts, name):
    outcomes = []
    for is_full in (False, True):
        scripts.redis.flushdb()
        scripts.register("w", fingerprint="f")
        scripts.register("drained")
        scripts.drain("drained")
        if is_full:
            fill(scripts)
        outcomes.append((OPERATIONS[name](scripts), scripts.state(), scripts.events()))
        assert invariants.books_disagree(scripts.dump()) == []
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("at", [0, OFFLINE + 1, REMOVED + 1])
def test_a_full_redis_takes_no_new_worker_whatever_is_due(scripts, at):
    scripts.register("w")
    fill(scripts)
    scripts.sweep(at)
    before = scripts.dump()
    with pytest.raises(redis_library.ResponseError, match="OOM|maxmemory"):
        scripts.register("v", at=at)
    with pytest.raises(redis_library.ResponseError, match="OOM|maxmemory"):
        scripts.import_worker("v", FIELDS, at=at)
    assert scripts.dump() == before


# -- a clock that is set back ------------------------------------------------------------------------------------------------------

DAYS = 86400


@pytest.mark.parametrize("back", [400, 7200, 3 * DAYS])
def test_after_the_clock_was_set_back_the_silent_go_on_time(scripts, back):
    """Counted from the moment at which it is noticed."""
    scripts.register("dies", fingerprint="f", fields=["boot_id", "1"])
    scripts.register("reports", at=0)
    scripts.heartbeat(scripts.beat_of("reports", "offline"))
    scripts.register("lives")
    told = len(scripts.events())
    assert scripts.swept(-back) == (False, [])
    scripts.heartbeat(scripts.beat_of("lives"), at=-back + 200)
    assert zero(scripts.stats(at=-back + OFFLINE - 1)[1]) == {"2:healthy": 2, "2:offline": 1}
    assert scripts.swept(-back + OFFLINE + 1) == (False, [("offline", "dies", (OFFLINE + 1) * 1000)])
    invariants.assert_hold(scripts.dump())
    assert scripts.register(fingerprint="f", at=-back + OFFLINE + 1)[0] == "dies", "a worker that looks like it is it"
    scripts.heartbeat(scripts.beat_of("lives"), at=-back + REMOVED - 1)
    scripts.sweep(-back + REMOVED - 1)
    assert set(scripts.dump()["{rma}:ledger"][1]) == {"dies", "reports", "lives"}
    scripts.sweep(-back + REMOVED + 1)
    assert set(scripts.dump()["{rma}:ledger"][1]) == {"dies", "lives"}
    assert [event[:3] for event in scripts.events()[told:]] == [
        ("offline", "timeout", "dies"), ("registered", "again", "dies"), ("offline", "timeout", "dies"),
        ("removed", "timeout", "reports")]
    invariants.assert_hold(scripts.dump())


def test_an_announced_silence_is_not_taken_for_a_clock_that_was_set_back(scripts):
    for number in range(120):
        scripts.register(f"w{number}", max_services=0)
        scripts.heartbeat(scripts.beat_of(f"w{number}", silence=3_600_000))
    before = scripts.dump()
    for at in range(20):
        assert scripts.swept(at / 1000) == (False, [])
    assert scripts.dump() == before


def test_many_that_stand_in_the_future_are_brought_forward_among_those_that_announced_it(scripts):
    for number in range(60):
        scripts.register(f"w{number}", max_services=0)
    for number in range(60):
        scripts.register(f"silent{number}", at=-7200, max_services=0)
        scripts.heartbeat(scripts.beat_of(f"silent{number}", silence=3_600_000), at=-7200)
    for step in range(200):
        scripts.swept(-7200 + step / 10)
    scores = scripts.dump()["{rma}:online"][1]
    assert all(scores[f"w{number}"] <= NOW + (-7200 + 20 + OFFLINE) * 1000 for number in range(60))
    assert all(scores[f"silent{number}"] == NOW + (-7200 + 3600) * 1000 for number in range(60))
    invariants.assert_hold(scripts.dump())
