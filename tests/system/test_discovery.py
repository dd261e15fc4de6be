"""Finding workers by what they provide: who, in which order, and who not."""

import collections

import pytest

from coordinator import GPU_CAPABILITIES

OFFLINE = 300


def ids(coordinator, service, query=""):
    response = coordinator.get(f"/api/services/discover/{service}{query}")
    if response.status == 503:
        return []
    assert response.status == 200, response
    answer = response.json
    found = [worker["worker_id"] for worker in answer["workers"]]
    assert answer["service"] == service
    assert len(found) == len(set(found)) and (answer["count"] == len(found) or query)
    assert answer["recommended"] == found[0]
    return found


def find(coordinator, service, query=""):
    response = coordinator.get(f"/api/worker/find/{service}{query}")
    assert response.status == 200, response
    return response.json["worker_id"]


def provide(coordinator, worker_id, service="ocr", **beat):
    coordinator.register(worker_id, services=[service])
    if beat:
        coordinator.beat(worker_id, **beat)


# -- the order ------------------------------------------------------------------------------------------------------------------

def test_the_least_loaded_comes_first(coordinator):
    for worker_id, load in (("a", 0.5), ("b", 0.1), ("c", 0.9), ("d", 0.3)):
        provide(coordinator, worker_id, current_load=load)
    assert ids(coordinator, "ocr") == ["b", "d", "a", "c"]
    assert find(coordinator, "ocr") == "b"
    coordinator.beat("b", current_load=0.95)
    assert ids(coordinator, "ocr") == ["d", "a", "c", "b"]
    assert find(coordinator, "ocr") == "d"


def test_active_requests_count_as_load(coordinator):
    provide(coordinator, "idle-but-loaded", current_load=0.35)
    provide(coordinator, "many-requests", current_load=0.1, active_requests=5)
    provide(coordinator, "few-requests", current_load=0.1, active_requests=2)
    assert ids(coordinator, "ocr") == ["few-requests", "idle-but-loaded", "many-requests"]
    coordinator.beat("many-requests", current_load=0.1)
    assert ids(coordinator, "ocr")[-1] == "many-requests", "what a heartbeat does not say stays"
    coordinator.beat("many-requests", current_load=0.1, active_requests=0)
    assert find(coordinator, "ocr") == "many-requests"


def test_healthy_before_degraded_whatever_the_load(coordinator):
    provide(coordinator, "sick", status="degraded", current_load=0)
    provide(coordinator, "busy", current_load=1, active_requests=1000)
    assert ids(coordinator, "ocr") == ["busy", "sick"]
    coordinator.unregister("busy")
    assert find(coordinator, "ocr") == "sick", "better than none"


def test_draining_and_offline_ones_are_left_out(coordinator):
    provide(coordinator, "drains", status="draining")
    provide(coordinator, "gone", status="offline")
    assert coordinator.get("/api/services/discover/ocr").status == 503
    assert coordinator.get("/api/worker/find/ocr").status == 503
    provide(coordinator, "here", current_load=1)
    assert ids(coordinator, "ocr") == ["here"]
    coordinator.beat("drains", status="healthy")
    assert ids(coordinator, "ocr") == ["drains", "here"]
    assert coordinator.post("/api/worker/drains/drain").status == 200
    coordinator.beat("drains", status="healthy")
    assert ids(coordinator, "ocr") == ["here"], "an operator's wish stands above what the worker reports"
    assert coordinator.post("/api/worker/drains/undrain").status == 200
    assert find(coordinator, "ocr") == "drains"


def test_a_silent_worker_is_left_out_on_time(start_redis, start_coordinator, clock):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis)
    began = clock.now_ms()
    with clock.standing_at(began):
        provide(coordinator, "silent")
    with clock.standing_at(began + (OFFLINE - 1) * 1000):
        assert ids(coordinator, "ocr") == ["silent"]
    clock.move_to(began + (OFFLINE + 1) * 1000)
    assert ids(coordinator, "ocr") == []
    coordinator.beat("silent")
    assert ids(coordinator, "ocr") == ["silent"]


