"""One id that two machines use in turn: both are served, and people are told."""

import pytest

import invariants
from event_stream import EventStream, assert_as_documented

HARDWARE = {"a": {"cpu_cores": 8, "ram": "15.6GB"}, "b": {"cpu_cores": 64, "ram": "251GB"}}


class Machine:
    """One of several that have the same id."""

    def __init__(self, coordinator, address, **body):
        self.coordinator, self.headers, self.body = coordinator, {"X-Forwarded-For": address}, body

    def register(self):
        answer = self.coordinator.post("/api/worker/register", {"capabilities": {}, **self.body}, self.headers)
        assert answer.status == 200, answer
        self.id = answer.json["worker_id"]
        return self

    def beat(self, **said):
        answer = self.coordinator.post("/api/worker/heartbeat", {"worker_id": self.id, **said}, self.headers)
        assert answer.status == 200, answer


@pytest.fixture
def fleet(clock, start_redis, start_coordinator):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis, clock=clock, TRUST_PROXY=1)
    coordinator.redis, coordinator.clock = redis, clock
    return coordinator


def told(coordinator):
    """How often conflicts were told, as the metrics have it."""
    lines = [line for line in coordinator.get("/metrics").body.decode().splitlines()
             if line.startswith('rma_worker_events_total{event="conflict"')]
    assert len(lines) == 2
    return sum(float(line.split()[-1]) for line in lines)


def assert_conflict(coordinator, worker_id="w", reason="registered"):
    row = coordinator.worker(worker_id)
    assert set(row["conflict"]) == {"since", "last_seen", "count"} and row["conflict"]["count"] >= 1
    assert coordinator.workers()[worker_id]["conflict"] == row["conflict"] and row["status"] == "healthy"
    assert told(coordinator) == 1, "told once"
    line, = [line for line in coordinator.log_lines() if line["event"] == "worker"]
    assert (line["level"], line["worker_id"], line["reason"]) == ("warn", worker_id, reason)
    invariants.assert_hold(coordinator.redis.dump())


def assert_none(coordinator):
    assert all(row["conflict"] is None for row in coordinator.workers().values())
    assert told(coordinator) == 0
    invariants.assert_hold(coordinator.redis.dump())


@pytest.mark.parametrize("identity", [{"worker_id": "w"}, {"instance_id": "i"}])
@pytest.mark.parametrize("address", ["198.51.100.1", "198.51.100.2"])
def test_two_boot_ids_in_turn(fleet, identity, address):
    one, two = Machine(fleet, "198.51.100.1", boot_id="one", **identity), Machine(fleet, address, boot_id="two", **identity)
    with EventStream(fleet.port) as stream:
        for _ in range(3):
            for machine in (one, two):
                machine.register().beat()
                fleet.clock.advance(20)
        stream.wait_for(lambda stream: any(kind == "conflict" for kind, *_ in stream.workers))
        assert_as_documented(stream)
    assert one.id == two.id
    assert_conflict(fleet, one.id)


def test_other_hardware_in_turn(fleet):
    one = Machine(fleet, "198.51.100.1", worker_id="w", capabilities=HARDWARE["a"])
    two = Machine(fleet, "198.51.100.1", worker_id="w", capabilities=HARDWARE["b"])
    for machine in (one, two, one, two):
        machine.register().beat()
        fleet.clock.advance(30)
    assert_conflict(fleet)


def test_a_conflict_ends_when_it_is_not_seen_any_more(fleet):
    one, two = (Machine(fleet, "198.51.100.1", worker_id="w", boot_id=boot) for boot in ("one", "two"))
    for machine in (one, two, one):
        machine.register()
    assert fleet.worker("w")["conflict"]["count"] == 1
    for _ in range(13):
        fleet.clock.advance(290)
        one.beat()
    assert fleet.worker("w")["conflict"] is None
    two.register()
    assert fleet.worker("w")["conflict"]["count"] == 1
    assert told(fleet) == 2


