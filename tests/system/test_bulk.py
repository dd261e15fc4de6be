"""Heartbeats of many workers in one request."""

import json

import pytest

import project
from waiting import wait_until

PATH = "/api/worker/heartbeats"


def beat_all(coordinator, *beats):
    response = coordinator.post(PATH, {"heartbeats": list(beats)})
    assert response.status == 200, response
    return response.json


def test_all_of_them_are_taken(coordinator):
    for i in range(3):
        coordinator.register(f"w{i}")
    answer = beat_all(coordinator, *({"worker_id": f"w{i}", "current_load": i / 10, "loaded_models": ["m"]} for i in range(3)))
    assert answer == {"ok": 3, "not_found": [], "revived": [], "refused": 0, "invalid": []}
    assert [worker["current_load"] for worker in coordinator.workers().values()] == [0, 0.1, 0.2]
    assert coordinator.worker("w1")["loaded_models"] == ["m"]


def test_what_succeeds_in_part_says_so(coordinator):
    coordinator.register("good")
    coordinator.register("also")
    answer = beat_all(coordinator, {"worker_id": "good", "current_load": 0.5}, {"worker_id": "nobody"}, {"worker_id": "bad id"}, 7,
                      {"worker_id": 7, "status": "healthy"}, {"worker_id": "also", "current_load": 0.25}, {"worker_id": "nothing"})
    assert (answer["ok"], answer["not_found"], answer["refused"]) == (2, ["nobody", "nothing"], 3)
    assert [entry["index"] for entry in answer["invalid"]] == [2, 3, 4]
    assert {fault["field"] for fault in answer["invalid"][2]["errors"]} == {"worker_id"}
    assert "detail" in answer["invalid"][1]
    assert coordinator.worker("good")["current_load"] == 0.5 and coordinator.worker("also")["current_load"] == 0.25


def test_a_thousand_and_no_more(coordinator):
    for i in range(10):
        coordinator.register(f"w{i}")
    beats = [{"worker_id": f"w{i % 10}", "status": "healthy", "current_load": 0.5, "available_memory": "9.8GB",
              "services_status": {"rag": "running"}, "loaded_models": ["llama3.2:3b", "nomic-embed-text"]} for i in range(1000)]
    assert len(json.dumps(beats)) > 64 * 1024
    assert beat_all(coordinator, *beats)["ok"] == 1000
    assert coordinator.post(PATH, {"heartbeats": beats + beats[:1]}).status == 422


def test_a_late_worker_is_revived(start_redis, start_coordinator, clock):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis)
    coordinator.register("late")
    clock.advance(3600)
    coordinator.register("present")
    assert beat_all(coordinator, {"worker_id": "late"}, {"worker_id": "present"})["revived"] == ["late"]
    assert set(coordinator.workers()) == {"late", "present"}


@pytest.mark.parametrize("body, status", [
    ({}, 422), ({"heartbeats": None}, 422), ({"heartbeats": []}, 422), ({"heartbeats": {}}, 422), ({"heartbeats": "x"}, 422),
    ([], 400), (b"", 400), (b'{"heartbeats": [', 400), (b'{"heartbeats": [{"worker_id": "\xff"}]}', 400),
])
def test_what_is_refused_whole(coordinator, body, status):
    response = coordinator.post(PATH, body)
    assert response.status == status, response


def test_the_same_member_twice_is_read_as_everywhere(coordinator):
    """Of members with the same name the first counts: the list that was counted is the list that is read."""
    coordinator.register("a")
    few, many = '[{"worker_id":"a"}]', "[" + ",".join(['{"worker_id":"a"}'] * 50) + "]"
    for first, second, ok in ((few, many, 1), (many, few, 50)):
        response = coordinator.post(PATH, f'{{"heartbeats":{first},"heartb\\u0065ats":{second}}}',
                                    {"Content-Type": "application/json"})
        assert response.status == 200 and response.json["ok"] == ok


def test_other_paths_take_no_large_bodies(coordinator):
    large = {"worker_id": "w", "capabilities": {"note": "x" * 70000}}
    assert coordinator.post("/api/worker/register", large).status == 413
    assert coordinator.post(PATH, {"heartbeats": [], "note": "x" * 70000}).status == 422
    assert coordinator.post(PATH, {"heartbeats": [], "note": "x" * (1 << 20)}).status == 413


def test_redis_away(redis, coordinator):
    coordinator.register("w")
    redis.kill()
    response = coordinator.post(PATH, {"heartbeats": [{"worker_id": "w"}] * 200})
    assert response.status == 503 and response.headers["Retry-After"]
    redis.restart()
    coordinator.wait_until_ready()
    assert beat_all(coordinator, *[{"worker_id": "w"}] * 200)["ok"] == 200


def test_redis_dies_in_the_middle(redis, coordinator):
    """Many requests under way: each is answered, and what is said to be taken is taken."""
    for i in range(100):
        coordinator.register(f"w{i}")
    connections = [coordinator.raw() for _ in range(20)]
    body = json.dumps({"heartbeats": [{"worker_id": f"w{i % 100}", "current_load": 0.5} for i in range(1000)]})
    for connection in connections:
        connection.send(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}")
    redis.kill()
    assert {connection.read_response().status for connection in connections} <= {200, 503, 504}
    redis.restart()
    coordinator.wait_until_ready()


def test_unfinished_bodies_of_many_clients_take_bounded_memory(redis, start_coordinator):
    coordinator = start_coordinator(redis, THREADS=1)
    before = coordinator.memory_mb()
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode()
    half = [coordinator.raw() for _ in range(150)]
    for connection in half:
        try:
            connection.send(head + b" " * 900000)
        except OSError:
            pass  # cut off already
    wait_until(lambda: coordinator.memory_mb() - before < (90 if project.MODE == "release" else 400),
               what="memory is given back")
    assert coordinator.get("/health").status == 200
    cut_off = 0
    for connection in half:
        connection.socket.settimeout(0.05)
        try:
            cut_off += connection.socket.recv(1) == b""
        except TimeoutError:
            pass
        except OSError:
            cut_off += 1
    assert 100 < cut_off < 150, "those with less than their share go on"
    for connection in half:
        connection.close()
    assert coordinator.get("/health").status == 200
