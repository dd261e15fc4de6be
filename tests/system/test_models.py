"""One endpoint for all models of the fleet: who has a model loaded gets its requests, and clients of OpenAI's and of the old
interface find what they know."""

import json
import subprocess

import pytest

import project
from coordinator import GPU_CAPABILITIES
from http_client import statuses
from peer_faults import CHUNKED, after, reset
from peer_models import ModelServer, event
from peers import reply, saying, serving
from waiting import wait_until

CLIENT = project.ROOT / "tests" / "openai"
LLAMA, QWEN = "llama-3.1-8b", "qwen2.5:latest"
PAUSE = 0.02


@pytest.fixture(scope="module")
def stage(make_stage):
    """Two vLLMs and an Ollama, and workers that fail; each has told by a heartbeat what it has loaded."""
    stage = make_stage()
    stage.start(SERVICE_CATALOG=None)
    stage.servers = {}
    add(stage, "vllm-1", "vllm", ModelServer(LLAMA, pause=PAUSE))
    add(stage, "vllm-2", "vllm", ModelServer(LLAMA, "shared", "endless", words=[" word"] * 2000, pause=0.01),
        models=["shared", "endless"])
    add(stage, "ollama", "vision", ModelServer(QWEN, "shared", words=("An", " image", "."), pause=PAUSE))
    add(stage, "broken", "vllm", None, saying(reply({"error": {"message": "out of memory", "type": "server_error"}}, 500)),
        ["broken"])
    add(stage, "lost", "vllm", None, after(b"", reset), ["lost"])
    add(stage, "cut", "vllm", None,
        after(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + CHUNKED.partition(b"\r\n")[2] + event(
        {"id": "x", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "begun"}}]}), reset), ["cut"])
    return stage


def add(stage, worker_id, service, server, behave=None, models=None):
    peer = stage.peers.start(behave or server.behave)
    stage.servers[worker_id] = (peer, server)
    coordinator = stage.coordinators[0]
    coordinator.register(worker_id, GPU_CAPABILITIES, services=[{"name": service, "service_url": peer.url}])
    coordinator.beat(worker_id, loaded_models=list(server.models if models is None else models))


def chat(stage, model, path="/v1/chat/completions", **more):
    return stage.ask("POST", path, json.dumps({"model": model, "messages": [], **more}), {"Content-Type": "application/json"})


