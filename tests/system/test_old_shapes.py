"""What the clients of the old coordinators read, and nothing else: each of them goes on working as it is."""

import time

import pytest

from agents import HEARTBEATS, REGISTRATIONS

EDGE = {"worker_id": "edge-1", "worker_type": "edge", "tunnel_url": "https://e.example", "services": ["coordinator", "edge-proxy"],
        "capabilities": {}, "role": "edge_coordinator", "dht_port": 8468}
LISTINGS = ["/api/admin/workers", "/api/coordinator/workers"]


# -- rows -----------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", LISTINGS)
def test_services_of_a_row_are_objects(coordinator, path):
    assert coordinator.post("/api/edge/register", EDGE).status == 200
    own = {"name": "own", "port": 9, "nested": {"a": ["x"]}}
    coordinator.register("mixed", services=["a:b", own, "c"])
    coordinator.register("plain")
    rows = {row["worker_id"]: row for row in coordinator.get(path).json["workers"]}
    assert rows["edge-1"]["services"] == [{"name": "coordinator"}, {"name": "edge-proxy"}]
    assert rows["mixed"]["services"] == [{"name": "a:b"}, own, {"name": "c"}]
    assert rows["plain"]["services"] == []
    for worker_id, row in rows.items():
        assert coordinator.worker(worker_id)["services"] == row["services"]


@pytest.mark.parametrize("path", LISTINGS)
def test_containers_are_listed_as_they_were_registered(coordinator, path):
    containers = [{"name": "vllm", "service_url": "https://g.example", "port": 8102, "capabilities": ["llm"]}, {}]
    coordinator.register("w", containers=containers)
    coordinator.register("plain")
    rows = {row["worker_id"]: row["containers"] for row in coordinator.get(path).json["workers"]}
    assert rows == {"w": containers, "plain": []}


# -- edge nodes -------------------------------------------------------------------------------------------------------------------

def test_coordinators_are_a_bare_array(coordinator):
    before = time.time() * 1000
    coordinator.register("no-edge")
    assert coordinator.get("/api/admin/coordinators").json == []
    assert coordinator.post("/api/edge/register", {**EDGE, "location": "lancaster"}).status == 200
    first, = coordinator.get("/api/admin/coordinators").json
    assert first == {"worker_id": "edge-1", "tunnel_url": "https://e.example", "location": "lancaster", "dht_port": 8468,
                     "registered_at": first["registered_at"], "last_seen": first["last_seen"]}
    assert all(isinstance(first[name], int) and before - 1000 < first[name] < before + 60_000
               for name in ("registered_at", "last_seen"))
    coordinator.post("/api/edge/heartbeat", {"worker_id": "edge-1", "status": "offline"})
    assert coordinator.get("/api/admin/coordinators").json == [], "nobody is sent to one that is gone"


@pytest.mark.parametrize("said, expected", [
    ({"url": "https://u.example", "location": "home"}, {"tunnel_url": "https://u.example", "location": "home", "dht_port": None}),
    ({"url": "https://u.example", "tunnel_url": "https://t.example"}, {"tunnel_url": "https://t.example", "location": "unknown"}),
    ({"worker_id": "e", "tunnel_url": "https://t.example", "capabilities": None},
     {"worker_id": "e", "tunnel_url": "https://t.example"}),
    ({"worker_id": "e"}, {"worker_id": "e", "tunnel_url": None}),
    ({"worker_id": "e", "capabilities": {"location": "there"}}, {"location": "there"}),
    ({"worker_id": "e", "dht_port": "8468", "location": 5}, {"dht_port": None, "location": "unknown"}),
    ({"worker_id": "e", "dht_port": 70000, "location": "x" * 129}, {"dht_port": None, "location": "unknown"}),
])
def test_an_edge_node_says_what_it_likes(coordinator, said, expected):
    answer = coordinator.post("/api/edge/register", said)
    assert answer.status == 200, answer
    row, = coordinator.get("/api/admin/coordinators").json
    assert {name: row[name] for name in expected} == expected
    worker = coordinator.worker(row["worker_id"])
    assert (worker["tier"], worker["capabilities"]) == (4, said.get("capabilities") or {})
    again = coordinator.post("/api/edge/register", said)
    if "worker_id" in said or "url" in said:
        assert again.json["worker_id"] == answer.json["worker_id"] == row["worker_id"]
        assert again.json["total_coordinators"] == 1


