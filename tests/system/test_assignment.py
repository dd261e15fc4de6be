"""Who provides what: least covered first, decided atomically, so that any number of registrations at once stay in balance."""

import threading
from collections import Counter

import pytest

import invariants
from coordinator import CAPABILITIES, GPU_CAPABILITIES

SERVICES = {1: ["vllm", "vision"], 2: ["rag", "notes", "ner", "upload", "client-rag", "doc-processor"],
            3: ["postgres", "neo4j", "redis"], 4: ["edge-proxy"]}
# Ties go by priority, then by name.
ORDER = {1: ["vision", "vllm"], 2: ["rag", "ner", "notes", "upload", "client-rag", "doc-processor"],
         3: ["postgres", "neo4j", "redis"], 4: ["edge-proxy"]}
OF_TIER = {1: GPU_CAPABILITIES, 2: CAPABILITIES, 3: {"worker_type": "storage"}, 4: {"worker_type": "edge"}}


@pytest.mark.parametrize("tier", [1, 2, 3, 4])
def test_the_first_workers_cover_the_tier_by_priority_and_name(coordinator, tier):
    rounds = 2
    got = [coordinator.register(capabilities=OF_TIER[tier])["assigned_services"] for _ in range(rounds * len(ORDER[tier]))]
    assert got == [[name] for name in ORDER[tier] * rounds]


def test_many_at_once_through_three_instances_differ_by_at_most_one(redis, three_coordinators):
    barrier = threading.Barrier(8)
    failures = []

    def register(index):
        with three_coordinators[index % 3].connection() as connection:
            connection.request("GET", "/livez")
            barrier.wait()
            for number in range(25):
                tier = (number + index) % 4 + 1
                response = connection.request("POST", "/api/worker/register", {"capabilities": OF_TIER[tier]})
                if response.status != 200 or response.json["tier"] != tier:
                    failures.append(response)

    threads = [threading.Thread(target=register, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    rows = three_coordinators[0].workers().values()
    assert len(rows) == 200
    for tier, names in SERVICES.items():
        counts = Counter(service for row in rows if row["tier"] == tier for service in row["assigned_services"])
        assert set(counts) == set(names)
        assert max(counts.values()) - min(counts.values()) <= 1, counts
    invariants.assert_hold(redis.dump())


def test_a_worker_that_leaves_frees_its_place(coordinator):
    for name in ORDER[2]:
        coordinator.register(f"w-{name}")
    coordinator.unregister("w-upload")
    assert coordinator.register("newcomer")["assigned_services"] == ["upload"]
    coordinator.beat("w-notes", status="offline")
    assert coordinator.register("newcomer-2")["assigned_services"] == ["notes"], "an offline worker provides nothing"


def test_a_worker_that_time_took_frees_its_place(clock, start_redis, start_coordinator):
    coordinator = start_coordinator(start_redis(clock=clock), clock=clock)
    for name in ORDER[2]:
        coordinator.register(f"w-{name}")
    clock.advance(200)
    for name in ORDER[2]:
        if name != "ner":
            coordinator.beat(f"w-{name}")
    clock.advance(200)
    assert coordinator.register("newcomer")["assigned_services"] == ["ner"]


def test_nobody_is_moved_by_another_ones_arrival_or_leaving(coordinator):
    before = {}
    for number in range(8):
        before[f"w-{number}"] = coordinator.register(f"w-{number}")["assigned_services"]
    coordinator.unregister("w-0")
    coordinator.register("late-1")
    coordinator.register("late-2")
    rows = coordinator.workers()
    assert all(rows[worker_id]["assigned_services"] == services for worker_id, services in before.items() if worker_id != "w-0")


def test_an_advertised_service_counts_as_provided(coordinator):
    coordinator.register("edge", {"worker_type": "edge"}, services=[{"name": "rag"}, "ner"])
    assert coordinator.register("w")["assigned_services"] == ["notes"]


def test_a_small_fleet_covers_more_when_allowed(redis, start_coordinator):
    coordinator = start_coordinator(redis, MAX_SERVICES_PER_WORKER=8)
    first = coordinator.register("first", GPU_CAPABILITIES)
    assert first["assigned_services"][:2] == ["vision", "vllm"]
    assert set(first["assigned_services"]) == set(SERVICES[1] + SERVICES[2])
    assert len(first["assigned_containers"]) == len(first["service_configs"]) == 8
    assert first["message"] == "Worker registered with 8 service(s)"
    second = coordinator.register("second")
    assert second["assigned_services"] == ["rag"], "all is provided: one service, the least covered by priority"
    assert coordinator.worker("first")["assigned_services"] == first["assigned_services"]
    invariants.assert_hold(redis.dump())
