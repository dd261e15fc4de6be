"""A request on its way to a worker and back: paths, headers, bodies, errors, tokens. What workers may do wrong is tested
elsewhere."""

import asyncio
import base64
import json
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest

import http_client
from credentials import bearer, make_token
from peers import reply, saying, serving
from waiting import wait_until

MIB = 1 << 20


@pytest.fixture(scope="module")
def stage(make_stage):
    stage = make_stage()
    stage.start()
    return stage


@pytest.fixture(scope="module")
def echo(stage):
    """(service, its worker's server), which says "ok" to everything."""
    peer = stage.peers.start(saying(reply(b"ok")))
    return stage.service(peer), peer


def sent(stage, peer, method, target, body=None, headers=None):
    """(answer, what reached the worker)"""
    before = len(peer.requests)
    answer = stage.ask(method, target, body, headers)
    assert len(peer.requests) == before + 1, answer
    return answer, peer.requests[-1]


# -- paths and methods -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("asked, expected", [
    ("/a/b?x=1", "/a/b?x=1"), ("/", "/"), ("", "/"), ("/?", "/?"), ("?a=1&a=2&b=%20+", "/?a=1&a=2&b=%20+"),
    ("/a%2Fb/%C3%A9", "/a%2Fb/%C3%A9"),
    ("//a///b//", "//a///b//"), ("/a/./b", "/a/./b"), ("/%2e/x;y=z,'(1)*", "/%2e/x;y=z,'(1)*"), ("/%", "/%"),
    ("/a?b=c?d=/e", "/a?b=c?d=/e")])
def test_path_and_query_arrive_as_they_came(stage, echo, asked, expected):
    service, peer = echo
    for prefix in ("/service/", "/api/service/"):
        answer, request = sent(stage, peer, "GET", f"{prefix}{service}{asked}")
        assert (answer.status, answer.body, request.target) == (200, b"ok", expected)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT"])
def test_methods(stage, echo, method):
    service, peer = echo
    answer, request = sent(stage, peer, method, f"/service/{service}/x", b"body" if method in ("POST", "PUT", "PATCH") else None)
    assert answer.status == 200 and request.method == method
    assert request.header("content-length") == ("4" if method in ("POST", "PUT", "PATCH") else None)


def test_methods_that_are_not_passed_on(stage, echo):
    service, peer = echo
    before = len(peer.requests)
    for method in ("TRACE", "CONNECT"):
        assert stage.ask(method, f"/service/{service}/x").status in (400, 405)
    preflight = stage.ask("OPTIONS", f"/service/{service}/x",
                          headers={"Origin": "https://a.example", "Access-Control-Request-Method": "PUT",
                                                                       "Access-Control-Request-Headers": "authorization"})
    assert preflight.status == 204 and "PUT" in preflight.headers["Access-Control-Allow-Methods"]
    assert len(peer.requests) == before


@pytest.mark.parametrize("path", ["/..", "/a/../b", "/%2e%2e/x", "/.%2E", "/a%2f..%2fb", "/a/..%5cb", "/a#b", "/a?b#c"])
def test_paths_that_lead_elsewhere_are_refused(stage, echo, path):
    service, peer = echo
    before = len(peer.requests)
    answer = stage.ask("GET", f"/service/{service}{path}")
    assert (answer.status, answer.json["code"]) == (400, "bad-request") and len(peer.requests) == before


def test_routes_of_the_catalogue(stage, redis, start_coordinator, directory):
    """Those that are built in, and an operator's own."""
    peer = stage.peers.start(saying(reply(b"ok")))
    services = [{"name": name, "service_url": peer.url + "/base"}
                for name in ("rag", "upload", "client-rag", "doc-processor", "notes", "vllm")]
    built_in = start_coordinator(redis, UPSTREAM_ALLOW="127.0.0.1")
    built_in.register("all", services=services)
    for asked, arrives in {
            "/api/upload/clients": "/base/clients", "/api/upload": "/base", "/api/upload/": "/base/",
            "/api/rag/query": "/base/query",
            "/api/rag/query/query": "/base/query", "/api/rag/query/agentic-query": "/base/agentic-query",
            "/api/rag/query/other?x": "/base/query/other?x",
            "/api/client-rag/a/b": "/base/a/b", "/api/doc-processor/process": "/base/process",
            "/api/notes/convert": "/base/convert", "/service/llm-inference/v1": "/base/v1", "/service/rma-rag-worker/x": "/base/x",
            "/service/rag-service/x": "/base/x"}.items():
        assert built_in.request("POST", asked).status == 200, asked
        assert peer.requests[-1].target == arrives, asked
    path = directory / "catalogue.json"
    path.write_text(json.dumps({"services": [{"name": "rag", "tier": 2, "image": "i", "port": 1,
                                              "routes": {"/ask": "/v1/ask", "/service/x": "/"}}]}))
    own = start_coordinator(redis, UPSTREAM_ALLOW="127.0.0.1", SERVICE_CATALOG=path)
    for asked, arrives in {"/ask?q=1": "/base/v1/ask?q=1", "/ask/a": "/base/v1/ask/a", "/service/x/y": "/base/y",
                           "/service/rag/y": "/base/y"}.items():
        assert own.get(asked).status == 200 and peer.requests[-1].target == arrives, asked
    assert own.get("/asks").status == 404 and own.get("/api/upload/x").status == 404


def test_a_route_of_the_coordinators_own_is_refused_at_the_start(redis, make_coordinator, directory):
    path = directory / "catalogue.json"
    path.write_text(json.dumps({"services": [{"name": "rag", "tier": 2, "image": "i", "port": 1,
                                              "routes": {"/api/worker/nobody": "/", "/health": "/"}}]}))
    assert make_coordinator(redis, SERVICE_CATALOG=path).refuses_to_start() == (
        "the catalogue's route /api/worker/nobody is a path of the coordinator itself\n"
        "the catalogue's route /health is a path of the coordinator itself\n")