def test_an_edge_node_must_say_something(coordinator):
    for nothing in ({}, {"capabilities": None}, {"location": "somewhere", "url": ""}):
        answer = coordinator.post("/api/edge/register", nothing)
        assert answer.status == 422 and answer.json["errors"][0]["field"] == "tunnel_url", nothing
    assert coordinator.post("/api/edge/register", {"worker_id": "e", "capabilities": []}).status == 422


# -- the DHT that there is not -----------------------------------------------------------------------------------------------------

def test_dht_seeds_are_the_edge_nodes_that_can_be_reached(coordinator):
    empty = coordinator.get("/api/dht/bootstrap").json
    assert (empty["seeds"], empty["seed_count"], empty["count"], empty["ttl"]) == ([], 0, 0, 300)
    coordinator.register("no-edge", tunnel_url="https://w.example")
    coordinator.post("/api/edge/register", {**EDGE, "worker_id": "a", "tunnel_url": "https://a.example", "location": "home"})
    coordinator.post("/api/edge/register", {"worker_id": "b", "url": "https://b.example"})
    coordinator.post("/api/edge/register", {"worker_id": "no-tunnel"})
    coordinator.post("/api/edge/register", {"worker_id": "gone", "url": "https://g.example"})
    coordinator.post("/api/edge/heartbeat", {"worker_id": "gone", "status": "offline"})
    answer = coordinator.get("/api/dht/bootstrap").json
    assert answer["seeds"] == [
        {"worker_id": "a", "node_id": "a", "tunnel_url": "https://a.example", "dht_port": 8468, "location": "home"},
        {"worker_id": "b", "node_id": "b", "tunnel_url": "https://b.example", "dht_port": 8468, "location": "unknown"}]
    assert answer["seed_count"] == answer["count"] == 2 and answer["timestamp"].endswith("Z")


def test_dht_seeds_are_64_at_most(coordinator):
    for number in range(70):
        coordinator.post("/api/edge/register", {"url": f"https://e{number}.example"})
    answer = coordinator.get("/api/dht/bootstrap").json
    assert len(answer["seeds"]) == answer["seed_count"] == 64


def test_there_is_no_dht(coordinator):
    assert coordinator.get("/api/dht/stats").json == {"dht_enabled": False}
    assert coordinator.get("/api/dht/topology").json == {
        "nodes": [], "edges": [], "connections": [],
        "stats": {"total_nodes": 0, "coordinator_count": 0, "worker_count": 0, "healthy_count": 0}}


# -- tasks -------------------------------------------------------------------------------------------------------------------------

def test_who_asks_for_tasks_says_who_it_is(coordinator):
    coordinator.register("w")
    assert coordinator.get("/api/worker/tasks?worker_id=w").json == {"tasks": []}
    for query in ("", "?worker_id=", "?worker_id=a%20b", "?worker=w"):
        answer = coordinator.get(f"/api/worker/tasks{query}")
        assert answer.status == 422 and answer.json["errors"][0]["field"] == "worker_id", query
    unknown = coordinator.get("/api/worker/tasks?worker_id=nobody")
    assert (unknown.status, unknown.json["detail"]) == (404, "Worker not found")
    coordinator.unregister("w")
    assert coordinator.get("/api/worker/tasks?worker_id=w").status == 404


# -- two shapes of one listing -----------------------------------------------------------------------------------------------------

ARRAY_HOSTS = "api.example, WWW.Example:8443,[::1]"


