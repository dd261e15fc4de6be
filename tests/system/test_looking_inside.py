"""The redis-cli commands that docs/redis.md prints work as printed."""

import os
import re
import signal
import subprocess
import threading

import pytest

import project

HEADING = "Looking inside with redis-cli"
FLEET = ["worker-810f649f", "worker-04d21ad4", "worker-732705b1", "worker-8fe80f98", "worker-8ade2c4a"]
TROUBLE = ("(nil)", "(error)", "WRONGTYPE", "ERR ", "Could not connect", "(empty array)", "not found")
WATCHES = re.compile(r"\bMONITOR\b")


def printed_commands():
    """The command lines of the section's sh blocks, continued lines joined."""
    page = project.ROOT / "docs/redis.md"
    section = re.split(r"^##+ .*$", page.read_text().split(HEADING, 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    lines = []
    for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL):
        lines += block.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


@pytest.fixture
def fleet(start_coordinator):
    """A coordinator with its embedded Redis in ./data, as `make run` has it, and a fleet that beats."""
    coordinator = start_coordinator()
    # The ids that the page takes as its examples are in the fleet.
    ids = list(dict.fromkeys(FLEET + re.findall(r"worker:([A-Za-z0-9._-]+)", " ".join(printed_commands()))))
    for worker_id in ids:
        coordinator.register(worker_id)
    coordinator.fleet_ids = ids
    stop = threading.Event()

    def beat():
        while not stop.wait(0.05):
            for worker_id in ids:
                coordinator.beat(worker_id)

    thread = threading.Thread(target=beat)
    thread.start()
    yield coordinator
    stop.set()
    thread.join()


def run(command, directory):
    """What the command prints; one that watches goes on and on, and is ended after a moment."""
    process = subprocess.Popen(["sh", "-c", command], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True)
    try:
        return process.communicate(timeout=4 if WATCHES.search(command) else 30)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGINT)
        try:
            return process.communicate(timeout=1)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.communicate()[0]


def test_commands_work_as_printed(fleet):
    commands = printed_commands()
    assert commands
    preamble = ""
    outputs = {}
    for command in commands:
        if "redis-cli" not in command or re.match(r"(alias|export)\b|\w+=", command):
            preamble += command + "\n"
            continue
        outputs[command] = run(preamble + command, fleet.directory)
    for command, output in outputs.items():
        assert output.strip(), f"{command} prints nothing"
        assert not [word for word in TROUBLE if word in output], f"{command} prints {output}"
    said = [output.strip() for output in outputs.values()]
    assert str(len(fleet.fleet_ids)) in said, f"no command counts the workers: {outputs}"
    assert any("assigned_services" in output and "capabilities" in output for output in said), "no command shows a worker"
    assert any(all(worker_id in output for worker_id in fleet.fleet_ids) for output in said), "no command lists who is online"
    ttls = {int(number) for output in said for number in re.findall(r"\b\d+\b", output) if len(number) < 10}
    assert any(295 <= ttl <= 300 or 295_000 <= ttl <= 300_000 for ttl in ttls), "no command shows when a worker goes offline"
    assert any(1795 <= ttl <= 1800 or 1_795_000 <= ttl <= 1_800_000 for ttl in ttls), "no command shows when a worker is removed"
    assert any("last_heartbeat" in output or "HSET" in output.upper() or "hset" in output for output in said), \
        "no command watches heartbeats"
