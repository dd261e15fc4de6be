"""Which worker gets a request: what the script chooses, what it leaves, and what becomes of it when somebody dies."""

import collections

import pytest

from scripts import NOW, PREFIX


def add(scripts, *ids, services="llm", load="0", models="", at=0, status="healthy", fields=(), **args):
    for worker_id in ids:
        scripts.register(worker_id, at=at, advertised=services, fields=["services", "[]", *fields], **args)
        scripts.heartbeat(scripts.beat_of(worker_id, load=load, models=models, status=status, active="0" if models else ""), at=at)


def ranks(scripts, index):
    return dict(scripts.redis.zrange(PREFIX + index, 0, -1, withscores=True))


def test_requests_are_spread_evenly(scripts, routes):
    add(scripts, *[f"w{number}" for number in range(8)])
    chosen = routes.choose("llm", count=64)
    assert set(collections.Counter(choice.worker for choice in chosen).values()) == {8}
    assert routes.in_flight() == {f"w{number}": 8 for number in range(8)}
    for choice in chosen:
        assert routes.release(choice) == "1"
        assert routes.release(choice) == "0", "a lease ends once"
    assert routes.in_flight() == {}
