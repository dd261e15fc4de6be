"""Time in which Redis was not running counts for nobody: no worker is offline, removed or forgotten for it, and nobody is told
so."""

import shutil
import subprocess
from datetime import datetime

import pytest

import invariants
import project
import task_work
from coordinator import environment
from waiting import let_pass, wait_until

MINUTE, HOUR = 60, 3600


class Fleet:
    """A Redis under a moved clock, coordinators on it, and what was told of their workers."""

    def __init__(self, clock, redis, make):
        self.clock, self.redis, self._make = clock, redis, make
        self.coordinators = []

    def start(self, **settings):
        self.coordinators.append(self._make(self.redis, clock=self.clock, THREADS=1, **settings).start().wait_until_ready())
        return self.coordinators[-1]

    def wait_for_sign(self):
        """Until a coordinator has left a sign of life of this moment: whoever reads, sweeps first."""
        next(coordinator for coordinator in self.coordinators if coordinator.is_running()).stats()
        wait_until(lambda: self.clock.now_ms() - float(self.redis.client.get("{rma}:alive")) < 1500)

    def outage(self, seconds):
        self.wait_for_sign()
        self.redis.kill()
        self.clock.advance(seconds)
        self.redis.restart()
        for coordinator in self.coordinators:
            coordinator.wait_until_ready()

    def told(self):
        return [(entry["event"], entry["reason"], entry["worker_id"]) for _, entry in self.redis.client.xrange("{rma}:events")
                if entry["event"] != "registered"]

    def seconds_left(self, worker_id):
        return self.redis.client.pttl(f"{{rma}}:worker:{worker_id}:online") / 1000


@pytest.fixture
def fleet(clock, start_redis, make_coordinator):
    return Fleet(clock, start_redis("--repl-diskless-sync-delay", "0", clock=clock), make_coordinator)


def wait_for_copy(replica):
    """Until a replica is in step, and its append-only file has what it got at first."""
    wait_until(lambda: replica.client.info("replication")["master_link_status"] == "up")
    wait_until(lambda: not any(replica.client.info("persistence")[f"aof_rewrite_{state}"]
                               for state in ("in_progress", "scheduled")))


def fill(fleet, coordinator):
    """Workers of each kind, some of them silent for a while; returns how each is listed."""
    coordinator.register("full", tunnel_url="https://full.example", instance_id="full-i")
    coordinator.register("drained")
    coordinator.post("/api/worker/drained/drain", {"reason": "disk"})
    coordinator.register("announced")
    coordinator.register("degraded", services=[{"name": "ocr"}])
    coordinator.beat("full", status="healthy", current_load=0.25, active_requests=3, loaded_models=["Llama3:latest", 'a"b\\c'],
                     specialization="rag", available_memory="9.8GB")
    coordinator.beat("degraded", status="degraded", services_status={"ocr": "down"})
    coordinator.register("silent")
    coordinator.register("says-offline")
    coordinator.beat("says-offline", status="offline")
    fleet.clock.advance(200)
    for worker_id in ("full", "drained", "degraded"):
        coordinator.beat(worker_id)
    coordinator.beat("announced", expect_silence=1200)
    fleet.clock.advance(101)
    for worker_id in ("full", "drained", "degraded"):
        coordinator.beat(worker_id)
    wait_until(lambda: coordinator.worker("silent")["status"] == "offline")
    assert coordinator.stats()["offline_workers"] == 2
    return coordinator.workers()


KEPT = ["status", "tier", "assigned_services", "services", "capabilities", "registered_at", "active_requests", "current_load",
        "drained"]


def moment(row):
    return datetime.fromisoformat(row["last_heartbeat"]).timestamp()


@pytest.mark.parametrize(("seconds", "words"),
                         [(2, "2 s"), (6 * MINUTE + 12, "6 min 12 s"), (45 * MINUTE + 5, "45 min 5 s"), (25 * HOUR, "1 d 1 h")])