# -- what is none ------------------------------------------------------------------------------------------------------------------

def test_restarts_are_none(fleet):
    for boot in range(10):
        Machine(fleet, "198.51.100.1", worker_id="w", boot_id=f"boot-{boot}").register().beat()
        fleet.clock.advance(30)
    assert_none(fleet)


def test_registering_again_is_none(fleet):
    machine = Machine(fleet, "198.51.100.1", worker_id="w", boot_id="one")
    for _ in range(5):
        machine.register().beat()
    assert_none(fleet)


def test_new_hardware_is_none(fleet):
    for hardware in ("a", "b", "b"):
        Machine(fleet, "198.51.100.1", worker_id="w", capabilities=HARDWARE[hardware]).register().beat()
        fleet.clock.advance(30)
    assert_none(fleet)


def test_hardware_that_fails_and_works_again_days_later_is_none(fleet):
    for hardware in ("a", "b"):
        machine = Machine(fleet, "198.51.100.1", worker_id="w", capabilities=HARDWARE[hardware]).register()
        for _ in range(14):
            fleet.clock.advance(290)
            machine.beat()
    Machine(fleet, "198.51.100.1", worker_id="w", capabilities=HARDWARE["a"]).register()
    assert_none(fleet)


def test_an_id_that_is_used_after_the_other_machine_is_silent_is_none(fleet):
    one, two = (Machine(fleet, "198.51.100.1", worker_id="w", boot_id=boot) for boot in ("one", "two"))
    for machine in (one, two, one, two):
        machine.register().beat()
        fleet.clock.advance(400)
    assert_none(fleet)


# -- by heartbeats -----------------------------------------------------------------------------------------------------------------

def beat_in_turn(fleet, machines, times, seconds):
    for _ in range(times):
        for machine in machines:
            machine.beat()
            fleet.clock.advance(seconds)


def test_heartbeats_of_two_machines(fleet):
    """Both have registered once, and go on beating: so does the field's agent."""
    one = Machine(fleet, "198.51.100.1", worker_id="w", boot_id="one").register()
    two = Machine(fleet, "198.51.100.2", worker_id="w", boot_id="two").register()
    beat_in_turn(fleet, [one, two], 2, 15)
    assert_conflict(fleet, reason="heartbeat")
    beat_in_turn(fleet, [one, two], 3, 15)
    assert_conflict(fleet, reason="heartbeat")
    assert fleet.worker("w")["conflict"]["count"] > 1


def test_a_laptop_that_moves_is_none(fleet):
    home, away = (Machine(fleet, address, worker_id="w", boot_id="one") for address in ("198.51.100.1", "203.0.113.9"))
    home.register()
    beat_in_turn(fleet, [home], 3, 30)
    away.id = home.id
    beat_in_turn(fleet, [away], 3, 30)
    Machine(fleet, "203.0.113.9", worker_id="w", boot_id="two").register()
    beat_in_turn(fleet, [away], 3, 30)
    beat_in_turn(fleet, [home], 3, 30)
    assert fleet.worker("w")["ip_address"] == "198.51.100.1"
    assert_none(fleet)


def test_a_worker_with_two_ways_to_the_internet_is_none(fleet):
    one = Machine(fleet, "198.51.100.1", worker_id="w", boot_id="one").register()
    other_way = Machine(fleet, "2001:db8::1", worker_id="w", boot_id="one")
    other_way.id = one.id
    beat_in_turn(fleet, [one, other_way], 5, 30)
    assert_none(fleet)


def test_one_that_restarts_elsewhere_while_its_last_heartbeat_is_under_way_is_none(fleet):
    old = Machine(fleet, "198.51.100.1", worker_id="w", boot_id="one").register()
    new = Machine(fleet, "198.51.100.2", worker_id="w", boot_id="two").register()
    old.beat()
    beat_in_turn(fleet, [new], 5, 30)
    assert_none(fleet)
