"""Who may do what: modes, tokens, ownership of workers, sign-in, revocation, the audit."""

import base64
import contextlib
import json
import os
import re
import resource
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import credentials
import preloaded
import project
from agents import HEARTBEATS, REGISTRATIONS
from commands import Commands
from credentials import bearer, make_token
from relay import Relay
from submissions import submit
from waiting import let_pass, promised, wait_until

CAPABILITIES = {"cpu_cores": 8, "ram": "15.6GB"}
WITHIN = promised(5)  # seconds, in which a revocation holds everywhere


def basic(token, user="worker"):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()}


def register(coordinator, token=None, headers=None, **members):
    headers = headers or (basic(token) if token else None)
    return coordinator.request("POST", "/api/worker/register", {"capabilities": CAPABILITIES, **members}, headers)


def beat(coordinator, worker_id, headers=None, **members):
    return coordinator.request("POST", "/api/worker/heartbeat", {"worker_id": worker_id, **members}, headers)


def as_code(response):
    return response.status, response.json.get("code")


@pytest.fixture
def guarded(redis, start_coordinator):
    """A coordinator that asks everybody for a credential."""
    return start_coordinator(redis, AUTH="on")


@pytest.fixture
def three_guarded(redis, start_coordinator):
    return [start_coordinator(redis, AUTH="on") for _ in range(3)]


# -- agents in the field -----------------------------------------------------------------------------------------------------------


def test_an_agent_with_a_token_in_its_url_is_inside(redis, guarded):
    """Python's requests sends the user and password of a URL as Basic authorization."""
    token = make_token(redis.client, "join")
    answer = register(guarded, token)
    assert answer.status == 200 and answer.json["token"].count(".") == 2
    worker_id = answer.json["worker_id"]
    assert beat(guarded, worker_id, basic(token)).status == 200
    assert beat(guarded, worker_id, bearer(token)).status == 200
    assert beat(guarded, worker_id, bearer(answer.json["token"])).status == 200
    assert guarded.request("GET", "/api/services/discover/rag", headers=basic(token)).status in (200, 503)
    assert guarded.request("DELETE", f"/api/worker/unregister/{worker_id}", headers=basic(token)).status == 200


def test_an_agent_without_is_told_what_to_do(guarded):
    for answer in (register(guarded), beat(guarded, "w"), guarded.request("DELETE", "/api/worker/unregister/w")):
        assert as_code(answer) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="rma"'
        assert "https://worker:TOKEN@host" in answer.json["detail"]


def test_a_revoked_token_is_refused_everywhere(redis, three_guarded):
    admin, token = make_token(redis.client), make_token(redis.client, "join", "jointojointo")
    for number, coordinator in enumerate(three_guarded):
        assert register(coordinator, token, worker_id=f"w{number}").status == 200
    assert three_guarded[0].request("DELETE", "/api/auth/tokens/jointojointo", headers=bearer(admin)).status == 200
    for number, coordinator in enumerate(three_guarded):
        wait_until(lambda: as_code(beat(coordinator, f"w{number}", basic(token))) == (401, "token-revoked"), within=WITHIN)


class BusyRoad(Relay):
    """While the first page of credentials is on its way, they change: each time that it is read, but 6 times at the most."""

    def __init__(self, redis, change):
        self._redis, self._change, self._changes = redis, change, 0
        super().__init__(lambda: redis.port)

    def _pass(self, one):
        peeked = one.recv(65536, socket.MSG_PEEK) if one in self._pairs else b""
        super()._pass(one)
        if b"token:aaaaaaaaaaaa" in peeked and self._changes < 6:
            self._changes += 1
            self._redis.client.hincrby(credentials.PREFIX + "credential:", "version", 1)
            if self._changes == 6:
                self._change()


def test_a_revocation_among_many_changes_is_not_missed(redis, start_coordinator):
    """It comes while the list is being read, whose first part does not have it and whose last part is newer."""
    token = make_token(redis.client, token_id="aaaaaaaaaaaa")
    for number in range(300):
        make_token(redis.client, token_id=f"b{number:011d}".translate(str.maketrans("0189", "efgh")))

    def revoke():
        redis.client.hset(credentials.PREFIX + "credential:token:aaaaaaaaaaaa", "revoked_at", 1)

    with contextlib.closing(BusyRoad(redis, revoke)) as road:
        coordinator = start_coordinator(THREADS=1, AUTH="on", REDIS_URL=f"redis://127.0.0.1:{road.port}")
        wait_until(lambda: as_code(coordinator.request("GET", "/api/admin/stats", headers=bearer(token))) == (401, "token-revoked"),
                   within=WITHIN)


@pytest.mark.parametrize("path", ["/api/worker/register", "/api/edge/register"])
def test_a_token_that_is_revoked_while_the_first_key_is_made_registers_nobody(redis, start_coordinator, path):
    with contextlib.closing(Relay(lambda: redis.port)) as road:
        coordinator = start_coordinator(THREADS=1, AUTH="on", REDIS_URL=f"redis://127.0.0.1:{road.port}")
        token = make_token(redis.client, "join", "jointojointo")
        assert coordinator.get("/api/services/list", basic(token)).status == 200, "it is known from now on"
        road.cut()
        with ThreadPoolExecutor(1) as pool:
            body = {"capabilities": CAPABILITIES, "worker_id": "w", "tunnel_url": "https://w.example"}
            answer = pool.submit(coordinator.post, path, body, basic(token))
            let_pass(0.1)  # until it waits for Redis; if that takes longer, the test finds less
            credentials.put(redis.client, "token:jointojointo", revoked_at=1)
            road.heal()
            assert as_code(answer.result()) == (401, "token-revoked"), answer.result()
        assert redis.client.keys("*worker*") == []


def test_a_workers_own_token_outlives_a_join_token_unless_it_is_taken_along(redis, guarded):
    admin, token = make_token(redis.client), make_token(redis.client, "join", "jointojointo")
    own = register(guarded, token, worker_id="w").json["token"]
    guarded.request("DELETE", "/api/auth/tokens/jointojointo", headers=bearer(admin))
    wait_until(lambda: beat(guarded, "w", basic(token)).status == 401, within=WITHIN)
    assert beat(guarded, "w", bearer(own)).status == 200
    guarded.request("DELETE", "/api/auth/tokens/jointojointo?with_workers=1", headers=bearer(admin))
    wait_until(lambda: as_code(beat(guarded, "w", bearer(own))) == (401, "token-revoked"), within=WITHIN)


# -- the way there: warn -----------------------------------------------------------------------------------------------------------


def test_warn_serves_what_the_field_does_and_tells(redis, start_coordinator):
    coordinator = start_coordinator(redis, AUTH="warn")
    worker_id = register(coordinator).json["worker_id"]
    assert beat(coordinator, worker_id).status == 200
    assert beat(coordinator, worker_id, bearer("nonsense")).status == 200
    assert coordinator.request("GET", "/api/admin/workers").status == 200
    for method, path in (("POST", f"/api/worker/{worker_id}/drain"), ("GET", "/metrics"), ("GET", "/api/admin/audit"),
                         ("GET", "/api/auth/users")):
        assert coordinator.request(method, path).status == 401, path
    viewer = bearer(make_token(redis.client, role="viewer"))
    metrics = coordinator.request("GET", "/metrics", headers=viewer).body.decode()
    counted = dict(re.findall(r'rma_auth_refusals_total\{enforced="0",reason="([a-z-]+)"\} (\d+)', metrics))
    assert int(counted["unauthenticated"]) >= 3 and int(counted["token-invalid"]) == 1
    lines = [line for line in coordinator.log_lines() if line["event"] == "auth"]
    assert len(lines) >= 2 and {line["level"] for line in lines} == {"warn"}
    assert {line["why"] for line in lines} == {"unauthenticated", "token-invalid"}


def test_warn_lists_the_workers_without_a_token(redis, start_coordinator):
    coordinator = start_coordinator(redis, AUTH="warn")
    token = make_token(redis.client, "join", "jointojointo")
    admin = bearer(make_token(redis.client))
    register(coordinator, token, worker_id="has")
    for number in range(3):
        register(coordinator, worker_id=f"without{number}")

    def listed(query):
        return {row["worker_id"]: row["join_token"]
                for row in coordinator.request("GET", f"/api/admin/workers?{query}", headers=admin).json["workers"]}

    without = {f"without{number}": None for number in range(3)}
    assert listed("") == {"has": "jointojointo", **without} and listed("join_token=none") == without
    assert listed("join_token=jointojointo") == {"has": "jointojointo"} and listed("join_token=other") == {}
    page = coordinator.request("GET", "/api/admin/workers?join_token=none&limit=2", headers=admin).json
    assert page["next_cursor"] == "without1"
    register(coordinator, token, worker_id="without1")
    assert listed("join_token=none").keys() == {"without0", "without2"}, "it has its token now"
    register(coordinator, worker_id="has")
    assert listed("join_token=none").keys() == {"without0", "without2", "has"}, "its token is gone again"
    register(coordinator, token, worker_id="has")
    assert listed("join_token=none").keys() == {"without0", "without2"}
    for wrong in ("a%20b", "x" * 16, "%ff"):
        assert coordinator.request("GET", f"/api/admin/workers?join_token={wrong}", headers=admin).status == 422


def test_off_asks_nobody_but_who_changes_credentials(coordinator):
    assert register(coordinator, headers=bearer("nonsense")).status == 200
    assert coordinator.request("GET", "/api/admin/audit").status == 200
    for method, path, body in (("GET", "/api/auth/users", None), ("POST", "/api/auth/tokens", {"kind": "join", "name": "x"})):
        assert as_code(coordinator.request(method, path, body)) == (401, "unauthenticated")


