"""Which worker would get a request, and why not the others; and where requests are counted."""

import json
import os
import subprocess

import pytest

import project
from peers import reply, saying
from routes import Routes
from waiting import wait_until

LLM = {"services": [{"name": "vllm", "port": 8000}]}


def explain(coordinator, service="vllm", **query):
    answer = coordinator.get(f"/api/route/explain?service={service}" + "".join(f"&{name}={value}" for name, value in query.items()))
    assert answer.status == 200, answer
    return answer.json


def codes(answer):
    return {row["worker_id"]: row["code"] for row in answer["workers"]}


@pytest.fixture
def coordinator(redis, start_coordinator):
    """The workers of these tests are on this machine."""
    return start_coordinator(redis, UPSTREAM_ALLOW="127.0.0.1")


@pytest.fixture
def routes(redis):
    return Routes(redis.client)


def test_each_worker_has_its_reason(coordinator, routes):
    for worker in ("good", "busy", "suspect", "broken", "other-model", "unwell", "draining", "drained", "offline"):
        coordinator.register(worker, **LLM)
        coordinator.beat(worker, loaded_models=["m:latest"], current_load=0.25)
    coordinator.register("elsewhere", services=["ocr"])
    coordinator.beat("other-model", loaded_models=["n"])
    coordinator.beat("unwell", services_status={"vllm": "down"})
    coordinator.beat("draining", status="draining")
    coordinator.post("/api/worker/drained/drain")
    coordinator.beat("offline", status="offline")
    others = "good suspect broken other-model"
    held = [routes.choose("vllm", model="m", excluded=others) for _ in range(3)]
    assert {choice.worker for choice in held} == {"busy"}
    routes.call(["report", "suspect", "vllm", "c", ""], *[["report", "broken", "vllm", "f", ""]] * 5)
    answer = explain(coordinator, model="M")
    assert (answer["service"], answer["model"], answer["chosen"],
            answer["text"]) == ("vllm", "m", "good", "Worker good would be chosen next.")
    assert codes(answer) == {
        "good": "eligible", "busy": "eligible", "suspect": "suspect", "other-model": "other-models", "broken": "breaker-open",
        "unwell": "unwell",
        "draining": "draining", "drained": "draining", "offline": "offline", "elsewhere": "other-service"}
    assert [row["worker_id"] for row in answer["workers"]][:5] == ["good", "busy", "suspect", "other-model", "broken"]
    rows = {row["worker_id"]: row for row in answer["workers"]}
    assert rows["good"]["text"] == "It has 0 requests in flight and a load of 0.25."
    assert (rows["busy"]["requests_in_flight"], rows["busy"]["active_requests"]) == (3, 3)
    assert (rows["broken"]["failures_in_a_row"] == 5 and 0 < rows["broken"]["seconds_left"] <= 10
            and "it gets none for" in rows["broken"]["text"])
    assert [row["worker_id"] for row in answer["workers"] if row["eligible"]] == ["good", "busy", "suspect"]
    assert all(row["text"].endswith(".") for row in answer["workers"])
    for worker in ("good", "busy", "suspect"):
        assert rows[worker]["model_loaded"] is True


def test_what_is_said_is_what_is_done(coordinator, routes):
    for number in range(6):
        coordinator.register(f"w{number}", **LLM)
        coordinator.beat(f"w{number}", current_load=number / 10)
    for _ in range(20):
        said = explain(coordinator)["chosen"]
        assert routes.choose("vllm").worker == said


