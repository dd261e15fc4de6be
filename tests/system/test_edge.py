"""Edge nodes: two paths of their own, else workers like any other."""

import pytest

NODE = {"worker_id": "edge-1", "worker_type": "edge", "tunnel_url": "https://e.example", "services": ["coordinator", "edge-proxy"],
        "capabilities": {}, "role": "edge_coordinator", "dht_port": 8468}


def register(coordinator, **changes):
    return coordinator.post("/api/edge/register", {**NODE, **changes})


def test_registers_and_beats(coordinator):
    answer = register(coordinator)
    assert answer.status == 200
    assert answer.json == {"status": "registered", "worker_id": "edge-1", "role": "edge_coordinator",
                           "tunnel_url": "https://e.example",
                           "heartbeat_interval": 60, "total_coordinators": 1, "message": answer.json["message"]}
    assert register(coordinator, worker_id="edge-2", tunnel_url="https://f.example").json["total_coordinators"] == 2
    assert register(coordinator).json["total_coordinators"] == 2, "registering again is the same node"
    beat = coordinator.post("/api/edge/heartbeat", {"worker_id": "edge-1"})
    assert (beat.status, beat.json) == (200, {"status": "ok"})
    unknown = coordinator.post("/api/edge/heartbeat", {"worker_id": "nobody"})
    assert unknown.status == 404 and unknown.json["detail"] == "Worker not found" and unknown.json["code"] == "worker-not-found"


def test_is_a_worker_of_tier_4(coordinator):
    register(coordinator, capabilities={"cpu_cores": 64, "ram": "256GB", "gpu_memory": "24GB", "gpu_type": "NVIDIA"})
    worker = coordinator.worker("edge-1")
    assert (worker["tier"], worker["worker_type"]) == (4, "edge")
    assert worker["services"] == [{"name": "coordinator"}, {"name": "edge-proxy"}]
    assert coordinator.stats()["workers_by_tier"]["edge_workers"] == 1
    assert coordinator.get("/api/services/discover/coordinator").json["recommended"] == "edge-1"


def test_they_are_listed(coordinator):
    coordinator.register("no-edge")
    register(coordinator)
    answer = coordinator.get("/api/admin/coordinators").json
    assert [node["worker_id"] for node in answer] == ["edge-1"]


def test_what_is_refused(coordinator):
    assert register(coordinator, worker_id="bad id").status == 422
    assert register(coordinator, capabilities=[]).status == 422
    assert coordinator.post("/api/edge/register", b"{").status == 400
    assert coordinator.post("/api/edge/heartbeat", {}).status == 422
    assert coordinator.get("/api/edge/register").status == 405


@pytest.mark.parametrize("interval, timeout, told", [(30, 300, 60), (7, 300, 14), (30, 61, 60), (30, 60, 30), (1, 2, 1)])
def test_the_interval_that_edge_nodes_are_told(redis, start_coordinator, interval, timeout, told):
    """Twice that of others, unless a node that keeps to it would be offline by then."""
    coordinator = start_coordinator(redis, HEARTBEAT_INTERVAL_SECONDS=interval, HEARTBEAT_TIMEOUT_SECONDS=timeout)
    assert register(coordinator).json["heartbeat_interval"] == told
    assert coordinator.register("w")["heartbeat_interval"] == interval


def test_an_edge_node_that_keeps_to_its_interval_is_not_late(start_redis, start_coordinator, clock):
    coordinator = start_coordinator(start_redis(clock=clock), clock=clock, HEARTBEAT_INTERVAL_SECONDS=30,
                                    HEARTBEAT_TIMEOUT_SECONDS=50)
    interval = register(coordinator).json["heartbeat_interval"]
    for seconds in (interval, 2 * interval - 15):
        clock.advance(seconds)
        coordinator.post("/api/edge/heartbeat", {"worker_id": "edge-1"})
    on_time = [line for line in coordinator.get("/metrics").body.decode().splitlines()
               if line.startswith('rma_heartbeat_lateness_seconds_bucket{le="5"}')]
    assert on_time == ['rma_heartbeat_lateness_seconds_bucket{le="5"} 1'], "the second one is 15 s late"


def test_an_id_that_somebody_has_put_into_redis_and_that_is_none(redis, coordinator):
    """An id has 128 characters at most; a longer one must not be copied anywhere."""
    long = "x" * 4000
    redis.client.set("{rma}:identity:instance:i", long)
    redis.client.hset(f"{{rma}}:registration:{long}", mapping={"tier": "4", "instance_id": "i", "registered_at": "1"})
    for path in ("/api/edge/register", "/api/worker/register"):
        assert coordinator.post(path, {"instance_id": "i", "capabilities": {}, "tunnel_url": "https://x.example"}).status == 500
    assert coordinator.get("/livez").status == 200
    redis.client.flushall()
