"""What is open when its credential ends: event streams, waits, WebSockets, answers that go on and on. It ends, too."""

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import http_client
from coordinator import CAPABILITIES
from credentials import bearer, make_token
from submissions import submit
from test_proxy import UPGRADE, read_until
from waiting import promised, wait_until

WITHIN = promised(5)  # seconds, in which the end of a credential holds everywhere
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def stage(make_stage):
    """An open coordinator, where workers register; and two that ask for credentials."""
    stage = make_stage()
    stage.start(AUTH="off")
    for _ in range(2):
        stage.start(AUTH="on")

    async def behave(connection):
        request = await connection.read_head()
        if request is None:
            return
        if request.path == "/waits":
            pass
        elif request.header("upgrade"):
            await connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                  b"Sec-WebSocket-Accept: x\r\n\r\nhello")
        else:
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nhello")
        await connection.wait_until_gone()

    stage.peer = stage.peers.start(behave)
    stage.name = stage.service(stage.peer)
    submit(stage.redis, "t")
    return stage


# -- what is open; each returns a function that waits for the end and returns (status, code) of the answer, where there is one


def open_raw(stack, coordinator, head, headers):
    raw = stack.enter_context(http_client.RawConnection(coordinator.port, timeout=30))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    raw.send(f"GET {head.partition(chr(13))[0]} HTTP/1.1\r\nHost: x\r\n{head.partition(chr(10))[2]}{lines}\r\n")
    return raw


def events(stack, stage, coordinator, headers):
    stream = coordinator.events(headers)
    stack.callback(stream.close)
    assert stream.response().status == 200

    def end():
        wait_until(lambda: stream.ended, within=30)
    return end


def passed(more, until):
    def opened(stack, stage, coordinator, headers):
        raw = open_raw(stack, coordinator, f"/service/{stage.name}/x{more}", headers)
        read_until(raw, until)

        def end():
            with contextlib.suppress(ConnectionResetError):
                while raw.socket.recv(4096):
                    pass
        return end
    return opened


def unanswered(more):
    """The worker has the request, and says nothing."""
    def opened(stack, stage, coordinator, headers):
        before = len(stage.peer.requests)
        raw = open_raw(stack, coordinator, f"/service/{stage.name}/waits{more}", headers)
        wait_until(lambda: len(stage.peer.requests) > before)

        def end():
            answer = raw.read_response()
            return answer.status, answer.json.get("code")
        return end
    return opened


def waiting(path):
    def opened(stack, stage, coordinator, headers):
        raw = open_raw(stack, coordinator, path, headers)

        def end():
            answer = raw.read_response()
            return answer.status, answer.json.get("code")
        return end
    return opened


OF_PEOPLE = {
    "events": events,
    "a WebSocket": passed("\r\n" + UPGRADE, b"hello"),
    "an answer that goes on": passed("", b"hello\r\n"),
    "a WebSocket that no worker has answered yet": unanswered("\r\n" + UPGRADE),
    "a request that no worker has answered yet": unanswered(""),
    "a wait for a task": waiting("/api/tasks/t?wait=30"),
}
POLL = {"a poll": waiting("/api/worker/tasks?worker_id=w&wait=30&queues=nothing")}


def open_all(stack, stage, openers, headers):
    return {name: opener(stack, stage, stage.coordinators[1], headers) for name, opener in openers.items()}


def end_within(ends, credential_ends, code):
    """Waits for all; checks that each ended in time, and with that answer where it has one."""
    with ThreadPoolExecutor(len(ends)) as pool:
        waits = {name: pool.submit(lambda end: (end(), time.monotonic()), end) for name, end in ends.items()}
        credential_ends()
        ended_at = time.monotonic()
        for name, wait in waits.items():
            answer, at = wait.result(20)
            assert at - ended_at <= WITHIN, f"{name} went on for {at - ended_at:.1f} s"
            assert answer in (None, (401, code)), (name, answer)


# -- how it ends


