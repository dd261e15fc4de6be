"""Registering twice makes no duplicate, whoever is asked and however many ask at once."""

import copy
import itertools
import threading

import pytest

import agents
import invariants
from coordinator import GPU_CAPABILITIES

IDENTITIES = {
    "worker_id": {"worker_id": "stable"},
    "instance_id": {"instance_id": "pod-7"},
    "tunnel_url": {"tunnel_url": "https://x.trycloudflare.com"},
}


@pytest.mark.parametrize("identity", IDENTITIES)
def test_registering_again_is_the_same_worker(redis, coordinator, identity):
    first = coordinator.register(**IDENTITIES[identity])
    second = coordinator.register(**IDENTITIES[identity])
    assert first["reregistered"] is False and second["reregistered"] is True
    assert first["worker_id"] == second["worker_id"]
    assert coordinator.workers().keys() == {first["worker_id"]}
    assert coordinator.stats()["total_workers"] == 1
    invariants.assert_hold(redis.dump())


@pytest.mark.parametrize("identity", IDENTITIES)
def test_ten_racing_requests_through_three_instances_make_one_worker(redis, three_coordinators, identity):
    for turn in range(5):
        body = {name: f"{value}-{turn}" for name, value in IDENTITIES[identity].items()}
        answers, barrier = [], threading.Barrier(10)

        def register(index):
            with three_coordinators[index % 3].connection() as connection:
                connection.request("GET", "/livez")
                barrier.wait()
                answers.append(connection.request("POST", "/api/worker/register", {"capabilities": {"cpu_cores": 2}, **body}))

        threads = [threading.Thread(target=register, args=(index,)) for index in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answer.status for answer in answers] == [200] * 10
        assert len({answer.json["worker_id"] for answer in answers}) == 1
        assert sorted(answer.json["reregistered"] for answer in answers) == [False] + [True] * 9
        assert len({tuple(answer.json["assigned_services"]) for answer in answers}) == 1
        assert len(three_coordinators[turn % 3].workers()) == turn + 1
    assert three_coordinators[0].stats()["total_workers"] == 5
    invariants.assert_hold(redis.dump())


def test_registered_at_and_tasks_and_assignment_are_kept(redis, coordinator):
    coordinator.register("other-1")
    first = coordinator.register("w")
    coordinator.register("other-2")
    redis.client.hset("{rma}:registration:w", "tasks_completed", 41)
    before = coordinator.worker("w")
    second = coordinator.register("w", ip_address="203.0.113.77")
    after = coordinator.worker("w")
    assert second["assigned_services"] == first["assigned_services"]
    assert second["assigned_containers"] == first["assigned_containers"]
    assert after["registered_at"] == before["registered_at"]
    assert after["tasks_completed"] == 41
    assert after["ip_address"] == "203.0.113.77", "what it says anew counts"


def test_an_assignment_that_no_longer_fits_is_replaced(redis, coordinator):
    first = coordinator.register("w")
    second = coordinator.register("w", GPU_CAPABILITIES)
    assert first["tier"] == 2 and second["tier"] == 1
    assert second["reregistered"] is True
    assert second["assigned_services"] == ["vision"] or second["assigned_services"] == ["vllm"]
    assert coordinator.stats()["by_tier"] == {"1": 1, "2": 0, "3": 0, "4": 0}
    invariants.assert_hold(redis.dump())


def test_what_a_worker_no_longer_advertises_is_gone(redis, coordinator):
    coordinator.register("w", services=[{"name": "ocr"}, {"name": "rag"}], tunnel_url="https://a.example")
    coordinator.register("w", services=[{"name": "translate"}], tunnel_url="https://b.example")
    assert coordinator.workers("?service=ocr") == {}
    assert coordinator.workers("?service=translate").keys() == {"w"}
    assert coordinator.worker("w")["tunnel_url"] == "https://b.example"
    assert coordinator.register(tunnel_url="https://a.example")["worker_id"] != "w"
    invariants.assert_hold(redis.dump())


def test_an_offline_worker_that_registers_again_is_online(redis, coordinator):
    coordinator.register("w")
    coordinator.beat("w", status="offline")
    assert coordinator.register("w")["reregistered"] is True
    assert coordinator.worker("w")["status"] == "healthy"
    invariants.assert_hold(redis.dump())


def test_worker_id_goes_before_instance_id_and_that_before_tunnel_url(redis, coordinator):
    one = coordinator.register("one", instance_id="i-1", tunnel_url="https://1.example")
    two = coordinator.register("two", instance_id="i-2", tunnel_url="https://2.example")
    assert coordinator.register("one", instance_id="i-2", tunnel_url="https://2.example")["worker_id"] == one["worker_id"]
    assert len(coordinator.workers()) == 2
    coordinator.register("one", instance_id="i-1", tunnel_url="https://1.example")
    coordinator.register("two", instance_id="i-2", tunnel_url="https://2.example")
    assert coordinator.register(instance_id="i-2", tunnel_url="https://1.example")["worker_id"] == two["worker_id"]
    assert len(coordinator.workers()) == 2
    invariants.assert_hold(redis.dump())


