"""Settings: the environment and flags alike, --help with every default, and one clear line for a bad value."""

import socket
import subprocess

import pytest

import coordinator as coordinator_module
import project

DEFAULTS = {
    "HOST": "::", "PORT": "8080", "THREADS": "", "REDIS_URL": "", "DATA_DIR": "./data", "KEY_PREFIX": "{rma}",
    "HEARTBEAT_INTERVAL_SECONDS": "30", "HEARTBEAT_TIMEOUT_SECONDS": "300", "WORKER_TIMEOUT_SECONDS": "1800", "COORDINATOR_ID": "",
    "REGION": "", "PUBLIC_URL": "", "ALLOWED_ORIGINS": "*", "TRUST_PROXY": "", "MAX_CONNECTIONS": "", "MAX_SERVICES_PER_WORKER": "1",
    "SERVICE_CATALOG": "",    "REQUEST_TIMEOUT_MS": "1500", "LOG_LEVEL": "", "LOG_FORMAT": ""}


def run(*arguments):
    return subprocess.run([str(project.BINARY), *arguments], env=coordinator_module.environment({}), capture_output=True, text=True,
                          timeout=5)


def test_help_lists_every_setting_with_its_default():
    result = run("--help")
    assert result.returncode == 0 and result.stderr == ""
    for name, default in DEFAULTS.items():
        rows = [line for line in result.stdout.splitlines() if name in line.split() or f"{name} " in line or f"{name}=" in line]
        assert rows, f"--help does not mention {name}"
        assert default in result.stdout, f"--help does not say that {name} is {default}"


def test_version():
    result = run("--version")
    assert result.returncode == 0
    assert any(character.isdigit() for character in result.stdout)
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize("name, value", [
    ("PORT", "abc"), ("PORT", "70000"), ("PORT", "-1"), ("PORT", "80 80"), ("PORT", "1e3"), ("THREADS", "-1"),
    ("THREADS", "many"), ("REDIS_URL", "http://localhost:6379"), ("REDIS_URL", "localhost:6379"), ("REDIS_URL", "redis://localhost:abc"),
    ("REDIS_URL", "redis://localhost:6379/x"), ("REDIS_URL", "redis://"), ("REDIS_URL", "unix://"), ("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml"),
    ("HEARTBEAT_TIMEOUT_SECONDS", "0"), ("HEARTBEAT_TIMEOUT_SECONDS", "-300"), ("HEARTBEAT_TIMEOUT_SECONDS", "5m"),
    ("WORKER_TIMEOUT_SECONDS", "x"), ("WORKER_TIMEOUT_SECONDS", "99999999999999999999"), ("MAX_CONNECTIONS", "0"), ("MAX_CONNECTIONS", "x"),
    ("REQUEST_TIMEOUT_MS", "-1"), ("MAX_SERVICES_PER_WORKER", "0"), ("MAX_SERVICES_PER_WORKER", "9"), ("TRUST_PROXY", "maybe"),
    ("KEY_PREFIX", "x" * 200), ("HOST", "not an address")])
def test_a_bad_value_stops_the_start_with_one_clear_line(redis, make_coordinator, name, value):
    settings = {"REDIS_URL": redis.url, name: value}
    says = make_coordinator(**settings).refuses_to_start()
    assert len(says.splitlines()) == 1, says
    assert name in says


def test_removal_must_come_after_offline(redis, make_coordinator):
    says = make_coordinator(redis, HEARTBEAT_TIMEOUT_SECONDS=600, WORKER_TIMEOUT_SECONDS=300).refuses_to_start()
    assert len(says.splitlines()) == 1 and "WORKER_TIMEOUT_SECONDS" in says


def test_a_port_that_is_taken_is_one_clear_line(redis, make_coordinator):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        says = make_coordinator(redis, PORT=port).refuses_to_start()
    assert str(port) in says


def test_an_unknown_flag_is_refused():
    result = run("--no-such-flag")
    assert result.returncode > 0 and "--no-such-flag" in result.stderr


def test_an_empty_variable_is_an_absent_one(redis, start_coordinator):
    coordinator = start_coordinator(redis, REGION="", PUBLIC_URL="", MAX_CONNECTIONS="", THREADS="", LOG_LEVEL="")
    assert coordinator.is_alive()


@pytest.mark.parametrize("threads", [1, 4])
def test_any_number_of_threads(redis, start_coordinator, threads):
    coordinator = start_coordinator(redis, THREADS=threads)
    for number in range(12):
        coordinator.register(f"w-{number}")
    assert len(coordinator.workers()) == 12


def test_the_password_is_in_no_log(redis, start_coordinator):
    redis.client.execute_command("ACL", "SETUSER", "fleet", "on", ">s3cret", "allkeys", "allcommands")
    coordinator = start_coordinator(REDIS_URL=f"redis://fleet:s3cret@127.0.0.1:{redis.port}/0", LOG_LEVEL="debug")
    coordinator.register("w")
    coordinator.stop()
    assert "s3cret" not in coordinator.stderr()
