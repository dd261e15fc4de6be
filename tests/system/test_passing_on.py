"""Requests that are passed on to workers: the paths that clients use, what reaches the worker, and what comes back, byte for
byte."""

import gzip
import json
from http import HTTPStatus

import pytest

import http_client
from http_client import statuses
from peer_faults import answer
from peers import reply, saying, serving

SERVICES = ("rag", "upload", "client-rag", "doc-processor", "notes", "ner", "vllm", "vision")
NEVER = ("postgres", "redis", "neo4j", "chromadb", "minio")
BINARY = bytes(range(256)) * 40 + b"\r\n0\r\n\r\n--\r\n"


@pytest.fixture(scope="module")
def fleet(make_stage):
    """The services that the built-in catalogue has, with a worker each that says which one it is."""
    stage = make_stage()
    stage.start(SERVICE_CATALOG=None)
    stage.workers = {name: stage.peers.start(saying(reply(name.encode()))) for name in (*SERVICES, *NEVER)}
    for name, peer in stage.workers.items():
        kind = "gpu" if name in ("vllm", "vision") else "storage" if name in NEVER else "cpu"
        stage.register(name, peer, capabilities={"worker_type": kind})
    return stage


@pytest.fixture(scope="module")
def stage(make_stage):
    stage = make_stage()
    stage.start()
    return stage


# -- the paths

PATHS = [  # what a client asks for, who gets it, and as what
    ("/service/rag/stats", "rag", "/stats"),
    ("/service/rag", "rag", "/"),
    ("/service/rag/", "rag", "/"),
    ("/service/rag?a=1", "rag", "/?a=1"),
    ("/service/rag/api/graph/7/paths?from=1&from=2&to=&to=x%20y&from=3", "rag",
     "/api/graph/7/paths?from=1&from=2&to=&to=x%20y&from=3"),
    ("/service/rag/debug/documents?limit=10&offset=0&source=a%2Fb", "rag", "/debug/documents?limit=10&offset=0&source=a%2Fb"),
    ("/service/rag/a%2Fb/c%3Fd?e=%26", "rag", "/a%2Fb/c%3Fd?e=%26"),
    ("/service/rag/caf%C3%A9/%E2%82%AC", "rag", "/caf%C3%A9/%E2%82%AC"),
    ("/service/rag/x?", "rag", "/x?"),
    ("/service/rag/x?a=b?c=d&&", "rag", "/x?a=b?c=d&&"),
    ("/service/rag/x/", "rag", "/x/"),
    ("/service/rag/service/rag/x", "rag", "/service/rag/x"),
    ("/service/rag/x;v=1,2/@:!$'()*+~", "rag", "/x;v=1,2/@:!$'()*+~"),
    ("/service/rag-embeddings/stats", "rag", "/stats"),
    ("/service/rag-service/stats", "rag", "/stats"),
    ("/service/ner-extraction/graph/7/search?q=a", "ner", "/graph/7/search?q=a"),
    ("/service/ner/health", "ner", "/health"),
    ("/service/notes-coa/convert", "notes", "/convert"),
    ("/service/client-rag/stats/7", "client-rag", "/stats/7"),
    ("/service/upload/client-stats/7", "upload", "/client-stats/7"),
    ("/service/llm-inference/v1/models", "vllm", "/v1/models"),
    ("/service/vision-ocr/api/tags", "vision", "/api/tags"),
    ("/api/service/rag/stats?x=1&x=2", "rag", "/stats?x=1&x=2"),
    ("/api/service/client-rag/clients", "client-rag", "/clients"),
    ("/api/service/doc-processor/health", "doc-processor", "/health"),
    ("/api/rag/query/query", "rag", "/query"),
    ("/api/rag/query/agentic-query?debug=1", "rag", "/agentic-query?debug=1"),
    ("/api/rag/stats", "rag", "/stats"),
    ("/api/rag/query", "rag", "/query"),
    ("/api/upload/clients", "upload", "/clients"),
    ("/api/upload/uploads/7", "upload", "/uploads/7"),
    ("/api/upload/uploads/7/a%20b.pdf", "upload", "/uploads/7/a%20b.pdf"),
    ("/api/client-rag/stats/7", "client-rag", "/stats/7"),
    ("/api/doc-processor/process", "doc-processor", "/process"),
    ("/api/notes/convert", "notes", "/convert"),
]