def test_who_would_get_a_request_for_a_model_that_nobody_has(coordinator):
    """Whoever tells of no loaded models, or loads them on demand, as with the requests themselves."""
    for worker, service, models in (("told", "vllm", ["n"]), ("silent", "vllm", []), ("loads", "vision", ["n"])):
        coordinator.register(worker, services=[{"name": service, "port": 8000}])
        coordinator.beat(worker, loaded_models=models)
    answer = explain(coordinator, model="m")
    assert (answer["chosen"], codes(answer)) == (
        "silent", {"silent": "no-model", "told": "other-models", "loads": "other-service"})
    assert codes(explain(coordinator, service="vision", model="m"))["loads"] == "no-model"
    coordinator.unregister("silent")
    answer = explain(coordinator, model="m")
    assert (answer["chosen"], answer["workers"][0]["eligible"]) == (None, False)
    assert answer["workers"][0]["text"] == "It has loaded other models than m, and loads none on demand."
    assert codes(explain(coordinator))["told"] == "eligible"


def test_nobody_can_be_chosen(coordinator):
    answer = explain(coordinator)
    assert (answer["chosen"], answer["workers"], answer["text"]) == (None, [], "No worker can be chosen for vllm.")
    coordinator.register("w", services=["ocr"])
    assert codes(explain(coordinator, service="llm-inference")) == {"w": "other-service"}, "under any of the service's names"


def test_nobody_gets_requests_for_a_service_that_is_closed(coordinator):
    coordinator.register("store", services=[{"name": "redis", "port": 6379}])
    coordinator.register("w", **LLM)
    assert coordinator.get("/service/redis/x").json["code"] == "service-closed"
    answer = explain(coordinator, service="redis")
    assert (answer["chosen"], answer["text"]) == (None, "No worker can be chosen for redis.")
    assert codes(answer) == {"store": "service-closed", "w": "other-service"} and not answer["workers"][0]["eligible"]
    assert answer["workers"][0]["text"] == "Requests for redis are not passed on to any worker."


def test_a_worker_that_no_request_can_reach_is_not_called_eligible(make_stage):
    """It is chosen as if it were, and each request fails at it. What its breaker says is no reason then."""
    stage = make_stage()
    coordinator = stage.start(UPSTREAM_ALLOW="127.0.0.1", **stage.names.settings())
    good = stage.peers.start(saying(reply(b"x")))
    stage.names.resolve("inner.example", "10.1.2.3")
    stage.names.resolve("none.example", "none")
    stage.names.resolve("good.example", "127.0.0.1")
    service = stage.service()
    private = "the address is in a private network that UPSTREAM_ALLOW does not have"
    urls = {"http://10.0.0.9:8000": private, "http://169.254.169.254": "the address is one that no request goes to",
            f"http://127.0.0.1:{stage.redis.port}": "the port is Redis's", "http://inner.example:1": private,
            "http://none.example:2": "Name or service not known"}
    told = {stage.register(service, url): f"No request can go to its URL, {url}: {why}." for url, why in urls.items()}
    coordinator.register("two", services=[{"name": service, "service_url": url} for url in ("http://10.0.0.9", good.url)])
    named = stage.register(service, f"http://good.example:{good.port}")
    for number in range(30):
        stage.ask("GET", f"/service/{service}/{number}")  # so all names have been looked up, and some workers are suspect
    answer = explain(coordinator, service=service)
    rows = {row["worker_id"]: row for row in answer["workers"]}
    assert {worker: rows[worker]["text"] for worker in told} == told
    assert {(rows[worker]["code"], rows[worker]["eligible"]) for worker in told} == {("unusable-url", False)}
    assert all(rows[worker]["eligible"] for worker in ("two", named)) and answer["chosen"] in ("two", named)
    assert {row["worker_id"] for row in answer["workers"][:2]} == {"two", named}
    for worker in ("two", named):
        coordinator.unregister(worker)
    answer = explain(coordinator, service=service)
    assert (answer["chosen"], answer["text"]) == (None, f"No worker can be chosen for {service}.")


def test_a_worker_without_an_address_is_not_called_eligible(redis, coordinator):
    coordinator.register("w", **LLM)
    redis.client.hdel("{rma}:registration:w", "ip_address", "vpn_ip", "tunnel_url")
    answer = explain(coordinator)
    assert (answer["chosen"], codes(answer)) == (None, {"w": "no-address"})
    assert answer["workers"][0]["text"] == "Nobody knows where it can be reached."