def test_one_that_lives_is_found_behind_a_thousand_that_fell_silent_at_once(start_redis, start_coordinator, clock):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis, THREADS=1)
    for i in range(1000):
        provide(coordinator, f"silent{i}")
    provide(coordinator, "lives", current_load=1)
    for _ in range(3):
        clock.advance(OFFLINE - 1)
        coordinator.beat("lives", current_load=1)
        clock.advance(2)
        assert find(coordinator, "ocr") == "lives"
        assert ids(coordinator, "ocr") == ["lives"]
        for i in range(1000):
            coordinator.register(f"silent{i}", services=["ocr"])


def test_those_with_the_model_come_first(coordinator):
    provide(coordinator, "without", current_load=0)
    provide(coordinator, "with", current_load=0.8, loaded_models=["llama3.2:3b", "phi3"])
    provide(coordinator, "also", current_load=0.9, loaded_models=["llama3.2:3b"])
    provide(coordinator, "sick-with", status="degraded", loaded_models=["llama3.2:3b"])
    provide(coordinator, "sick", status="degraded", current_load=0)
    everybody = ["without", "with", "also", "sick", "sick-with"]
    assert ids(coordinator, "ocr") == everybody[:3] + ids(coordinator, "ocr")[3:]
    assert ids(coordinator, "ocr", "?model=llama3.2:3b") == ["with", "also", "without", "sick-with", "sick"]
    assert find(coordinator, "ocr", "?model=llama3.2:3b") == "with"
    assert find(coordinator, "ocr", "?model=phi3") == "with"
    assert find(coordinator, "ocr", "?model=nobody-has-it") == "without", "a wish, not a condition"
    coordinator.beat("with", current_load=0.95)
    assert find(coordinator, "ocr", "?model=llama3.2:3b") == "also", "its models stay as they were said"
    coordinator.beat("also", current_load=0.9, loaded_models=[])
    assert find(coordinator, "ocr", "?model=llama3.2:3b") == "with"
    assert find(coordinator, "ocr", "?model=llama3.2%3A3b") == "with"


def test_those_specialized_for_the_service_come_first(coordinator):
    provide(coordinator, "generalist", current_load=0)
    provide(coordinator, "specialist", current_load=0.9, specialization="ocr")
    provide(coordinator, "other", current_load=0.1, specialization="something else")
    assert ids(coordinator, "ocr") == ["specialist", "generalist", "other"]
    coordinator.beat("specialist", status="degraded", specialization="ocr")
    assert ids(coordinator, "ocr") == ["generalist", "other", "specialist"]


def test_those_near_by_come_first_unless_they_are_busier_by_half(redis, start_coordinator):
    here, there, nowhere = (start_coordinator(redis, REGION=region) for region in ("fra", "lhr", None))
    provide(here, "here", current_load=0.4, loaded_models=["m"])
    provide(there, "there", current_load=0, loaded_models=["m"])
    provide(nowhere, "nowhere", current_load=0.2)
    assert ids(here, "ocr") == ["here", "there", "nowhere"] and find(here, "ocr") == "here"
    assert ids(there, "ocr") == ["there", "nowhere", "here"]
    assert ids(nowhere, "ocr") == ["there", "nowhere", "here"] and find(nowhere, "ocr") == "there"
    assert ids(here, "ocr", "?model=m") == ["here", "there", "nowhere"] and find(here, "ocr", "?model=m") == "here"
    here.beat("here", current_load=0.6)
    assert ids(here, "ocr") == ["there", "here", "nowhere"] and find(here, "ocr") == "there"
    here.beat("here", current_load=0.1, status="degraded")
    assert ids(here, "ocr") == ["there", "nowhere", "here"]
    there.register("here", services=[{"name": "ocr"}])
    assert find(here, "ocr") in ("here", "there") and here.worker("here")["region"] == "lhr"


def test_ties_are_broken_at_random(coordinator):
    for i in range(4):
        provide(coordinator, f"w{i}", current_load=0.25)
    provide(coordinator, "worse", current_load=0.26)
    counts = collections.Counter(find(coordinator, "ocr") for _ in range(200))
    assert set(counts) == {"w0", "w1", "w2", "w3"}, "each of the equals, and no other (missing one has a chance of 4 in 10^25)"