@pytest.mark.parametrize("mode", ["warn", "on"])
def test_who_only_views_gets_no_containers_secrets(redis, start_coordinator, mode):
    coordinator = start_coordinator(redis, AUTH=mode, JWT_SECRET="a secret of the containers, long enough")
    sent = {"worker_id": "w", "capabilities": {"cpu_cores": 4, "ram": "8GB"}, "services": ["upload"]}
    registered = coordinator.request("POST", "/api/worker/register", sent, bearer(make_token(redis.client, "join")))
    assert registered.status == 200 and "JWT_SECRET" in registered.body.decode()
    for role in ("viewer", "user", "operator", "admin"):
        answer = coordinator.request("GET", "/api/worker/w", headers=bearer(make_token(redis.client, role=role)))
        assert answer.status == 200 and "WORKER_ID" in answer.body.decode()
        assert ("JWT_SECRET" in answer.body.decode()) == (role in ("operator", "admin")), role


# -- a stolen credential is worth little -------------------------------------------------------------------------------------------


def test_a_join_token_speaks_for_its_own_workers_alone(redis, guarded):
    ours, theirs = make_token(redis.client, "join"), make_token(redis.client, "join")
    register(guarded, theirs, worker_id="w", instance_id="i", tunnel_url="https://w.example")
    before = redis.dump()
    for members in ({"worker_id": "w"}, {"instance_id": "i"}, {"tunnel_url": "https://w.example"}):
        assert as_code(register(guarded, ours, **members)) == (403, "not-your-worker"), members
    assert as_code(beat(guarded, "w", basic(ours))) == (403, "not-your-worker")
    bulk = guarded.request("POST", "/api/worker/heartbeats", {"heartbeats": [{"worker_id": "w"}, {"worker_id": "nobody"}]},
                           basic(ours))
    assert bulk.status == 200 and bulk.json["ok"] == 0 and bulk.json["forbidden"] == ["w"] and bulk.json["not_found"] == ["nobody"]
    assert as_code(guarded.request("POST", "/api/edge/heartbeat", {"worker_id": "w"}, basic(ours))) == (403, "not-your-worker")
    assert as_code(guarded.request("DELETE", "/api/worker/unregister/w", headers=basic(ours))) == (403, "not-your-worker")
    assert as_code(guarded.request("POST", "/api/worker/w/drain", headers=basic(ours))) == (403, "forbidden")
    assert {key: value for key, value in redis.dump().items() if ":worker:w" in key or ":registration:w" in key} == \
        {key: value for key, value in before.items() if ":worker:w" in key or ":registration:w" in key}
    assert beat(guarded, "w", basic(theirs)).status == 200


@pytest.mark.parametrize("how", ["registers", "registers as an edge node", "moves", "moves as an edge node", "moves in bulk"])
def test_an_identity_stays_with_the_site_that_has_it(redis, three_guarded, how):
    """A worker of another site that claims it may do so, but nobody is led to it: else the one that has it could not come back."""
    ours, theirs = make_token(redis.client, "join"), make_token(redis.client, "join")
    first, second, third = three_guarded
    named = {"instance_id": "i", "tunnel_url": "https://w.example"}
    assert register(first, theirs, worker_id="w", **named).status == 200
    own = register(first, theirs, worker_id="v").json["token"]
    assert register(second, ours, worker_id="evil", tunnel_url="https://evil.example").status == 200
    for headers, worker_id in ((basic(ours), "evil"), (bearer(own), "v")):
        if how.startswith("registers"):
            path = "/api/edge/register" if "edge" in how else "/api/worker/register"
            body = {"worker_id": worker_id, "capabilities": CAPABILITIES, **named}
        elif how == "moves in bulk":
            path, body = "/api/worker/heartbeats", {"heartbeats": [{"worker_id": worker_id, **named}]}
        else:
            path = "/api/edge/heartbeat" if "edge" in how else "/api/worker/heartbeat"
            body = {"worker_id": worker_id, **named}
        assert second.request("POST", path, body, headers).status == 200
    for members in ({"instance_id": "i"}, {"tunnel_url": "https://w.example"}, named):
        again = register(third, theirs, **members)
        assert again.status == 200 and again.json["worker_id"] == "w", (members, again)
        assert register(first, theirs, worker_id="w", **named).status == 200
    assert as_code(register(second, ours, instance_id="i")) == (403, "not-your-worker")


def test_an_identity_moves_within_a_site(redis, guarded):
    ours = make_token(redis.client, "join")
    register(guarded, ours, worker_id="w", tunnel_url="https://w.example")
    register(guarded, ours, worker_id="v", tunnel_url="https://w.example")
    assert register(guarded, ours, tunnel_url="https://w.example").json["worker_id"] == "v"


def test_tasks_go_by_the_workers_credentials(redis, guarded):
    ours, theirs = make_token(redis.client, "join"), make_token(redis.client, "join")
    own = bearer(register(guarded, theirs, worker_id="w").json["token"])
    register(guarded, theirs, worker_id="v")
    submit(redis, "t")

    def ask(headers):
        return guarded.request("GET", "/api/worker/tasks?worker_id=w&max=1", headers=headers)

    assert as_code(ask(basic(ours))) == as_code(ask(bearer(register(guarded, ours, worker_id="x").json["token"]))) == (
        403, "not-your-worker")
    task, = ask(basic(theirs)).json["tasks"]
    submit(redis, "next")
    body = {"worker_id": "w", "task_id": "t", "lease": task["lease"], "error": "x", "seconds": 60, "percent": 1}
    for path in ("/api/worker/task-complete", "/api/worker/task-fail", "/api/worker/task-extend", "/api/tasks/t/progress"):
        assert as_code(guarded.request("POST", path, body, basic(ours))) == (403, "not-your-worker"), path
    for path in ("/api/worker/tasks/complete", "/api/worker/tasks/fail"):
        results = [{"task_id": "t", "lease": task["lease"]}]
        answer = guarded.request("POST", path + "?next=1", {"worker_id": "w", "results": results}, basic(ours)).json
        assert (answer["results"][0]["status"], answer["results"][0]["code"]) == (403, "not-your-worker"), path
        assert answer["tasks"] == [], path
    assert guarded.request("POST", "/api/tasks/t/progress", body, own).status == 200
    answer = guarded.request("POST", "/api/worker/task-complete?next=2", body, own)
    assert answer.status == 200 and [task["task_id"] for task in answer.json["tasks"]] == ["next"]


def test_workers_that_look_alike_stay_with_their_own_tokens(redis, guarded, clock=None):
    ours, theirs = make_token(redis.client, "join"), make_token(redis.client, "join")
    first = register(guarded, theirs).json["worker_id"]
    redis.client.zadd(next(redis.client.scan_iter("{rma}:fingerprint:*")), {first: 0})  # it has been silent for long
    assert register(guarded, ours).json["worker_id"] != first


def test_a_workers_token_is_for_that_worker_alone(redis, guarded):
    token = make_token(redis.client, "join")
    own = bearer(register(guarded, token, worker_id="w").json["token"])
    register(guarded, token, worker_id="v")
    assert as_code(beat(guarded, "v", own)) == (403, "not-your-worker")
    assert as_code(register(guarded, headers=own, worker_id="v")) == (403, "not-your-worker")
    assert as_code(guarded.request("DELETE", "/api/worker/unregister/v", headers=own)) == (403, "not-your-worker")
    bulk = guarded.request("POST", "/api/worker/heartbeats", {"heartbeats": [{"worker_id": "w"}, {"worker_id": "v"}]}, own)
    assert bulk.json["ok"] == 1 and bulk.json["forbidden"] == ["v"]
    assert register(guarded, headers=own).json["worker_id"] == "w"
    assert guarded.request("DELETE", "/api/worker/unregister/w", headers=own).status == 200


def everything_of_a_worker(coordinator, headers):
    """What a worker does with its token; -> the answers."""
    body = {"worker_id": "w", "task_id": "t", "lease": "1-0123456789abcdef", "error": "x", "seconds": 60, "percent": 1}
    paths = ["/api/worker/heartbeat", "/api/edge/heartbeat", "/api/worker/task-complete", "/api/worker/task-fail",
             "/api/worker/task-extend",
             "/api/tasks/t/progress"]
    return [*(coordinator.request("POST", path, body, headers) for path in paths),
            coordinator.request("GET", "/api/worker/tasks?worker_id=w&max=1", headers=headers),
            coordinator.request("GET", "/api/worker/tasks?worker_id=w&max=1&wait=5", headers=headers),
            register(coordinator, headers=headers, worker_id="w"), register(coordinator, headers=headers),
            coordinator.request("DELETE", "/api/worker/unregister/w", headers=headers)]


@pytest.mark.parametrize("how", ["again", "gone and by the same site", "gone and by another site", "gone and by nobody"])
def test_a_workers_token_ends_when_its_worker_is_registered_again(redis, three_guarded, start_coordinator, how):
    """By whoever has the id now: on all instances, at once, though the token would last a day."""
    ours, theirs = make_token(redis.client, "join"), make_token(redis.client, "join")
    guarded = three_guarded[0]
    old = bearer(register(guarded, ours, worker_id="w").json["token"])
    assert all(beat(coordinator, "w", old).status == 200 for coordinator in three_guarded)
    if how != "again":
        assert guarded.request("DELETE", "/api/worker/unregister/w", headers=old).status == 200
    if how.endswith("nobody"):
        assert register(start_coordinator(redis), worker_id="w").status == 200
        new = None
    else:
        new = bearer(register(guarded, theirs if how.endswith("another site") else ours, worker_id="w").json["token"])
    before = redis.client.hgetall("{rma}:registration:w")
    for coordinator in three_guarded:
        for answer in everything_of_a_worker(coordinator, old):
            assert as_code(answer) == (401, "token-revoked") and "Bearer" in answer.headers["WWW-Authenticate"]
    bulk = guarded.request("POST", "/api/worker/heartbeats", {"heartbeats": [{"worker_id": "w"}]}, old)
    assert bulk.json["ok"] == 0 and bulk.json["forbidden"] == ["w"]
    assert redis.client.hgetall("{rma}:registration:w") == before
    if new:
        assert all(beat(coordinator, "w", new).status == 200 for coordinator in three_guarded)
        again = register(guarded, headers=new)
        assert (again.json["worker_id"], beat(guarded, "w", new).status) == (
            "w", 200), "its own registration ends nothing: the answer may be lost"
        assert beat(guarded, "w", bearer(again.json["token"])).status == 200


