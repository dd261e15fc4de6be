"""GET /metrics: valid for Prometheus, exact, bounded, cheap, and there when Redis is not."""

import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

import http_client
import project
import redis_server
from prometheus import Metrics, promtool, scrape
from waiting import wait_until

CATALOGUE = {"vision", "vllm", "rag", "ner", "notes", "upload", "client-rag", "doc-processor", "postgres", "neo4j", "redis",
             "chromadb", "minio", "edge-proxy"}
OTHERS = "(others)"
FLEET = {"rma_workers", "rma_workers_load", "rma_service_workers", "rma_tasks_completed_total", "rma_worker_events_total"}


def scrape_port(port):
    response = http_client.request(port, "GET", "/metrics")
    assert response.status == 200, response
    return Metrics(response.body.decode())


@pytest.fixture
def two_coordinators(redis, start_coordinator):
    return [start_coordinator(redis) for _ in range(2)]


def busy(coordinator):
    """Makes every kind of sample appear."""
    coordinator.register("w", services=["my.own:service"])
    coordinator.beat("w", current_load=0.25)
    coordinator.unregister("w")
    for path in ("/health", "/nowhere", "/service/nowhere/x", "/api/admin/workers", "/api/services/discover/rag", "/api/worker/w",
                 "/readyz"):
        coordinator.get(path)
    coordinator.request("OPTIONS", "/health")
    coordinator.post("/api/worker/heartbeat", b"{")
    coordinator.request("BREW", "/coffee")


# -- what it says ---------------------------------------------------------------------------------------------------------------

def test_promtool_has_nothing_against_it(coordinator):
    busy(coordinator)
    result = promtool("check", "metrics", input=scrape(coordinator).text)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_promtool_would_have():
    result = promtool("check", "metrics", input="# HELP rma_x_total It.\n# TYPE rma_x_total gauge\nrma_x_total 1\n")
    assert result.returncode != 0


def test_names_and_labels(coordinator):
    busy(coordinator)
    metrics = scrape(coordinator)
    for name in metrics.types:
        assert name.startswith(("rma_", "process_")), name
    labels = {key for samples in metrics.samples.values() for each in samples for key, _ in each}
    assert labels == {"version", "tier", "status", "service", "event", "reason", "result", "le", "route", "method", "code",
                      "script", "kind", "enforced", "state"}
    histograms = [name for name, kind in metrics.types.items() if kind == "histogram"]
    assert len(histograms) == 5
    for name in histograms:
        for each, count in metrics.samples[name + "_count"].items():
            assert metrics.samples[name + "_bucket"][each | {("le", "+Inf")}] == count
            buckets = [value for bucket, value in metrics.samples[name + "_bucket"].items() if each <= bucket]
            assert buckets == sorted(buckets) and len(buckets) == 15


