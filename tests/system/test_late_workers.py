"""Workers that come back late: after their removal by their mere heartbeat, within a day; and workers that operators drain."""

import threading

import pytest

import invariants
from waiting import wait_until

HOUR, DAY = 3600, 86400
REMOVED, OFFLINE = 1800, 300
KEPT = ["worker_id", "tier", "registered_at", "tasks_completed", "assigned_services", "services", "capabilities", "tunnel_url",
        "instance_id", "ip_address", "drained"]


@pytest.fixture
def fleet(clock, start_redis, make_coordinator):
    return Fleet(clock, start_redis(clock=clock), make_coordinator)


class Fleet:
    """A Redis under a moved clock, and one worker of which there is much to lose."""

    def __init__(self, clock, redis, make):
        self.clock, self.redis, self._make = clock, redis, make

    def start(self, **settings):
        return self._make(self.redis, clock=self.clock, **settings).start().wait_until_ready()

    def register(self, coordinator):
        coordinator.register("late", instance_id="late-instance", tunnel_url="https://late.example", services=[{"name": "ocr"}])
        coordinator.beat("late", status="degraded", current_load=0.5, loaded_models=["m"], active_requests=3)
        self.redis.client.hset("{rma}:registration:late", "tasks_completed", 41)
        return coordinator.worker("late")


def beat(coordinator, worker_id="late", **members):
    return coordinator.post("/api/worker/heartbeat", {"worker_id": worker_id, **members})


def assert_removed(coordinator, redis):
    assert coordinator.workers() == {}
    assert coordinator.get("/api/worker/late").status == 404
    wait_until(lambda: coordinator.stats()["total_workers"] == 0)
    invariants.assert_hold(redis.dump())


def assert_back(coordinator, redis, before):
    row = coordinator.worker("late")
    assert {name: row[name] for name in KEPT} == {name: before[name] for name in KEPT}
    assert row["status"] == "healthy"
    assert coordinator.workers("?service=ocr").keys() == {"late"}
    assert (coordinator.stats()["total_workers"], coordinator.stats()["healthy_workers"]) == (1, 1)
    assert coordinator.register(instance_id="late-instance", services=[{"name": "ocr"}])["worker_id"] == "late"
    invariants.assert_hold(redis.dump())


@pytest.mark.parametrize("silence", [REMOVED + 1, HOUR, DAY + REMOVED - 10])
def test_a_removed_worker_that_beats_is_back_as_it_was(fleet, silence):
    coordinator = fleet.start()
    before = fleet.register(coordinator)
    fleet.clock.advance(silence)
    assert_removed(coordinator, fleet.redis)
    answer = beat(coordinator)
    assert (answer.status, answer.json) == (200, {"status": "ok", "message": "Heartbeat received", "revived": True})
    assert "revived" not in beat(coordinator).json
    assert_back(coordinator, fleet.redis, before)


def test_the_same_when_no_coordinator_ran_meanwhile(fleet):
    first = fleet.start()
    before = fleet.register(first)
    first.stop()
    fleet.clock.advance(HOUR)
    second = fleet.start()
    assert beat(second).json["revived"] is True
    assert_back(second, fleet.redis, before)


@pytest.mark.parametrize("away", [0, HOUR])
def test_the_same_over_a_redis_that_was_killed(fleet, away):
    coordinator = fleet.start()
    before = fleet.register(coordinator)
    fleet.clock.advance(HOUR)
    assert_removed(coordinator, fleet.redis)
    fleet.redis.kill()
    fleet.clock.advance(away)
    fleet.redis.restart()
    coordinator.wait_until_ready()
    assert_removed(coordinator, fleet.redis)
    assert beat(coordinator).json["revived"] is True
    assert_back(coordinator, fleet.redis, before)


@pytest.mark.parametrize("seen", [True, False])
def test_a_day_after_its_removal_it_is_forgotten(fleet, seen):
    coordinator = fleet.start()
    fleet.register(coordinator)
    if seen:
        fleet.clock.advance(HOUR)
        assert_removed(coordinator, fleet.redis)
        fleet.clock.advance(DAY + REMOVED - HOUR + 1)
    else:
        coordinator.stop()
        fleet.clock.advance(DAY + REMOVED + 1)
        coordinator = fleet.start()
    assert beat(coordinator).status == 404
    assert_removed(coordinator, fleet.redis)
    assert fleet.redis.client.keys("*late*") == []


def test_without_revival_it_is_forgotten_at_once(fleet):
    coordinator = fleet.start(WORKER_REVIVE_SECONDS=0)
    fleet.register(coordinator)
    fleet.clock.advance(REMOVED + 1)
    assert beat(coordinator).status == 404
    assert_removed(coordinator, fleet.redis)
    assert fleet.redis.client.keys("*late*") == []
    assert coordinator.register("late")["reregistered"] is False


def test_the_time_is_a_setting(fleet):
    coordinator = fleet.start(WORKER_REVIVE_SECONDS=60)
    began = fleet.clock.now_ms()
    with fleet.clock.standing_at(began):
        fleet.register(coordinator)
    with fleet.clock.standing_at(began + (REMOVED + 59) * 1000):
        assert beat(coordinator).json["revived"] is True
    fleet.clock.advance(REMOVED + 61)
    assert beat(coordinator).status == 404


