"""A live worker is never lost for what it tells: whatever stands in its heartbeat, it counts, and what is of no use is named."""

import json

import pytest

from waiting import wait_until

SINGLE, BULK, EDGE = "/api/worker/heartbeat", "/api/worker/heartbeats", "/api/edge/heartbeat"
PATHS = pytest.mark.parametrize("path", [SINGLE, BULK, EDGE])
KNOWN = {"status": "draining", "current_load": 0.5, "available_memory": "9GB", "active_requests": 2, "gpu_utilization": 65.5,
         "loaded_models": ["before"], "services_status": {"ocr": "up"}, "specialization": "ocr"}


def send(coordinator, path, text, worker_id="w"):
    """Sends a heartbeat whose members besides worker_id are `text`; -> what was ignored: [(field, message)]"""
    body = f'{{"worker_id": "{worker_id}", {text}}}'
    if path == BULK:
        body = f'{{"heartbeats": [{{"worker_id": "other"}}, {body}]}}'
    response = coordinator.post(path, body, {"Content-Type": "application/json"})
    assert response.status == 200, (text, response)
    if path == BULK:
        assert (response.json["ok"], response.json["refused"], response.json["not_found"]) == (2, 0, []), (text, response)
        assert {fault["index"] for fault in response.json.get("ignored", [])} <= {1}
    else:
        assert response.json["status"] == "ok"
    return [(fault["field"], fault["message"]) for fault in response.json.get("ignored", [])]


@pytest.fixture
def fleet(coordinator):
    coordinator.register("w", services=[{"name": "ocr"}])
    coordinator.register("other")
    return coordinator


def known_of(coordinator, worker_id="w"):
    worker = coordinator.worker(worker_id)
    return {name: worker[name] for name in KNOWN}


USELESS = [
    '"gpu_utilization": "[N/A]"', '"gpu_utilization": NaN', '"gpu_utilization": -Infinity', '"gpu_utilization": true',
    '"gpu_utilization": -1',
    '"gpu_utilization": 1e6', '"current_load": -1', '"current_load": [0.5]', '"current_load": "high"', '"current_load": false',
    '"current_load": 1e999', '"current_load": Infinity', '"current_load": {"1m": 0.5}', '"available_memory": 12345678',
    '"available_memory": ["9GB"]', '"available_memory": "' + "x" * 65 + '"', '"active_requests": -3', '"active_requests": 2.5',
    '"active_requests": 1e30', '"active_requests": "many"', '"active_requests": []', '"loaded_models": 7',
    '"loaded_models": {"m": 1}',
    '"loaded_models": [7]', '"loaded_models": [NaN, {}]', '"loaded_models": ["' + "x" * 9000 + '"]', '"services_status": []',
    '"services_status": ["ocr"]', '"services_status": "up"', '"services_status": {"a": "' + "x" * 9000 + '"}',
    '"specialization": 5',
    '"specialization": {}', '"specialization": "' + "x" * 200 + '"', '"status": 1', '"status": null, "status": "x"',
    '"status": ["healthy"]',
    '"status": ""', '"status": " "', '"status": "N/A"', '"status": NaN', '"expect_silence": -1', '"expect_silence": "long"',
    '"specialization": "\\u0000"', '"available_memory": "\\ud800"', '"active_requests": 0.' + "1" * 70, '"extra": NaN',
    '"extra": ' + "[" * 5000 + "]" * 5000, '"extra": {"a": [1e999]}', '"\\u0000": 1']


@PATHS
def test_what_is_of_no_use_is_left_out_and_named(fleet, path):
    fleet.beat("w", **KNOWN)
    for text in USELESS:
        before = fleet.worker("w")["last_heartbeat"]
        ignored = send(fleet, path, text)
        member = json.loads("{" + text.split(":")[0] + ": 1}")
        assert {field.split(".")[0].split("[")[0] for field, _ in ignored} <= {*member, "\\u0000"} and ignored, (text, ignored)
        assert all(message for _, message in ignored)
        assert known_of(fleet) == KNOWN, text
        assert fleet.worker("w")["last_heartbeat"] >= before


