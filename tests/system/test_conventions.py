"""What holds for every request: how errors look, methods and bodies that are refused, request ids, CORS, HEAD."""

import json
import re

import pytest

from coordinator import CAPABILITIES
from http_client import statuses
from waiting import wait_until

REGISTER = "/api/worker/register"
HEARTBEAT = "/api/worker/heartbeat"


def assert_problem(response, status):
    """An RFC 9457 problem whose detail is a plain sentence."""
    assert response.status == status, response
    assert response.headers["Content-Type"].split(";")[0] == "application/problem+json"
    problem = response.json
    assert problem["status"] == status
    assert isinstance(problem["type"], str) and isinstance(problem["title"], str) and problem["title"]
    assert isinstance(problem["detail"], str) and len(problem["detail"]) > 5
    return problem


# -- errors ---------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/nowhere", "/api/worker", "/api/worker/", "/api/worker/a/b", "/api/admin", "/healthz", "/HEALTH",
                                  "/api/worker/register/", "//health"])
def test_unknown_path_is_404(coordinator, path):
    assert_problem(coordinator.get(path), 404)


@pytest.mark.parametrize("method, path, allowed", [
    ("GET", REGISTER, {"POST"}), ("DELETE", HEARTBEAT, {"POST"}), ("PUT", HEARTBEAT, {"POST"}), ("PATCH", REGISTER, {"POST"}),
    ("POST", "/health", {"GET"}), ("DELETE", "/api/admin/workers", {"GET"}), ("POST", "/livez", {"GET"}),
    ("GET", "/api/worker/unregister/w", {"DELETE"}), ("POST", "/api/worker/tasks", {"GET"}), ("BREW", "/health", {"GET"})])
def test_wrong_method_is_405_with_allow(coordinator, method, path, allowed):
    response = coordinator.request(method, path)
    assert_problem(response, 405)
    named = {name.strip() for name in response.headers["Allow"].split(",")}
    assert allowed <= named <= allowed | {"HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", [REGISTER, HEARTBEAT])
@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"a":}', b"[]", b'"text"', b"1", b"null", b'{"worker_id": "w"} x'])
def test_malformed_json_is_400(coordinator, path, body):
    assert_problem(coordinator.post(path, body), 400)


def test_a_body_over_the_limit_is_413(coordinator):
    body = json.dumps({"capabilities": {"x": "y" * 10_000_000}})
    assert_problem(coordinator.post(REGISTER, body), 413)


@pytest.mark.parametrize("content_type, status", [
    (None, 200), ("application/json", 200), ("application/json; charset=utf-8", 200), ("APPLICATION/JSON", 200),
    ("application/json;charset=UTF-8", 200), ("text/plain", 415), ("application/x-www-form-urlencoded", 415),
    ("application/jsonx", 415), ("multipart/form-data; boundary=x", 415)])
def test_a_body_that_is_not_json_is_415(coordinator, content_type, status):
    headers = {"Content-Type": content_type} if content_type else {}
    response = coordinator.post(REGISTER, json.dumps({"worker_id": "w", "capabilities": {}}), headers)
    if status == 200:
        assert response.status == 200, response
    else:
        assert_problem(response, status)


def test_all_faults_of_a_registration_in_one_answer(redis, coordinator):
    response = coordinator.post(REGISTER, {
        "worker_id": "has space", "instance_id": 7, "capabilities": {"cpu_cores": "eight", "ram": [16], "has_gpu": "yes"},
        "services": [{"name": "ok"}, {"port": 1}, 5], "tunnel_url": [], "ip_address": {}})
    problem = assert_problem(response, 422)
    fields = {fault["field"] for fault in problem["errors"]}
    assert {"worker_id", "instance_id", "capabilities.cpu_cores", "capabilities.ram", "capabilities.has_gpu", "tunnel_url",
            "ip_address"} <= fields
    assert any(field.startswith("services[1]") for field in fields) and any(field.startswith("services[2]") for field in fields)
    assert not any(field.startswith("services[0]") for field in fields)
    assert all(isinstance(fault["message"], str) and fault["message"] for fault in problem["errors"])
    assert redis.dump() == {} or not redis.client.exists("{rma}:workers")


