"""Every error of the paths that lead to workers: its status and code, whether the request may be sent again, and whether the client
is told so in each way that clients look for."""

import json

import pytest

from peer_faults import after, close
from peers import reply, serving
from stage import of_all

TYPE = {"Content-Type": "application/json"}
LIMIT = 100_000  # MAX_UPLOAD_BYTES
INFERENCE = "/api/inference/llm"


def says(status):
    return reply({"detail": "no"}, status, ["Location: /elsewhere"] if status == 302 else [])


async def silent(connection):
    await connection.read_request()
    await connection.wait_until_gone()


async def as_asked(connection, request):
    """What the body's model says: it closes, it is silent, or it answers with that status."""
    asked = request.json["model"]
    if asked == "silent":
        await connection.wait_until_gone()
    elif asked == "closes":
        connection.close()
    else:
        await connection.send(says(int(asked)))


REFUSED, FAILED = (302, 400, 401, 404, 422, 501), (408, 425, 429, 500, 502, 503, 504)
WORKERS = {"refuses": None, "closes": after(b"", close), "babbles": after(b"hello\r\n\r\n", close), "silent": silent,
           "vision": None, "vllm": serving(as_asked)}


@pytest.fixture(scope="module")
def fleet(make_stage):
    stage = make_stage()
    coordinator = stage.start([{"name": name, "tier": 1 if name in ("vllm", "vision") else 2, "image": "i", "port": 1,
                                "timeouts": {"head": 1}} for name in (*WORKERS, "rag", "ner")], MAX_UPLOAD_BYTES=LIMIT)
    for name, behave in WORKERS.items():
        peer = stage.peers.refusing() if behave is None else stage.peers.start(behave)
        coordinator.register(name, services=[{"name": name, "service_url": peer.url}])
    coordinator.beat("vision", loaded_models=["refuses"])
    coordinator.beat("vllm", loaded_models=["closes", "silent", *map(str, REFUSED + FAILED)])
    return stage


def model(name, **more):
    return json.dumps({"model": name, "prompt": "p", "messages": [], **more})


