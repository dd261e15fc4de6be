"""The OpenAPI document says what the binary does: all endpoints, and the exact shape of every answer; and the page that shows it is
self-contained."""

import base64
import copy
import hashlib
import json
import re
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
from jsonschema import Draft202012Validator, RefResolver

import project
import credentials
import task_work
from agents import HEARTBEATS, REGISTRATIONS
from credentials import bearer, token_text
from peers import reply, serving
from submissions import submit
from waiting import wait_until

SOURCE = project.ROOT / "src" / "api" / "openapi.json"
DOCUMENT = json.loads(SOURCE.read_text())
METHODS = ("get", "put", "post", "delete", "patch")


def operations(document):
    """The operations by their names: "GET /health"."""
    return {f"{method.upper()} {path}": operation for path, item in document["paths"].items()
            for method, operation in item.items() if method in METHODS}


def documented(method, path):
    """The names of the operations that stand for a row of the table. One path stands for all that lead to services, whatever the
    method."""
    if method == "ANY":
        return [f"{each.upper()} /service/{{service}}/{{path}}" for each in METHODS]
    return [f"{method} {path.replace('...}', '}')}"]


def resolve(document, item):
    """What a {"$ref": "#/…"} stands for; anything else stands for itself."""
    while isinstance(item, dict) and "$ref" in item:
        item, at = document, item["$ref"]
        assert at.startswith("#/"), at
        for name in at[2:].split("/"):
            item = item[name.replace("~1", "/").replace("~0", "~")]
    return item


def everything_in(item):
    """All dicts within JSON, itself included."""
    if isinstance(item, dict):
        yield item
    if isinstance(item, (dict, list)):
        for inner in item.values() if isinstance(item, dict) else item:
            yield from everything_in(inner)


def schema_faults(document, schema, value):
    """What a schema of the document has against a value."""
    validator = Draft202012Validator(schema, resolver=RefResolver("", document))
    return [f"{'.'.join(str(step) for step in error.absolute_path) or 'it'}: {error.message[:300]}"
            for error in validator.iter_errors(value)]


# -- one request, and what the document says of it ---------------------------------------------------------------------------------

class Request:
    """A request of an operation; `at` is what stands for the {…} in its path."""

    def __init__(self, at="w", query="", body=None, headers=None):
        self.at, self.query, self.body, self.headers = at, query, body, headers

    def send(self, coordinator, name):
        method, path = name.split(" ")
        if self.at.startswith("@"):  # a task in that state
            self.at = getattr(coordinator, "tasks", {}).get(self.at[1:], "nobody")
        path = re.sub(r"\{.*?\}", urllib.parse.quote(self.at, safe=""), path)
        if path == "/api/events":
            with coordinator.events(self.headers) as stream:
                return stream.response()
        return coordinator.request(method, path + self.query, self.body, self.headers)

    def faults(self, document, name):
        """What the document has against its parameters and its body; a body of bytes is not looked at."""
        operation = operations(document)[name]
        given = {key: values[0] for key, values in urllib.parse.parse_qs(self.query[1:], keep_blank_values=True).items()}
        faults = []
        for parameter in operation.get("parameters", []):
            parameter = resolve(document, parameter)
            if parameter["in"] == "header":
                value = (self.headers or {}).get(parameter["name"])
            else:
                value = self.at if parameter["in"] == "path" else given.pop(parameter["name"], None)
            if value is not None and resolve(document,
                                             parameter["schema"]).get("type") == "integer" and re.fullmatch("[0-9]+", value):
                value = int(value)
            if value is not None:
                faults += schema_faults(document, parameter["schema"], value)
            elif parameter.get("required"):
                faults.append(f"{parameter['name']} is missing")
        assert not given, f"{name} is sent parameters that the document does not know: {given}"
        if self.body is not None and not isinstance(self.body, bytes):
            faults += schema_faults(document, operation["requestBody"]["content"]["application/json"]["schema"], self.body)
        return faults


def response_faults(document, described, response):
    """What a described response has against a real one."""
    described = resolve(document, described)
    faults = []
    for header, description in described.get("headers", {}).items():
        value, schema = response.headers[header], resolve(document, description)["schema"]
        if value is None:
            faults.append(f"it lacks the header {header}")
        else:
            faults += schema_faults(document, schema, int(value) if schema["type"] == "integer" else value)
    content_type = response.headers["Content-Type"].split(";")[0]
    if content_type not in described["content"]:
        return [*faults, f"{content_type} is not among {list(described['content'])}"]
    body = response.json if content_type.endswith("json") else response.body.decode()
    return faults + schema_faults(document, described["content"][content_type]["schema"], body)


def answer_faults(document, name, response):
    """What the document has against a real answer. A status that falls under "default" counts as not documented."""
    described = operations(document)[name]["responses"].get(str(response.status))
    if described is None:
        return [f"the document has no {response.status}: {response}"]
    return response_faults(document, described, response)


# -- what is sent to each operation, by the status that it must get ----------------------------------------------------------------

W = {"worker_id": "w", "capabilities": {"cpu_cores": 8, "ram": "15.6GB", "rack": {"row": 3}}, "instance_id": "i", "boot_id": "b",
     "services": ["ocr", {"name": "rag", "port": 8102}], "containers": [{"name": "c"}], "tunnel_url": "https://w.example",
     "vpn_ip": "10.42.0.7"}
BEAT = {"worker_id": "w", "status": "degraded", "current_load": 1.2, "available_memory": "9.8GB", "active_requests": 2,
        "gpu_utilization": 65.3, "loaded_models": ["llama3.2"], "services_status": {"rag": "running"}, "specialization": "rag",
        "expect_silence": 600}
BAD_BODY = {400: [Request(body=b"{")], 413: [Request(body=b" " * 70_000)],
            415: [Request(body=b"{}", headers={"Content-Type": "text/plain"})]}
BIG_BODY = [Request(body=b" " * 1_100_000)]
ID_IN_PATH = {404: [Request("nobody")], 422: [Request("a b"), Request("x" * 129), Request("w:online")]}

