"""The commands that documents print work as printed; only ports are the test's. Pages with tests of their own are tested there."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

import coordinator as coordinator_module
import project
from http_client import request
from redis_server import free_port
from waiting import wait_until


def blocks(page, language="sh", heading=None):
    """The blocks of code of a page, or of its part under a heading."""
    text = (project.ROOT / page).read_text()
    if heading:
        text = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no block of {language!r}"
    return found


def at_ports(text, ports):
    """The text with other ports."""
    return re.sub("|".join(map(str, ports)), lambda found: str(ports[int(found[0])]), text)


def run(text, cwd, stdin=None, **settings):
    result = subprocess.run(["bash", "-ec", text], cwd=cwd, env=coordinator_module.environment(settings), input=stdin,
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result
    return result.stdout


@contextlib.contextmanager
def running(text, cwd, **settings):
    """Runs commands that go on, and ends them."""
    shell = subprocess.Popen(["bash", "-c", text + "\nwait"], cwd=cwd, env=coordinator_module.environment(settings),
                             start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        shell.wait(20)


def link_project(directory, *names):
    """Puts parts of the project into a directory, with the build that is tested as the release."""
    for name in names:
        (directory / name).symlink_to(project.ROOT / name)
    (directory / "build").mkdir()
    (directory / "build" / "release").symlink_to(project.BUILD)


def get(port, path):
    return request(port, "GET", path)


@pytest.mark.parametrize("page, block", [("README.md", -1), ("docs/api.md", 0), ("docs/tasks.md", 0)])
def test_requests_by_curl(coordinator, page, block):
    text = at_ports(blocks(page)[block], {8080: coordinator.port})
    assert "curl" in text
    output = run(text.replace("curl ", "curl -sSf "), cwd="/")
    if page == "docs/tasks.md":
        assert coordinator.get("/api/tasks/" + json.loads(output)["task_id"]).json["queue"] == "documents"
    else:
        assert coordinator.worker("my-worker")["current_load"] == 0.24


def test_several_instances(directory):
    text, = blocks("docs/configuration.md", heading="Several instances")
    link_project(directory)
    ports = {6379: free_port(), 8081: free_port(), 8082: free_port()}
    (directory / "redis-server").write_text(f'#!/bin/sh\nexec {shutil.which("redis-server")} --port {ports[6379]} "$@"\n')
    (directory / "redis-server").chmod(0o755)
    with running(at_ports(text, ports), directory, PATH=f"{directory}:{os.environ['PATH']}"):
        for number in (8081, 8082):
            wait_until(lambda number=number: get(ports[number], "/readyz").status == 200)
        registered = request(ports[8081], "POST", "/api/worker/register", {"worker_id": "w", "capabilities": {}})
        assert registered.status == 200 and get(ports[8082], "/api/worker/w").status == 200


def test_a_backup_and_its_restoration(start_coordinator, directory):
    link_project(directory, "deploy")
    start_coordinator(DATA_DIR=directory / "data").register("w")
    text, = blocks("docs/operations.md", heading="Back it up")
    port = free_port()
    with running("set -e\n" + text, directory, PORT=str(port)):
        wait_until(lambda: get(port, "/api/worker/w").status == 200, within=30)


def test_the_first_admin_and_tokens(start_coordinator, directory):
    link_project(directory)
    data = directory / "data"
    coordinator = start_coordinator(DATA_DIR=data)
    text = blocks("docs/security.md", "", "Switch it on for a running fleet")[0]
    path = f"{directory}/build/release:{os.environ['PATH']}"
    output = run(text, directory, stdin="a long password\n", PATH=path)
    token, = re.findall(r"rmaj_\S+", output)
    coordinator.stop()
    guarded = start_coordinator(DATA_DIR=data, AUTH="on")
    signed_in = guarded.post("/api/auth/login", {"username": "anna", "password": "a long password"})
    assert signed_in.status == 200
    headers = {"Authorization": f"Bearer {token}"}
    assert guarded.post("/api/worker/register", {"worker_id": "w", "capabilities": {}}, headers=headers).status == 200


def test_a_key_of_ones_own(redis, start_coordinator, directory):
    run(blocks("docs/security.md", "", "Keys")[0], directory)
    coordinator = start_coordinator(redis, JWT_KEY_FILE=directory / "jwt.pem")
    assert len(coordinator.get("/.well-known/jwks.json").json["keys"]) == 1
