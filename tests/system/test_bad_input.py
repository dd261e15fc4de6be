"""Whatever strangers send gets its clear answer, or its connection closed on time; nothing stored changes, and the server lives."""

import json
import time

import pytest

import state
from http_client import statuses
from waiting import let_pass

REGISTER = "/api/worker/register"
HEARTBEAT = "/api/worker/heartbeat"


@pytest.fixture
def fleet(redis, coordinator):
    """A coordinator with two workers; after the test these are exactly as they were, and the coordinator answers."""
    coordinator.register("w", instance_id="i", tunnel_url="https://w.example", services=[{"name": "ocr"}])
    coordinator.register("v")
    coordinator.beat("w", current_load=0.5, status="degraded", loaded_models=["m"])
    before = redis.dump()
    yield coordinator
    assert coordinator.get("/livez").status == 200
    assert coordinator.get("/api/admin/workers").status == 200
    assert state.difference(before, redis.dump()) == ""


def assert_problem(response, *allowed):
    assert response.status in allowed, response
    assert response.headers["Content-Type"].startswith("application/problem+json")
    assert response.json["status"] == response.status and len(response.json["detail"]) > 5


# -- texts that are no JSON we take ------------------------------------------------------------------------------------------------

UNREADABLE = {
    "nothing": b"", "a brace": b"{", "half": b'{"worker_id": "w", "capabil', "no quotes": b"{worker_id: w}",
    "single quotes": b"{'worker_id': 'w'}", "two documents": b'{"worker_id":"w","capabilities":{}}{}',
    "trailing garbage": b'{"worker_id":"w","capabilities":{}} \x00', "a list": b'[{"worker_id":"w"}]', "a string": b'"w"',
    "a number": b"42", "null": b"null", "true": b"true",
    "deep lists": b"[" * 10_000, "deep objects": b'{"a":' * 10_000,
    "deep and closed": b'{"worker_id":"w","capabilities":{"a":' + b"[" * 500 + b"]" * 500 + b"}}",
    "a NUL byte": b'{"worker_id":"w\x00","capabilities":{}}',
    "an escaped NUL": b'{"worker_id":"w","capabilities":{"a":"x\\u0000y"}}',
    "an escaped NUL in a name": b'{"worker_id":"w","capabilities":{"x\\u0000y":1}}',
    "a lone high surrogate": b'{"worker_id":"w","capabilities":{"a":"\\ud800"}}',
    "a lone low surrogate": b'{"worker_id":"w","capabilities":{"a":"\\udc00 x"}}',
    "a high surrogate before something else": b'{"worker_id":"w","capabilities":{"a":"\\ud800\\u0041"}}',
    "surrogates as bytes": b'{"worker_id":"w","capabilities":{"a":"\xed\xa0\x80"}}',
    "invalid UTF-8": b'{"worker_id":"w","capabilities":{"a":"\xff\xfe"}}',
    "half of a character": b'{"worker_id":"w","capabilities":{"a":"\xc3"}}',
    "overlong UTF-8": b'{"worker_id":"w","capabilities":{"a":"\xc0\xaf"}}', "UTF-16": '{"worker_id":"w"}'.encode("utf-16"),
    "NaN": b'{"worker_id":"w","capabilities":{},"current_load":NaN}',
    "Infinity": b'{"worker_id":"w","capabilities":{},"current_load":Infinity}',
    "-Infinity": b'{"worker_id":"w","capabilities":{},"current_load":-Infinity}',
    "1e999": b'{"worker_id":"w","capabilities":{"a":1e999},"current_load":1e999}',
    "-1e999": b'{"worker_id":"w","capabilities":{"a":-1e999}}', "a comment": b'{"worker_id":"w",/* */"capabilities":{}}',
    "a trailing comma": b'{"worker_id":"w","capabilities":{},}', "a bad escape": b'{"worker_id":"\\x","capabilities":{}}',
    "a newline in a string": b'{"worker_id":"a\nb","capabilities":{}}',
}


# JSON all the same, or nearly: a heartbeat counts.
COUNTS = ("deep and closed", "an escaped NUL", "an escaped NUL in a name", "a lone high surrogate", "a lone low surrogate",
          "a high surrogate before something else", "NaN", "Infinity", "-Infinity", "1e999", "-1e999")
NO_NUMBERS = ("NaN", "Infinity", "-Infinity")  # as Python writes them: a registration counts, too


