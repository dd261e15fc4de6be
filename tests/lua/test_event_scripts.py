"""What the scripts tell of the fleet: each change of a worker once, a point a minute, who has beaten."""

import pytest

from scripts import NOW

OFFLINE, REMOVED = 300, 1800  # seconds after a heartbeat
EVENTS_KEPT = 5000
DAY = 1440  # minutes


def heard(scripts, before=0):
    return scripts.events()[before:]


def test_a_life_is_told(scripts):
    scripts.register("w")
    scripts.heartbeat(scripts.beat_of("w", "healthy", "0.5"), at=10)
    scripts.heartbeat(scripts.beat_of("w", "degraded"), at=20)
    scripts.drain("w")
    scripts.drain("w")
    scripts.drain("w", drain=False)
    scripts.heartbeat(scripts.beat_of("w", "offline"), at=30)
    scripts.heartbeat(scripts.beat_of("w"), at=40)
    scripts.register("w", at=50)
    scripts.unregister("w")
    assert heard(scripts) == [
        ("registered", "new", "w", "healthy"), ("updated", "heartbeat", "w", "degraded"), ("updated", "drained", "w", "draining"),
        ("updated", "undrained", "w", "degraded"), ("offline", "reported", "w", "offline"), ("online", "heartbeat", "w", "healthy"),
        ("registered", "again", "w", "healthy"), ("removed", "unregistered", "w", "removed")]


def test_an_event_says_what_a_row_shows(scripts):
    scripts.register("w", tier=1, catalogue="vllm", advertised="ocr")
    (_, entry), = scripts.redis.xrange("{rma}:events")
    assert entry == {"event": "registered", "reason": "new", "worker_id": "w", "tier": "1", "status": "healthy",
                     "services": "vllm,ocr"}


def test_timeouts_are_told_once_whoever_sweeps(scripts):
    scripts.register("w")
    scripts.sweep(OFFLINE - 1)
    assert len(heard(scripts)) == 1
    for _ in range(3):
        scripts.sweep(OFFLINE + 1)
        scripts.services(OFFLINE + 1)
    assert heard(scripts, 1) == [("offline", "timeout", "w", "offline")]
    for _ in range(3):
        scripts.sweep(REMOVED + 1)
        scripts.discover("rag", at=REMOVED + 1)
    assert heard(scripts, 2) == [("removed", "timeout", "w", "removed")]
    scripts.heartbeat(scripts.beat_of("w"), at=REMOVED + 2)
    assert heard(scripts, 3) == [("online", "revived", "w", "healthy")]


def test_a_worker_that_nobody_saw_go_is_removed_first_when_it_comes_back(scripts):
    scripts.register("w")
    scripts.heartbeat(scripts.beat_of("w"), at=REMOVED + 1)
    assert heard(scripts, 1) == [("removed", "timeout", "w", "removed"), ("online", "revived", "w", "healthy")]


def test_what_changes_nothing_is_not_told(scripts):
    scripts.register("w")
    for at in range(5):
        scripts.heartbeat(scripts.beat_of("w", load=str(at / 10), active=at, models="m"), at=at)
    with pytest.raises(Exception, match="NOTFOUND"):
        scripts.unregister("nobody")
    scripts.heartbeat(scripts.beat_of("nobody"))
    assert len(heard(scripts)) == 1


def test_imported_workers_are_told_and_archived_ones_are_not(scripts):
    fields = ["tier", "2", "registered_at", NOW, "assigned_services", "rag", "provides", "rag"]
    scripts.import_worker("live", fields)
    scripts.import_worker("silent", fields, last_heartbeat=-OFFLINE - 1)
    scripts.import_worker("old", fields, last_heartbeat=-REMOVED - 1)
    assert heard(scripts) == [("registered", "imported", "live", "healthy"), ("registered", "imported", "silent", "offline")]


