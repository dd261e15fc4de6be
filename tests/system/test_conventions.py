"""What holds for every request: how errors look, methods and bodies that are refused, request ids, CORS, HEAD."""

import gzip
import json
import re

import pytest

from coordinator import CAPABILITIES
from http_client import statuses
from waiting import wait_until

REGISTER = "/api/worker/register"
HEARTBEAT = "/api/worker/heartbeat"


def assert_problem(response, status, code=None):
    """An RFC 9457 problem with a code for programs, and whose detail is a plain sentence."""
    assert response.status == status, response
    assert response.headers["Content-Type"].split(";")[0] == "application/problem+json"
    problem = response.json
    assert problem["status"] == status
    assert isinstance(problem["type"], str) and isinstance(problem["title"], str) and problem["title"]
    assert isinstance(problem["detail"], str) and len(problem["detail"]) > 5
    assert re.fullmatch("[a-z]+(-[a-z]+)*", problem["code"]) and problem["code"] == (code or problem["code"])
    assert problem["retryable"] == ("Retry-After" in response.headers)
    return problem


# -- errors ---------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/nowhere", "/api/worker", "/api/worker/", "/api/worker/a/b", "/api/admin", "/healthz", "/HEALTH",
                                  "/health/x", "/.//health"])
def test_unknown_path_is_404(coordinator, path):
    assert_problem(coordinator.get(path), 404, "path-not-found")


@pytest.mark.parametrize("method, path, allowed", [
    ("GET", REGISTER, {"POST"}), ("DELETE", HEARTBEAT, {"POST"}), ("PUT", HEARTBEAT, {"POST"}), ("PATCH", REGISTER, {"POST"}),
    ("POST", "/health", {"GET"}), ("DELETE", "/api/admin/workers", {"GET"}), ("POST", "/livez", {"GET"}),
    ("GET", "/api/worker/unregister/w", {"DELETE"}), ("POST", "/api/worker/tasks", {"GET"}), ("BREW", "/health", {"GET"})])
def test_wrong_method_is_405_with_allow(coordinator, method, path, allowed):
    response = coordinator.request(method, path)
    assert_problem(response, 405, "method-not-allowed")
    named = {name.strip() for name in response.headers["Allow"].split(",")}
    assert allowed <= named <= allowed | {"HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", [REGISTER, HEARTBEAT])
@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"a":}', b"[]", b'"text"', b"1", b"null", b'{"worker_id": "w"} x'])
def test_malformed_json_is_400(coordinator, path, body):
    assert_problem(coordinator.post(path, body), 400, "bad-request")


def test_a_body_over_the_limit_is_413(coordinator):
    body = json.dumps({"capabilities": {"x": "y" * 10_000_000}})
    assert_problem(coordinator.post(REGISTER, body), 413, "body-too-large")


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
    problem = assert_problem(response, 422, "fields-invalid")
    fields = {fault["field"] for fault in problem["errors"]}
    assert {"worker_id", "instance_id", "capabilities.cpu_cores", "capabilities.ram", "capabilities.has_gpu", "tunnel_url",
            "ip_address"} <= fields
    assert any(field.startswith("services[1]") for field in fields) and any(field.startswith("services[2]") for field in fields)
    assert not any(field.startswith("services[0]") for field in fields)
    assert all(isinstance(fault["message"], str) and fault["message"] for fault in problem["errors"])
    assert redis.dump() == {} or not redis.client.exists("{rma}:workers")


def test_all_that_is_of_no_use_in_a_heartbeat_in_one_answer(coordinator):
    coordinator.register("w")
    response = coordinator.post(HEARTBEAT, {
        "worker_id": "w", "status": "fine", "current_load": -0.1, "active_requests": "two", "loaded_models": "llama",
        "services_status": [], "expect_silence": 3601, "available_memory": 5, "specialization": {}})
    assert response.status == 200, response
    assert {fault["field"] for fault in response.json["ignored"]} == {
        "status", "current_load", "active_requests", "loaded_models", "services_status", "expect_silence", "available_memory",
        "specialization"}
    assert all(isinstance(fault["message"], str) and fault["message"] for fault in response.json["ignored"])