@pytest.mark.parametrize("path", [REGISTER, HEARTBEAT])
def test_what_is_no_json_is_refused(fleet, path):
    with fleet.connection() as connection:
        for name, text in UNREADABLE.items():
            if name in (COUNTS if path == HEARTBEAT else NO_NUMBERS):
                continue
            response = connection.request("POST", path, text)
            assert response.status == 400, (name, response)
            assert_problem(response, 400)


@pytest.mark.parametrize("path", [REGISTER, HEARTBEAT])
@pytest.mark.parametrize("size", [100_000, 1_100_000, 10_000_000, 50_000_000])
def test_big_bodies_are_refused(fleet, path, size):
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
    with fleet.raw() as raw:
        try:
            raw.send(head).send(b'{"worker_id":"w","capabilities":{"a":"' + b"x" * (size - 41) + b'"}}')
        except OSError:
            return  # closed in the middle of it: fair
        assert_problem(raw.read_response("POST"), 413)


def test_big_chunked_bodies_are_refused(fleet):
    with fleet.raw() as raw:
        try:
            raw.send(f"POST {REGISTER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(160):
                raw.send(b"10000\r\n" + b"[" * 65536 + b"\r\n")
            raw.send("0\r\n\r\n")
        except OSError:
            return
        assert_problem(raw.read_response("POST"), 413, 400)


# -- JSON with the wrong things in it ----------------------------------------------------------------------------------------------

BAD_IDS = ["", " ", "a b", "a\nb", "{rma}", "{rma}:workers", "a}", "*", "a/b", "a,b", "'", '"', "ä", "\u2028", "a\x7f", "x" * 129,
           "x" * 5000]


@pytest.mark.parametrize("member", ["worker_id", "instance_id", "boot_id"])
def test_bad_ids_in_a_registration(fleet, member):
    with fleet.connection() as connection:
        for bad in BAD_IDS:
            if not bad.strip():  # absent, see test_addresses.py
                continue
            response = connection.request("POST", REGISTER, {member: bad, "capabilities": {}})
            assert_problem(response, 422)
            assert [fault["field"] for fault in response.json["errors"]] == [member], bad


def test_bad_ids_in_a_heartbeat(fleet):
    with fleet.connection() as connection:
        for bad in BAD_IDS:
            assert_problem(connection.request("POST", HEARTBEAT, {"worker_id": bad}), 422)


STRING, NUMBER, LIST, OBJECT, BOOL = {"string"}, {"number"}, {"list"}, {"object"}, {"bool"}
SIZE = {"string", "number"}
VALUES = {"string": ["5", "w"], "number": [0, 1, 0.5], "list": [[], ["a"]], "object": [{}, {"a": "b"}], "bool": [True, False]}
REGISTRATION_MEMBERS = {
    "worker_id": STRING, "instance_id": STRING, "boot_id": STRING, "services": LIST, "containers": LIST, "ip_address": STRING,
    "tunnel_url": STRING, "vpn_ip": STRING, "capabilities": OBJECT}
CAPABILITY_MEMBERS = {
    "cpu_cores": NUMBER, "ram": SIZE, "storage": SIZE, "gpu_type": STRING, "gpu_memory": SIZE, "worker_type": STRING,
    "has_gpu": BOOL,
    "has_storage": BOOL, "has_edge": BOOL, "has_public_ip": BOOL}


def wrong_values(right):
    return [value for kind, values in VALUES.items() if kind not in right for value in values]


@pytest.mark.parametrize("path, valid, members, prefix", [
    (REGISTER, {"worker_id": "w", "capabilities": {}}, REGISTRATION_MEMBERS, ""),
    (REGISTER, {"worker_id": "w", "capabilities": {}}, CAPABILITY_MEMBERS, "capabilities."),
    (HEARTBEAT, {"worker_id": "w"}, {"worker_id": STRING}, "")], ids=["registration", "capabilities", "heartbeat"])
def test_wrong_types_everywhere(fleet, path, valid, members, prefix):
    with fleet.connection() as connection:
        for member, right in members.items():
            for value in wrong_values(right):
                body = json.loads(json.dumps(valid))
                (body["capabilities"] if prefix else body)[member] = value
                response = connection.request("POST", path, body)
                assert response.status == 422, (member, value, response)
                assert [fault["field"] for fault in response.json["errors"]] == [prefix + member], (member, value)


@pytest.mark.parametrize("body, field", [
    ({}, "capabilities"), ({"capabilities": None}, "capabilities"), ({"capabilities": {"cpu_cores": -1}}, "capabilities.cpu_cores"),
    ({"capabilities": {"worker_type": "quantum"}}, "capabilities.worker_type"),
    ({"capabilities": {"a": "x" * 20_000}}, "capabilities"), ({"capabilities": {}, "services": [{"name": "a b"}]}, "services"),
    ({"capabilities": {}, "services": [{"name": None}]}, "services"), ({"capabilities": {}, "services": [[]]}, "services"),
    ({"capabilities": {}, "services": [None]}, "services"), ({"capabilities": {}, "services": ["a,b"]}, "services"),
    ({"capabilities": {}, "services": [f"s{n}" for n in range(1000)]}, "services"),
    ({"capabilities": {}, "services": [{"name": "ok", "x": "y" * 20_000}]}, "services"),
    ({"capabilities": {}, "containers": [{"x": "y" * 20_000}]}, "containers"),
    ({"capabilities": {}, "tunnel_url": "https://" + "x" * 5000}, "tunnel_url"),
    ({"capabilities": {}, "ip_address": "x" * 5000}, "ip_address"), ({"capabilities": {}, "vpn_ip": "x" * 5000}, "vpn_ip")])
def test_members_missing_or_out_of_range_in_a_registration(fleet, body, field):
    response = fleet.post(REGISTER, {"worker_id": "w", **body})
    assert_problem(response, 422)
    assert response.json["errors"][0]["field"].split("[")[0] == field


@pytest.mark.parametrize("query", ["?limit=%", "?tier=%00", "?cursor=%ff%fe", "?limit=1e3", "?limit=99999999999999999999", "?tier=",
                                   "?limit=+5", "?status=%0d%0aX:%20y", "?" + "a=b&" * 5000, "?&&&==&", "?limit", "?tier=2&tier=3"])
def test_bad_queries(fleet, query):
    response = fleet.get("/api/admin/workers" + query)
    assert response.status in (200, 400, 414, 422), response
    assert "X" not in response.headers


# -- bytes that are no HTTP we take -----------------------------------------------------------------------------------------------

BODY = '{"worker_id":"w","capabilities":{}}'
BAD_REQUESTS = {
    "duplicate Content-Length, the same": f"POST {REGISTER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n"
                                          f"Content-Length: {len(BODY)}\r\n\r\n{BODY}",
    "duplicate Content-Length, another": f"POST {REGISTER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n"
                                         f"Content-Length: 5\r\n\r\n{BODY}",
    "Content-Length with Transfer-Encoding": f"POST {REGISTER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n"
                                             f"Transfer-Encoding: chunked\r\n\r\n{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n",
    "Transfer-Encoding with Content-Length": f"POST {REGISTER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                                             f"Content-Length: {len(BODY)}\r\n\r\n{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n",
    "Transfer-Encoding in HTTP/1.0": f"POST {REGISTER} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n{len(BODY):x}\r\n{BODY}\r\n"
                                     f"0\r\n\r\n",
    "no Host": f"POST {REGISTER} HTTP/1.1\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}",
    "no Host on a GET": "GET /livez HTTP/1.1\r\n\r\n",
    "a negative Content-Length": f"POST {REGISTER} HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n{BODY}",
    "a Content-Length that is no number": f"POST {REGISTER} HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n{BODY}",
    "two lengths in one Content-Length": f"POST {REGISTER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}, {len(BODY)}\r\n\r\n"
                                         f"{BODY}",
    "an unknown Transfer-Encoding": f"POST {REGISTER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n{BODY}",
    "a chunk size that is no number": f"POST {REGISTER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{BODY}\r\n"
                                      f"0\r\n\r\n",
    "noise": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x80" * 200 + "\r\n\r\n",
    "a word": "hello\r\n\r\n",
    "an old version": "GET /livez\r\n\r\n",
    "a space in a header name": "GET /livez HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n",
    "a header without a colon": "GET /livez HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
    "a NUL in a header": "GET /livez HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
    "a NUL in the path": "GET /liv\x00ez HTTP/1.1\r\nHost: x\r\n\r\n",
    "a thousand headers": "GET /livez HTTP/1.1\r\nHost: x\r\n" + "".join(f"H{n}: v\r\n" for n in range(1000)) + "\r\n",
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_bad_http_is_refused_and_its_connection_closed(fleet, name):
    with fleet.raw() as raw:
        raw.send(BAD_REQUESTS[name].encode("latin-1"))
        answers = statuses(raw.read_to_end())
        assert len(answers) <= 1 and set(answers) <= {400, 411, 413, 431, 501}, answers


@pytest.mark.parametrize("name", [name for name in BAD_REQUESTS if name.startswith(("duplicate", "no Host", "Transfer-Encoding"))
                                  or " with " in name])
def test_ambiguous_requests_are_told_so(fleet, name):
    """These parse, so they get a real answer: 400, and the connection is not used again."""
    with fleet.raw() as raw:
        raw.send(BAD_REQUESTS[name])
        response = raw.read_response("POST")
        assert_problem(response, 400)
        assert raw.read_to_end() == b""


def test_smuggled_requests_are_not_served(fleet):
    """A second request hidden in an ambiguous one's body must not be carried out."""
    hidden = "DELETE /api/worker/unregister/w HTTP/1.1\r\nHost: x\r\n\r\n"
    for headers in (f"Content-Length: 5\r\nContent-Length: {5 + len(hidden)}\r\n",
                    f"Content-Length: {5 + len(hidden)}\r\nTransfer-Encoding: chunked\r\n"):
        with fleet.raw() as raw:
            raw.send(f"POST {HEARTBEAT} HTTP/1.1\r\nHost: x\r\n{headers}\r\n0\r\n\r\n{hidden}")
            assert statuses(raw.read_to_end()) == [400]


def test_garbage_after_a_good_request(fleet):
    with fleet.raw() as raw:
        raw.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n\x01\x02\x03 nonsense nonsense\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n"
                 "\r\n")
        answers = statuses(raw.read_to_end())
    assert answers[0] == 200 and answers[1:] in ([], [400])


def test_garbage_behind_a_request_that_waits_for_redis(fleet, redis):
    with fleet.raw() as raw:
        raw.send(b"GET /api/admin/workers HTTP/1.1\r\nHost: x\r\n\r\n" + b"\xff" * 1000 + b"\r\n\r\n")
        answers = statuses(raw.read_to_end())
    assert answers[0] == 200 and answers[1:] in ([], [400])


def test_a_line_that_never_ends(fleet):
    with fleet.raw() as raw:
        try:
            for _ in range(100):
                raw.send(b"GET /" + b"a" * 100_000)
                let_pass(0.001)
        except OSError:
            return
        assert set(statuses(raw.read_to_end())) <= {400, 414, 431}


@pytest.mark.parametrize("path", ["/api/worker/../admin/workers", "/api//admin/workers", "/./livez", "/%2e%2e/%2e%2e/etc/passwd",
                                  "/%", "/%zz",
                                  "/api/worker/%00", "/api/worker/%ff", "*", "/livez#x", "http://x/livez", "/livez?%00"])
def test_strange_paths(fleet, path):
    with fleet.raw() as raw:
        raw.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer, = statuses(raw.read_to_end())
    assert answer in (200, 400, 404, 422)


def test_expect_100_continue(fleet):
    with fleet.raw() as raw:
        raw.send(f"POST {HEARTBEAT} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
        let_pass(0.1)
        raw.send("{}")
        assert statuses(raw.read_to_end())[-1] in (417, 422)


def test_half_requests_are_closed_on_time_and_hold_nobody_up(fleet):
    """Slow and silent clients: each connection is closed within the time for a request, also when a byte drips in now and then."""
    halves = ["", "G", "GET /livez HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nHost: x\r\n",
              f"POST {HEARTBEAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
              f'POST {HEARTBEAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{"worker_id":',
              f"POST {HEARTBEAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"]
    open_ones = [fleet.raw().send(half) for half in halves for _ in range(5)]
    dripping = fleet.raw().send("GET /livez HTTP/1.1\r\nHost: x\r\n")
    started = time.monotonic()
    closed_after = None
    while time.monotonic() - started < 30:
        assert fleet.get("/livez").status == 200
        try:
            dripping.send("X: y\r\n")
        except OSError:
            closed_after = time.monotonic() - started
            break
        let_pass(0.25)
    assert closed_after is not None, "dripping keeps a connection open for ever"
    for connection in open_ones:
        answers = statuses(connection.read_to_end())
        assert set(answers) <= {400, 408}, answers
        connection.close()
    dripping.close()


def test_a_storm_of_noise(fleet):
    """A thousand random mutations of a good request, as fast as they come."""
    import random
    dice = random.Random(20260301)
    good = (f"POST {HEARTBEAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n"
            '{"worker_id":"nope"}').encode()
    for _ in range(1000):
        noise = bytearray(good)
        for _ in range(dice.randint(1, 8)):
            place = dice.randrange(len(noise))
            match dice.randrange(3):
                case 0:
                    noise[place] = dice.randrange(256)
                case 1:
                    del noise[place]
                case 2:
                    noise.insert(place, dice.randrange(256))
        with fleet.raw() as raw:
            try:
                raw.send(bytes(noise))
            except OSError:
                pass


# -- what somebody's redis-cli left in the registry --------------------------------------------------------------------------------

@pytest.mark.parametrize("foreign", [1, 127, 128, 129, 256, 700])
def test_a_listing_passes_over_members_that_are_no_ids(redis, coordinator, foreign):
    for worker_id in ("a", "m", "z"):
        coordinator.register(worker_id)
    for place in ("!", "b ", "n\r\n", "~"):  # before, between and behind the workers; none of them an id
        redis.client.zadd("{rma}:workers", {f"{place}{'x' * 1000}{number:04}": 0 for number in range(foreign)})
    listed = coordinator.get("/api/admin/workers").json
    assert [row["worker_id"] for row in listed["workers"]] == ["a", "m", "z"]
    assert (listed["total"], listed["next_cursor"]) == (3, None)
    listed = coordinator.get("/api/admin/workers?cursor=a&limit=1").json
    assert [row["worker_id"] for row in listed["workers"]] == ["m"] and listed["next_cursor"] == "m"


def test_a_listing_of_nothing_but_members_that_are_no_ids(redis, coordinator):
    redis.client.zadd("{rma}:workers", {f"no id {number}": 0 for number in range(256)})
    assert coordinator.get("/api/admin/workers").json == {"workers": [], "total": 0, "healthy": 0, "next_cursor": None}


# -- many faults, and heartbeats that tell too much --------------------------------------------------------------------------------

@pytest.mark.parametrize("count", [17, 256, 257, 5000])
@pytest.mark.parametrize("path, valid, member", [
    (REGISTER, {"worker_id": "w", "capabilities": {}}, "containers"), (HEARTBEAT, {"worker_id": "w"}, "loaded_models")])
def test_all_faults_are_told_at_once(coordinator, path, valid, member, count):
    coordinator.register("w")
    response = coordinator.post(path, json.dumps({**valid, member: [1] * count}, separators=(",", ":")))
    assert response.status == (422 if path == REGISTER else 200)
    errors = response.json["errors" if path == REGISTER else "ignored"]
    named = min(count, 256)
    assert [fault["field"] for fault in errors[:named]] == [f"{member}[{index}]" for index in range(named)]
    assert errors[named:] == ([{"field": "...", "message": f"and {count - 256} more"}] if count > 256 else [])


@pytest.mark.parametrize("told, kept", [
    ({"loaded_models": [f"a-model-with-quite-a-long-name:{number}b" for number in range(1000)]}, {"loaded_models": ["before"]}),
    ({"loaded_models": ["x" * 20_000]}, {"loaded_models": ["before"]}),
    ({"loaded_models": [f"model:{number}b" for number in range(70)]}, None),
    ({"services_status": {"a": "x" * 20_000}}, {"services_status": {"before": "up"}}),
    ({"services_status": {"a": "x" * 8000}}, None),
    ({"specialization": "x" * 20_000}, {"specialization": "before"}), ({"specialization": "x" * 128}, None),
    ({"available_memory": "x" * 20_000}, {"available_memory": "1GB"}), ({"available_memory": "x" * 64}, None)])
def test_a_heartbeat_counts_even_if_it_tells_too_much(coordinator, told, kept):
    """A live worker must not go offline for what it likes to tell: what is too long is left out."""
    before = {"loaded_models": ["before"], "services_status": {"before": "up"}, "specialization": "before",
              "available_memory": "1GB"}
    coordinator.register("w")
    coordinator.beat("w", **before)
    response = coordinator.post(HEARTBEAT, {"worker_id": "w", "status": "draining", "current_load": 0.5, **told})
    assert response.status == 200, response
    worker = coordinator.worker("w")
    assert (worker["status"], worker["current_load"]) == ("draining", 0.5)
    assert {name: worker[name] for name in before} == {**before, **(kept or told)}
