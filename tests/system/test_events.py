"""Live events: every instance tells what happens to the whole fleet, once, in time, to those who listen, and to nobody's harm."""

import itertools
import json
import re
import signal
import socket

import pytest

import project
from event_stream import SCHEMAS, assert_as_documented
from waiting import PATIENCE, let_pass, promised, wait_until

LIVE_EVENTS = (project.ROOT / "docs" / "api.md").read_text().partition("## Live events\n")[2].partition("\n## ")[0]
OFFLINE, REMOVED = 300, 1800


def test_the_documents_have_every_kind():
    told = set()
    for script in (project.ROOT / "lua").rglob("*.lua"):
        text = script.read_text()
        told |= {"worker." + kind for match in re.findall(r"events_tell\((.*?),", text) for kind in re.findall(r"'(\w+)'", match)}
        told |= {"worker." + kind for kind in re.findall(r"was == 'offline' and '(\w+)' or", text)}
        told |= {"worker." + kind for kind in re.findall(r"stream_add\('(\w+)',", text)}
        told |= {"task." + kind for kind in re.findall(r"\btell_of\('(\w+)'", text)}
        told |= {"queue." + kind for kind in re.findall(r"arg_field ~= '(\w+)'", text)}
    assert len(told) >= 11 and told == set(SCHEMAS) - {"heartbeats"}
    assert told == set(re.findall(r"`((?:worker|task|queue)\.\w+)`", LIVE_EVENTS))


def test_it_begins_with_how_the_fleet_is(coordinator):
    coordinator.register("w")
    with coordinator.events() as stream:
        stream.wait_for(lambda stream: stream.events)
        assert stream.status == 200 and stream.headers["Content-Type"] == "text/event-stream"
        assert stream.headers["Cache-Control"] == "no-store" and stream.headers["Access-Control-Allow-Origin"] == "*"
        assert stream.blocks[0].retry == "2000"
        stats = stream.events[0]
        assert stats.kind == "stats" and stats.data.pop("time") and stats.data == coordinator.stats()


def test_all_instances_tell_what_one_has_done(three_coordinators):
    first, second, third = three_coordinators
    with first.events() as one, second.events() as two, third.events() as three:
        for stream in (one, two, three):
            stream.wait_for(lambda stream: stream.events)
        first.register("w")
        second.beat("w", status="degraded")
        third.post("/api/worker/w/drain")
        first.post("/api/worker/w/undrain")
        second.beat("w", status="offline")
        third.beat("w")
        first.register("w")
        second.unregister("w")
        expected = [("registered", "new", "w"), ("updated", "heartbeat", "w"), ("updated", "drained", "w"),
                    ("updated", "undrained", "w"),
                    ("offline", "reported", "w"), ("online", "heartbeat", "w"), ("registered", "again", "w"),
                    ("removed", "unregistered", "w")]
        for stream in (one, two, three):
            stream.wait_for(lambda stream: len(stream.workers) == len(expected))
            assert stream.workers == expected
            assert_as_documented(stream)
        ids = [[event.id for event in stream.events if event.id] for stream in (one, two, three)]
        assert ids[0] == ids[1] == ids[2] and len(set(ids[0])) == len(expected)


def test_timeouts_are_told_in_time_and_once_though_an_instance_dies(clock, start_redis, start_coordinator):
    redis = start_redis(clock=clock)
    coordinators = [start_coordinator(redis, clock=clock) for _ in range(3)]
    coordinators[0].register("w")
    with coordinators[1].events() as one, coordinators[2].events() as two:
        for stream in (one, two):
            stream.wait_for(lambda stream: stream.events)
        coordinators[0].kill()
        for passed, kind in ((OFFLINE, "offline"), (REMOVED - OFFLINE, "removed")):
            clock.advance(passed)
            for stream in (one, two):
                stream.wait_for(lambda stream, kind=kind: (kind, "timeout", "w") in stream.workers, within=promised(2.5))
        coordinators[1].beat("w")
        for stream in (one, two):
            stream.wait_for(lambda stream: len(stream.workers) == 3)
            assert stream.workers == [("offline", "timeout", "w"), ("removed", "timeout", "w"), ("online", "revived", "w")]
            assert_as_documented(stream)


