"""Workers that fail, each in its way. No POST is delivered twice; no request fails that another worker could safely have served; no
answer that was cut off looks whole."""

import asyncio
import contextlib
import signal
import socket
import threading

import pytest

from certificates import Authority
from peer_faults import ANSWERED, CUT, DELIVERED, UNDELIVERED, after, close, late, reset, silence, stale, stale_unread
from peers import reply, saying, serving
from stage import of_all
from waiting import let_pass, wait_until

GOOD = b"the good worker"


@pytest.fixture(scope="module")
def stage(make_stage):
    stage = make_stage()
    ours, stranger = Authority(stage.directory), Authority(stage.directory, "stranger")
    stage.certificates = {"good": ours.context("127.0.0.1"), "other name": ours.context("other.example"),
                          "stranger": stranger.context("127.0.0.1"), "": None}
    idempotent = [{"name": f"idem-{number}", "tier": 2, "image": "x", "port": 9, "idempotent": True,
                   "timeouts": {"head": 1, "silence": 1}}
                  for number in range(20)]
    stage.start(idempotent, {"timeouts": {"head": 1, "silence": 1}}, SSL_CERT_FILE=ours.file)
    stage.good = stage.peers.start(saying(reply(GOOD)))
    return stage


def make_peer(stage, fault):
    tls = stage.certificates[fault.tls]
    return fault.make(stage.peers, tls) if fault.make else stage.peers.start(fault.behave, tls=tls)


def ask_until_first(stage, service, peer, method, mark, **more):
    """Asks as long as the good worker is chosen first: what counts is what becomes of a request that meets the bad one."""
    for number in range(40):
        before = peer.connections
        got = stage.ask(method, f"/service/{service}/{mark}-{number}", b"x" if method == "POST" else None, **more)
        attempts = got.headers.get("X-RMA-Attempt")
        if peer.connections > before or attempts != "1" or got.status != 200:
            return got, f"/{mark}-{number}"
    raise AssertionError("the bad worker is never chosen")


def registered_first(stage, fault):
    """A service whose first worker is bad: it alone is known while the first request comes, a good one is there for its next
    attempt."""
    service, peer = stage.service(), make_peer(stage, fault)
    stage.register(service, peer)
    return service, peer


FAILURES = {**UNDELIVERED, **DELIVERED, **ANSWERED}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_worker_serves_what_it_safely_can(stage, method):
    def run(name, fault):
        service, peer = registered_first(stage, fault)
        stage.register(service, stage.good)
        mark = f"{method}-{service}"
        got, target = ask_until_first(stage, service, peer, method, mark)
        expected = fault.get if method == "GET" else fault.post
        delivered = stage.peers.asked(target)
        assert got.is_whole and got.status in expected, (got, expected)
        if got.status == 200 and name not in ("answers late",):
            assert got.body == GOOD and int(got.headers["X-RMA-Attempt"]) >= 2, (got, got.headers.items())
        if method == "POST":
            assert len(delivered) <= 1, f"delivered {len(delivered)} times"
        if got.status in (502, 504) and got.headers["Content-Type"] == "application/problem+json":
            assert isinstance(got.json["detail"], str) and got.json["code"] and got.json["service"] == service

    of_all(run, FAILURES)


def test_without_another_worker_the_client_learns_what_happened(stage):
    def run(name, fault):
        service, _ = registered_first(stage, fault)
        got = stage.ask("GET", f"/service/{service}/alone")
        assert got.is_whole and got.status in fault.alone, (got, fault.alone)
        if name in ANSWERED:
            return
        problem = got.json
        assert got.headers["Content-Type"] == "application/problem+json" and problem["status"] == got.status
        for member in ("detail", "error", "message", "code"):
            assert isinstance(problem[member], str) and problem[member], problem
        assert problem["service"] == service and isinstance(problem["available_services"], list)
        assert isinstance(problem["retryable"], bool)

    of_all(run, FAILURES)