def test_all_faults_of_a_heartbeat_in_one_answer(coordinator):
    coordinator.register("w")
    response = coordinator.post(HEARTBEAT, {
        "worker_id": "w", "status": "fine", "current_load": -0.1, "active_requests": "2", "loaded_models": "llama",
        "services_status": [], "expect_silence": 3601, "available_memory": 5, "specialization": {}})
    problem = assert_problem(response, 422)
    assert {fault["field"] for fault in problem["errors"]} == {
        "status", "current_load", "active_requests", "loaded_models", "services_status", "expect_silence", "available_memory",
        "specialization"}


def test_what_is_missing_is_named(coordinator):
    problem = assert_problem(coordinator.post(REGISTER, {}), 422)
    assert [fault["field"] for fault in problem["errors"]] == ["capabilities"]
    problem = assert_problem(coordinator.post(HEARTBEAT, {}), 422)
    assert [fault["field"] for fault in problem["errors"]] == ["worker_id"]


@pytest.mark.parametrize("worker_id", ["", "a" * 129, "a b", "a{b}", "a\nb", "a/b", "ü", "a\tb", "*", "a%b"])
def test_ids_are_of_few_characters(coordinator, worker_id):
    problem = assert_problem(coordinator.post(REGISTER, {"worker_id": worker_id, "capabilities": {}}), 422)
    assert [fault["field"] for fault in problem["errors"]] == ["worker_id"]
    problem = assert_problem(coordinator.post(HEARTBEAT, {"worker_id": worker_id}), 422)
    assert [fault["field"] for fault in problem["errors"]] == ["worker_id"]


@pytest.mark.parametrize("path", ["/api/worker/a%20b", "/api/worker/%7Brma%7D", "/api/worker/a%0Ab", "/api/worker/" + "a" * 200])
def test_a_bad_id_in_a_path_is_an_error(coordinator, path):
    assert coordinator.get(path).status in (404, 422)
    assert coordinator.delete(path.replace("/worker/", "/worker/unregister/")).status in (404, 422)


def test_an_id_in_a_path_may_be_percent_encoded(coordinator):
    coordinator.register("a:b.c")
    assert coordinator.get("/api/worker/a%3Ab%2Ec").json["worker_id"] == "a:b.c"


# -- request ids ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("request_id", ["x", "7f3c-AB_./:~!", "a" * 128])
def test_a_good_request_id_comes_back(coordinator, request_id):
    assert coordinator.get("/livez", {"X-Request-Id": request_id}).headers["X-Request-Id"] == request_id


@pytest.mark.parametrize("request_id", ["a" * 129, "two words", "ü", ""])
def test_a_bad_request_id_is_replaced(coordinator, request_id):
    made = coordinator.get("/livez", {"X-Request-Id": request_id.encode("latin-1")}).headers["X-Request-Id"]
    assert made != request_id and re.fullmatch(r"[\x21-\x7e]{1,128}", made)


def test_every_response_has_a_request_id_of_its_own(coordinator):
    ids = []
    for method, path, body in [("GET", "/livez", None), ("GET", "/health", None), ("GET", "/nowhere", None), ("PUT", "/health", None),
                               ("POST", REGISTER, b"{"), ("POST", REGISTER, {}), ("POST", HEARTBEAT, {"worker_id": "nobody"}),
                               ("OPTIONS", REGISTER, None), ("POST", REGISTER, {"capabilities": {}}), ("HEAD", "/livez", None)]:
        ids.append(coordinator.request(method, path, body).headers["X-Request-Id"])
    assert all(ids) and len(set(ids)) == len(ids)


def test_the_request_id_is_in_the_log_line(coordinator):
    coordinator.post(REGISTER, {"capabilities": {}}, {"X-Request-Id": "find-me-in-the-log"})
    line, = wait_until(lambda: [entry for entry in coordinator.log_lines() if "find-me-in-the-log" in entry.values()])
    assert line["status"] == 200


def test_at_debug_level_every_request_is_logged(redis, start_coordinator):
    coordinator = start_coordinator(redis, LOG_LEVEL="debug")
    coordinator.post(HEARTBEAT, {"worker_id": "nobody"}, {"X-Request-Id": "find-me-in-the-log"})
    line, = wait_until(lambda: [entry for entry in coordinator.log_lines() if "find-me-in-the-log" in entry.values()])
    assert line["status"] == 404