def test_paths_lead_to_the_services_that_clients_mean(fleet):
    wrong = []
    for path, service, target in PATHS:
        fleet.peers.requests.clear()
        got = fleet.ask("GET", path)
        arrived = [(peer, request.target) for peer, request in fleet.peers.requests]
        if (got.status, got.body, arrived) != (200, service.encode(), [(fleet.workers[service], target)]):
            wrong.append((path, got, [target for _, target in arrived]))
    assert not wrong, "\n".join(map(str, wrong))


def test_a_worker_learns_the_path_in_front_of_its_own(fleet):
    for path, prefix in (("/service/rag-embeddings/x", "/service/rag-embeddings"), ("/api/rag/x", "/api/rag"),
                         ("/api/rag/query/query", "/api/rag/query"), ("/api/inference/rag/query?query=x", "/api/inference/rag"),
                         ("/v1/completions", None)):
        fleet.peers.requests.clear()
        assert fleet.ask("POST", path, b'{"model": "m"}', {"Content-Type": "application/json"}).status == 200, path
        (_, request), = fleet.peers.requests
        assert request.header("x-forwarded-prefix") == prefix, path


def test_every_path_takes_every_method(fleet):
    for path, service, target in (("/service/rag/m", "rag", "/m"), ("/api/service/notes/m", "notes", "/m"),
                                  ("/api/upload/m", "upload", "/m"),
                                  ("/api/rag/query/query", "rag", "/query")):
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            fleet.peers.requests.clear()
            got = fleet.ask(method, path, b"body" if method in ("POST", "PUT", "PATCH") else None)
            assert got.status == 200 and got.body == (b"" if method == "HEAD" else service.encode()), (method, path, got)
            (peer, request), = fleet.peers.requests
            assert peer is fleet.workers[service] and (request.method, request.target) == (method, target)
            assert request.body == (b"body" if method in ("POST", "PUT", "PATCH") else b"")


def test_a_page_of_another_origin_gets_its_preflight_answered_here(fleet):
    fleet.peers.requests.clear()
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        got = fleet.ask("OPTIONS", "/service/rag/x",
                        headers={"Origin": "https://page.example", "Access-Control-Request-Method": method,
                                                             "Access-Control-Request-Headers": "authorization"})
        assert got.status == 204 and method in got.headers["Access-Control-Allow-Methods"], got.headers
        assert "authorization" in got.headers["Access-Control-Allow-Headers"].lower()
    assert not fleet.peers.requests


@pytest.mark.parametrize("service", NEVER)
def test_stores_are_never_reached(fleet, service):
    for path in (f"/service/{service}/", f"/api/service/{service}/x"):
        for method in ("GET", "POST"):
            got = fleet.ask(method, path)
            assert got.status in (403, 404), got
            assert isinstance(got.json["detail"], str) and got.json["code"]
    assert fleet.workers[service].connections == 0


def test_nobody_for_a_service(fleet):
    """What old clients read: .detail, .message // .error, and available_services as an array."""
    for path, service in (("/api/service/nonexistent/test", "nonexistent"), ("/service/nonexistent", "nonexistent")):
        got = fleet.ask("GET", path)
        assert got.status in (404, 503), got
        problem = got.json
        assert problem["status"] == got.status and got.headers["Content-Type"].startswith("application/problem+json")
        assert isinstance(problem["code"], str) and isinstance(problem["retryable"], bool)
        for member in ("detail", "error", "message"):
            assert isinstance(problem[member], str) and problem[member], problem
        assert problem["service"] == service
        assert (set(problem["available_services"]) >= set(SERVICES)
                and not set(problem["available_services"]) & {"postgres", "redis"})
    stranger = fleet.ask("GET", "/service/nonexistent/x", headers={"Origin": "https://page.example"})
    assert stranger.headers["Access-Control-Allow-Origin"] in ("*", "https://page.example")


