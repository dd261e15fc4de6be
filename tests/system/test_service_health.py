"""Services as their workers say that they are: one that is not well is not given out, the worker's others are."""

import pytest

import invariants
from coordinator import GPU_CAPABILITIES

UNWELL = ["unhealthy", "down", "Exited (1) 3 minutes ago", "error: connection refused", "not ready", "starting", False,
          {"status": "down"}, {"health": "unhealthy"}, {"state": "exited"}, {"healthy": False},
          {"status": "running", "healthy": False}]
WELL = ["healthy", "running", "Up 3 hours (healthy)", "flurgl", True, {"status": "ok"}, {"healthy": True}, {"state": "running"}]
UNTOLD = [None, {}, [], {"status": None}, 5]


def found(coordinator, service):
    """The worker that is found for a service; None where there is none."""
    one = coordinator.get(f"/api/worker/find/{service}")
    several = coordinator.get(f"/api/services/discover/{service}")
    assert one.status == several.status and one.status in (200, 503)
    if one.status == 503:
        return None
    assert several.json["count"] == len(several.json["workers"]) == 1
    assert one.json["worker_id"] == several.json["recommended"]
    return one.json["worker_id"]


def told(coordinator, worker_id, status):
    return coordinator.beat(worker_id, services_status=status)


@pytest.mark.parametrize("value", UNWELL, ids=str)
def test_a_service_that_is_not_well_is_not_given_out(redis, coordinator, value):
    coordinator.register("w", services=["ocr", {"name": "translate", "port": 9}])
    assert found(coordinator, "ocr") == "w"
    told(coordinator, "w", {"ocr": value, "translate": "running"})
    assert found(coordinator, "ocr") is None
    assert found(coordinator, "translate") == "w"
    row = coordinator.workers()["w"]
    assert row["unwell_services"] == ["ocr"] and row["status"] == "healthy"
    assert row["services_status"] == {"ocr": value, "translate": "running"}
    services = coordinator.get("/api/admin/services").json["services"]
    assert (services["ocr"]["status"], services["ocr"]["total_workers"], services["ocr"]["healthy_workers"]) == ("degraded", 1, 0)
    assert (services["translate"]["status"], services["translate"]["healthy_workers"]) == ("available", 1)
    assert set(services) == {"ocr", "translate", "rag"}
    coordinator.beat("w", current_load=0.5)
    assert found(coordinator, "ocr") is None, "what is not told stays as it was"
    told(coordinator, "w", {"ocr": "healthy"})
    assert found(coordinator, "ocr") == "w" and coordinator.workers()["w"]["unwell_services"] == []
    invariants.assert_hold(redis.dump())


@pytest.mark.parametrize("value", WELL + UNTOLD, ids=str)
def test_all_else_counts_as_well(coordinator, value):
    coordinator.register("w", services=["ocr"])
    told(coordinator, "w", {"ocr": value})
    assert found(coordinator, "ocr") == "w" and coordinator.workers()["w"]["unwell_services"] == []


def test_what_is_untold_changes_nothing(coordinator):
    coordinator.register("w", services=["ocr", "translate"])
    told(coordinator, "w", {"ocr": "down"})
    for status in ({}, {"translate": "up"}, {"ocr": None}, {"ocr": {}}, {"other": "down"}):
        told(coordinator, "w", status)
        assert found(coordinator, "ocr") is None and found(coordinator, "translate") == "w", status


@pytest.mark.parametrize("name", ["vllm", "llm-inference", "rma-vllm-worker", "vllm-service"])
def test_services_may_be_named_by_alias_or_container(coordinator, name):
    assert coordinator.register("g", GPU_CAPABILITIES, services=["vllm"])["assigned_services"] == ["vllm"]
    told(coordinator, "g", {name: {"status": "down"}})
    assert found(coordinator, "vllm") is found(coordinator, "llm-inference") is None
    assert coordinator.workers()["g"]["unwell_services"] == ["vllm"]
    told(coordinator, "g", {name: {"status": "up"}})
    assert found(coordinator, "vllm") == "g"


@pytest.mark.parametrize("where", ["services", "containers"])
@pytest.mark.parametrize("said", [{"health": "unhealthy"}, {"status": "exited"}, {"healthy": False}], ids=str)
def test_health_at_registration_holds_until_a_heartbeat_says_otherwise(redis, coordinator, where, said):
    coordinator.register("w", boot_id="b",
                         **{where: [{"name": "ocr", "port": 9, **said}, {"name": "translate", "health": "healthy"}]})
    assert found(coordinator, "ocr") is None and found(coordinator, "translate") == "w"
    told(coordinator, "w", {"translate": "ok"})
    assert found(coordinator, "ocr") is None
    invariants.assert_hold(redis.dump())
    told(coordinator, "w", {"ocr": "ok"})
    assert found(coordinator, "ocr") == "w"
    coordinator.register("w", boot_id="b", **{where: [{"name": "ocr", **said}]})
    assert found(coordinator, "ocr") is None
    coordinator.register("w", boot_id="b", **{where: [{"name": "ocr"}]})
    assert found(coordinator, "ocr") is None, "it goes on, and does not say otherwise"
    coordinator.register("w", boot_id="c", **{where: [{"name": "ocr"}]})
    assert found(coordinator, "ocr") == "w", "a new start, of which nothing bad is known"


