"""Every endpoint's shape: what existing clients read keeps its name, place and type, and says the right thing."""

import re

import pytest

from agents import HEARTBEATS, REGISTRATIONS, TIERS
from coordinator import CAPABILITIES, GPU_CAPABILITIES

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NUMBER = (int, float)


def assert_shape(value, shape, where="answer"):
    """Checks types: a dict of names (at least these), a list of one shape, a type or tuple of types, or a compiled pattern."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), f"{where} is {value!r}"
        for name, inner in shape.items():
            assert name in value, f"{where} lacks {name}: {value!r}"
            assert_shape(value[name], inner, f"{where}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), f"{where} is {value!r}"
        for index, item in enumerate(value):
            assert_shape(item, shape[0], f"{where}[{index}]")
    elif isinstance(shape, re.Pattern):
        assert isinstance(value, str) and shape.fullmatch(value), f"{where} is {value!r}"
    else:
        assert isinstance(value, shape), f"{where} is {value!r}"
        assert not (isinstance(value, bool) and shape in (int, NUMBER)), f"{where} is {value!r}"


NULL = type(None)
CONTAINER = {"name": str, "image": str, "port": int, "env": {"COORDINATOR_URL": str, "WORKER_ID": str}}
REGISTERED = {
    "status": str, "worker_id": str, "tier": int, "worker_type": str, "assigned_containers": [CONTAINER],
    "assigned_services": [str],
    "service_configs": [{"name": str, "port": int, "priority": int}], "heartbeat_url": str, "heartbeat_interval": int,
    "task_pull_url": str, "coordinator_url": str, "tunnel_url": (str, NULL), "endpoint": str, "is_heartbeat_leader": bool,
    "reregistered": bool, "message": str}
ROW = {
    "worker_id": str, "tier": int, "worker_type": str, "status": str, "current_load": NUMBER, "tasks_completed": int,
    "assigned_services": [str], "services": list, "last_heartbeat": TIME, "registered_at": TIME, "age_seconds": NUMBER,
    "is_healthy": bool, "ip_address": (str, NULL), "tunnel_url": (str, NULL), "capabilities": dict, "available_memory": (str, NULL),
    "active_requests": (int, NULL), "gpu_utilization": (int, float, NULL), "loaded_models": (list, NULL),
    "specialization": (str, NULL), "services_status": (dict, NULL)}
# list and dict as shapes of their own: any list, any object
ROW["services"] = (list,)
ROW["capabilities"] = (dict,)
BY_TIER = {"1": int, "2": int, "3": int, "4": int}
GROUPS = ("gpu_workers", "service_workers", "data_workers", "edge_workers")


# -- register -----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("agent", REGISTRATIONS)
def test_every_agent_of_the_field_registers(coordinator, agent):
    response = coordinator.post("/api/worker/register", REGISTRATIONS[agent])
    assert response.status == 200
    answer = response.json
    assert_shape(answer, REGISTERED)
    assert answer["status"] == "registered"
    assert (answer["tier"], answer["worker_type"]) == TIERS[agent]
    assert answer["heartbeat_url"] == "/api/worker/heartbeat"
    assert answer["task_pull_url"] == "/api/worker/tasks"
    assert answer["heartbeat_interval"] == 30
    assert answer["reregistered"] is False
    assert answer["is_heartbeat_leader"] is False
    assert answer["tunnel_url"] == REGISTRATIONS[agent].get("tunnel_url")
    assert len(answer["assigned_services"]) == len(answer["assigned_containers"]) == 1
    assert [config["name"] for config in answer["service_configs"]][:1] == answer["assigned_services"]
    assert answer["message"] == "Worker registered with 1 service(s)"

    beat = coordinator.post("/api/worker/heartbeat", {"worker_id": answer["worker_id"], **HEARTBEATS.get(agent, {})})
    assert beat.status == 200 and beat.json["status"] == "ok" and beat.json["message"] == "Heartbeat received"
    row = coordinator.workers()[answer["worker_id"]]
    sent = {name: value for name, value in REGISTRATIONS[agent]["capabilities"].items()}
    assert row["capabilities"] == sent, "capabilities are kept as they came"


def test_containers_say_where_the_coordinator_is_and_who_the_worker_is(coordinator):
    answer = coordinator.register()
    container = answer["assigned_containers"][0]
    assert container["env"]["WORKER_ID"] == answer["worker_id"]
    assert container["env"]["COORDINATOR_URL"] == coordinator.url == answer["coordinator_url"]
    assert container["name"] == "rma-rag-worker" and container["port"] == 8102
    assert container["image"] == "ghcr.io/rma/rag-worker:latest"
    assert answer["service_configs"] == [{"name": name, "port": 8102, "priority": 1} for name in ("rag", "rag-embeddings")]


def test_public_url_is_what_workers_are_told(redis, start_coordinator):
    coordinator = start_coordinator(redis, PUBLIC_URL="https://coordinator.example")
    answer = coordinator.register()
    assert answer["coordinator_url"] == "https://coordinator.example"
    assert answer["assigned_containers"][0]["env"]["COORDINATOR_URL"] == "https://coordinator.example"


def test_a_made_id_is_worker_and_eight_hex_digits(coordinator):
    made = {coordinator.register(capabilities={"cpu_cores": 2, "ram": "8GB", "slot": slot})["worker_id"] for slot in range(20)}
    assert len(made) == 20
    assert all(re.fullmatch(r"worker-[0-9a-f]{8}", worker_id) for worker_id in made)


def test_an_empty_capabilities_object_is_enough(coordinator):
    answer = coordinator.register(capabilities={})
    assert answer["tier"] in (1, 2, 3, 4)
    assert coordinator.worker(answer["worker_id"])["capabilities"] == {}


def test_null_means_absent_everywhere(coordinator):
    body = {"worker_id": None, "instance_id": None, "boot_id": None, "services": None, "containers": None, "ip_address": None,
            "tunnel_url": None, "vpn_ip": None,
            "capabilities": {"cpu_cores": None, "ram": None, "storage": None, "gpu_type": None, "gpu_memory": None,
                             "worker_type": None, "has_gpu": None, "ip_address": None}}
    response = coordinator.post("/api/worker/register", body)
    assert response.status == 200, response
    beat = {"worker_id": response.json["worker_id"], "status": None, "current_load": None, "available_memory": None,
            "active_requests": None, "gpu_utilization": None, "loaded_models": None, "services_status": None,
            "specialization": None, "expect_silence": None}
    assert coordinator.post("/api/worker/heartbeat", beat).status == 200
    assert coordinator.worker(response.json["worker_id"])["status"] == "healthy"


def test_unknown_members_are_ignored_at_the_top_and_kept_in_capabilities(coordinator):
    capabilities = {"cpu_cores": 4, "ram": "8GB", "nested": {"list": [1, 2.5, "x", None, True], "empty": {}, "none": []},
                    "big": 12345678901234567, "ünïcode": "日本 \U0001f600 \" \\ \n"}
    answer = coordinator.register("keeps", capabilities, surprise={"a": 1}, another=[])
    assert coordinator.worker("keeps")["capabilities"] == capabilities
    assert "surprise" not in answer and "surprise" not in coordinator.worker("keeps")


@pytest.mark.parametrize("capabilities, tier, worker_type", [
    ({"worker_type": "gpu"}, 1, "gpu"),
    ({"worker_type": "storage"}, 3, "storage"),
    ({"worker_type": "edge"}, 4, "edge"),
    ({"worker_type": "cpu"}, 2, "cpu"),
    ({"has_gpu": True}, 1, "gpu"),
    ({"has_storage": True}, 3, "storage"),
    ({"has_edge": True}, 4, "edge"),
    ({"has_public_ip": True}, 4, "edge"),
    ({"gpu_type": "RTX 3070", "gpu_memory": "8188 MiB", "cpu_cores": 4, "ram": "16GB"}, 1, "gpu"),
    ({"gpu_type": "RTX 3050", "gpu_memory": "4096MB", "cpu_cores": 4, "ram": "16GB"}, 2, "cpu"),
    ({"gpu_type": "AMD", "gpu_memory": "Unknown (AMD)"}, 1, "gpu"),
    ({"cpu_cores": 2, "ram": "4.0GB"}, 2, "cpu"),
    ({"cpu_cores": 2, "ram": "16384MB"}, 2, "cpu"),
    ({"cpu_cores": 2, "ram": "8G"}, 2, "cpu"),
    ({"cpu_cores": 2, "ram": "1TB"}, 2, "cpu"),
    ({"cpu_cores": 2, "ram": "3.9GB"}, 2, "cpu"),
    ({"cpu_cores": 2, "ram": "3.6GB"}, 3, "storage"),
    ({"cpu_cores": 1, "ram": "16GB"}, 3, "storage"),
    ({"cpu_cores": 8, "ram": "Unknown"}, 2, "cpu"),
])
def test_tier_follows_from_capabilities(coordinator, capabilities, tier, worker_type):
    answer = coordinator.register(capabilities=capabilities)
    assert (answer["tier"], answer["worker_type"]) == (tier, worker_type)


def test_address_is_what_the_worker_says_else_where_it_came_from(coordinator):
    assert coordinator.register("says", ip_address="203.0.113.9")["endpoint"] == "203.0.113.9"
    assert coordinator.register("silent")["endpoint"] == "127.0.0.1"
    assert coordinator.worker("says")["ip_address"] == "203.0.113.9"
    assert coordinator.worker("silent")["ip_address"] == "127.0.0.1"


@pytest.mark.parametrize("trust, headers, address", [
    ("1", {"Fly-Client-IP": "198.51.100.7", "X-Forwarded-For": "192.0.2.1"}, "192.0.2.1"),
    ("1", {"X-Forwarded-For": "198.51.100.7, 192.0.2.1"}, "192.0.2.1"),
    ("2", {"X-Forwarded-For": "192.0.2.1, 10.0.0.1"}, "192.0.2.1"),
    ("0", {"Fly-Client-IP": "198.51.100.7", "X-Forwarded-For": "192.0.2.1"}, "127.0.0.1"),
    (None, {"X-Forwarded-For": "192.0.2.1"}, "127.0.0.1"),
])
def test_proxy_headers_count_only_when_the_proxy_is_trusted(redis, start_coordinator, trust, headers, address):
    coordinator = start_coordinator(redis, TRUST_PROXY=trust)
    response = coordinator.post("/api/worker/register", {"worker_id": "w", "capabilities": {}}, headers)
    assert response.status == 200
    assert coordinator.worker("w")["ip_address"] == address


# -- heartbeat ----------------------------------------------------------------------------------------------------------------

def test_a_heartbeat_stores_everything_it_says(coordinator):
    coordinator.register("w")
    said = {"current_load": 0.24, "available_memory": "9.8GB", "active_requests": 2, "gpu_utilization": 65.3,
            "loaded_models": ["llama3.2"], "services_status": {"rag": "running"}, "specialization": "rag"}
    coordinator.beat("w", status="healthy", **said)
    row = coordinator.worker("w")
    assert {name: row[name] for name in said} == said


def test_a_heartbeat_leaves_alone_what_it_does_not_say(coordinator):
    coordinator.register("w")
    said = {"available_memory": "9.8GB", "active_requests": 2, "gpu_utilization": 65.3, "loaded_models": ["llama3.2"],
            "services_status": {"rag": "running"}, "specialization": "rag"}
    coordinator.beat("w", **said)
    coordinator.beat("w")
    row = coordinator.worker("w")
    assert {name: row[name] for name in said} == said


@pytest.mark.parametrize("word, status, healthy", [
    ("healthy", "healthy", True), ("online", "healthy", True), ("degraded", "degraded", False), ("draining", "draining", True),
    ("offline", "offline", False)])
def test_status_words_mean_what_they_say(coordinator, word, status, healthy):
    coordinator.register("w")
    coordinator.beat("w", status=word)
    row = coordinator.worker("w")
    assert row["status"] == status
    assert row["is_healthy"] is healthy


def test_load_above_one_is_one(coordinator):
    coordinator.register("w")
    coordinator.beat("w", current_load=1.7)
    assert coordinator.worker("w")["current_load"] == 1


def test_heartbeat_of_an_unknown_worker_is_404(redis, coordinator):
    response = coordinator.post("/api/worker/heartbeat", {"worker_id": "nobody"})
    assert response.status == 404
    assert response.json["detail"] == "Worker not found" and response.json["code"] == "worker-not-found"
    assert redis.client.exists("{rma}:worker:nobody") == 0


# -- unregister and the single worker -------------------------------------------------------------------------------------------

def test_unregister_removes_a_worker_everywhere(redis, coordinator):
    coordinator.register("stays", instance_id="i-stays", tunnel_url="https://stays.example")
    before = redis.dump()
    coordinator.register("goes", instance_id="i-goes", tunnel_url="https://goes.example", services=[{"name": "ocr"}])
    response = coordinator.delete("/api/worker/unregister/goes")
    assert response.status == 200
    assert response.json == {"status": "ok", "message": "Worker goes unregistered"}
    assert coordinator.get("/api/worker/goes").status == 404
    assert coordinator.post("/api/worker/heartbeat", {"worker_id": "goes"}).status == 404
    assert coordinator.delete("/api/worker/unregister/goes").status == 404
    assert coordinator.workers().keys() == {"stays"}
    assert coordinator.stats()["total_workers"] == 1
    after = redis.dump()
    del after["{rma}:events"]  # tells of it, for a while
    assert after.keys() == before.keys() - {"{rma}:events"}
    assert not any("goes" in repr(value) or "goes" in key for key, value in after.items())


def test_one_worker_is_shown_as_in_the_list_with_its_containers_in_full(coordinator):
    registered = coordinator.register("w", services=[{"name": "rag", "port": 8102, "health": "healthy"}])
    row = coordinator.worker("w")
    assert_shape(row, {**ROW, "assigned_containers": [CONTAINER]})
    assert row["services"] == [{"name": "rag", "port": 8102, "health": "healthy"}]
    assert row["assigned_containers"] == registered["assigned_containers"]
    listed = coordinator.workers()["w"]
    for name in listed.keys() - {"age_seconds", "assigned_containers"}:
        assert row[name] == listed[name], name


def test_an_unknown_worker_is_404(coordinator):
    response = coordinator.get("/api/worker/nobody")
    assert response.status == 404
    assert response.json["detail"] == "Worker not found" and response.json["code"] == "worker-not-found"


# -- the list -----------------------------------------------------------------------------------------------------------------

def test_list_of_nobody(coordinator):
    assert coordinator.get("/api/admin/workers").json == {"workers": [], "total": 0, "healthy": 0, "next_cursor": None}


def test_list_shows_all_in_order_with_every_old_field(coordinator):
    ids = ["b", "a", "worker-9", "B", "worker-10", "a.b:c_d-e"]
    for worker_id in ids:
        coordinator.register(worker_id)
    answer = coordinator.get("/api/admin/workers").json
    assert_shape(answer, {"workers": [{**ROW, "assigned_containers": [str]}], "total": int, "healthy": int})
    assert [row["worker_id"] for row in answer["workers"]] == sorted(ids)
    assert answer["total"] == answer["healthy"] == len(ids)
    row = answer["workers"][0]
    assert row["assigned_containers"] == [f"rma-{row['assigned_services'][0]}-worker"]
    assert row["tasks_completed"] == 0 and row["is_healthy"] is True and 0 <= row["age_seconds"] < 60


@pytest.fixture
def mixed_fleet(coordinator):
    """Seven workers of all tiers and conditions."""
    for worker_id in ("cpu-1", "cpu-2", "cpu-3"):
        coordinator.register(worker_id)
    coordinator.register("gpu-1", GPU_CAPABILITIES)
    coordinator.register("store-1", {"worker_type": "storage"})
    coordinator.register("edge-1", {"worker_type": "edge"}, services=["special"])
    coordinator.register("cpu-4")
    coordinator.beat("cpu-1", current_load=0.2)
    coordinator.beat("cpu-2", current_load=0.4, status="degraded")
    coordinator.beat("cpu-3", current_load=0.9, status="offline")
    coordinator.beat("gpu-1", current_load=0.5)
    return coordinator


@pytest.mark.parametrize("query, expected", [
    ("?tier=1", {"gpu-1"}),
    ("?tier=2", {"cpu-1", "cpu-2", "cpu-3", "cpu-4"}),
    ("?tier=3", {"store-1"}),
    ("?status=degraded", {"cpu-2"}),
    ("?status=offline", {"cpu-3"}),
    ("?status=healthy&tier=2", {"cpu-1", "cpu-4"}),
    ("?service=special", {"edge-1"}),
    ("?service=no-such", set()),
    ("?tier=4&status=offline", set()),
])
def test_list_is_filtered(mixed_fleet, query, expected):
    assert mixed_fleet.workers(query).keys() == expected


def test_list_by_assigned_service(mixed_fleet):
    service = mixed_fleet.worker("cpu-1")["assigned_services"][0]
    assert "cpu-1" in mixed_fleet.workers(f"?service={service}")


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_cover_the_list_once(mixed_fleet, limit):
    seen, cursor = [], None
    for _ in range(20):
        answer = mixed_fleet.get(f"/api/admin/workers?limit={limit}" + (f"&cursor={cursor}" if cursor else "")).json
        assert len(answer["workers"]) <= limit
        seen += [row["worker_id"] for row in answer["workers"]]
        cursor = answer.get("next_cursor")
        if not cursor:
            break
    assert seen == sorted(mixed_fleet.workers())


def test_pages_of_a_filtered_list(mixed_fleet):
    seen, cursor = [], None
    for _ in range(20):
        answer = mixed_fleet.get("/api/admin/workers?limit=1&tier=2" + (f"&cursor={cursor}" if cursor else "")).json
        seen += [row["worker_id"] for row in answer["workers"]]
        cursor = answer.get("next_cursor")
        if not cursor:
            break
    assert seen == ["cpu-1", "cpu-2", "cpu-3", "cpu-4"]


@pytest.mark.parametrize("query, field", [("?tier=9", "tier"), ("?tier=two", "tier"), ("?limit=0", "limit"), ("?limit=-1", "limit"),
                                          ("?limit=x", "limit"), ("?status=fine", "status"), ("?service=a%20b", "service"),
                                          ("?cursor=a%20b", "cursor"), ("?cursor=" + "a" * 200, "cursor"), ("?tier=%zz", "tier"),
                                          ("?service=" + "a" * 200, "service")])
def test_bad_filters_are_refused(coordinator, query, field):
    response = coordinator.get("/api/admin/workers" + query)
    assert response.status == 422
    assert [fault["field"] for fault in response.json["errors"]] == [field]


# -- numbers ------------------------------------------------------------------------------------------------------------------

def test_stats_of_nobody(coordinator):
    stats = coordinator.stats()
    assert stats["total_workers"] == stats["healthy_workers"] == stats["degraded_workers"] == stats["offline_workers"] == 0
    assert stats["average_load"] == 0
    assert stats["by_tier"] == {"1": 0, "2": 0, "3": 0, "4": 0}


def test_stats_count_the_fleet(mixed_fleet):
    stats = mixed_fleet.stats()
    assert_shape(stats, {
        "total_workers": int, "healthy_workers": int, "degraded_workers": int, "offline_workers": int,
        "workers_by_tier": {group: int for group in GROUPS}, "by_tier": BY_TIER, "average_load": NUMBER,
        "average_load_by_tier": {group: NUMBER for group in GROUPS}, "total_tasks_completed": int, "status": str})
    assert stats["total_workers"] == 7
    assert (stats["healthy_workers"], stats["degraded_workers"], stats["offline_workers"]) == (5, 1, 1)
    assert stats["by_tier"] == {"1": 1, "2": 4, "3": 1, "4": 1}
    assert stats["workers_by_tier"] == {"gpu_workers": 1, "service_workers": 4, "data_workers": 1, "edge_workers": 1}
    assert stats["average_load"] == pytest.approx((0.2 + 0.4 + 0.5) / 6, abs=0.006)
    by_tier = stats["average_load_by_tier"]
    assert by_tier["gpu_workers"] == pytest.approx(0.5, abs=0.006)
    assert by_tier["service_workers"] == pytest.approx((0.2 + 0.4) / 3, abs=0.006)
    assert by_tier["data_workers"] == 0
    assert stats["total_tasks_completed"] == 0


def test_admin_health_wants_a_service_and_a_gpu_worker(coordinator):
    answer = coordinator.get("/api/admin/health").json
    assert_shape(answer, {"overall_status": str, "workers_by_status": {"healthy": int, "degraded": int, "offline": int},
                          "has_minimum_workers": {"gpu_workers": bool, "service_workers": bool}})
    assert answer["overall_status"] == "degraded"
    coordinator.register("cpu")
    answer = coordinator.get("/api/admin/health").json
    assert answer["overall_status"] == "degraded"
    assert answer["has_minimum_workers"] == {"gpu_workers": False, "service_workers": True}
    coordinator.register("gpu", GPU_CAPABILITIES)
    answer = coordinator.get("/api/admin/health").json
    assert answer["overall_status"] == "healthy"
    assert answer["has_minimum_workers"] == {"gpu_workers": True, "service_workers": True}
    assert answer["workers_by_status"] == {"healthy": 2, "degraded": 0, "offline": 0}


def test_admin_health_is_degraded_with_more_offline_than_healthy(coordinator):
    coordinator.register("cpu")
    coordinator.register("gpu", GPU_CAPABILITIES)
    for number in range(3):
        coordinator.register(f"off-{number}")
        coordinator.beat(f"off-{number}", status="offline")
    answer = coordinator.get("/api/admin/health").json
    assert answer["workers_by_status"] == {"healthy": 2, "degraded": 0, "offline": 3}
    assert answer["overall_status"] == "degraded"
    assert answer["has_minimum_workers"] == {"gpu_workers": True, "service_workers": True}


def test_health_counts_and_says_who_answers(redis, start_coordinator):
    coordinator = start_coordinator(redis, COORDINATOR_ID="coordinator-1", REGION="lhr")
    coordinator.register("cpu")
    coordinator.beat("cpu", current_load=0.5)
    answer = coordinator.get("/health").json
    assert_shape(answer, {
        "status": str, "coordinator": str, "region": str, "version": str, "timestamp": TIME,
        "redis": {"status": str, "latency_ms": NUMBER}, "total_workers": int, "healthy_workers": int,
        "workers_by_tier": (dict,), "average_load": NUMBER,
        "workers": {"total": int, "healthy": int, "active": int, "stale": int, "by_tier": BY_TIER}})
    assert answer["status"] == "healthy" and answer["redis"]["status"] == "up"
    assert answer["coordinator"] == "coordinator-1" and answer["region"] == "lhr"
    assert answer["total_workers"] == answer["healthy_workers"] == 1
    assert answer["average_load"] == 0.5
    assert answer["workers"] == {"total": 1, "healthy": 1, "active": 1, "stale": 0, "by_tier": {"1": 0, "2": 1, "3": 0, "4": 0}}


def test_region_comes_from_fly_when_nobody_says_otherwise(redis, start_coordinator):
    assert start_coordinator(redis, FLY_REGION="ams").get("/health").json["region"] == "ams"


def test_livez_and_readyz(coordinator):
    assert coordinator.get("/livez").status == 200
    assert coordinator.get("/readyz").status == 200


@pytest.mark.parametrize("path", ["/", "/api"])
def test_root_and_api_introduce_the_service(coordinator, path):
    coordinator.register("w")
    answer = coordinator.get(path).json
    assert_shape(answer, {"status": str, "service": str, "version": str, "active_workers": int, "docs": str,
                          "api": (str, list, dict)})
    assert answer["service"] == "RMA Distributed Coordinator"
    assert answer["active_workers"] == 1


def test_one_listener_serves_ipv4_and_ipv6(redis, start_coordinator):
    coordinator = start_coordinator(redis, HOST=None)
    assert coordinator.is_alive()
    try:
        assert coordinator.get("/livez", host="::1").status == 200
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


def test_the_capabilities_of_the_helpers_are_those_of_a_service_worker(coordinator):
    assert coordinator.register(capabilities=CAPABILITIES)["tier"] == 2
    assert coordinator.register(capabilities=GPU_CAPABILITIES)["tier"] == 1