def test_a_registration_without_a_credential_ends_no_token(redis, start_coordinator):
    """While AUTH is warn, agents that have none yet register beside those that have."""
    coordinator = start_coordinator(redis, AUTH="warn")
    own = bearer(register(coordinator, make_token(redis.client, "join"), worker_id="w").json["token"])
    assert register(coordinator, worker_id="w").status == 200
    assert beat(coordinator, "w", own).status == 200


@pytest.mark.parametrize("ends", ["", "revoked_at", "expires_at"])
def test_a_workers_token_is_renewed_while_its_join_token_is_good(redis, start_coordinator, clock, ends):
    """Else whoever has stolen one would go on for ever."""
    coordinator = start_coordinator(redis, clock=clock, AUTH="on", THREADS=1)
    fields = {"expires_at": int((time.time() + 3600) * 1000)} if ends == "expires_at" else {}
    token = make_token(redis.client, "join", "jointojointo", **fields)
    own = bearer(register(coordinator, token, worker_id="w").json["token"])
    assert "token" not in beat(coordinator, "w", own).json, "it is new"
    if ends == "revoked_at":
        credentials.put(redis.client, "token:jointojointo", revoked_at=1)
        wait_until(lambda: register(coordinator, token).status == 401, within=WITHIN)
    clock.advance(17 * 3600)
    for answer in (beat(coordinator, "w", own), coordinator.request("POST", "/api/edge/heartbeat", {"worker_id": "w"}, own),
                   register(coordinator, headers=own)):
        assert answer.status == 200 and ("token" in answer.json) == (not ends), answer
        if not ends:
            assert beat(coordinator, "w", bearer(answer.json["token"])).status == 200


def test_people_are_no_workers_and_workers_no_people(redis, guarded):
    admin, token = make_token(redis.client), make_token(redis.client, "join")
    own = bearer(register(guarded, token, worker_id="w").json["token"])
    assert as_code(beat(guarded, "w", bearer(admin))) == (403, "forbidden")
    for headers in (own, basic(token)):
        assert as_code(guarded.request("GET", "/api/admin/workers", headers=headers)) == (403, "forbidden")
        assert as_code(guarded.request("GET", "/api/auth/users", headers=headers)) == (403, "forbidden")


def test_what_a_join_token_may_register(redis, guarded):
    tiers, services = make_token(redis.client, "join", tiers="1,3"), make_token(redis.client, "join", services="ner,ocr")
    assert as_code(register(guarded, tiers)) == (403, "forbidden")
    assert register(guarded, tiers, capabilities={"worker_type": "gpu"}).status == 200
    assert register(guarded, services).json["assigned_services"] == ["ner"]
    assert register(guarded, services, worker_id="o", services=["ocr"]).status == 200
    assert as_code(register(guarded, services, worker_id="r", services=["rag"])) == (403, "forbidden")


def test_a_workers_own_token_registers_what_its_join_token_may(redis, guarded):
    """Else who may register a worker of tier 2 would have one of tier 1 a request later."""
    token = make_token(redis.client, "join", tiers="2,3", services="ner,ocr")
    own = bearer(register(guarded, token, worker_id="w").json["token"])
    for members in ({"capabilities": {"worker_type": "gpu"}}, {"services": ["rag"]}):
        assert as_code(register(guarded, headers=own, **members)) == (403, "forbidden"), members
    edge = guarded.request("POST", "/api/edge/register", {"worker_id": "w"}, own)
    assert as_code(edge) == (403, "forbidden")
    assert register(guarded, headers=own).json["assigned_services"] == ["ner"]
    credentials.put(redis.client, f"token:{token.split('_')[1]}", revoked_at=1)
    wait_until(lambda: register(guarded, token).status == 401, within=WITHIN)
    assert register(guarded, headers=own).status == 200
    assert as_code(register(guarded, headers=own, services=["rag"])) == (403, "forbidden"), "its limits outlive it"


def test_workers_own_tokens_count_as_their_join_token_does(redis, guarded):
    """Else its holder would register workers one after the other, unregister them, and bring all of them back."""
    token = make_token(redis.client, "join", max_workers=1)
    owns = []
    for worker_id in ("w", "v"):
        owns.append(bearer(register(guarded, token, worker_id=worker_id).json["token"]))
        assert guarded.request("DELETE", f"/api/worker/unregister/{worker_id}", headers=owns[-1]).status == 200
    assert register(guarded, headers=owns[0]).status == 200
    assert as_code(register(guarded, headers=owns[1])) == (409, "too-many")
    assert register(guarded, headers=owns[0]).status == 200, "a known one is no new one"
    assert beat(guarded, "w", owns[0]).status == 200, "its token is good after it has unregistered and come back"


@pytest.mark.parametrize("value, taken", [("0", False), ("false", False), ("", False), ("true", True), ("1", True), ("yes", None),
                                          ("TRUE", None), ("123456789012", None)])
def test_a_revocation_takes_workers_along_only_when_told_so(redis, guarded, value, taken):
    admin = bearer(make_token(redis.client))
    make_token(redis.client, "join", "jointojointo")
    answer = guarded.request("DELETE", f"/api/auth/tokens/jointojointo?with_workers={value}", headers=admin)
    assert answer.status == (422 if taken is None else 200)
    stored = redis.client.hgetall("{rma}:credential:token:jointojointo")
    assert ("revoked_at" in stored, "with_workers" in stored) == (taken is not None, bool(taken))


def test_ended_tokens_are_kept_for_a_month(redis, guarded):
    """Else they would count among the 10,000 for ever."""
    day = 86400
    admin = bearer(make_token(redis.client))
    made = [guarded.request("POST", "/api/auth/tokens", {"kind": "join", "name": "x", **more}, headers=admin)
            for more in ({}, {"expires_seconds": 2 * day})]
    assert all(answer.status == 201 and answer.headers["Cache-Control"] == "no-store" for answer in made)
    for answer in made:
        wait_until(lambda answer=answer: register(guarded, answer.json["token"], worker_id=answer.json["id"]).status == 200)
    ids = [answer.json["id"] for answer in made]

    def kept():
        return [[round(max(redis.client.ttl("{rma}:" + key + token_id), 0) / day) for key in ("credential:token:", "joined:")]
                for token_id in ids]

    assert kept() == [[0, 0], [32, 32]]
    for token_id in ids:
        assert guarded.request("DELETE", f"/api/auth/tokens/{token_id}", headers=admin).status == 200
    assert kept() == [[30, 30], [30, 30]]


def test_a_token_that_has_expired(redis, guarded):
    past = make_token(redis.client, "join", expires_at=1)
    assert as_code(register(guarded, past)) == (401, "token-expired")


def test_no_more_workers_than_a_token_may_have(redis, three_guarded):
    token = make_token(redis.client, "join", max_workers=7)
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda n: register(three_guarded[n % 3], token, worker_id=f"w{n}"), range(100)))
    taken = [answer.json["worker_id"] for answer in answers if answer.status == 200]
    assert len(taken) == 7
    assert {as_code(answer) for answer in answers if answer.status != 200} == {(409, "too-many")}
    assert register(three_guarded[0], token, worker_id=taken[0]).status == 200, "a known one is no new one"
    assert three_guarded[1].request("DELETE", f"/api/worker/unregister/{taken[0]}", headers=basic(token)).status == 200
    assert register(three_guarded[2], token, worker_id="another").status == 200


# -- the start ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["x" * 31, "change-this-secret-key-in-production", "your-secret-key", "secret", "admin123",
                                    "your-super-secret-jwt-key-change-in-production", "Change-This-in-Production-JWT-Secret",
                                    " change-this-secret-key-in-production ",
                                    "2825841ff75efaeeeda05a61cf8d4d89fa95c5f48f8b626aa4aef351f954069a"])
def test_a_weak_shared_secret_stops_the_start(redis, make_coordinator, directory, secret):
    path = directory / "secret"
    path.write_text(secret + "\n")
    for name, value in (("JWT_SECRET", secret), ("JWT_SECRET_FILE", path)):
        said = make_coordinator(redis, **{name: value}).refuses_to_start()
        assert said.count("\n") == 1 and f"{name} must have at least 32 bytes" in said and (secret not in said or len(secret) < 8)


def test_a_strong_shared_secret_does_not(redis, start_coordinator, directory):
    (directory / "secret").write_text("y" * 32 + "\n")
    assert start_coordinator(redis, JWT_SECRET="x" * 32, JWT_SECRET_FILE=directory / "secret").is_alive()


def make_pem(curve=ec.SECP256R1, form=serialization.PrivateFormat.PKCS8, encryption=serialization.NoEncryption()):
    return ec.generate_private_key(curve()).private_bytes(serialization.Encoding.PEM, form, encryption)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o444])
def test_a_key_that_everybody_can_read_is_warned_of(redis, start_coordinator, directory, mode):
    path = directory / "jwt.pem"
    path.write_bytes(make_pem())
    path.chmod(mode)
    coordinator = start_coordinator(redis, JWT_KEY_FILE=path)
    lines = [line for line in coordinator.log_lines() if line["event"] == "key_file"]
    assert [line["level"] for line in lines] == (["warn"] if mode & 0o004 else [])


