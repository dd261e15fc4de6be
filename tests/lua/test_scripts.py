"""Each script alone: the whole state that it leaves, compared with what it should be."""

import json

import pytest
import redis as redis_library

import invariants
from scripts import NOW, Scripts

OFFLINE, REMOVED = 300, 1800  # seconds after a heartbeat


def zero(counters):
    return {name: value for name, value in counters.items() if value}


def one_worker(**changes):
    """The state that registering the one worker "w" leaves at NOW."""
    state = {
        "worker:w": ("hash", {"tier": "2", "status": "healthy", "current_load": "0", "registered_at": str(NOW), "last_heartbeat": str(NOW),
                              "tasks_completed": "0", "assigned_services": "rag", "provides": "rag"}, REMOVED),
        "worker:w:online": ("string", "healthy", OFFLINE),
        "workers": ("zset", {"w": 0.0}, None),
        "online": ("zset", {"w": float(NOW + OFFLINE * 1000)}, None),
        "ledger": ("hash", {"w": "2 healthy 0"}, None),
        "refs": ("hash", {"w": {"services": ["rag"], "identities": {}}}, None),
        "service:rag": ("set", {"w"}, None),
        "stats": ("hash", {"2:healthy": "1"}, None),
    }
    state.update(changes)
    return {key: value for key, value in state.items() if value is not None}


def readable(state):
    """Reads the JSON in refs, and leaves out counters that are zero, so that states compare by meaning."""
    if "refs" in state:
        kind, value, expiry = state["refs"]
        state["refs"] = (kind, {worker_id: json.loads(text) for worker_id, text in value.items()}, expiry)
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


# -- register -----------------------------------------------------------------------------------------------------------------

def test_register_leaves_exactly_this(scripts):
    assert scripts.register("w") == ("w", False, ["rag"], False)
    assert readable(scripts.state()) == one_worker()


def test_register_with_everything(scripts):
    answer = scripts.register("w", instance_id="i", tunnel_url="https://t.example", advertised="ocr,rag",
                              fields=["instance_id", "i", "tunnel_url", "https://t.example", "capabilities", "{}"])
    assert answer == ("w", False, ["rag"], False)
    assert readable(scripts.state()) == one_worker(**{
        "worker:w": (*hash_of(provides="rag,ocr", instance_id="i", tunnel_url="https://t.example", capabilities="{}"), REMOVED),
        "refs": ("hash", {"w": {"services": ["rag", "ocr"], "identities": ["instance:i", "tunnel:https://t.example"]}}, None),
        "service:ocr": ("set", {"w"}, None),
        "identity": ("hash", {"instance:i": "w", "tunnel:https://t.example": "w"}, None)})


def test_register_again_changes_only_the_moments(scripts):
    scripts.register("w", at=0)
    assert scripts.register("w", at=100) == ("w", True, ["rag"], False)
    later = NOW + 100_000
    assert readable(scripts.state()) == one_worker(**{
        "worker:w": (*hash_of(last_heartbeat=str(later)), REMOVED + 100),
        "worker:w:online": ("string", "healthy", OFFLINE + 100),
        "online": ("zset", {"w": float(later + OFFLINE * 1000)}, None)})


def test_register_again_drops_what_is_no_longer_said(scripts):
    scripts.register("w", instance_id="i", tunnel_url="https://t.example", advertised="ocr", fields=["tunnel_url", "https://t.example"])
    scripts.register("w")
    assert readable(scripts.state()) == one_worker()


def test_register_keeps_the_tasks_completed(scripts):
    scripts.register("w")
    scripts.redis.hset("{rma}:worker:w", "tasks_completed", 41)
    scripts.register("w")
    assert readable(scripts.state()) == one_worker(**{"worker:w": (*hash_of(tasks_completed="41"), REMOVED)})


def test_register_without_an_id_takes_the_candidate(scripts):
    assert scripts.register(candidate="worker-0badcafe")[0] == "worker-0badcafe"