EDGE = {"worker_id": "e", "worker_type": "edge", "tunnel_url": "https://e.example", "services": ["coordinator", "edge-proxy"],
        "capabilities": {},
        "role": "edge_coordinator", "dht_port": 4001}
SERVICE_IN_PATH = {422: [Request("a b"), Request("x" * 129), Request("rag", query="?model=a%20b"),
                         Request("rag", query="?model=a,b")],
                   503: [Request("nowhere")]}

ADMIN = bearer(token_text(token_id="adminadminad"))
VIEWER = bearer(token_text(token_id="viewerviewer"))
ADMINS_ALONE = {401: [Request()], 403: [Request(headers=VIEWER)]}


def as_admin(at="w", query="", body=None):
    return Request(at, query, body, ADMIN)


def admins_alone(body):
    """What others get, and what an admin gets for a body that is none."""
    return {401: [Request(body=body)], 403: [Request(body=body, headers=VIEWER)], 400: [as_admin(body=b"{")],
            413: [as_admin(body=b" " * 70_000)], 415: [Request(body=b"{}", headers={**ADMIN, "Content-Type": "text/plain"})]}


EXERCISES = {
    "POST /api/auth/login": {
        200: [Request(body={"username": "anna", "password": "correct horse"})],
        401: [Request(body={"username": "anna", "password": "wrong"}), Request(body={"username": "nobody", "password": "wrong"})],
        422: [Request(body=body) for body in ({}, {"username": 5, "password": "x"}, {"username": "anna"},
                                              {"username": "x" * 65, "password": "x"})],
        429: [Request(body={"username": "often", "password": "wrong"})], **BAD_BODY},
    "POST /api/auth/logout": {200: [as_admin(), Request()]},
    "GET /api/auth/verify": {
        200: [Request(headers=ADMIN)], 401: [Request(headers=bearer("x"))],
        403: [Request(), Request(headers={"Authorization": "Digest x"})]},
    "POST /api/auth/verify": {
        200: [Request(body={"token": ADMIN["Authorization"].split()[1]})],
        401: [Request(body={"token": "x"}), Request(body={}), Request(body={"token": None})],
        400: [Request(body=b"{")], 413: BAD_BODY[413], 415: BAD_BODY[415]},
    "GET /.well-known/jwks.json": {200: [Request()]},
    "GET /api/auth/users": {200: [as_admin()], **ADMINS_ALONE},
    "POST /api/auth/users": {
        201: [as_admin(body={"username": "bert", "password": "correct horse", "role": "viewer"})],
        409: [as_admin(body={"username": "anna", "password": "correct horse", "role": "viewer"})],
        422: [as_admin(body=body) for body in (
            {}, {"username": "a b", "password": "correct horse", "role": "viewer"},
            {"username": "c", "password": "short", "role": "viewer"},
            {"username": "c", "password": "correct horse", "role": "root"})],
        **admins_alone({"username": "bert", "password": "correct horse", "role": "viewer"})},
    "PATCH /api/auth/users/{name}": {
        200: [as_admin("anna", body={"role": "user"}), as_admin("anna", body={"password": "correct horse"})],
        404: [as_admin("nobody", body={"role": "user"})], 409: [as_admin("root", body={"role": "user"})],
        422: [as_admin("anna", body=body) for body in ({}, {"role": "root"}, {"password": "short"})],
        **admins_alone({"role": "user"})},
    "DELETE /api/auth/users/{name}": {
        200: [as_admin("anna")], 404: [as_admin("nobody")], 409: [as_admin("root")], **ADMINS_ALONE},
    "GET /api/auth/tokens": {200: [as_admin()], **ADMINS_ALONE},
    "POST /api/auth/tokens": {
        201: [as_admin(body={"kind": "join", "name": "site", "max_workers": 3, "tiers": [1, 2], "services": ["rag"],
                             "expires_seconds": 60}),
              as_admin(body={"kind": "api", "name": "prometheus", "role": "viewer"})],
        422: [as_admin(body=body) for body in (
            {}, {"kind": "api", "name": "x"}, {"kind": "other", "name": "x"}, {"kind": "join", "name": ""},
            {"kind": "join", "name": "x", "tiers": [5]}, {"kind": "join", "name": "x", "max_workers": 0},
            {"kind": "join", "name": "x", "services": ["a b"]}, {"kind": "join", "name": "x", "max_worker": 3},
            {"kind": "join", "name": "x", "expires": "30d"}, {"kind": "join", "name": "x", "max_workers": 1.5},
            {"kind": "join", "name": "x", "expires_seconds": -1})],
        **admins_alone({"kind": "join", "name": "x"})},
    "DELETE /api/auth/tokens/{id}": {
        200: [as_admin("viewerviewer"), as_admin("viewerviewer", query="?with_workers=1")], 404: [as_admin("abcdefghij23")],
        422: [as_admin("viewerviewer", query="?with_workers=yes")],
        401: [Request("viewerviewer")], 403: [Request("viewerviewer", headers=VIEWER)]},
    "GET /api/auth/keys": {200: [as_admin()], **ADMINS_ALONE},
    "POST /api/auth/keys/rotate": {200: [as_admin(), as_admin(query="?forget=0")], 422: [as_admin(query="?forget=yes")],
                                   **ADMINS_ALONE},
    "GET /api/admin/audit": {
        200: [Request(), Request(query="?limit=1"), Request(query="?cursor=1-0")],
        422: [Request(query="?limit=0"), Request(query="?limit=501"), Request(query="?cursor=x")]},
    "POST /api/worker/register": {
        200: [*(Request(body=body) for body in REGISTRATIONS.values()), Request(body=W), Request(body={"capabilities": {}}),
              Request(body={**dict.fromkeys(W),
                            "capabilities": dict.fromkeys(REGISTRATIONS["docker worker agent"]["capabilities"])}),
              Request(body={"worker_id": "g", "capabilities": {"worker_type": "gpu", "ram": 64, "has_gpu": True}})],
        422: [Request(body=body) for body in (
            {}, {"capabilities": None}, {**W, "worker_id": "a b"}, {**W, "services": ["a,b"]}, {**W, "services": [{}]},
            {**W, "services": [f"s{n}" for n in range(129)]}, {**W, "containers": [1]}, {**W, "tunnel_url": 5},
            {**W, "vpn_ip": "a\nb"},
            {**W, "ip_address": "x" * 2049}, {"capabilities": {"cpu_cores": -1}}, {"capabilities": {"ram": []}},
            {"capabilities": {"worker_type": "quantum"}}, {"capabilities": {"has_gpu": 1}})],
        **BAD_BODY},
    "POST /api/worker/heartbeat": {
        200: [Request(body=BEAT), Request(body={"worker_id": "w"}), Request(body=dict.fromkeys(BEAT) | {"worker_id": "w"}),
              *(Request(body={"worker_id": "w", **beat}) for beat in HEARTBEATS.values()),
              *(Request(body={"worker_id": "w", "status": status}) for status in ("draining", "offline", "online")),
              *(Request(body={**BEAT, **odd}) for odd in (
                  {"status": "fine"}, {"current_load": -1}, {"available_memory": 5}, {"active_requests": 1.5},
                  {"gpu_utilization": 1e5},
                  {"loaded_models": [1]}, {"services_status": []}, {"expect_silence": 3601}))],
        404: [Request(body={"worker_id": "nobody"})],
        422: [Request(body=body) for body in ({}, {"worker_id": ""}, {**BEAT, "worker_id": 5})],
        **BAD_BODY},
    "DELETE /api/worker/unregister/{worker_id}": {200: [Request()], **ID_IN_PATH},
    "GET /api/worker/{worker_id}": {200: [Request(), Request("plain"), Request("gone"), Request("kept")], **ID_IN_PATH},
    "POST /api/worker/{worker_id}/drain": {200: [Request(), Request("gone")], **ID_IN_PATH},
    "POST /api/worker/{worker_id}/undrain": {200: [Request("kept"), Request()], **ID_IN_PATH},
    "GET /api/admin/workers": {
        200: [Request(query=query) for query in ("", "?limit=1", "?limit=1&cursor=gone", "?tier=2&status=offline&service=rag",
                                                 "?status=draining")],
        422: [Request(query=query) for query in ("?tier=5", "?status=fine", "?service=a%20b", "?limit=0", "?limit=10001",
                                                 "?cursor=%00")]},
    "GET /api/admin/stats": {200: [Request()]},
    "GET /api/admin/health": {200: [Request()]},
    "GET /api/worker/tasks": {
        200: [Request(query="?worker_id=w"), Request(query="?worker_id=w&max=2&wait=1&queues=a,default&request_id=r"),
              Request(query="?worker_id=plain")],
        404: [Request(query="?worker_id=nobody")],
        422: [Request(), *(Request(query="?worker_id=" + query)
                           for query in ("a%20b", "w&max=101", "w&wait=61", "w&queues=a,,b", "w&request_id=a%20b"))]},
    "POST /api/worker/task-complete": {
        200: [Request(query="?worker_id=w&task_id=t0", body={"answer": 42}),
              Request(query="?next=1&request_id=n1", body={"worker_id": "w", "task_id": "t1", "result": 5})],
        404: [Request(query="?worker_id=w&task_id=none", body={})], 409: [Request(query="?worker_id=plain&task_id=t2", body={})],
        413: BIG_BODY, 422: [Request(query="?worker_id=a%20b&task_id=t", body={})], 400: BAD_BODY[400], 415: BAD_BODY[415]},
    "POST /api/worker/task-fail": {
        200: [Request(query="?worker_id=w&task_id=t3", body={"error": "x", "retry_after": 5}),
              Request(body={"worker_id": "w", "task_id": "t4", "error": {"code": 5}, "retryable": False})],
        404: [Request(query="?worker_id=w&task_id=none", body={})], 409: [Request(query="?worker_id=plain&task_id=t2", body={})],
        422: [Request(query="?worker_id=w&task_id=t2", body={"retryable": "no"})], **BAD_BODY},
    "POST /api/worker/task-extend": {
        200: [Request(query="?worker_id=w&task_id=t2", body={"seconds": 60})],
        404: [Request(query="?worker_id=w&task_id=none", body={"seconds": 60})],
        409: [Request(query="?worker_id=plain&task_id=t2", body={"seconds": 60})],
        422: [Request(query="?worker_id=w&task_id=t2", body={"seconds": 0}), Request(query="?worker_id=w&task_id=t2", body={})],
        **BAD_BODY},
    "POST /api/tasks/{task_id}/progress": {
        200: [Request("t2", body={"worker_id": "w", "percent": 5, "message": "x"}),
              Request("t2", query="?worker_id=w", body={"message": "x"})],
        404: [Request("none", body={"worker_id": "w", "percent": 5})],
        409: [Request("t2", body={"worker_id": "plain", "percent": 5})],
        422: [Request("t2", body={"worker_id": "w", "percent": 101}), Request("t2", body={"worker_id": "w"}),
              Request("a b", body={"worker_id": "w", "percent": 5})], **BAD_BODY},
    "POST /api/worker/tasks/complete": {
        200: [Request(body={"worker_id": "w", "results": [{"task_id": "t0", "result": 1}, {"task_id": "none"}]}),
              Request(body={"worker_id": "plain", "results": [{"task_id": "t2"}]}),
              Request(body=b'{"worker_id": "w", "results": [5, {}, {"task_id": "t1", "lease": "x"}]}')],
        413: BIG_BODY, 422: [Request(body=body) for body in ({}, {"worker_id": "w"}, {"worker_id": "w", "results": []},
                                                             {"results": [{"task_id": "t"}]})],
        400: BAD_BODY[400], 415: BAD_BODY[415]},
    "POST /api/worker/tasks/fail": {
        200: [Request(body={"worker_id": "w", "results": [{"task_id": "t0", "error": "x"}, {"task_id": "t1", "retryable": False},
                                                          {"task_id": "none"}]})],
        413: BIG_BODY, 422: [Request(body=body) for body in ({}, {"worker_id": "w"}, {"worker_id": "w", "results": []})],
        400: BAD_BODY[400], 415: BAD_BODY[415]},
    "GET /health": {200: [Request()]},
    "GET /livez": {200: [Request()]},
    "GET /readyz": {200: [Request()]},
    "GET /": {200: [Request(), Request(headers={"Accept": "text/html"})]},
    "GET /api": {200: [Request()]},
    "GET /openapi.json": {200: [Request()]},
    "GET /docs": {200: [Request()]},
    "GET /metrics": {200: [Request()]},
    "GET /dashboard": {200: [Request()]},
    "POST /api/worker/heartbeats": {
        200: [Request(body={"heartbeats": [BEAT, {"worker_id": "nobody"}, {"worker_id": "plain"}]}),
              Request(body={"heartbeats": [BEAT, {**BEAT, "status": "fine", "active_requests": -1}]}),
              Request(body=b'{"heartbeats": [5, {}, {"worker_id": "a b"}]}')],  # refused, each for itself
        413: [Request(body=b" " * 1_100_000)],
        422: [Request(body=body) for body in ({}, {"heartbeats": None}, {"heartbeats": []},
                                              {"heartbeats": [{"worker_id": "w"}] * 1001})],
        400: BAD_BODY[400], 415: BAD_BODY[415]},
    "POST /api/edge/register": {
        200: [Request(body=EDGE), Request(body=W), Request(body={"capabilities": {}}),
              Request(body={"url": "https://u.example", "location": "home"}), Request(body={"worker_id": "e2", "dht_port": "x"})],
        422: [Request(body={}), Request(body={"url": ""}), Request(body={**EDGE, "services": [5]}),
              Request(body={**EDGE, "url": 5, "tunnel_url": ""}),
              Request(body={"worker_id": "e", "capabilities": []})],
        **BAD_BODY},
    "POST /api/edge/heartbeat": {
        200: [Request(body={"worker_id": "w"}), Request(body={"worker_id": "w", "current_load": []})],
        404: [Request(body={"worker_id": "nobody"})], 422: [Request(body={})], **BAD_BODY},
    "GET /api/admin/coordinators": {200: [Request(), Request(query="?limit=1")],
                                    422: [Request(query="?limit=0"), Request(query="?tier=5")]},
    "GET /api/dht/bootstrap": {200: [Request()]},
    "GET /api/dht/stats": {200: [Request()]},
    "GET /api/dht/topology": {200: [Request()]},
    "GET /api/coordinator/workers": {200: [Request(), Request(query="?limit=1")],
                                     422: [Request(query="?limit=0"), Request(query="?tier=5")]},
    "GET /api/services/list": {200: [Request()]},
    "GET /api/services/discover/{service}": {
        200: [Request("rag"), Request("rag", query="?model=llama3.2&limit=1"), Request("ocr")],
        **SERVICE_IN_PATH, 422: [*SERVICE_IN_PATH[422], Request("rag", query="?limit=0"), Request("rag", query="?limit=129")]},
    "GET /api/route/explain": {
        200: [Request(query=query) for query in ("?service=rag", "?service=rag-service&model=llama3.2", "?service=nowhere")],
        422: [Request(query=query) for query in ("", "?service=a%20b", "?service=rag&model=a,b")]},
    "GET /api/route/requests": {200: [Request()]},
    "GET /api/worker/find/{service}": {200: [Request("rag"), Request("ocr", query="?model=llama3.2")], **SERVICE_IN_PATH},
    "GET /api/admin/services": {200: [Request()]},
    "GET /api/admin/gaps": {200: [Request()]},
    "GET /api/events": {200: [Request(), Request(headers={"Last-Event-ID": "1-0"}),
                              Request(headers={"Last-Event-ID": "nonsense"})]},
    "GET /api/admin/history": {200: [Request(), Request(query="?minutes=1440")],
                               422: [Request(query="?minutes=0"), Request(query="?minutes=1441")]},
}
TASK = {"type": "t", "payload": {"a": 1}, "queue": "q", "priority": 5, "requirements": {"tier": 2, "labels": {"rack": "b"}},
        "delay_seconds": 0,
        "ttl_seconds": 60, "result_ttl_seconds": 0, "max_attempts": 3, "lease_seconds": 30, "dedup_key": "d",
        "on_conflict": "return"}