def test_an_undelivered_post_may_be_sent_again_and_an_unknown_one_is_called_so(stage):
    refusing, closing = stage.service(stage.peers.refusing()), stage.service(stage.peers.start(after(b"", close)))
    got = stage.ask("POST", f"/service/{refusing}/x", b"x")
    assert got.status == 502 and got.json["retryable"] is True, got
    got = stage.ask("POST", f"/service/{closing}/x", b"x")
    assert (got.status, got.json["code"], got.json["retryable"]) == (502, "outcome-unknown", False), got


@pytest.mark.parametrize("why", ["Idempotency-Key", "the catalogue"])
def test_a_post_that_may_be_delivered_twice_gets_another_worker(stage, why):
    for number, end in enumerate((close, reset)):
        service = stage.service() if why == "Idempotency-Key" else f"idem-{number}"
        peer = stage.peers.start(after(b"", end))
        stage.register(service, peer)
        stage.register(service, stage.good)
        headers = {"Idempotency-Key": f"key-{number}"} if why == "Idempotency-Key" else {}
        got, target = ask_until_first(stage, service, peer, "POST", service, headers=headers)
        assert (got.status, got.body) == (200, GOOD), got
        bodies = [request.body for _, request in stage.peers.asked(target)]
        assert bodies == [b"x", b"x"]


def test_a_request_that_has_reached_a_worker_is_not_said_to_have_had_no_effect(stage):
    """Not even if its last attempt reached nobody: the worker that refuses comes last once it is suspect."""
    key = {"Idempotency-Key": "k"}
    for behave in (after(b"", close), after(b"", reset)):
        peer = stage.peers.start(behave)
        service = stage.service(peer, stage.peers.refusing())
        got = [stage.ask("POST", f"/service/{service}/x", b"x", key) for _ in range(4)]
        assert len(peer.requests) == 4 and all(each.json["code"] == "worker-failed" for each in got), got


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_the_answer_of_a_busy_worker_is_better_than_none(stage, status):
    """Whatever becomes of the request at the others: the client sees why, and when to come again."""
    whole = reply(b"busy" * 10_000, status, ["Retry-After: 7"])

    async def in_two_writes(connection, _):
        head, _, body = whole.partition(b"\r\n\r\n")
        await connection.send(head + b"\r\n\r\n")
        await asyncio.sleep(0.001)
        await connection.send(body)

    for behave in (saying(whole), serving(in_two_writes)):
        for fault in (UNDELIVERED["refuses"], DELIVERED["closes after the request"], DELIVERED["hangs at the head"]):
            busy = stage.peers.start(behave)
            service = stage.service()
            worker = stage.register(service, busy)
            stage.register(service, make_peer(stage, fault))
            got = [stage.ask("GET", f"/service/{service}/x") for _ in range(3)]
            assert [(each.status, each.is_whole, each.body) for each in got] == [(status, True, b"busy" * 10_000)] * 3, got
            assert all(each.headers["Retry-After"] == "7" and each.headers["X-RMA-Worker"] == worker for each in got)
            assert len(busy.requests) == 3


def test_a_busy_worker_behind_one_that_fails_is_not_the_last(stage):
    """Whichever of the three is asked first."""
    for end in (close, reset, close, reset):
        busy = stage.peers.start(saying(reply(b"busy", 503)))
        service = stage.service(stage.peers.start(after(b"", end)), busy, stage.good)
        got = [stage.ask("GET", f"/service/{service}/x") for _ in range(6)]
        assert [(each.status, each.body) for each in got] == [(200, GOOD)] * 6, got


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_worker_is_asked_at_its_other_url_when_one_fails(stage, method):
    """As one is whose first container has ended: nobody else provides the service."""
    for peer in (stage.peers.refusing(), *([stage.peers.start(after(b"", close))] if method == "GET" else [])):
        service = stage.service()
        urls = [{"name": service, "service_url": url} for url in (peer.url, stage.good.url)]
        stage.coordinators[0].register(f"{service}-two", services=urls)
        got = [stage.ask(method, f"/service/{service}/x", b"x" if method == "POST" else None) for _ in range(12)]
        assert [(each.status, each.body) for each in got] == [(200, GOOD)] * 12, got
        assert {each.headers["X-RMA-Attempt"] for each in got} == {"1", "2"}