def test_register_makes_another_id_when_the_candidate_is_taken(scripts):
    ids = {scripts.register(candidate="worker-0badcafe")[0] for _ in range(20)}
    assert len(ids) == 20
    assert all(len(worker_id) == len("worker-0badcafe") and worker_id.startswith("worker-") for worker_id in ids)
    invariants.assert_hold(scripts.dump())


def test_register_finds_the_worker_by_instance_and_by_tunnel(scripts):
    first, *_ = scripts.register(candidate="a", instance_id="i", tunnel_url="t", fields=["instance_id", "i", "tunnel_url", "t"])
    assert scripts.register(candidate="b", instance_id="i", fields=["instance_id", "i"])[:2] == (first, True)
    assert scripts.register(candidate="b", instance_id="i", tunnel_url="t", fields=["instance_id", "i", "tunnel_url", "t"])[:2] == (first, True)
    assert scripts.register(candidate="b", tunnel_url="t", fields=["tunnel_url", "t"])[:2] == (first, True)


def test_register_takes_two_instances_behind_one_tunnel_for_two_workers(scripts):
    assert scripts.register(candidate="a", instance_id="i", tunnel_url="t", fields=["instance_id", "i"])[0] == "a"
    assert scripts.register(candidate="b", instance_id="j", tunnel_url="t", fields=["instance_id", "j"])[0] == "b"
    assert scripts.register(candidate="c", instance_id="i", tunnel_url="t", fields=["instance_id", "i"])[:2] == ("a", True)
    assert scripts.register(candidate="c", instance_id="j", tunnel_url="t", fields=["instance_id", "j"])[:2] == ("b", True)
    invariants.assert_hold(scripts.dump())


def test_register_after_removal_is_a_new_worker(scripts):
    scripts.register("w", instance_id="i")
    scripts.at(REMOVED + 1)
    assert scripts.register("w", at=REMOVED + 1) == ("w", False, ["rag"], False)
    moved = NOW + (REMOVED + 1) * 1000
    assert readable(scripts.state()) == one_worker(**{
        "worker:w": (*hash_of(registered_at=str(moved), last_heartbeat=str(moved)), REMOVED + REMOVED + 1),
        "worker:w:online": ("string", "healthy", OFFLINE + REMOVED + 1),
        "online": ("zset", {"w": float(moved + OFFLINE * 1000)}, None)})


def test_register_says_whether_the_worker_restarted(scripts):
    assert scripts.register("w", fields=["boot_id", "1"])[3] is False
    assert scripts.register("w", fields=["boot_id", "1"])[3] is False
    assert scripts.register("w", fields=["boot_id", "2"])[3] is True
    assert scripts.register("w", fields=[])[3] is False


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
        "worker:w": (*hash_of(tier="1", assigned_services="vision", provides="vision"), REMOVED),
        "ledger": ("hash", {"w": "1 healthy 0"}, None), "stats": ("hash", {"1:healthy": "1"}, None),
        "refs": ("hash", {"w": {"services": ["vision"], "identities": {}}}, None),
        "service:rag": None, "service:vision": ("set", {"w"}, None)})


def test_register_fills_gaps_only_up_to_the_most(scripts):
    assert scripts.register("a", max_services=2, also="x")[2] == ["rag", "ner"]
    assert scripts.register("b", max_services=8, also="x,y")[2] == ["notes", "x", "y"]
    assert scripts.register("c", max_services=8, also="x,y")[2] == ["rag"]
    invariants.assert_hold(scripts.dump())


# -- heartbeat ----------------------------------------------------------------------------------------------------------------