def test_of_two_entries_of_a_service_one_that_is_well_is_enough(coordinator):
    coordinator.register("w", services=[{"name": "ocr", "port": 1, "health": "down"}, {"name": "ocr", "port": 2, "health": "up"}])
    assert coordinator.get("/api/worker/find/ocr").json["worker_id"] == "w"


def test_those_that_are_well_are_given_out_whatever_their_load(redis, coordinator):
    for worker_id in ("a", "b", "c"):
        coordinator.register(worker_id, services=["ocr"])
    coordinator.beat("a", current_load=0, services_status={"ocr": "down"})
    coordinator.beat("b", current_load=0.9, status="degraded")
    coordinator.beat("c", current_load=1, active_requests=9)
    answer = coordinator.get("/api/services/discover/ocr").json
    assert [worker["worker_id"] for worker in answer["workers"]] == ["c", "b"] and answer["count"] == 2
    gap = coordinator.get("/api/admin/services").json["services"]["ocr"]
    assert (gap["total_workers"], gap["healthy_workers"]) == (3, 1)
    coordinator.beat("a", status="degraded")
    coordinator.beat("a", status="draining")
    invariants.assert_hold(redis.dump())
    coordinator.beat("a", status="offline")
    coordinator.beat("a")
    assert [worker["worker_id"] for worker in coordinator.get("/api/services/discover/ocr").json["workers"]] == ["c", "b"]
    coordinator.unregister("a")
    invariants.assert_hold(redis.dump())


def test_models_and_regions_heed_it_too(redis, start_coordinator):
    coordinator = start_coordinator(redis, REGION="fra")
    for worker_id in ("a", "b"):
        coordinator.register(worker_id, services=["ocr"])
        coordinator.beat(worker_id, loaded_models=["m"])
    coordinator.beat("a", services_status={"ocr": False})
    assert coordinator.get("/api/worker/find/ocr?model=m").json["worker_id"] == "b"
    coordinator.beat("b", services_status={"ocr": False})
    assert coordinator.get("/api/worker/find/ocr?model=m").status == 503
    invariants.assert_hold(redis.dump())


def test_metrics_and_events_name_the_service_alone(coordinator):
    coordinator.register("w", services=["ocr"])
    with coordinator.events() as events:
        told(coordinator, "w", {"ocr": "down"})
        coordinator.beat("w", status="degraded")
        events.wait_for(lambda stream: stream.of("worker.updated"), what="the update is told")
        assert events.of("worker.updated")[0].data["services"] == ["rag", "ocr"]
    coordinator.beat("w", status="healthy")
    text = coordinator.get("/metrics").body.decode()
    assert 'rma_service_workers{service="ocr",status="degraded"} 1' in text and "!" not in text


# -- what a worker has already -----------------------------------------------------------------------------------------------------

GPU_AGENT = {"capabilities": {"cpu_cores": 16, "ram": "62.7GB", "containerized": True, "worker_type": "gpu", "has_gpu": True,
                              "gpu_memory": "24564MB", "gpu_type": "NVIDIA GeForce RTX 4090"},
             "containers": [{"name": name, "service_url": "https://g.example", "port": 8102, "health_endpoint": "/health"}
                            for name in ("gpu-worker", "rag", "vllm", "embeddings")]}
CHROMADB_AGENT = {"worker_id": "storage-worker-1", "tunnel_url": "https://c.example",
                  "capabilities": {"cpu_cores": 4, "has_gpu": False, "has_storage": True, "worker_type": "storage"},
                  "containers": [{"name": "chromadb", "service_url": "https://c.example", "port": 8000, "version": "0.4.24",
                                  "capabilities": ["vector_database"]}]}


def test_a_gpu_agents_containers_are_its_services(redis, coordinator):
    answer = coordinator.post("/api/worker/register", GPU_AGENT).json
    assert answer["assigned_services"] == ["vllm"]
    for name in ("gpu-worker", "rag", "vllm", "embeddings"):
        assert coordinator.get(f"/api/worker/find/{name}").json["worker_url"] == "https://g.example", name
    assert coordinator.get("/api/worker/find/vision").status == 503
    assert [row["worker_id"] for row in coordinator.get("/api/admin/workers?service=embeddings").json["workers"]] == [
        answer["worker_id"]]
    invariants.assert_hold(redis.dump())