def test_an_outage_is_charged_to_nobody(fleet, seconds, words):
    first, second = fleet.start(), fleet.start()
    before = fill(fleet, first)
    told = fleet.told()
    fleet.wait_for_sign()
    left = {worker_id: fleet.seconds_left(worker_id) for worker_id in before}
    fleet.outage(seconds)
    after = second.workers()
    assert {worker_id: {name: row[name] for name in KEPT} for worker_id, row in after.items()} == \
        {worker_id: {name: row[name] for name in KEPT} for worker_id, row in before.items()}
    for worker_id in before:
        # of a hash that is made anew, the index knows the heartbeat to half of the timeout
        known_to = 150 if seconds > 30 * MINUTE else 0
        if worker_id != "announced" or not known_to:
            assert moment(before[worker_id]) - known_to <= moment(after[worker_id]) <= moment(before[worker_id])
        assert left[worker_id] - 4 < fleet.seconds_left(worker_id) < left[worker_id] + 3, worker_id
    assert fleet.told() == told
    assert (second.stats()["offline_workers"], second.stats()["total_workers"]) == (2, 6)
    invariants.assert_hold(fleet.redis.dump(everything=True))
    lines = [line for coordinator in (first, second) for line in coordinator.log_lines() if line["event"] == "downtime"]
    assert len(lines) == 1 and lines[0]["workers"] == 4 and abs(lines[0]["seconds"] - seconds) <= 2
    for coordinator in (first, second):
        downtime = coordinator.get("/health").json["redis"]["downtime"]
        assert downtime["detail"] == lines[0]["message"] and downtime["workers"] == 4
        if seconds > MINUTE:
            assert f"moved 4 workers' deadlines by {words[:3]}" in downtime["detail"]
    for worker_id in before:
        assert "revived" not in second.beat(worker_id)
    assert second.worker("full")["status"] == "healthy"
    invariants.assert_hold(fleet.redis.dump(everything=True))


def test_silence_while_redis_runs_counts(fleet):
    """Of five minutes, a worker that was silent for 200 s has 100 s left, however long Redis was away; whichever coordinators were,
    too."""
    coordinator = fleet.start()
    coordinator.register("w")
    fleet.clock.advance(200)
    fleet.outage(6 * MINUTE)
    assert 95 < fleet.seconds_left("w") < 103
    fleet.clock.advance(90)
    assert coordinator.worker("w")["status"] == "healthy" and fleet.told() == []
    coordinator.stop()
    fleet.clock.advance(20)
    fleet.coordinators = [fleet.start()]
    assert fleet.coordinators[0].worker("w")["status"] == "offline"
    wait_until(lambda: fleet.told() == [("offline", "timeout", "w")])
    fleet.outage(45 * MINUTE)
    assert fleet.coordinators[0].worker("w")["status"] == "offline"
    fleet.clock.advance(25 * MINUTE + 5)
    wait_until(lambda: fleet.told()[1:] == [("removed", "timeout", "w")])


