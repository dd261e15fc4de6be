"""Without REDIS_URL: a private redis-server of the coordinator's own, supervised, and nothing lost whoever is killed."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time

import pytest
import redis as redis_library

import processes
import project
from coordinator import environment
from load import Load
from waiting import PATIENCE, let_pass, promised, wait_until


@pytest.fixture
def data(directory):
    return directory / "data"


def redis_pids(data):
    """The redis-server processes that live in the data directory."""
    return [pid for pid in processes.living_in(data) if "redis-server" in processes.command_line(pid)]


def redis_pid(data):
    pid, = redis_pids(data)
    return pid


def client(data):
    return redis_library.Redis(unix_socket_path=str(data / "redis.sock"), decode_responses=True)


def events(coordinator, name):
    """The lines of the coordinator's log about one kind of event."""
    return [line for line in coordinator.log_lines() if line.get("event") == name]


def write_aof(data, commands):
    """Puts an append-only file there (as Redis 6 has it; later ones take it over), of SET commands or anything else."""
    data.mkdir()
    with (data / "appendonly.aof").open("wb") as file:
        for number in range(commands):
            file.write(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$8\r\n%08d\r\n" % number)


@contextlib.contextmanager
def locked(path):
    """Holds a lock file as an old process would that lives on."""
    path.parent.mkdir(exist_ok=True)
    with path.open("a+") as file:
        wait_until(lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB) is None, what="the lock is free")
        yield file


def slow_redis(directory, microseconds):
    """A PATH on which redis-server takes so long for each command that it loads."""
    programs = directory / "programs"
    programs.mkdir()
    script = programs / "redis-server"
    script.write_text(f'#!/bin/sh\nexec "{shutil.which("redis-server")}" "$@" --key-load-delay {microseconds}\n')
    script.chmod(0o755)
    return f"{programs}:{os.environ['PATH']}"


def is_loading(data):
    return client(data).info("persistence")["loading"] == 1


@pytest.fixture
def coordinator(start_coordinator, data):
    """A coordinator with an embedded Redis that writes before it answers: see RedisServer."""
    return start_coordinator(DATA_DIR=data, APPENDFSYNC="always")


def test_it_is_a_whole_system(coordinator):
    coordinator.register("w")
    coordinator.beat("w")
    assert coordinator.workers().keys() == {"w"}
    assert coordinator.get("/health").json["status"] == "healthy"


def test_it_is_private_and_keeps_an_append_only_file(coordinator, data):
    pid = redis_pid(data)
    assert processes.listening_tcp_ports(pid) == set()
    assert processes.listening_tcp_ports(coordinator.pid) == {coordinator.port}
    assert (data / "redis.sock").stat().st_mode & 0o077 == 0, "other users of the machine can't talk to it"
    own = client(data)
    assert own.config_get("appendonly") == {"appendonly": "yes"}
    assert own.config_get("port") == {"port": "0"}
    assert own.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert os.path.samefile(own.config_get("dir")["dir"], data)
    assert any(path.name.startswith("appendonly") for path in data.iterdir())


@pytest.mark.parametrize("setting", [None, "everysec", "always"])
def test_when_its_file_reaches_the_disk(start_coordinator, data, setting):
    start_coordinator(DATA_DIR=data, **({"APPENDFSYNC": setting} if setting else {}))
    assert client(data).config_get("appendfsync") == {"appendfsync": setting or "everysec"}