def test_heartbeats_are_told(coordinator):
    for number in range(300):  # more than are read at once
        coordinator.register(f"w{number:03}")
    with coordinator.events() as stream:
        stream.wait_for(lambda stream: stream.events)
        with coordinator.connection() as connection:
            beats = [{"worker_id": f"w{number:03}", "current_load": number / 1000, "active_requests": number}
                     for number in range(300)]
            assert connection.request("POST", "/api/worker/heartbeats", {"heartbeats": beats}).json["ok"] == 300
        rows = {}

        def all_are_told():  # by one event, or by two if it comes between the calls that take the heartbeats
            for event in stream.of("heartbeats"):
                rows.update({row[0]: dict(zip(event.data["fields"], row)) for row in event.data["workers"]})
            return len(rows) == 300

        wait_until(all_are_told)
        shown = coordinator.workers()
        for worker_id, row in rows.items():
            assert row == {name: shown[worker_id][name] for name in row}
        coordinator.beat("w007", current_load=0.5)
        seen = len(stream.of("heartbeats"))
        stream.wait_for(lambda stream: len(stream.of("heartbeats")) > seen)
        assert [row[:3] for row in stream.of("heartbeats")[seen].data["workers"]] == [["w007", "healthy", 0.5]]
        assert_as_documented(stream)


def test_more_heartbeats_than_fit_into_one_event_come_with_the_next(coordinator):
    ids = [f"w{number:03}-{'x' * 110}" for number in range(700)]
    with coordinator.connection() as connection, coordinator.events() as stream:
        for worker_id in ids:
            connection.request("POST", "/api/worker/register", {"worker_id": worker_id, "capabilities": {}})
        beats = [{"worker_id": worker_id, "current_load": 0.5} for worker_id in ids]
        assert connection.request("POST", "/api/worker/heartbeats", {"heartbeats": beats}).json["ok"] == len(ids)

        def told():
            return {row[0] for event in stream.of("heartbeats") for row in event.data["workers"] if row[2] == 0.5}

        stream.wait_for(lambda stream: told() == set(ids), within=30)
        assert not stream.ended and all(len(json.dumps(event.data)) < 128 * 1024 for event in stream.of("heartbeats"))
        assert len(stream.of("heartbeats")) > 1


def test_a_client_that_comes_back_misses_nothing(three_coordinators):
    first, second, third = three_coordinators
    with first.events() as stream:
        stream.wait_for(lambda stream: stream.events)
        first.register("a")
        stream.wait_for(lambda stream: stream.workers)
        last = stream.last_id
    second.register("b")
    second.unregister("a")
    with third.events({"Last-Event-ID": last}) as stream:
        stream.wait_for(lambda stream: stream.of("stats"))
        assert stream.workers == [("registered", "new", "b"), ("removed", "unregistered", "a")]
        second.register("c")
        stream.wait_for(lambda stream: len(stream.workers) == 3)
        assert stream.workers[2] == ("registered", "new", "c")
        newest = stream.last_id
    with second.events({"Last-Event-ID": newest}) as stream:
        stream.wait_for(lambda stream: stream.of("stats"))
        assert not stream.workers and not stream.of("reset")