@pytest.mark.parametrize("mode", ["off", "warn", "on"])
def test_the_start_says_how_the_first_admin_is_made(redis, start_coordinator, mode):
    def told(coordinator):
        return [line["message"] for line in coordinator.log_lines() if line["event"] == "nobody_may"]

    first = start_coordinator(redis, AUTH=mode)
    if mode != "off":
        wait_until(lambda: told(first))
        assert "rma-coordinator users add NAME --role admin" in told(first)[0]
    make_token(redis.client)
    second = start_coordinator(redis, AUTH=mode, THREADS=1)
    wait_until(lambda: second.request("GET", "/api/auth/tokens",
                                      headers=bearer(credentials.token_text("api", "nobodynobody"))).status == 401)
    assert not told(second) and (mode != "off" or not told(first))


# -- strangers' floods -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["off", "warn"])
def test_one_address_registers_so_many_new_workers_and_no_more(redis, start_coordinator, mode):
    """In all instances together; known workers and other addresses never notice."""
    both = [start_coordinator(redis, AUTH=mode, REGISTRATIONS_PER_MINUTE=2, TRUST_PROXY=1) for _ in range(2)]

    def from_address(address, number, path="/api/worker/register", **members):
        body = {"worker_id": f"w{number}", "capabilities": CAPABILITIES, "tunnel_url": f"https://{number}.example", **members}
        return both[number % 2].request("POST", path, body, {"X-Forwarded-For": address})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: from_address("198.51.100.1", number), range(40)))
    taken = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status != 200]
    assert len(taken) == 20 and {as_code(answer) for answer in refused} == {(429, "too-many-requests")}
    assert all(1 <= int(answer.headers["Retry-After"]) <= 30 for answer in refused)
    assert redis.client.hlen("{rma}:ledger") == 20
    assert as_code(from_address("198.51.100.1", 50, "/api/edge/register")) == (429, "too-many-requests")
    assert as_code(from_address("198.51.100.1", 51, worker_id=None)) == (429, "too-many-requests")
    known = int(taken[0].json["worker_id"][1:])
    assert from_address("198.51.100.1", known).json["reregistered"] is True
    assert from_address("198.51.100.1", 52, worker_id=None, tunnel_url=f"https://{known}.example").json["reregistered"] is True
    assert beat(both[0], f"w{known}").status == 200
    assert from_address("198.51.100.2", 60).status == 200
    assert from_address("2001:db8::1", 61).status == 200
    redis.client.set("{rma}:limit:register:2001:db8::", 10 ** 15)
    assert from_address("2001:db8::2", 62).status == 429, "one network is one client"
    assert from_address("2001:db8:0:1::2", 63).status == 200


def test_no_limit_of_registrations(redis, start_coordinator):
    coordinator = start_coordinator(redis, REGISTRATIONS_PER_MINUTE=0)
    assert all(register(coordinator, worker_id=f"w{number}").status == 200 for number in range(30))
    assert not list(redis.client.scan_iter("{rma}:limit:*"))


REFUSALS_AT_ONCE = 1000  # of a thread in a second: src/api/admit.c


def test_whoever_is_refused_again_and_again_waits(redis, start_coordinator):
    """And nobody else does. It does not help to have sent all at once, and to say that nothing more comes."""
    coordinator = start_coordinator(redis, AUTH="on", THREADS=1)
    join = make_token(redis.client, "join")
    assert register(coordinator, join, worker_id="w").status == 200
    stranger, count = coordinator.raw(timeout=60), 3 * REFUSALS_AT_ONCE

    def read():
        data = b""
        while data.count(b"HTTP/1.1 401 ") < count:
            data += stranger.socket.recv(1 << 20)

    began = time.monotonic()
    stranger.send(b"GET /api/admin/workers HTTP/1.1\r\nHost: x\r\n\r\n" * count)
    stranger.socket.shutdown(socket.SHUT_WR)
    with ThreadPoolExecutor(1) as pool:
        refused = pool.submit(read)
        beside = [beat(coordinator, "w", basic(join))]
        while not refused.done():
            beside.append(beat(coordinator, "w", basic(join)))
    assert refused.exception() is None
    assert time.monotonic() - began > 1, "the refusals of three seconds came in one"
    assert {answer.status for answer in beside} == {200}
    stranger.close()


def test_many_connections_help_little_against_that(redis, start_coordinator):
    """The more refusals a second has, the longer each waits. All of these come in one second of the coordinator's clock."""
    coordinator = start_coordinator(redis, AUTH="on", THREADS=1)
    connections, each = 400, 12
    with contextlib.ExitStack() as stack:
        strangers = [coordinator.raw(timeout=60) for _ in range(connections)]
        for stranger in strangers:
            stack.callback(stranger.close)
        wait_until(lambda: 0.01 < time.monotonic() % 1 < 0.1, every=0.001)  # its clock may be 4 ms behind
        began = time.monotonic()
        for stranger in strangers:
            stranger.send(b"GET /api/admin/workers HTTP/1.1\r\nHost: x\r\n\r\n" * each)
        for stranger in strangers:
            data = b""
            while data.count(b"HTTP/1.1 401 ") < each:
                data += stranger.socket.recv(1 << 20)
        assert time.monotonic() - began > 0.75


# -- the matrix --------------------------------------------------------------------------------------------------------------------

ROLES = ("viewer", "user", "operator", "admin")


def routes():
    """{"GET /path": the words of its access}, from the table itself."""
    source = (project.ROOT / "src" / "api" / "routes.c").read_text().replace("\\\n", " ")
    rows = re.findall(r'X\("(\w+)", ("[^"]+"|API_METRICS_PATH), \w+,(.*?)\)(?=\s+X\(|\s*#)', source, re.DOTALL)
    return {f'{method} {"/metrics" if path[0] != chr(34) else path[1:-1]}': set(re.findall(r"ACCESS_(\w+)", rest))
            for method, path, rest in rows}


def expected(access, who, mode):
    """The status that `who` gets by admission; None: it is admitted."""
    refused = None
    if "ANYONE" in access:
        return None
    if who in ("expired", "revoked", "garbage", "another fleet's", "none"):
        refused = 401
    elif who in ("join", "worker"):
        refused = None if "WORKER" in access else 403
    else:
        least = [role for role in ROLES if role.upper() in access]
        refused = None if least and ROLES.index(who) >= ROLES.index(least[0]) else 403
    if mode == "warn" and "FIELD" in access:
        return None
    return refused if mode != "off" or access == {"ADMIN"} else None


@pytest.mark.parametrize("mode", ["off", "warn", "on"])
def test_every_route_for_every_credential(redis, start_coordinator, mode):
    coordinator = start_coordinator(redis, AUTH=mode)
    who = {role: bearer(make_token(redis.client, role=role)) for role in ROLES}
    join = make_token(redis.client, "join")
    other = make_token(redis.client, "join")
    guard = coordinator if mode == "on" else start_coordinator(redis, AUTH="on")
    own = register(guard, join, worker_id="w").json["token"]
    who |= {"none": {}, "join": basic(join), "worker": bearer(own), "garbage": bearer("garbage"),
            "expired": bearer(make_token(redis.client, role="admin", expires_at=1)),
            "revoked": bearer(make_token(redis.client, role="admin", revoked_at=1)),
            "another fleet's": bearer(credentials.token_text("api", "strangestran"))}
    assert register(guard, other, worker_id="v").status == 200
    for name, access in routes().items():
        assert access, f"{name} says nobody who may ask"
        method, path = name.split(" ")
        method, path = method.replace("ANY", "POST"), re.sub(r"\{[\w.]+\}", "nobody", path)
        for kind, headers in who.items():
            if path == "/api/events":
                with coordinator.events(headers) as stream:
                    status = stream.response().status
                code = None
            else:
                answer = coordinator.request(method, path, None if method in ("GET", "DELETE") else {"nothing": 1}, headers)
                status, code = answer.status, answer.json.get("code") if answer.status in (401, 403) else None
            wanted = expected(access, kind, mode)
            codes = {401: {"unauthenticated", "token-expired", "token-invalid", "token-revoked"}, 403: {"forbidden"}}
            if wanted:
                assert status == wanted and (code is None or code in codes[wanted]), (mode, name, kind, status, code)
            elif "/api/auth/" not in path:
                assert status not in (401, 403) or code == "not-your-worker", (mode, name, kind, status, code)


# -- people ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def anna(redis, guarded):
    """Who has signed in as an operator; (coordinator, admin's headers, the answer)."""
    admin = bearer(make_token(redis.client))
    body = {"username": "anna", "password": "correct horse", "role": "operator"}
    assert guarded.request("POST", "/api/auth/users", body, admin).status == 201
    answer = guarded.request("POST", "/api/auth/login", {"username": "anna", "password": "correct horse"})
    assert answer.status == 200, answer
    return guarded, admin, answer


def test_signing_in_as_the_front_end_does(anna):
    coordinator, _, answer = anna
    assert answer.json["token_type"] == "bearer" and answer.json["user"] == {"username": "anna", "role": "operator"}
    token = bearer(answer.json["access_token"])
    assert coordinator.request("GET", "/api/auth/verify", headers=token).json == {
        "username": "anna", "valid": True, "role": "operator"}
    assert coordinator.request("POST", "/api/auth/verify", {"token": answer.json["access_token"]}).json == {
        "valid": True, "user": {"username": "anna", "role": "operator"}}
    wrong = coordinator.request("POST", "/api/auth/login", {"username": "anna", "password": "wrong"})
    unknown = coordinator.request("POST", "/api/auth/login", {"username": "nobody", "password": "wrong"})
    assert wrong.json == unknown.json and wrong.json["detail"] == "Invalid username or password"
    assert coordinator.request("POST", "/api/auth/login", {"username": 1}).json["detail"]
    assert coordinator.request("POST", "/api/auth/verify", {"token": "x"}).json == {"valid": False, "error": "Invalid token"}
    assert coordinator.request("POST", "/api/auth/verify", {}).json == {"valid": False, "error": "No token provided"}