TASK_BODY = {**BAD_BODY, 413: [Request(body=b" " * 600_000)]}
TASK_IN_PATH = {404: [Request("nobody")], 422: [Request("a b"), Request("x" * 129)]}
QUEUE_IN_PATH = {422: [Request("a b"), Request("x" * 129)]}
EXERCISES |= {
    "POST /api/tasks": {
        200: [Request(body={"type": "t", "dedup_key": "taken"})],
        201: [Request(body=body) for body in ({"type": "t"}, TASK, {**dict.fromkeys(TASK), "type": "t"},
                                              {"type": "t", "on_conflict": "replace", "dedup_key": "d"})],
        422: [*(Request(body=body) for body in ({}, {"type": 5}, {"type": ""}, *({**TASK, **wrong} for wrong in (
            {"priority": 101}, {"queue": "a b"}, {"requirements": {"tier": 5}}, {"requirements": {"x": 1}}, {"requirements": []},
            {"delay_seconds": -1},
            {"max_attempts": 0}, {"lease_seconds": 1}, {"dedup_key": "x" * 257}, {"on_conflict": "?"})))),
              Request(body={"type": "t"}, headers={"Idempotency-Key": "x" * 256})],
        **TASK_BODY},
    "POST /api/tasks/bulk": {
        200: [Request(body={"tasks": [TASK, {}, 5, {"type": "t", "dedup_key": "taken"}]}),
              Request(body={"tasks": [{"type": "t"}]}, headers={"Idempotency-Key": "k"})],
        422: [Request(body=body) for body in ({}, {"tasks": None}, {"tasks": []}, {"tasks": [TASK] * 1001})],
        **BAD_BODY, 413: [Request(body=b" " * 1_100_000)]},
    "GET /api/tasks": {
        200: [Request(query=query) for query in ("", "?limit=1", "?queue=q&state=dead&type=t&worker_id=w&error=no",
                                                 "?state=leased")],
        422: [Request(query=query) for query in ("?limit=0", "?limit=501", "?state=x", "?queue=a%20b", "?cursor=x",
                                                 "?type=" + "x" * 257)]},
    "POST /api/tasks/retry": {
        200: [Request(body={"error": "no", "dry_run": True}), Request(body={"queue": "elsewhere", "limit": 5})],
        422: [Request(body=body) for body in ({"queue": "a b"}, {"limit": 0}, {"cursor": "x"}, {"dry_run": 1})], **BAD_BODY},
    "GET /api/tasks/{task_id}": {
        200: [*(Request("@" + state) for state in ("queued", "leased", "completed", "dead", "cancelled")),
              Request("@dead", query="?wait=5")],
        404: [Request("nobody"), Request("nobody", query="?wait=5")],
        422: [*TASK_IN_PATH[422], Request("@queued", query="?wait=-1"), Request("@queued", query="?wait=61")]},
    "DELETE /api/tasks/{task_id}": {200: [Request("@queued"), Request("@leased")], 409: [Request("@completed")], **TASK_IN_PATH},
    "POST /api/tasks/{task_id}/retry": {200: [Request("@dead")], 409: [Request("@completed")], **TASK_IN_PATH},
    "GET /api/tasks/{task_id}/explain": {200: [Request("@" + state) for state in ("queued", "leased", "dead")], **TASK_IN_PATH},
    "GET /api/queues": {200: [Request()]},
    "GET /api/queues/{queue}": {200: [Request("default")], 404: [Request("nowhere")], **QUEUE_IN_PATH},
    "PUT /api/queues/{queue}": {
        200: [Request("q", body={"limit": 3}), Request("q", body={"limit": None})],
        422: [*(Request("q", body=body) for body in ({}, {"limit": -1}, {"limit": "3"})), Request("a b", body={"limit": 3})],
        **BAD_BODY},
    "POST /api/queues/{queue}/pause": {200: [Request("q")], **QUEUE_IN_PATH},
    "POST /api/queues/{queue}/resume": {200: [Request("q")], **QUEUE_IN_PATH},
    "DELETE /api/queues/{queue}/tasks": {200: [Request("default", query="?state=dead")],
                                         422: [Request("default"), Request("default", query="?state=x"),
                                               Request("a b", query="?state=dead")]},
    "POST /api/coordinator/broadcast-job": {
        200: [Request(body={"job_type": "t", "job_data": {"a": 1}}), Request(body={"job_type": "t", "required_capability": "rag"})],
        422: [Request(body=body) for body in ({}, {"job_type": ""}, {"job_type": "t", "required_capability": 5})],
        503: [Request(body={"job_type": "t", "required_capability": "none of them"})],
        **TASK_BODY},
}