# method, path, body, more headers: status, code, whether it may be sent again
ERRORS = {
    "nobody": ("GET", "/service/nonexistent/x", None, {}, 503, "no-worker", True),
    "nobody for a known service": ("POST", "/api/service/rag/x", "{}", {}, 503, "no-worker", True),
    "nobody on a route": ("POST", "/service/ner/extract", "{}", {}, 503, "no-worker", True),
    "unreachable": ("GET", "/service/refuses/x", None, {}, 502, "worker-unreachable", True),
    "unreachable, a POST": ("POST", "/service/refuses/x", "{}", {}, 502, "worker-unreachable", True),
    "closed": ("GET", "/service/closes/x", None, {}, 502, "worker-failed", True),
    "closed, a POST": ("POST", "/service/closes/x", "{}", {}, 502, "outcome-unknown", False),
    "closed, a POST with a key": ("POST", "/service/closes/x", "{}", {"Idempotency-Key": "k"}, 502, "worker-failed", True),
    "no HTTP": ("GET", "/service/babbles/x", None, {}, 502, "worker-failed", True),
    "no HTTP, a POST": ("POST", "/service/babbles/x", "{}", {}, 502, "outcome-unknown", False),
    "late": ("GET", "/service/silent/x", None, {}, 504, "worker-late", True),
    "late, a POST": ("POST", "/service/silent/x", "{}", {}, 504, "worker-late-outcome-unknown", False),
    "a path that leads elsewhere": ("GET", "/service/rag/../x", None, {}, 400, "bad-request", False),
    "a name that is none": ("GET", "/service/r%20g/x", None, {}, 422, "fields-invalid", False),
    "TRACE": ("TRACE", "/service/rag/x", None, {}, 405, "method-not-allowed", False),
    "too large": ("POST", "/service/rag/x", "x" * (LIMIT + 1), {}, 413, "body-too-large", False),
    "a data store": ("GET", "/service/postgres/x", None, {}, 403, "service-closed", False),
    "a loop": ("GET", "/service/rag/x", None, {"Via": ", ".join(["1.1 rma-coordinator"] * 20)}, 508, "request-loop", False),
    "an unknown expectation": ("POST", "/service/rag/x", "{}", {"Expect": "more"}, 417, "expectation-unknown", False),

    "v1: nobody has the model": ("POST", "/v1/completions", model("nobodys"), TYPE, 503, "no-worker", True),
    "v1: unreachable": ("POST", "/v1/completions", model("refuses"), TYPE, 502, "worker-unreachable", True),
    "v1: closed": ("POST", "/v1/chat/completions", model("closes"), TYPE, 502, "outcome-unknown", False),
    "v1: late": ("POST", "/v1/embeddings", model("silent"), TYPE, 504, "worker-late-outcome-unknown", False),
    "v1: no JSON": ("POST", "/v1/responses", "{", TYPE, 400, "bad-request", False),
    "v1: no model": ("POST", "/v1/completions", "{}", TYPE, 422, "fields-invalid", False),
    "v1: another type": ("POST", "/v1/completions", model("m"), {"Content-Type": "text/csv"}, 415, "not-json", False),
    "v1: an unknown model": ("GET", "/v1/models/nobodys", None, {}, 404, "model-not-found", False),
    "v1: another method": ("GET", "/v1/completions", None, {}, 405, "method-not-allowed", False),
    "v1: another path": ("POST", "/v1/nothing", "{}", TYPE, 404, "path-not-found", False),

    "inference: nobody": ("POST", "/api/inference/rag/query?query=x", None, {}, 503, "no-worker", True),
    "inference: unreachable": ("POST", "/api/inference/vision", model("refuses"), TYPE, 502, "worker-unreachable", True),
    "inference: closed": ("POST", INFERENCE, model("closes"), TYPE, 502, "outcome-unknown", False),
    "inference: late": ("POST", INFERENCE, model("silent"), TYPE, 504, "worker-late-outcome-unknown", False),
    "inference: no JSON": ("POST", INFERENCE, "{", TYPE, 400, "bad-request", False),
    "inference: no object": ("POST", INFERENCE, "[]", TYPE, 400, "bad-request", False),
    "inference: no prompt": ("POST", "/api/inference/vision", '{"model": "m"}', TYPE, 422, "fields-invalid", False),
    "inference: no question": ("POST", "/api/inference/rag/query", None, {}, 422, "fields-invalid", False),
    "inference: no text": ("POST", "/api/inference/graph/extract?text=", None, {}, 422, "fields-invalid", False),
    "inference: another method": ("GET", INFERENCE, None, {}, 405, "method-not-allowed", False),
    **{f"inference: the worker says {status}": ("POST", INFERENCE, model(str(status)), TYPE, 502, "worker-refused", False)
       for status in REFUSED},
    **{f"inference: the worker says {status}": ("POST", INFERENCE, model(str(status)), TYPE, 502, "worker-failed", True)
       for status in FAILED},
}


def test_each_error_says_whether_to_try_again(fleet):
    def run(_, case):
        method, path, body, headers, status, code, retryable = case
        got = fleet.ask(method, path, body, headers)
        assert (got.status, got.json["code"], got.json["retryable"]) == (status, code, retryable), got
        assert (got.headers["Retry-After"] is not None) is retryable, got.headers
        assert got.headers["X-Should-Retry"] == (None if retryable or status < 500 else "false"), got.headers
        assert isinstance(got.json["detail"], str) and got.headers["Content-Type"] == "application/problem+json"
        if path.startswith("/v1/"):
            assert got.json["error"]["message"] and got.json["error"]["code"], got
        is_passed = path.startswith(("/service/", "/api/service/"))
        assert ("available_services" in got.json) is (is_passed and status in (502, 503, 504)), got
        assert set(got.json.get("available_services", WORKERS)) >= set(WORKERS), got

    of_all(run, ERRORS)