def test_nobody_who_can_serve(stage):
    """A known service whose workers are all gone: 503, and when to come again."""
    service = stage.service()
    got = stage.ask("POST", f"/service/{service}/x", b"{}")
    assert got.status == 503 and got.json["retryable"] is True and int(got.headers["Retry-After"]) >= 1
    assert got.json["service"] == service and isinstance(got.json["available_services"], list)


# -- where a worker is

def test_the_endpoint_is_the_services_own_then_the_tunnel_then_the_address(make_stage):
    """A service_url of loopback is the worker's own: others reach it as they reach the worker."""
    stage = make_stage()
    coordinator = stage.start(**stage.names.settings())
    own, tunnel, address = (stage.peers.start(saying(reply(name))) for name in (b"own", b"tunnel", b"address"))
    stage.names.resolve("own.example", "127.0.0.1")
    service = stage.service()
    for expected, url, more in ((b"own", f"http://own.example:{own.port}", {"tunnel_url": tunnel.url}),
                                (b"tunnel", None, {"tunnel_url": tunnel.url}),
                                (b"address", None, {}), (b"address", f"http://localhost:{address.port}/", {})):
        coordinator.register("place", services=[{"name": service, "service_url": url, "port": address.port}],
                             ip_address="127.0.0.1", **more)
        assert stage.ask("GET", f"/service/{service}/x").body == expected, url
        coordinator.unregister("place")


def test_the_base_path_of_a_worker_comes_before_the_clients(stage):
    peer = stage.peers.start(saying(reply(b"x")))
    for base, path, target in (("/base", "/x?y=1", "/base/x?y=1"), ("/base/", "/x", "/base/x"), ("/a/b", "", "/a/b"),
                               ("/a/b", "/", "/a/b/"), ("/", "/x", "/x")):
        service = stage.service(peer.url + base)
        assert stage.ask("GET", f"/service/{service}{path}").status == 200
        assert peer.requests[-1].target == target, base


@pytest.mark.parametrize("way", ["/../secret", "/x/../../secret", "/%2e%2e/secret", "/.%2E/secret", "/x/%2e%2e%2f%2e%2e/secret",
                                 "/..;/secret", "/..;x=1/secret", "/x/%2e%2e%3B/secret", "/..;"])
def test_no_path_climbs_out_of_the_base_path(stage, way):
    peer = stage.peers.start(saying(reply(b"x")))
    service = stage.service(peer.url + "/base")
    stage.ask("GET", f"/service/{service}{way}")
    for request in peer.requests:
        assert request.target.startswith("/base/") and ".." not in request.target.lower().replace("%2e", "."), request.target


# -- byte for byte

BODIES = {
    "nothing": b"", "binary": BINARY, "gzip": gzip.compress(b"x" * 1000), "JSON": b'{"a": 1.0, "a": "\\u00e9"}',
    "half a JSON": b'{"a"',
    "multipart": b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.pdf"\r\n\r\n' + BINARY + b"\r\n--b--\r\n",
    "a megabyte": BINARY * 100,
}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_bodies_pass_byte_for_byte_both_ways(stage, method):
    async def echo(connection, request):
        await connection.send(reply(request.body, headers={"Content-Type": request.header("content-type")}))

    peer = stage.peers.start(serving(echo))
    service = stage.service(peer)
    for name, body in BODIES.items():
        kind = f"x-test/{name.replace(' ', '-')}; boundary=b"
        got = stage.ask(method, f"/service/{service}/{len(body)}", body, {"Content-Type": kind, "Content-Encoding": "x-none"})
        assert (got.status, got.body == body, got.headers["Content-Type"]) == (200, True, kind), (name, got)
        assert peer.requests[-1].body == body and peer.requests[-1].header("content-encoding") == "x-none", name