def test_counts_are_exact(two_coordinators):
    """What an instance was asked is in its own counters alone; the fleet is the same on both."""
    a, b = two_coordinators
    a.register("w1")
    a.register("w2")
    a.register("w2")
    a.post("/api/worker/register", {"capabilities": 5})
    b.register("w3", services=["ocr"])
    for worker_id in ("w1", "w1", "w2"):
        a.beat(worker_id, current_load=0.5)
    b.beat("w3", status="degraded")
    assert b.post("/api/worker/heartbeats",
                  {"heartbeats": [{"worker_id": "w3", "status": "healthy"}, {"worker_id": "nobody"}, {}]}).status == 200
    assert a.post("/api/worker/heartbeat", {"worker_id": "nobody"}).status == 404
    b.unregister("w1")
    assert b.delete("/api/worker/unregister/w1").status == 404
    assert a.request("HEAD", "/livez").status == 200
    assert a.get("/nowhere").status == 404

    at_a, at_b = scrape(a), scrape(b)
    results = {(name, result): (at_a.value(f"rma_{name}_total", result=result), at_b.value(f"rma_{name}_total", result=result))
               for name in ("registrations", "heartbeats", "unregistrations")
               for result in at_a.labels(f"rma_{name}_total", "result")}
    assert results == {
        ("registrations", "new"): (2, 1), ("registrations", "again"): (1, 0), ("registrations", "failed"): (0, 0),
        ("heartbeats", "taken"): (3, 2), ("heartbeats", "unknown"): (1, 1), ("heartbeats", "revived"): (0, 0),
        ("heartbeats", "failed"): (0, 0),
        ("unregistrations", "removed"): (0, 1), ("unregistrations", "unknown"): (0, 1), ("unregistrations", "failed"): (0, 0)}
    assert [each.value("rma_heartbeat_lateness_seconds_count") for each in (at_a, at_b)] == [3, 2]
    assert at_a.value("rma_heartbeat_lateness_seconds_bucket", le="0.1") == 3

    def requests(metrics, **labels):
        return metrics.samples["rma_http_requests_total"].get(frozenset(labels.items()), 0)
    register = {"route": "/api/worker/register", "method": "POST"}
    assert requests(at_a, **register, code="200") == 3 and requests(at_a, **register, code="422") == 1
    assert at_a.value("rma_http_request_duration_seconds_count", **register) == 4
    assert requests(at_b, **register, code="200") == 1
    assert requests(at_a, route="/livez", method="HEAD", code="200") == 1
    assert requests(at_a, route="none", method="GET", code="404") == 1
    assert requests(at_a, route="/api/worker/heartbeat", method="POST", code="404") == 1
    assert requests(at_b, route="/api/worker/unregister/{worker_id}", method="DELETE", code="404") == 1
    assert at_a.sum("rma_redis_command_duration_seconds_count", script="register") == 3
    assert at_b.sum("rma_redis_command_duration_seconds_count", script="unregister") == 2

    for each in (at_a, at_b):
        assert each.value("rma_redis_up") == 1 and each.value("rma_redis_connections") == 2
        assert each.sum("rma_workers") == 2 and each.value("rma_workers", tier="2", status="healthy") == 2
        assert each.value("rma_workers_load", tier="2") == 0.5
        assert each.value("rma_service_workers", service="ocr", status="healthy") == 1
        events = {(dict(labels)["event"], dict(labels)["reason"]): value
                  for labels, value in each.samples["rma_worker_events_total"].items()}
        assert len(events) == 16 and {event: value for event, value in events.items() if value} == {
            ("registered", "new"): 3, ("registered", "again"): 1, ("updated", "heartbeat"): 2, ("removed", "unregistered"): 1}
    again = scrape(a)
    assert requests(again, route="/metrics", method="GET", code="200") == 1, "the scrapes before it"
    assert again.value("rma_http_connections") == 1 and again.value("rma_http_requests_waiting") == 1, "those of the scrape"


def test_a_late_heartbeat_is_observed(start_redis, start_coordinator, clock):
    coordinator = start_coordinator(start_redis(clock=clock), clock=clock)
    coordinator.register("w")
    clock.advance(100)
    coordinator.beat("w")
    metrics = scrape(coordinator)
    assert 70 <= metrics.value("rma_heartbeat_lateness_seconds_sum") < 80
    assert metrics.value("rma_heartbeat_lateness_seconds_bucket", le="60") == 0
    assert metrics.value("rma_heartbeat_lateness_seconds_bucket", le="120") == 1


def test_process_figures(coordinator):
    metrics = scrape(coordinator)
    assert abs(metrics.value("process_resident_memory_bytes") / 1e6 - coordinator.memory_mb()) < 20
    assert 5 < metrics.value("process_open_fds") < 100 < metrics.value("process_max_fds")
    held = [coordinator.raw() for _ in range(50)]
    wait_until(lambda: scrape(coordinator).value("process_open_fds") == metrics.value("process_open_fds") + 50,
               what="50 more are open")
    assert scrape(coordinator).value("rma_http_connections") == 51
    for each in held:
        each.close()
    wait_until(lambda: scrape(coordinator).value("rma_http_connections") == 1, what="they are closed")
    assert scrape(coordinator).value("process_cpu_seconds_total") > 0
    started = metrics.value("process_start_time_seconds")
    assert started < scrape(coordinator).value("process_start_time_seconds") + 0.001


