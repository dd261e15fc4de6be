"""The commands for users, tokens, keys and the audit: straight at Redis, and by a coordinator with a token."""

import contextlib
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

import http_client
import project
from credentials import bearer, make_token
from test_operator import DONE, FAILED, USAGE, environment, run, terminal  # noqa: F401
from waiting import wait_until

TOKEN = re.compile(r"^rma[ja]_[a-z2-7]{12}_[A-Za-z0-9_-]{43}\n$")


@pytest.fixture
def guarded(redis, start_coordinator):
    return start_coordinator(redis, AUTH="on")


@pytest.fixture
def straight(redis):
    """Runs a command on the Redis itself: whoever reaches that may do everything."""
    def ask(*arguments, stdin=""):
        return run(*arguments, settings={"REDIS_URL": redis.url}, stdin=stdin)
    return ask


def test_the_first_admin_is_made_and_signs_in(straight, guarded):
    assert straight("users", "add", "anna", "--role", "admin", stdin="correct horse\n").stdout == "anna may sign in.\n"
    answer = guarded.request("POST", "/api/auth/login", {"username": "anna", "password": "correct horse"})
    assert answer.status == 200
    assert "anna" in straight("users").stdout and "correct horse" not in straight("users", "list", "--json").stdout
    assert straight("users", "passwd", "anna", stdin="battery staple\n").returncode == DONE
    assert straight("users", "role", "anna", "viewer").returncode == DONE
    user, = json.loads(straight("users", "list", "--json").stdout)["users"]
    assert user["username"] == "anna" and user["role"] == "viewer"
    assert guarded.request("POST", "/api/auth/login", {"username": "anna", "password": "correct horse"}).status == 401
    assert straight("users", "remove", "anna").returncode == DONE
    assert straight("users", "list", "--json").stdout == '{"users":[]}\n'


def test_the_last_admin_goes_by_redis_alone(straight, guarded, redis):
    assert straight("users", "add", "anna", "--role", "admin", stdin="correct horse\n").returncode == DONE
    settings = {"COORDINATOR_URL": guarded.url, "RMA_TOKEN": make_token(redis.client)}
    for arguments in (("remove", "anna"), ("role", "anna", "viewer")):
        refused = run("users", *arguments, settings=settings)
        assert refused.returncode == FAILED and "make another one first" in refused.stderr
    assert straight("users", "role", "anna", "viewer").returncode == DONE
    assert straight("users", "role", "anna", "admin").returncode == DONE
    assert straight("users", "remove", "anna").returncode == DONE


def asked(terminal, redis, *arguments):
    started = terminal(*arguments, settings={"REDIS_URL": redis.url})
    wait_until(lambda: "Password: " in started.output)
    return started


def test_a_terminal_does_not_show_the_password(redis, guarded, terminal):
    started = asked(terminal, redis, "users", "add", "anna", "--role", "viewer")
    started.type("correct horse\n")
    wait_until(lambda: "Once more: " in started.output)
    started.type("correct horse\n")
    assert started.wait_for_end() == DONE and "horse" not in started.output and "anna may sign in." in started.output
    assert started.modes() == started.modes_before
    assert guarded.request("POST", "/api/auth/login", {"username": "anna", "password": "correct horse"}).status == 200


def test_a_terminal_shows_again_what_is_typed_after_an_interruption(redis, terminal):
    started = asked(terminal, redis, "users", "add", "anna", "--role", "viewer")
    started.type("correct\x03")
    assert started.wait_for_end() == -signal.SIGINT
    assert started.modes() == started.modes_before


def test_two_different_passwords_change_nothing(redis, straight, terminal):
    started = asked(terminal, redis, "users", "add", "anna", "--role", "viewer")
    started.type("correct horse\n")
    wait_until(lambda: "Once more: " in started.output)
    started.type("battery staple\n")
    assert started.wait_for_end() == USAGE and "two different" in started.output
    assert straight("users", "list", "--json").stdout == '{"users":[]}\n'


def test_a_token_is_all_that_standard_output_has(straight, guarded):
    made = straight("tokens", "add", "--kind", "join", "--name", "the office", "--tiers", "1,2", "--max-workers", "3", "--expires",
                    "30d")
    assert TOKEN.match(made.stdout)
    body = {"capabilities": {"cpu_cores": 8, "ram": "16GB"}, "worker_id": "w"}
    assert guarded.request("POST", "/api/worker/register", body, bearer(made.stdout.strip())).status == 200
    token, = json.loads(straight("tokens", "list", "--json").stdout)["tokens"]
    assert (token["name"], token["tiers"], token["max_workers"]) == ("the office", ["1", "2"], 3) and token["expires_at"]
    assert straight("tokens", "revoke", token["id"]).returncode == DONE
    assert json.loads(straight("tokens", "list", "--json").stdout)["tokens"][0]["revoked_at"]