def test_a_password_is_checked_however_slow_the_machine_is(redis, start_coordinator):
    coordinator = start_coordinator(redis, AUTH="on", REQUEST_TIMEOUT_MS=1500, SLOW_PASSWORDS_MS=2000,
                                    LD_PRELOAD=preloaded.build("slow_passwords"))
    body = {"username": "anna", "password": "correct horse", "role": "operator"}
    assert coordinator.request("POST", "/api/auth/users", body, bearer(make_token(redis.client))).status == 201
    statuses = [coordinator.request("POST", "/api/auth/login", {"username": "anna", "password": password}).status
                for password in ("correct horse", "wrong")]
    assert statuses == [200, 401]


@pytest.mark.parametrize("how", ["logout", "password", "removal"])
def test_a_session_ends(redis, start_coordinator, anna, how):
    coordinator, admin, answer = anna
    other = start_coordinator(redis, AUTH="on")
    token = bearer(answer.json["access_token"])
    assert other.request("GET", "/api/admin/stats", headers=token).status == 200
    if how == "logout":
        assert coordinator.request("POST", "/api/auth/logout", headers=token).status == 200
    elif how == "password":
        assert coordinator.request("PATCH", "/api/auth/users/anna", {"password": "battery staple"}, admin).status == 200
    else:
        assert coordinator.request("DELETE", "/api/auth/users/anna", headers=admin).status == 200
    for each in (coordinator, other):
        wait_until(lambda: as_code(each.request("GET", "/api/admin/stats", headers=token)) == (401, "token-revoked"), within=WITHIN)


SESSIONS_MAX = 10_000


@pytest.mark.parametrize("entries", ["expired", "kept"])
def test_who_signs_out_is_out_however_many_were_before(redis, start_coordinator, anna, entries):
    """The index has room again for what has expired, though nobody has read it. And a session ends though there is no room."""
    coordinator, admin, answer = anna
    other = start_coordinator(redis, AUTH="on")
    later = {"username": "anna", "password": "correct horse"}
    members = [f"session:{number:024d}" for number in range(SESSIONS_MAX)]
    with redis.client.pipeline() as pipeline:
        for member in members if entries == "kept" else []:
            pipeline.hset(credentials.PREFIX + "credential:" + member, "user", "bert")
        pipeline.zadd(credentials.PREFIX + "credentials", dict.fromkeys(members, 0))
        pipeline.execute()
    token = bearer(answer.json["access_token"])
    assert other.request("GET", "/api/admin/stats", headers=token).status == 200
    left = coordinator.request("POST", "/api/auth/logout", headers=token)
    assert left.status == 200 and left.json["message"] == "Signed out", left
    for each in (coordinator, other):
        wait_until(lambda: as_code(each.request("GET", "/api/admin/stats", headers=token)) == (401, "token-revoked"), within=WITHIN)
    assert redis.client.zcard(credentials.PREFIX + "credentials") < SESSIONS_MAX or entries == "kept"

    def comes_back():
        again = coordinator.request("POST", "/api/auth/login", later)
        return other.request("GET", "/api/admin/stats", headers=bearer(again.json["access_token"])).status == 200
    wait_until(comes_back, within=WITHIN, every=1)
    assert "logout" in [entry["action"] for entry in coordinator.request("GET", "/api/admin/audit", headers=admin).json["entries"]]


def test_a_changed_role_holds(anna):
    coordinator, admin, answer = anna
    token = bearer(answer.json["access_token"])
    assert coordinator.request("PATCH", "/api/auth/users/anna", {"role": "viewer"}, admin).status == 200
    wait_until(lambda: coordinator.request("GET", "/api/admin/audit", headers=token).status == 403, within=WITHIN)


def test_a_removed_admin_leaves_nothing_behind(redis, start_coordinator):
    """Not even through an instance that has read the credentials a moment ago: tokens and users outlast their maker."""
    one, other = (start_coordinator(redis, AUTH="on", THREADS=1) for _ in range(2))
    root = bearer(make_token(redis.client))
    for name in ("root", "otto", "ida"):
        body = {"username": name, "password": "correct horse", "role": "admin"}
        assert one.request("POST", "/api/auth/users", body, root).status == 201
    for name, change in (("otto", ("DELETE", None)), ("ida", ("PATCH", {"role": "viewer"}))):
        answer = one.request("POST", "/api/auth/login", {"username": name, "password": "correct horse"})
        token = bearer(answer.json["access_token"])
        wait_until(lambda: other.request("GET", "/api/auth/users", headers=token).status == 200)
        assert one.request(change[0], f"/api/auth/users/{name}", change[1], root).status == 200
        for path, body in (("tokens", {"kind": "api", "name": "stays", "role": "admin"}), ("keys/rotate", None),
                           ("users", {"username": "mallory", "password": "correct horse", "role": "admin"})):
            assert other.request("POST", "/api/auth/" + path, body, token).status in (401, 403), path
    names = {user["username"] for user in one.request("GET", "/api/auth/users", headers=root).json["users"]}
    assert names == {"root", "ida"} and len(one.request("GET", "/api/auth/tokens", headers=root).json["tokens"]) == 1


def test_one_admin_stays(redis, start_coordinator, anna):
    """Of two who remove each other at once through two instances, one does. What reaches Redis itself may do without an admin."""
    coordinator, admin, _ = anna
    others = [coordinator, start_coordinator(redis, AUTH="on")]
    for name in ("otto", "ida"):
        body = {"username": name, "password": "correct horse", "role": "admin"}
        assert coordinator.request("POST", "/api/auth/users", body, admin).status == 201
    tokens = {name: bearer(coordinator.request("POST", "/api/auth/login", {"username": name, "password": "correct horse"}).json[
        "access_token"]) for name in ("otto", "ida")}

    def remove(at, who, whom):
        return at.request("DELETE", f"/api/auth/users/{whom}", headers=tokens[who])
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(remove, others, ("otto", "ida"), ("ida", "otto")))
    assert 200 in {answer.status for answer in answers}, answers
    left, = [user["username"] for user in coordinator.request("GET", "/api/auth/users", headers=admin).json["users"]
             if user["role"] == "admin"]
    path = f"/api/auth/users/{left}"
    for by in (tokens[left], admin):
        for method, body in (("DELETE", None), ("PATCH", {"role": "operator"}),
                             ("PATCH", {"role": "user", "password": "battery 1"})):
            refused = coordinator.request(method, path, body, by)
            assert as_code(refused) == (409, "last-admin") and "rma-coordinator users" in refused.json["detail"], refused
    assert coordinator.request("PATCH", path, {"role": "admin", "password": "battery staple"}, admin).status == 200
    assert coordinator.request("PATCH", "/api/auth/users/anna", {"role": "admin"}, admin).status == 200
    assert coordinator.request("PATCH", path, {"role": "viewer"}, admin).status == 200
    assert as_code(coordinator.request("DELETE", "/api/auth/users/anna", headers=admin)) == (409, "last-admin")


def test_a_cookie_takes_a_proof_that_the_page_itself_asks(anna):
    coordinator, _, answer = anna
    cookie = {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}
    attributes = answer.headers["Set-Cookie"].split("; ")[1:]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes) and "Secure" not in attributes
    assert coordinator.request("GET", "/api/admin/stats", headers=cookie).status == 200
    host = coordinator.url.split("//")[1]
    for headers, status in (({}, 403), ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403),
                            ({"Sec-Fetch-Site": "cross-site"}, 403),
                            ({"Sec-Fetch-Site": "same-site", "Origin": f"http://{host}"}, 403),
                            ({"Sec-Fetch-Site": "same-origin"}, 404),
                            ({"Origin": f"http://{host}"}, 404)):
        answer = coordinator.request("POST", "/api/worker/nobody/drain", headers={**cookie, **headers})
        assert answer.status == status, (headers, answer)


def test_a_page_that_came_by_tls_gets_a_cookie_that_goes_by_tls_alone(anna):
    """Also where nobody has told the coordinator of the proxy in front of it: a browser's page says whence it is."""
    coordinator, _, answer = anna
    host, body = coordinator.url.split("//")[1], {"username": "anna", "password": "correct horse"}
    cookie = {"Cookie": answer.headers["Set-Cookie"].split(";")[0], "Sec-Fetch-Site": "same-origin"}
    for path, headers in (("login", {}), ("logout", cookie)):
        for scheme in ("http", "https"):
            said = coordinator.request("POST", "/api/auth/" + path, body, {**headers, "Origin": f"{scheme}://{host}"})
            assert said.status == 200 and said.headers["Set-Cookie"].endswith("; Secure") == (scheme == "https"), (path, scheme)


def test_two_credentials_are_none(redis, guarded):
    """Whoever stands in front may have looked at the other one."""
    admin = make_token(redis.client)
    for pair in ((admin, "x"), ("x", admin), (admin, admin)):
        with guarded.raw() as raw:
            raw.send("GET /api/admin/audit HTTP/1.1\r\nHost: x\r\n"
                     + "".join(f"Authorization: Bearer {token}\r\n" for token in pair) + "\r\n")
            assert as_code(raw.read_response()) == (401, "token-invalid"), pair


ELSEWHERE = [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
             {"Sec-Fetch-Site": "same-site"}]


