"""Many serving threads in one process."""

import invariants
from load import Load
from waiting import let_pass


def test_many_threads_that_look_for_redis_at_once(make_coordinator, redis):
    """All of them resolve its name and connect again and again, at the same moments; none disturbs another."""
    redis.kill()
    coordinators = [make_coordinator(redis, THREADS=64).start() for _ in range(4)]
    let_pass(4)
    assert all(coordinator.is_running() for coordinator in coordinators)
    redis.restart()
    for coordinator in coordinators:
        coordinator.wait_until_ready()


def test_load_on_many_threads(redis, start_coordinator):
    coordinator = start_coordinator(redis, THREADS=16)
    load = Load([coordinator], threads=8, pause=0)
    with load.running():
        let_pass(1)
    assert load.failures == []
    load.assert_nothing_acknowledged_is_lost(coordinator)
    invariants.assert_hold(redis.dump())