def test_a_client_may_say_in_the_query_where_it_was(coordinator):
    with coordinator.events() as stream:
        for worker_id in ("a", "b", "c"):
            coordinator.register(worker_id)
        stream.wait_for(lambda stream: len(stream.workers) == 3)
        first, second, _ = [event.id for event in stream.of("worker.registered")]
    with coordinator.events(query=f"?last_event_id={first}") as stream:
        stream.wait_for(lambda stream: stream.of("stats"))
        assert stream.workers == [("registered", "new", "b"), ("registered", "new", "c")]
    with coordinator.events({"Last-Event-ID": second}, query=f"?last_event_id={first}") as stream:
        stream.wait_for(lambda stream: stream.of("stats"))
        assert stream.workers == [("registered", "new", "c")], "the browser sends the header when it has seen more"
    for query in ("?last_event_id=", "?last_event_id"):
        with coordinator.events(query=query) as stream:
            stream.wait_for(lambda stream: stream.of("stats"))
            assert not stream.workers and not stream.of("reset")
    for query in ("?last_event_id=nonsense", "?last_event_id=" + 60 * "1", "?last_event_id=%00%ff"):
        with coordinator.events(query=query) as stream:
            stream.wait_for(lambda stream: stream.of("stats"))
            assert stream.of("reset") and not stream.workers


def test_one_that_saw_no_event_can_come_back_too(coordinator):
    """Its first line names the newest event that there was."""
    coordinator.register("before")
    with coordinator.events() as stream:
        stream.wait_for(lambda stream: stream.events)
        assert not stream.workers
        last = stream.last_id
    coordinator.register("w")
    with coordinator.events({"Last-Event-ID": last}) as stream:
        stream.wait_for(lambda stream: stream.of("stats"))
        assert stream.workers == [("registered", "new", "w")] and not stream.of("reset")


def test_while_others_join_and_much_happens_each_is_told_everything_once(coordinator):
    """What was missed and what comes now must fit without a gap or a double."""
    with coordinator.events() as witness:
        witness.wait_for(lambda stream: stream.events)
        streams, last = [], None
        for number in range(120):
            coordinator.register(f"w{number}")
            if number % 5 == 4:
                witness.wait_for(lambda stream: stream.workers)
                last = last or witness.of("worker.registered")[0].id
                streams.append(coordinator.events({"Last-Event-ID": last}))
        for stream in (witness, *streams):
            stream.wait_for(lambda stream: ("registered", "new", "w119") in stream.workers)
        expected = [("registered", "new", f"w{number}") for number in range(120)]
        assert witness.workers == expected
        for stream in streams:
            assert stream.workers == expected[1:]
            stream.close()


@pytest.mark.parametrize("last", ["1-0", "nonsense", "99999999999999-0", "1" * 60, "5-", "-", "18446744073709551615-0"])
def test_what_is_kept_no_longer_is_said(coordinator, last):
    coordinator.register("w")
    with coordinator.events({"Last-Event-ID": last}) as stream:
        stream.wait_for(lambda stream: stream.of("stats"))
        assert [event.kind for event in stream.events][:1] == ["reset"] and not stream.workers
        last = stream.last_id
    coordinator.register("v")
    with coordinator.events({"Last-Event-ID": last}) as stream:
        stream.wait_for(lambda stream: stream.workers)
        assert stream.workers == [("registered", "new", "v")] and not stream.of("reset")


def change_until(redis, coordinator, events):
    """A worker changes its status until there are so many events."""
    statuses = itertools.cycle(["draining", "degraded"])
    with coordinator.connection() as connection:
        while (missing := events - redis.client.xlen("{rma}:events")) > 0:
            for status in itertools.islice(statuses, missing):
                connection.request("POST", "/api/worker/heartbeat", {"worker_id": "w", "status": status})


def test_one_that_missed_some_thousand_is_told_all_of_them(redis, coordinator):
    """Read in pages: 500 at once."""
    with coordinator.events() as stream:
        coordinator.register("w")
        stream.wait_for(lambda stream: stream.workers)
        last = stream.last_id
    for missed in (499, 500, 501, 2600):
        change_until(redis, coordinator, missed + 1)
        with coordinator.events({"Last-Event-ID": last}) as stream:
            stream.wait_for(lambda stream: stream.of("stats") and len(stream.workers) >= missed or stream.of("reset"))
            assert not stream.of("reset") and len(stream.workers) == missed
            ids = [event.id for event in stream.events if event.id]
            assert ids == [id for id, _ in redis.client.xrange("{rma}:events", f"({last}")]