def test_heartbeat_leaves_exactly_this(scripts):
    scripts.register("w")
    assert scripts.heartbeat(scripts.beat_of("w", "degraded", "0.25", fields=["active_requests", "2"]), at=30) == "1"
    later = NOW + 30_000
    assert readable(scripts.state()) == one_worker(**{
        "worker:w": (*hash_of(status="degraded", current_load="0.25", last_heartbeat=str(later), active_requests="2"), REMOVED + 30),
        "worker:w:online": ("string", "degraded", OFFLINE + 30),
        "online": ("zset", {"w": float(later + OFFLINE * 1000)}, None),
        "ledger": ("hash", {"w": "2 degraded 250000"}, None),
        "stats": ("hash", {"2:degraded": "1", "2:load": "250000"}, None)})


def test_heartbeat_that_says_offline(scripts):
    scripts.register("w")
    assert scripts.heartbeat(scripts.beat_of("w", "offline", "0.5")) == "1"
    assert readable(scripts.state()) == one_worker(**{
        "worker:w": (*hash_of(status="offline", current_load="0.5"), REMOVED), "worker:w:online": None, "online": None,
        "offline": ("zset", {"w": float(NOW + REMOVED * 1000)}, None), "ledger": ("hash", {"w": "2 offline 0"}, None),
        "stats": ("hash", {"2:offline": "1"}, None), "service:rag": None})
    assert scripts.heartbeat(scripts.beat_of("w")) == "1"
    assert readable(scripts.state()) == one_worker()


def test_heartbeat_with_an_announced_silence(scripts):
    scripts.register("w")
    scripts.heartbeat(scripts.beat_of("w", silence=600_000))
    assert readable(scripts.state()) == one_worker(**{
        "worker:w": (*hash_of(), REMOVED + 300), "worker:w:online": ("string", "healthy", 600),
        "online": ("zset", {"w": float(NOW + 600_000)}, None)})


def test_heartbeats_of_many_and_of_one_twice(scripts):
    scripts.register("a")
    scripts.register("b")
    beats = [scripts.beat_of("a", load="0.5"), scripts.beat_of("nobody"), scripts.beat_of("b", "draining", "1"),
             scripts.beat_of("a", "degraded", "0.125", fields=["specialization", "rag"])]
    assert scripts.heartbeat(*beats, at=10) == "1011"
    state = readable(scripts.state())
    assert state["ledger"] == ("hash", {"a": "2 degraded 125000", "b": "2 draining 1000000"}, None)
    assert state["stats"] == ("hash", {"2:degraded": "1", "2:draining": "1", "2:load": "1125000"}, None)
    assert "worker:nobody" not in state
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
    assert state["service:ocr"] == state["service:rag"] == ("set", {"w"}, None)
    assert state["stats"] == ("hash", {"2:healthy": "1"}, None)
    invariants.assert_hold(scripts.dump())


def test_heartbeat_of_a_removed_worker_cleans_up_after_it(scripts):
    scripts.register("w", instance_id="i", advertised="ocr")
    assert scripts.heartbeat(scripts.beat_of("w"), at=REMOVED + 1) == "0"
    assert readable(scripts.state()) == {}


# -- unregister -----------------------------------------------------------------------------------------------------------------

def test_unregister_leaves_nothing(scripts):
    scripts.register("w", instance_id="i", tunnel_url="t", advertised="ocr")
    assert scripts.unregister("w") == "1"
    assert readable(scripts.state()) == {}


def test_unregister_touches_nobody_else(scripts):
    scripts.register("w")
    before = readable(scripts.state())
    scripts.register("v", advertised="ocr", instance_id="i")
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
    assert scripts.state()["identity"] == ("hash", {"instance:i": "b"}, None)


def test_unregister_of_nobody_is_an_error(scripts):
    with pytest.raises(redis_library.ResponseError, match="^NOTFOUND"):
        scripts.unregister("nobody")
    assert scripts.state() == {}


def test_unregister_of_a_removed_worker_cleans_up_and_is_an_error(scripts):
    scripts.register("w", instance_id="i")
    scripts.at(REMOVED + 1)
    with pytest.raises(redis_library.ResponseError, match="^NOTFOUND"):
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
    assert more is False and zero(counters) == {"2:healthy": 1, "1:degraded": 1, "1:load": 500_000}