@PATHS
def test_a_heartbeat_of_nothing_but_useless_members_is_a_sign_of_life(start_redis, start_coordinator, clock, path):
    coordinator = start_coordinator(start_redis(clock=clock), clock=clock)
    coordinator.register("w")
    coordinator.register("other")
    for _ in range(4):
        clock.advance(200)
        ignored = send(coordinator, path, '"status": 5, "current_load": -1, "gpu_utilization": "[N/A]", "loaded_models": [5]')
        assert len(ignored) == 4
        assert coordinator.worker("w")["status"] == "healthy"


@PATHS
@pytest.mark.parametrize("text, shown", [
    ('"current_load": 45', {"current_load": 1}), ('"current_load": "7.5"', {"current_load": 1}),
    ('"loaded_models": [{"name": "m"}, {"model": "n"}, {"id": "o"}, "p", 5]', {"loaded_models": ["m", "n", "o", "p"]}),
    ('"loaded_models": "m, n"', {"loaded_models": ["m", "n"]}),
    ('"services_status": {"ocr": "up", "load": NaN}', {"services_status": {"ocr": "up", "load": None}}),
    ('"expect_silence": 86400', {})])
def test_what_is_clear_is_used_and_named(fleet, path, text, shown):
    fleet.beat("w", **KNOWN)
    assert send(fleet, path, text)
    assert known_of(fleet) == KNOWN | shown


@PATHS
@pytest.mark.parametrize("text, shown", [
    ('"current_load": "0.25"', {"current_load": 0.25}), ('"current_load": " 0,25"', {"current_load": 0.25}),
    ('"active_requests": "7"', {"active_requests": 7}), ('"gpu_utilization": "80 %"', {"gpu_utilization": 80}),
    ('"status": " Healthy "', {"status": "healthy"}), ('"status": "DEGRADED"', {"status": "degraded"}),
    ('"status": null, "loaded_models": []', {"loaded_models": []})])
def test_what_is_meant_is_taken_without_a_word(fleet, path, text, shown):
    fleet.beat("w", **KNOWN)
    assert send(fleet, path, text) == []
    assert known_of(fleet) == KNOWN | shown


def test_blanks_around_an_id_and_a_mark_before_the_body(fleet):
    response = fleet.post(SINGLE, b'\xef\xbb\xbf{"worker_id": " w ", "current_load": 0.75}')
    assert response.status == 200 and fleet.worker("w")["current_load"] == 0.75
    response = fleet.post(BULK, b'\xef\xbb\xbf {"heartbeats": [{"worker_id": "w\\t", "current_load": 0.25}]}')
    assert response.json["ok"] == 1 and fleet.worker("w")["current_load"] == 0.25


def test_one_bad_entry_spoils_only_itself(fleet):
    response = fleet.post(BULK, b'{"heartbeats": [{"worker_id": "w", "current_load": 0.5}, {"worker_id": 5}, NaN, '
                                b'{"worker_id": "other", "current_load": NaN, "status": "degraded"}, '
                                b'{"worker_id": "nobody", "current_load": -1}], "x": -Infinity}')
    answer = response.json
    assert (answer["ok"], answer["refused"], answer["not_found"]) == (2, 2, ["nobody"])
    assert [entry["index"] for entry in answer["invalid"]] == [1, 2]
    assert [(entry["index"], entry["field"]) for entry in answer["ignored"]] == [(3, "current_load"), (4, "current_load")]
    assert fleet.worker("other")["status"] == "degraded"


def test_what_many_heartbeats_tell_in_vain_is_named_within_bounds(fleet):
    beats = [{"worker_id": "w", "status": 1, "current_load": -1}] * 500
    answer = fleet.post(BULK, {"heartbeats": beats}).json
    assert answer["ok"] == 500 and len(answer["ignored"]) == 257
    assert answer["ignored"][255]["index"] == 127 and answer["ignored"][256] == {
        "index": None, "field": "...", "message": "and 744 more"}


# -- statuses that are none --------------------------------------------------------------------------------------------------------