def test_two_instances_behind_one_tunnel_are_two_workers(redis, coordinator):
    first = coordinator.register(instance_id="i-1", tunnel_url="https://shared.example")
    second = coordinator.register(instance_id="i-2", tunnel_url="https://shared.example")
    assert first["worker_id"] != second["worker_id"]
    for _ in range(2):
        assert coordinator.register(instance_id="i-1", tunnel_url="https://shared.example")["worker_id"] == first["worker_id"]
        assert coordinator.register(instance_id="i-2", tunnel_url="https://shared.example")["worker_id"] == second["worker_id"]
    assert len(coordinator.workers()) == 2
    invariants.assert_hold(redis.dump())


def test_workers_that_give_no_identity_are_several(coordinator):
    """Identical containers behind one address, all of which beat."""
    made = {coordinator.register()["worker_id"] for _ in range(5)}
    assert len(made) == 5


def test_ids_that_look_like_parts_of_keys_are_ids_like_any_other(redis, coordinator):
    for worker_id in ["w:online", ":online"]:  # its key would be another worker's online key
        response = coordinator.post("/api/worker/register", {"worker_id": worker_id, "capabilities": {}})
        assert response.status == 422 and ":online" in response.json["errors"][0]["message"]
    ids = ["w", "w:online:x", "online", "offline", ":", "a" * 128]
    for worker_id in ids:
        coordinator.register(worker_id)
    for worker_id in ids:
        coordinator.beat(worker_id, current_load=0.5)
    assert coordinator.workers().keys() == set(ids)
    assert coordinator.stats()["healthy_workers"] == len(ids)
    for worker_id in ids:
        coordinator.unregister(worker_id)
    assert coordinator.workers() == {}
    assert coordinator.stats()["total_workers"] == 0


# -- workers that don't say who they are: by how they look ----------------------------------------------------------------------

NAMELESS = {name: body for name, body in agents.REGISTRATIONS.items() if "worker_id" not in body}
MISSED = 45  # seconds: one and a half heartbeat intervals


class Containers:
    """Identical containers of one kind of agent, behind one address unless told otherwise."""

    def __init__(self, kind, clock, redis, coordinator):
        self.clock, self.redis, self.coordinator = clock, redis, coordinator
        self._body = NAMELESS[kind]
        self._starts = itertools.count(1)

    def start(self, address="198.51.100.7", turn=lambda body: body):
        """A container starts and registers; returns the answer. A tunnel gets another URL at each start."""
        body = copy.deepcopy(self._body)
        if body.get("tunnel_url"):
            body["tunnel_url"] = body["ip_address"] = f"https://x{next(self._starts)}.trycloudflare.com"
        answer = self.coordinator.post("/api/worker/register", turn(body), {"X-Forwarded-For": address})
        assert answer.status == 200, answer
        return answer.json

    def pass_time(self, seconds, beating):
        """Lets time pass, in which some of them beat as they should."""
        while seconds > 0:
            step = min(seconds, 30)
            self.clock.advance(step)
            seconds -= step
            for worker_id in beating:
                self.coordinator.beat(worker_id)


@pytest.fixture(params=NAMELESS)
def containers(request, clock, start_redis, start_coordinator):
    redis = start_redis(clock=clock)
    return Containers(request.param, clock, redis, start_coordinator(redis, clock=clock, TRUST_PROXY=1))


def backwards(value):
    """The same JSON with the members of its objects in another order."""
    if isinstance(value, dict):
        return {name: backwards(item) for name, item in reversed(value.items())}
    return [backwards(item) for item in value] if isinstance(value, list) else value


def test_identical_containers_are_several_while_they_beat(containers):
    ids = [containers.start()["worker_id"] for _ in range(3)]
    assert len(set(ids)) == 3
    containers.pass_time(600, beating=ids)
    fourth = containers.start()
    assert fourth["reregistered"] is False and fourth["worker_id"] not in ids
    assert len(containers.coordinator.workers()) == 4
    invariants.assert_hold(containers.redis.dump())


@pytest.mark.parametrize("silence", [MISSED + 1, 400])
def test_one_that_has_missed_a_heartbeat_takes_its_id_back(containers, silence):
    ids = [containers.start()["worker_id"] for _ in range(3)]
    containers.pass_time(60, beating=ids)
    containers.pass_time(silence, beating=[ids[0], ids[2]])
    again = containers.start()
    assert (again["reregistered"], again["worker_id"]) == (True, ids[1])
    assert containers.coordinator.workers().keys() == set(ids)
    assert containers.start()["reregistered"] is False, "now all of them beat"
    invariants.assert_hold(containers.redis.dump())