def test_stats_moves_the_silent_offline_on_time(scripts):
    scripts.register("w", at=0)
    before = scripts.dump()
    scripts.stats(at=OFFLINE - 0.5)
    assert scripts.dump() == before
    assert zero(scripts.stats(at=OFFLINE + 0.1)[1]) == {"2:offline": 1}
    invariants.assert_hold(scripts.dump())
    assert zero(scripts.stats(at=REMOVED - 0.5)[1]) == {"2:offline": 1}
    assert zero(scripts.stats(at=REMOVED + 0.1)[1]) == {}
    assert readable(scripts.state()) == {}


def test_stats_removes_what_went_from_online_to_gone(scripts):
    scripts.register("w", instance_id="i", advertised="ocr")
    assert zero(scripts.stats(at=REMOVED + 1)[1]) == {}
    assert readable(scripts.state()) == {}


def test_stats_moves_on_a_bounded_number(scripts):
    for number in range(25):
        scripts.register(f"w{number}")
    assert scripts.stats(at=OFFLINE + 1, most=10)[0] is True
    assert scripts.redis.zcard("{rma}:offline") == 10
    assert scripts.stats(at=OFFLINE + 1, most=10)[0] is True
    more, counters = scripts.stats(at=OFFLINE + 1, most=10)
    assert more is False and zero(counters) == {"2:offline": 25}
    invariants.assert_hold(scripts.dump())


# -- a ledger that somebody else has written to -------------------------------------------------------------------------------------

UNREADABLE_ENTRIES = ["", "nonsense", "2", "2 healthy", "2 healthy x", "2 healthy -1", "2 healthy 1.5", "2 sick 0", "0 healthy 0", "5 healthy 0",
                      "22 healthy 0", "2 healthy 0 more", "2 healthy 1000001", "2 healthy 99999999999999999999", "healthy 2 0"]


def poison(scripts, worker_id, entry):
    """Somebody's redis-cli."""
    scripts.redis.hset("{rma}:ledger", worker_id, entry)


def counters_of_tier_2(scripts, at=0):
    return {name: value for name, value in zero(scripts.stats(at)[1]).items() if name.startswith("2:")}


@pytest.mark.parametrize("entry", UNREADABLE_ENTRIES)
def test_every_operation_gets_over_an_unreadable_ledger_entry(scripts, entry):
    """What the counters held of that worker (of tier 1) can't be told any more; all others are counted right, whatever is done."""
    def register_poisoned():
        scripts.register("bad", tier=1, catalogue="vllm")
        poison(scripts, "bad", entry)

    scripts.register("a")
    scripts.register("b")
    register_poisoned()
    assert scripts.heartbeat(scripts.beat_of("a", "degraded", "0.5"), scripts.beat_of("bad"), scripts.beat_of("b", load="0.25")) == "111"
    assert scripts.state()["ledger"][1] == {"a": "2 degraded 500000", "b": "2 healthy 250000", "bad": "1 healthy 0"}
    assert counters_of_tier_2(scripts) == {"2:healthy": 1, "2:degraded": 1, "2:load": 750_000}
    register_poisoned()
    assert scripts.register("bad", tier=1, catalogue="vllm")[:2] == ("bad", True)
    assert scripts.state()["ledger"][1]["bad"] == "1 healthy 0"
    register_poisoned()
    assert scripts.unregister("bad") == "1"
    assert not any("bad" in value for _, value, _ in scripts.state().values())
    register_poisoned()
    scripts.sweep(OFFLINE + 1)
    assert scripts.state()["ledger"][1] == {"a": "2 offline 0", "b": "2 offline 0", "bad": "1 offline 0"}
    assert counters_of_tier_2(scripts, OFFLINE + 1) == {"2:offline": 2}
    poison(scripts, "bad", entry)
    scripts.sweep(REMOVED + 1)
    assert counters_of_tier_2(scripts, REMOVED + 1) == {}
    assert not any("bad" in value for _, value, _ in scripts.state().values())