def test_a_body_in_chunks_arrives_whole(stage):
    peer = stage.peers.start(saying(reply(b"x")))
    service = stage.service(peer)
    with stage.coordinators[0].raw() as raw:
        raw.send(f"POST /service/{service}/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".encode())
        raw.send(b"7;a=b\r\n\r\n\0 you\r\n0\r\n\r\n")
        assert raw.read_response("POST").status == 200
    assert peer.requests[-1].body == b"hello\r\n\0 you"


def test_an_answer_passes_in_chunks_with_a_length_or_until_the_end(stage):
    shapes = {
        "length": reply(BINARY),
        "chunks": answer("Transfer-Encoding: chunked", body=f"{len(BINARY):x}\r\n".encode() + BINARY + b"\r\n0\r\n\r\n"),
        "end": answer("Connection: close", body=BINARY),
        "old": answer(status="HTTP/1.0 200 OK", body=BINARY),
    }
    for name, shape in shapes.items():
        async def say(connection, _, shape=shape, name=name):
            await connection.send(shape)
            if name in ("end", "old"):
                connection.close()

        got = stage.ask("GET", f"/service/{stage.service(stage.peers.start(serving(say)))}/x")
        assert got.status == 200 and got.is_whole and got.body == BINARY, (name, got)
        assert name != "length" or got.headers["Content-Length"] == str(len(BINARY)), got.headers.items()


ANSWERS = {
    200: ["Content-Type: application/pdf", "Content-Disposition: attachment; filename=\"a b.pdf\"; filename*=UTF-8''%C3%A4.pdf",
          'ETag: "x"'],
    201: ["Location: /uploads/7", "Content-Type: application/json"],
    202: [], 203: [], 207: ["Content-Type: text/xml"],
    206: ["Content-Range: bytes 0-1/10", "Accept-Ranges: bytes"],
    301: ["Location: https://elsewhere.example/x"], 302: ["Location: http://169.254.169.254/"], 303: ["Location: x"],
    307: ["Location: ../x"],
    308: ["Location: /x"], 400: ["Content-Type: application/json"], 401: ['WWW-Authenticate: Bearer realm="x"'], 402: [], 403: [],
    404: [],
    405: ["Allow: GET"], 406: [], 409: [], 410: [], 412: [], 413: [], 415: [], 416: [], 421: [], 422: ["X-Errors: 3"], 423: [],
    424: [], 425: [], 428: [], 451: [], 500: ["Content-Type: text/html"], 501: [], 505: [], 507: [],
}


def test_answers_pass_with_their_status_and_headers(stage):
    peer = stage.peers.start(saying(lambda request: reply(b'{"detail": "of the worker"}', *by_target(request.target))))
    service = stage.service(peer)
    for status, lines in ANSWERS.items():
        got = stage.ask("POST", f"/service/{service}/{status}")
        assert (got.status, got.body) == (status, b'{"detail": "of the worker"}'), got
        for line in lines:
            name, _, value = line.partition(": ")
            assert got.headers.get_all(name) == [value], (status, got.headers.items())
    assert len(peer.requests) == len(ANSWERS)


def by_target(target):
    status = int(target.rpartition("/")[2])
    return status, ANSWERS[status]