# -- names and bounds -----------------------------------------------------------------------------------------------------------

def test_names_are_exact(coordinator):
    coordinator.register("client", services=["client-rag"])
    coordinator.register("longer", services=["rag2"])
    for name in ("ag", "rag-", "RAG", "client", "r", "rag2.", "client-ra"):
        assert ids(coordinator, name) == [], name
    assert ids(coordinator, "client-rag") == ["client"]
    assert ids(coordinator, "rag2") == ["longer"]


def test_strange_but_valid_names(coordinator):
    names = ["a:model:b", "-", "x:online.y", "..", "a", "a:model"]
    coordinator.register("w", services=names[:3])
    coordinator.register("v", services=names[3:])
    coordinator.beat("w", loaded_models=["b", "a/b", "x:y"])
    assert ids(coordinator, "a:model:b") == ["w"]
    assert ids(coordinator, "a:model") == ["v"]
    assert ids(coordinator, "a", "?model=b") == ["v"]
    assert ids(coordinator, "a:model:b", "?model=a/b") == ["w"]


@pytest.mark.parametrize("path", ["/api/services/discover/", "/api/worker/find/"])
def test_what_is_refused(coordinator, path):
    coordinator.register("w", services=["ocr"])
    for bad in ("o%20cr", "o%7Bcr", "x" * 129, "o%0Acr", "%00", "ocr%2F"):
        assert coordinator.get(path + bad).status == 422, bad
    for bad in ("?limit=0", "?limit=129", "?limit=x", "?limit=-1", "?limit=99999999999999999999", "?model=a%20b", "?model=a,b",
                "?model=" + "x" * 129):
        response = coordinator.get(path + "ocr" + bad)
        assert response.status == 422, bad
        assert response.json["errors"][0]["field"] in ("limit", "model")
    assert coordinator.get(path).status == 404


def test_at_most_so_many_are_named(coordinator):
    for i in range(150):
        coordinator.register(f"w{i}", services=["ocr"])
    assert len(ids(coordinator, "ocr", "?limit=128")) == 128
    assert len(ids(coordinator, "ocr", "?limit=1")) == 1
    answer = coordinator.get("/api/services/discover/ocr").json
    assert (len(answer["workers"]), answer["count"]) == (128, 150), "all are counted"
    coordinator.beat("w1", status="draining")
    assert coordinator.get("/api/services/discover/ocr").json["count"] == 149


def test_nobody_is_503_with_a_hint(coordinator):
    response = coordinator.get("/api/services/discover/ocr")
    assert response.status == 503 and int(response.headers["Retry-After"]) >= 1
    assert "ocr" not in response.json["detail"] and response.json["detail"].endswith(".")


# -- what is told of them ---------------------------------------------------------------------------------------------------------

def test_a_discovered_worker(coordinator):
    coordinator.register("w", services=["ocr"], tunnel_url="https://t.example", vpn_ip="10.42.0.7")
    coordinator.beat("w", current_load=0.25)
    worker, = coordinator.get("/api/services/discover/ocr").json["workers"]
    listed = coordinator.worker("w")
    assert worker["worker_id"] == "w" and worker["load"] == 0.25
    for name in ("tunnel_url", "vpn_ip", "capabilities", "last_heartbeat"):
        assert worker[name] == listed[name]