def test_a_page_of_others_signs_no_browser_in_or_out(anna):
    """It gets its token, as the old front-end does, but no cookie for our own pages."""
    coordinator, _, answer = anna
    cookie, host = {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}, coordinator.url.split("//")[1]
    for headers in ELSEWHERE:
        assert as_code(coordinator.request("POST", "/api/auth/logout", headers={**cookie, **headers})) == (
            403, "cross-site"), headers
    assert as_code(coordinator.request("POST", "/api/auth/logout", headers=cookie)) == (403, "cross-site"), "no proof at all"
    assert coordinator.request("GET", "/api/admin/stats", headers=cookie).status == 200
    body = {"username": "anna", "password": "correct horse"}
    for headers in ELSEWHERE:
        again = coordinator.request("POST", "/api/auth/login", body, headers)
        assert again.status == 200 and again.json["access_token"] and "Set-Cookie" not in again.headers, headers
    for headers in ({"Origin": f"http://{host}"}, {"Sec-Fetch-Site": "same-origin"}):
        assert "Set-Cookie" in coordinator.request("POST", "/api/auth/login", body, headers).headers
    assert coordinator.request("POST", "/api/auth/logout", headers={**cookie, "Sec-Fetch-Site": "same-origin"}).status == 200
    wait_until(lambda: coordinator.request("GET", "/api/admin/stats", headers=cookie).status == 401, within=WITHIN)


def test_guessing_is_limited_over_all_instances(redis, start_coordinator):
    coordinators = [start_coordinator(redis, AUTH="on") for _ in range(2)]
    answers = [coordinators[n % 2].request("POST", "/api/auth/login", {"username": "anna", "password": "x"}) for n in range(14)]
    assert [answer.status for answer in answers[:10]] == [401] * 10
    assert [answer.status for answer in answers[10:]] == [429] * 4
    assert all(1 <= int(answer.headers["Retry-After"]) <= 12 for answer in answers[10:])


def test_guessing_from_one_network_is_guessing_from_one_address(redis, start_coordinator):
    coordinator = start_coordinator(redis, AUTH="on", TRUST_PROXY=1)

    def guess(number, network="2001:db8"):
        return coordinator.request("POST", "/api/auth/login", {"username": f"name{number}", "password": "x"},
                                   {"X-Forwarded-For": f"{network}::{number + 1:x}"}).status

    assert [guess(number) for number in range(13)] == [401] * 10 + [429] * 3
    assert guess(99, "2001:db8:0:1") == 401


def test_an_address_is_itself_in_the_form_of_ipv6_too(redis, start_coordinator):
    """Proxies that listen for both kinds write IPv4 so. These addresses are no network of one client."""
    coordinator = start_coordinator(redis, AUTH="on", TRUST_PROXY=1)

    def guess(number, address):
        return coordinator.request("POST", "/api/auth/login", {"username": f"name{number}", "password": "x"},
                                   {"X-Forwarded-For": address}).status

    assert [guess(number, f"::ffff:192.0.2.{number}") for number in range(12)] == [401] * 12
    admin = bearer(make_token(redis.client))
    headers = {**basic(make_token(redis.client, "join")), "X-Forwarded-For": "::FFFF:192.0.2.7"}
    assert register(coordinator, headers=headers, worker_id="w").status == 200
    assert coordinator.request("GET", "/api/worker/w", headers=admin).json["ip_address"] == "192.0.2.7"
    forms = ["192.0.2.200", "::ffff:192.0.2.200", "::FFFF:c000:2c8", "[::ffff:192.0.2.200]:555"]
    assert [guess(100 + number, forms[number % 4]) for number in range(12)] == [401] * 10 + [429] * 2


# -- keys --------------------------------------------------------------------------------------------------------------------------


def test_another_key_of_the_file_takes_over_and_no_token_is_refused(redis, make_coordinator, directory):
    """The steps of the document, on two coordinators, one of which has taken each step before the other."""
    old, new = make_pem(form=serialization.PrivateFormat.TraditionalOpenSSL), make_pem()
    files = [directory / "a.pem", directory / "b.pem"]
    pair = [make_coordinator(redis, AUTH="on", JWT_KEY_FILE=file) for file in files]
    token, admin = make_token(redis.client, "join"), bearer(make_token(redis.client))
    steps = [(old, old), (old + new, old), (old + new, old + new), (new + old, old + new), (new + old, new + old)]
    kids, given = [], []
    for number, step in enumerate(steps):
        for file, coordinator, pem in zip(files, pair, step):
            if coordinator.is_running():
                coordinator.stop()
            file.write_bytes(pem)
            coordinator.start().wait_until_ready()
        for each, coordinator in enumerate(pair):
            worker = f"w{number}-{each}"
            answer = register(coordinator, token, worker_id=worker)
            given.append((worker, bearer(answer.json["token"])))
            kids.append(jwt.get_unverified_header(answer.json["token"])["kid"])
        for worker, shown in given:
            assert [beat(coordinator, worker, shown).status for coordinator in pair] == [200, 200], (number, worker)
    assert len(set(kids)) == 2 and kids[:6] == [kids[0]] * 6 and kids[6:] == [kids[8], kids[0], kids[8], kids[8]]
    published = pair[0].request("GET", "/.well-known/jwks.json").json["keys"]
    assert sorted(key["kid"] for key in published) == sorted(set(kids))
    assert pair[0].request("POST", "/api/auth/keys/rotate", headers=admin).status == 409


@pytest.mark.parametrize("make", [
    lambda: b"", lambda: make_pem(ec.SECP384R1), lambda: make_pem() + make_pem(ec.SECP384R1),
    lambda: make_pem(encryption=serialization.BestAvailableEncryption(b"secret")), lambda: make_pem()[:100],
    lambda: make_pem() + make_pem()[:100], lambda: make_pem() * 9])
def test_a_file_with_a_key_that_cant_be_used_stops_the_start(redis, make_coordinator, directory, make):
    (directory / "jwt.pem").write_bytes(make())
    said = make_coordinator(redis, JWT_KEY_FILE=directory / "jwt.pem").refuses_to_start()
    assert said.count("\n") == 1 and "JWT_KEY_FILE" in said and "openssl genpkey" in said


@pytest.mark.parametrize("name", ["JWT_KEY_FILE", "JWT_SECRET_FILE"])
def test_a_file_with_a_secret_that_cant_be_read_stops_the_start(redis, make_coordinator, directory, name):
    (directory / "large").write_bytes(b"x" * 100_000)
    for path, why in ((directory, "Is a directory"), (directory / "missing", "No such file or directory"),
                      (directory / "large", "File too large"), ("/dev/zero", "File too large")):
        says = make_coordinator(redis, **{name: path}).refuses_to_start()
        assert says == f"rma-coordinator: {name}: {path} can't be read: {why}\n"


def test_one_key_is_made_though_many_begin_at_once(redis, start_coordinator):
    coordinators = [start_coordinator(redis, AUTH="on") for _ in range(4)]
    token = make_token(redis.client, "join")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: register(coordinators[n % 4], token, worker_id=f"w{n}"), range(40)))
    kids = {json.loads(base64.urlsafe_b64decode(answer.json["token"].split(".")[0] + "=="))["kid"] for answer in answers}
    assert len(kids) == 1
    assert [key["kid"] for key in coordinators[0].request("GET", "/.well-known/jwks.json").json["keys"]] == list(kids)


def test_rotation_refuses_no_valid_token(redis, three_guarded):
    admin, token = bearer(make_token(redis.client)), make_token(redis.client, "join")
    old = bearer(register(three_guarded[0], token, worker_id="w").json["token"])
    assert three_guarded[1].request("POST", "/api/auth/keys/rotate", headers=admin).status == 200
    new = bearer(register(three_guarded[1], token, worker_id="v").json["token"])
    for coordinator in three_guarded:
        assert beat(coordinator, "w", old).status == 200
        assert beat(coordinator, "v", new).status == 200, "what is not known yet is looked for"


def test_whoever_has_stolen_a_key_has_nothing_when_it_is_forgotten(redis, start_coordinator, anna):
    """Rotation leaves the keys before for the tokens that are out. That is not enough when a key is out."""
    coordinator, admin, answer = anna
    join = make_token(redis.client, "join")
    shown = [bearer(answer.json["access_token"]), bearer(register(coordinator, join, worker_id="w").json["token"])]
    assert coordinator.request("POST", "/api/auth/keys/rotate?forget=yes", headers=admin).status == 422
    kid = coordinator.request("POST", "/api/auth/keys/rotate", headers=admin).json["kid"]
    assert coordinator.request("GET", "/api/admin/stats", headers=shown[0]).status == 200
    kid = coordinator.request("POST", "/api/auth/keys/rotate?forget=1", headers=admin).json["kid"]
    for each in (coordinator, start_coordinator(redis, AUTH="on")):
        wait_until(lambda: [each.request("GET", "/api/admin/stats", headers=shown[0]).status, beat(each, "w", shown[1]).status] ==
                   [401, 401], within=WITHIN)
        assert [key["kid"] for key in each.request("GET", "/.well-known/jwks.json").json["keys"]] == [kid]
    again = coordinator.request("POST", "/api/auth/login", {"username": "anna", "password": "correct horse"}).json["access_token"]
    assert coordinator.request("GET", "/api/admin/stats", headers=bearer(again)).status == 200
    assert register(coordinator, join, worker_id="w").status == 200


def test_a_full_set_of_keys_says_what_to_do(redis, guarded):
    admin = bearer(make_token(redis.client))
    for number in range(59):
        key = f"key:{number:043d}"
        redis.client.hset(credentials.PREFIX + "credential:" + key, "pem", "")
        redis.client.zadd(credentials.PREFIX + "credentials", {key: 0})
    assert guarded.request("POST", "/api/auth/keys/rotate", headers=admin).status == 200
    full = guarded.request("POST", "/api/auth/keys/rotate", headers=admin)
    assert as_code(full) == (409, "too-many") and "forget=1" in full.json["detail"]
    assert guarded.request("POST", "/api/auth/keys/rotate?forget=true", headers=admin).status == 200