def sign_in(stage, name, role="user"):
    admin = bearer(make_token(stage.redis.client))
    for limit in stage.redis.client.scan_iter("{rma}:limit:login:*"):  # more sign in here than one address may
        stage.redis.client.delete(limit)
    stage.coordinators[2].request("POST", "/api/auth/users", {"username": name, "password": PASSWORD, "role": role}, admin)
    answer = stage.coordinators[2].request("POST", "/api/auth/login", {"username": name, "password": PASSWORD})
    assert answer.status == 200, answer
    return admin, answer.json["access_token"]


@pytest.mark.parametrize("how", ["logout", "password", "removal"])
def test_what_a_session_has_open_ends_with_it(stage, how):
    admin, token = sign_in(stage, how)
    other = stage.coordinators[2]
    _, stays = sign_in(stage, how + "-stays")

    def credential_ends():
        answer = (other.request("POST", "/api/auth/logout", headers=bearer(token)) if how == "logout" else
                  other.request("PATCH", f"/api/auth/users/{how}", {"password": "battery staple"}, admin) if how == "password" else
                  other.request("DELETE", f"/api/auth/users/{how}", headers=admin))
        assert answer.status == 200, answer

    with contextlib.ExitStack() as stack:
        kept = stage.coordinators[1].events(bearer(stays))
        stack.callback(kept.close)
        cookie = {"Cookie": f"rma_session={token}"}
        ends = open_all(stack, stage, OF_PEOPLE, bearer(token))
        ends |= {f"{name}, by the cookie": end
                 for name, end in open_all(stack, stage, {"events": events}, cookie).items()}
        end_within(ends, credential_ends, "token-revoked")
        assert not kept.ended, "who may still listen, does"


def test_what_a_token_has_open_ends_with_it(stage):
    token = make_token(stage.redis.client, token_id="programprogr", role="user")
    admin = bearer(make_token(stage.redis.client))
    with contextlib.ExitStack() as stack:
        ends = open_all(stack, stage, OF_PEOPLE, bearer(token))
        end_within(ends, lambda: stage.coordinators[2].request("DELETE", "/api/auth/tokens/programprogr", headers=admin),
                   "token-revoked")


def test_what_has_been_opened_with_a_forgotten_key_ends_with_it(stage):
    """Who has stolen a key has made a session with it."""
    admin, token = sign_in(stage, "forgotten")
    joined = bearer(make_token(stage.redis.client, "join"))
    body = {"worker_id": "w", "capabilities": CAPABILITIES}
    stage.coordinators[0].delete("/api/worker/unregister/w")
    registered = stage.coordinators[2].request("POST", "/api/worker/register", body, joined)
    assert registered.status == 200, registered
    with contextlib.ExitStack() as stack:
        kept = stage.coordinators[1].events(admin)
        stack.callback(kept.close)
        ends = open_all(stack, stage, OF_PEOPLE, bearer(token)) | open_all(stack, stage, POLL, bearer(registered.json["token"]))
        end_within(ends, lambda: stage.coordinators[2].request("POST", "/api/auth/keys/rotate?forget=1", headers=admin),
                   "token-invalid")
        assert not kept.ended, "no key has signed an API token"


def test_what_has_been_opened_goes_on_when_another_key_signs(stage):
    admin, token = sign_in(stage, "rotated")
    with contextlib.ExitStack() as stack:
        kept = stage.coordinators[1].events(bearer(token))
        stack.callback(kept.close)
        assert stage.coordinators[2].request("POST", "/api/auth/keys/rotate", headers=admin).status == 200
        _, later = sign_in(stage, "later")
        assert stage.coordinators[1].request("GET", "/api/admin/stats", headers=bearer(later)).status == 200
        assert stage.coordinators[1].request("GET", "/api/admin/stats", headers=bearer(token)).status == 200
        assert not kept.ended


def test_what_a_token_has_open_ends_when_it_expires(stage):
    """But an answer that has begun is not torn for that, and a request that has been sent gets its answer."""
    expires_at = time.time() + 2
    token = make_token(stage.redis.client, role="user", expires_at=int(expires_at * 1000))
    spared = ("an answer that goes on", "a request that no worker has answered yet")
    openers = {name: opener for name, opener in OF_PEOPLE.items() if name not in spared}
    with contextlib.ExitStack() as stack:
        ends = open_all(stack, stage, openers, bearer(token))
        end_within(ends, lambda: wait_until(lambda: time.time() >= expires_at), "token-expired")