def test_the_stream_is_bounded(scripts):
    ids = [f"w{number}" for number in range(100)]
    for worker_id in ids:
        scripts.register(worker_id)
    for at in range(1, 70):
        status = "degraded" if at % 2 else "healthy"
        scripts.heartbeat(*[scripts.beat_of(worker_id, status) for worker_id in ids], at=at)
    kept = scripts.redis.xlen("{rma}:events")
    assert EVENTS_KEPT <= kept <= EVENTS_KEPT + 200
    assert int(scripts.redis.hget("{rma}:stats", "event:updated:heartbeat")) == 6900


def test_a_stream_that_somebody_broke_stops_nobody(scripts):
    scripts.redis.set("{rma}:events", "mine")
    assert scripts.register("w")[0] == "w"
    assert scripts.heartbeat(scripts.beat_of("w", "degraded")) == "1"


# -- history --------------------------------------------------------------------------------------------------------------------

def test_a_minute_is_kept_once(scripts):
    scripts.register("w")
    scripts.heartbeat(scripts.beat_of("w", "healthy", "0.25"))
    minute = NOW - 40_000
    assert minute % 60_000 == 0
    assert [scripts.history(at) for at in (0, 1, 2)] == [True, False, False]
    assert scripts.redis.xrange("{rma}:history") == [
        (f"{minute}-0", {"tasks_completed": "0", "2:healthy": "1", "2:load": "250000"})]
    assert [scripts.history(at) for at in (19, 20, 79, 140)] == [False, True, False, True]
    assert [entry for entry, _ in scripts.redis.xrange("{rma}:history")] == [
        f"{minute + passed}-0" for passed in (0, 60_000, 180_000)]


def test_an_empty_fleet_and_a_clock_that_goes_back_a_little(scripts):
    assert scripts.history() is True
    assert scripts.history(at=-60) is False
    assert scripts.redis.xlen("{rma}:history") == 1


@pytest.mark.parametrize("back", [0.5, 1, 2, 24 * 30])
def test_history_goes_on_when_the_clock_was_set_back(scripts, back):
    """Without what is in the future."""
    for minute in range(DAY):
        scripts.history(at=60 * minute)
    end = 60 * (DAY - 1) - back * 3600
    assert [scripts.history(at=end + passed) for passed in (1, 61, 121, 122)] == [back > 24, True, True, False]
    kept = [int(entry.partition("-")[0]) for entry, _ in scripts.redis.xrange("{rma}:history")]
    assert kept == sorted(kept) and kept[-1] <= NOW + 1000 * (end + 121) < kept[-1] + 60_000
    assert len(kept) == (DAY - 60 * back + 2 if back < 24 else 3)


def test_history_ends_after_a_day(scripts):
    for minute in range(DAY + 10):
        assert scripts.history(at=60 * minute)
    assert scripts.redis.xlen("{rma}:history") == DAY


# -- who has beaten ----------------------------------------------------------------------------------------------------------------

def test_beats_are_those_since_then(scripts):
    for number in range(4):
        scripts.register(f"w{number}", at=number)
    scripts.heartbeat(scripts.beat_of("w1"), at=4)
    assert scripts.beats(0) == {}, "nobody listened"
    for number in (0, 3):
        scripts.heartbeat(scripts.beat_of(f"w{number}"), at=5 + number)
    scripts.heartbeat(scripts.beat_of("w1", "degraded", "0.5", active=3), at=10)
    scripts.heartbeat(scripts.beat_of("w2", silence=600_000), at=11)
    assert scripts.beats(OFFLINE + 10) == {
        "w1": ("2 degraded 500000 - ner 3 - -", NOW + 10_000, NOW + 310_000, "0.5"),
        "w2": ("2 healthy 0 - notes 0 - -", NOW + 11_000, NOW + 611_000, "0")}
    assert list(scripts.beats(0)) == ["w0", "w3", "w1", "w2"]
    assert list(scripts.beats(0, most=2)) == ["w0", "w3"]
    assert scripts.beats(OFFLINE + 400) == {}


def test_the_silent_have_not_beaten(scripts):
    scripts.register("w")
    scripts.sweep(OFFLINE + 1)
    assert scripts.beats(0) == {}
