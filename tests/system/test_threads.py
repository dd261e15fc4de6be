"""Many serving threads in one process, and what happens where the system allows too few."""

import os
import resource

import pytest

import http_client
import invariants
import preloaded
from load import Load
from redis_server import free_port
from waiting import let_pass, wait_until


def test_many_threads_that_look_for_redis_at_once(make_coordinator, redis):
    """All of them resolve its name and connect again and again, at the same moments; none disturbs another."""
    redis.kill()
    coordinators = [make_coordinator(redis, THREADS=64).start() for _ in range(4)]
    let_pass(4)
    assert all(coordinator.is_running() for coordinator in coordinators)
    redis.restart()
    for coordinator in coordinators:
        coordinator.wait_until_ready()


def test_load_on_many_threads(redis, start_coordinator):
    coordinator = start_coordinator(redis, THREADS=16)
    load = Load([coordinator], threads=8, pause=0)
    with load.running():
        let_pass(1)
    assert load.failures == []
    load.assert_nothing_acknowledged_is_lost(coordinator)
    invariants.assert_hold(redis.dump())


def few_threads(count):
    """Settings of a coordinator that can make so many threads beside its first one."""
    return {"FEW_THREADS": count, "LD_PRELOAD": preloaded.build("few_threads")}


def test_too_few_threads_stop_the_start_with_one_clear_line(redis, make_coordinator):
    says = make_coordinator(redis, THREADS=4, **few_threads(2)).refuses_to_start()
    assert says.splitlines()[-1] == "rma-coordinator: THREADS: 2 of 4 could be started: Resource temporarily unavailable"


@pytest.mark.parametrize("limit", [8, 16, 24])
def test_too_few_descriptors_stop_the_start_with_one_clear_line(redis, make_coordinator, limit):
    def prepare():
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    says = make_coordinator(redis, THREADS=4, prepare=prepare).refuses_to_start()
    assert says == (f"rma-coordinator: the limit of open files is {limit}, and 4 threads need 40: raise it (ulimit -n), "
                    "or set THREADS lower\n")


def test_threads_that_are_missing_later_fail_what_needs_them_alone(redis, start_coordinator):
    """Passwords are hashed, and names of workers looked up, in threads that are started when they are needed."""
    coordinator = start_coordinator(redis, THREADS=1, **few_threads(2))  # the second is that of libh2o for names of Redis
    for _ in range(2):
        assert coordinator.post("/api/auth/login", {"username": "anna", "password": "correct horse"}).status == 503
    coordinator.register("w", worker_url="http://worker.invalid", services=["rag"])
    for _ in range(2):
        answer = coordinator.get("/service/rag/x")
        assert answer.status in (502, 503) and answer.json["detail"], answer
    assert coordinator.is_running() and coordinator.beat("w")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_nothing_takes_the_place_of_a_closed_stderr(directory, make_coordinator, closed):
    """What is printed and logged must not go into the file or the connection that is opened first."""
    def prepare():
        for descriptor in closed:
            os.close(descriptor)
    data = directory / "data"
    coordinator = make_coordinator(DATA_DIR=data, PORT=(port := free_port()), LOG_LEVEL="debug", prepare=prepare).launch()
    wait_until(lambda: http_client.request(port, "GET", "/readyz").status == 200)
    for descriptor in closed:
        assert os.readlink(f"/proc/{coordinator.pid}/fd/{descriptor}") == "/dev/null"
    coordinator.stop()
    assert (data / "coordinator.lock").read_bytes() == b""