def test_a_status_has_its_reason_phrase(stage):
    """That of IANA's registry, whatever the worker says."""
    since_rfc_9110 = {413: "Payload Too Large", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}
    service = stage.service(stage.peers.start(saying(lambda request: reply(b"", *by_target(request.target)))))
    for status in ANSWERS:
        with http_client.RawConnection(stage.coordinators[0].port) as raw:
            raw.send(f"POST /service/{service}/{status} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            line = raw.read_to_end().partition(b"\r\n")[0].decode()
        assert line == f"HTTP/1.1 {status} {since_rfc_9110.get(status) or HTTPStatus(status).phrase}"


def test_answers_without_a_body(stage):
    peer = stage.peers.start(saying(lambda request: {
        "/204": b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
        "/304": b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n',
        "/empty": reply(b""),
        "/head": b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nContent-Type: text/x\r\n\r\n"}[request.target]))
    service = stage.service(peer)
    assert stage.ask("DELETE", f"/service/{service}/204").status == 204
    cached = stage.ask("GET", f"/service/{service}/304", headers={"If-None-Match": '"x"'})
    assert cached.status == 304 and cached.headers["ETag"] == '"x"' and cached.body == b""
    assert stage.ask("GET", f"/service/{service}/empty").body == b""
    head = stage.ask("HEAD", f"/service/{service}/head")
    assert head.status == 200 and head.headers["Content-Length"] == "12345" and head.headers["Content-Type"] == "text/x"
    assert peer.requests[1].header("if-none-match") == '"x"'


# -- headers

def test_what_a_worker_is_told(stage):
    peer = stage.peers.start(saying(reply(b"x")))
    service = stage.service(peer)
    sent = {
        "Accept": "text/x;q=0.1, */*", "Range": "bytes=0-1", "X-Own": "a, b", "User-Agent": "agent/1", "Accept-Encoding": "gzip",
        "Accept-Language": "cy", "Referer": "https://page.example/x", "Idempotency-Key": "k-1", "X-Request-Id": "request-1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        # not for workers
        "Host": "coordinator.example", "Cookie": "session=secret", "Authorization": "Bearer secret",
        "Proxy-Authorization": "Basic secret",
        "Connection": "close, X-Named, Keep-Alive", "X-Named": "secret", "Keep-Alive": "timeout=5", "TE": "trailers",
        "Upgrade": "h2c",
        "Fly-Client-IP": "192.0.2.66", "Fly-Region": "lhr", "X-Forwarded-For": "192.0.2.66", "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "ftp", "X-Forwarded-User": "root", "X-RMA-Worker": "other", "X-RMA-Anything": "secret",
        "Forwarded": "for=192.0.2.66",
    }
    got = stage.ask("GET", f"/service/{service}/x", headers=sent)
    assert got.status == 200, got
    request = peer.requests[-1]
    for name in list(sent)[:9]:
        assert request.header(name) == sent[name], name
    assert request.header("host") == f"127.0.0.1:{peer.port}"
    trace = request.header("traceparent").split("-")
    assert trace[1] == "0af7651916cd43dd8448eb211c80319c" and len(trace) == 4
    assert request.header("x-forwarded-for") == "127.0.0.1" and request.header("x-forwarded-proto") == "http"
    assert request.header("x-forwarded-host") == "coordinator.example"
    assert "127.0.0.1" in request.header("forwarded") and "192.0.2.66" not in request.header("forwarded")
    assert request.header("via").startswith("1.1 ")
    all_of_it = "\n".join(f"{name}: {value}" for name, value in request.headers).lower()
    for word in ("secret", "192.0.2.66", "fly-", "evil", "ftp", "cookie", "x-rma-anything", "x-named", "keep-alive", "upgrade",
                 "te:",
                 "x-forwarded-user", "proxy-"):
        assert word not in all_of_it, (word, all_of_it)


def test_a_request_without_ids_gets_them(stage):
    peer = stage.peers.start(saying(reply(b"x")))
    service = stage.service(peer)
    got = stage.ask("GET", f"/service/{service}/x")
    request = peer.requests[-1]
    assert request.header("x-request-id") == got.headers["X-Request-Id"]
    version, trace, span, flags = request.header("traceparent").split("-")
    assert (version, len(trace), len(span), len(flags)) == ("00", 32, 16, 2) and int(trace, 16) and int(span, 16)


def test_what_a_client_is_told(stage):
    peer = stage.peers.start(saying(reply(b"x", headers=[
        "X-Own: a", "X-Own: b", "Cache-Control: no-store", "Vary: Accept", "Link: </x>; rel=next",
        "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
        "Connection: X-Named", "X-Named: secret", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "Upgrade: h2c",
        "fly-replay: region=secret", "Fly-Replay-Src: secret", "X-Reproxy-URL: http://127.0.0.1/secret", 'Alt-Svc: h3=":443"',
        "Strict-Transport-Security: max-age=1", "Access-Control-Allow-Origin: https://secret.example",
        "Access-Control-Allow-Credentials: true",
        "Access-Control-Max-Age: 7", "Set-Cookie: session=secret", "Server: secret/1.0", "Date: Sun, 06 Nov 1994 08:49:37 GMT"])))
    service = stage.service()
    worker = stage.register(service, peer)
    got = stage.ask("GET", f"/service/{service}/x", headers={"Origin": "https://page.example"})
    assert got.headers.get_all("X-Own") == ["a", "b"] and got.headers["Cache-Control"] == "no-store"
    assert got.headers["Link"] == "</x>; rel=next" and "Accept" in ", ".join(got.headers.get_all("Vary"))
    assert got.headers["Last-Modified"].startswith("Sun, 06 Nov 1994")
    assert got.headers.get_all("Access-Control-Allow-Origin") == ["*"], got.headers.items()
    assert got.headers["X-RMA-Worker"] == worker and got.headers["X-RMA-Attempt"] == "1" and got.headers["Server-Timing"]
    assert len(got.headers.get_all("Date")) == 1 and "1994" not in got.headers["Date"]
    all_of_it = "\n".join(f"{name}: {value}" for name, value in got.headers.items()).lower()
    for word in ("secret", "x-named", "fly-", "x-reproxy", "alt-svc", "strict-transport", "allow-credentials", "max-age", "upgrade",
                 "proxy-authenticate", "timeout=5"):
        assert word not in all_of_it, (word, all_of_it)


def test_a_service_may_say_what_else_passes(make_stage):
    stage = make_stage()
    stage.start([{"name": "open", "tier": 2, "image": "x", "port": 9, "pass_authorization": True, "set_cookie": True,
                  "aliases": ["offen"], "routes": {"/old/open": "/v2"}}])
    peer = stage.peers.start(saying(reply(b"x", headers=["Set-Cookie: a=1", "Set-Cookie: b=2"])))
    stage.service(peer, name="open")
    got = stage.ask("GET", "/service/open/x", headers={"Authorization": "Bearer of-the-service", "Cookie": "a=1"})
    assert got.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert peer.requests[-1].header("authorization") == "Bearer of-the-service"
    assert stage.ask("GET", "/service/offen/x").status == 200 and peer.requests[-1].target == "/x"
    assert stage.ask("GET", "/old/open/x/y?z=1").status == 200 and peer.requests[-1].target == "/v2/x/y?z=1"


def test_connections_to_workers_and_clients_are_kept(stage):
    peer = stage.peers.start(saying(reply(b"x")))
    service = stage.service(peer)
    with stage.coordinators[0].connection() as client:
        for number in range(20):
            assert client.request("GET", f"/service/{service}/{number}").body == b"x"
    assert [request.target for request in peer.requests] == [f"/{number}" for number in range(20)]
    assert peer.connections <= 2  # one for each loop at most


def test_pipelined_requests_are_answered_in_order(stage):
    peer = stage.peers.start(saying(lambda request: reply(request.target.encode())))
    service = stage.service(peer)
    with stage.coordinators[0].raw() as raw:
        raw.send("".join(f"GET /service/{service}/{number} HTTP/1.1\r\nHost: x\r\n\r\n" for number in range(8)))
        raw.send("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = raw.read_to_end()
    assert statuses(said) == [200] * 9
    places = [said.index(f"\r\n\r\n/{number}".encode()) for number in range(8)]
    assert places == sorted(places)
    assert json.loads(said.rpartition(b"\r\n\r\n")[2])
