"""A Redis Cluster: all keys are in one slot, the coordinator goes where that is, and follows when it moves."""

import re
import time

import pytest

import invariants
from load import Load
from redis_server import free_port
from waiting import let_pass, promised, wait_until

SLOTS = 16384


def node(start_redis):
    return start_redis("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--cluster-node-timeout", "1000",
                       "--cluster-require-full-coverage", "no")


def command(server, *words):
    return server.client.execute_command("CLUSTER", *words)


def meet(nodes):
    for other in nodes[1:]:
        bus = other.client.config_get("cluster-port")["cluster-port"]
        command(nodes[0], "MEET", "127.0.0.1", other.port, bus)
    wait_until(lambda: all(is_whole(server, len(nodes)) for server in nodes), what="the nodes know each other")


def is_whole(server, count):
    info = server.client.execute_command("CLUSTER INFO")
    return (info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == count
            and int(info["cluster_slots_assigned"]) == SLOTS)


@pytest.fixture
def two_nodes(start_redis):
    """(the one that has the slot of our keys, the other one), and the slot."""
    nodes = [node(start_redis) for _ in range(2)]
    slot = command(nodes[0], "KEYSLOT", "{rma}:workers")
    command(nodes[0], "ADDSLOTSRANGE", slot, slot + 1)  # with one more: a node that loses its last slot becomes a replica
    for first, last in ((0, slot - 1), (slot + 2, SLOTS - 1)):
        command(nodes[1], "ADDSLOTSRANGE", first, last)
    meet(nodes)
    return nodes[0], nodes[1], slot


def test_one_shard(start_redis, start_coordinator):
    """Everything that a fleet does, and no key of it in another slot."""
    redis = node(start_redis)
    command(redis, "ADDSLOTSRANGE", 0, SLOTS - 1)
    wait_until(lambda: is_whole(redis, 1))
    coordinator = start_coordinator(redis)
    load = Load([coordinator], threads=4)
    with load.running():
        let_pass(0.3)
    assert load.failures == []
    coordinator.register(tunnel_url="https://t.example", services=[{"name": "ocr"}])
    coordinator.register("w", instance_id="i", boot_id="b")
    coordinator.beat("w", loaded_models=["m"], specialization="rag", expect_silence=600)
    for path in ("/api/admin/stats", "/api/admin/services", "/api/services/discover/rag?model=m", "/api/worker/find/rag",
                 "/api/worker/w",
                 "/api/admin/gaps", "/api/admin/workers", "/health", "/api/admin/history"):
        assert coordinator.get(path).status == 200, path
    assert coordinator.post("/api/worker/w/drain").status == 200
    coordinator.unregister("w")
    assert not re.search("CROSSSLOT|MOVED|redis_error", coordinator.stderr())
    invariants.assert_hold(redis.dump())


def test_the_slot_is_another_nodes(two_nodes, start_coordinator):
    owner, other, _ = two_nodes
    coordinator = start_coordinator(other)
    coordinator.register("w")
    assert owner.client.exists("{rma}:worker:w") == 1
    assert coordinator.workers().keys() == {"w"}


def test_the_slot_moves_while_the_fleet_beats(two_nodes, start_coordinator):
    owner, other, slot = two_nodes
    coordinators = [start_coordinator(server) for server in (owner, other)]
    load = Load(coordinators, threads=4)
    with load.running():
        let_pass(0.3)
        ids = [command(server, "MYID") for server in (owner, other)]
        began = time.monotonic()
        command(other, "SETSLOT", slot, "IMPORTING", ids[0])
        command(owner, "SETSLOT", slot, "MIGRATING", ids[1])
        while keys := command(owner, "GETKEYSINSLOT", slot, 100):
            owner.client.execute_command("MIGRATE", "127.0.0.1", other.port, "", 0, 5000, "KEYS", *keys)
        for server in (other, owner):
            command(server, "SETSLOT", slot, "NODE", ids[1])
        moved = time.monotonic()
        load.succeeds_again(moved, within=promised(2))
        let_pass(0.3)
    assert {attempt.outcome for attempt in load.failures} <= {503}
    assert min(attempt.started for attempt in load.failures) > began - 2
    assert [attempt for attempt in load.since(moved + 2) if not attempt.ok] == []
    for coordinator in coordinators:  # from each of its threads, those that had nothing to do as well
        wait_until(lambda: all(coordinator.get("/api/worker/load-0-0").status == 200 for _ in range(20)), within=promised(2))
    load.assert_nothing_acknowledged_is_lost(coordinators[0])
    assert owner.client.dbsize() == 0
    assert coordinators[0].stats()["total_workers"] == len(coordinators[1].workers())
    for coordinator in coordinators:
        assert "CROSSSLOT" not in coordinator.stderr() and "redis_error" not in coordinator.stderr()


def test_nobody_has_the_slot(two_nodes, start_coordinator):
    owner, other, slot = two_nodes
    coordinator = start_coordinator(owner)
    coordinator.register("w")
    keys = owner.dump()
    command(owner, "DELSLOTS", slot)
    answer = coordinator.post("/api/worker/heartbeat", {"worker_id": "w"})
    assert answer.status == 503 and answer.json["code"] == "registry-cluster-down"
    command(owner, "ADDSLOTS", slot)
    wait_until(lambda: coordinator.post("/api/worker/heartbeat", {"worker_id": "w"}).status == 200)
    assert owner.dump().keys() == keys.keys()