def test_a_worker_that_unregistered_is_not_brought_back(fleet):
    coordinator = fleet.start()
    fleet.register(coordinator)
    coordinator.unregister("late")
    assert beat(coordinator).status == 404
    fleet.register(coordinator)
    fleet.clock.advance(HOUR)
    assert_removed(coordinator, fleet.redis)
    assert coordinator.delete("/api/worker/unregister/late").status == 404
    assert beat(coordinator).status == 404, "it said, late, that it leaves"
    assert fleet.redis.client.keys("*late*") == []


def test_late_beats_through_two_coordinators_at_once_are_one_revival(fleet):
    coordinators = [fleet.start(), fleet.start()]
    before = fleet.register(coordinators[0])
    for turn in range(5):
        fleet.clock.advance(HOUR)
        answers, barrier = [], threading.Barrier(6)

        def late(coordinator):
            with coordinator.connection() as connection:
                connection.request("GET", "/livez")
                barrier.wait()
                answers.append(connection.request("POST", "/api/worker/heartbeat", {"worker_id": "late"}))

        threads = [threading.Thread(target=late, args=(coordinators[index % 2],)) for index in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answer.status for answer in answers] == [200] * 6
        assert ["revived" in answer.json for answer in answers].count(True) == 1, turn
        assert coordinators[turn % 2].stats()["total_workers"] == 1
        invariants.assert_hold(fleet.redis.dump())
    assert_back(coordinators[0], fleet.redis, before)


def test_an_announced_silence_moves_every_moment(fleet):
    coordinator = fleet.start()
    fleet.register(coordinator)
    coordinator.beat("late", expect_silence=3600)
    moments = []
    for key in ("{rma}:worker:late:online", "{rma}:worker:late"):
        moments.append(round(fleet.redis.client.pttl(key) / 1000))
    assert abs(moments[0] - HOUR) <= 3 and moments[1] - moments[0] == REMOVED - OFFLINE
    fleet.clock.advance(HOUR + REMOVED - OFFLINE - 10)
    assert coordinator.worker("late")["status"] == "offline"
    fleet.clock.advance(11)
    assert_removed(coordinator, fleet.redis)
    assert DAY - 10 < fleet.redis.client.ttl("{rma}:registration:late") <= DAY


# -- draining -----------------------------------------------------------------------------------------------------------------

def drain(coordinator, how="drain", worker_id="late"):
    return coordinator.post(f"/api/worker/{worker_id}/{how}")


def assert_drained(coordinator, redis):
    row = coordinator.worker("late")
    assert (row["status"], row["drained"], row["is_healthy"]) == ("draining", True, True)
    assert coordinator.workers("?status=draining")["late"]["drained"] is True
    assert coordinator.stats()["healthy_workers"] == 1
    invariants.assert_hold(redis.dump())


def test_a_drained_worker_is_draining_whatever_it_reports(fleet):
    coordinator = fleet.start()
    fleet.register(coordinator)
    assert coordinator.worker("late")["drained"] is False
    answer = drain(coordinator)
    assert (answer.status, answer.json) == (200, {"status": "ok", "message": "Worker late takes no new work"})
    assert_drained(coordinator, fleet.redis)
    for status in ("healthy", "degraded", "draining", "online"):
        coordinator.beat("late", status=status)
        assert_drained(coordinator, fleet.redis)
    coordinator.beat("late", status="offline")
    row = coordinator.worker("late")
    assert (row["status"], row["drained"]) == ("offline", True)
    coordinator.beat("late", status="degraded")
    answer = drain(coordinator, "undrain")
    assert (answer.status, answer.json) == (200, {"status": "ok", "message": "Worker late takes work again"})
    row = coordinator.worker("late")
    assert (row["status"], row["drained"]) == ("degraded", False)
    invariants.assert_hold(fleet.redis.dump())


def test_a_drain_outlives_registration_silence_restart_of_redis_and_removal(fleet):
    coordinator = fleet.start()
    fleet.register(coordinator)
    drain(coordinator)
    assert coordinator.register("late")["reregistered"] is True
    assert_drained(coordinator, fleet.redis)
    fleet.clock.advance(OFFLINE + 1)
    assert coordinator.worker("late")["status"] == "offline"
    coordinator.beat("late")
    assert_drained(coordinator, fleet.redis)
    fleet.redis.client.shutdown()  # an orderly one: what it has acknowledged is in its file
    fleet.redis.stop()
    fleet.redis.restart()
    coordinator.wait_until_ready()
    assert_drained(coordinator, fleet.redis)
    fleet.clock.advance(HOUR)
    assert_removed(coordinator, fleet.redis)
    assert beat(coordinator).json["revived"] is True
    assert_drained(coordinator, fleet.redis)
    fleet.clock.advance(HOUR)
    assert_removed(coordinator, fleet.redis)
    assert coordinator.register("late")["reregistered"] is True
    assert_drained(coordinator, fleet.redis)
    coordinator.unregister("late")
    coordinator.register("late")
    assert coordinator.worker("late")["drained"] is False, "a new worker"


@pytest.mark.parametrize("how", ["drain", "undrain"])
def test_draining_who_is_not_there(fleet, how):
    coordinator = fleet.start()
    assert drain(coordinator, how).status == 404
    fleet.register(coordinator)
    fleet.clock.advance(HOUR)
    assert drain(coordinator, how).status == 404, "removed"
    assert drain(coordinator, how, "x" * 129).status == 422
    assert drain(coordinator, how, "a%20b").status == 422
    assert drain(coordinator, how, "x:online").status == 422
    assert_removed(coordinator, fleet.redis)