@PATHS
@pytest.mark.parametrize("word", ["busy", "removed", "unknown", "überlastet", "a\nb"])
def test_an_unknown_status_counts_as_degraded_and_is_shown(fleet, path, word):
    ignored = send(fleet, path, f'"status": {json.dumps(word)}')
    assert [field for field, _ in ignored] == ["status"]
    row = fleet.workers()["w"]
    assert (row["status"], row["is_healthy"], row["reported_status"]) == ("degraded", False, word)
    assert fleet.get("/api/worker/w").json["reported_status"] == word
    assert fleet.stats()["healthy_workers"] == 1
    send(fleet, path, '"current_load": 0.1')
    assert fleet.worker("w")["reported_status"] == word, "what is not told stays"
    send(fleet, path, '"status": "degraded"')
    assert fleet.worker("w")["status"] == "degraded" and "reported_status" not in fleet.worker("w")


def test_a_long_status_is_cut(fleet):
    send(fleet, SINGLE, f'"status": "{"ü" * 1000}"')
    assert fleet.worker("w")["reported_status"] == "ü" * 32


def test_an_unknown_status_under_an_operator_s_drain(fleet):
    assert fleet.post("/api/worker/w/drain", {}).status == 200
    send(fleet, SINGLE, '"status": "busy"')
    assert (fleet.worker("w")["status"], fleet.worker("w")["reported_status"]) == ("draining", "busy")
    assert fleet.post("/api/worker/w/undrain", {}).status == 200
    assert fleet.worker("w")["status"] == "degraded"


# -- what is not told stays --------------------------------------------------------------------------------------------------------

@PATHS
@pytest.mark.parametrize("silent", [1, 301])
def test_a_bare_heartbeat_changes_nothing_but_the_sign_of_life(start_redis, start_coordinator, clock, path, silent):
    coordinator = start_coordinator(start_redis(clock=clock), clock=clock)
    coordinator.register("w", services=[{"name": "ocr"}])
    coordinator.register("other", services=[{"name": "ocr"}])
    coordinator.beat("w", **KNOWN | {"status": "degraded", "current_load": 0.9})
    clock.advance(silent)
    wait_until(lambda: silent == 1 or coordinator.worker("w")["status"] == "offline")
    assert send(coordinator, SINGLE, '"status": null', "other") == send(coordinator, path, '"status": null') == []
    assert known_of(coordinator) == KNOWN | {"status": "degraded", "current_load": 0.9}
    assert coordinator.get("/api/worker/find/ocr").json["worker_id"] == "other", "a bare heartbeat makes no favourite"


# -- what operators hear of it -----------------------------------------------------------------------------------------------------

def lines(coordinator, event="heartbeat"):
    return [line for line in coordinator.log_lines() if line.get("event") == event]


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_such_heartbeat_of_a_worker_is_logged_and_others_are_counted(redis, start_coordinator, threads):
    coordinator = start_coordinator(redis, THREADS=threads)
    for worker_id in ("w", "v", "other"):
        coordinator.register(worker_id)
    for number in range(60):
        with coordinator.connection() as connection:
            path = (SINGLE, EDGE)[number % 2]
            assert connection.request("POST", path, {"worker_id": "w", "gpu_utilization": "[N/A]"}).status == 200
    send(coordinator, BULK, '"gpu_utilization": "[N/A]", "status": "busy"', "v")
    first, second = lines(coordinator)
    assert (first["level"], first["worker_id"], first["field"], first["address"]) == ("warn", "w", "gpu_utilization", "127.0.0.1")
    assert "number" in first["detail"]
    assert (second["level"], second["worker_id"], second["field"]) == ("warn", "v", "gpu_utilization,status")
    metrics = coordinator.get("/metrics").body.decode()
    assert "rma_heartbeats_ignored_total 61\n" in metrics
    coordinator.stop()  # whatever was not told is told at the end
    again = [line for line in lines(coordinator) if "times" in line]
    assert {line["field"] for line in again} == {"gpu_utilization"} and sum(line["times"] for line in again) == 59