def test_up_to_three_workers_are_tried(stage):
    service = stage.service(*(stage.peers.refusing() for _ in range(2)), stage.good)
    got = stage.ask("POST", f"/service/{service}/x", b"x")
    assert (got.status, got.body) == (200, GOOD), got
    bad = [stage.peers.start(after(b"", close)) for _ in range(6)]
    service = stage.service(*bad)
    assert stage.ask("GET", f"/service/{service}/x").status == 502
    assert sum(len(peer.requests) for peer in bad) == 3


def test_a_cut_answer_never_looks_whole(stage):
    def run(name, fault):
        service, peer = registered_first(stage, fault)
        got = stage.ask("GET", f"/service/{service}/cut-{service}")
        assert not got.is_whole or got.status in (502, 504), got
        # to a client of HTTP/1.0 the end of the connection is the end of the answer: a reset it must be
        with stage.coordinators[0].raw() as raw:
            raw.send(f"GET /service/{service}/old-{service} HTTP/1.0\r\nHost: x\r\n\r\n")
            said, was_reset = read_old(raw.socket)
        head, _, body = said.partition(b"\r\n\r\n")
        lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        assert was_reset or b" 502 " in head or b" 504 " in head or (lengths and lengths[0] > len(body)), said
        assert all(len(peer.asked(f"/{way}-{service}")) == 1 for way in ("cut", "old"))

    of_all(run, CUT)


def read_old(connection):
    """What came until the end, and whether that was a reset."""
    said = b""
    try:
        while piece := connection.recv(65536):
            said += piece
    except ConnectionResetError:
        return said, True
    return said, False


def test_an_answer_that_the_worker_resets_never_looks_whole_while_it_gets_a_body(stage):
    """The kernel tells of the reset once: to the one who sends. A read then finds what had come before, and an orderly end."""
    goes = threading.Event()

    async def behave(connection):
        await connection.read_head()
        connection.writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 8_000_000)
        await asyncio.to_thread(goes.wait, 10)
        connection.reset()

    peer = stage.peers.start(behave)
    service = stage.service(peer)
    with stage.coordinators[0].raw() as raw:
        raw.send(f"POST /service/{service}/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n").send(b"x" * 100_000)
        raw.socket.recv(1000)
        let_pass(0.3)  # the coordinator reads as much of the answer as it takes for a client that does not read
        goes.set()
        wait_until(lambda: peer.open == 0)
        raw.send(b"x" * 1000)
        let_pass(0.1)
        said, was_reset = read_old(raw.socket)
    assert was_reset and not said.endswith(b"\r\n0\r\n\r\n")


def test_a_cut_answer_is_no_other_workers_business(stage):
    """Once a byte of an answer has gone to the client, nobody else's may follow it."""
    peer = stage.peers.start(after(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500, reset))
    service = stage.service(peer)
    stage.register(service, stage.good)
    for _ in range(6):
        got = stage.ask("GET", f"/service/{service}/x")
        assert got.body == GOOD if got.is_whole else (got.status == 200 and set(got.body) <= set(b"x")), got


def test_kept_connections_that_the_worker_has_ended_fail_nobody(stage):
    """A server closes a connection just when the next request is on its way: a GET is sent again; a POST is, where it can't have
    arrived."""
    for behave in (stale_unread(), stale(close), stale(reset)):
        peer = stage.peers.start(behave)
        service = stage.service(peer)
        for number in range(12):
            got = stage.ask("GET", f"/service/{service}/{number}")
            assert (got.status, got.body) == (200, b"fresh"), got
    peer = stage.peers.start(stale_unread())
    service = stage.service(peer)
    for number in range(12):
        wait_until(lambda: peer.open == 0)
        got = stage.ask("POST", f"/service/{service}/post-{number}", b"x")
        assert got.status == 200, got
        assert len(stage.peers.asked(f"/post-{number}")) == 1


def test_a_long_body_is_sent_on_no_connection_that_has_been_idle_for_long(stage):
    """If the worker closes that one, nobody has the body to send it again, even if the request may be done twice."""
    service = stage.service(stage.peers.start(stale(close)))
    assert stage.ask("GET", f"/service/{service}/x").body == b"fresh"
    let_pass(1.6)  # POOL_FRESH_MS
    got = stage.ask("POST", f"/service/{service}/x", b"x" * 100_000, {"Idempotency-Key": "k"})
    assert (got.status, got.body) == (200, b"fresh"), got


