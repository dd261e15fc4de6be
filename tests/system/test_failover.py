"""A Redis that fails over: real servers, real Sentinels, the primary killed, frozen, demoted, and coming back as a replica."""

import json
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import invariants
import project
from coordinator import environment
from load import Load
from waiting import let_pass, promised, wait_until

FOLLOWS_WITHIN = promised(2)


def calls_of_scripts(server):
    return server.client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)


def assert_refused(attempts, *others):
    for attempt in attempts:
        assert attempt.outcome in (503, 504, *others), attempt


def test_the_primary_is_killed_under_load_and_comes_back_as_a_replica(start_group, start_coordinator):
    """With min-replicas-to-write, a replica has each registration that was acknowledged: none of them is lost."""
    group = start_group("--min-replicas-to-write", "1", "--min-replicas-max-lag", "5", replicas=2)
    old = group.servers[0]
    coordinators = [start_coordinator(REDIS_URL=group.url()) for _ in range(2)]
    load = Load(coordinators, threads=4)
    with load.running():
        let_pass(0.3)
        old.kill()
        new = group.wait_for_failover(old)
        # once the new primary has its replica, it takes writes: that is the end of this failover
        wait_until(lambda: new.client.info("replication").get("min_slaves_good_slaves", 0) >= 1)
        ended = time.monotonic()
        load.succeeds_again(ended, within=FOLLOWS_WITHIN)
        old.restart("--replica-announce-port", str(old.port))
        wait_until(lambda: old.client.role()[0] == "slave", within=40, what="the old primary has been made a replica")
        # it may refuse writes until its replicas are in step again, and the Sentinels of a busy machine may choose once more
        load.succeeds_again(time.monotonic(), within=30)
    assert load.failures, "the load did not notice"
    if group.failovers() == 1:
        assert_refused(load.failures)
        load.assert_no_registration_is_lost(coordinators[0])  # heartbeats don't wait for replicas: the next one repairs it
    else:  # the second choice may be a server that the replicas of the first one never had: docs/redis.md says so
        assert_refused(load.failures, 404)
    assert calls_of_scripts(old) == 0, "somebody wrote to the old primary"
    invariants.assert_hold(group.wait_for_failover(None).dump())
    for coordinator in coordinators:
        assert f"127.0.0.1:{new.port}" in {line.get("redis") for line in coordinator.log_lines() if line["event"] == "redis_up"}


def test_a_frozen_primary_is_left(start_group, start_coordinator):
    """It accepts connections and says nothing; when it thaws it believes to be the primary for a moment, and nobody listens."""
    group = start_group()
    old = group.servers[0]
    coordinator = start_coordinator(REDIS_URL=group.url())
    coordinator.register("before")
    old.freeze()
    new = group.wait_for_failover(old)
    coordinator.wait_until_ready(within=FOLLOWS_WITHIN)
    coordinator.register("after")
    before = calls_of_scripts(new)
    old.thaw()
    for number in range(50):
        coordinator.register(f"w{number}")
    assert coordinator.workers().keys() >= {"before", "after", "w0", "w49"}
    assert calls_of_scripts(new) >= before + 50


def test_a_failover_that_an_operator_asks_for(start_group, start_coordinator):
    group = start_group()
    coordinator = start_coordinator(REDIS_URL=group.url())
    coordinator.register("w")
    old = group.servers[0]
    wait_until(lambda: group.sentinels[0].client.execute_command("SENTINEL", "FAILOVER", "fleet") is not None)
    group.wait_for_failover(old)
    wait_until(lambda: coordinator.beat("w"), within=FOLLOWS_WITHIN)


def test_dead_sentinels_in_the_list_cost_nothing(start_group, start_coordinator, directory):
    """One refuses connections; one accepts them (as a stopped machine's kernel may) and says nothing."""
    group = start_group()
    dead, mute = group.sentinels[0], group.sentinels[1]
    dead.kill()
    mute.freeze()
    coordinator = start_coordinator(REDIS_URL=group.url())
    coordinator.register("w")
    mute.thaw()
    old = group.servers[0]
    old.kill()
    group.wait_for_failover(old)
    coordinator.wait_until_ready(within=FOLLOWS_WITHIN)
    assert coordinator.worker("w")["worker_id"] == "w"