# -- CORS -------------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method, path", [("GET", "/health"), ("GET", "/nowhere"), ("POST", REGISTER), ("PUT", "/health")])
def test_any_origin_may_read_any_answer(coordinator, method, path):
    response = coordinator.request(method, path, headers={"Origin": "https://dashboard.example"})
    assert response.headers["Access-Control-Allow-Origin"] in ("*", "https://dashboard.example")


def preflight(coordinator, origin, path=REGISTER, method="POST"):
    return coordinator.request("OPTIONS", path, headers={
        "Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "content-type, x-request-id"})


def test_a_preflight_is_answered_204(coordinator):
    response = preflight(coordinator, "https://dashboard.example")
    assert response.status == 204 and response.body == b""
    assert response.headers["Access-Control-Allow-Origin"] in ("*", "https://dashboard.example")
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert "content-type" in response.headers["Access-Control-Allow-Headers"].lower() or \
        response.headers["Access-Control-Allow-Headers"] == "*"


def test_a_preflight_for_a_delete(coordinator):
    response = preflight(coordinator, "https://dashboard.example", "/api/worker/unregister/w", "DELETE")
    assert response.status == 204
    assert "DELETE" in response.headers["Access-Control-Allow-Methods"]


def test_only_the_listed_origins_when_there_is_a_list(redis, start_coordinator):
    coordinator = start_coordinator(redis, ALLOWED_ORIGINS="https://a.example, https://b.example")
    for origin in ("https://a.example", "https://b.example"):
        response = coordinator.get("/health", {"Origin": origin})
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert "origin" in response.headers["Vary"].lower()
        assert preflight(coordinator, origin).headers["Access-Control-Allow-Origin"] == origin
    for origin in ("https://c.example", "https://a.example.evil", "null", "https://A.example/"):
        assert "Access-Control-Allow-Origin" not in coordinator.get("/health", {"Origin": origin}).headers
        assert "Access-Control-Allow-Origin" not in preflight(coordinator, origin).headers


# -- the rest ---------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/livez", "/health", "/api/admin/workers", "/"])
def test_head_is_get_without_the_body(coordinator, path):
    with coordinator.connection() as connection:
        head = connection.request("HEAD", path)
        assert head.status == 200 and head.body == b""
        assert head.headers["Content-Type"].startswith("application/json") or path == "/livez"
        assert connection.request("GET", path).status == 200, "the connection is still in step"


def test_the_server_does_not_tell_its_version(coordinator):
    assert not re.search(r"\d", coordinator.get("/livez").headers.get("Server", ""))


def test_many_requests_on_one_connection(coordinator):
    with coordinator.connection() as connection:
        for number in range(50):
            assert connection.request("POST", REGISTER, {"worker_id": f"w-{number}", "capabilities": CAPABILITIES}).status == 200
            assert connection.request("POST", HEARTBEAT, {"worker_id": f"w-{number}"}).status == 200
            assert connection.request("POST", HEARTBEAT, {"worker_id": "nobody"}).status == 404


def test_pipelined_requests_are_answered_in_order(coordinator):
    coordinator.register("w")
    body = b'{"worker_id": "w"}'
    beat = b"POST /api/worker/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with coordinator.raw() as raw:
        raw.send((beat + b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n") * 5 + b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert statuses(raw.read_to_end()) == [200, 404] * 5 + [200]


def test_chunked_bodies_are_taken(coordinator):
    with coordinator.raw() as raw:
        raw.send("POST /api/worker/register HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "d\r\n{\"worker_id\":\r\n1b\r\n\"chunky\",\"capabilities\":{}}\r\n0\r\n\r\n")
        response = raw.read_response("POST")
    assert response.status == 200, response
    assert response.json["worker_id"] == "chunky"


def test_http_1_0_clients_are_served(coordinator):
    with coordinator.raw() as raw:
        raw.send("GET /livez HTTP/1.0\r\n\r\n")
        assert raw.read_response().status == 200
        raw.read_to_end(within=2)
