"""Who provides what: least covered first, decided atomically, so that any number of registrations at once stay in balance."""

import threading
from collections import Counter

import pytest

import invariants
from coordinator import CAPABILITIES, GPU_CAPABILITIES

SERVICES = {1: ["vllm", "vision"], 2: ["rag", "notes", "ner", "upload", "client-rag", "doc-processor"],
            3: ["postgres", "neo4j", "redis", "chromadb", "minio"], 4: ["edge-proxy"]}
# Ties go by priority, then by name.
ORDER = {1: ["vision", "vllm"], 2: ["rag", "ner", "notes", "upload", "client-rag", "doc-processor"],
         3: ["postgres", "neo4j", "redis", "chromadb", "minio"], 4: ["edge-proxy"]}
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


def test_600_identical_workers_at_once_differ_by_at_most_one(three_coordinators):
    rounds, workers_each = 12, 50
    barrier = threading.Barrier(rounds)
    failures = []

    def register(index):
        with three_coordinators[index % 3].connection() as connection:
            connection.request("GET", "/livez")
            barrier.wait()
            for _ in range(workers_each):
                response = connection.request("POST", "/api/worker/register", {"capabilities": CAPABILITIES})
                if response.status != 200 or response.json["reregistered"]:
                    failures.append(response)

    threads = [threading.Thread(target=register, args=(index,)) for index in range(rounds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for coordinator in three_coordinators:
        counts = Counter(service for row in coordinator.workers().values() for service in row["assigned_services"])
        assert counts == dict.fromkeys(ORDER[2], rounds * workers_each // len(ORDER[2]))


def test_newcomers_fill_exactly_the_places_of_those_that_left(clock, start_redis, start_coordinator):
    coordinator = start_coordinator(start_redis(clock=clock), clock=clock)
    service_of = {f"w-{number}": coordinator.register(f"w-{number}")["assigned_services"][0] for number in range(18)}
    assert Counter(service_of.values()) == dict.fromkeys(ORDER[2], 3)
    unregistered, silent, removed = ["w-0", "w-6", "w-3"], ["w-12", "w-1", "w-9"], ["w-4", "w-10", "w-5"]

    def pass_time(seconds, without):
        for _ in range(seconds // 200):
            clock.advance(200)
            for worker_id in service_of:
                if worker_id not in without:
                    coordinator.beat(worker_id)

    for worker_id in unregistered:
        coordinator.unregister(worker_id)
    pass_time(1600, without=unregistered + removed)
    pass_time(400, without=unregistered + removed + silent)
    rows = coordinator.workers()
    assert {row["worker_id"] for row in rows.values() if row["status"] == "offline"} == set(silent)
    assert not set(rows) & {*unregistered, *removed}

    left = [*unregistered, *silent, *removed]
    got = [coordinator.register(f"newcomer-{number}")["assigned_services"][0] for number in range(len(left))]
    assert Counter(got) == Counter(service_of[worker_id] for worker_id in left)
    assert got == ["rag", "rag", "upload", "client-rag", "rag", "ner", "upload", "client-rag",
                   "doc-processor"], "the emptiest first"
    assert coordinator.register("one-more")["assigned_services"] == ["rag"], "all are even again"


def test_a_registration_again_keeps_the_service_even_when_it_is_over_covered(coordinator):
    service_of = {f"w-{number}": coordinator.register(f"w-{number}")["assigned_services"] for number in range(18)}
    for worker_id, services in service_of.items():
        if services != ["rag"]:
            coordinator.unregister(worker_id)
    for worker_id, services in service_of.items():
        if services == ["rag"]:
            answer = coordinator.register(worker_id)
            assert answer["reregistered"] and answer["assigned_services"] == ["rag"]
    assert coordinator.register("newcomer")["assigned_services"] == ["ner"]


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
    assert len(first["assigned_containers"]) == 8
    assert {config["name"] for config in first["service_configs"]} >= set(first["assigned_services"])
    assert first["message"] == "Worker registered with 8 service(s)"
    second = coordinator.register("second")
    assert second["assigned_services"] == ["rag"], "all is provided: one service, the least covered by priority"
    assert coordinator.worker("first")["assigned_services"] == first["assigned_services"]
    invariants.assert_hold(redis.dump())