@pytest.mark.parametrize("said, url", [
    ({"services": [{"name": "ocr", "port": 9, "service_url": "https://s.example/x"}], "tunnel_url": "https://t.example"},
     "https://s.example/x"),
    ({"services": [{"name": "ocr", "port": 9}], "tunnel_url": "https://t.example"}, "https://t.example"),
    ({"services": [{"name": "ocr", "port": 9}], "vpn_ip": "10.42.0.7", "ip_address": "203.0.113.9"}, "http://10.42.0.7:9"),
    ({"services": [{"name": "ocr", "port": 9}], "ip_address": "203.0.113.9"}, "http://203.0.113.9:9"),
    ({"services": ["ocr"], "ip_address": "203.0.113.9"}, "http://203.0.113.9"),
    ({"services": [{"name": "ocr", "port": 9}], "ip_address": "https://u.example"}, "https://u.example"),
    ({"services": [{"name": "ocr", "port": 9}], "ip_address": "2001:db8::1"}, "http://[2001:db8::1]:9"),
    ({"services": [{"name": "other", "port": 9}, {"name": "ocr", "port": None}]}, "http://127.0.0.1"),
])
def test_where_a_found_worker_is_reached(coordinator, said, url):
    coordinator.register("w", **said)
    assert coordinator.get("/api/worker/find/ocr").json == {"service": "ocr", "worker_id": "w", "worker_url": url, "load": 0}


def test_an_assigned_service_is_reached_at_the_catalogues_port(coordinator):
    coordinator.register("w", ip_address="203.0.113.9")
    assert coordinator.get("/api/worker/find/rag").json["worker_url"] == "http://203.0.113.9:8102"


# -- the services ------------------------------------------------------------------------------------------------------------------

def test_all_services(coordinator):
    assert coordinator.get("/api/admin/services").json == {"services": {}, "total_services": 0}
    assert coordinator.get("/api/services/list").json == {"services": [], "count": 0}
    coordinator.register("a", services=["ocr"])
    coordinator.register("b", services=["ocr"])
    coordinator.beat("a", current_load=0.5)
    coordinator.beat("b", status="degraded")
    answer = coordinator.get("/api/admin/services").json
    assert answer["total_services"] == 3
    assert answer["services"]["ocr"] == {"name": "ocr", "total_workers": 2, "healthy_workers": 1, "status": "available",
                                         "worker_count": 2,
                                         "workers": ["a", "b"]}
    assert answer["services"]["ner"] == {"name": "ner", "total_workers": 1, "healthy_workers": 0, "status": "degraded",
                                         "worker_count": 1,
                                         "workers": ["b"]}
    listed = coordinator.get("/api/services/list").json
    assert listed["count"] == 3 and [service["name"] for service in listed["services"]] == ["ner", "ocr", "rag"]
    coordinator.unregister("a")
    coordinator.beat("b", status="draining")
    assert coordinator.get("/api/admin/services").json["services"]["ocr"]["status"] == "draining"
    coordinator.beat("b", status="offline")
    assert coordinator.get("/api/admin/services").json == {"services": {}, "total_services": 0}


def test_thousands_of_made_up_services(redis, coordinator):
    """Anybody may advertise any name: the answers stay bounded and right, and nothing of them remains."""
    for i in range(100):
        coordinator.register(f"w{i}", services=[f"s{i}-{j}" for j in range(32)])
    answer = coordinator.get("/api/admin/services").json
    assert answer["total_services"] == 3200 + 6
    assert coordinator.get("/api/services/list").json["count"] == 3206
    for i in range(100):
        coordinator.unregister(f"w{i}")
    assert not redis.client.exists("{rma}:services")
    assert list(redis.client.scan_iter("{rma}:service:*")) == []


def test_gaps(coordinator):
    answer = coordinator.get("/api/admin/gaps").json
    assert answer["summary"] == {"total_services": 14, "covered": 0, "needs_attention": 14}
    assert len(answer["gaps"]) == len(answer["critical_gaps"]) == 14 and answer["warnings"] == []
    assert [gap["priority"] for gap in answer["gaps"]] == sorted(gap["priority"] for gap in answer["gaps"])
    coordinator.register("one")
    coordinator.register("two")
    coordinator.register("three", services=["rag"])
    coordinator.register("gpu", capabilities=GPU_CAPABILITIES)
    answer = coordinator.get("/api/admin/gaps").json
    by_name = {gap["service"]: gap for gap in answer["gaps"]}
    assert by_name["rag"] == {"service": "rag", "required_type": "cpu", "priority": 1, "current_workers": 2, "status": "ok",
                              "port": 8102}
    assert by_name["ner"]["status"] == "warning" and by_name["vision"]["status"] == "warning"
    assert by_name["postgres"] == {"service": "postgres", "required_type": "storage", "priority": 1, "current_workers": 0,
                                   "status": "critical", "port": 5432}
    order = [("critical", "warning", "ok").index(gap["status"]) for gap in answer["gaps"]]
    assert order == sorted(order)
    assert [gap["service"] for gap in answer["warnings"]] == ["vision", "ner"]
    assert answer["summary"] == {"total_services": 14, "covered": 3, "needs_attention": 13}


