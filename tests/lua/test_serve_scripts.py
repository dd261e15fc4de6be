"""What a coordinator asks before it serves: the format of what is there."""

import pytest
import redis as redis_library

import invariants
from scripts import Scripts

OFFLINE, REMOVED = 300, 1800


def serve(scripts, at=0, **args):
    """One call; returns (whether there is more to do, from which format all has been brought forward)"""
    scripts.at(at)
    more, forward = scripts.call("serve", **{"format": 1, "beside": 0, "instance": "a", "max": 100, **args})
    return more == "1", forward


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
    assert scripts.redis.get("{rma}:format") == "1" and not scripts.redis.exists("{rma}:life")
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