def test_a_new_key_is_known_everywhere_at_once(redis, three_guarded):
    """Whoever is given a token may show it to any instance and thread, and to somebody who checks it by the published keys; and the
    tokens of the keys before go on."""
    admin, token = bearer(make_token(redis.client)), make_token(redis.client, "join")
    old = bearer(register(three_guarded[0], token, worker_id="old").json["token"])
    for number in range(20):
        rotated = three_guarded[number % 3].request("POST", "/api/auth/keys/rotate", headers=admin)
        assert rotated.status == 200
        if number % 10 == 0:
            for coordinator in three_guarded * 2:
                assert rotated.json["kid"] in [key["kid"]
                                               for key in coordinator.request("GET", "/.well-known/jwks.json").json["keys"]]
            new = bearer(register(three_guarded[number % 3], token, worker_id=f"w{number}").json["token"])
            assert all(beat(coordinator, f"w{number}", new).status == 200 for coordinator in three_guarded * 2)
    assert all(beat(coordinator, "old", old).status == 200 for coordinator in three_guarded)
    assert len(three_guarded[0].request("GET", "/.well-known/jwks.json").json["keys"]) == 21


def test_after_a_rest_nobody_waits_for_a_second_reading(redis, start_coordinator):
    """What a thread knows is too old then: requests that come at once wait for one reading, all of them."""
    coordinator = start_coordinator(redis, AUTH="on", THREADS=1)
    token = make_token(redis.client, "join")
    register(coordinator, token, worker_id="w")
    body = json.dumps({"worker_id": "w"})
    head = f"POST /api/worker/heartbeat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"

    def readings_after_a_rest():
        let_pass(4.2)
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(coordinator.raw()) for _ in range(8)]
            commands = stack.enter_context(Commands(redis))
            redis.freeze()
            for connection in connections:
                connection.send(head + body)
            redis.thaw()
            assert [connection.read_response().status for connection in connections] == [200] * 8
        return sum(line.startswith("EVALSHA") and " {rma}:credentials " in line for line in commands.lines)

    # another one begins 250 ms after the first, and comes in between if other programs are at work
    wait_until(lambda: readings_after_a_rest() == 1, within=30, what="one reading serves all")


# -- outages -----------------------------------------------------------------------------------------------------------------------


def test_an_outage_locks_nobody_out(redis, guarded):
    token = make_token(redis.client, "join")
    register(guarded, token, worker_id="w")
    redis.kill()
    wait_until(lambda: not guarded.is_ready())
    for headers in (basic(token), bearer(credentials.token_text("api", "neverseennev"))):
        assert beat(guarded, "w", headers).status == 503
    redis.restart()
    guarded.wait_until_ready()
    wait_until(lambda: beat(guarded, "w", basic(token)).status == 200, within=WITHIN)


# -- the audit ---------------------------------------------------------------------------------------------------------------------


def test_the_audit_has_who_did_what(anna):
    coordinator, admin, _ = anna
    coordinator.request("POST", "/api/auth/login", {"username": "anna", "password": "wrong"})
    def entries():
        return coordinator.request("GET", "/api/admin/audit", headers=admin).json["entries"]

    wait_until(lambda: [(entry["action"], entry["target"], entry["outcome"])
                        for entry in entries() if entry["action"] != "key.make"] == [
        ("login", "user:anna", "refused"), ("login", "user:anna", "done"), ("user.make", "user:anna", "done")])
    entries = entries()
    assert all(entry["address"] == "127.0.0.1" for entry in entries)
    assert entries[-1]["who"].startswith("token:")


def test_the_audit_has_both_changes_of_a_user(anna):
    coordinator, admin, _ = anna
    both = {"role": "admin", "password": "battery staple"}
    assert coordinator.request("PATCH", "/api/auth/users/anna", both, admin).status == 200
    entry, = coordinator.request("GET", "/api/admin/audit?limit=1", headers=admin).json["entries"]
    assert (entry["action"], entry["target"]) == ("user.role+password", "user:anna")


def test_who_is_served_without_need_of_a_credential_is_named_all_the_same(redis, start_coordinator):
    """By a good credential, whatever its role; a page of another origin does nothing in one's name."""
    coordinator = start_coordinator(redis, AUTH="off")
    viewer, admin = (make_token(redis.client, role=role, token_id=role.ljust(12, "a")) for role in ("viewer", "admin"))
    body = {"username": "anna", "password": "correct horse", "role": "viewer"}
    assert coordinator.request("POST", "/api/auth/users", body, bearer(admin)).status == 201
    signed_in = coordinator.request("POST", "/api/auth/login", {"username": "anna", "password": "correct horse"})
    cookie = {"Cookie": signed_in.headers["Set-Cookie"].split(";")[0]}
    assert register(coordinator, worker_id="w").status == 200
    drain, (task,) = ("POST", "/api/worker/w/drain"), submit(redis)
    for method, path, headers in ((*drain, bearer(viewer)), (*drain, cookie | {"Sec-Fetch-Site": "same-origin"}),
                                  (*drain, cookie | {"Sec-Fetch-Site": "cross-site"}),
                                  (*drain, bearer(viewer + "x")), (*drain, None),
                                  ("DELETE", f"/api/tasks/{task}", bearer(viewer)),
                                  ("PUT", "/api/queues/default", bearer(admin)), ("DELETE", "/api/worker/unregister/w", None)):
        body = {"limit": 3} if method == "PUT" else {} if method == "POST" else None
        answer = coordinator.request(method, path, body, headers)
        assert answer.status == 200, (method, path, answer)
    warns = start_coordinator(redis, AUTH="warn")
    assert register(warns, worker_id="v").status == 200
    assert warns.request("DELETE", "/api/worker/unregister/v", headers=bearer(viewer)).status == 200

    def acts():
        return [(entry["who"], entry["action"]) for entry in coordinator.request("GET", "/api/admin/audit").json["entries"]
                if " " in entry["action"]]
    wait_until(lambda: acts() == [
        ("token:vieweraaaaaa", "DELETE /api/worker/unregister/{worker_id}"), ("token:adminaaaaaaa", "PUT /api/queues/{queue}"),
        ("token:vieweraaaaaa", "DELETE /api/tasks/{task_id}"), ("user:anna", "POST /api/worker/{worker_id}/drain"),
        ("token:vieweraaaaaa", "POST /api/worker/{worker_id}/drain")])


def test_a_cursor_of_the_audit_is_an_entrys(redis, guarded):
    admin = bearer(make_token(redis.client))
    for cursor in ("-", "5-", "-5", "0-0", "1-2-3", "x", "18446744073709551616-1", "1-18446744073709551616", "9" * 60):
        answer = guarded.request("GET", f"/api/admin/audit?cursor={cursor}", headers=admin)
        assert as_code(answer) == (422, "fields-invalid"), (cursor, answer)
    assert guarded.request("GET", "/api/admin/audit?cursor=1-0", headers=admin).json["entries"] == []


def test_more_follow_a_page_of_the_audit_only_if_there_are_more(redis, guarded):
    admin = bearer(make_token(redis.client))
    for number in range(1, 4):
        redis.client.xadd("{rma}:audit", {"who": "nobody", "action": f"x{number}", "outcome": "done"}, id=f"{number}-0")

    def page(limit, cursor="4-0"):
        answer = guarded.request("GET", f"/api/admin/audit?limit={limit}&cursor={cursor}", headers=admin).json
        return [entry["action"] for entry in answer["entries"]], answer["next_cursor"]
    assert page(3) == page(4) == (["x3", "x2", "x1"], None)
    assert page(2) == (["x3", "x2"], "2-0") and page(2, "2-0") == page(1, "2-0") == (["x1"], None)


@pytest.mark.parametrize("name", ["abcdefghijk:", "abcdefghijk", "ABCDEFGHIJKL", "%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2f",
                                  "abcdefghijk%00"])
def test_what_can_be_no_tokens_id_is_no_tokens(redis, guarded, name):
    answer = guarded.request("DELETE", f"/api/auth/tokens/{name}", headers=bearer(make_token(redis.client)))
    assert as_code(answer) == (404, "not-found"), answer


@pytest.mark.parametrize("limit", [{"tiers": []}, {"services": []}])
def test_a_limit_that_came_out_empty_makes_no_token_without_it(redis, guarded, limit):
    admin = bearer(make_token(redis.client))
    answer = guarded.request("POST", "/api/auth/tokens", {"kind": "join", "name": "x", **limit}, admin)
    assert as_code(answer) == (422, "fields-invalid"), answer


def test_the_audit_has_what_operators_do(anna):
    coordinator, admin, answer = anna
    token = bearer(answer.json["access_token"])
    register(coordinator, make_token_of(coordinator, admin), worker_id="w")
    for method, path in (("POST", "/api/worker/w/drain"), ("POST", "/api/worker/w/undrain"),
                         ("DELETE", "/api/worker/unregister/w")):
        assert coordinator.request(method, path, headers=token).status == 200, path
    assert coordinator.request("POST", "/api/queues/q/pause", headers=token).status == 200

    def done():
        entries = coordinator.request("GET", "/api/admin/audit", headers=admin).json["entries"]
        return [(entry["action"], entry["target"]) for entry in entries if entry["who"] == "user:anna" and " " in entry["action"]]
    wait_until(lambda: done() == [("POST /api/queues/{queue}/pause", "q"), ("DELETE /api/worker/unregister/{worker_id}", "w"),
                                  ("POST /api/worker/{worker_id}/undrain", "w"), ("POST /api/worker/{worker_id}/drain", "w")])