def test_live_workers(coordinator):
    coordinator.register("a")
    coordinator.register("b")
    coordinator.beat("b", status="offline")
    answer = coordinator.get("/api/coordinator/workers").json
    assert set(answer) == {"workers", "count", "timestamp", "next_cursor"}
    assert [worker["worker_id"] for worker in answer["workers"]] == ["a"] and answer["count"] == 1


def test_live_workers_and_coordinators_are_paged(coordinator):
    for i in range(5):
        coordinator.post("/api/edge/register", {"worker_id": f"e{i}", "capabilities": {}})
    first = coordinator.get("/api/coordinator/workers?limit=3").json
    rest = coordinator.get("/api/coordinator/workers?limit=3&cursor=" + first["next_cursor"]).json
    assert [worker["worker_id"] for worker in first["workers"] + rest["workers"]] == [f"e{i}" for i in range(5)]
    assert rest["next_cursor"] is None
    assert coordinator.get("/api/coordinator/workers?limit=0").status == 422
    first, rest = (coordinator.get("/api/admin/coordinators?limit=3" + cursor).json for cursor in ("", "&cursor=e2"))
    assert [worker["worker_id"] for worker in first + rest] == [f"e{i}" for i in range(5)]


def test_without_redis(redis, coordinator):
    redis.kill()
    for path in ("/api/services/discover/ocr", "/api/worker/find/ocr", "/api/admin/services", "/api/services/list",
                 "/api/admin/gaps",
                 "/api/coordinator/workers", "/api/admin/coordinators"):
        response = coordinator.get(path)
        assert response.status == 503 and response.headers["Retry-After"], path
        assert response.headers["Content-Type"].startswith("application/problem+json")


def test_discovery_says_where_each_worker_provides_it(coordinator):
    coordinator.register("a", services=[{"name": "ocr", "port": 9}], ip_address="203.0.113.9")
    coordinator.register("b", services=[{"name": "ocr", "service_url": "https://b.example/ocr"}], tunnel_url="https://t.example")
    coordinator.register("c", ip_address="203.0.113.10", services=[{"name": "ocr", "port": "8000"}])
    found = coordinator.get("/api/services/discover/ocr").json
    assert {row["worker_id"]: row["worker_url"] for row in found["workers"]} == {
        "a": "http://203.0.113.9:9", "b": "https://b.example/ocr", "c": "http://203.0.113.10:8000"}
    assert found["count"] == 3
    for service in coordinator.worker("a")["assigned_services"]:
        row, = coordinator.get(f"/api/services/discover/{service}").json["workers"]
        assert row["worker_url"].startswith("http://203.0.113.9:8")


def test_two_entries_of_one_service_are_two_endpoints_and_both_are_used(coordinator):
    coordinator.register("w", services=[{"name": "ocr", "port": 9001}, {"name": "ocr", "port": 9002}], ip_address="203.0.113.9")
    urls = ["http://203.0.113.9:9001", "http://203.0.113.9:9002"]
    found = coordinator.get("/api/services/discover/ocr").json
    assert sorted(row["worker_url"] for row in found["workers"]) == urls and {row["worker_id"] for row in found["workers"]} == {"w"}
    assert (found["count"], found["recommended"]) == (1, "w")
    assert sorted(coordinator.get("/api/worker/find/ocr").json["worker_url"] for _ in range(2)) == urls, "they take turns"
    assert sorted(coordinator.get("/api/services/discover/ocr?limit=1").json["workers"][0]["worker_url"] for _ in range(2)) == urls