def test_all_sentinels_away(start_group, start_coordinator, make_coordinator):
    """Who has found the primary goes on; who looks for it says 503, until a Sentinel is back."""
    group = start_group()
    running = start_coordinator(REDIS_URL=group.url())
    for sentinel in group.sentinels:
        sentinel.kill()
    running.register("w")
    late = make_coordinator(REDIS_URL=group.url()).start()
    assert late.get("/health").status == 503
    assert late.post("/api/worker/heartbeat", {"worker_id": "w"}).status == 503
    wait_until(lambda: "no Sentinel knows the primary" in late.stderr())
    running.beat("w")
    group.sentinels[2].start()
    late.wait_until_ready(within=FOLLOWS_WITHIN)
    late.beat("w")
    assert "redis_lost" not in running.stderr()


def test_passwords_of_both(start_group, start_coordinator, make_coordinator):
    group = start_group(password="s3cret", sentinel_password="t0psecret", sentinels=1)
    coordinator = start_coordinator(REDIS_URL=group.url(user=":s3cret@", options="?sentinel_password=t0psecret&db=0"),
                                    LOG_LEVEL="debug")
    coordinator.register("w")
    without = make_coordinator(REDIS_URL=group.url(user=":s3cret@")).start()
    wait_until(lambda: "NOAUTH" in without.stderr(), what="it says that the Sentinels want a password")
    wrong = make_coordinator(REDIS_URL=group.url(user=":s3cret@", options="?sentinel_password=wrong")).start()
    wait_until(lambda: "WRONGPASS" in wrong.stderr(), what="it says that the password is wrong")
    for coordinator in (coordinator, without, wrong):
        assert "s3cret" not in coordinator.stderr() and "t0psecret" not in coordinator.stderr()


def test_a_name_that_the_sentinels_do_not_know(start_group, make_coordinator):
    group = start_group(sentinels=1)
    coordinator = make_coordinator(REDIS_URL=group.url().replace("/fleet", "/other")).start()
    wait_until(lambda: "it has no primary of that name" in coordinator.stderr())
    assert coordinator.get("/readyz").status == 503


def test_a_replica_is_refused_until_it_is_a_primary(start_replicated, make_coordinator):
    primary, replica = start_replicated(1)
    coordinator = make_coordinator(replica).start()
    wait_until(lambda: re.search(rf"it is a replica, of 127.0.0.1:{primary.port}, and takes no writes", coordinator.stderr()))
    assert coordinator.get("/api/admin/workers").status == 503
    replica.client.replicaof("NO", "ONE")
    coordinator.wait_until_ready(within=FOLLOWS_WITHIN)
    coordinator.register("w")


@pytest.mark.parametrize("way", ["found by a write", "found by the watch"])
def test_a_primary_that_is_demoted_by_hand_is_left(start_replicated, start_coordinator, way):
    """Redis cuts no connection then, and goes on answering reads."""
    primary, other = start_replicated(1)
    coordinator = start_coordinator(primary)
    coordinator.register("w")
    wait_until(lambda: other.client.exists("{rma}:worker:w") == 1)
    other.client.replicaof("NO", "ONE")
    primary.client.replicaof("127.0.0.1", other.port)
    if way == "found by a write":
        answer = coordinator.post("/api/worker/heartbeat", {"worker_id": "w"})
        assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1
    wait_until(lambda: coordinator.get("/readyz").status == 503)
    wait_until(lambda: all(coordinator.get("/api/worker/w").status == 503 for _ in range(20)))
    assert "READONLY" in coordinator.stderr() or "it is a replica" in coordinator.stderr()
    primary.client.replicaof("NO", "ONE")
    coordinator.wait_until_ready(within=FOLLOWS_WITHIN)
    coordinator.beat("w")


def refusal(coordinator):
    answer = coordinator.post("/api/worker/register", {"worker_id": "new", "capabilities": {}})
    assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1, answer
    return answer.json["code"]


def test_what_redis_refuses_with_is_said(start_redis, start_coordinator):
    """Each keeps the connection: reads go on, and writes when the cause has gone."""
    redis = start_redis()
    coordinator = start_coordinator(redis)
    coordinator.register("w")
    redis.client.config_set("min-replicas-to-write", 1)
    assert refusal(coordinator) == "registry-replicas-lost"
    assert coordinator.worker("w")["worker_id"] == "w"
    redis.client.config_set("min-replicas-to-write", 0)
    coordinator.register("w")
    redis.client.config_set("maxmemory", 1)
    assert refusal(coordinator) == "registry-full"
    redis.client.config_set("maxmemory", 0)
    coordinator.register("w")
    assert "redis_lost" not in coordinator.stderr()
    invariants.assert_hold(redis.dump())