def test_one_that_missed_what_is_kept_no_longer_is_told_so(redis, coordinator):
    with coordinator.events() as stream:
        coordinator.register("w")
        stream.wait_for(lambda stream: stream.workers)
        last = stream.last_id
    change_until(redis, coordinator, 20)
    redis.client.xtrim("{rma}:events", 10, approximate=False)
    with coordinator.events({"Last-Event-ID": last}) as stream:
        stream.wait_for(lambda stream: stream.of("stats"))
        assert stream.of("reset") and not stream.workers


def test_an_open_stream_that_missed_what_was_trimmed_is_told_so(redis, coordinator):
    """The instance was frozen while more happened than is kept."""
    coordinator.register("w")
    with coordinator.events() as stream:
        stream.wait_for(lambda stream: stream.of("stats"))
        coordinator.beat("w", status="degraded")
        stream.wait_for(lambda stream: stream.workers)
        coordinator.send_signal(signal.SIGSTOP)
        redis.client.xtrim("{rma}:events", 0, approximate=False)
        redis.client.xadd("{rma}:events", {"event": "removed", "reason": "unregistered", "worker_id": "v", "tier": "2",
                                           "status": "removed",
                                           "services": ""})
        coordinator.send_signal(signal.SIGCONT)
        stream.wait_for(lambda stream: ("removed", "unregistered", "v") in stream.workers)
        kinds = [event.kind for event in stream.events if event.kind == "reset" or event.kind.startswith("worker.")]
        assert kinds == ["worker.updated", "reset", "worker.removed"]


def test_streams_outlive_redis(redis, coordinator):
    with coordinator.events() as stream:
        stream.wait_for(lambda stream: stream.events)
        coordinator.register("before")
        stream.wait_for(lambda stream: stream.workers)
        redis.kill()
        stream.wait_for(lambda stream: stream.of("unavailable"))
        redis.restart()
        coordinator.wait_until_ready()
        coordinator.register("after")
        stream.wait_for(lambda stream: ("registered", "new", "after") in stream.workers)
        assert stream.workers == [("registered", "new", "before"), ("registered", "new", "after")] and not stream.ended


@pytest.mark.parametrize("way", ["killed", "frozen"])
def test_a_stream_begins_without_redis_and_goes_on_with_it(redis, start_coordinator, way):
    """A browser's EventSource that is answered with an error never tries again."""
    coordinator = start_coordinator(redis, REQUEST_TIMEOUT_MS=300)
    coordinator.register("before")
    redis.kill() if way == "killed" else redis.freeze()
    with coordinator.events() as fresh, coordinator.events({"Last-Event-ID": "1-0"}) as returning:
        for stream in (fresh, returning):
            assert stream.status == 200
            stream.wait_for(lambda stream: stream.events)
            assert stream.blocks[0].retry and stream.events[0].kind == "unavailable"
            assert stream.events[0].data["code"] == ("registry-unavailable" if way == "killed" else "registry-late")
        redis.restart() if way == "killed" else redis.thaw()
        coordinator.wait_until_ready()
        for stream in (fresh, returning):
            stream.wait_for(lambda stream: stream.of("stats") and stream.of("reset"))
        coordinator.register("after")
        for stream in (fresh, returning):
            stream.wait_for(lambda stream: stream.workers == [("registered", "new", "after")])
            assert not stream.ended
        last = fresh.last_id
    with coordinator.events({"Last-Event-ID": last}) as stream:
        stream.wait_for(lambda stream: stream.of("stats"))
        assert not stream.workers and not stream.of("reset")


def test_one_that_can_have_no_stream_is_told_when_to_try_again(redis, start_coordinator):
    """Where a browser asks. Others get the error as it is."""
    coordinator = start_coordinator(redis, THREADS=1, MAX_CONNECTIONS=4)
    streams = [coordinator.events() for _ in range(2)]
    for stream in streams:
        stream.wait_for(lambda stream: stream.events)
    assert coordinator.get("/api/events").status == 503
    answer = coordinator.get("/api/events", {"Accept": "text/event-stream"})
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/event-stream"
    assert answer.body.startswith(b"retry: 10000\n\nevent: unavailable\ndata: {\"code\":\"too-many-streams\",")
    for stream in streams:
        stream.close()