def test_a_large_fleet_is_cut(coordinator):
    for number in range(230):
        coordinator.register(f"w{number:03}", **LLM)
    coordinator.beat("w229", current_load=0)
    for number in range(229):
        coordinator.beat(f"w{number:03}", current_load=0.5)
    answer = explain(coordinator)
    assert len(answer["workers"]) == 200 and answer["left_out"] == 30 and answer["chosen"] == "w229"


def test_requests_are_counted_everywhere(coordinator, routes):
    coordinator.register("w", **LLM)
    coordinator.register("v", **LLM)
    coordinator.beat("w", active_requests=1, loaded_models=["m"])
    held = [routes.choose("vllm", excluded="v") for _ in range(4)]
    rows = {row["worker_id"]: row["active_requests"] for row in coordinator.get("/api/admin/workers").json["workers"]}
    assert rows == {"w": 4, "v": None}
    assert coordinator.worker("w")["active_requests"] == coordinator.worker("w")["requests_left"] == 4
    found = coordinator.get("/api/services/discover/vllm").json
    assert [(worker["worker_id"], worker["active_requests"]) for worker in found["workers"]] == [("v", None), ("w", 4)]
    assert coordinator.get("/api/worker/find/vllm").json["worker_id"] == "v"
    assert coordinator.stats()["requests_in_flight"] == 4
    coordinator.beat("w", active_requests=7)
    assert coordinator.worker("w")["active_requests"] == 7
    for choice in held:
        routes.release(choice)
    assert coordinator.worker("w")["requests_left"] == coordinator.stats()["requests_in_flight"] == 0


def request_counts(coordinator):
    """{service: (in flight, ended)}"""
    answer = coordinator.get("/api/route/requests")
    assert answer.status == 200 and answer.json["count"] == len(answer.json["services"]), answer
    rows = answer.json["services"]
    assert [row["service"] for row in rows] == sorted(row["service"] for row in rows)
    return {row["service"]: (row["in_flight"], row["served"]) for row in rows}


def test_requests_are_counted_by_service(coordinator, routes):
    assert coordinator.get("/api/route/requests").json == {"services": [], "count": 0}
    coordinator.register("w", services=["vllm", "ocr", "rag"])
    assert request_counts(coordinator) == {}, "a service that has had no request"
    vllm, ocr = routes.choose("vllm", count=3), routes.choose("ocr")
    assert request_counts(coordinator) == {"ocr": (1, 0), "vllm": (3, 0)}
    routes.release(vllm[0], requests=5)
    routes.release(ocr, "f")
    assert request_counts(coordinator) == {"ocr": (0, 1), "vllm": (2, 5)}
    coordinator.delete("/api/worker/unregister/w")
    for choice in vllm[1:]:
        routes.release(choice)
    assert request_counts(coordinator) == {"ocr": (0, 1), "vllm": (0, 7)}, "they outlive their workers"


def test_nonsense_is_not_counted(redis, coordinator, routes):
    coordinator.register("w", **LLM)
    routes.choose("vllm")
    redis.client.hset("{rma}:flights", mapping={"a b": 1, "": 2, "x" * 200: 3, "rag": -4, "ocr": "many", "ner": "", "<b>": 1})
    redis.client.hset("{rma}:served", mapping={"vllm": "many", "rag": 9, "ner": "nan", "ocr": "-1", "\x00": 4, "old": "7"})
    assert request_counts(coordinator) == {"old": (0, 7), "rag": (0, 9), "vllm": (1, 0)}