def test_of_a_worker_whose_keys_are_gone_the_last_heartbeat_is_known_to_half_the_timeout(fleet):
    """It gets the doubt."""
    coordinator = fleet.start()
    fleet.clock.move_to(fleet.clock.now_ms() // 150_000 * 150_000 + 160_000)  # indexes learn of a heartbeat in each 150 s
    coordinator.register("beats")
    coordinator.register("silent")
    for _ in range(4):
        fleet.clock.advance(20)
        coordinator.beat("beats")
    fleet.clock.advance(40)
    fleet.outage(45 * MINUTE)
    assert 255 < fleet.seconds_left("beats") < 303 and 175 < fleet.seconds_left("silent") < 303


def test_one_outage_after_the_other(fleet):
    coordinator = fleet.start()
    coordinator.register("w")
    for _ in range(3):
        fleet.outage(20 * MINUTE)
        fleet.clock.advance(60)
    assert coordinator.worker("w")["status"] == "healthy" and 110 < fleet.seconds_left("w") < 130
    assert fleet.told() == []
    invariants.assert_hold(fleet.redis.dump(everything=True))


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_coordinators_that_ended_with_redis(fleet, way):
    """Nobody lived through it. Then the last sign of life says when Redis was last seen."""
    coordinator = fleet.start()
    coordinator.register("w")
    fleet.wait_for_sign()
    getattr(coordinator, way)()
    fleet.redis.kill()
    fleet.clock.advance(45 * MINUTE)
    fleet.redis.restart()
    coordinator = fleet.start()
    assert coordinator.worker("w")["status"] == "healthy" and 290 < fleet.seconds_left("w") < 303
    assert fleet.told() == []


def test_redis_that_ran_on_without_coordinators(fleet):
    """The same run of it: all that time counts."""
    coordinator = fleet.start()
    coordinator.register("w")
    fleet.wait_for_sign()
    coordinator.kill()
    fleet.clock.advance(10 * MINUTE)
    coordinator = fleet.start()
    assert coordinator.worker("w")["status"] == "offline"
    assert "downtime" not in coordinator.get("/health").json["redis"]


def test_the_private_redis_of_a_coordinator_that_was_killed(clock, directory, make_coordinator):
    data = directory / "data"
    first = make_coordinator(DATA_DIR=data, clock=clock).start().wait_until_ready()
    first.register("w")
    let_pass(1.2)
    first.kill()
    clock.advance(45 * MINUTE)
    second = make_coordinator(DATA_DIR=data, clock=clock).start().wait_until_ready()
    assert second.worker("w")["status"] == "healthy"
    assert second.get("/health").json["redis"]["downtime"]["workers"] == 1


def test_a_removed_worker_is_not_forgotten_for_it(fleet):
    coordinator = fleet.start()
    coordinator.register("w", instance_id="i", tunnel_url="https://t.example")
    fleet.clock.advance(30 * MINUTE + 1)
    wait_until(lambda: coordinator.stats()["total_workers"] == 0)
    fleet.clock.advance(20 * HOUR)
    fleet.outage(3 * HOUR)
    ttl = fleet.redis.client.ttl("{rma}:registration:w")
    assert 4 * HOUR - 10 < ttl < 4 * HOUR + 10
    assert fleet.redis.client.ttl("{rma}:identity:instance:i") == ttl
    fleet.clock.advance(4 * HOUR - 20)
    assert coordinator.beat("w")["revived"] is True
    invariants.assert_hold(fleet.redis.dump(everything=True))


def test_tasks_stay_with_their_workers(fleet):
    coordinator = fleet.start()
    for worker_id in ("w", "busy"):
        coordinator.register(worker_id)
    tasks = {worker_id: coordinator.post("/api/tasks", {"queue": "q", "type": "t", "payload": 1}).json["task_id"]
             for worker_id in ("w", "busy")}
    held = {worker_id: task_work.lease(fleet.redis, worker_id) for worker_id in tasks}
    fleet.clock.advance(80)
    coordinator.beat("w")
    fleet.clock.advance(60)
    coordinator.beat("busy")
    fleet.outage(45 * MINUTE)
    coordinator.stats()
    for worker_id, ids in held.items():
        (task_id, lease), = ids.items()
        assert coordinator.get(f"/api/tasks/{task_id}").json["state"] == "leased"
        assert task_work.complete(fleet.redis, worker_id, task_id, lease).startswith("completed")
    assert fleet.told() == []


def test_a_lease_ends_when_it_would_have(fleet):
    coordinator = fleet.start()
    coordinator.register("w")
    task_id = coordinator.post("/api/tasks", {"queue": "q", "type": "t", "payload": 1}).json["task_id"]
    assert task_work.lease(fleet.redis, "w")
    fleet.clock.advance(50)
    fleet.outage(6 * MINUTE)
    fleet.clock.advance(30)
    assert coordinator.get(f"/api/tasks/{task_id}").json["state"] == "leased"
    fleet.clock.advance(15)
    wait_until(lambda: coordinator.get(f"/api/tasks/{task_id}").json["state"] == "queued")


def test_a_failover_is_no_downtime(fleet, clock, start_redis):
    """The replica ran all the time: what passed until it was promoted counts."""
    coordinator = fleet.start()
    replica = start_redis("--replicaof", f"127.0.0.1 {fleet.redis.port}", "--repl-diskless-sync-delay", "0", clock=clock)
    wait_for_copy(replica)
    coordinator.register("w")
    wait_until(lambda: replica.client.exists("{rma}:worker:w"))
    fleet.wait_for_sign()
    fleet.redis.kill()
    coordinator.kill()
    fleet.clock.advance(200)
    replica.client.replicaof("NO", "ONE")
    fleet.redis = replica
    fleet.coordinators = [fleet.start()]
    assert fleet.redis.client.hget("{rma}:life", "run") == replica.client.info("server")["run_id"]
    assert 90 < fleet.seconds_left("w") < 101
    assert "downtime" not in fleet.coordinators[0].get("/health").json["redis"]
    fleet.outage(6 * MINUTE)
    assert 90 < fleet.seconds_left("w") < 103


def test_a_replica_that_was_started_when_the_primary_was_gone(fleet, clock, start_redis):
    coordinator = fleet.start()
    options = ("--replicaof", f"127.0.0.1 {fleet.redis.port}", "--repl-diskless-sync-delay", "0")
    replica = start_redis(*options, clock=clock)
    wait_for_copy(replica)
    coordinator.register("w")
    fleet.wait_for_sign()
    wait_until(lambda: replica.client.exists("{rma}:worker:w:online"))
    replica.kill()
    fleet.redis.kill()
    coordinator.kill()
    fleet.clock.advance(6 * MINUTE)
    replica.restart()
    fleet.redis = replica
    fleet.coordinators = [fleet.start()]
    assert 290 < fleet.seconds_left("w") < 303


def test_a_restored_backup(fleet, clock, directory, start_redis):
    """Its data was not served since it was made: who lived then has what was left of its time."""
    coordinator = fleet.start()
    before = fill(fleet, coordinator)
    fleet.wait_for_sign()
    shutil.copytree(fleet.redis.directory / "appendonlydir", directory / "backup")
    fleet.clock.advance(6 * HOUR)
    coordinator.register("later")
    coordinator.kill()
    fleet.redis.kill()
    shutil.rmtree(fleet.redis.directory / "appendonlydir")
    shutil.copytree(directory / "backup", fleet.redis.directory / "appendonlydir")
    fleet.redis.restart()
    fleet.coordinators = [fleet.start()]
    rows = fleet.coordinators[0].workers()
    assert {worker_id: row["status"] for worker_id, row in rows.items()} == {
        worker_id: row["status"] for worker_id, row in before.items()}
    assert not [event for event in fleet.told() if event[0] in ("offline", "removed") and event[1] == "timeout"
                and event[2] != "silent"]
    fleet.clock.advance(301)
    wait_until(lambda: fleet.coordinators[0].stats()["offline_workers"] == 5)
    assert fleet.coordinators[0].worker("announced")["status"] == "healthy"
    invariants.assert_hold(fleet.redis.dump(everything=True))


def test_an_append_only_file_that_was_cut_short(fleet):
    """What was written last is gone, and with it signs of life: from the last one that is left, nobody is charged."""
    coordinator = fleet.start()
    coordinator.register("w")
    coordinator.register("silent")
    fleet.wait_for_sign()
    file = next((fleet.redis.directory / "appendonlydir").glob("*.incr.aof"))
    size = file.stat().st_size
    for _ in range(4):
        fleet.clock.advance(80)
        coordinator.beat("w")
        fleet.wait_for_sign()
    wait_until(lambda: coordinator.worker("silent")["status"] == "offline")
    fleet.redis.kill()
    with file.open("r+b") as whole:
        whole.truncate(size + 7)
    fleet.clock.advance(6 * MINUTE)
    fleet.redis.restart()
    coordinator.wait_until_ready()
    assert {worker_id: row["status"] for worker_id, row in coordinator.workers().items()} == {"w": "healthy", "silent": "healthy"}
    assert 290 < fleet.seconds_left("w") < 303
    assert fleet.told() == []
    invariants.assert_hold(fleet.redis.dump(everything=True))


def test_a_clock_that_was_set_forward_while_redis_was_down(fleet):
    coordinator = fleet.start()
    coordinator.register("w")
    fleet.outage(6 * MINUTE + 3 * 24 * HOUR)
    assert coordinator.worker("w")["status"] == "healthy" and 290 < fleet.seconds_left("w") < 303


@pytest.mark.parametrize("seconds", [-2 * HOUR, -5])
def test_a_clock_that_was_set_back_while_redis_was_down(fleet, seconds):
    """Then Redis seems to have begun before the last sign. Nothing is moved; who was heard of in the future counts as heard of
    now."""
    coordinator = fleet.start()
    coordinator.register("w")
    fleet.outage(seconds)
    assert coordinator.worker("w")["status"] == "healthy"
    assert "downtime" not in coordinator.get("/health").json["redis"]
    wait_until(lambda: fleet.seconds_left("w") < 306)
    fleet.clock.advance(307)
    wait_until(lambda: fleet.told() == [("offline", "timeout", "w")])


def test_without_permission_for_info_nothing_is_moved(fleet):
    fleet.redis.client.execute_command("ACL", "SETUSER", "fleet", "on", ">s3cret", "~{rma}:*", "&{rma}:*", "+@all", "-info",
                                       "-scan")
    coordinator = fleet.start(REDIS_URL=f"redis://fleet:s3cret@127.0.0.1:{fleet.redis.port}")
    coordinator.register("w")
    assert not fleet.redis.client.exists("{rma}:life")


def test_without_permission_to_look_for_keys_live_workers_are_moved(fleet):
    acl = ("ACL", "SETUSER", "fleet", "on", ">s3cret", "~{rma}:*", "&{rma}:*", "+@all", "-scan")
    fleet.redis.client.execute_command(*acl)
    coordinator = fleet.start(REDIS_URL=f"redis://fleet:s3cret@127.0.0.1:{fleet.redis.port}")
    coordinator.register("w")
    fleet.wait_for_sign()
    fleet.redis.kill()
    fleet.clock.advance(45 * MINUTE)
    fleet.redis.restart()
    fleet.redis.client.execute_command(*acl)
    coordinator.wait_until_ready()
    assert coordinator.worker("w")["status"] == "healthy" and fleet.told() == []


@pytest.mark.parametrize("seconds", [6 * MINUTE, 45 * MINUTE])
def test_a_redis_that_takes_no_writes_at_its_return(fleet, seconds):
    """It is read; what is to be moved is moved as soon as it can be, before anybody is told."""
    coordinator = fleet.start()
    coordinator.register("w")
    coordinator.register("offline")
    coordinator.beat("offline", status="offline")
    coordinator.beat("w", current_load=0.25)
    told, beaten = fleet.told(), coordinator.worker("w")["last_heartbeat"]
    fleet.wait_for_sign()
    fleet.redis.kill()
    fleet.clock.advance(seconds)
    fleet.redis.restart("--min-replicas-to-write", "1")
    wait_until(lambda: coordinator.get("/api/admin/workers").status == 200)
    coordinator.get("/api/admin/stats")
    rows = coordinator.workers()
    assert {worker_id: row["status"] for worker_id, row in rows.items()} == {"w": "healthy", "offline": "offline"}
    assert rows["w"]["current_load"] == 0.25 and abs(moment(rows["w"]) - moment({"last_heartbeat": beaten})) < 2
    assert coordinator.worker("w")["status"] == "healthy" and coordinator.get("/api/services/discover/rag").status == 200
    fleet.redis.client.config_set("min-replicas-to-write", 0)
    wait_until(lambda: fleet.redis.client.hexists("{rma}:life", "moved_at"))
    assert coordinator.worker("w")["status"] == "healthy"
    assert fleet.told() == told


@pytest.mark.parametrize("seconds", [6 * MINUTE, 45 * MINUTE])
def test_an_operators_command_before_any_coordinator_is_back(fleet, seconds):
    """It tells nobody offline either, and what it does lasts."""
    coordinator = fleet.start()
    for worker_id in ("w", "v"):
        coordinator.register(worker_id)
    fleet.wait_for_sign()
    coordinator.kill()
    fleet.redis.kill()
    fleet.clock.advance(seconds)
    fleet.redis.restart()

    def command(*arguments):
        done = subprocess.run([project.BINARY, *arguments], env=environment({"REDIS_URL": fleet.redis.url}, fleet.clock),
                              capture_output=True, text=True, check=False)
        return done.stdout
    assert "2 workers, 2 healthy" in command("workers")
    drains = "is drained" in command("drain", "w")
    assert drains or seconds > 30 * MINUTE
    fleet.coordinators = [fleet.start()]
    rows = fleet.coordinators[0].workers()
    assert rows["w"]["status"] == ("draining" if drains else "healthy") and rows["v"]["status"] == "healthy"
    invariants.assert_hold(fleet.redis.dump(everything=True))