def test_what_is_missing_is_named(coordinator):
    problem = assert_problem(coordinator.post(REGISTER, {}), 422)
    assert [fault["field"] for fault in problem["errors"]] == ["capabilities"]
    problem = assert_problem(coordinator.post(HEARTBEAT, {}), 422)
    assert [fault["field"] for fault in problem["errors"]] == ["worker_id"]


@pytest.mark.parametrize("worker_id", ["", "a" * 129, "a b", "a{b}", "a\nb", "a/b", "ü", "a\tb", "*", "a%b"])
def test_ids_are_of_few_characters(coordinator, worker_id):
    if worker_id:  # an empty one is absent
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
    for method, path, body in [("GET", "/livez", None), ("GET", "/health", None), ("GET", "/nowhere", None),
                               ("PUT", "/health", None),
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


def test_a_preflight_for_any_method(coordinator):
    response = preflight(coordinator, "https://dashboard.example", "/api/worker/unregister/w", "DELETE")
    assert response.status == 204
    methods = response.headers["Access-Control-Allow-Methods"].split(", ")
    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(methods)


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


@pytest.mark.parametrize("origins", ["https://a.example , https://b.example", "\thttps://a.example\t,https://b.example "])
def test_blanks_around_an_origin_do_not_matter(redis, start_coordinator, origins):
    coordinator = start_coordinator(redis, ALLOWED_ORIGINS=origins)
    for origin in ("https://a.example", "https://b.example"):
        assert coordinator.get("/livez", {"Origin": origin}).headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize("origins", ["*", " *", "https://a.example, *", "*,https://a.example"])
def test_a_star_in_the_list_means_any_origin(redis, start_coordinator, origins):
    coordinator = start_coordinator(redis, ALLOWED_ORIGINS=origins)
    for origin in ("https://a.example", "https://other.example"):
        assert coordinator.get("/livez", {"Origin": origin}).headers["Access-Control-Allow-Origin"] == "*"


def allowed_of(coordinator, candidates):
    """Those of the origins that may read an answer, and whose preflights say the same."""
    allowed = [origin for origin in candidates
               if coordinator.get("/livez", {"Origin": origin}).headers.get("Access-Control-Allow-Origin") == origin]
    assert allowed == [origin for origin in candidates if "Access-Control-Allow-Origin" in preflight(coordinator, origin).headers]
    return allowed


def test_a_star_before_a_name_means_its_subdomains_and_nothing_that_looks_like_one(redis, start_coordinator):
    coordinator = start_coordinator(redis, ALLOWED_ORIGINS="https://*.example, http://*.lan.example:3000")
    good = ["https://a.example", "https://a.b.example", "https://A-1.Example", "http://x.lan.example:3000"]
    bad = ["https://example", "https://.example", "https://evil-example", "https://evilexample", "https://a.example.evil",
           "http://a.example",
           "https://a.example:8443", "https://example.evil", "https://evil.com/.example", "https://evil.com#.example",
           "https://evil.com?.example",
           "https://user@evil.com:1/.example", "https://user@a.example", "https://a.example/", "https://a.example.",
           "https://..example",
           "https://a b.example", "https://*.example", "null", "https://", "", ".example", "http://x.lan.example",
           "http://lan.example:3000",
           "http://x.lan.example:30000", "https://evil.com\t.example", "https://evil.com:443.example"]
    assert allowed_of(coordinator, good + bad) == good


def test_origins_are_taken_in_the_form_in_which_browsers_send_them(redis, start_coordinator):
    coordinator = start_coordinator(redis, ALLOWED_ORIGINS="https://A.example/, "
                                                           "https://b.example:443,http://c.example:8080/,http://[::1]:80")
    good = ["https://a.example", "https://b.example", "http://c.example:8080", "http://[::1]"]
    assert allowed_of(coordinator, [*good, "http://a.example", "https://a.example:444", "http://c.example"]) == good


# -- bodies that are encoded ----------------------------------------------------------------------------------------------------

GZIP = gzip.compress(json.dumps({"worker_id": "w", "capabilities": CAPABILITIES}).encode())
BOMB = gzip.compress(bytes(30_000_000))


@pytest.mark.parametrize(("encoding", "named"), [
    ("gzip", "gzip"), ("GZIP", "GZIP"), ("x-gzip", "x-gzip"), ("deflate", "deflate"), ("br", "br"), ("zstd", "zstd"),
    ("gzip, gzip", "gzip"),
    ("identity, br", "br"), (" , deflate", "deflate"), ("aes128gcm", "aes128gcm"), ("<b>", "(unknown)"), ("x" * 200, "(unknown)"),
    ("\xe4", "(unknown)")])
@pytest.mark.parametrize("path", [REGISTER, HEARTBEAT, "/api/worker/heartbeats", "/api/edge/register", "/api/worker/w/drain"])
def test_an_encoded_body_is_refused_by_its_name(coordinator, encoding, named, path):
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    with coordinator.connection() as connection:
        answer = connection.request("POST", path, GZIP, headers)
        problem = assert_problem(answer, 415, "body-encoded")
        assert f" {named}; " in problem["detail"] and answer.headers["Accept-Encoding"] == "identity"
        assert connection.request("GET", "/livez").status == 200, "the connection goes on"


def test_an_encoded_body_is_not_unpacked(coordinator):
    before = coordinator.memory_mb()
    for _ in range(20):
        assert_problem(coordinator.post(REGISTER, BOMB, {"Content-Encoding": "gzip"}), 415, "body-encoded")
    assert coordinator.memory_mb() < before + 10


@pytest.mark.parametrize("encoding", ["identity", "Identity", "", "identity, identity", ", ,"])
def test_a_body_that_says_that_it_is_not_encoded_is_taken(coordinator, encoding):
    assert coordinator.post(REGISTER, {"worker_id": "w", "capabilities": {}}, {"Content-Encoding": encoding}).status == 200


def test_an_encoding_may_hide_in_a_second_line(coordinator):
    head = "Host: x\r\nContent-Encoding: identity\r\nContent-Encoding: gzip\r\n"
    assert_problem(send_raw(coordinator, "POST", REGISTER, head, body="{}"), 415, "body-encoded")
    assert send_raw(coordinator, "GET", "/livez", head).status == 200, "without a body there is nothing encoded"


# -- where a request goes: targets, Host, proxies ----------------------------------------------------------------------------------

def send_raw(coordinator, method, target, head="Host: x\r\n", version="1.1", body=""):
    with coordinator.raw() as raw:
        raw.send(f"{method} {target} HTTP/{version}\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}")
        return raw.read_response(method)


def told_url(coordinator, host, version="1.1", target=REGISTER):
    """The coordinator_url in the answer to a registration with that Host line, which its containers are told, too."""
    response = send_raw(coordinator, "POST", target, host, version, json.dumps({"worker_id": "w", "capabilities": CAPABILITIES}))
    assert response.status == 200, response
    assert response.json["assigned_containers"][0]["env"]["COORDINATOR_URL"] == response.json["coordinator_url"]
    return response.json["coordinator_url"]


@pytest.mark.parametrize("target, status", [
    ("http://x/livez", 200), ("https://x:8443/livez", 200), ("http://[::1]:80/livez", 200), ("http://x/livez?a=b", 200),
    ("http://x", 200), ("http://x/api/admin/workers?tier=9", 422), ("http://x/nowhere", 404), ("http:///livez", 404),
    ("ftp://x/livez", 404), ("http:/livez", 404)])
def test_absolute_targets(coordinator, target, status):
    assert send_raw(coordinator, "GET", target).status == status


def test_the_host_of_an_absolute_target_counts_rather_than_the_header(coordinator):
    assert told_url(coordinator, "Host: other.example\r\n", target="http://c.example:81" + REGISTER) == "http://c.example:81"
    assert told_url(coordinator, "Host: other.example\r\n", target="http://user@c.example" + REGISTER) == coordinator.url


@pytest.mark.parametrize("host", ["c.example", "c.example:8080", "C-1.example_2", "[::1]:80", "192.0.2.1"])
def test_agents_are_told_the_host_they_used(coordinator, host):
    assert told_url(coordinator, f"Host: {host}\r\n") == f"http://{host}"
    assert told_url(coordinator, f"Host: {host}\r\n", version="1.0") == f"http://{host}"
    assert told_url(coordinator, f"Host:\t{host} \t\r\n") == f"http://{host}"


@pytest.mark.parametrize(("told", "normal"), [
    ("https://c.example/", "https://c.example"), ("HTTPS://C.Example:443", "https://c.example"),
    ("http://c.example:8080/rma/", "http://c.example:8080/rma")])
def test_agents_are_told_the_public_url_in_its_normal_form(redis, start_coordinator, told, normal):
    coordinator = start_coordinator(redis, PUBLIC_URL=told)
    assert told_url(coordinator, "Host: other.example\r\n") == normal


@pytest.mark.parametrize("version, host", [
    ("1.0", ""), ("1.1", "Host:\r\n"), ("1.1", "Host: \r\n"), ("1.1", "Host: a$b\r\n"), ("1.1", "Host: a%41\r\n"),
    ("1.1", f"Host: {'h' * 600}\r\n")], ids=["none", "empty", "a blank", "a dollar", "a percent sign", "long"])
def test_without_a_plain_host_agents_are_told_the_address_they_reached(coordinator, version, host):
    assert told_url(coordinator, host, version) == coordinator.url


def test_the_address_that_agents_are_told_is_that_of_their_connection(redis, start_coordinator):
    coordinator = start_coordinator(redis, HOST="::")
    assert told_url(coordinator, "Host:\r\n") == coordinator.url, "not the IPv6 form of an IPv4 address"
    with coordinator.raw(host="::1") as raw:
        raw.send("POST /api/worker/register HTTP/1.0\r\nContent-Length: 20\r\n\r\n{\"capabilities\": {}}")
        assert raw.read_response("POST").json["coordinator_url"] == f"http://[::1]:{coordinator.port}"


@pytest.mark.parametrize("host", ["<script>", "a/b", "a\"b", "a b", "a@b", "a?b", "a#b", "a\\b"])
def test_what_can_be_no_host_is_400(coordinator, host):
    assert_problem(send_raw(coordinator, "GET", "/livez", f"Host: {host}\r\n"), 400)


def head_of(lines):
    return "Host: c.example\r\n" + "".join(f"{line}\r\n" for line in lines)


def endpoint(coordinator, *lines):
    """The address that a registration with those header lines is taken to come from."""
    answer = send_raw(coordinator, "POST", REGISTER, head_of(lines), body=json.dumps({"worker_id": "w", "capabilities": {}}))
    assert answer.status == 200, answer
    return answer.json["endpoint"]


@pytest.mark.parametrize(("proxies", "said", "address"), [
    (1, ["192.0.2.4"], "192.0.2.4"), (1, [" 192.0.2.4 "], "192.0.2.4"), (1, ["192.0.2.4:555"], "192.0.2.4"),
    (1, ["198.51.100.9, 192.0.2.4:555"], "192.0.2.4"), (1, ["198.51.100.9", "192.0.2.4"], "192.0.2.4"),
    (1, ["[2001:db8::1]:80"], "2001:db8::1"), (1, ["[2001:db8::1]"], "2001:db8::1"), (1, ["10.0.0.1, 2001:db8::1"], "2001:db8::1"),
    (1, ["unknown, 192.0.2.4"], "192.0.2.4"), (1, ["192.0.2.4, "], "192.0.2.4"), (1, ["192.0.2.4,,"], "192.0.2.4"),
    (1, ["192.0.2.4", ""], "192.0.2.4"), (1, ["192.0.2.4, unknown"], "127.0.0.1"), (1, ["["], "127.0.0.1"),
    (1, [":80"], "127.0.0.1"),
    (1, [""], "127.0.0.1"), (1, [","], "127.0.0.1"), (1, ["1" * 200], "127.0.0.1"), (1, ["[::1"], "127.0.0.1"),
    (1, ["[::1]x"], "127.0.0.1"),
    (1, ["[192.0.2.4]:x"], "192.0.2.4"), (1, ["::ffff:192.0.2.4"], "192.0.2.4"), (1, ["fe80::1%eth0"], "127.0.0.1"),
    (1, ['"192.0.2.4"'], "127.0.0.1"), (1, ["192.0.2.4 198.51.100.9"], "127.0.0.1"), (1, ["for=192.0.2.4"], "127.0.0.1"),
    (1, [], "127.0.0.1"), (1, ["198.51.100.9"] * 40 + ["192.0.2.4"], "192.0.2.4"),
    (2, ["192.0.2.4, 10.0.0.1"], "192.0.2.4"), (2, ["198.51.100.9, 192.0.2.4, 10.0.0.1"], "192.0.2.4"),
    (2, ["198.51.100.9", "192.0.2.4", "10.0.0.1"], "192.0.2.4"), (2, ["198.51.100.9, 192.0.2.4", "10.0.0.1:1"], "192.0.2.4"),
    (2, ["192.0.2.4"], "192.0.2.4"), (2, ["unknown, 10.0.0.1"], "10.0.0.1"), (2, ["192.0.2.4, unknown"], "192.0.2.4"),
    (2, [], "127.0.0.1"),
    (3, ["198.51.100.9, 192.0.2.4, 10.0.0.1, 10.0.0.2"], "192.0.2.4"), (3, ["192.0.2.4,10.0.0.1"], "192.0.2.4"),
    (16, ["192.0.2.4, 10.0.0.1"], "192.0.2.4"), (0, ["192.0.2.4"], "127.0.0.1"), (None, ["192.0.2.4"], "127.0.0.1")])
def test_the_client_is_the_one_that_the_outermost_trusted_proxy_saw(redis, start_coordinator, proxies, said, address):
    coordinator = start_coordinator(redis, TRUST_PROXY=proxies)
    assert endpoint(coordinator, *[f"X-Forwarded-For: {line}" for line in said]) == address


@pytest.mark.parametrize(("settings", "lines", "address"), [
    ({"FLY_APP_NAME": "x"}, ["Fly-Client-IP: 192.0.2.7"], "192.0.2.7"),
    ({"FLY_APP_NAME": "x"}, ["Fly-Client-IP: 192.0.2.7 ", "X-Forwarded-For: 198.51.100.9, 192.0.2.4"], "192.0.2.7"),
    ({"FLY_APP_NAME": "x"}, ["Fly-Client-IP: nobody", "X-Forwarded-For: 192.0.2.4"], "192.0.2.4"),
    ({"FLY_APP_NAME": "x"}, ["Fly-Client-IP: ", "X-Forwarded-For: 192.0.2.4"], "192.0.2.4"),
    ({"FLY_APP_NAME": "x", "TRUST_PROXY": 2}, ["Fly-Client-IP: 192.0.2.7", "X-Forwarded-For: 192.0.2.4, 192.0.2.7"], "192.0.2.4"),
    ({"FLY_APP_NAME": "x", "TRUST_PROXY": 0}, ["Fly-Client-IP: 192.0.2.7"], "127.0.0.1"),
    ({"TRUST_PROXY": 1}, ["Fly-Client-IP: 192.0.2.7"], "127.0.0.1"),
    ({"TRUST_PROXY": 1}, ["Fly-Client-IP: 192.0.2.7", "X-Forwarded-For: 192.0.2.4"], "192.0.2.4"),
    ({"TRUST_PROXY": 1}, ["Forwarded: for=192.0.2.7"], "127.0.0.1"), ({"TRUST_PROXY": 1}, ["X-Real-IP: 192.0.2.7"], "127.0.0.1"),
    ({}, ["Fly-Client-IP: 192.0.2.7"], "127.0.0.1")])
def test_flys_own_header_counts_on_fly_alone(redis, start_coordinator, settings, lines, address):
    coordinator = start_coordinator(redis, **settings)
    assert endpoint(coordinator, *lines) == address


@pytest.mark.parametrize(("lines", "url"), [
    (["X-Forwarded-Host: pub.example"], "http://pub.example"), (["X-Forwarded-Host: pub.example:8443"], "http://pub.example:8443"),
    (["X-Forwarded-Host: pub.example, in.example"], "http://pub.example"),
    (["X-Forwarded-Host: pub.example", "X-Forwarded-Host: in.example"], "http://pub.example"),
    (["X-Forwarded-Host: ", "X-Forwarded-Host: pub.example"], "http://pub.example"),
    (["X-Forwarded-Host: [2001:db8::1]"], "http://[2001:db8::1]"), (["X-Forwarded-Host: <b>"], "http://c.example"),
    (["X-Forwarded-Host: user@pub.example"], "http://c.example"), (["X-Forwarded-Host: pub.example/x"], "http://c.example"),
    (["X-Forwarded-Host: " + "h" * 300], "http://c.example"), (["X-Forwarded-Host: "], "http://c.example"),
    (["X-Forwarded-Port: 8443"], "http://c.example:8443"), (["X-Forwarded-Port: 80"], "http://c.example"),
    (["X-Forwarded-Port: 8443, 8080"], "http://c.example:8443"), (["X-Forwarded-Port: 0"], "http://c.example"),
    (["X-Forwarded-Port: 70000"], "http://c.example"), (["X-Forwarded-Port: 8o"], "http://c.example"),
    (["X-Forwarded-Port: -1"], "http://c.example"), (["X-Forwarded-Port: 443", "X-Forwarded-Proto: https"], "https://c.example"),
    (["X-Forwarded-Port: 8443", "X-Forwarded-Proto: https"], "https://c.example:8443"),
    (["X-Forwarded-Port: 443"], "http://c.example:443"),
    (["X-Forwarded-Host: pub.example:8443", "X-Forwarded-Port: 8080"], "http://pub.example:8443"),
    (["X-Forwarded-Host: [2001:db8::1]", "X-Forwarded-Port: 8080"], "http://[2001:db8::1]:8080"),
    (["X-Forwarded-Host: [2001:db8::1]:81", "X-Forwarded-Port: 8080"], "http://[2001:db8::1]:81"),
    (["X-Forwarded-Host: pub.example", "X-Forwarded-Port: 8443", "X-Forwarded-Proto: https"], "https://pub.example:8443"),
    (["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"], "https://c.example"),
    (["Forwarded: host=x.example;proto=https"], "http://c.example")])
def test_what_a_trusted_proxy_says_of_host_and_port(redis, start_coordinator, lines, url):
    coordinator = start_coordinator(redis, TRUST_PROXY=1)
    assert told_url(coordinator, head_of(lines)) == url
    untrusting = start_coordinator(redis)
    assert told_url(untrusting, head_of(lines)) == "http://c.example"


@pytest.mark.parametrize("said, scheme", [("https", "https"), ("HTTPS", "https"), ("https, http", "https"), (" https ", "https"),
                                          ("http, https", "http"), ("http", "http"), ("javascript", "http"), ("", "http")])
def test_what_a_trusted_proxy_says_of_the_scheme(redis, start_coordinator, said, scheme):
    coordinator = start_coordinator(redis, TRUST_PROXY="1")
    answer = coordinator.post(REGISTER, {"worker_id": "w", "capabilities": {}}, {"X-Forwarded-Proto": said, "Host": "c.example"})
    assert answer.json["coordinator_url"] == f"{scheme}://c.example"


# -- queries -----------------------------------------------------------------------------------------------------------------------

def test_an_empty_parameter_is_an_absent_one(coordinator):
    coordinator.register("w")
    assert coordinator.workers("?tier=&status=&service=&limit=&cursor=").keys() == {"w"}
    assert coordinator.workers("?tier").keys() == {"w"}
    assert coordinator.workers("?tier=&tier=1") == {}


def test_names_of_parameters_may_be_percent_encoded(coordinator):
    coordinator.register("w")
    assert coordinator.workers("?%74ier=1") == {}
    assert coordinator.workers("?%74%69%65%72=2").keys() == {"w"}


# -- the log -----------------------------------------------------------------------------------------------------------------------

def logged(coordinator, request_id):
    """The line about a request, once it is there."""
    line, = wait_until(lambda: [entry for entry in coordinator.log_lines() if entry.get("request_id") == request_id])
    return line


@pytest.mark.parametrize("encoded", ["a%0Ab", "a%20b", "%ff", "a%00", "a%1b%5B31m", "%C3%BC", "a%7F"])
def test_what_can_be_no_id_does_not_get_into_the_log(coordinator, encoded):
    path = "/api/worker/unregister/" + encoded
    headers = {"Content-Type": "text/plain", "X-Request-Id": "find-me"}
    assert_problem(coordinator.request("DELETE", path, b"{}", headers), 415, "not-json")
    assert "worker_id" not in logged(coordinator, "find-me")
    for method, path in (("DELETE", path), ("GET", "/api/worker/" + encoded)):
        problem = assert_problem(coordinator.request(method, path), 422)
        assert [fault["field"] for fault in problem["errors"]] == ["worker_id"]


def test_the_log_is_utf_8_whatever_comes(redis, start_coordinator):
    coordinator = start_coordinator(redis, LOG_LEVEL="debug")
    with coordinator.raw() as raw:
        raw.send(b"G\xffT\xc3 /livez\xff HTTP/1.1\r\nHost: x\r\nX-Request-Id: find-me\r\nConnection: close\r\n\r\n")
        assert statuses(raw.read_to_end()) == [404]
    assert logged(coordinator, "find-me")["method"] == "G\ufffdT\ufffd"
    assert "\ufffd" not in coordinator.stderr_path.read_bytes().decode().replace("G\ufffdT\ufffd", "")


def test_a_500_is_in_the_log_with_its_request_and_with_what_redis_said(redis, start_coordinator):
    coordinator = start_coordinator(redis, THREADS=1)
    redis.client.set("{rma}:worker:w", "no hash")
    problem = assert_problem(coordinator.get("/api/worker/w", {"X-Request-Id": "find-me"}), 500, "internal")
    line = logged(coordinator, "find-me")
    assert line["status"] == 500 and line["level"] == "error"
    lines = coordinator.log_lines()
    cause = lines[lines.index(line) - 1]
    assert cause["event"] == "redis_error" and cause["reply"].startswith("WRONGTYPE")
    assert "before it" in problem["detail"], "the answer says where to look"


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
        raw.send((beat + b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n") * 5
                 + b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
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
        raw.read_to_end()


def test_pages_may_send_the_headers_they_ask_for_and_read_ours(coordinator):
    response = coordinator.request("OPTIONS", "/api/admin/workers", headers={
        "Origin": "https://a.example", "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "x-requested-with,cache-control"})
    assert response.status == 204
    assert response.headers["Access-Control-Allow-Headers"] == "x-requested-with,cache-control"
    exposed = coordinator.get("/livez", headers={"Origin": "https://a.example"}).headers["Access-Control-Expose-Headers"]
    assert {"x-request-id", "retry-after"} <= {name.strip().lower() for name in exposed.split(",")}