def test_a_worker_that_answers_before_it_has_read_all(stage):
    async def behave(connection):
        await connection.read_head()
        await connection.send(reply(b"too large", 413))
        connection.writer.write_eof()
        await connection.wait_until_gone()

    service = stage.service(stage.peers.start(behave))
    got = stage.ask("POST", f"/service/{service}/x", b"x" * 3_000_000)
    assert (got.status, got.body) == (413, b"too large"), got


def test_several_addresses_of_one_name_are_tried(make_stage):
    stage = make_stage()
    stage.start(**stage.names.settings())
    good = stage.peers.start(saying(reply(GOOD)))
    refusing = [f"127.0.0.{number}" for number in range(9, 2, -1)]
    for name, dead in (("several.example", refusing[:1]), ("many.example", refusing)):
        stage.names.resolve(name, ",".join([*dead, "127.0.0.1"]))
        service = stage.service(f"http://{name}:{good.port}")
        got = stage.ask("POST", f"/service/{service}/x", b"x")
        assert (got.status, got.body) == (200, GOOD), got
        assert good.requests[-1].header("host") == f"{name}:{good.port}"


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_an_address_where_tls_fails_is_passed_over(make_stage, says):
    """Nothing of the request has left; a name may have an address at which something else listens."""
    stage = make_stage()
    authority = Authority(stage.directory)
    good = stage.peers.start(saying(reply(GOOD)), tls=authority.context("worker.example"))
    stage.names.resolve("worker.example", "127.0.0.2,127.0.0.1")
    stage.start(SSL_CERT_FILE=authority.file, **stage.names.settings())
    service = stage.service(f"https://worker.example:{good.port}")
    with socket.create_server(("127.0.0.2", good.port)) as other:
        def end_each():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = other.accept()
                    with connection:
                        connection.sendall(says)
        thread = threading.Thread(target=end_each)
        thread.start()
        got = stage.ask("POST", f"/service/{service}/x", b"x")
        other.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert (got.status, got.body) == (200, GOOD), got


def test_names_that_do_not_resolve_or_not_in_time(make_stage):
    stage = make_stage()
    stage.start(**stage.names.settings())
    good = stage.peers.start(saying(reply(GOOD)))
    stage.names.resolve("none.example", "none")
    stage.names.resolve("slow.example", "slow:4000:127.0.0.1")
    for name in ("none", "slow"):
        service = stage.service(f"http://{name}.example:{good.port}")
        got = stage.ask("POST", f"/service/{service}/x", b"x")
        assert got.status in (502, 504), f"{got}; an answer after 4 s would be a 200"
        stage.register(service, good)
        got = stage.ask("POST", f"/service/{service}/x", b"x")
        assert (got.status, got.body) == (200, GOOD), got


def test_tls_is_held_against_the_name(make_stage):
    stage = make_stage()
    authority = Authority(stage.directory)
    named = stage.peers.start(saying(reply(b"named")), tls=authority.context("worker.example"))
    stage.names.resolve("worker.example", "127.0.0.1")
    stage.names.resolve("other.example", "127.0.0.1")
    stage.start(SSL_CERT_FILE=authority.file, **stage.names.settings())
    good, bad = stage.service(f"https://worker.example:{named.port}"), stage.service(f"https://other.example:{named.port}")
    for _ in range(3):
        assert stage.ask("POST", f"/service/{good}/x", b"x").body == b"named"
    assert stage.ask("GET", f"/service/{bad}/x").status == 502
    assert stage.ask("GET", f"/service/{stage.service(named)}/x").status == 502  # by its address: the certificate has no such
    assert len(named.requests) == 3


# -- what is remembered of failures


def test_a_worker_that_keeps_failing_is_left_alone_for_a_while(stage):
    bad = stage.peers.start(after(b"", close))
    service = stage.service(bad, stage.good)
    statuses = [stage.ask("POST", f"/service/{service}/{number}", b"x").status for number in range(60)]
    assert statuses.count(502) <= 8 and statuses.count(200) >= 52, statuses
    assert len(bad.requests) <= 8