def test_a_clean_stop_ends_it_too_and_the_next_start_has_the_data(coordinator, data):
    coordinator.register("w")
    pid = redis_pid(data)
    coordinator.stop()
    wait_until(lambda: not processes.is_running(pid))
    coordinator.start().wait_until_ready()
    assert coordinator.workers().keys() == {"w"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_killed_it_is_restarted_and_nothing_is_lost(coordinator, data, number):
    load = Load([coordinator], threads=3)
    with load.running():
        pid = redis_pid(data)
        os.kill(pid, number)
        killed = time.monotonic()
        wait_until(lambda: redis_pids(data) and pid not in redis_pids(data), what="a new redis-server runs")
        wait_until(lambda: client(data).ping(), what="it has read its file")
        load.succeeds_again(killed + 0.1, within=promised(4))
    coordinator.wait_until_ready(within=promised(2))
    for failure in load.failures:
        assert failure.outcome in (503, 504), failure
    load.assert_nothing_acknowledged_is_lost(coordinator)


def test_killed_again_and_again_it_comes_back_each_time(coordinator, data):
    coordinator.register("w")
    for _ in range(3):
        pid = redis_pid(data)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: redis_pids(data) and pid not in redis_pids(data))
        coordinator.wait_until_ready()
    assert coordinator.workers().keys() == {"w"}


def test_a_redis_that_cannot_start_does_not_spin(coordinator, data):
    """Restarting backs off."""
    coordinator.register("w")
    aof = data / "appendonlydir"
    aof.rename(data / "aside")
    aof.write_text("not a directory")
    os.kill(redis_pid(data), signal.SIGKILL)
    let_pass(1)
    before, lines = processes.cpu_seconds(coordinator.pid), len(coordinator.stderr().splitlines())
    let_pass(2)
    assert processes.cpu_seconds(coordinator.pid) - before < 0.3
    assert len(coordinator.stderr().splitlines()) - lines < 100
    assert coordinator.post("/api/worker/heartbeat", {"worker_id": "w"}).status == 503
    aof.unlink()
    (data / "aside").rename(aof)
    coordinator.wait_until_ready()
    assert coordinator.workers().keys() == {"w"}


def test_coordinator_killed_and_started_at_once(coordinator, data):
    load = Load([coordinator], threads=3)
    with load.running():
        let_pass(0.3)
        coordinator.kill()
    coordinator.start().wait_until_ready()
    load.assert_nothing_acknowledged_is_lost(coordinator)
    wait_until(lambda: len(redis_pids(data)) == 1, what="there is one redis-server on the data")
    coordinator.register("after")


def test_coordinator_killed_while_its_redis_is_frozen(coordinator, data):
    """The old redis-server still runs, deaf: the next start must not put a second one on the same files while it can still
    write."""
    coordinator.register("w")
    old = redis_pid(data)
    os.kill(old, signal.SIGSTOP)
    coordinator.kill()
    coordinator.launch()
    let_pass(1)
    if processes.is_running(old):
        os.kill(old, signal.SIGCONT)
    coordinator.wait_for_start().wait_until_ready()
    assert coordinator.workers().keys() == {"w"}
    coordinator.register("after")
    wait_until(lambda: len(redis_pids(data)) == 1)
    coordinator.stop()
    coordinator.start().wait_until_ready()
    assert coordinator.workers().keys() == {"w", "after"}


def test_a_stale_socket_file_does_not_matter(coordinator, data):
    coordinator.register("w")
    pid = redis_pid(data)
    os.kill(pid, signal.SIGSTOP)  # or it may stop in good order when its coordinator dies, and remove the file itself
    coordinator.kill()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes.is_running(pid))
    assert (data / "redis.sock").exists()
    coordinator.start().wait_until_ready()
    assert coordinator.workers().keys() == {"w"}


def test_a_second_coordinator_on_the_same_data_fails_clearly(coordinator, data, make_coordinator):
    coordinator.register("w")
    before = redis_pid(data)
    says = make_coordinator(DATA_DIR=data).refuses_to_start()
    assert str(data) in says, "it says which directory is taken"
    assert redis_pid(data) == before
    assert coordinator.workers().keys() == {"w"}
    coordinator.register("v")


@pytest.mark.parametrize("name", ["new", "new/within/new", "new//slashes/"])
def test_data_dir_is_made(start_coordinator, directory, name):
    start_coordinator(DATA_DIR=f"{directory}/{name}")
    assert (directory / name / "redis.sock").exists()
    assert (directory / name).stat().st_mode & 0o077 == 0, "other users of the machine have no business in it"