def test_the_official_client(stage):
    assert (CLIENT / "node_modules").is_dir(), "make tests/openai/node_modules"
    ran = subprocess.run(["node", CLIENT / "client.mjs", stage.coordinators[0].url], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    got = json.loads(ran.stdout)
    whole = "These are the words."
    pieces = ["These", " are", " the", " words", "."]
    assert {model["id"] for model in got["models"]} >= {LLAMA, "shared", "endless", "broken"}
    assert all(model["object"] == "model" for model in got["models"])
    assert (got["chat"]["text"], got["chat"]["worker"], got["chat"]["model"]) == (whole, "vllm-1", LLAMA)
    assert got["chat"]["usage"]["total_tokens"] == 6
    for name in ("chat_stream", "completions_stream", "responses_stream"):
        assert got[name]["pieces"] == pieces, (name, got[name])
        assert got[name]["spread"] > 1000 * PAUSE * 3, f"{name} came in one piece: {got[name]}"
    assert got["helper"] == got["completions"] == got["responses"] == whole
    assert got["ollama"] == "An image." and got["ollama_stream"]["pieces"] == ["An", " image", "."]
    assert got["embeddings"] == [[1, 2], [1, 2]]
    for name in ("unknown_model", "unknown_model_stream"):
        assert got[name]["status"] in (404, 503) and got[name]["kind"] in ("NotFoundError", "InternalServerError"), got[name]
        assert "no-such-model" in got[name]["message"] and got[name]["code"] and got[name]["type"], got[name]
    assert got["refused_by_the_worker"]["kind"] == "BadRequestError"
    assert got["refused_by_the_worker"]["message"] == "400 max_tokens must be at least 1, got 0."
    assert got["without_a_model"]["status"] in (400, 422) and "model must be" in got["without_a_model"]["message"]
    assert got["failing_worker"]["status"] == 500 and "out of memory" in got["failing_worker"]["message"]
    assert got["lost"]["status"] == 502 and got["lost"]["code"] == "outcome-unknown"
    assert len(stage.servers["lost"][0].requests) == 1, "the client has repeated what a worker may have done"
    assert got["cut_off"]["kind"] is not None, "a stream that was cut off looked whole"
    assert got["abort"]["pieces"] == [" word"] * 3 and got["leave"] is True
    assert got["patience"]["kind"] == "APIConnectionTimeoutError"
    peer, server = stage.servers["vllm-2"]
    wait_until(lambda: peer.open <= 1, what="the streams that the client left have ended at the worker")
    made = server.tokens
    assert made < 4000, "the worker went on for clients that had left"
    assert all("sk-anything" not in str(request.headers) for _, request in stage.peers.requests)


def test_models_are_listed_once_with_how_many_have_them(stage):
    listed = stage.ask("GET", "/v1/models").json
    assert listed["object"] == "list"
    models = {model["id"]: model for model in listed["data"]}
    assert len(models) == len(listed["data"]) and all(model["object"] == "model" for model in listed["data"])
    counts = {name: next(value for key, value in model.items() if key in ("workers", "worker_count"))
              for name, model in models.items()}
    assert counts[LLAMA] == 1 and counts["shared"] == 2, counts


def test_a_listed_name_is_one_that_a_worker_knows(make_stage):
    """Names differ in case and by the tag `:latest`; vLLM takes its own spelling alone."""
    stage = make_stage()
    stage.start(SERVICE_CATALOG=None)
    stage.servers = {}
    names = ("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-VL", "Mistral:latest")
    add(stage, "a", "vllm", ModelServer(*names[:2]))
    add(stage, "b", "vllm", ModelServer(names[2]))
    add(stage, "c", "vision", ModelServer(*names, "qwen/qwen2.5-vl", "mistral", "\u00e9", "a,b"))
    stage.coordinators[0].beat("c", loaded_models=["qwen/qwen2.5-vl", "mistral", "\u00e9", "a,b"])
    listed = {model["id"]: model["workers"] for model in stage.ask("GET", "/v1/models").json["data"]}
    assert listed == {names[0]: 1, names[1]: 2, names[2]: 2}
    for name in listed:
        got = chat(stage, name)
        assert got.status == 200 and got.headers["X-RMA-Model"] == "loaded", (name, got)
        for spelling in (name, name.lower(), name.replace("/", "%2F"), name + ":latest" if ":" not in name else "mistral"):
            assert stage.ask("GET", f"/v1/models/{spelling}").json["id"] == name
            assert stage.ask("GET", f"/v1/models/{spelling}/").json["id"] == name
    assert stage.ask("GET", "/v1/models/qwen/qwen2.5").status == 404


def test_each_path_goes_to_a_worker_that_has_the_model(stage):
    for path, body in (("/v1/chat/completions", {"messages": []}), ("/v1/completions", {"prompt": "x"}),
                       ("/v1/embeddings", {"input": "x"}),
                       ("/v1/responses", {"input": "x"})):
        for model, workers in ((LLAMA, {"vllm-1"}), (QWEN, {"ollama"}), ("qwen2.5", {"ollama"})):
            if model == "qwen2.5":  # the same by another name, which this Ollama of ours does not know
                stage.servers["ollama"][1].models = (QWEN, "shared", "qwen2.5")
            got = stage.ask("POST", path, json.dumps({"model": model, **body}), {"Content-Type": "application/json"})
            assert got.status == 200 and got.headers["X-RMA-Worker"] in workers, (path, model, got)
            request = stage.servers[got.headers["X-RMA-Worker"]][0].requests[-1]
            assert request.path == path and request.json == {"model": model, **body}


def test_a_body_arrives_as_it_came(stage):
    text = '{ "model" : "llama-3.1-8b",\n "messages": [{"content": "\\u00e9\\ud83d\\ude00 caf\u00e9"}], "x": 1.0, "stream":false}'
    got = stage.ask("POST", "/v1/chat/completions", text.encode(), {"Content-Type": "application/json"})
    assert got.status == 200 and stage.servers["vllm-1"][0].requests[-1].body == text.encode()


def test_a_worker_that_could_load_the_model_is_said_to_be_one(stage):
    """Nobody has it: a worker of the service for models gets it, and a header says so; or nobody does."""
    got = chat(stage, "not-yet-loaded")
    assert got.status in (404, 503), got
    if got.headers["X-RMA-Worker"]:
        assert any("model" in name.lower() and name.lower().startswith("x-rma-") for name in got.headers), got.headers.items()


def test_nobody_is_asked_who_tells_of_other_models_and_loads_none(make_stage):
    """Its "no such model" would be no answer to a client whose model is there, on a worker that is drained just now."""
    stage = make_stage()
    stage.start(SERVICE_CATALOG=None)
    stage.servers = {}
    add(stage, "drained", "vllm", ModelServer("m"))
    add(stage, "other", "vllm", ModelServer("n"))
    coordinator = stage.coordinators[0]
    assert chat(stage, "m").headers["X-RMA-Worker"] == "drained"
    assert coordinator.request("POST", "/api/worker/drained/drain").status == 200
    for model in ("m", "nobody-has-it"):
        got = chat(stage, model)
        assert (got.status, got.json["code"], got.json["retryable"]) == (503, "no-worker", True), got
        assert "/v1/models" in got.json["detail"]
    assert not stage.servers["other"][0].requests
    add(stage, "silent", "vllm", ModelServer("m"), models=[])
    assert chat(stage, "m").headers["X-RMA-Worker"] == "silent", "its agent may not say what it has loaded"
    coordinator.unregister("silent")
    assert coordinator.request("POST", "/api/worker/drained/undrain").status == 200
    assert chat(stage, "m").headers["X-RMA-Worker"] == "drained"


def test_a_worker_that_is_passed_over_counts_no_request(make_stage):
    """It was chosen, and given back because another service can load the model."""
    stage = make_stage()
    coordinator = stage.start(SERVICE_CATALOG=None)
    stage.servers = {}
    add(stage, "other", "vllm", ModelServer("n"))
    add(stage, "loader", "vision", ModelServer("q"))
    asked = [chat(stage, "nobody-has-it").headers["X-RMA-Worker"] for _ in range(8)]
    assert asked == ["loader"] * 8 and not stage.servers["other"][0].requests

    def counted(worker_id):
        worker = coordinator.worker(worker_id)
        return worker["requests_left"], worker["requests_served"]

    wait_until(lambda: counted("loader")[0] == counted("other")[0] == 0)
    assert (counted("loader"), counted("other")) == ((0, 8), (0, 0))
    assert coordinator.get("/api/route/requests").json["services"] == [{"service": "vision", "in_flight": 0, "served": 8}]


ERRORS = {
    "no JSON": ("POST", "/v1/chat/completions", b"{", {400}),
    "no model": ("POST", "/v1/chat/completions", b"{}", {400, 422}),
    "a model that is none": ("POST", "/v1/completions", b'{"model": 7}', {400, 422}),
    "an empty model": ("POST", "/v1/completions", b'{"model": ""}', {400, 422}),
    "an array": ("POST", "/v1/embeddings", b"[]", {400, 422}),
    "a wrong method": ("GET", "/v1/chat/completions", None, {405}),
    "an unknown path": ("POST", "/v1/no/such", b"{}", {404}),
    "a path of another kind": ("POST", "/v1/models", b"{}", {405}),
}


def test_errors_have_both_shapes(stage):
    for name, (method, path, body, expected) in ERRORS.items():
        got = stage.ask(method, path, body, {"Content-Type": "application/json"})
        assert got.status in expected, (name, got)
        problem = got.json
        assert problem["status"] == got.status and isinstance(problem["detail"], str), (name, got)
        if "models" in path or "no/such" in path:
            continue
        error = problem["error"]
        assert isinstance(error["message"], str) and error["type"] and "param" in error and "code" in error, (name, got)
    nobody = chat(stage, "nobody-has-this-one")
    if nobody.headers["Content-Type"].startswith("application/problem+json"):
        assert isinstance(nobody.json["error"], dict) and nobody.json["error"]["message"] and isinstance(nobody.json["detail"], str)


def test_failures_have_both_shapes(make_stage):
    stage = make_stage()
    stage.start(SERVICE_CATALOG=None)
    stage.servers = {}
    refusing = stage.peers.refusing()
    stage.coordinators[0].register("r", GPU_CAPABILITIES, services=[{"name": "vllm", "service_url": refusing.url}])
    stage.coordinators[0].beat("r", loaded_models=["m"])
    got = chat(stage, "m")
    assert (got.status == 502 and got.json["error"]["message"] and got.json["error"]["type"]
            and isinstance(got.json["detail"], str)), got
    stage.coordinators[0].unregister("r")
    got = chat(stage, "m")
    assert got.status in (404, 503) and got.json["error"]["message"] and isinstance(got.json["detail"], str), got


def test_a_conversation_stays_on_its_worker(make_stage):
    stage = make_stage()
    stage.start(SERVICE_CATALOG=None, THREADS=1)  # a request ends before the next one begins, for Redis, too
    stage.servers = {}
    for number in range(6):
        add(stage, f"v{number}", "vllm", ModelServer("m"))
    for key, body in (("header", {}), ("user", {"user": "anna"}), ("prompt_cache_key", {"prompt_cache_key": "key-1"})):
        headers = {"Content-Type": "application/json", **({"X-RMA-Session": "s-1"} if key == "header" else {})}
        workers = {stage.ask("POST", "/v1/chat/completions", json.dumps({"model": "m", **body}), headers).headers["X-RMA-Worker"]
                   for _ in range(10)}
        assert len(workers) == 1, (key, workers)
    assert len({chat(stage, "m").headers["X-RMA-Worker"] for _ in range(40)}) > 2
    assert len({chat(stage, "m", user=f"user-{number}").headers["X-RMA-Worker"] for number in range(40)}) > 2


# -- the old interface


@pytest.fixture(scope="module")
def old(make_stage):
    stage = make_stage()
    stage.start(SERVICE_CATALOG=None)
    stage.servers = {}
    answers = {"/query": {"answer": "a", "sources": []}, "/extract": {"nodes": 3, "detail": "x"}}
    for worker_id, service in (("rag", "rag"), ("ner", "ner")):
        peer = stage.peers.start(saying(lambda request: reply(answers[request.path])))
        stage.servers[worker_id] = (peer, None)
        stage.coordinators[0].register(worker_id, services=[{"name": service, "service_url": peer.url}])
    add(stage, "vllm", "vllm", ModelServer("m"))
    add(stage, "vision", "vision", ModelServer("llava"))
    return stage


OLD = {
    "llm": ("llm", {"model": "m", "prompt": "p"}, "vllm", "/v1/completions",
            {"model": "m", "prompt": "p", "max_tokens": 512, "temperature": 0.7}),
    "llm, told": ("llm", {"model": "m", "prompt": "p\u00e9\"", "max_tokens": 7, "temperature": 0}, "vllm", "/v1/completions",
                  {"model": "m", "prompt": "p\u00e9\"", "max_tokens": 7, "temperature": 0}),
    "vision": ("vision", {"model": "llava", "prompt": "p"}, "vision", "/api/generate",
               {"model": "llava", "prompt": "p", "stream": False, "options": {"num_predict": 512, "temperature": 0.7}}),
    "vision, told": ("vision", {"model": "llava", "prompt": "p", "max_tokens": 9, "temperature": 1.5}, "vision", "/api/generate",
                     {"model": "llava", "prompt": "p", "stream": False, "options": {"num_predict": 9, "temperature": 1.5}}),
    "rag": ("rag/query?query=what%20is%20%22x%22%3F&context=c", None, "rag", "/query", {"question": 'what is "x"?'}),
    "rag, plain": ("rag/query?query=a+b", None, "rag", "/query", {"question": "a b"}),
    "graph": ("graph/extract?text=%23%20Title%0A%C3%A9", None, "ner", "/extract", {"markdown": "# Title\n\u00e9"}),
}


@pytest.mark.parametrize("case", OLD)
def test_the_old_interface(old, case):
    path, body, worker, target, expected = OLD[case]
    got = old.ask("POST", f"/api/inference/{path}", json.dumps(body) if body else None, {"Content-Type": "application/json"})
    assert got.status == 200 and got.headers["Content-Type"].startswith("application/json"), got
    request = old.servers[worker][0].requests[-1]
    assert (request.method, request.target) == ("POST", target) and request.header("content-type").startswith("application/json")
    sent = request.json
    assert {key: sent.get(key) for key in expected} == expected, sent
    if worker == "vllm":
        assert got.json["choices"][0]["text"] == "These are the words."
    elif worker == "vision":
        assert got.json["response"] == "These are the words." and got.json["done"] is True
    else:
        assert got.json == {"/query": {"answer": "a", "sources": []}, "/extract": {"nodes": 3, "detail": "x"}}[target]


@pytest.mark.parametrize("path, body", [("llm", {"prompt": "p"}), ("llm", {"model": "m"}), ("vision", {}), ("rag/query", None),
                                        ("graph/extract?txt=x", None), ("llm", [])])
def test_the_old_interface_says_what_is_missing(old, path, body):
    got = old.ask("POST", f"/api/inference/{path}", json.dumps(body) if body is not None else None,
                  {"Content-Type": "application/json"})
    assert got.status in (400, 422) and isinstance(got.json["detail"], str), got


def test_the_old_interface_without_workers_and_with_failing_ones(make_stage):
    stage = make_stage()
    stage.start(SERVICE_CATALOG=None)
    for path, body in (("llm", {"model": "m", "prompt": "p"}), ("vision", {"model": "m", "prompt": "p"}),
                       ("rag/query?query=x", None),
                       ("graph/extract?text=x", None)):
        got = stage.ask("POST", f"/api/inference/{path}", json.dumps(body) if body else None, {"Content-Type": "application/json"})
        assert got.status == 503 and isinstance(got.json["detail"], str), got
    for service in ("vllm", "rag"):
        capabilities = {"capabilities": GPU_CAPABILITIES} if service == "vllm" else {}
        stage.register(service, stage.peers.start(after(b"", reset)), **capabilities)
    for path, body in (("llm", {"model": "m", "prompt": "p"}), ("rag/query?query=x", None)):
        got = stage.ask("POST", f"/api/inference/{path}", json.dumps(body) if body else None, {"Content-Type": "application/json"})
        assert got.status == 502 and isinstance(got.json["detail"], str), got


def test_the_old_interface_asks_another_worker_where_that_is_safe(make_stage):
    stage = make_stage()
    stage.start(SERVICE_CATALOG=None)
    for answer in (reply(b"busy", 503), reply({"said": 1})):
        stage.register("vllm", stage.peers.start(saying(answer)), capabilities=GPU_CAPABILITIES)
    got = [stage.ask("POST", "/api/inference/llm", json.dumps({"model": "m", "prompt": "p"}), {"Idempotency-Key": f"k{number}"})
           for number in range(8)]
    assert [each.status for each in got] == [200] * 8, got


def test_streams_of_lines_pass_as_they_come(old):
    """Ollama's own interface through its service: NDJSON."""
    with old.coordinators[0].raw() as raw:
        body = json.dumps({"model": "llava", "prompt": "x"})
        raw.send(f"POST /service/vision/api/generate HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
                 f"\r\n{body}")
        said = raw.read_to_end()
    assert statuses(said) == [200] and said.count(b'"response"') == 6 and b"application/x-ndjson" in said


def test_a_large_prompt_is_routed_by_its_model(stage):
    """The model stands at the end of a body of megabytes."""
    body = json.dumps({"messages": [{"role": "user", "content": "x" * 3_000_000}], "model": LLAMA})
    got = stage.ask("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    assert got.status in (200, 413), got
    if got.status == 200:
        assert got.headers["X-RMA-Worker"] == "vllm-1" and stage.servers["vllm-1"][0].requests[-1].body == body.encode()


def test_a_prompt_that_is_too_large_is_told_how_large_one_may_be(stage):
    got = stage.ask("POST", "/v1/chat/completions", json.dumps({"model": LLAMA, "messages": "x" * (16 << 20)}),
                    {"Content-Type": "application/json"})
    assert got.status == 413 and "models 16 MiB" in got.json["detail"] and "16 MiB" in got.json["error"]["message"], got


async def nothing(connection, request):
    await connection.send(reply(b""))


def test_what_has_no_model_interface_is_not_asked_for_models(stage):
    peer = stage.peers.start(serving(nothing))
    stage.coordinators[0].register("rag-1", services=[{"name": "rag", "service_url": peer.url}])
    for _ in range(10):
        chat(stage, "nobody-has-this-one")
    assert not peer.requests