def test_a_worker_that_has_a_data_store_is_handed_no_other(coordinator):
    answer = coordinator.post("/api/worker/register", CHROMADB_AGENT).json
    assert (answer["tier"], answer["assigned_services"]) == (3, ["chromadb"])
    assert [container["name"] for container in answer["assigned_containers"]] == ["rma-chromadb-worker"]
    assert coordinator.get("/api/worker/find/chromadb").json["worker_url"] == "https://c.example"
    assert coordinator.get("/api/worker/find/postgres").status == 503
    coordinator.beat("storage-worker-1", status="degraded", services_status={"chromadb": "unhealthy"})
    assert coordinator.get("/api/worker/find/chromadb").status == 503
    assert coordinator.register("next", {"worker_type": "storage"})["assigned_services"] == ["postgres"]


def test_several_data_stores_on_one_worker(redis, start_coordinator):
    coordinator = start_coordinator(redis, MAX_SERVICES_PER_WORKER=8)
    containers = [{"name": name, "port": port} for name, port in (("redis", 6379), ("chromadb", 8000), ("own", 1))]
    answer = coordinator.post("/api/worker/register", {**CHROMADB_AGENT, "containers": containers}).json
    assert answer["assigned_services"] == ["redis", "chromadb"]
    assert set(coordinator.get("/api/admin/services").json["services"]) == {"redis", "chromadb", "own"}


@pytest.mark.parametrize("where, name",
                         [("services", "upload"), ("containers", "rma-upload-worker"), ("containers", "upload-service"),
                                         ("services", {"name": "upload"})], ids=str)
def test_what_a_worker_has_it_is_assigned(coordinator, where, name):
    entry = {"name": name} if isinstance(name, str) and where == "containers" else name
    assert coordinator.register("w", **{where: [entry]})["assigned_services"] == ["upload"]
    assert set(coordinator.get("/api/admin/services").json["services"]) == {"upload"}
    assert coordinator.register("w", **{where: []})["assigned_services"] == ["upload"], "as before, where it says nothing"
    assert coordinator.register("w", services=["ner"])["assigned_services"] == ["ner"]


def test_services_of_other_tiers_leave_a_worker_its_own(coordinator):
    assert coordinator.register("g", GPU_CAPABILITIES, services=["rag"])["assigned_services"] == ["vision"]
    assert coordinator.register("own", services=["something"])["assigned_services"] == ["ner"]


def test_containers_without_a_usable_name_are_only_listed(coordinator):
    containers = [{}, {"name": None}, {"name": 5}, {"name": "a b"}, {"name": "/rag-1"}, {"name": ""}]
    coordinator.register("w", containers=containers)
    assert coordinator.workers()["w"]["containers"] == containers
    assert set(coordinator.get("/api/admin/services").json["services"]) == {"rag"}


def test_more_containers_than_a_worker_may_have_services(coordinator):
    coordinator.register("w", services=["first"], containers=[{"name": f"c{number}"} for number in range(300)])
    assert coordinator.get("/api/services/list").json["count"] == 1 + 128


# -- models ------------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("loaded, asked", [
    ("llama3:latest", "llama3"), ("llama3", "llama3:latest"), ("Llama3:Latest", "LLAMA3"), ("llama3.2:3b", "Llama3.2:3B"),
    ("Qwen/Qwen2.5-7B-Instruct", "qwen/qwen2.5-7b-instruct"), ("hf.co/x/Y:Q4_K_M", "hf.co/x/y:q4_k_m")])
def test_a_model_is_the_same_by_ollamas_rule(redis, coordinator, loaded, asked):
    for worker_id in ("with", "without"):
        coordinator.register(worker_id, services=["ocr"])
    coordinator.beat("with", current_load=0.9, loaded_models=["other", loaded])
    coordinator.beat("without", current_load=0)
    answer = coordinator.get(f"/api/worker/find/ocr?model={asked}").json
    assert (answer["worker_id"], answer["model_loaded"]) == ("with", True)
    assert coordinator.get(f"/api/services/discover/ocr?model={asked}").json["recommended"] == "with"
    assert coordinator.workers()["with"]["loaded_models"] == ["other", loaded], "shown as told"
    invariants.assert_hold(redis.dump())


@pytest.mark.parametrize("loaded, asked",
                         [("llama3:8b", "llama3"), ("llama3", "llama3:8b"), ("llama3", "llama"), ("llama3:latest2", "llama3")])
def test_other_models(coordinator, loaded, asked):
    coordinator.register("w", services=["ocr"])
    coordinator.beat("w", loaded_models=[loaded])
    answer = coordinator.get(f"/api/worker/find/ocr?model={asked}").json
    assert (answer["worker_id"], answer["model_loaded"]) == ("w", False), "a wish, not a condition; but it is told"
    assert "model_loaded" not in coordinator.get("/api/worker/find/ocr").json
