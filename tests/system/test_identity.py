"""Registering twice makes no duplicate, whoever is asked and however many ask at once."""

import threading

import pytest

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