def test_a_worker_with_an_unreadable_ledger_entry_comes_back_from_offline(scripts):
    scripts.register("w")
    scripts.sweep(OFFLINE + 1)
    poison(scripts, "w", "nonsense")
    assert scripts.heartbeat(scripts.beat_of("w"), at=OFFLINE + 2) == "1"
    state = scripts.state()
    assert state["ledger"][1] == {"w": "2 healthy 0"} and set(state["online"][1]) == {"w"} and "offline" not in state
    assert state["service:rag"][1] == {"w"}
    scripts.sweep(REMOVED + 1)
    assert scripts.heartbeat(scripts.beat_of("w"), at=REMOVED + 2) == "1", "it was offline, but must not be removed before its time"


def test_a_worker_whose_tier_nobody_can_tell_has_to_register_anew_and_holds_up_nobody(scripts):
    scripts.register("w")
    before = readable(scripts.state())
    scripts.register("bad", tier=2, catalogue="ocr")
    poison(scripts, "bad", "nonsense")
    scripts.redis.hset("{rma}:worker:bad", "tier", "nonsense")
    assert scripts.heartbeat(scripts.beat_of("bad"), scripts.beat_of("w")) == "01"
    state = readable(scripts.state())
    assert state.pop("stats") and before.pop("stats")  # the tier that it was counted under can't be told
    assert state == before


@pytest.mark.parametrize("index", ["online", "offline"])
@pytest.mark.parametrize("entry", UNREADABLE_ENTRIES)
def test_an_unreadable_ledger_entry_of_nobody_is_swept_away(scripts, entry, index):
    scripts.register("w")
    before = readable(scripts.state())
    poison(scripts, "ghost", entry)
    scripts.redis.zadd("{rma}:" + index, {"ghost": 0})
    scripts.sweep(0)
    assert readable(scripts.state()) == before


def test_heartbeat_and_unregister_of_nobody_with_an_unreadable_ledger_entry(scripts):
    scripts.register("w")
    before = readable(scripts.state())
    poison(scripts, "ghost", "nonsense")
    assert scripts.heartbeat(scripts.beat_of("ghost"), scripts.beat_of("w")) == "01"
    assert readable(scripts.state()) == before
    poison(scripts, "ghost", "nonsense")
    with pytest.raises(redis_library.ResponseError, match="^NOTFOUND"):
        scripts.unregister("ghost")
    assert readable(scripts.state()) == before


# -- calls that are wrong ---------------------------------------------------------------------------------------------------------

GOOD = {"now": NOW, "timeout": 300_000, "removal": 1_500_000, "candidate": "c", "worker_id": "w", "instance_id": "", "tunnel_url": "",
        "tier": "2", "advertised": "", "catalogue": "rag", "also": "", "max_services": "1", "max": 100}
NUMBERS = {"register": ("now", "timeout", "removal", "tier", "max_services"), "heartbeat": ("now", "timeout", "removal"),
           "stats": ("now", "max")}


def assert_refused(scripts, name, keys, args):
    before = scripts.dump()
    with pytest.raises(redis_library.ResponseError, match="^BADCALL"):
        scripts.call_raw(name, keys, args)
    assert scripts.dump() == before, f"{name} {args} was refused, but changed something"


@pytest.mark.parametrize("name", ["register", "heartbeat", "unregister", "stats"])
def test_wrong_numbers_of_keys_and_arguments_are_refused(scripts, name):
    scripts.register("w")
    keys, (_, names) = scripts.full_keys(name), scripts.interface(name)
    args = [GOOD[argument] for argument in names]
    for wrong in (keys[:-1], [*keys, "{rma}:more"], []):
        assert_refused(scripts, name, wrong, args)
    assert_refused(scripts, name, keys, args[:-1])
    assert_refused(scripts, name, keys, [])
    assert_refused(scripts, name, keys, [*args, "odd"])