def test_a_relative_data_dir_is_made(start_coordinator):
    coordinator = start_coordinator(DATA_DIR="some/where")
    assert (coordinator.directory / "some" / "where" / "redis.sock").exists()


def test_data_dir_is_data_by_default(start_coordinator):
    coordinator = start_coordinator()
    assert (coordinator.directory / "data" / "redis.sock").exists()


@pytest.mark.parametrize("name", ["file", "file/data", "file/data/more"])
def test_a_data_dir_that_cannot_be_is_one_clear_line(make_coordinator, directory, name):
    (directory / "file").write_text("")
    says = make_coordinator(DATA_DIR=directory / name).refuses_to_start()
    refusal, = says.splitlines()
    assert f"{directory / 'file'}: Not a directory" in refusal, "it says which part of the path is in the way"


def test_a_data_dir_too_long_for_a_path_is_one_clear_line(make_coordinator, directory):
    says = make_coordinator(DATA_DIR=f"{directory}/" + "x" * 300).refuses_to_start()
    refusal, = says.splitlines()
    assert "DATA_DIR" in refusal and "File name too long" in refusal


def test_data_that_redis_cannot_load_is_one_clear_line(make_coordinator, data):
    """redis-server listens, reads its file, and ends: that is no start."""
    write_aof(data, 1)
    with (data / "appendonly.aof").open("ab") as file:
        file.write(b"this is no command\r\n")
    says = make_coordinator(DATA_DIR=data).refuses_to_start()
    refusal, = [line for line in says.splitlines() if line.startswith("rma-coordinator: ")]
    assert "redis.log" in refusal and str(data) in refusal and "redis-check-aof" in refusal
    assert redis_pids(data) == []


def test_much_data_is_waited_for(make_coordinator, data, directory):
    """A start takes as long as Redis reads its file, beyond the time in which anything else must be up."""
    write_aof(data, 300_000)
    coordinator = make_coordinator(DATA_DIR=data, PATH=slow_redis(directory, 250)).launch()
    wait_until(lambda: is_loading(data))
    let_pass(22)
    assert coordinator.is_running(), coordinator.stderr()
    assert is_loading(data) and not events(coordinator, "listening"), "it does not say that it serves before it can"
    assert len(events(coordinator, "redis_loading")) == 1
    client(data).config_set("key-load-delay", 0)
    coordinator.wait_for_start().wait_until_ready()
    assert client(data).get("x") == "00299999"


def test_a_redis_that_ends_again_and_again_is_logged_once_and_counted(coordinator, data):
    """The line says where to look for the cause; the end of the trouble says how often it was tried."""
    manifest = data / "appendonlydir" / "appendonly.aof.manifest"
    good = manifest.read_bytes()
    manifest.write_text("this is no manifest\n")
    complaints = (data / "redis.log").read_text().count("this is no manifest")
    os.kill(redis_pid(data), signal.SIGKILL)
    wait_until(lambda: (data / "redis.log").read_text().count("this is no manifest") >= complaints + 5)
    wait_until(lambda: [line for line in events(coordinator, "redis_died") if "status" in line])
    killed, failed = events(coordinator, "redis_died")
    assert killed["signal"] == signal.SIGKILL
    assert failed["status"] == 1
    assert killed["log"] == failed["log"] == str(data / "redis.log")
    manifest.write_bytes(good)
    coordinator.wait_until_ready()
    recovered, = wait_until(lambda: events(coordinator, "redis_recovered"))
    assert recovered["ends"] >= 6
    assert len(events(coordinator, "redis_died")) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_full_disk_stops_the_start_with_a_line_that_says_so(data):
    """redis.log can't say it: it is on that disk, too."""
    data.mkdir()
    start = f'mount -t tmpfs -o size=64k tmpfs "$DATA_DIR" && ! cp /dev/zero "$DATA_DIR/fill" 2>/dev/null && exec {project.BINARY}'
    result = subprocess.run(["unshare", "--mount", "sh", "-c", start], capture_output=True, text=True, timeout=PATIENCE,
                            env=environment({"DATA_DIR": data, "HOST": "127.0.0.1", "PORT": 0}))
    assert result.returncode == 1 and result.stderr.splitlines()[-1] == (
        f"rma-coordinator: the embedded redis-server has ended; the disk of {data} is full: free some space on it")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_while_redis_reads_its_data(make_coordinator, data, directory, number):
    write_aof(data, 300_000)
    coordinator = make_coordinator(DATA_DIR=data, PATH=slow_redis(directory, 250)).launch()
    wait_until(lambda: is_loading(data))
    pid = redis_pid(data)
    coordinator.stop(number)
    assert not processes.is_running(pid)
    assert not events(coordinator, "listening")