def test_never_more_than_half_of_a_services_workers_are_left_alone(stage):
    """All of them fail, for a reason of the clients' perhaps: the service is not closed down."""
    bad = [stage.peers.start(after(b"", close)) for _ in range(4)]
    service = stage.service(*bad)
    for number in range(60):
        assert stage.ask("POST", f"/service/{service}/{number}", b"x").status == 502  # of a worker that was asked
    rows = stage.coordinators[0].get(f"/api/route/explain?service={service}").json["workers"]
    codes = sorted(row["code"] for row in rows if row["worker_id"].startswith(f"{service}-"))
    assert codes == ["breaker-open"] * 2 + ["eligible"] * 2, codes
    assert sum(len(peer.requests) for peer in bad) == 60


def test_a_method_that_a_worker_does_not_have_is_no_failure_of_it(stage):
    """Else somebody who tries methods would keep requests away from good workers."""
    service = stage.service(*(stage.peers.start(saying(reply(b"no", 501))) for _ in range(2)))
    assert {stage.ask("PROPFIND", f"/service/{service}/x").status for _ in range(20)} == {501}
    rows = stage.coordinators[0].get(f"/api/route/explain?service={service}").json["workers"][:2]
    assert [(row["code"], row["failures_in_a_row"]) for row in rows] == [("eligible", 0)] * 2, rows


def test_a_late_worker_is_waited_for(stage):
    service = stage.service(stage.peers.start(late(0.7)))
    got = stage.ask("POST", f"/service/{service}/x", b"x")
    assert (got.status, got.body) == (200, b"late")


def test_a_client_that_half_closes_is_gone(stage):
    peer = stage.peers.start(after(b"", silence))
    service = stage.service(peer)
    with stage.coordinators[0].raw() as raw:
        raw.send(f"GET /service/{service}/x HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: peer.requests)
        raw.socket.shutdown(socket.SHUT_WR)
        wait_until(lambda: peer.open == 0 or peer.requests[0].gone)


def test_a_busy_worker_that_answers_before_it_gets_the_body(make_stage):
    """Its answer begins before the coordinator, which stands still now and then, has begun to read the body. A worker that is asked
    after that gets the whole body or nothing."""
    stage = make_stage()
    coordinator = stage.start([{"name": "light", "tier": 2, "image": "x", "port": 9, "spread": "random"}], THREADS=1)
    count, size = 60, 100_000

    async def busy(connection):
        while (request := await connection.read_head()) is not None:
            if request.method == "GET":
                await asyncio.sleep(0.05)  # so that each of the others needs a connection of its own
                await connection.send(reply(b"warm"))
            else:
                await connection.send(b"HTTP/1.1 429 Busy\r\nContent-Length: 4\r\n\r\n")
                await connection.wait_until_gone()

    peer, good = stage.peers.start(busy), stage.peers.start(saying(reply(GOOD)))
    urls = [{"name": "light", "service_url": url} for url in ("http://169.254.1.1", peer.url)]
    coordinator.register("busy", services=urls)  # at first it is asked where no request may go: the next attempt comes at once
    coordinator.register("good", services=[{"name": "light", "service_url": good.url}])
    for _ in range(10):
        clients = [coordinator.raw() for _ in range(count)]
        for raw in clients:
            raw.send("GET /service/light/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert {raw.read_response().status for raw in clients} == {200}
        coordinator.send_signal(signal.SIGSTOP)
        for raw in clients:
            raw.send("POST /service/light/x HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\n"
                     f"Content-Length: {size}\r\n\r\n").send(b"x" * 1000)
        for _ in range(20):
            coordinator.send_signal(signal.SIGCONT)
            let_pass(0.0002)
            coordinator.send_signal(signal.SIGSTOP)
            let_pass(0.003)
        coordinator.send_signal(signal.SIGCONT)
        for raw in clients:
            raw.close()
    assert stage.ask("POST", "/service/light/x", b"x" * size).status in (200, 429)
    assert coordinator.is_running()