def test_a_route_that_hides_the_paths_of_other_services_is_refused_at_the_start(redis, make_coordinator, start_coordinator,
                                                                                directory):
    path = directory / "catalogue.json"

    def write(**routes):
        path.write_text(json.dumps({"services": [
            {"name": "rag", "tier": 2, "image": "i", "port": 1, "routes": {route.replace("_", "/"): "/" for route in routes}},
            {"name": "ner", "tier": 2, "image": "i", "port": 2, "aliases": ["names"]}]}))
    write(_service=1, _api_service=1, _service_ner=1, _api_service_names_x=1)
    assert sorted(make_coordinator(redis, SERVICE_CATALOG=path).refuses_to_start().splitlines()) == [
        "the catalogue's route /api/service of rag would hide the paths of all services",
        "the catalogue's route /api/service/names/x of rag is a path of the service ner",
        "the catalogue's route /service of rag would hide the paths of all services",
        "the catalogue's route /service/ner of rag is a path of the service ner"]
    write(_service_rag_old=1, _services=1, _api_services=1, _service_names2=1)
    assert start_coordinator(redis, SERVICE_CATALOG=path).get("/service/ner/x").json["service"] == "ner"


def test_a_closed_service_is_closed_on_every_path(stage, redis, start_coordinator, directory):
    peer = stage.peers.start(saying(reply({"said": 1})))
    path = directory / "catalogue.json"
    path.write_text(json.dumps({"services": [
        {"name": name, "tier": tier, "image": "i", "port": 1, "proxy": False, "routes": {f"/old/{name}": "/"}}
        for name, tier in (("vllm", 1), ("vision", 1), ("rag", 2), ("ner", 2))]}))
    coordinator = start_coordinator(redis, SERVICE_CATALOG=path, UPSTREAM_ALLOW="127.0.0.1")
    coordinator.register("w", services=[{"name": name, "service_url": peer.url} for name in ("vllm", "vision", "rag", "ner")])
    for asked in ("/service/rag/x", "/old/ner", "/api/inference/llm", "/api/inference/vision", "/api/inference/rag/query?query=x",
                  "/api/inference/graph/extract?text=x"):
        answer = coordinator.post(asked, {"model": "m", "prompt": "p"})
        assert (answer.status, answer.json["code"]) == (403, "service-closed"), asked
    assert coordinator.post("/v1/completions", {"model": "m"}).status == 503
    assert peer.connections == 0


# -- headers -----------------------------------------------------------------------------------------------------------------------

def test_what_the_worker_hears(stage, echo):
    service, peer = echo
    _, request = sent(stage, peer, "GET", f"/service/{service}/x", headers={
        "Cookie": "rma_session=s3cret; a=b", "Authorization": "Bearer s3cret", "X-Forwarded-For": "6.6.6.6",
        "X_Forwarded_For": "6.6.6.6",
        "Fly-Client-IP": "6.6.6.6", "X-RMA-Session": "s", "X-Own": "kept", "X-Hop": "1", "Connection": "close, X-Hop",
        "TE": "trailers",
        "X-Request-Id": "mine", "Accept-Encoding": "br", "Via": "1.0 fred"})
    names = {name.lower() for name, _ in request.headers}
    assert (request.header("host") == f"127.0.0.1:{peer.port}" and request.header("x-own") == "kept"
            and request.header("accept-encoding") == "br")
    assert not names & {"cookie", "authorization", "fly-client-ip", "x_forwarded_for", "x-rma-session", "x-hop", "connection", "te"}
    host = f"127.0.0.1:{stage.coordinators[0].port}"
    assert request.header("x-forwarded-for") == "127.0.0.1" and request.header("x-forwarded-host") == host
    assert request.header("x-forwarded-proto") == "http" and request.header("x-forwarded-prefix") == f"/service/{service}"
    assert request.header("forwarded") == f'for=127.0.0.1;host="{host}";proto=http'
    assert request.values("via") == ["1.0 fred", "1.1 rma-coordinator"] and request.header("x-request-id") == "mine"
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", request.header("traceparent"))
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    _, request = sent(stage, peer, "GET", f"/service/{service}/x", headers={"traceparent": trace, "tracestate": "a=b"})
    assert (request.header("traceparent"), request.header("tracestate")) == (trace, "a=b")


def test_what_the_client_hears(stage):
    headers = ["Content-Type: application/pdf", 'Content-Disposition: attachment; filename="a b.pdf"', "X-Own: 1", "x-own: 2",
               "ETag: \"e\"",
               "Access-Control-Allow-Origin: https://evil.example", "Access-Control-Allow-Credentials: true", "Set-Cookie: a=b",
               "Server: uvicorn", "Date: yesterday", "Strict-Transport-Security: max-age=1", "Alt-Svc: h3", "fly-replay: region=x",
               "X-Reproxy-URL: http://x/",
               "X-RMA-Worker: liar", "X-Hop: 1", "Keep-Alive: timeout=5", "X-Accel-Redirect: /etc/passwd",
               "WWW-Authenticate: Basic realm=x"]
    peer = stage.peers.start(saying(reply(b"%PDF", 401, [*headers, "Connection: X-Hop"])))
    service = stage.service(peer)
    answer = stage.ask("GET", f"/service/{service}/x", headers={"Origin": "https://front.example"})
    got = answer.headers
    assert (answer.status, answer.body, got["Content-Type"], got["Content-Disposition"]) == (
        401, b"%PDF", "application/pdf", 'attachment; filename="a b.pdf"')
    assert got.get_all("X-Own") == ["1", "2"] and got["ETag"] == '"e"' and got["WWW-Authenticate"] == "Basic realm=x"
    assert got.get_all("Access-Control-Allow-Origin") == ["*"] and "X-RMA-Worker" in got["Access-Control-Expose-Headers"]
    assert got["X-RMA-Worker"].startswith(service) and got["X-RMA-Attempt"] == "1" and got["X-Content-Type-Options"] == "nosniff"
    assert re.fullmatch(r"route;dur=\d+\.\d\d, worker;dur=\d+\.\d\d", got["Server-Timing"]) and len(got.get_all("Date")) == 1
    for name in ("Set-Cookie", "Server", "Strict-Transport-Security", "Alt-Svc", "fly-replay", "X-Reproxy-URL", "X-Hop",
                 "X-Accel-Redirect",
                 "Access-Control-Allow-Credentials", "Content-Security-Policy"):
        assert got[name] is None, name