def test_asked_to_end_while_redis_does_not_answer(make_coordinator, data, directory):
    write_aof(data, 300_000)
    coordinator = make_coordinator(DATA_DIR=data, PATH=slow_redis(directory, 250)).launch()
    wait_until(lambda: is_loading(data))
    pid = redis_pid(data)
    os.kill(pid, signal.SIGSTOP)
    coordinator.stop()
    assert not processes.is_running(pid)


def test_asked_to_end_while_an_old_redis_is_in_the_way(make_coordinator, data):
    with locked(data / "redis.lock"):
        coordinator = make_coordinator(DATA_DIR=data).launch()
        wait_until(lambda: events(coordinator, "redis_takeover"))
        coordinator.stop(within=promised(4))
    assert redis_pids(data) == []


@pytest.mark.parametrize("written", ["", "1\n"], ids=["nothing", "no redis-server"])
def test_what_is_in_the_way_is_named_only_when_it_is_known(make_coordinator, data, written):
    """A process id that is not written down, or that is another's by now, is told to nobody as one to kill."""
    with locked(data / "redis.lock") as lock:
        lock.write(written)
        lock.flush()
        coordinator = make_coordinator(DATA_DIR=data)
        says = coordinator.refuses_to_start(within=25)
    taking_over, = events(coordinator, "redis_takeover")
    assert "pid" not in taking_over
    refusal, = [line for line in says.splitlines() if line.startswith("rma-coordinator: ")]
    assert "(pid" not in refusal
    assert str(data / "redis.lock") in refusal


def test_what_a_killed_redis_forked_ends_before_the_next_one_starts(coordinator, data):
    """A rewrite of the append-only file goes on without the server that began it, and would write beside the next one."""
    coordinator.register("w")
    old = redis_pid(data)
    own = client(data)
    own.config_set("rdb-key-save-delay", 60_000_000)
    own.bgrewriteaof()
    rewrite, = wait_until(lambda: processes.children(old), what="the rewrite runs")
    os.kill(rewrite, signal.SIGSTOP)
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: set(redis_pids(data)) - {old, rewrite}, what="a new redis-server runs")
    assert not processes.is_running(rewrite)
    coordinator.wait_until_ready()
    assert coordinator.workers().keys() == {"w"}


def test_no_redis_starts_while_the_lock_of_the_old_one_is_held(coordinator, data):
    """Whatever lives on of a killed redis-server has its lock."""
    coordinator.register("w")
    old = redis_pid(data)
    coordinator.send_signal(signal.SIGSTOP)
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: not processes.is_running(old))
    with locked(data / "redis.lock"):
        coordinator.send_signal(signal.SIGCONT)
        wait_until(lambda: events(coordinator, "redis_died"))
        let_pass(0.5)
        assert not set(redis_pids(data)) - {old}
        assert coordinator.is_alive()
    coordinator.wait_until_ready()
    assert coordinator.workers().keys() == {"w"}


def test_started_with_sigchld_ignored(start_coordinator, data):
    """An ignored signal is inherited; a child's end would pass unseen."""
    coordinator = start_coordinator(DATA_DIR=data, prepare=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    old = redis_pid(data)
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: set(redis_pids(data)) - {old}, what="a new redis-server runs")
    coordinator.wait_until_ready()
    coordinator.stop()
