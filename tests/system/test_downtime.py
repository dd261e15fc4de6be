"""Time in which Redis was not running counts for nobody: no worker is offline, removed or forgotten for it, and nobody is told so."""

from datetime import datetime

import pytest

import invariants
from waiting import wait_until

MINUTE, HOUR = 60, 3600


class Fleet:
    """A Redis under a moved clock, coordinators on it, and what was told of their workers."""

    def __init__(self, clock, redis, make):
        self.clock, self.redis, self._make = clock, redis, make
        self.coordinators = []

    def start(self, **settings):
        self.coordinators.append(self._make(self.redis, clock=self.clock, THREADS=1, **settings).start().wait_until_ready())
        return self.coordinators[-1]

    def wait_for_sign(self):
        """Until a coordinator has left a sign of life of this moment."""
        wait_until(lambda: self.clock.now_ms() - float(self.redis.client.hget("{rma}:life", "at")) < 1500, within=5)

    def outage(self, seconds):
        self.wait_for_sign()
        self.redis.kill()
        self.clock.advance(seconds)
        self.redis.restart()
        for coordinator in self.coordinators:
            coordinator.wait_until_ready()

    def told(self):
        return [(entry["event"], entry["reason"], entry["worker_id"]) for _, entry in self.redis.client.xrange("{rma}:events")
                if entry["event"] != "registered"]

    def seconds_left(self, worker_id):
        return self.redis.client.pttl(f"{{rma}}:worker:{worker_id}:online") / 1000


@pytest.fixture
def fleet(clock, start_redis, make_coordinator):
    return Fleet(clock, start_redis(clock=clock), make_coordinator)


def fill(fleet, coordinator):
    """Workers of each kind, some of them silent for a while; returns how each is listed."""
    coordinator.register("full", tunnel_url="https://full.example", instance_id="full-i")
    coordinator.register("drained")
    coordinator.post("/api/worker/drained/drain", {"reason": "disk"})
    coordinator.register("announced")
    coordinator.register("degraded", services=[{"name": "ocr"}])
    coordinator.beat("full", status="healthy", current_load=0.25, active_requests=3, loaded_models=["Llama3:latest", 'a"b\\c'],
                     specialization="rag", available_memory="9.8GB")
    coordinator.beat("degraded", status="degraded", services_status={"ocr": "down"})
    coordinator.register("silent")
    coordinator.register("says-offline")
    coordinator.beat("says-offline", status="offline")
    fleet.clock.advance(200)
    for worker_id in ("full", "drained", "degraded"):
        coordinator.beat(worker_id)
    coordinator.beat("announced", expect_silence=1200)
    fleet.clock.advance(101)
    for worker_id in ("full", "drained", "degraded"):
        coordinator.beat(worker_id)
    wait_until(lambda: coordinator.worker("silent")["status"] == "offline", within=5)
    assert coordinator.stats()["offline_workers"] == 2
    return coordinator.workers()


KEPT = ["status", "tier", "assigned_services", "services", "capabilities", "registered_at", "active_requests", "current_load", "drained"]


def moment(row):
    return datetime.fromisoformat(row["last_heartbeat"]).timestamp()


@pytest.mark.parametrize(("seconds", "words"), [(2, "2 s"), (6 * MINUTE + 12, "6 min 12 s"), (45 * MINUTE, "45 min"), (25 * HOUR, "1 d 1 h")])
def test_an_outage_is_charged_to_nobody(fleet, seconds, words):
    first, second = fleet.start(), fleet.start()
    before = fill(fleet, first)
    told = fleet.told()
    fleet.wait_for_sign()
    left = {worker_id: fleet.seconds_left(worker_id) for worker_id in before}
    fleet.outage(seconds)
    after = second.workers()
    assert {worker_id: {name: row[name] for name in KEPT} for worker_id, row in after.items()} == \
        {worker_id: {name: row[name] for name in KEPT} for worker_id, row in before.items()}
    for worker_id in before:
        # of a hash that is made anew, the index knows the heartbeat to half of the timeout
        known_to = 150 if seconds > 30 * MINUTE else 0
        if worker_id != "announced" or not known_to:
            assert moment(before[worker_id]) - known_to <= moment(after[worker_id]) <= moment(before[worker_id])
        assert left[worker_id] - 4 < fleet.seconds_left(worker_id) < left[worker_id] + 3, worker_id
    assert fleet.told() == told
    assert (second.stats()["offline_workers"], second.stats()["total_workers"]) == (2, 6)
    invariants.assert_hold(fleet.redis.dump(everything=True))
    lines = [line for coordinator in (first, second) for line in coordinator.log_lines() if line["event"] == "downtime"]
    assert len(lines) == 1 and lines[0]["workers"] == 4 and abs(lines[0]["seconds"] - seconds) <= 2
    for coordinator in (first, second):
        downtime = coordinator.get("/health").json["redis"]["downtime"]
        assert downtime["detail"] == lines[0]["message"] and downtime["workers"] == 4
        if seconds > MINUTE:
            assert f"moved 4 workers' deadlines by {words[:3]}" in downtime["detail"]
    for worker_id in before:
        assert "revived" not in second.beat(worker_id)
    assert second.worker("full")["status"] == "healthy"
    invariants.assert_hold(fleet.redis.dump(everything=True))