def test_a_workers_page_gets_an_origin_of_its_own(stage):
    peer = stage.peers.start(saying(reply(b"<script>", headers={"Content-Type": "text/html"})))
    replay = stage.peers.start(saying(reply(b"{}", headers={"Content-Type": "application/vnd.fly.replay+json"})))
    answer = stage.ask("GET", f"/service/{stage.service(peer)}/x")
    assert answer.headers["Content-Security-Policy"].startswith("sandbox ") and answer.headers["Content-Type"] == "text/html"
    assert "allow-same-origin" not in answer.headers["Content-Security-Policy"]
    assert stage.ask("GET", f"/service/{stage.service(replay)}/x").headers["Content-Type"] == "application/json"


def test_a_redirect_is_the_clients_to_follow(stage):
    peer = stage.peers.start(saying(
        lambda request: reply(b"", 307, {"Location": request.target.partition("?")[2].replace("SELF", request.header("host"))})))
    service = stage.service(peer.url + "/base")
    cases = {"http://SELF/base/x/?y": f"/service/{service}/x/?y", "//SELF/base/x": f"/service/{service}/x",
             "http://127.0.0.1:1/x": "http://127.0.0.1:1/x", "//127.0.0.1:1/base/x": "//127.0.0.1:1/base/x", "/x": "/x"}
    for said, got in cases.items():
        assert stage.ask("GET", f"/service/{service}/x?{said}").headers["Location"] == got
    assert len(peer.requests) == len(cases)


def test_the_public_path_has_that_of_public_url_in_front(stage, redis, start_coordinator):
    """A proxy serves the coordinator under a path: only who asks that proxy gets to see it."""
    peer = stage.peers.start(saying(lambda request: reply(b"", 307, {"Location": f"http://{request.header('host')}/y"})))
    coordinator = start_coordinator(redis, UPSTREAM_ALLOW="127.0.0.1", PUBLIC_URL="https://Pub.example/rma/")
    coordinator.register("w1", services=[{"name": "up", "service_url": peer.url}])
    for host, front in (("pub.EXAMPLE", "/rma"), ("127.0.0.1:9", ""), ("pub.example:8443", "")):
        answer = coordinator.request("GET", "/service/up/x", headers={"Host": host})
        assert answer.headers["Location"] == f"{front}/service/up/y", host
        assert peer.requests[-1].header("x-forwarded-prefix") == f"{front}/service/up", host


def test_a_redirect_out_of_a_route_leads_to_another_path_of_the_service(stage, redis, start_coordinator):
    """Of the worker's paths, the route has only /query."""
    peer = stage.peers.start(saying(
        lambda request: reply(b"", 307, {"Location": f"http://{request.header('host')}/{request.target.partition('?')[2]}"})))
    coordinator = start_coordinator(redis, UPSTREAM_ALLOW="127.0.0.1", PUBLIC_URL="https://pub.example/rma")
    coordinator.register("w1", services=[{"name": "rag", "service_url": peer.url}])
    expected = {"query/1": "/api/rag/query/query/1", "login?x": "/service/rag/login?x", "queryx": "/service/rag/queryx"}
    for said, got in expected.items():
        for host, front in (("pub.example", "/rma"), ("127.0.0.1", "")):
            answer = coordinator.request("POST", f"/api/rag/query/query?{said}", "{}", {"Host": host})
            assert answer.headers["Location"] == front + got


def test_a_request_in_circles_ends(stage, echo):
    service, peer = echo
    before = len(peer.requests)
    via = ", ".join(["1.1 rma-coordinator"] * 4)
    answer = stage.ask("GET", f"/service/{service}/x", headers={"Via": via})
    assert (answer.status, answer.json["code"]) == (508, "request-loop") and len(peer.requests) == before


# -- answers -----------------------------------------------------------------------------------------------------------------------

