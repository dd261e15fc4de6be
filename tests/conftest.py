"""Fixtures of the system and Lua tests: every test has its own directory, its own Redis and its own coordinators."""

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

import processes
import project
from clock import Clock
from coordinator import Coordinator
from redis_group import Group, Sentinel
from peers import Peers
from redis_server import RedisServer
from stage import Stage


@contextlib.contextmanager
def own_directory():
    """A directory of its own, with a short path: unix sockets live in it."""
    path = Path(tempfile.mkdtemp(prefix="rma-"))
    yield path
    for pid in processes.living_in(path):  # a redis-server whose coordinator was killed
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def redis_servers(directory):
    """A function that starts private Redis servers."""
    servers = []

    def start(*options, **how):
        server = RedisServer(directory / f"redis{len(servers)}", **how)
        servers.append(server)
        return server.start(*options)

    yield start
    for server in servers:
        server.stop()


@contextlib.contextmanager
def coordinators(directory):
    """A function that makes coordinators; at the end, what was wrong with them fails the test."""
    assert project.BINARY.exists(), f"{project.BINARY} is missing: build it first"
    made = []

    def make(redis=None, clock=None, prepare=None, **settings):
        name = f"coordinator-{'abcdefghijklmnopqrstuvwxyz'[len(made)]}"
        if redis is not None:
            settings.setdefault("REDIS_URL", redis.url)
        coordinator = Coordinator(directory / name, name, clock, prepare, **settings)
        made.append(coordinator)
        return coordinator

    yield make
    problems = [problem for coordinator in made for problem in coordinator.finish()]
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
def directory():
    """A directory of the test's own."""
    with own_directory() as path:
        yield path


@pytest.fixture
def clock(directory):
    """A wall clock that the test moves."""
    return Clock(directory / "clock")


@pytest.fixture
def start_redis(directory):
    """Starts private Redis servers: start_redis(clock=..., password=..., program=...)."""
    with redis_servers(directory) as start:
        yield start


@pytest.fixture
def redis(start_redis):
    """A private Redis server."""
    return start_redis()


@pytest.fixture
def start_replicated(start_redis):
    """Starts a primary and replicas of it."""
    def start(replicas, *options, **how):
        primary = start_redis("--repl-diskless-sync-delay", "0", *options, **how)
        return [primary] + [start_redis("--replicaof", f"127.0.0.1 {primary.port}", "--repl-diskless-sync-delay", "0", *options,
                                        **how)
                            for _ in range(replicas)]
    return start


@pytest.fixture
def start_group(directory, start_replicated):
    """Starts servers and Sentinels: start_group(replicas=1, sentinels=3)."""
    made = []

    def start(*options, replicas=1, sentinels=3, sentinel_password=None, **how):
        servers = start_replicated(replicas, *options, **how)
        for number in range(sentinels):
            made.append(Sentinel(directory / f"sentinel{number}", servers[0], sentinels // 2 + 1, sentinel_password))
            made[-1].start()
        return Group(servers, made).wait_until_settled()

    yield start
    for sentinel in made:
        sentinel.stop()


@pytest.fixture
def make_coordinator(directory):
    """Makes coordinators that are not started yet: make_coordinator(redis, clock=..., SETTING=...)."""
    with coordinators(directory) as make:
        yield make


@pytest.fixture
def start_coordinator(make_coordinator):
    """Starts coordinators, and waits until they reach their Redis: start_coordinator(redis, clock=..., SETTING=...)."""
    def start(redis=None, **settings):
        return make_coordinator(redis, **settings).start().wait_until_ready()
    return start


@pytest.fixture
def coordinator(redis, start_coordinator):
    """One coordinator on the test's Redis."""
    return start_coordinator(redis)


@pytest.fixture
def three_coordinators(redis, start_coordinator):
    """Three instances on one Redis."""
    return [start_coordinator(redis) for _ in range(3)]


@pytest.fixture
def peers():
    """Workers with a behaviour each: peers.start(saying(...))."""
    with Peers() as peers:
        yield peers


@pytest.fixture(scope="module")
def make_stage():
    """Makes what the tests of one file share: a Redis, workers, and the coordinators that they start on it."""
    with contextlib.ExitStack() as stack:
        def make():
            directory = stack.enter_context(own_directory())
            start_redis = stack.enter_context(redis_servers(directory))
            peers = stack.enter_context(Peers())
            return Stage(directory, start_redis(), stack.enter_context(coordinators(directory)), peers)
        yield make