def test_those_that_wait_to_become_streams_are_counted(redis, start_coordinator):
    """With Redis slow, streams would take all connections otherwise."""
    coordinator = start_coordinator(redis, THREADS=1, MAX_CONNECTIONS=20)
    redis.freeze()
    clients = [socket.create_connection(("127.0.0.1", coordinator.port), timeout=PATIENCE) for _ in range(15)]
    for client in clients:
        client.sendall(b"GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n")
    answers = [client.recv(len("HTTP/1.1 200")) for client in clients]
    assert sorted(answers) == 10 * [b"HTTP/1.1 200"] + 5 * [b"HTTP/1.1 503"]
    redis.thaw()
    for client in clients:
        client.close()


def test_shutdown_ends_streams_at_once(coordinator):
    streams = [coordinator.events() for _ in range(20)]
    for stream in streams:
        stream.wait_for(lambda stream: stream.events)
    assert coordinator.stop() < 3, "requests in flight have 3.5 s"
    for stream in streams:
        stream.wait_for(lambda stream: stream.ended)
        stream.close()


def test_streams_leave_connections_for_others(redis, start_coordinator):
    coordinator = start_coordinator(redis, THREADS=1, MAX_CONNECTIONS=20)
    streams = [coordinator.events() for _ in range(10)]
    for stream in streams:
        stream.wait_for(lambda stream: stream.events)
    refused = coordinator.get("/api/events")
    assert refused.status == 503 and refused.json["code"] == "too-many-streams" and refused.headers["Retry-After"]
    coordinator.register("w")
    streams.pop().close()
    # a client's leaving is noticed when the next thing is sent to it
    wait_until(lambda: coordinator.request("HEAD", "/api/events").status == 200)
    for stream in streams:
        stream.close()


def test_a_client_that_does_not_read_is_dropped_and_holds_up_nobody(redis, start_coordinator):
    coordinator = start_coordinator(redis, THREADS=1)
    for number in range(400):
        coordinator.register(f"w{number}-{'x' * 100}")
    ids = sorted(coordinator.workers())
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", coordinator.port))
    deaf.sendall(b"GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n")
    with coordinator.events() as stream, coordinator.connection() as connection:
        stream.wait_for(lambda stream: stream.events)
        before = coordinator.memory_mb()
        told = 0
        for turn in range(12):  # some 100 KiB of events each
            status = "degraded" if turn % 2 == 0 else "healthy"
            beats = [{"worker_id": worker_id, "status": status} for worker_id in ids]
            assert connection.request("POST", "/api/worker/heartbeats", {"heartbeats": beats}).json["ok"] == len(ids)
            told += len(ids)
            stream.wait_for(lambda stream, told=told: len(stream.workers) >= told)
        if project.MODE == "release":  # the sanitizer keeps what is freed
            assert coordinator.memory_mb() < before + 8
        deaf.settimeout(20)
        got = b""
        with pytest.raises((ConnectionResetError, EOFError)):
            while True:
                piece = deaf.recv(65536)
                if not piece:
                    raise EOFError
                got += piece
        assert len(got) < 1 << 20
    deaf.close()


def test_clients_that_leave_at_any_time_hurt_nothing(coordinator):
    coordinator.register("w")
    for number in range(60):
        raw = coordinator.raw()
        raw.send("GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n")
        if number % 3:
            raw.socket.recv(1 + number * 7)
        if number % 2:
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        raw.close()
        coordinator.beat("w", status="degraded" if number % 2 else "healthy")
    with coordinator.events() as stream:
        stream.wait_for(lambda stream: stream.events)
        coordinator.beat("w", status="draining")
        stream.wait_for(lambda stream: stream.workers)