def test_the_audit_has_what_operators_cancel(redis, guarded):
    """What users cancel is their own, and no news for anybody."""
    operator, user = make_token(redis.client, token_id="operoperoper", role="operator"), make_token(redis.client, role="user")
    tasks = [guarded.request("POST", "/api/tasks", {"queue": "q", "type": "t", "payload": {}}, bearer(user)).json["task_id"]
             for _ in range(2)]
    for task, token in zip(tasks, (user, operator)):
        assert guarded.request("DELETE", f"/api/tasks/{task}", headers=bearer(token)).status == 200

    def noted():
        entries = guarded.request("GET", "/api/admin/audit", headers=bearer(operator)).json["entries"]
        return [(entry["who"], entry["action"], entry["target"]) for entry in entries]
    wait_until(lambda: noted() == [("token:operoperoper", "DELETE /api/tasks/{task_id}", tasks[1])])


def test_what_is_for_anyone_waits_for_no_credential(redis, guarded):
    """A monitor that sends its token everywhere must not find the process dead when it is Redis that does not answer."""
    token = make_token(redis.client, role="viewer")
    assert guarded.request("GET", "/api/admin/workers", headers=bearer(token)).status == 200
    redis.freeze()
    try:
        for shown in (token, credentials.token_text("api", "unknownunkno")):
            for path in ("/livez", "/dashboard", "/docs", "/openapi.json"):
                for headers in (bearer(shown), {"Cookie": f"rma_session={shown}"}):
                    assert guarded.request("GET", path, headers=headers).status == 200, path
    finally:
        redis.thaw()


def make_token_of(coordinator, admin):
    return coordinator.request("POST", "/api/auth/tokens", {"kind": "join", "name": "site"}, admin).json["token"]


def test_nothing_leaks(redis, start_coordinator):
    """Marked secrets are put everywhere, and looked for everywhere."""
    coordinator = start_coordinator(redis, AUTH="on", LOG_LEVEL="debug")
    admin = make_token(redis.client)
    join = make_token(redis.client, "join")
    answer = register(coordinator, join, worker_id="w")
    coordinator.request("POST", "/api/auth/users", {"username": "anna", "password": "marked-secret-password", "role": "user"},
                        bearer(admin))
    signed = coordinator.request("POST", "/api/auth/login",
                                 {"username": "anna", "password": "marked-secret-password"}).json["access_token"]
    coordinator.request("POST", "/api/auth/login", {"username": "anna", "password": "marked-secret-wrong"})
    coordinator.request("POST", "/api/auth/login?password=marked-secret-query",
                        {"username": "marked-secret-in-a-name", "password": 5})
    beat(coordinator, "w", basic(join))
    beat(coordinator, "w", bearer(admin))
    made = coordinator.request("POST", "/api/auth/tokens", {"kind": "api", "name": "x", "role": "viewer"},
                               bearer(admin)).json["token"]
    secrets = ["marked-secret", admin, join, answer.json["token"], signed, made,
               *(token.split("_", 2)[2] for token in (admin, join, made))]
    said = [json.dumps(coordinator.log_lines())]
    for path in ("/metrics", "/api/auth/users", "/api/auth/tokens", "/api/auth/keys", "/api/admin/audit", "/api/admin/workers",
                 "/.well-known/jwks.json"):
        said.append(coordinator.request("GET", path, headers=bearer(admin)).body.decode())
    kept = json.dumps(redis.dump(), default=str)
    for secret in secrets:
        assert all(secret not in text for text in said), secret
        assert secret not in kept, secret


def test_a_token_where_none_belongs_is_in_no_log(redis, start_coordinator):
    """Somebody takes it for its id, or for a name. The answer may have it: that goes to whoever sent it."""
    coordinator = start_coordinator(redis, AUTH="on", LOG_LEVEL="debug")
    admin, lost = bearer(make_token(redis.client)), make_token(redis.client, token_id="lostlostlost", role="viewer")
    session = register(coordinator, make_token(redis.client, "join"), worker_id="w").json["token"]
    for token in (lost, session):
        for method, path in (("DELETE", "/api/auth/tokens/"), ("DELETE", "/api/auth/users/"), ("GET", "/api/worker/"),
                             ("GET", "/api/tasks/"), ("POST", "/api/worker/drain/"), ("GET", "/service/"), ("GET", "/service/x/"),
                             ("GET", "/api/admin/audit?cursor="), ("DELETE", "/api/worker/unregister/")):
            coordinator.request(method, path + token, headers=admin)
        coordinator.request("POST", f"/api/worker/{token}/drain", headers=admin)
        coordinator.request("POST", "/api/auth/login", {"username": token[:64], "password": token})
        coordinator.request("GET", "/api/admin/stats", headers={"X-Request-Id": token})
    wait_until(lambda: any(entry["action"] == "login" for entry in
                           coordinator.request("GET", "/api/admin/audit", headers=admin).json["entries"]))
    said = [coordinator.stderr(), *(coordinator.request("GET", path, headers=admin).body.decode()
                                    for path in ("/metrics", "/api/admin/audit"))]
    for text in said:
        assert lost.split("_", 2)[2][:20] not in text and session[40:60] not in text and session[-60:-40] not in text
    assert "rmaa_lostlostlost_***" in said[0], "which token it is can be seen"


def unlimited_dumps():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def test_a_crash_dump_has_no_memory(start_redis, make_coordinator):
    """There is the password of Redis, the shared secret, and what requests have brought."""
    redis = start_redis(password="marked-secret-of-redis")
    coordinator = make_coordinator(redis, AUTH="on", JWT_SECRET="marked-secret-" + "x" * 32, prepare=unlimited_dumps).start()
    token = make_token(redis.client)
    assert coordinator.request("GET", "/api/admin/stats", headers=bearer(token)).status == 200
    assert int(Path(f"/proc/{coordinator.pid}/coredump_filter").read_text(), 16) == 0x10
    coordinator.crash()
    for dump in coordinator.directory.glob("core*"):  # where the system writes them there, and the build allows them
        if dump.suffix != ".stderr":
            assert b"marked-secret" not in dump.read_bytes() and token.encode() not in dump.read_bytes()


@pytest.mark.parametrize("arguments", [
    ["--port", "0", "--redis-url", "redis://user:marked-secret@127.0.0.1:1"],
    ["--port=0", "--redis-url=redis://127.0.0.1:1/?password=marked-secret"],
    ["workers", "--redis-url", "redis://:marked-secret@127.0.0.1:1"],
    ["workers", "--url", "http://worker:marked-secret@127.0.0.1:{port}"]])
def test_no_list_of_processes_has_a_password(directory, arguments):
    silent = socket.create_server(("127.0.0.1", 0))
    arguments = [argument.format(port=silent.getsockname()[1]) for argument in arguments]
    process = subprocess.Popen([str(project.BINARY), *arguments], cwd=directory, stderr=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]})
    try:
        shown = wait_until(lambda: "://***" in (text := Path(f"/proc/{process.pid}/cmdline").read_text()) and text)
        assert "marked-secret" not in shown
    finally:
        process.kill()
        process.wait()
        silent.close()


# -- the field's own libraries -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REGISTRATIONS)
def test_the_fields_agents_with_nothing_but_their_url_changed(redis, three_guarded, name):
    """They use Python's requests, with the coordinator's URL as it stands in their environment."""
    token = make_token(redis.client, "join", "jointojointo")
    base = three_guarded[0].url.replace("http://", f"http://worker:{token}@")
    answer = requests.post(f"{base}/api/worker/register", json=REGISTRATIONS[name], timeout=10)
    assert answer.status_code == 200
    worker_id = answer.json()["worker_id"]
    for beat_body in HEARTBEATS.values():
        for coordinator in three_guarded:
            url = coordinator.url.replace("http://", f"http://worker:{token}@")
            assert requests.post(f"{url}/api/worker/heartbeat", json={**beat_body, "worker_id": worker_id},
                                 timeout=10).status_code == 200
    bare = requests.post(f"{three_guarded[0].url}/api/worker/heartbeat", json={"worker_id": worker_id}, timeout=10)
    assert bare.status_code == 401 and "https://worker:TOKEN@host" in bare.json()["detail"]
    admin = bearer(make_token(redis.client))
    assert requests.delete(f"{three_guarded[1].url}/api/auth/tokens/jointojointo", headers=admin, timeout=10).status_code == 200
    for coordinator in three_guarded:
        url = coordinator.url.replace("http://", f"http://worker:{token}@")
        wait_until(lambda: requests.post(f"{url}/api/worker/heartbeat", json={"worker_id": worker_id}, timeout=10).status_code
                   == 401,
                   within=WITHIN)


def test_an_agent_unregisters_with_its_url(redis, guarded):
    base = guarded.url.replace("http://", f"http://worker:{make_token(redis.client, 'join')}@")
    worker_id = requests.post(f"{base}/api/worker/register", json={"capabilities": CAPABILITIES}, timeout=10).json()["worker_id"]
    assert requests.delete(f"{base}/api/worker/unregister/{worker_id}", timeout=10).status_code == 200


def test_another_library_checks_our_tokens_by_our_published_keys(redis, guarded):
    token = register(guarded, make_token(redis.client, "join"), worker_id="w").json["token"]
    published, = guarded.request("GET", "/.well-known/jwks.json").json["keys"]
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": published["kid"], "typ": "JWT"}
    key = jwt.PyJWK(published).key
    claims = jwt.decode(token, key, algorithms=["ES256"], issuer="rma-coordinator")
    assert claims["sub"] == "w" and claims["role"] == "worker"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"), key, algorithms=["ES256"])