def test_a_lost_role_ends_what_it_had_open(stage):
    admin, token = sign_in(stage, "lessened")
    with contextlib.ExitStack() as stack:
        listens = stage.coordinators[1].events(bearer(token))
        stack.callback(listens.close)
        ends = open_all(stack, stage, {"a WebSocket": OF_PEOPLE["a WebSocket"]}, bearer(token))
        end_within(ends, lambda: stage.coordinators[2].request("PATCH", "/api/auth/users/lessened", {"role": "viewer"}, admin),
                   None)
        assert not listens.ended, "a viewer may"


@pytest.mark.parametrize("ends", [True, False])
def test_a_lost_role_shows_no_more_in_an_answer_that_it_waited_for(stage, ends):
    """A viewer sees no payload, also of a task for whose end an operator has begun to wait."""
    admin, token = sign_in(stage, f"lowered-{ends}".lower(), "operator")
    task, = submit(stage.redis, payload='{"mark":"secret"}')
    coordinator = stage.coordinators[1]
    assert coordinator.request("GET", f"/api/tasks/{task}", headers=bearer(token)).json["payload"] == {"mark": "secret"}
    with contextlib.ExitStack() as stack:
        raw = open_raw(stack, coordinator, f"/api/tasks/{task}?wait={30 if ends else 4}", bearer(token))
        answer = stage.coordinators[2].request("PATCH", f"/api/auth/users/lowered-{ends}".lower(), {"role": "viewer"}, admin)
        assert answer.status == 200, answer
        wait_until(lambda: all(coordinator.request("GET", "/api/admin/audit", headers=bearer(token)).status == 403
                               for _ in range(25)), within=WITHIN)
        if ends:
            assert coordinator.request("DELETE", f"/api/tasks/{task}", headers=admin).status == 200
        answer = raw.read_response()
    assert answer.status == 200 and answer.json["state"] == ("cancelled" if ends else "queued")
    assert "payload" not in answer.json and "secret" not in answer.body.decode()


@pytest.mark.parametrize("whose", ["join", "own"])
def test_a_workers_poll_ends_with_its_token(stage, whose):
    admin, token_id = bearer(make_token(stage.redis.client)), {"join": "jointojointo", "own": "ownownownown"}[whose]
    join = make_token(stage.redis.client, "join", token_id)
    body = {"worker_id": "w", "capabilities": CAPABILITIES}
    stage.coordinators[0].delete("/api/worker/unregister/w")
    registered = stage.coordinators[2].request("POST", "/api/worker/register", body, bearer(join))
    assert registered.status == 200, registered
    with contextlib.ExitStack() as stack:
        ends = open_all(stack, stage, POLL, bearer(join if whose == "join" else registered.json["token"]))
        wait_until(lambda: json.dumps(stage.redis.dump(), default=str).count("nothing") > 0)
        end_within(ends, lambda: stage.coordinators[2].request(
            "DELETE", f"/api/auth/tokens/{token_id}?with_workers=1", headers=admin), "token-revoked")


def test_a_page_of_others_opens_no_websocket_by_the_cookie(stage):
    """A browser sends the cookie to our own site's other origins by itself, and lets them read what comes."""
    _, token = sign_in(stage, "surfer")
    coordinator = stage.coordinators[1]
    ours = coordinator.url.partition("//")[2]
    for headers, status in (({}, 403), ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403),
                            ({"Sec-Fetch-Site": "same-site"}, 403), ({"Origin": f"http://{ours}"}, 101),
                            ({"Sec-Fetch-Site": "same-origin"}, 101)):
        with http_client.RawConnection(coordinator.port) as raw:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            raw.send(f"GET /service/{stage.name}/x HTTP/1.1\r\nHost: {ours}\r\nCookie: rma_session={token}\r\n"
                     f"{lines}{UPGRADE}\r\n")
            assert raw.socket.recv(4096).startswith(f"HTTP/1.1 {status} ".encode()), headers