def test_without_streams_nothing_is_followed(redis, start_coordinator):
    coordinator = start_coordinator(redis, THREADS=1)

    def readings():
        stats = redis.client.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("xrange", "xrevrange"))

    with coordinator.events() as stream:
        stream.wait_for(lambda stream: stream.events)
        busy = readings()
        wait_until(lambda: readings() > busy + 2)

    def is_quiet():
        before = readings()
        let_pass(1)  # in which a follower looks five times; the point of a minute takes one look
        return readings() <= before + 1

    wait_until(is_quiet)


def test_head_and_http_1_0(coordinator):
    head = coordinator.request("HEAD", "/api/events")
    assert head.status == 200 and head.headers["Content-Type"] == "text/event-stream" and head.body == b""
    with coordinator.raw() as raw:
        raw.send("GET /api/events HTTP/1.0\r\n\r\n")
        data = b""
        while b"event: stats" not in data:
            piece = raw.socket.recv(65536)
            assert piece
            data += piece
        assert b"chunked" not in data.lower()


def test_many_streams_are_served_in_turns(redis, start_coordinator):
    """More streams than are sent to in one turn, and all get everything."""
    coordinator = start_coordinator(redis, THREADS=1)
    sockets = []
    for _ in range(700):
        raw = coordinator.raw()
        raw.send("GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n")
        sockets.append(raw)
    texts = [b""] * len(sockets)

    def read_until(mark):
        for at, raw in enumerate(sockets):
            while mark not in texts[at]:
                piece = raw.socket.recv(65536)
                assert piece
                texts[at] += piece

    read_until(b"event: stats")
    coordinator.register("one")
    coordinator.register("two")
    read_until(b'"worker_id":"two"')
    assert all(text.count(b'"worker_id":"one"') == 1 for text in texts)
    for raw in sockets:
        raw.close()


# -- history -----------------------------------------------------------------------------------------------------------------------

def test_each_minute_is_kept_once_by_whoever_is_there(clock, start_redis, start_coordinator):
    redis = start_redis(clock=clock)
    coordinators = [start_coordinator(redis, clock=clock) for _ in range(2)]
    coordinators[0].register("w")
    coordinators[0].beat("w", current_load=0.5, status="degraded")
    clock.move_to(clock.now_ms() // 60_000 * 60_000 + 65_000)
    wait_until(lambda: coordinators[1].get("/api/admin/history").json["points"])
    coordinators[0].kill()
    clock.advance(60)

    def points():
        return coordinators[1].get("/api/admin/history?minutes=5").json["points"]

    wait_until(lambda: points()[-1]["live_workers"] == 1 and points()[-1]["average_load"] == 0.5 and len(points()) >= 2)
    times = [point["time"] for point in points()]
    assert times == sorted(set(times)) and all(time.endswith(":00.000Z") for time in times)
    last = points()[-1]
    assert last["degraded_workers"] == last["total_workers"] == 1 and last["by_tier"]["2"] == {
        "live_workers": 1, "average_load": 0.5}
    assert coordinators[1].get("/api/admin/history?minutes=1").json["points"] == points()[-1:]
    clock.advance(7200)
    wait_until(lambda: len(coordinators[1].get("/api/admin/history?minutes=60").json["points"]) == 1)


def test_a_backup_that_is_older_than_what_was_told(redis, coordinator):
    """Events that were told have ids of a clock that stood ahead; those after the backup was restored have lower ones, and are told
    all the same."""
    with coordinator.events() as stream:
        coordinator.register("before")
        stream.wait_for(lambda each: ("registered", "new", "before") in each.workers)
        entry = redis.client.xrange("{rma}:events")[-1]
        redis.client.xadd("{rma}:events", entry[1], id=f"{redis.now_ms() + 3_600_000}-0")
        stream.wait_for(lambda each: len(each.workers) == 2)
        redis.client.delete("{rma}:events")
        redis.client.xadd("{rma}:events", entry[1], id=entry[0])
        stream.wait_for(lambda each: each.of("reset"))
        coordinator.register("after")
        stream.wait_for(lambda each: ("registered", "new", "after") in each.workers)
        assert len(stream.of("reset")) == 1 and len(stream.workers) == 3