def test_a_coordinator_takes_a_token(straight, guarded):
    token = straight("tokens", "add", "--kind", "api", "--name", "script", "--role", "admin").stdout.strip()
    refused = run("workers", "--url", guarded.url)
    assert refused.returncode == FAILED and "401" in refused.stderr
    for arguments in (["workers"], ["users", "list"], ["tokens"], ["keys", "rotate"], ["keys", "rotate", "--forget"], ["audit"]):
        assert run(*arguments, "--url", guarded.url, settings={"RMA_TOKEN": token}).returncode == DONE, arguments
    assert run("workers", "--url", guarded.url, settings={"RMA_TOKEN": "two words"}).returncode == USAGE


def test_the_audit_names_the_command(straight):
    straight("users", "add", "anna", "--role", "viewer", stdin="correct horse\n")
    straight("keys", "rotate", "--forget")
    assert json.loads(straight("audit", "--json").stdout)["entries"][0]["action"] == "key.forget"
    straight("keys", "rotate")
    newest, _, older = json.loads(straight("audit", "--json").stdout)["entries"]
    assert (newest["action"], older["action"], older["target"]) == ("key.rotate", "user.make", "user:anna")
    assert "straight at Redis" in older["who"]


@pytest.mark.parametrize("arguments, stdin", [
    (["users", "add"], ""), (["users", "add", "anna"], "correct horse\n"), (["users", "add", "anna", "--role", "viewer"], ""),
    (["users", "role", "anna"], ""), (["users", "nonsense"], ""), (["tokens", "add"], ""),
    (["tokens", "add", "--kind", "join"], ""),
    *((["tokens", "add", "--kind", "join", "--name", "x", flag, value], "") for flag, value in [
        ("--expires", "soon"), ("--expires", "inf"), ("--expires", "nan"), ("--expires", "0x10"), ("--expires", "1e3"),
        ("--expires", "9" * 400), ("--expires", " 3"), ("--max-workers", "3x"), ("--max-workers", ""), ("--max-workers", "inf"),
        ("--tiers", ""), ("--services", "")]),
    (["users", "add", "anna", "--role", "viewer"], "correct horse\0battery staple\n"),
    (["users", "add", "anna", "--role", "viewer"], "x" * 600 + "\n"),
    (["tokens", "revoke"], ""),
    (["keys", "lose"], "")])
def test_what_is_not_understood(straight, arguments, stdin):
    assert straight(*arguments, stdin=stdin).returncode == USAGE


@pytest.mark.parametrize("arguments, stdin, says", [
    (["users", "add", "anna", "--role", "root"], "correct horse\n", "role: must be viewer, user, operator or admin"),
    (["users", "add", "anna", "--role", "viewer"], "short\n", "the password must have at least 8 characters"),
    (["tokens", "add", "--kind", "api", "--name", "x"], "", "role: is required"),
    (["tokens", "add", "--kind", "join", "--name", "x", "--tiers", "9"], "", "tiers: must have numbers from 1 to 4 alone")])
def test_what_is_refused(straight, arguments, stdin, says):
    result = straight(*arguments, stdin=stdin)
    assert result.returncode == FAILED and "422" in result.stderr and says in result.stderr


def listening_ports(pid):
    """The TCP ports that a process listens on."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            sockets |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(descriptor)))
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and row[9] in sockets]


def test_a_commands_own_server_takes_nobody_elses_word(redis):
    """Other users of the machine reach it, too, while the command runs: it asks for a token that the command alone knows."""
    follower = subprocess.Popen([str(project.BINARY), "audit", "--follow"], env=environment({"REDIS_URL": redis.url}),
                                stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: listening_ports(follower.pid))
        port, = listening_ports(follower.pid)
        for path in ("/api/auth/users", "/api/admin/workers", "/api/admin/audit"):
            for headers in ({}, bearer("x" * 48), bearer(make_token(redis.client))):
                answer = http_client.request(port, "GET", path, headers=headers)
                assert answer.status == 401, (path, headers, answer)
    finally:
        follower.kill()
        follower.wait()