def test_how_redis_is_set_up_is_looked_at(start_redis, start_coordinator):
    redis = start_redis("--appendonly", "no", "--protected-mode", "no", "--maxmemory-policy", "volatile-lru")
    coordinator = start_coordinator(redis)
    redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    coordinator.wait_until_ready()
    events = [line["event"] for line in coordinator.log_lines() if line["level"] == "warn"]
    assert {event: events.count(event) for event in ("redis_evicts", "redis_forgets", "redis_open")} == \
        {"redis_evicts": 1, "redis_forgets": 1, "redis_open": 1}


def test_what_is_not_permitted_is_not_asked_twice(redis, start_coordinator):
    """A user who may do what the coordinator needs and no more."""
    redis.client.execute_command("ACL", "SETUSER", "fleet", "on", ">s3cret", "~{rma}:*", "+@all", "-@admin", "-info", "-role",
                                 "-config")
    coordinator = start_coordinator(REDIS_URL=f"redis://fleet:s3cret@127.0.0.1:{redis.port}")
    coordinator.register("w")
    let_pass(1.2)
    coordinator.beat("w")
    assert [line for line in coordinator.log_lines() if line["level"] != "info"] == []


def test_an_operators_commands_ask_the_sentinels_too(start_group, start_coordinator, directory):
    group = start_group(password="s3cret", sentinel_password="t0psecret", sentinels=2)
    group.sentinels[0].kill()
    url = group.url(user=":s3cret@", options="?sentinel_password=t0psecret")
    start_coordinator(REDIS_URL=url).register("w")

    def run(*arguments, **settings):
        return subprocess.run([str(project.BINARY), *arguments], env=environment({"REDIS_URL": url, **settings}), cwd=directory,
                              capture_output=True, text=True, timeout=30)

    assert [row["worker_id"] for row in json.loads(run("workers", "--json").stdout)["workers"]] == ["w"]
    assert json.loads(run("export").stdout)["w"]["worker_id"] == "w"
    refused = run("export", REDIS_URL=group.url(user=":s3cret@"))
    assert refused.returncode == 1 and "no Sentinel knows the primary" in refused.stderr and "NOAUTH" in refused.stderr


def test_what_waits_for_replicas_has_a_connection_of_its_own(start_replicated, start_coordinator):
    """So WAIT holds up no heartbeat."""
    primary, _ = start_replicated(1, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "60")
    wait_until(lambda: primary.client.info("replication").get("min_slaves_good_slaves") == 1)
    coordinator = start_coordinator(primary, THREADS=1)
    wait_until(lambda: coordinator.register("w"))
    calls = []
    with primary.client.monitor() as monitor:
        assert coordinator.post("/api/worker/register", {"worker_id": "w", "capabilities": {}}).status in (200, 503)
        coordinator.beat("w", available_memory="mark-of-the-heartbeat")
        coordinator.get("/readyz")
        while not any("mark-of-the-heartbeat" in call["command"] for call in calls):
            calls.append(monitor.next_command())
    waiting = {call["client_port"] for call in calls if call["command"].startswith("WAIT")}
    beating = {call["client_port"] for call in calls if call["command"].startswith("EVALSHA") and "mark-of" in call["command"]}
    assert len(waiting) == len(beating) == 1 and waiting != beating


def test_a_registration_is_acknowledged_when_a_replica_has_it(start_replicated, start_coordinator):
    """With min-replicas-to-write, and a replica that is connected and silent: Redis itself would say yes at once."""
    primary, replica = start_replicated(1, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "60")
    wait_until(lambda: primary.client.info("replication").get("min_slaves_good_slaves") == 1)
    coordinator = start_coordinator(primary, THREADS=1)
    # a replica that rewrites its file on a slow disk may take longer than the coordinator waits for it; then it is asked again
    wait_until(lambda: coordinator.register("known"))
    assert replica.client.exists("{rma}:worker:known")
    replica.freeze()
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(coordinator.post, "/api/worker/register", {"worker_id": f"w{number}", "capabilities": {}})
                   for number in range(2)]
        answers.append(pool.submit(coordinator.delete, "/api/worker/unregister/nobody"))
        beats = [coordinator.post("/api/worker/heartbeat", {"worker_id": "known"}) for _ in range(5)]
        for answer in answers[:2]:
            assert answer.result().status == 503 and answer.result().json["code"] == "registry-unconfirmed"
            assert answer.result().headers["Retry-After"]
        assert answers[2].result().status == 404
    assert all(beat.status == 200 for beat in beats)
    replica.thaw()
    wait_until(lambda: coordinator.register("w0"))
    assert replica.client.exists("{rma}:worker:w0")
    wait_until(lambda: coordinator.delete("/api/worker/unregister/w0").status in (200, 404))
    assert not replica.client.exists("{rma}:worker:w0")