def test_one_that_has_missed_none_yet_is_another_one(containers):
    first = containers.start()
    containers.clock.advance(MISSED - 5)
    assert containers.start()["worker_id"] != first["worker_id"]


def test_after_a_clean_unregister_it_is_a_new_worker(containers):
    first = containers.start()
    containers.coordinator.unregister(first["worker_id"])
    containers.clock.advance(MISSED + 1)
    second = containers.start()
    assert second["reregistered"] is False and second["worker_id"] != first["worker_id"]
    assert containers.redis.client.keys(f"*{first['worker_id']}*") == []
    invariants.assert_hold(containers.redis.dump())


def test_the_order_of_capabilities_makes_no_other_looks(containers):
    first = containers.start()
    containers.clock.advance(MISSED + 1)
    assert containers.start(turn=backwards)["worker_id"] == first["worker_id"]


def test_other_capabilities_are_another_worker(containers):
    first = containers.start()
    containers.clock.advance(MISSED + 1)
    other = containers.start(turn=lambda body: {**body, "capabilities": {**body["capabilities"], "cpu_cores": 3}})
    assert other["worker_id"] != first["worker_id"] and other["reregistered"] is False


def test_another_address_is_another_worker(containers):
    first = containers.start()
    containers.clock.advance(MISSED + 1)
    other = containers.start(address="198.51.100.8")
    assert other["worker_id"] != first["worker_id"] and other["reregistered"] is False
    assert containers.start()["worker_id"] == first["worker_id"]
    invariants.assert_hold(containers.redis.dump())


def test_ten_that_take_one_place_at_once_get_it_once(containers):
    first = containers.start()
    containers.clock.advance(MISSED + 1)
    answers, barrier = [], threading.Barrier(10)

    def start():
        barrier.wait()
        answers.append(containers.start())

    threads = [threading.Thread(target=start) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer["worker_id"] for answer in answers if answer["reregistered"]] == [first["worker_id"]]
    assert len({answer["worker_id"] for answer in answers}) == 10
    invariants.assert_hold(containers.redis.dump())


# -- boot_id ----------------------------------------------------------------------------------------------------------------------

def test_a_changed_boot_id_is_a_restart(coordinator):
    assert coordinator.register("w", boot_id="first")["restarted"] is False
    coordinator.beat("w", status="draining", current_load=0.5, active_requests=2)
    again = coordinator.register("w", boot_id="first")
    assert (again["reregistered"], again["restarted"]) == (True, False)
    assert (coordinator.worker("w")["status"], coordinator.worker("w")["current_load"]) == (
        "draining", 0.5), "it has only asked again"
    again = coordinator.register("w", boot_id="second")
    assert (again["reregistered"], again["restarted"]) == (True, True)
    worker = coordinator.worker("w")
    assert (worker["status"], worker["current_load"], worker["active_requests"]) == (
        "healthy", 0, None), "what the old one held is gone"


# -- those that look alike, once more ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("silence", [120, 600])
def test_an_announced_silence_is_not_taken_for_death(start_redis, start_coordinator, clock, silence):
    """A worker that loads a model says so: a container that looks just like it is another one meanwhile."""
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis)
    began = clock.now_ms()
    with clock.standing_at(began):
        first = coordinator.register()["worker_id"]
        coordinator.beat(first, expect_silence=silence)
    with clock.standing_at(began + (silence + 44) * 1000):
        second = coordinator.register()
    assert (second["worker_id"] != first, second["reregistered"]) == (True, False)
    clock.advance(2)
    coordinator.beat(second["worker_id"])
    third = coordinator.register()
    assert (third["worker_id"], third["reregistered"]) == (first, True), "now it has missed its heartbeat"


def test_one_of_hundreds_that_look_alike_takes_its_old_id(start_redis, start_coordinator, clock):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis)
    ids = [coordinator.register()["worker_id"] for _ in range(400)]
    assert len(set(ids)) == 400
    crashed = ids[237]
    for _ in range(2):
        clock.advance(25)
        coordinator.post("/api/worker/heartbeats",
                         {"heartbeats": [{"worker_id": worker_id} for worker_id in ids if worker_id != crashed]})
    back = coordinator.register()
    assert (back["worker_id"], back["reregistered"]) == (crashed, True)
    assert coordinator.register()["reregistered"] is False


def test_edge_nodes_beat_half_as_often(start_redis, start_coordinator, clock):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis)
    node = {"capabilities": {"cpu_cores": 4}, "services": ["edge-proxy"]}
    first = coordinator.post("/api/edge/register", node).json["worker_id"]
    clock.advance(80)
    second = coordinator.post("/api/edge/register", node).json["worker_id"]
    assert second != first
    clock.advance(15)
    assert coordinator.post("/api/edge/register", node).json["worker_id"] == first
