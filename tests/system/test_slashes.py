"""Paths with slashes too many, as base URLs that end in one make them: they find their route, in answers, log and metrics."""

import pytest

from coordinator import CAPABILITIES
from test_idle import metric

REGISTER = "/api/worker/register"


@pytest.mark.parametrize("path", ["//api/worker/register", "/api//worker///register", "/api/worker/register/",
                                  "///api/worker/register///",
                                  "//api//worker//register//", "/api/worker/register/?x=1", "//api/worker/register?x=1//"])
def test_a_registration_finds_its_route(redis, start_coordinator, path):
    coordinator = start_coordinator(redis, LOG_LEVEL="debug", THREADS=1)
    answer = coordinator.post(path, {"worker_id": "w", "capabilities": CAPABILITIES})
    assert answer.status == 200 and answer.json["worker_id"] == "w"
    line = next(line for line in coordinator.log_lines() if line.get("method") == "POST")
    assert line["route"] == REGISTER
    assert metric(coordinator, f'rma_http_requests_total{{route="{REGISTER}",method="POST",code="200"}}') == 1


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "//health", 200), ("HEAD", "//livez/", 200), ("GET", "//", 200), ("GET", "/api/", 200), ("GET", "//metrics", 404),
    ("GET", "/metrics/", 404), ("HEAD", "//metrics//", 404),
    ("GET", "/api/worker/w/", 200), ("GET", "/api//worker/w", 200), ("GET", "/api/admin/workers/?limit=5", 200),
    ("POST", "/api/worker//w//drain/", 200), ("DELETE", "/api/worker/unregister//w/", 200), ("GET", "//api/worker/find/none", 503),
    ("GET", "http://x//livez/", 200), ("GET", "//nowhere//", 404), ("GET", "//api/worker/", 404), ("GET", "/api/worker//", 404),
    ("PUT", "//api/worker/register", 405), ("GET", "/api/worker/register/", 405), ("OPTIONS", "//api/worker/register/", 204),
    ("GET", "/v1/models/", 200), ("GET", "//v1/models//", 200), ("GET", "/v1/models/none/", 404),
    ("GET", "/api/worker/w%2F", 422), ("GET", "/.//livez", 404), ("POST", "/api/worker//drain", 405)])
def test_any_route_is_found(coordinator, method, path, status):
    coordinator.register("w")
    answer = coordinator.request(method, path)
    assert answer.status == status, answer
    if status == 405:
        assert "Allow" in answer.headers


@pytest.mark.parametrize(("path", "location"), [
    ("/dashboard/", "../dashboard"), ("/docs/", "../docs"), ("//dashboard//", "../../dashboard"), ("/docs/?x", "../docs")])
def test_pages_with_relative_links_send_the_browser_to_their_own_path(coordinator, path, location):
    answer = coordinator.get(path)
    assert answer.status == 308 and answer.headers["Location"] == location and answer.body == b""
    assert coordinator.get("//dashboard").status == 200 and coordinator.get("//docs").status == 200


def test_the_page_at_the_root_needs_no_other_path(coordinator):
    for path in ("/", "//", "///?x"):
        assert coordinator.get(path, {"Accept": "text/html"}).headers["Content-Type"].startswith("text/html")