def workers(coordinator, host, origin=None, query="", **headers):
    sent = {"Host": host, **headers, **({"Origin": origin} if origin else {})}
    answer = coordinator.get(f"/api/admin/workers{query}", headers=sent)
    assert answer.status == 200, answer
    return answer.json


@pytest.mark.parametrize("origin", [None, "https://page.example"])
def test_workers_are_a_bare_array_under_some_host_names(redis, start_coordinator, origin):
    coordinator = start_coordinator(redis, WORKERS_ARRAY_HOSTS=ARRAY_HOSTS)
    coordinator.register("a")
    coordinator.register("b", services=["own"])
    for _ in range(2):
        for host in ("api.example", "API.example:8080", "www.example", "www.example:8443", "api.example.", "[::1]", "[::1]:80"):
            array = workers(coordinator, host, origin)
            assert [row["worker_id"] for row in array] == ["a", "b"], host
        for host in ("admin.example", "api.example.org", "xapi.example", "localhost:8080", "127.0.0.1", "[::2]"):
            answer = workers(coordinator, host, origin)
            assert (answer["total"], [row["worker_id"] for row in answer["workers"]]) == (2, ["a", "b"]), host
        strip = {"age_seconds": None, "last_heartbeat": None}
        assert [{**row, **strip} for row in array] == [{**row, **strip} for row in answer["workers"]], "the same rows"
    assert [row["worker_id"] for row in workers(coordinator, "api.example", query="?service=own")] == ["b"]
    assert workers(coordinator, "api.example", query="?limit=1")[0]["worker_id"] == "a"


def test_the_host_is_what_a_trusted_proxy_says(redis, start_coordinator):
    trusting, other = (start_coordinator(redis, WORKERS_ARRAY_HOSTS="api.example", TRUST_PROXY=trust) for trust in (1, 0))
    forwarded = {"X-Forwarded-Host": "api.example"}
    assert isinstance(workers(trusting, "inside", **forwarded), list)
    assert isinstance(workers(other, "inside", **forwarded), dict)
    assert isinstance(workers(trusting, "api.example", **{"X-Forwarded-Host": "admin.example"}), dict)
    assert isinstance(workers(trusting, "api.example"), list)


def test_nothing_is_an_array_unless_asked_for(coordinator):
    for host in ("api.example", "localhost", ""):
        assert isinstance(workers(coordinator, host or "x"), dict)


@pytest.mark.parametrize("hosts", ["a b", "https://api.example", "a,,b", ",", "a/b", "a,*"])
def test_what_no_host_name_is(redis, make_coordinator, hosts):
    assert "WORKERS_ARRAY_HOSTS must be host names" in make_coordinator(redis, WORKERS_ARRAY_HOSTS=hosts).refuses_to_start()


def test_pages_may_put_and_patch(coordinator):
    for path in ("/api/admin/workers", "/service/upload/x"):
        answer = coordinator.request("OPTIONS", path,
                                     headers={"Origin": "https://page.example", "Access-Control-Request-Method": "PATCH"})
        methods = answer.headers["Access-Control-Allow-Methods"].replace(" ", "").split(",")
        assert answer.status == 204 and {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(methods)


# -- the agents, word for word -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("agent", REGISTRATIONS)
def test_an_agent_of_the_field_lives_its_life(coordinator, agent):
    registered = coordinator.post("/api/worker/register", REGISTRATIONS[agent]).json
    worker_id = registered["worker_id"]
    for _ in range(2):
        beat = coordinator.post("/api/worker/heartbeat", {"worker_id": worker_id, **HEARTBEATS.get(agent, {})})
        assert (beat.status, beat.json["status"]) == (200, "ok")
    for container in registered["assigned_containers"]:
        assert {"name", "image", "port", "env"} <= container.keys()
    assert coordinator.get(f"/api/worker/tasks?worker_id={worker_id}").json["tasks"] == []
    assert coordinator.workers()[worker_id]["status"] == "healthy"
    assert coordinator.delete(f"/api/worker/unregister/{worker_id}").json["status"] == "ok"