BROKEN = {"model": "broken", "prompt": "x"}
BIG_MODEL_BODY = {**BAD_BODY, 413: [Request(body=b" " * 17_000_000)]}
EXERCISES |= {
    f"{method} /service/{{service}}/{{path}}": {
        200: [Request("fine"), Request("fine", headers={"X-RMA-Session": "s"})], 400: [Request("..")],
        403: [Request("redis"), Request("mysql")],
        422: [Request("a b"), Request("x" * 129)], 502: [Request("broken")], 503: [Request("nowhere")]}
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE")}
EXERCISES |= {
    f"POST /api/inference/{name}": {
        200: [Request(body={"model": "llama3", "prompt": "x"}),
              Request(body={"model": "llama3", "prompt": "", "max_tokens": 5, "temperature": None})],
        422: [Request(body=body) for body in ({}, {"model": "llama3"}, {"model": "a b", "prompt": "x"},
                                              {**BROKEN, "max_tokens": "5"})],
        502: [Request(body=BROKEN)], **BIG_MODEL_BODY}
    for name in ("llm", "vision")}
EXERCISES |= {
    "POST /api/inference/rag/query": {200: [Request(query="?query=x"), Request(query="?query=x&context=y")],
                                      422: [Request(), Request(query="?query=")],
                                      502: [Request(query="?query=broken")]},
    "POST /api/inference/graph/extract": {200: [Request(query="?text=x%20y")], 422: [Request()],
                                          502: [Request(query="?text=broken")]}}
EXERCISES |= {
    f"POST /v1/{name}": {
        200: [Request(body={"model": "llama3", "user": "anna"}),
              Request(body={"model": "LLAMA3:latest"}, headers={"X-RMA-Session": "s"})],
        422: [Request(body=body) for body in ({}, {"model": ""}, {"model": 5})], 502: [Request(body=BROKEN)], **BIG_MODEL_BODY}
    for name in ("chat/completions", "completions", "embeddings", "responses")}
EXERCISES |= {"GET /v1/models": {200: [Request()]}, "GET /v1/models/{model}": {200: [Request("llama3")], 404: [Request("none")]}}

# Statuses that an operation gets by what happens to Redis; every operation that has them gets them below.
BY_REDIS = {503, 504}
BY_NUMBER = {429}  # of queues; see test_tasks_api.py


def usual(name):
    """A request that would go well, or as well as any."""
    return next(iter(EXERCISES[name].values()))[0]


def tasks_of_all_states(redis, coordinator):
    """{state: the id of a task in it}"""
    def submit(**members):
        return coordinator.post("/api/tasks", {"type": "t", **members}).json["task_id"]

    ids = {"completed": submit(payload=[1])}
    (task_id, held), = task_work.lease(redis, "w").items()
    assert task_work.complete(redis, "w", task_id, held, '{"a": 1}') == "completed"
    ids["dead"] = submit()
    assert task_work.kill(redis, "w", "no luck") == [ids["dead"]]
    ids["leased"] = submit()
    assert list(task_work.lease(redis, "w")) == [ids["leased"]]
    ids["cancelled"], ids["queued"] = submit(), submit(dedup_key="taken", requirements={"service": "ocr"})
    coordinator.delete(f"/api/tasks/{ids['cancelled']}")
    return ids


def add_credentials(redis, coordinator):
    """An admin, a viewer, two users, and somebody who has tried a password too often."""
    credentials.make_token(redis.client, token_id="adminadminad")
    credentials.make_token(redis.client, token_id="viewerviewer", role="viewer")
    for name, role in (("anna", "operator"), ("root", "admin")):
        body = {"username": name, "password": "correct horse", "role": role}
        answer = coordinator.request("POST", "/api/auth/users", body, ADMIN)
        assert answer.status == 201, answer
    redis.client.set("{rma}:limit:login:name:" + hashlib.sha256(b"often").hexdigest()[:20], 2**43)


async def serve(connection, request):
    """Answers with JSON; but ends the connection where the request says so."""
    if b"broken" in request.body or "broken" in request.target:
        connection.close()
    else:
        await connection.send(reply({"answer": 42}))


@pytest.fixture
def fleet(redis, start_coordinator, peers):
    """A coordinator whose workers are as different as they can be: told all about and nothing about, offline, drained; one has
    tasks."""
    coordinator = start_coordinator(redis, UPSTREAM_ALLOW="127.0.0.1")
    add_credentials(redis, coordinator)
    url = peers.start(serving(serve)).url
    for name in ("vllm", "vision", "rag", "ner", "fine", "broken"):
        coordinator.register(f"serves-{name}", services=[{"name": name, "service_url": url}])
    coordinator.beat("serves-vllm", loaded_models=["llama3"])
    assert coordinator.post("/api/worker/register", W).status == 200
    coordinator.beat("w", **{name: value for name, value in BEAT.items() if name != "worker_id"})
    for worker_id in ("plain", "gone", "kept"):
        coordinator.register(worker_id)
    coordinator.beat("gone", status="offline")
    assert coordinator.post("/api/worker/kept/drain").status == 200
    assert coordinator.post("/api/edge/register", {**EDGE, "worker_id": "edge", "location": "home"}).status == 200
    coordinator.tasks = tasks_of_all_states(redis, coordinator)
    submit(redis, *[f"t{number}" for number in range(5)], queue="q")
    assert len(coordinator.get("/api/worker/tasks?worker_id=w&max=5&queues=q").json["tasks"]) == 5
    submit(redis, "more", "and-more")
    return coordinator


@pytest.mark.parametrize("name", EXERCISES)
def test_answers_are_as_documented(fleet, name):
    for status, requests in sorted(EXERCISES[name].items(), reverse=True):
        for request in requests:
            response = request.send(fleet, name)
            assert response.status == status, (request.__dict__, response)
            assert answer_faults(DOCUMENT, name, response) == [], response
            assert bool(request.faults(DOCUMENT, name)) == (status
                                                            == 422), f"{request.__dict__} got {status}: the document disagrees"


def test_every_operation_and_status_is_exercised():
    documented = {name: {int(status) for status in operation["responses"] if status != "default"} - BY_REDIS - BY_NUMBER
                  for name, operation in operations(DOCUMENT).items()}
    assert documented == {name: set(exercised) - BY_REDIS - BY_NUMBER for name, exercised in EXERCISES.items()}


def test_answers_while_redis_is_silent(redis, start_coordinator):
    coordinator = start_coordinator(redis, REQUEST_TIMEOUT_MS=300)
    redis.freeze()
    with ThreadPoolExecutor(len(EXERCISES)) as pool:  # at once: before the connection is given up
        responses = dict(zip(EXERCISES, pool.map(lambda name: usual(name).send(coordinator, name), EXERCISES)))
    redis.thaw()
    for name, response in responses.items():
        assert answer_faults(DOCUMENT, name, response) == [], (name, response)
        if name == "POST /api/coordinator/broadcast-job":  # it has more time than a silent connection, which is given up
            assert response.status == 503
        else:
            assert (response.status == 504) == ("504" in operations(DOCUMENT)[name]["responses"]), (name, response)


def test_answers_while_redis_is_away(redis, coordinator):
    redis.kill()
    wait_until(lambda: not any(coordinator.is_ready() for _ in range(25)), what="all threads know that Redis is away")
    for name, operation in operations(DOCUMENT).items():
        response = usual(name).send(coordinator, name)
        assert answer_faults(DOCUMENT, name, response) == [], (name, response)
        assert (response.status == 503) == ("503" in operation["responses"]), (name, response)


def test_a_worker_that_comes_back_is_as_documented(redis, start_coordinator):
    coordinator = start_coordinator(redis, HEARTBEAT_INTERVAL_SECONDS=1, HEARTBEAT_TIMEOUT_SECONDS=2, WORKER_TIMEOUT_SECONDS=3)
    coordinator.register("w")
    wait_until(lambda: not redis.client.exists("{rma}:worker:w"), what="it is removed")
    name = "POST /api/worker/heartbeat"
    response = Request(body={"worker_id": "w"}).send(coordinator, name)
    assert response.json["revived"] is True and answer_faults(DOCUMENT, name, response) == []


def test_all_other_errors_are_as_documented(coordinator):
    problem = DOCUMENT["components"]["responses"]["Problem"]
    assert all(operation["responses"]["default"] == {"$ref": "#/components/responses/Problem"}
               for operation in operations(DOCUMENT).values())
    assert response_faults(DOCUMENT, problem, coordinator.get("/nowhere")) == []
    for path, item in DOCUMENT["paths"].items():
        for method in (method for method in METHODS if method not in item):
            response = coordinator.request(method.upper(), re.sub(r"\{.*?\}", "w", path))
            assert response.status == 405, (method, path, response)
            assert response_faults(DOCUMENT, problem, response) == []
            taken = {taken.upper() for taken in item} | {"OPTIONS"} | ({"HEAD"} if "get" in item else set())
            assert set(response.headers["Allow"].split(", ")) == taken
    with coordinator.raw() as raw:
        response = raw.send("GET /livez HTTP/1.1\r\n\r\n").read_response()
    assert response.status == 400 and response_faults(DOCUMENT, problem, response) == []


# -- the checks above notice what is wrong -----------------------------------------------------------------------------------------

def changed(change):
    """The document after `change` had its way with its schemas."""
    document = copy.deepcopy(DOCUMENT)
    change(document["components"]["schemas"])
    return document


@pytest.mark.parametrize("name, change", [
    ("GET /api/admin/workers", lambda schemas: schemas["WorkerShown"]["properties"].pop("vpn_ip")),
    ("GET /api/admin/workers", lambda schemas: schemas["WorkerShown"]["properties"].update(vpn_ip={"type": "string"})),
    ("GET /api/admin/workers", lambda schemas: schemas["WorkerShown"]["required"].append("age")),
    ("GET /api/admin/workers", lambda schemas: schemas["WorkerStatus"]["enum"].remove("draining")),
    ("GET /api/admin/workers", lambda schemas: schemas["Time"].update(pattern="^[0-9]+$")),
    ("GET /api/admin/workers", lambda schemas: schemas.update(WorkerRow=schemas["WorkerInFull"])),
    ("GET /api/worker/{worker_id}", lambda schemas: schemas.update(WorkerInFull=schemas["WorkerRow"])),
    ("GET /api/worker/{worker_id}",
     lambda schemas: schemas["Container"]["properties"]["port"].update({"$ref": "#/components/schemas/Id"})),
    ("GET /api/admin/stats", lambda schemas: schemas["WorkersByTier"]["properties"].pop("4")),
    ("GET /health", lambda schemas: schemas["Instance"]["properties"].pop("region")),
    ("GET /health", lambda schemas: schemas["Health"]["properties"]["redis"]["properties"].pop("latency_ms")),
    ("POST /api/worker/heartbeat", lambda schemas: schemas["HeartbeatTaken"]["properties"].pop("message")),
])
def test_a_wrong_schema_is_noticed(fleet, name, change):
    response = usual(name).send(fleet, name)
    assert answer_faults(DOCUMENT, name, response) == []
    assert answer_faults(changed(change), name, response) != []


def test_a_wrong_status_type_or_header_is_noticed(fleet):
    name = "GET /api/worker/{worker_id}"
    response = Request("nobody").send(fleet, name)
    for change in (lambda responses: responses.pop("404"), lambda responses: responses.update({"404": responses["200"]}),
                   lambda responses: responses.update({"404": responses["503"]}),
                   lambda responses: responses.update({"404": responses["422"]})):
        document = copy.deepcopy(DOCUMENT)
        change(operations(document)[name]["responses"])
        assert answer_faults(document, name, response) != []


# -- the document itself -----------------------------------------------------------------------------------------------------------

def test_route_table_and_document_agree(coordinator):
    listed = coordinator.get("/api").json["endpoints"]
    assert {name for each in listed for name in documented(*each.split(" "))} == set(operations(DOCUMENT))
    assert {"ANY /service/{service}/{path...}", "ANY /api/upload", "ANY /api/rag/query/query/{path...}"} <= set(listed)


def test_the_codes_of_errors_are_those_of_the_table():
    table = re.findall(r'X\(ERR_\w+, (\d+), "[A-Z]*", "([a-z-]+)", (?:true|false)\)', (project.ROOT / "src/base/err.h").read_text())
    codes = [code for _, code in table]
    assert len(table) > 20 and len(set(codes)) == len(codes), "a code means one thing"
    assert DOCUMENT["components"]["schemas"]["ErrorCode"]["enum"] == codes
    assert {int(status) for status, _ in table} <= set(range(400, 600))


def test_it_is_served_as_it_was_written(coordinator):
    response = coordinator.get("/openapi.json")
    assert response.headers["Content-Type"] == "application/json"
    assert response.body == SOURCE.read_bytes()
    assert response.json["info"]["version"] == coordinator.get("/api").json["version"]


def test_every_schema_is_one():
    schemas = list(DOCUMENT["components"]["schemas"].values())
    schemas += [item["schema"] for item in everything_in(DOCUMENT) if "schema" in item]
    for schema in schemas:
        Draft202012Validator.check_schema(schema)
        known = set(Draft202012Validator.VALIDATORS) | {"description", "default"}
        for part in everything_in(schema):
            if "type" in part and isinstance(part["type"], (str, list)):
                assert set(part) <= known, f"a schema has a word that checks nothing: {set(part) - known}"


def test_every_reference_leads_somewhere_and_every_component_is_used():
    used = {item["$ref"] for item in everything_in(DOCUMENT) if isinstance(item.get("$ref"), str)}
    for reference in used:
        resolve(DOCUMENT, {"$ref": reference})
    used |= {f"#/components/securitySchemes/{name}" for operation in operations(DOCUMENT).values()
             for requirement in operation["security"] for name in requirement}
    made = {f"#/components/{kind}/{name}" for kind, components in DOCUMENT["components"].items() for name in components}
    assert made == used


def test_every_operation_says_which_security_it_takes():
    """As the route table has it: nothing where anybody may ask, else a token; a browser's session where people may."""
    source = (project.ROOT / "src" / "api" / "routes.c").read_text().replace("\\\n", " ")
    rows = re.findall(r'X\("(\w+)", ("[^"]+"|API_METRICS_PATH), \w+,(.*?)\)(?=\s+X\(|\s*#)', source, re.DOTALL)
    rows = [(name, rest) for method, path, rest in rows
            for name in documented(method, "/metrics" if path == "API_METRICS_PATH" else path.strip('"'))]
    assert {name for name, _ in rows} == set(operations(DOCUMENT))
    for name, rest in rows:
        access = set(re.findall(r"ACCESS_(\w+)", rest))
        people = access - {"WORKER", "FIELD"}
        expected = set() if "ANYONE" in access else {"bearer", "basic", *(["cookie"] if people else [])}
        assert {kind for requirement in operations(DOCUMENT)[name]["security"] for kind in requirement} == expected, name


def test_no_word_is_misspelt():
    """OpenAPI's own words: what stands where it means nothing is a mistake."""
    for operation in operations(DOCUMENT).values():
        assert set(operation) <= {"tags", "operationId", "security", "summary", "description", "parameters", "requestBody",
                                  "responses"}
        for parameter in operation.get("parameters", []):
            assert set(resolve(DOCUMENT, parameter)) <= {"name", "in", "description", "required", "schema", "example"}
        bodies = [resolve(DOCUMENT, described) for described in operation["responses"].values()]
        assert all(set(described) <= {"description", "headers", "content"} for described in bodies)
        bodies += [operation["requestBody"]] if "requestBody" in operation else []
        for media in (media for described in bodies for media in described["content"].values()):
            assert set(media) <= {"schema", "example", "examples", "x-event-data"}


def test_operations_are_described_in_full():
    tags = [tag["name"] for tag in DOCUMENT["tags"]]
    named = operations(DOCUMENT)
    assert DOCUMENT["openapi"] == "3.1.0" and DOCUMENT["info"]["title"] and len(set(tags)) == len(tags)
    assert len({operation["operationId"] for operation in named.values()}) == len(named)
    for name, operation in named.items():
        parameters = [resolve(DOCUMENT, parameter) for parameter in operation.get("parameters", [])]
        assert set(re.findall(r"\{(.*?)\}", name)) == {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
        assert all(parameter["required"] is True for parameter in parameters if parameter["in"] == "path")
        assert operation["summary"] and len(operation["tags"]) == 1 and operation["tags"][0] in tags, name
        for described in operation["responses"].values():
            described = resolve(DOCUMENT, described)
            assert described["description"] and described["content"] and "X-Request-Id" in described["headers"], name


def test_examples_are_as_documented():
    checked = 0
    for item in everything_in(DOCUMENT):
        examples = [example["value"] for example in item.get("examples",
                                                             {}).values()] + ([item["example"]] if "example" in item else [])
        for example in examples if "schema" in item else []:
            assert schema_faults(DOCUMENT, item["schema"], example) == [], example
            checked += 1
    assert checked > len(EXERCISES)


def test_answers_say_which_members_they_may_have():
    """An object of an answer is closed, or says that it is open: a member that nobody described is noticed."""
    schemas = DOCUMENT["components"]["schemas"]
    parts = {part["$ref"] for schema in schemas.values() for part in schema.get("allOf", [])}  # closed where they are put together
    seen = set()

    def look(schema, is_part=False):
        schema = resolve(DOCUMENT, schema)
        if id(schema) in seen or not isinstance(schema, dict):
            return
        seen.add(id(schema))
        if "object" in schema.get("type", ()) and not is_part:
            assert "additionalProperties" in schema or "unevaluatedProperties" in schema, schema
        for inner in (*schema.get("properties", {}).values(), *schema.get("anyOf", ()), schema.get("items", True)):
            look(inner)
        for part in schema.get("allOf", ()):
            look(part, is_part=part["$ref"] in parts)

    for operation in operations(DOCUMENT).values():
        for described in operation["responses"].values():
            for media in resolve(DOCUMENT, described)["content"].values():
                look(media["schema"])


# -- the page ----------------------------------------------------------------------------------------------------------------------

@pytest.fixture
def page(coordinator):
    response = coordinator.get("/docs")
    assert response.status == 200 and response.headers["Content-Type"] == "text/html; charset=utf-8"
    return response


def test_the_page_is_small(page):
    assert len(page.body) < 30_000


def test_the_page_asks_nobody_else(page):
    html = page.body.decode()
    markup, script = html.split("<script>")
    assert set(re.findall(r"""(?:src|href|action|srcset|poster|data)\s*=\s*["']?([^\s"'>]*)""", markup)) == {
        "data:,", "openapi.json"}
    assert re.findall(r"link\(([^,]*),", script) == ["href", "'openapi.json'", "'#' + operation.operationId"]
    assert re.findall(r"fetch\(([^)]*)\)", html) == ["'openapi.json'"], "relative: it may stand behind a path prefix"
    for bad in ("http:", "https:", "ws:", "wss:", "url(", ".src", "@import", "import(", "XMLHttpRequest", "EventSource",
                "sendBeacon"):
        assert bad not in html, bad


def test_the_page_takes_text_as_text(page):
    html = page.body.decode()
    for bad in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "createContextualFragment", "eval(",
                "Function("):
        assert bad not in html, bad


def test_the_page_may_do_nothing_but_what_it_does(page):
    """Its Content-Security-Policy knows its one script and its one style by what they say."""
    html = page.body.decode()
    policy = dict(each.strip().split(" ", 1) for each in page.headers["Content-Security-Policy"].split(";"))
    for element in ("script", "style"):
        text, = re.findall(f"<{element}>(.*?)</{element}>", html, re.DOTALL)
        assert html.count(f"<{element}") == 1
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert policy.pop(f"{element}-src") == f"'sha256-{digest}'"
    assert policy == {"default-src": "'none'", "connect-src": "'self'", "img-src": "data:", "base-uri": "'none'",
                      "form-action": "'none'",
                      "frame-ancestors": "'none'"}
    assert not re.search(r"<[^>]*\s(on\w+|style)\s*=", html.split("<script>")[0]), "a browser would refuse it"
    assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_the_service_says_where_the_page_is(coordinator, page):
    assert coordinator.get(coordinator.get("/api").json["docs"]).body == page.body