def test_draining_says_how_many_are_left(coordinator, routes):
    coordinator.register("w", **LLM)
    held = [routes.choose("vllm") for _ in range(2)]
    coordinator.post("/api/worker/w/drain")
    assert routes.choose("vllm").refusal == "closed"
    for left in (2, 1, 0):
        assert coordinator.worker("w")["requests_left"] == left
        if held:
            assert routes.release(held.pop()) == "1"


def test_the_requests_of_an_instance_that_is_gone_end(clock, start_redis, start_coordinator):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis, clock=clock)
    routes = Routes(redis.client)
    coordinator.register("w", **LLM)
    began = clock.now_ms()
    with clock.standing_at(began):
        for _ in range(5):
            routes.choose("vllm", thread="dead")
    def rank():
        return redis.client.zscore("{rma}:service:vllm", "w")

    wait_until(lambda: rank() == 10 ** 12 + 500_000)
    with clock.standing_at(began + 14_000):
        coordinator.beat("w")
        assert coordinator.worker("w")["requests_left"] == 5
    clock.advance(1)
    wait_until(lambda: redis.client.hlen("{rma}:requests") == 0)  # nobody asks: the sweep does it
    wait_until(lambda: rank() == 10 ** 12)
    assert redis.client.exists("{rma}:requests:dead", "{rma}:requesters") == 0


def test_the_command(redis, coordinator, routes):
    coordinator.register("good", **LLM)
    coordinator.register("gone", **LLM)
    coordinator.beat("good", loaded_models=["m"])
    coordinator.beat("gone", status="offline")

    def run(*arguments):
        done = subprocess.run([project.BINARY, "route", *arguments], env={**os.environ, "COORDINATOR_URL": coordinator.url},
                              capture_output=True, text=True,
                              timeout=60)
        return done.returncode, done.stdout

    routes.choose("vllm")
    code, text = run("vllm", "--model", "M")
    lines = text.splitlines()
    assert code == 0 and lines[0].split() == ["WORKER", "STATUS", "IN", "FLIGHT", "LOAD", "WHY"]
    assert lines[1].split()[:5] == ["good", "healthy", "1", "0", "%"] and "It has 1 request in flight" in lines[1]
    assert lines[2].startswith("gone") and lines[2].endswith("It is offline.")
    assert lines[3] == "Worker good would be chosen next."
    code, text = run("vllm", "--json")
    assert code == 0 and json.loads(text) == explain(coordinator)
    assert run("a b")[0] == run()[0] == run("vllm", "--tier", "2")[0] == 2


def test_a_certificate_is_known_by_its_fingerprint(redis, coordinator):
    digits = "ab" * 32
    for number, told in enumerate((digits, digits.upper(), "SHA256:" + ":".join(["AB"] * 32))):
        assert "ignored" not in coordinator.register(f"w{number}", tls_fingerprint=told)
        assert coordinator.worker(f"w{number}")["tls_fingerprint"] == digits
    for number, told in enumerate((digits[1:], digits + "a", "x" * 64, "a:b" * 21, 5, [])):
        answer = coordinator.post("/api/worker/register", {"worker_id": f"v{number}", "capabilities": {}, "tls_fingerprint": told})
        assert answer.status == 200 and "tls_fingerprint" in json.dumps(answer.json), answer
        assert coordinator.worker(f"v{number}")["tls_fingerprint"] is None


def test_a_worker_that_moves_has_another_stamp(redis, coordinator):
    def stamp():
        return redis.client.hget("{rma}:registration:w", "stamp")

    coordinator.register("w", ip_address="203.0.113.9", **LLM)
    stamps = [stamp()]
    for move in (lambda: coordinator.beat("w", tunnel_url="https://a.example"),
                 lambda: coordinator.register("w", services=[{"name": "vllm", "port": 8001}]),
                 lambda: coordinator.beat("w", ip_address="203.0.113.10")):
        move()
        stamps.append(stamp())
    assert len(set(stamps)) == 4 and None not in stamps
    coordinator.beat("w", current_load=0.5)
    assert stamp() == stamps[-1]