@pytest.mark.parametrize("bad", ["x", "1x", "nan", ""])
@pytest.mark.parametrize("name, argument", [(name, argument) for name, numbers in NUMBERS.items() for argument in numbers])
def test_arguments_that_are_no_numbers_are_refused(scripts, name, argument, bad):
    if (argument, bad) == ("now", ""):
        return  # means Redis's own time
    scripts.register("w")
    args = [bad if each == argument else GOOD[each] for each in scripts.interface(name)[1]]
    assert_refused(scripts, name, scripts.full_keys(name), args + (Scripts.beat_of("w") if name == "heartbeat" else []))


@pytest.mark.parametrize("beats", [
    ["w"], ["w", "healthy"], ["w", "healthy", "0", "0"], ["w", "healthy", "x", "0", "0"], ["w", "healthy", "0", "x", "0"],
    ["w", "healthy", "0", "0", "x"], ["w", "healthy", "0", "0", "1", "field"], ["w", "healthy", "0", "0", "2", "field"],
    ["w", "healthy", "0", "0", "-2"], ["w", "healthy", "nan", "0", "0"], ["w", "healthy", "0", "nan", "0"],
    ["w", "healthy", "0", "0", "0", "w", "healthy", "0", "0", "4", "a", "b"],
    ["w", "degraded", "0.5", "0", "0", "w", "healthy", "bad", "0", "0"]], ids=" ".join)
def test_malformed_heartbeats_are_refused_whole(scripts, beats):
    scripts.register("w")
    names = scripts.interface("heartbeat")[1]
    assert_refused(scripts, "heartbeat", scripts.full_keys("heartbeat"), [GOOD[each] for each in names] + beats)


@pytest.mark.parametrize("status, load", [
    ("sick", "0"), ("online", "0"), ("", "0"), ("Healthy", "0"), ("healthy", "-0.01"), ("healthy", "1.01"), ("healthy", "1e9"),
    ("healthy", ""), ("healthy", "inf"), ("healthy", "-inf")])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_malformed_heartbeat_of_a_batch_changes_nothing(scripts, status, load, place):
    for worker_id in ("a", "b", "c"):
        scripts.register(worker_id)
    beats = [scripts.beat_of(worker_id, "degraded", "0.5", fields=["specialization", "rag"]) for worker_id in ("a", "b", "c")]
    args = [GOOD[each] for each in scripts.interface("heartbeat")[1]]
    keys = scripts.full_keys("heartbeat")
    beats[place][1:3] = [status, load]
    assert_refused(scripts, "heartbeat", keys, args + sum(beats, []))
    beats[place][1:3] = ["degraded", "1"]
    assert scripts.call_raw("heartbeat", keys, args + sum(beats, [])) == "111"


@pytest.mark.parametrize("changes", [{"tier": "0"}, {"tier": "5"}, {"tier": "22"}, {"candidate": "", "worker_id": ""}])
def test_malformed_registrations_are_refused(scripts, changes):
    scripts.register("v")
    names = scripts.interface("register")[1]
    assert_refused(scripts, "register", scripts.full_keys("register"), [{**GOOD, **changes}[each] for each in names])


def test_every_script_states_its_interface(scripts):
    assert {"register", "heartbeat", "unregister", "stats"} <= set(scripts.names())
    for name in scripts.names():
        keys, args = scripts.interface(name)
        assert len(set(keys)) == len(keys) and len(set(args)) == len(args)


def test_redis_own_clock_counts_when_no_time_is_passed_in(scripts):
    scripts.at(0)
    names = scripts.interface("register")[1]
    scripts.call_raw("register", scripts.full_keys("register"), [{**GOOD, "now": ""}[each] for each in names])
    assert 0 <= int(scripts.redis.hget("{rma}:worker:w", "last_heartbeat")) - NOW < 1000
    invariants.assert_hold(scripts.dump())