def test_event_streams_are_counted(coordinator):
    with coordinator.raw() as raw:
        raw.send("GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: scrape(coordinator).value("rma_http_event_streams") == 1, what="the stream is counted")
    wait_until(lambda: scrape(coordinator).value("rma_http_event_streams") == 0,
               what="and counted no more, once it is written to")


def test_what_h2o_itself_refuses_is_counted(coordinator):
    with coordinator.raw() as raw:
        raw.send("POST /api/worker/register HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
        assert raw.read_response().status == 413
    assert scrape(coordinator).sum("rma_http_requests_total", route="none", code="413") == 1


def test_queues_and_their_tasks(two_coordinators):
    first, second = two_coordinators
    first.register("w")
    for number in range(3):
        assert first.request("POST", "/api/tasks", {"type": "echo", "queue": "one"}).status == 201
    assert first.request("POST", "/api/tasks", {"type": "echo", "queue": "two", "delay_seconds": 60}).status == 201
    task, = second.get("/api/worker/tasks?worker_id=w").json["tasks"]
    second.post("/api/worker/task-complete", {"worker_id": "w", "task_id": task["task_id"], "lease": task["lease"], "result": 1})
    task, = second.get("/api/worker/tasks?worker_id=w").json["tasks"]
    second.post(f"/api/worker/task-fail?worker_id=w&task_id={task['task_id']}&lease={task['lease']}",
                {"error": "it broke", "retryable": False})
    first.post("/api/queues/two/pause")
    for metrics in (scrape(first), scrape(second)):
        states = {state: metrics.value("rma_tasks", queue="one", state=state) for state in metrics.labels("rma_tasks", "state")}
        assert states == {"queued": 1, "scheduled": 0, "leased": 0, "completed": 1, "dead": 1, "cancelled": 0, "expired": 0}
        assert metrics.value("rma_tasks", queue="two", state="scheduled") == 1
        totals = {outcome: metrics.value("rma_tasks_total", queue="one", outcome=outcome)
                  for outcome in metrics.labels("rma_tasks_total", "outcome")}
        assert totals == {"enqueued": 3, "completed": 1, "failed": 1, "dead": 1, "cancelled": 0, "expired": 0, "lost": 0,
                          "retried": 0}
        assert 0 < metrics.value("rma_task_oldest_seconds",
                                 queue="one") < 60 and metrics.value("rma_task_oldest_seconds", queue="two") == 0
        assert (metrics.value("rma_queue_paused", queue="one"), metrics.value("rma_queue_paused", queue="two")) == (0, 1)
        assert metrics.value("rma_task_leases_lost_total") == 0
    assert first.get("/api/worker/tasks?worker_id=w").json["tasks"]
    first.unregister("w")
    assert scrape(second).value("rma_task_leases_lost_total") == scrape(second).value("rma_tasks_total", queue="one",
                                                                                      outcome="lost") == 1
    assert promtool("check", "metrics", input=scrape(first).text).returncode == 0


# -- bounds ---------------------------------------------------------------------------------------------------------------------

def test_services_have_at_most_a_hundred_series_beside_the_catalogue(coordinator):
    assert scrape(coordinator).labels("rma_service_workers", "service") == CATALOGUE | {OTHERS}
    names = [f"{letter}:{number:03}._-{'x' * 100}" for letter in "ZMa" for number in range(60)]
    for worker_id, part in (("w1", names[:90]), ("w2", names[90:]), ("w3", names[-5:] + ["rag"])):
        coordinator.register(worker_id, services=part)
    metrics = scrape(coordinator)
    shown = metrics.labels("rma_service_workers", "service")
    assert shown == CATALOGUE | {OTHERS} | set(sorted(names)[:100])
    assert metrics.sum("rma_service_workers", service=OTHERS) == 80 + 5
    assert metrics.value("rma_service_workers", service=sorted(names)[0], status="healthy") == 1
    assert metrics.sum("rma_service_workers", service="rag") >= 1
    assert promtool("check", "metrics", input=metrics.text).returncode == 0


def test_queues_have_at_most_a_hundred_series(coordinator):
    names = [f"{letter}:{number:03}._-{'x' * 100}" for letter in "ZMa" for number in range(40)]
    answer = coordinator.post("/api/tasks/bulk", {"tasks": [{"type": "echo", "queue": name} for name in names for _ in range(2)]})
    assert answer.json["created"] == 240
    metrics = scrape(coordinator)
    assert metrics.labels("rma_tasks", "queue") == set(sorted(names)[:100]) | {OTHERS}
    assert metrics.value("rma_tasks", queue=OTHERS,
                         state="queued") == 40 and metrics.value("rma_tasks_total", queue=OTHERS, outcome="enqueued") == 40
    assert metrics.value("rma_task_oldest_seconds", queue=OTHERS) > 0
    assert promtool("check", "metrics", input=metrics.text).returncode == 0


def test_what_strangers_send_makes_no_series(coordinator):
    for number in range(30):
        coordinator.get(f"/nowhere/{number}")
        coordinator.get(f"/api/worker/nobody{number}")
        coordinator.request(f"METHOD{number}", "/health")
        coordinator.get(f"/health?{number}", headers={f"X-{number}": "y"})
    metrics = scrape(coordinator)
    routes = {path.split(" ")[1] for path in coordinator.get("/api").json["endpoints"]} | {"none"}
    assert metrics.labels("rma_http_requests_total", "route") <= routes
    assert metrics.value("rma_http_requests_total", route="none", method="other", code="405") == 30
    assert metrics.value("rma_http_requests_total", route="none", method="GET", code="404") == 30
    assert metrics.value("rma_http_requests_total", route="/api/worker/{worker_id}", method="GET", code="404") == 30


def test_a_name_that_somebody_wrote_into_redis_is_no_series(redis, coordinator):
    """Only what can be the name of a service becomes a label."""
    redis.client.hset("{rma}:services", mapping={'healthy a"} 1\nb{c="d': 1, "healthy ": 2, "odd": 3, "healthy ok": "x",
                                                 "healthy fine": 4})
    metrics = scrape(coordinator)
    assert metrics.labels("rma_service_workers", "service") == CATALOGUE | {OTHERS, "fine"}


# -- Redis ------------------------------------------------------------------------------------------------------------------------

def test_without_redis_it_says_so(redis, coordinator):
    coordinator.register("w")
    assert FLEET <= scrape(coordinator).names()
    redis.kill()
    wait_until(lambda: not any(coordinator.is_ready() for _ in range(25)), what="all threads know that Redis is away")
    before = scrape(coordinator)
    assert coordinator.post("/api/worker/heartbeat", {"worker_id": "w"}).status == 503
    metrics = scrape(coordinator)
    assert metrics.value("rma_redis_up") == 0 and metrics.value("rma_redis_connections") == 0
    assert not FLEET & metrics.names()
    assert metrics.value("rma_redis_disconnects_total") == 2
    assert metrics.value("rma_heartbeats_total", result="failed") == 1
    assert metrics.value("rma_http_requests_total", route="/api/worker/heartbeat", method="POST", code="503") == 1
    assert before.value("rma_http_requests_total", route="/metrics", method="GET", code="200") == 1
    assert promtool("check", "metrics", input=metrics.text).returncode == 0
    redis.start()
    coordinator.wait_until_ready()
    metrics = scrape(coordinator)
    assert metrics.value("rma_redis_up") == 1 and metrics.value("rma_redis_connects_total") == 4 and metrics.sum("rma_workers") == 1


def test_while_redis_is_silent_it_answers_earlier_than_others(redis, coordinator):
    redis.freeze()
    try:
        with coordinator.raw() as patient, ThreadPoolExecutor(4) as pool:
            patient.send("GET /api/admin/stats HTTP/1.1\r\nHost: x\r\n\r\n")
            responses = list(pool.map(lambda _: coordinator.get("/metrics"), range(4)))
            assert not patient.has_answer(), "it waits for 1.5 s, and a scrape for 0.8 s"
    finally:
        redis.thaw()
    for response in responses:
        assert response.status == 200
        assert Metrics(response.body.decode()).value("rma_redis_up") == 0
    wait_until(lambda: scrape(coordinator).value("rma_redis_up") == 1, what="Redis is back")


def test_every_error_that_redis_may_answer_has_a_kind(coordinator):
    """A new one in the table of errors is one here."""
    words = re.findall(r'X\(ERR_(\w+), 503, "(\w+)"', (project.ROOT / "src/base/err.h").read_text())
    kinds = scrape(coordinator).labels("rma_redis_command_errors_total", "kind")
    assert len(words) > 5 and len(kinds) == len(words) + 3, "those, and refused, unavailable, overloaded"


def test_errors_of_redis_are_counted_by_kind(redis, coordinator):
    redis.client.config_set("maxmemory", 1)
    assert coordinator.post("/api/worker/register", {"capabilities": {}}).status == 503
    redis.client.config_set("maxmemory", 0)
    assert scrape(coordinator).value("rma_redis_command_errors_total", kind="out_of_memory") >= 1


def test_a_scrape_runs_three_scripts_and_nothing_else(redis, coordinator):
    """However many workers there are: no scan, no worker's key."""
    for number in range(20):
        coordinator.register(f"w{number}")
    scrape(coordinator)
    with redis.client.monitor() as monitor:
        scrape(coordinator)
        redis.client.echo("the end")
        commands = []
        for command in monitor.listen():
            if "the end" in command["command"]:
                break
            commands.append((command["client_type"] == "lua", command["command"]))
    scripts = [command for inner, command in commands if not inner]
    inner = {command.split(" ")[0].upper() for is_inner, command in commands if is_inner}
    # sweeps and history come by themselves
    assert all(command.startswith("EVALSHA") for command in scripts) and 3 <= len(scripts) <= 7, scripts
    allowed = {"TIME", "ZRANGE", "ZRANGEBYSCORE", "HGETALL", "HEXISTS", "GET", "HGET", "XADD", "SET", "EXISTS", "ZCOUNT",
               "SMEMBERS", "SRANDMEMBER",
               "ZCARD", "ZREMRANGEBYSCORE"}
    assert "HGETALL" in inner and inner <= allowed, inner - allowed
    assert not [command for _, command in commands if re.search(r"\bw\d+\b", command)]


# -- a port of its own -------------------------------------------------------------------------------------------------------------

def test_a_port_of_its_own_serves_nothing_else(redis, start_coordinator):
    port = redis_server.free_port()
    coordinator = start_coordinator(redis, METRICS_PORT=port)
    assert scrape_port(port).value("rma_redis_up") == 1
    assert http_client.request(port, "HEAD", "/metrics").status == 200
    for method, path in (("GET", "/"), ("GET", "/health"), ("GET", "/livez"), ("OPTIONS", "/health"), ("GET", "/metrics/"),
                         ("GET", "/metricsx"),
                         ("POST", "/api/worker/register"), ("GET", "//metrics"), ("GET", "http://x/health"),
                         ("GET", "/x/../metrics")):
        assert http_client.request(port, method, path, b"{}" if method == "POST" else None).status == 404, (method, path)
    for method, path in (("GET", "/metrics"), ("HEAD", "/metrics"), ("POST", "/metrics"), ("OPTIONS", "/metrics"),
                         ("GET", "/metrics?x=1"),
                         ("GET", "http://x/metrics")):
        assert coordinator.request(method, path).status == 404, (method, path)
    assert coordinator.get("/livez").status == 200
    assert http_client.request(port, "POST", "/metrics").status == 405


def test_a_port_of_its_own_is_served_when_all_connections_are_taken(redis, start_coordinator):
    port = redis_server.free_port()
    coordinator = start_coordinator(redis, METRICS_PORT=port, MAX_CONNECTIONS=4, THREADS=1)
    held = []
    for _ in range(5):
        held.append(coordinator.raw().send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"))
    for connection in held[:4]:
        connection.read_response()
    held[4].socket.settimeout(0.5)
    with pytest.raises(socket.timeout):
        held[4].read_response()
    for _ in range(3):
        assert scrape_port(port).value("rma_http_connections") == 5
    for each in held:
        each.close()


def test_connections_to_the_port_are_bounded(redis, start_coordinator):
    port = redis_server.free_port()
    coordinator = start_coordinator(redis, METRICS_PORT=port)
    held = [http_client.RawConnection(port) for _ in range(40)]
    for each in held[:16]:
        assert each.send("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n").read_response().status == 404
    held[16].socket.settimeout(0.3)
    with pytest.raises(socket.timeout):
        held[16].send("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n").read_response()
    assert coordinator.is_alive(), "nobody else minds"
    for each in held:
        each.close()
    wait_until(lambda: scrape_port(port).value("rma_http_connections") == 1, what="there is room again")


def test_a_port_that_is_taken_is_said_so(redis, start_coordinator, make_coordinator):
    port = redis_server.free_port()
    start_coordinator(redis, METRICS_PORT=port)
    assert f"METRICS_PORT {port}" in make_coordinator(redis, METRICS_PORT=port).refuses_to_start()
    both = redis_server.free_port()
    assert f"METRICS_PORT {both}" in make_coordinator(redis, PORT=both, METRICS_PORT=both).refuses_to_start()