def test_answers_without_a_body(stage):
    peer = stage.peers.start(saying(lambda request: b"HTTP/1.1 %s X\r\n\r\n" % request.target[1:].encode()
                                    if request.method != "HEAD" else
                                    b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nContent-Type: text/plain\r\n\r\n"))
    service = stage.service(peer)
    with http_client.Connection(stage.coordinators[0].port) as connection:
        for _ in range(2):
            for status in (204, 304):
                answer = connection.request("GET", f"/service/{service}/{status}")
                assert (answer.status, answer.body) == (status, b"")
            answer = connection.request("HEAD", f"/service/{service}/x")
            assert (answer.status, answer.headers["Content-Length"], answer.headers["Content-Type"]) == (200, "1234", "text/plain")


def test_an_answer_comes_as_it_is_made(stage):
    """Each piece by itself, while the answer goes on; whole in the end."""
    async def answer(connection, request):
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            data = b"data: %d\n\n" % number
            await connection.send(b"%x\r\n%s\r\n" % (len(data), data))
            await peer_may_go_on.acquire()
        await connection.send(b"0\r\n\r\n")

    peer_may_go_on = asyncio.Semaphore(0)
    peer = stage.peers.start(serving(answer))
    service = stage.service(peer)

    async def release():
        peer_may_go_on.release()

    with http_client.RawConnection(stage.coordinators[0].port) as raw:
        raw.send(f"GET /service/{service}/x HTTP/1.1\r\nHost: x\r\n\r\n")
        data = b""
        for number in range(5):
            while b"data: %d\n\n" % number not in data:
                data += raw.socket.recv(65536)
            assert b"data: %d\n\n" % (number + 1) not in data
            stage.peers.run(release())
        while not data.endswith(b"0\r\n\r\n"):
            data += raw.socket.recv(65536)
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_long_answer_is_the_same_byte_for_byte(stage):
    body = bytes(range(256)) * (8 * MIB // 256)
    peer = stage.peers.start(saying(reply(body)))
    answer = stage.ask("GET", f"/service/{stage.service(peer)}/x")
    assert answer.is_whole and answer.body == body


def test_a_client_that_leaves_ends_the_workers_request(stage):
    async def answer(connection, request):
        if request.path == "/stream":
            await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        await connection.wait_until_gone(request)

    peer = stage.peers.start(serving(answer))
    service = stage.service(peer)
    for path in ("/wait", "/stream"):
        before = len(peer.requests)
        with http_client.RawConnection(stage.coordinators[0].port) as raw:
            raw.send(f"GET /service/{service}{path} HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: len(peer.requests) > before)
            if path == "/stream":
                assert raw.socket.recv(10)
        wait_until(lambda: peer.requests[-1].gone is not None)
    lease_is_back(stage, service)


def has_no_lease(stage, service):
    """Whether no request counts as in flight."""
    rows = stage.coordinators[0].get(f"/api/route/explain?service={service}").json["workers"]
    return all(row["requests_in_flight"] == 0 for row in rows)


def lease_is_back(stage, service):
    wait_until(lambda: has_no_lease(stage, service))


# -- bodies ------------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [0, 1, 1000, 64 * 1024, 64 * 1024 + 1, 3 * MIB])
def test_a_body_arrives_whole(stage, echo, size):
    service, peer = echo
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    answer, request = sent(stage, peer, "POST", f"/service/{service}/up", body, {"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status == 200 and request.is_whole and request.body == body
    assert request.header("content-type") == "multipart/form-data; boundary=x" and request.header("content-length") == str(size)
    answer, request = sent(stage, peer, "PUT", f"/service/{service}/up",
                           iter([body[:10], body[10:]]) if size > 20 else iter([body]))
    assert answer.status == 200 and request.is_whole and request.body == body


def test_an_upload_that_breaks_off_is_no_whole_one(stage):
    async def answer(connection, request):
        await connection.send(reply(b"ok"))

    peer = stage.peers.start(serving(answer))
    service = stage.service(peer)
    with http_client.RawConnection(stage.coordinators[0].port) as raw:
        raw.send(f"POST /service/{service}/up HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        raw.send(b"x" * 300000)
        wait_until(lambda: peer.requests and len(peer.requests) == 1)
    wait_until(lambda: peer.open == 0)
    assert not peer.requests[0].is_whole
    lease_is_back(stage, service)


def test_100_continue_comes_when_a_worker_takes_the_body(stage, echo):
    service, _ = echo
    for path, status in ((f"/service/{service}/up", 100), ("/service/nowhere/up", 503)):
        with http_client.RawConnection(stage.coordinators[0].port) as raw:
            raw.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 200000\r\n\r\n")
            assert int(raw.socket.recv(12).split()[1]) == status


def test_too_large_an_upload(stage, echo, redis, start_coordinator):
    _, peer = echo
    coordinator = start_coordinator(redis, UPSTREAM_ALLOW="127.0.0.1", MAX_UPLOAD_BYTES=100000)
    coordinator.register("w", services=[{"name": "up", "service_url": peer.url}])
    answer = coordinator.request("POST", "/service/up/x", b"x" * 100001)
    assert (answer.status, answer.json["code"], answer.json["service"]) == (413, "body-too-large", "up")
    assert coordinator.request("POST", "/service/up/x", b"x" * 100000).status == 200


# -- nobody can serve, or somebody fails -------------------------------------------------------------------------------------------

def test_nobody_serves_it(stage, echo):
    service, _ = echo
    for name in ("nonexistent", "case-229"):
        answer = stage.ask("GET", f"/api/service/{name}/test")
        problem = answer.json
        assert (answer.status == 503 and answer.headers["Content-Type"] == "application/problem+json"
                and int(answer.headers["Retry-After"]) > 0)
        assert (problem["code"], problem["retryable"], problem["service"]) == ("no-worker", True, name)
        assert problem["message"] == problem["detail"] and problem["error"] == "Service not available"
        assert isinstance(problem["available_services"], list) and service in problem["available_services"]


@pytest.mark.parametrize("name", ["postgres", "redis", "neo4j", "chromadb", "minio", "mysql", "redis-service", "rma-redis-worker",
                                  "mongodb", "POSTGRES", "postgres16", "neo4j5-worker"])
def test_data_stores_are_never_reached(stage, redis, start_coordinator, name):
    peer = stage.peers.start(saying(reply(b"secret")))
    coordinator = start_coordinator(redis, UPSTREAM_ALLOW="127.0.0.1")
    coordinator.register("w", services=[{"name": name, "service_url": peer.url}])
    for prefix in ("/service/", "/api/service/"):
        answer = coordinator.get(f"{prefix}{name}/x")
        assert (answer.status, answer.json["code"], answer.json["service"]) == (403, "service-closed", name)
    assert peer.connections == 0


def test_another_worker_serves_what_the_first_one_can_not(stage, echo):
    _, good = echo
    service = stage.service(stage.peers.refusing(), good)
    for method in ("GET", "POST"):
        for _ in range(4):
            answer = stage.ask(method, f"/service/{service}/x")
            assert (answer.status, answer.body) == (200, b"ok")
    broken = stage.service(stage.peers.refusing())
    answer = stage.ask("POST", f"/service/{broken}/x")
    assert (answer.status, answer.json["code"], answer.json["retryable"],
            answer.json["service"]) == (502, "worker-unreachable", True, broken)
    assert (answer.json["error"] == "Service proxy error" and answer.json["message"] == answer.json["detail"]
            and "available_services" in answer.json)
    lines = [line for line in stage.coordinators[0].log_lines() if line["event"] == "passing" and line.get("service") == broken]
    assert lines and lines[0]["cause"] == "refused" and lines[0]["worker_id"].startswith(broken) and lines[0]["attempt"] == 1


def test_no_post_is_delivered_twice(stage):
    async def behave(connection):
        await connection.read_request()

    peers = [stage.peers.start(behave) for _ in range(2)]
    service = stage.service(*peers)
    answer = stage.ask("POST", f"/service/{service}/x", b"once")
    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (502, "outcome-unknown", False)
    assert answer.headers["Retry-After"] is None
    assert answer.headers["X-Should-Retry"] == "false", "OpenAI's clients would send it again by themselves"
    assert "X-Should-Retry" in answer.headers["Access-Control-Expose-Headers"], "those in browsers, too"
    assert sum(len(peer.requests) for peer in peers) == 1
    hidden = {"Idempotency-Key": "k", "Connection": "close, idempotency-KEY"}  # no worker gets it
    answer = stage.ask("POST", f"/service/{service}/x", b"once", hidden)
    assert (answer.status, answer.json["code"]) == (502, "outcome-unknown")
    assert sum(len(peer.requests) for peer in peers) == 2
    answer = stage.ask("POST", f"/service/{service}/x", b"twice", {"Idempotency-Key": "k"})
    assert (answer.status, answer.json["code"]) == (502, "worker-failed")
    assert sum(len(peer.requests) for peer in peers) == 4


def test_an_answer_of_a_busy_worker_is_the_last_resort(stage, echo):
    _, good = echo
    busy = stage.peers.start(saying(reply(b"busy", 503, {"X-Own": "kept"})))
    service = stage.service(busy, good)
    for _ in range(4):
        answer = stage.ask("GET", f"/service/{service}/x")
        assert (answer.status, answer.body) == (200, b"ok")
    alone = stage.service(busy)
    answer = stage.ask("GET", f"/service/{alone}/x")
    assert (answer.status, answer.body, answer.headers["X-Own"], answer.headers["X-RMA-Attempt"]) == (503, b"busy", "kept", "1")


def test_where_requests_may_not_go(redis, stage, start_coordinator, echo):
    _, peer = echo
    coordinator = start_coordinator(redis)
    before = peer.connections
    coordinator.register("w", services=[{"name": "inside", "service_url": peer.url}])
    answer = coordinator.get("/service/inside/x")
    assert (answer.status, answer.json["code"]) == (502, "worker-unreachable") and peer.connections == before


def test_a_request_that_is_on_its_way_when_the_coordinator_is_told_to_stop(redis, stage, start_coordinator):
    """It gets its answer when that comes within the time of a shutdown. Else only what can be done twice may be sent again."""
    may_answer = asyncio.Event()

    async def answer(connection, request):
        await (may_answer.wait() if "x" in request.path else connection.wait_until_gone(request))
        await connection.send(reply(b"whole"))

    async def release():
        may_answer.set()

    def is_refused():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", coordinator.port)) != 0

    peer = stage.peers.start(serving(answer))
    coordinator = start_coordinator(redis, UPSTREAM_ALLOW="127.0.0.1")
    coordinator.register("w", services=[{"name": "slow", "service_url": peer.url}])
    with http_client.RawConnection(coordinator.port) as raw, ThreadPoolExecutor(2) as threads:
        raw.send("POST /service/slow/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
        unanswered = {method: threads.submit(stage.ask, method, "/service/slow/y", coordinator=coordinator)
                      for method in ("GET", "POST")}
        wait_until(lambda: len(peer.requests) == 3)
        coordinator.send_signal(signal.SIGTERM)
        wait_until(is_refused)
        stage.peers.run(release())
        answer = raw.read_response()
        assert (answer.status, answer.body, answer.headers["Connection"]) == (200, b"whole", "close")
        problem = unanswered["GET"].result().json
        assert (problem["status"], problem["code"], problem["retryable"]) == (503, "shutting-down", True)
        problem = unanswered["POST"].result().json
        assert (problem["status"], problem["code"], problem["retryable"]) == (502, "outcome-unknown", False)
    assert coordinator.wait_for_end() == 0


# -- who asks ----------------------------------------------------------------------------------------------------------------------

SECRET = "a secret that is shared with the workers"


@pytest.mark.parametrize("mode", ["off", "warn", "on"])
def test_a_worker_learns_who_asks_and_never_the_credential(stage, redis, start_coordinator, mode):
    peer = stage.peers.start(saying(reply(b"ok")))
    token = make_token(redis.client, role="user", token_id="useruseruser")
    shared = start_coordinator(redis, UPSTREAM_ALLOW="127.0.0.1", AUTH=mode, JWT_SECRET=SECRET)
    signed = start_coordinator(redis, UPSTREAM_ALLOW="127.0.0.1", AUTH=mode)
    joined = bearer(make_token(redis.client, "join"))
    body = {"worker_id": "w1", "capabilities": {}, "services": [{"name": "up", "service_url": peer.url}]}
    assert shared.request("POST", "/api/worker/register", body, joined).status == 200
    for _ in range(2):
        assert shared.request("GET", "/service/up/x", headers=bearer(token)).status == 200
        told = peer.requests[-1].header("authorization")
        claims = jwt.decode(told.removeprefix("Bearer "), SECRET, algorithms=["HS256"])
        assert claims["sub"] == "useruseruser" and set(claims) == {"sub", "exp"} and 0 < claims["exp"] - time.time() <= 61
        assert signed.request("GET", "/service/up/x", headers=bearer(token)).status == 200
        told = peer.requests[-1].header("authorization").removeprefix("Bearer ")
        key = jwt.PyJWK(signed.get("/.well-known/jwks.json").json["keys"][0]).key
        claims = jwt.decode(told, key, algorithms=["ES256"], audience="w1", issuer="rma-coordinator")
        assert claims["sub"] == "useruseruser"
    for mine in (told, jwt.encode({"sub": "admin", "exp": int(time.time()) + 60}, SECRET, algorithm="HS256")):
        assert signed.request("GET", "/api/auth/users", headers=bearer(mine)).status == 401
        assert shared.request("GET", "/api/auth/users", headers=bearer(mine)).status == 401
    if mode != "on":
        for headers in ({}, bearer("sk-none-of-ours")):
            assert shared.request("GET", "/service/up/x", headers=headers).status == 200
            assert peer.requests[-1].header("authorization") is None
    else:
        answer = shared.get("/service/up/x")
        assert (answer.status, answer.json["code"], answer.json["service"]) == (401, "unauthenticated", "up")


def test_another_page_asks_in_nobodys_name(stage, redis, start_coordinator):
    """A browser may add the session to it, and AUTH=off serves it."""
    peer = stage.peers.start(saying(reply(b"ok")))
    coordinator = start_coordinator(redis, UPSTREAM_ALLOW="127.0.0.1", JWT_SECRET=SECRET)
    coordinator.register("w1", services=[{"name": "up", "service_url": peer.url}])
    body = {"username": "anna", "password": "correct horse", "role": "user"}
    assert coordinator.request("POST", "/api/auth/users", body, bearer(make_token(redis.client))).status == 201
    cookie = coordinator.request("POST", "/api/auth/login", {"username": "anna", "password": "correct horse"}).headers["Set-Cookie"]
    for site, named in (("same-origin", True), ("same-site", False)):
        headers = {"Cookie": cookie.split(";")[0], "Sec-Fetch-Site": site}
        assert coordinator.request("POST", "/service/up/x", {}, headers).status == 200
        assert (peer.requests[-1].header("authorization") is not None) == named, site


def test_a_service_that_is_trusted_with_more(stage, redis, start_coordinator, directory):
    peer = stage.peers.start(saying(reply(b"<p>", headers=["Content-Type: text/html", "Set-Cookie: a=b", "Set-Cookie: "
                                                                                                         "rma_session=evil"])))
    path = directory / "catalogue.json"
    path.write_text(
        json.dumps({"services": [{"name": "up", "tier": 2, "image": "i", "port": 1, "pass_authorization": True, "set_cookie": True,
                                              "idempotent": True}]}))
    coordinator = start_coordinator(redis, UPSTREAM_ALLOW="127.0.0.1", SERVICE_CATALOG=path)
    coordinator.register("w1", services=[{"name": "up", "service_url": peer.url}])
    ours = make_token(redis.client, role="user", token_id="useruseruser")
    expired = make_token(redis.client, role="user", token_id="goneuseruser", expires_at=1)
    answer = coordinator.request("GET", "/service/up/x", headers={**bearer("sk-foreign"), "Cookie": "x=y; rma_session=z"})
    request = peer.requests[-1]
    assert request.header("authorization") == "Bearer sk-foreign" and request.header("cookie") == "x=y"
    assert answer.headers.get_all("Set-Cookie") == ["a=b"] and answer.headers["Content-Security-Policy"] is None
    for token in (ours, expired):
        coordinator.request("GET", "/service/up/x", headers=bearer(token))
        assert token not in (peer.requests[-1].header("authorization") or "")
    foreign = base64.b64encode(b"anna:foreign").decode()
    for value in (f"Basic {foreign}", f"basic {foreign}", "Token foreign", "Digest username=anna"):
        coordinator.request("GET", "/service/up/x", headers={"Authorization": value})
        assert peer.requests[-1].header("authorization") == value
    signed = f"{jwt_part({'alg': 'ES256', 'kid': 'x' * 43, 'typ': 'JWT'})}.e30.AAAA"
    for token in (ours, expired, signed):  # where we look for no token, and others might
        basic = base64.b64encode(f"{token}:".encode()).decode()
        broken = base64.b64encode(f"anna:{token}".encode()).decode().rstrip("=")[:-4]
        for value in (f"Token {token}", token, f"Bearer {token},x", f"Bearer x {token}", f"Bearer\t{token}", f"Basic {basic}",
                      f"Basic {broken}!", f"Basic {broken}:x"):
            coordinator.request("GET", "/service/up/x", headers={"Authorization": value})
            assert peer.requests[-1].header("authorization") is None, value
        for pair in ((token, "foreign"), ("foreign", token)):
            with coordinator.raw() as raw:
                raw.send("GET /service/up/x HTTP/1.1\r\nHost: x\r\n"
                         + "".join(f"Authorization: Bearer {text}\r\n" for text in pair) + "\r\n")
                assert raw.read_response().status == 200 and peer.requests[-1].values("authorization") == []


def jwt_part(members):
    return base64.urlsafe_b64encode(json.dumps(members, separators=(",", ":")).encode()).rstrip(b"=").decode()


# -- the old paths for inference ---------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def models(make_stage):
    """A coordinator with the built-in catalogue's names, and a worker for each of the services of inference."""
    stage = make_stage()
    services = [{"name": "vision", "tier": 1, "image": "i", "port": 1, "loads_models": True},
                {"name": "vllm", "tier": 1, "image": "i", "port": 1},
                *({"name": name, "tier": 2, "image": "i", "port": 1} for name in ("rag", "ner"))]
    stage.start(services)
    stage.served = {name: stage.peers.start(saying(lambda request: reply({"said": 1}, 500 if b"broken" in request.body
                                                                         or "broken" in request.target else
                                                                         302 if b"moved" in request.body else 200)))
                    for name in ("vision", "vllm", "rag", "ner")}
    stage.ids = {name: stage.register(name, peer) for name, peer in stage.served.items()}
    stage.coordinators[0].beat(stage.ids["vllm"], loaded_models=["Llama3:8b", "qwen"])
    stage.coordinators[0].beat(stage.ids["vision"], loaded_models=["llava:latest", "qwen"])
    return stage


@pytest.mark.parametrize("path, body, service, target, arrives", [
    ("llm", {"model": "m", "prompt": "p \"q\""}, "vllm", "/v1/completions",
     {"model": "m", "prompt": "p \"q\"", "max_tokens": 512, "temperature": 0.7}),
    ("llm", {"model": "m", "prompt": "", "max_tokens": 5, "temperature": 0, "stream": True}, "vllm", "/v1/completions",
     {"model": "m", "prompt": "", "max_tokens": 5, "temperature": 0}),
    ("vision", {"model": "m", "prompt": "p"}, "vision", "/api/generate",
     {"model": "m", "prompt": "p", "stream": False, "options": {"num_predict": 512, "temperature": 0.7}}),
    ("rag/query?query=what%20is+%C3%A9%3F", None, "rag", "/query", {"question": "what is é?"}),
    ("rag/query?context=c&query=q", None, "rag", "/query", {"question": "q", "context": "c"}),
    ("graph/extract?text=a%26b", None, "ner", "/extract", {"markdown": "a&b"})])
def test_inference(models, path, body, service, target, arrives):
    answer = models.ask("POST", f"/api/inference/{path}", json.dumps(body) if body else None)
    assert (answer.status, answer.json) == (200, {"said": 1})
    request = models.served[service].requests[-1]
    assert (request.method, request.target, request.json, request.header("content-type")) == (
        "POST", target, arrives, "application/json")


def test_inference_errors(models, redis, start_coordinator):
    for prompt in ("broken", "moved"):  # a redirect would lead the client away from what it asked
        answer = models.ask("POST", "/api/inference/llm", json.dumps({"model": "m", "prompt": prompt}))
        assert answer.status == 502 and answer.json["detail"].startswith("Worker request failed: ")
    empty = start_coordinator(redis)
    for path, who in (("llm", "vLLM"), ("vision", "vision"), ("rag/query?query=x", "RAG"), ("graph/extract?text=x", "NER")):
        answer = empty.post(f"/api/inference/{path}", {"model": "m", "prompt": "p"})
        assert (answer.status, answer.json["detail"]) == (503, f"No {who} workers available. Please try again later.")


# -- models ------------------------------------------------------------------------------------------------------------------------

def test_the_models_that_there_are(models):
    answer = models.ask("GET", "/v1/models")
    assert answer.json["object"] == "list"
    assert {model["id"]: model["workers"] for model in answer.json["data"]} == {"Llama3:8b": 1, "llava:latest": 1, "qwen": 2}
    assert models.ask("GET", "/v1/models/QWEN:latest").json["workers"] == 2
    missing = models.ask("GET", "/v1/models/org/none")
    assert missing.status == 404 and missing.json["error"]["code"] == missing.json["code"] == "model-not-found"


@pytest.mark.parametrize("path", ["chat/completions", "completions", "embeddings", "responses"])
def test_a_request_finds_its_model(models, path):
    for model, service, loaded in (("llama3:8B", "vllm", "loaded"), ("llava", "vision", "loaded"),
                                   ("other", "vision", "not-loaded")):
        body = json.dumps({"messages": [{"model": "decoy"}], "model": model}).encode()
        answer = models.ask("POST", f"/v1/{path}?beta=1", body, {"Content-Type": "application/json"})
        assert (answer.status, answer.headers["X-RMA-Worker"], answer.headers["X-RMA-Model"]) == (200, models.ids[service], loaded)
        request = models.served[service].requests[-1]
        assert (request.target, request.body) == (f"/v1/{path}?beta=1", body)


def test_errors_of_models_are_openais_too(models, redis, start_coordinator):
    empty = start_coordinator(redis, AUTH="on")
    user = bearer(make_token(redis.client, role="user"))
    cases = [(models.ask("POST", "/v1/chat/completions", b"{"), 400, "invalid_request_error"),
             (models.ask("POST", "/v1/chat/completions", b"{}"), 422, "invalid_request_error"),
             (models.ask("GET", "/v1/chat/completions"), 405, "invalid_request_error"),
             (models.ask("GET", "/v1/nothing"), 404, "invalid_request_error"),
             (empty.post("/v1/completions", {"model": "m"}), 401, "invalid_request_error"),
             (empty.request("POST", "/v1/completions", {"model": "m"}, user), 503, "server_error")]
    for answer, status, kind in cases:
        problem = answer.json
        assert (answer.status, problem["status"], problem["error"]["type"],
                problem["error"]["code"]) == (status, status, kind, problem["code"])
        if status == 422:
            assert (problem["error"]["param"] == "model"
                    and problem["error"]["message"].startswith("model must be the name of a model"))
        else:
            assert problem["error"]["message"] == problem["detail"] and problem["error"]["param"] is None


@pytest.mark.parametrize("lines, status", [
    ("Transfer-Encoding: gzip", 400), ("Content-Length: 5x", 400), ("Content-Length: 1\r\nContent-Length: 1", 400),
    ("Host: y", 400), ("Transfer-Encoding: chunked\r\n\r\nzz", 400), ("Content-Length: 1\r\nExpect: more", 417),
    (f"X-Long: {'x' * 70_000}", 431)], ids=["encoding", "length", "lengths", "hosts", "chunk", "expectation", "long"])
def test_even_the_refusal_of_a_head_below_v1_is_openais(models, lines, status):
    with models.coordinators[0].raw() as raw:
        raw.send(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n")
        problem = raw.read_response("POST").json
    assert problem["status"] == status and problem["error"]["message"] == problem["detail"]
    assert (problem["error"]["type"], problem["error"]["code"]) == ("invalid_request_error", problem["code"])


def test_a_conversation_stays_on_its_worker(stage):
    peers = [stage.peers.start(saying(reply(b"ok"))) for _ in range(4)]
    service = stage.service(*peers)
    for session in ("anna", "bert"):
        workers = {stage.ask("GET", f"/service/{service}/x", headers={"X-RMA-Session": session}).headers["X-RMA-Worker"]
                   for _ in range(6)}
        assert len(workers) == 1


# -- WebSockets --------------------------------------------------------------------------------------------------------------------

UPGRADE = ("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")


@pytest.fixture(scope="module")
def sockets(stage):
    """(service, peer): its worker upgrades, says hello, and then says back what it hears; /no refuses."""
    async def behave(connection):
        request = await connection.read_head()
        if request.path == "/no" or request.header("upgrade") is None:
            await connection.send(reply(b"no", 426))
            return
        await connection.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: x\r\n\r\nhello")
        while data := await connection.reader.read(65536):
            await connection.send(data)
        await connection.send(b"bye")

    peer = stage.peers.start(behave)
    return stage.service(peer), peer


def read_until(raw, end):
    data = b""
    while not data.endswith(end):
        piece = raw.socket.recv(65536)
        assert piece, data
        data += piece
    return data


def test_a_websocket(stage, sockets):
    service, peer = sockets
    with http_client.RawConnection(stage.coordinators[0].port) as raw:
        raw.send(f"GET /service/{service}/chat HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n")
        head = read_until(raw, b"hello")
        assert head.startswith(b"HTTP/1.1 101 ") and b"sec-websocket-accept: x\r\n" in head.lower() and b"X-RMA-Worker: " in head
        request = peer.requests[-1]
        assert request.header("sec-websocket-key") == "dGhlIHNhbXBsZSBub25jZQ==" and request.header("upgrade") == "websocket"
        raw.send(b"ping")
        assert read_until(raw, b"ping") == b"ping"
        large = bytes(range(256)) * 4096
        raw.send(large + b"end")
        assert read_until(raw, b"end") == large + b"end"
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.read_to_end() == b"bye"
    wait_until(lambda: peer.open == 0)
    lease_is_back(stage, service)


def test_one_end_of_a_websocket_may_go_on_when_the_other_has_ended(stage):
    """As through any relay of TCP: the end of one direction is passed on, and the other direction goes on until it ends, too."""
    large = bytes(range(256)) * 16384
    heard = []

    async def behave(connection):
        request = await connection.read_head()
        await connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbye")
        if request.path == "/worker":
            connection.writer.write_eof()
        data = b""
        while piece := await connection.reader.read(65536):
            data += piece
        heard.append(data)
        if request.path == "/client":
            await connection.send(large)

    peer = stage.peers.start(behave)
    service = stage.service(peer)
    for who in ("worker", "client"):
        with http_client.RawConnection(stage.coordinators[0].port) as raw:
            raw.send(f"GET /service/{service}/{who} HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n")
            read_until(raw, b"bye")
            if who == "worker":
                assert raw.read_to_end() == b""
            raw.send(large)
            raw.socket.shutdown(socket.SHUT_WR)
            assert raw.read_to_end() == (large if who == "client" else b"")
        wait_until(lambda: peer.open == 0)
    assert heard == [large, large]
    lease_is_back(stage, service)


def test_a_websocket_whose_worker_has_left_takes_no_room_on_it(stage):
    """The worker closes both directions: what the client still sends reaches nobody, and that is no failure of the worker."""
    async def behave(connection):
        await connection.read_head()
        await connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbye")

    coordinator, large = stage.coordinators[0], bytes(8 * MIB)
    service = stage.service(stage.peers.start(behave))
    with http_client.RawConnection(coordinator.port) as raw:
        raw.send(f"GET /service/{service}/x HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n")
        read_until(raw, b"bye")
        assert raw.read_to_end() == b""

        def lets_go():
            raw.send(b"more")
            return has_no_lease(stage, service)
        wait_until(lets_go)
        raw.send(large)
    assert not any(line["event"] == "passing" and line.get("service") == service for line in coordinator.log_lines())


def test_a_websocket_whose_worker_fails_is_reset_and_the_log_says_so(stage):
    """Long after the request itself has ended: others have had its memory."""
    go = threading.Event()

    async def behave(connection):
        request = await connection.read_head()
        if request.path != "/chat":
            await connection.send(reply(b"ok", headers=["Connection: close"]))
            return
        await connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        await asyncio.to_thread(go.wait, 10)
        connection.reset()

    service, coordinator = stage.service(stage.peers.start(behave)), stage.coordinators[0]
    with http_client.RawConnection(coordinator.port) as raw:
        raw.send(f"GET /service/{service}/chat HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n")
        read_until(raw, b"hello")
        for _ in range(20):
            assert stage.ask("GET", f"/service/{service}/x", headers={"X-Filler": "f" * 3000}).status == 200
        go.set()
        with pytest.raises(ConnectionResetError):
            raw.socket.recv(1)
    line, = wait_until(lambda: [line for line in coordinator.log_lines()
                                if line["event"] == "passing" and line.get("service") == service])
    assert line["cause"] == "cut" and line["worker_id"].startswith(service)
    lease_is_back(stage, service)


def test_a_websocket_that_is_left_or_refused(stage, sockets):
    service, peer = sockets
    with http_client.RawConnection(stage.coordinators[0].port) as raw:
        raw.send(f"GET /service/{service}/chat HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n")
        read_until(raw, b"hello")
    wait_until(lambda: peer.open == 0)
    lease_is_back(stage, service)
    with http_client.RawConnection(stage.coordinators[0].port) as raw:
        answer = raw.send(f"GET /service/{service}/no HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n").read_response()
        assert (answer.status, answer.body) == (426, b"no")
    with http_client.RawConnection(stage.coordinators[0].port) as raw:  # h2c could hide requests from us
        answer = raw.send(
            f"GET /service/{service}/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n").read_response()
        assert answer.status == 426 and peer.requests[-1].header("upgrade") is None


# -- what is seen ------------------------------------------------------------------------------------------------------------------

def test_metrics_of_services(redis, stage, start_coordinator, echo):
    _, peer = echo
    coordinator = start_coordinator(redis, UPSTREAM_ALLOW="127.0.0.1", THREADS=1)
    coordinator.register("w1", services=[{"name": "rag", "service_url": peer.url}])
    coordinator.register("w2", services=[{"name": "notes", "service_url": stage.peers.refusing().url}])
    for path in ("/service/rag/x", "/service/rag/y", "/service/notes/x", "/service/other/x"):
        coordinator.get(path)
    text = coordinator.get("/metrics").body.decode()
    for sample in ('rma_passed_requests_total{service="rag",code="200"} 2',
                   'rma_passed_requests_total{service="notes",code="502"} 1',
                   'rma_passed_requests_total{service="(others)",code="503"} 1', 'rma_passed_in_flight{service="rag"} 0',
                   'rma_passed_faults_total{service="notes",cause="refused"} 1',
                   'rma_passed_refused_total{service="(others)",reason="no-workers"} 1',
                   'rma_passed_head_seconds_count{service="rag"} 2', 'rma_passed_duration_seconds_count{service="rag"} 2',
                   "rma_upstream_connects_total 2"):
        assert sample in text, sample
