"""Three regions, one of them with the primary Redis, the others with replicas of it; a coordinator in each. One is cut off, and
healed."""

import shlex
import time
import tomllib

import pytest

import project
import regions as regions_module
import state
from load import Load
from waiting import let_pass, promised, wait_until

WHY_NOT = regions_module.why_not()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

AGREE_WITHIN = promised(5)  # seconds after the healing
FLY = tomllib.loads((project.ROOT / "fly.toml").read_text())
FLY_REPLICA = tomllib.loads((project.ROOT / "deploy" / "fly.replica.toml").read_text())


class Place:
    """A region with what runs in it."""

    def __init__(self, region, redis, coordinator):
        self.region, self.redis, self.coordinator = region, redis, coordinator
        self.load = Load([coordinator], threads=2, prefix=f"load-{region.name}", pause=0.02)

    def ask(self, question, *arguments, **more):
        """A method of the coordinator, called from within the region."""
        with self.region.standing_in():
            return getattr(self.coordinator, question)(*arguments, **more)


@pytest.fixture
def three_regions():
    made = regions_module.Regions("fra", "ams", "syd")
    yield list(made)
    made.remove()


@pytest.fixture
def places(three_regions, start_redis, make_coordinator):
    """The places, the primary's first."""
    made = []
    for region in three_regions:
        _, *options = shlex.split((FLY_REPLICA if made else FLY)["processes"]["redis"])
        if made:
            place = options.index("--replicaof")
            options[place + 1:place + 3] = [three_regions[0].address, str(made[0].redis.port)]
        options += ["--bind", "::", "--protected-mode", "no", "--repl-diskless-sync-delay", "0"]
        with region.standing_in():
            redis = start_redis(*options)
            primary = made[0].redis if made else redis
            near_by = f"redis://[{region.address}]:{redis.port}/0" if made else None
            coordinator = make_coordinator(REDIS_URL=f"redis://[{three_regions[0].address}]:{primary.port}/0",
                                           REDIS_READ_URL=near_by,
                                           REGION=region.name, MAX_REPLICA_LAG_SECONDS=1)
            coordinator.start().wait_until_ready()
        made.append(Place(region, redis, coordinator))
    for place in made[1:]:
        wait_until(lambda place=place: place.redis.client.info("replication")["master_link_status"] == "up",
                   what=f"{place.region.name} has its copy")
    return made


def fails_fast(place):
    """A write is refused at once, with what it is and when to come again."""
    response = place.ask("post", "/api/worker/heartbeat", {"worker_id": "w"})
    assert response.status == 503, f"{response}; the deadline would be a 504"
    assert response.headers["Content-Type"] == "application/problem+json" and int(response.headers["Retry-After"]) >= 1
    assert response.json["detail"]
    return True


def reads_go_on(place):
    """Everything that is read is answered from the copy near by, which says how old it is, or that it does not know."""
    for path in ("/api/admin/workers", "/api/worker/w", "/api/admin/stats", "/api/admin/health", "/api/admin/services",
                 "/api/admin/gaps",
                 "/api/services/discover/rag", "/api/worker/find/rag", "/api/coordinator/workers", "/api/admin/history"):
        for headers in ({}, {"Origin": "https://dashboard.example"}):
            answer = place.ask("get", path, headers)
            assert answer.status == 200, (path, answer)
            assert answer.headers["X-Replica-Lag"] == "unknown" or float(answer.headers["X-Replica-Lag"]) >= 0, (path, headers)
    assert "w" in place.ask("workers")
    return True


def all_agree(places):
    """All coordinators list the same workers in the same state, and all copies hold the same."""
    rows = [place.ask("workers") for place in places]
    told = [{worker: (row["status"], row["active_requests"], row["last_heartbeat"]) for worker, row in each.items()}
            for each in rows]
    assert told[1:] == told[:-1]
    content = [state.dump(place.redis.client) for place in places]
    assert content[1:] == content[:-1]
    return True


def test_a_region_without_the_primary_is_cut_off_and_healed(places):
    near, other, far = places
    near.ask("register", "w")
    wait_until(lambda: all(place.redis.client.exists("{rma}:worker:w") for place in places), what="all copies have it")
    with far.region.standing_in(), far.load.running(), other.region.standing_in(), other.load.running():
        let_pass(0.3)
        cut = time.monotonic()
        far.region.cut()
        # what was on its way is answered in time; what comes later at once, as soon as each thread has found out
        wait_until(lambda: all(fails_fast(far) for _ in range(20)), what="writes fail fast")
        assert far.ask("get", "/livez").status == 200
        assert far.ask("get", "/readyz").status == 503
        health = far.ask("get", "/health")
        assert health.status == 503 and health.json["redis"]["status"] == "down"
        assert all(fails_fast(far) for _ in range(20))
        assert reads_go_on(far)
        # the others don't notice
        assert near.ask("beat", "w")["status"] == "ok"
        assert [attempt for attempt in other.load.since(cut) if not attempt.ok] == []
        far.region.heal()
        healed = time.monotonic()
        with far.region.standing_in():
            far.load.succeeds_again(healed, within=AGREE_WITHIN)
    assert all(isinstance(attempt.outcome, Exception) or attempt.outcome in (503, 504) for attempt in far.load.failures)
    wait_until(lambda: all_agree(places), within=max(0.1, AGREE_WITHIN - (time.monotonic() - healed)), what="all agree", every=0.1)
    for place in places:
        with place.region.standing_in():
            far.load.assert_nothing_acknowledged_is_lost(place.coordinator)
            other.load.assert_nothing_acknowledged_is_lost(place.coordinator)


def test_the_region_of_the_primary_is_cut_off_and_healed(places):
    near, other, far = places
    near.ask("register", "w")
    wait_until(lambda: all(place.redis.client.exists("{rma}:worker:w") for place in places), what="all copies have it")
    near.region.cut()
    for place in (other, far):
        wait_until(lambda place=place: all(fails_fast(place) for _ in range(20)), what="writes fail fast")
        assert place.ask("get", "/livez").status == 200
        assert reads_go_on(place)
    far.coordinator.stop()
    with far.region.standing_in():  # one that starts meanwhile has never heard of the primary
        far.coordinator.start()
        wait_until(lambda: reads_go_on(far))
    # where the primary is, all goes on
    assert near.ask("beat", "w", active_requests=5)["status"] == "ok"
    near.ask("register", "meanwhile")
    near.region.heal()
    healed = time.monotonic()
    for place in (other, far):
        wait_until(lambda place=place: place.ask("post", "/api/worker/heartbeat", {"worker_id": "w"}).status == 200,
                   within=AGREE_WITHIN - (time.monotonic() - healed), what="writes are taken again")
        place.ask("wait_until_ready", within=AGREE_WITHIN)
        assert "meanwhile" in place.ask("workers")
    wait_until(lambda: all_agree(places), within=max(0.1, AGREE_WITHIN - (time.monotonic() - healed)), what="all agree", every=0.1)