def test_two_instances_log_it_once(redis, start_coordinator):
    first, second = start_coordinator(redis), start_coordinator(redis)
    first.register("w")
    for coordinator in (first, second, first):
        assert coordinator.post(SINGLE, {"worker_id": "w", "current_load": 45}).status == 200
    assert len(lines(first)) == 1 and lines(second) == []


def test_heartbeats_of_strangers_are_not_logged_so(coordinator):
    assert coordinator.post(SINGLE, {"worker_id": "nobody", "current_load": -1}).status == 404
    assert coordinator.post(SINGLE, {"worker_id": "no id", "current_load": -1}).status == 422
    assert coordinator.post(BULK, {"heartbeats": [{"worker_id": "nobody", "current_load": -1}]}).json["not_found"] == ["nobody"]
    assert [line for line in lines(coordinator) if line["level"] == "warn"] == []
    assert "rma_heartbeats_ignored_total 0\n" in coordinator.get("/metrics").body.decode()


# -- what is refused all the same --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path, body, status, more", [
    (SINGLE, b"{", 400, {}), (EDGE, b'"x"', 400, {}), (BULK, b"[]", 400, {}),
    (SINGLE, {"worker_id": "a b"}, 422, {"field": "worker_id"}), (EDGE, {}, 422, {"field": "worker_id"}),
    (BULK, {"heartbeats": []}, 422, {"field": "heartbeats"}),
    (SINGLE, {"worker_id": "nobody"}, 404, {"worker_id": "nobody"}), (EDGE, {"worker_id": "nobody"}, 404, {"worker_id": "nobody"}),
    ("/api/worker/register", {"worker_id": "w", "capabilities": 5}, 422, {"field": "capabilities", "worker_id": "w"}),
    ("/api/edge/register", {"worker_id": "w", "capabilities": [], "url": "https://x.example"}, 422,
     {"field": "capabilities", "worker_id": "w"}),
    (SINGLE, b'{"worker_id": "w"' + b" " * 70_000 + b"}", 413, {})])
def test_a_refused_request_of_a_worker_s_path_is_logged_once_and_counted(redis, start_coordinator, path, body, status, more):
    coordinator = start_coordinator(redis, THREADS=1)
    for _ in range(5):
        assert coordinator.post(path, body).status == status
    line, = [line for line in lines(coordinator, "request") if "times" not in line]
    assert (line["level"], line["message"], line["status"], line["route"]) == ("info", "refused", status, path)
    assert line["address"] == "127.0.0.1" and line["detail"]
    assert {name: line[name] for name in ("field", "worker_id") if name in line} == more
    coordinator.stop()
    assert sum(line["times"] for line in lines(coordinator, "request") if "times" in line) == 4


def test_what_a_bulk_request_loses_is_logged(redis, start_coordinator):
    coordinator = start_coordinator(redis, THREADS=1)
    coordinator.register("w")
    for _ in range(3):
        coordinator.post(BULK, {"heartbeats": [{"worker_id": "w"}, {"worker_id": "nobody"}, {"worker_id": "nothing"}, 5]})
    line, = lines(coordinator)
    assert (line["level"], line["refused"], line["not_found"], line["worker_id"],
            line["address"]) == ("info", 1, 2, "nobody", "127.0.0.1")


@pytest.mark.parametrize("path", ["/api/worker/register", "/api/edge/register"])
def test_a_registration_counts_without_what_is_no_number(coordinator, path):
    """Python's json.dumps writes such tokens."""
    response = coordinator.post(
        path, b'\xef\xbb\xbf{"worker_id": "w", "capabilities": {"cpu_cores": NaN, "ram": "16GB", "load": [1, -Infinity]}, '
                                      b'"services": [{"name": "ocr", "rate": Infinity}]}')
    assert response.status == 200, response
    assert [fault["field"] for fault in response.json["ignored"]] == [
        "capabilities.cpu_cores", "capabilities.load[1]", "services[0].rate"]
    worker = coordinator.worker("w")
    assert worker["capabilities"] == {"cpu_cores": None, "ram": "16GB", "load": [1, None]}
    assert worker["services"] == [{"name": "ocr", "rate": None}]
