"""An operator's commands: what they show at a terminal and print elsewhere, whom they ask, and how they end."""

import base64
import contextlib
import http.server
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import unicodedata

import pytest

import coordinator as coordinator_module
import project
from redis_server import free_port
from terminal import Terminal
from waiting import wait_until

DONE, FAILED, USAGE, NO_WORKER, NOT_WELL = range(5)
COMMANDS = [["workers"], ["worker", "w"], ["services"], ["drain", "w"], ["undrain", "w"], ["remove", "w"], ["status"],
            ["route", "rag"]]
CERTIFICATE = project.ROOT / "tests" / "lib" / "certificate.pem"

# What a terminal would obey: controls of both kinds, and what turns the direction of writing.
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")
NASTY = "\x1b]0;owned\x07\x1b[2J\r\n\b\x7f\x9b31m\u202eevil\u2066"


def environment(settings=None):
    """The environment of a command: stderr is looked at, so nothing is said of what libh2o is known to leak."""
    quiet = {"LSAN_OPTIONS": f"suppressions={project.LSAN_SUPPRESSIONS}:print_suppressions=0"}
    return coordinator_module.environment({**quiet, **(settings or {})})


def run(*arguments, cwd="/", settings=None, stdin="", within=30):
    """Runs a command to its end where no terminal is. What it says of failure is one line."""
    result = subprocess.run([str(project.BINARY), *arguments], env=environment(settings), cwd=cwd,
                            capture_output=True, input=stdin, text=True, timeout=within)
    assert result.returncode in range(5), result
    if result.returncode in (FAILED, USAGE, NO_WORKER):
        assert result.stderr.startswith("rma-coordinator: ") and result.stderr.count("\n") == 1, result.stderr
        assert not OBEYED.search(result.stderr.rstrip("\n"))
    else:
        assert result.stderr == ""
    return result


@pytest.fixture
def terminal():
    """Starts commands on terminals: terminal("workers", columns=80, settings={...})."""
    with contextlib.ExitStack() as stack:
        def start(*arguments, settings=None, cwd="/", **more):
            started = Terminal([str(project.BINARY), *arguments], env=environment({"TERM": "xterm", **(settings or {})}), cwd=cwd,
                               **more)
            stack.callback(started.close)
            return started
        yield start


def show(terminal, *arguments, code=DONE, **more):
    """What a command shows, without colours, and nothing else that a terminal would obey."""
    started = terminal(*arguments, **more)
    assert started.wait_for_end() == code, started.output
    assert not OBEYED.search(started.shown), started.shown
    return started.shown


# -- ways to reach the fleet -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["url", "url variable", "redis", "redis flag", "data", "data flag"])
def reach(request, redis, start_coordinator):
    """A coordinator, and the flags, settings and directory that lead to its fleet."""
    way = request.param.split()[0]
    is_plain = " " not in request.param
    coordinator = start_coordinator() if way == "data" else start_coordinator(redis)
    if way == "url":
        return coordinator, ([f"--url={coordinator.url}/"] if is_plain else []), {"COORDINATOR_URL": coordinator.url}, "/"
    if way == "redis":
        settings = {"REDIS_URL": redis.url if is_plain else "redis://127.0.0.1:1"}
        return coordinator, ([] if is_plain else ["--redis-url", redis.url]), settings, "/"
    directory = coordinator.directory
    return coordinator, ([] if is_plain else ["--data-dir", str(directory / "data")]), {}, directory if is_plain else "/"


def test_each_way_leads_to_the_fleet(reach, terminal):
    coordinator, flags, settings, cwd = reach
    coordinator.register("w-1")
    coordinator.register("w-2", coordinator_module.GPU_CAPABILITIES)
    settings = {**settings, "http_proxy": "http://127.0.0.1:1", "NO_PROXY": "127.0.0.1"}

    def ask(*arguments):
        result = run(*arguments, "--json", *flags, cwd=cwd, settings=settings)
        assert result.returncode == DONE, result
        return json.loads(result.stdout)

    assert [worker["worker_id"] for worker in ask("workers")["workers"]] == ["w-1", "w-2"]
    assert ask("worker", "w-2")["tier"] == 1
    assert ask("services")["services"]["services"].keys() == {"rag", "vision"}
    assert ask("status")["stats"]["total_workers"] == 2
    assert ask("drain", "w-1")["status"] == "ok"
    assert coordinator.worker("w-1")["drained"] is True
    assert ask("undrain", "w-1")["status"] == "ok"
    assert coordinator.worker("w-1")["drained"] is False
    assert ask("remove", "w-1")["status"] == "ok"
    assert coordinator.workers().keys() == {"w-2"}
    assert "w-2" in show(terminal, "workers", *flags, cwd=cwd, settings=settings)


def test_a_private_server_uses_no_proxy(redis, coordinator):
    coordinator.register("w")
    settings = {"REDIS_URL": redis.url, "http_proxy": "http://127.0.0.1:1"}
    assert json.loads(run("worker", "w", "--json", settings=settings).stdout)["worker_id"] == "w"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_this_machine_is_reached_without_a_proxy(redis, start_coordinator, host):
    coordinator = start_coordinator(redis, HOST="0.0.0.0")
    coordinator.register("w")
    astray = {name: "http://127.0.0.1:1" for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                                      "ALL_PROXY")}
    result = run("worker", "w", "--json", "--url", f"http://{host}:{coordinator.port}",
                 settings={**astray, "NO_PROXY": "other.example"})
    assert result.returncode == DONE and json.loads(result.stdout)["worker_id"] == "w", result


class Proxy(http.server.BaseHTTPRequestHandler):
    """Answers every request in the name of whoever it was for."""

    def do_GET(self):
        status, kind, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_CONNECT = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def through(port, variable):
    return (f" (through the proxy http://127.0.0.1:{port} of {variable}; NO_PROXY names hosts to reach without it)\n")


@pytest.mark.parametrize(("variable", "scheme"), [
    ("http_proxy", "http"), ("all_proxy", "http"), ("ALL_PROXY", "http"), ("https_proxy", "https"), ("HTTPS_PROXY", "https"),
    ("ALL_PROXY", "https")])
def test_a_proxy_that_sends_it_astray_is_named(proxy, variable, scheme):
    dead = free_port()
    url = f"{scheme}://coordinator.example"
    result = run("workers", "--url", url, settings={variable: f"http://me:s3cret@127.0.0.1:{dead}"})
    assert result.returncode == FAILED
    assert result.stderr == f"rma-coordinator: the proxy before {url} can't be reached" + through(dead, variable)
    for proxy.answer in [(502, "text/html", b"<p>Bad Gateway"), (407, "text/html", b""), (200, "text/html", b"<p>Please log in"),
                         (200, "application/json", b"[1]")]:
        result = run("workers", "--url", url, settings={variable: f"http://127.0.0.1:{proxy.server_port}"})
        assert result.returncode == FAILED and result.stderr.startswith(f"rma-coordinator: {url} "), result
        assert result.stderr.endswith(through(proxy.server_port, variable)), result


def test_a_coordinators_own_word_is_not_the_proxys_fault(proxy):
    proxy.answer = (503, "application/problem+json",
                    b'{"status":503,"code":"registry-unavailable","detail":"The registry is away."}')
    result = run("workers", "--url", "http://coordinator.example", settings={"http_proxy": f"http://127.0.0.1:{proxy.server_port}"})
    assert result.returncode == FAILED
    assert result.stderr == "rma-coordinator: http://coordinator.example answers 503: The registry is away.\n"


def test_a_fleet_with_a_prefix_of_its_own(redis, start_coordinator):
    start_coordinator(redis, KEY_PREFIX="other").register("w")
    assert run("worker", "w", settings={"REDIS_URL": redis.url}).returncode == NO_WORKER
    assert run("worker", "w", "--key-prefix=other", "--redis-url", redis.url).returncode == DONE
    assert run("worker", "w", settings={"REDIS_URL": redis.url, "KEY_PREFIX": "other"}).returncode == DONE


@pytest.mark.parametrize("command", COMMANDS)
def test_nobody_there(command, directory, redis):
    nowhere = f"127.0.0.1:{free_port()}"
    result = run(*command, "--url", f"http://me:s3cret@{nowhere}")
    assert result.returncode == FAILED
    assert result.stderr == f"rma-coordinator: no coordinator listens at http://{nowhere}; start it, or check --url\n"
    result = run(*command, cwd=directory)
    assert result.returncode == FAILED
    assert result.stderr == "rma-coordinator: no coordinator runs on ./data; give --url or REDIS_URL\n"


def test_a_coordinator_that_was_killed_has_left_its_socket(start_coordinator):
    coordinator = start_coordinator()
    coordinator.stop()
    (coordinator.directory / "data" / "redis.sock").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(coordinator.directory / "data" / "redis.sock"))
    assert "no coordinator runs on ./data" in run("workers", cwd=coordinator.directory).stderr


def test_a_redis_that_does_not_serve(redis):
    redis.client.config_set("requirepass", "s3cret")
    for url in (redis.url, f"redis://:wr0ng@127.0.0.1:{redis.port}/0", f"redis://127.0.0.1:{free_port()}"):
        result = run("workers", settings={"REDIS_URL": url})
        assert result.returncode == FAILED
        assert result.stderr.startswith("rma-coordinator: Redis at 127.0.0.1:") and "REDIS_URL" in result.stderr
        assert "wr0ng" not in result.stderr
    assert run("workers", settings={"REDIS_URL": f"redis://:s3cret@127.0.0.1:{redis.port}"}).returncode == DONE


# -- usage -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [
    ["workers", "w"], ["workers", "--tier"], ["workers", "--tier=5"], ["workers", "--tier=11"], ["workers", "--tier="],
    ["workers", "--status=well"], ["workers", "--service=a b"], ["workers", "--service="], ["workers", "--watch=yes"],
    ["workers", "--watch"], ["workers", "--yes"], ["workers", "-j"], ["workers", "--jso"], ["workers", "--no-such\x1b[2Jflag"],
    ["worker"], ["worker", ""], ["worker", "a", "b"], ["worker", "a/b"], ["worker", NASTY], ["worker", "x" * 129],
    ["worker", "\xe4"],
    ["worker", "w", "--tier=1"], ["worker", "w?x=1"], ["worker", "%41"], ["worker", "w:online"], ["worker", "-w"],
    ["services", "rag"], ["status", "--watch"], ["status", "now"], ["drain"], ["undrain"], ["remove"], ["remove", "--yes"],
    ["workers", "--url", ""], ["workers", "--url", "localhost:8080"], ["workers", "--url", "file:///etc/passwd"],
    ["workers", "--url", "http://"], ["workers", "--url", "http://x/?a=b"], ["workers", "--url", "http://x/#a"],
    ["workers", "--url", "http://a b/"], ["workers", "--url", "http://x:99999"], ["workers", "--url", "http://" + "x" * 2000],
    ["workers", "--url=http://x", "--redis-url=redis://y"], ["workers"] + ["--key-prefix=x"] * 7])
def test_arguments_that_are_not_understood(arguments):
    result = run(*arguments)
    assert result.returncode == USAGE, result
    assert result.stdout == ""


def test_a_password_in_a_wrong_flag_is_not_shown():
    assert "s3cret" not in run("workers", "--urls=http://me:s3cret@x").stderr
    assert "s3cret" not in run("workers", "--url=ftp://me:s3cret@x").stderr


@pytest.mark.parametrize("command", ["workers", "worker", "services", "drain", "undrain", "remove", "status", "route"])
def test_help_of_a_command(command):
    for arguments in ([command, "--help"], [command, "-h"], [command, "w", "--url", "x", "--help"]):
        result = run(*arguments)
        assert result.returncode == DONE
        assert result.stdout.startswith(f"Usage: rma-coordinator {command} ")
        assert "--url URL" in result.stdout and "--json" in result.stdout and "Exit code: 0 done; 1" in result.stdout
        assert ("--tier N" in result.stdout) == (command == "workers")
        assert ("--yes" in result.stdout) == (command == "remove")
    assert re.search(rf"^  {command}  +\w", run("--help").stdout, re.MULTILINE)


def test_an_id_that_looks_like_a_flag(coordinator):
    for worker_id in ("--help", "--json", "-", "--"):
        coordinator.register(worker_id)
        result = run("worker", "--json", "--url", coordinator.url, "--", worker_id)
        assert json.loads(result.stdout)["worker_id"] == worker_id


@pytest.mark.parametrize("worker_id", [".", "..", "...", ".a", "a:b", "x" * 128])
def test_strange_ids(coordinator, worker_id):
    coordinator.register(worker_id)
    assert json.loads(run("worker", worker_id, "--json", "--url", coordinator.url).stdout)["worker_id"] == worker_id
    assert run("drain", worker_id, "--url", coordinator.url).returncode == DONE
    assert coordinator.workers()[worker_id]["drained"] is True
    assert run("remove", worker_id, "--url", coordinator.url).returncode == DONE
    assert coordinator.workers() == {}


@pytest.mark.parametrize("command", ["worker", "drain", "undrain", "remove"])
def test_no_such_worker(coordinator, terminal, command):
    result = run(command, "nobody", "--url", coordinator.url)
    assert result.returncode == NO_WORKER
    assert result.stderr == "rma-coordinator: there is no worker nobody\n" and result.stdout == ""
    flags = ["--yes"] if command == "remove" else []
    assert "there is no worker nobody" in show(terminal, command, "nobody", *flags, "--url", coordinator.url, code=NO_WORKER)


# -- what is shown ---------------------------------------------------------------------------------------------------------------


def without_ages(worker):
    return {name: value for name, value in worker.items() if name != "age_seconds"}


def test_json_is_what_the_coordinator_answers(coordinator):
    for number in range(250):
        coordinator.register(f"w-{number}", {"x": [1.50, {"y": "\xe4\u20ac\U0001f600 \\ \""}]})
    printed = json.loads(run("workers", "--json", "--url", coordinator.url).stdout)
    answered = coordinator.get("/api/admin/workers").json
    assert [without_ages(worker) for worker in printed.pop("workers")] == [
        without_ages(worker) for worker in answered.pop("workers")]
    assert printed == answered
    assert (without_ages(json.loads(run("worker", "w-7", "--json", "--url", coordinator.url).stdout)).keys()
            == without_ages(coordinator.worker("w-7")).keys())
    services = json.loads(run("services", "--json", "--url", coordinator.url).stdout)
    assert services == {"gaps": coordinator.get("/api/admin/gaps").json, "services": coordinator.get("/api/admin/services").json}
    assert json.loads(run("status", "--json", "--url", coordinator.url).stdout).keys() == {"health", "fleet", "stats", "gaps"}


def test_no_workers(coordinator, terminal):
    assert json.loads(run("workers", "--json", "--url", coordinator.url).stdout) == coordinator.get("/api/admin/workers").json
    assert show(terminal, "workers", "--url", coordinator.url) == "There are no workers.\n"
    assert show(terminal, "workers", "--tier=4", "--url", coordinator.url) == "There are no such workers.\n"


def test_workers_are_a_table(coordinator, terminal):
    coordinator.register("a", ip_address="203.0.113.9")
    coordinator.register("worker-with-a-longer-id", coordinator_module.GPU_CAPABILITIES, services=[{"name": "own", "port": 1}])
    coordinator.beat("a", status="degraded", current_load=0.24)
    lines = show(terminal, "workers", "--url", coordinator.url).splitlines()
    assert lines[0].split() == ["WORKER", "TIER", "STATUS", "LOAD", "HEARTBEAT", "SERVICES", "ADDRESS"]
    assert re.fullmatch(r"a +2 cpu +degraded +24 % +\d s ago +rag +203.0.113.9", lines[1])
    assert re.fullmatch(r"worker-with-a-longer-id +1 gpu +healthy +0 % +\d s ago +vision, own +127.0.0.1", lines[2])
    assert lines[3] == "2 workers, 1 healthy"
    for title, values in (("TIER", ["2 cpu", "1 gpu"]), ("STATUS", ["degraded", "healthy"]), ("SERVICES", ["rag", "vision"])):
        assert [lines[row].index(value) for row, value in enumerate(values, 1)] == 2 * [lines[0].index(title)]


@pytest.mark.parametrize("flags, ids", [
    (["--tier=1"], ["gpu"]), (["--tier", "2"], ["cpu", "ill"]), (["--status", "degraded"], ["ill"]),
    (["--service", "own"], ["gpu"]),
    (["--tier=2", "--status=healthy"], ["cpu"])])
def test_filters(coordinator, flags, ids):
    coordinator.register("gpu", coordinator_module.GPU_CAPABILITIES, services=[{"name": "own", "port": 1}])
    coordinator.register("cpu")
    coordinator.register("ill")
    coordinator.beat("ill", status="degraded")
    printed = json.loads(run("workers", *flags, "--json", "--url", coordinator.url).stdout)
    assert [worker["worker_id"] for worker in printed["workers"]] == ids
    assert printed["total"] == len(ids)


def test_colours_are_for_terminals_that_want_them(coordinator, terminal):
    coordinator.register("w")
    for settings, wanted in (({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)):
        started = terminal("workers", "--url", coordinator.url, settings=settings)
        assert started.wait_for_end() == DONE
        assert ("\x1b[32mhealthy\x1b[0m" in started.output) == wanted
        assert ("\x1b" in started.output) == wanted
    assert "\x1b" not in run("workers", "--url", coordinator.url).stdout


def test_elsewhere_than_at_a_terminal_it_is_the_same_text(coordinator, terminal):
    """As grep and awk expect it: the table, without colours, nothing cut."""
    coordinator.register("w" * 128, {**coordinator_module.GPU_CAPABILITIES, "note": NASTY}, ip_address="203.0.113.9",
                         services=[{"name": "s" * 100, "version": NASTY}])
    coordinator.register("cpu")
    commands = (["workers"], ["workers", "--tier=1"], ["services"], ["status"], ["worker", "w" * 128], ["drain", "cpu"],
                ["undrain", "cpu"], ["remove", "cpu", "--yes"])
    for command in commands:
        here = show(terminal, *command, "--url", coordinator.url, columns=400) if command[0] != "remove" else None
        there = run(*command, "--url", coordinator.url)
        assert there.returncode == DONE, there
        assert not OBEYED.search(there.stdout) and "\x1b" not in there.stdout and "…" not in there.stdout, there.stdout
        if here is not None:
            assert re.sub(r"\d+(\.\d+)? (s|ms)\b", "n", there.stdout) == re.sub(r"\d+(\.\d+)? (s|ms)\b", "n", here), command
        assert isinstance(json.loads(show(terminal, *command[:2], "--json", "--url", coordinator.url)),
                          dict) if command[0] != "remove" else True
    gpu = [line for line in run("workers", "--url", coordinator.url).stdout.splitlines() if "gpu" in line]
    assert len(gpu) == 1 and gpu[0].split()[0] == "w" * 128 and gpu[0].endswith("203.0.113.9")


def test_a_reader_that_has_enough(coordinator):
    for number in range(300):
        coordinator.register(f"w-{number:03}", {"note": 5000 * "x"})
    for flags in ([], ["--json"]):
        result = subprocess.run(["sh", "-c", '"$0" workers "$@" | head -c 20', str(project.BINARY), *flags, "--url",
                                 coordinator.url],
                                env=environment(), capture_output=True, text=True, timeout=30)
        assert len(result.stdout) == 20 and "Sanitizer" not in result.stderr, result


def width(line):
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


@pytest.mark.parametrize("columns", [1, 10, 40, 60, 80])
def test_tables_fit_the_terminal(coordinator, terminal, columns):
    coordinator.register("w" * 128, ip_address="\N{HIRAGANA LETTER A}" * 60, services=[{"name": "s" * 60}])
    for arguments in (["workers"], ["services"], ["status"]):
        lines = show(terminal, *arguments, "--url", coordinator.url, columns=columns,
                     code=NOT_WELL if arguments == ["status"] else DONE).splitlines()
        if arguments != ["status"] or columns >= 60:
            assert max(width(line) for line in lines) <= columns, lines
        if arguments == ["workers"]:
            assert "…" in lines[1]
    assert "w" * 128 in show(terminal, "workers", "--json", "--url", coordinator.url, columns=columns)


def test_one_worker_with_all_there_is(coordinator, terminal):
    coordinator.register("w", {"cpu_cores": 8, "ram": "15.6GB", "nested": {"deep": [{"name": "value-in-depth"}, 3.25], "none": {}}},
                         containers=[{"image": "some/image:1"}], tunnel_url="https://x.example.com")
    coordinator.beat("w", status="draining", current_load=0.5, loaded_models=["llama3.2", "mistral"])
    shown = show(terminal, "worker", "w", "--url", coordinator.url)
    lines = [line.split(maxsplit=1) for line in shown.splitlines()]
    assert ["status", "draining"] in lines and ["current_load", "50 %"] in lines and ["loaded_models", "llama3.2, mistral"] in lines
    assert ["tunnel_url", "https://x.example.com"] in lines and ["drained", "no"] in lines and ["region", "-"] in lines
    for text in ("value-in-depth", "3.25", "some/image:1", "ghcr.io/rma/rag-worker:latest", "15.6GB", "cpu_cores"):
        assert text in shown
    assert re.search(r"last_heartbeat +20\d\d-.*Z \(\d+ s ago\)", shown)
    for name in coordinator.worker("w"):
        assert name in ("worker_id", "age_seconds") or name in shown, f"{name} is not shown"


def test_services_are_those_of_the_catalogue_and_of_workers(coordinator, terminal):
    for number in range(7):
        coordinator.register(f"w-{number}", services=[{"name": "own", "port": 1}])
    rows = [line.split() for line in show(terminal, "services", "--url", coordinator.url).splitlines()]
    assert rows[0] == ["SERVICE", "TIER", "WORKERS", "HEALTHY", "STATE"]
    assert rows[1] == ["vision", "1", "gpu", "0", "0", "critical"]
    assert ["ner", "2", "cpu", "1", "1", "warning"] in rows and ["rag", "2", "cpu", "2", "2", "ok"] in rows
    assert rows[-1] == ["own", "-", "7", "7", "available"]


def test_status_says_how_the_fleet_is(redis, start_coordinator, terminal):
    coordinator = start_coordinator(redis, COORDINATOR_ID="here", REGION="lhr")
    coordinator.register("cpu")
    shown = show(terminal, "status", "--url", coordinator.url, code=NOT_WELL)
    assert "healthy, here, version " in shown and "region lhr" in shown and "no live GPU worker" in shown
    assert run("status", "--url", coordinator.url).returncode == NOT_WELL
    coordinator.register("gpu", coordinator_module.GPU_CAPABILITIES)
    shown = show(terminal, "status", "--url", coordinator.url)
    assert re.search(r"^fleet +healthy$", shown, re.MULTILINE)
    assert re.search(r"^workers +2: 2 healthy, 0 degraded, 0 offline$", shown, re.MULTILINE)
    assert re.search(r"^rag +2 cpu +1  warning$", shown, re.MULTILINE)
    assert run("status", "--url", coordinator.url).returncode == DONE
    redis.kill()
    wait_until(lambda: not coordinator.is_ready())
    shown = show(terminal, "status", "--url", coordinator.url, code=NOT_WELL)
    assert "unhealthy, here" in shown and re.search(r"^Redis +down$", shown, re.MULTILINE)
    result = run("status", "--json", "--url", coordinator.url)
    assert result.returncode == NOT_WELL and json.loads(result.stdout)["health"]["status"] == "unhealthy"
    assert run("workers", "--url", coordinator.url).returncode == FAILED


def test_what_was_done_is_said(coordinator, terminal):
    coordinator.register("w")
    assert show(terminal, "drain", "w", "--url", coordinator.url) == "w is drained: it gets no new work.\n"
    assert show(terminal, "undrain", "w", "--url", coordinator.url) == "w gets work again.\n"
    assert show(terminal, "remove", "w", "--yes", "--url", coordinator.url) == "w is removed.\n"
    assert coordinator.workers() == {}


@pytest.mark.parametrize("answer, is_meant", [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("yellow\n", False),
                                              ("\x04", False), ("y" * 100 + "\n", False)])
def test_remove_asks_at_a_terminal(coordinator, terminal, answer, is_meant):
    coordinator.register("w")
    started = terminal("remove", "w", "--url", coordinator.url)
    wait_until(lambda: "Remove w? [y/N] " in started.output)
    assert coordinator.workers().keys() == {"w"}
    started.type(answer)
    assert started.wait_for_end() == (DONE if is_meant else FAILED)
    assert ("w is removed." in started.output) == is_meant
    assert coordinator.workers().keys() == (set() if is_meant else {"w"})


def test_2000_workers(coordinator, terminal):
    with coordinator.connection() as connection:
        for number in range(2000):
            body = {"worker_id": f"w-{number:04}", "capabilities": {"note": 7000 * "x"}}
            assert connection.request("POST", "/api/worker/register", body).status == 200
    ids = [f"w-{number:04}" for number in range(2000)]
    lines = show(terminal, "workers", "--url", coordinator.url).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ids
    assert lines[-1] == "2000 workers, 2000 healthy"
    with subprocess.Popen([str(project.BINARY), "workers", "--json", "--url", coordinator.url], env=environment(),
                          stdout=subprocess.PIPE) as process:
        most = process.stdout.read(13_000_000)  # the rest doesn't fit a pipe: it waits
        peak_kb = int(re.search(r"VmHWM:\s*(\d+) kB", open(f"/proc/{process.pid}/status").read())[1])
        printed = json.loads(most + process.stdout.read())
    assert process.returncode == DONE and printed["total"] == 2000
    assert [worker["worker_id"] for worker in printed["workers"]] == ids
    if not project.SANITIZED:
        assert peak_kb < 20_000, "it holds a page at a time, not the 14 MB that it prints"


def test_an_output_that_takes_no_more(coordinator):
    coordinator.register("w")
    for command in (["workers"], ["worker", "w"], ["services"], ["status"]):
        with open("/dev/full", "w") as full:
            result = subprocess.run([str(project.BINARY), *command, "--url", coordinator.url], stdout=full, stderr=subprocess.PIPE,
                                    env=environment(), text=True, timeout=30)
        assert result.returncode == FAILED and "stdout" in result.stderr


@pytest.mark.parametrize("command", [["check"], ["check", "--json"], ["--help"], ["--version"], ["workers", "--help"]])
@pytest.mark.parametrize("stdout", ["full", "closed"])
def test_short_output_that_is_lost_is_an_error_too(redis, coordinator, command, stdout):
    coordinator.register("w")
    shell = {"full": 'exec "$@" >/dev/full', "closed": 'exec "$@" >&-'}[stdout]
    result = subprocess.run(["sh", "-c", shell, "sh", str(project.BINARY), *command], stderr=subprocess.PIPE,
                            env=environment({"REDIS_URL": redis.url}), text=True, timeout=30)
    assert result.returncode == FAILED and result.stderr == "rma-coordinator: stdout takes no more\n"


# -- strangers -------------------------------------------------------------------------------------------------------------------


def test_nothing_that_is_in_redis_reaches_the_terminal(redis, coordinator, terminal):
    coordinator.register("w", {"gpu_type": NASTY, NASTY.replace("\r\n", ""): NASTY, "list": [NASTY]},
                         services=[{"name": "own", "version": NASTY}], containers=[{NASTY: NASTY}])
    coordinator.beat("w", services_status={NASTY: NASTY})
    for field in ("ip_address", "worker_type"):
        assert redis.client.hset("{rma}:registration:w", field, NASTY) == 0, f"{field} is no field any more"
    for arguments in (["workers"], ["worker", "w"], ["workers", "--json"], ["worker", "w", "--json"], ["services"]):
        shown = show(terminal, *arguments, "--url", coordinator.url)
        assert shown
    printed = json.loads(run("worker", "w", "--json", "--url", coordinator.url).stdout)
    assert printed["capabilities"]["gpu_type"] == NASTY, "as JSON it is all there"


@pytest.fixture
def stranger():
    """An HTTP server that answers every request as the test says: stranger(body, status=200, ...); its requests are kept."""
    servers = []

    def start(answer, status=200, tls=False):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do(self):
                server.requests.append((self.command, self.path, self.headers))
                with contextlib.suppress(OSError):
                    if callable(answer):
                        answer(self)
                        return
                    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            do_GET = do_POST = do_DELETE = do

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.requests = []
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return server

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


GARBAGE = [b"", b"\x00\xff\xfe", b"<html>no</html>", b"[]", b"null", b"1", b"{", b'{"a":1}x', b'{"a":NaN}', b'{"a":"\xff"}',
           b'{"a":"\x1b"}',
           b'{"a":' * 40 + b"1" + b"}" * 40, b"[" * 100000, b'{"a":1e999}', b'{"a":"\\u0000"}',
           b'{"workers":[' + b"0," * 2_000_001 + b"0]}"]


@pytest.mark.parametrize("body", GARBAGE, ids=lambda body: repr(body[:20]))
def test_answers_that_are_no_json(stranger, body):
    for status in (200, 500):
        server = stranger(body, status)
        for command in COMMANDS:
            assert run(*command, "--url", server.url).returncode == FAILED


VALUES = [None, True, 0, -1.5, 1e300, "", NASTY, "x" * 5000, [], [[]], [None], [1], ["x"], [{}], {}, {"x": None}, {"": {"": {}}}]
MEMBERS = ["workers", "next_cursor", "total", "healthy", "worker_id", "status", "tier", "worker_type", "current_load",
           "age_seconds", "drained",
           "assigned_services", "services", "last_heartbeat", "registered_at", "gaps", "critical_gaps", "warnings", "redis",
           "overall_status",
           "workers_by_status", "has_minimum_workers", "workers_by_tier", "average_load_by_tier", "service", "required_type",
           "current_workers", "text", "code", "eligible", "requests_in_flight", "left_out"]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:12])
def test_answers_of_wrong_types(stranger, terminal, value):
    """Nothing crashes, hangs or reaches the terminal, whatever has the wrong type, at the top or within."""
    inner = {name: value for name in MEMBERS}
    nested = {**inner, "workers": [inner, value], "gaps": [inner, value], "critical_gaps": [inner],
              "services": {"x": inner, "y": value},
              "redis": inner, "worker_id": "w", "status": "ok", "overall_status": "degraded", "next_cursor": None}
    for body in (inner, nested):
        server = stranger(body)
        for command in COMMANDS:
            run(*command, "--url", server.url)
            started = terminal(*command, *(["--yes"] if command[0] == "remove" else []), "--url", server.url)
            assert started.wait_for_end() in range(5)
            assert not OBEYED.search(started.shown)


def test_pages_that_lead_nowhere(stranger):
    worker = {"worker_id": "w"}
    for page in ({"workers": [worker], "next_cursor": "w"}, {"workers": [], "next_cursor": "w"},
                 {"workers": [worker], "next_cursor": NASTY}, {"workers": [worker], "next_cursor": "x" * 1000}):
        result = run("workers", "--url", stranger(page).url)
        assert result.returncode == FAILED and "lead nowhere" in result.stderr


def endless(line):
    def answer(handler):
        while True:
            handler.wfile.write(line)
    return answer


def test_answers_without_an_end(stranger):
    for start in (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n"):
        def answer(handler, start=start):
            handler.wfile.write(start)
            endless(b"x" * 65536)(handler)
        result = run("workers", "--url", stranger(answer).url)
        assert result.returncode == FAILED and "more than 64 MiB" in result.stderr

    def headers(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        endless(b"X-Header: " + b"x" * 1000 + b"\r\n")(handler)
    for answer in (headers, endless(b"HTTP/1.1 100 Continue\r\n\r\n")):
        result = run("workers", "--url", stranger(answer).url)
        assert result.returncode == FAILED and "headers that don't end" in result.stderr
    assert run("workers", "--url", stranger(endless(b"x")).url).returncode == FAILED


def test_an_answer_that_does_not_come(stranger):
    gate = threading.Event()
    server = stranger(lambda handler: gate.wait(60))
    result = run("workers", "--url", server.url, within=60)
    gate.set()
    assert result.returncode == FAILED and "does not answer in time" in result.stderr


@pytest.mark.parametrize("status", [204, 301, 401, 404, 503])
def test_answers_of_something_else(stranger, status):
    def answer(handler):
        handler.send_response(status)
        handler.send_header("Location", "file:///etc/passwd")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
    server = stranger(answer)
    for command in COMMANDS:
        result = run(*command, "--url", server.url)
        assert result.returncode == FAILED and str(status) in result.stderr


def test_the_reason_is_the_coordinators(stranger):
    server = stranger({"status": 503, "detail": f"Redis {NASTY} is out of reach"}, status=503)
    result = run("workers", "--url", server.url)
    assert result.returncode == FAILED and "answers 503: Redis ?" in result.stderr and "is out of reach" in result.stderr


def test_a_prefix_and_a_password_in_the_url(stranger):
    server = stranger({"workers": []})
    assert run("workers", "--url", server.url.replace("//", "//me:s3cret@") + "/some/prefix/").returncode == DONE
    _, path, headers = server.requests[0]
    assert path == "/some/prefix/api/admin/workers?limit=100"
    assert base64.b64decode(headers["Authorization"].split()[1]) == b"me:s3cret"


def test_https_is_checked(stranger):
    server = stranger({"workers": [], "healthy": 0}, tls=True)
    result = run("workers", "--url", server.url)
    assert result.returncode == FAILED and "SSL_CERT_FILE" in result.stderr
    assert server.requests == []
    result = run("workers", "--json", "--url", server.url, settings={"SSL_CERT_FILE": CERTIFICATE})
    assert result.returncode == DONE and json.loads(result.stdout)["total"] == 0
    result = run("workers", "--url", server.url.replace("127.0.0.1", "localhost"), settings={"SSL_CERT_FILE": CERTIFICATE})
    assert result.returncode == FAILED, "the certificate is another host's"


# -- --watch ---------------------------------------------------------------------------------------------------------------------


ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


def end_watch(started, how=lambda started: started.type("\x03"), within=20):
    how(started)
    assert started.wait_for_end(within) == DONE
    assert started.output.startswith(ENTER) and started.output.endswith(LEAVE)
    assert started.output.count("\x1b[?25h") == started.output.count("\x1b[?25l") == 1
    assert started.modes() == started.modes_before


def test_watch_follows_the_fleet_and_outlives_its_coordinator(redis, start_coordinator, terminal):
    coordinator = start_coordinator(redis, PORT=free_port())
    coordinator.register("w-1")
    started = terminal("workers", "--watch", "--url", coordinator.url)
    wait_until(lambda: "w-1" in started.screen)
    assert "away" not in started.screen
    coordinator.register("w-2")
    wait_until(lambda: "w-2" in started.screen)
    coordinator.unregister("w-1")
    wait_until(lambda: "w-1" not in started.screen)
    coordinator.stop()
    wait_until(lambda: "away since " in started.screen)
    assert "no coordinator listens" in started.screen and "w-2" in started.screen
    coordinator.start().wait_until_ready()
    coordinator.register("w-3")
    wait_until(lambda: "w-3" in started.screen and "away" not in started.screen)
    end_watch(started)


def test_watch_of_a_redis_that_goes_and_comes_back(redis, start_coordinator, terminal):
    start_coordinator(redis).register("w-1")
    started = terminal("workers", "--watch", settings={"REDIS_URL": redis.url})
    wait_until(lambda: "w-1" in started.screen)
    redis.kill()
    wait_until(lambda: "away since " in started.screen and "w-1" in started.screen)
    redis.restart()
    wait_until(lambda: "away" not in started.screen and "w-1" in started.screen)
    end_watch(started)


def test_watch_may_begin_before_its_coordinator(redis, make_coordinator, terminal):
    coordinator = make_coordinator(redis, PORT=free_port())
    started = terminal("workers", "--watch", "--url", f"http://127.0.0.1:{coordinator._settings['PORT']}")
    wait_until(lambda: "away since " in started.screen)
    coordinator.start().wait_until_ready().register("w-1")
    wait_until(lambda: "w-1" in started.screen and "away" not in started.screen)
    end_watch(started)


def test_watch_fits_the_screen(coordinator, terminal):
    for number in range(40):
        coordinator.register(f"w-{number:02}")
    started = terminal("workers", "--watch", "--url", coordinator.url, rows=20, columns=60)
    wait_until(lambda: "w-00" in started.screen)
    assert len(started.screen.split("\n")) <= 20 and "more follow" in started.screen
    assert max(len(line) for line in started.screen.split("\n")) <= 60 + len("\x1b[J")
    started.resize(100, 60)
    wait_until(lambda: "w-39" in started.screen and "more follow" not in started.screen)
    started.resize(30, 2)
    wait_until(lambda: len(started.screen.split("\n")) <= 2)
    started.resize(80, 24)
    wait_until(lambda: "w-00" in started.screen)
    end_watch(started)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_watch_ends_by_signals(coordinator, terminal, number):
    coordinator.register("w")
    started = terminal("workers", "--watch", "--url", coordinator.url)
    wait_until(lambda: "w" in started.screen)
    end_watch(started, lambda started: started.process.send_signal(number))


def test_watch_ends_while_it_waits_for_an_answer(stranger, terminal):
    gate = threading.Event()
    server = stranger(lambda handler: gate.wait(60))
    started = terminal("workers", "--watch", "--url", server.url)
    wait_until(lambda: server.requests)
    end_watch(started, within=8)  # the answer itself has 10 s
    gate.set()


def test_watch_gives_the_terminal_back_while_it_is_stopped(coordinator, terminal):
    coordinator.register("w")
    started = terminal("workers", "--watch", "--url", coordinator.url)
    wait_until(lambda: "w" in started.screen)
    started.process.send_signal(signal.SIGTSTP)
    wait_until(lambda: started.output.endswith(LEAVE))
    assert started.modes() == started.modes_before
    frames = started.output.count("\x1b[H")
    wait_until(lambda: open(f"/proc/{started.process.pid}/stat").read().rsplit(")", 1)[1].split()[0] == "T")
    started.process.send_signal(signal.SIGCONT)
    wait_until(lambda: started.output.count("\x1b[H") > frames and started.output.count(ENTER) == 2)
    started.type("\x03")
    assert started.wait_for_end() == DONE
    assert started.modes() == started.modes_before


# -- the page --------------------------------------------------------------------------------------------------------------------


def test_the_pages_examples_work_as_printed(start_coordinator):
    """In a directory like the project's, with the fleet of a coordinator that runs there; only its port is the test's."""
    section = (project.ROOT / "docs/cli.md").read_text()
    lines = [line for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]
    commands = [line for line in lines if line.strip() and not line.startswith("#")]
    coordinator = start_coordinator(COORDINATOR_ID="here")
    (coordinator.directory / "build").mkdir()
    (coordinator.directory / "build" / "release").symlink_to(project.BUILD)
    for worker_id in ("my-worker", "worker-04d21ad4"):
        coordinator.register(worker_id)
    (coordinator.directory / "payload.json").write_text('{"document": 17}')
    preamble, seen = "set -e\n", set()
    for command in commands:
        command = command.replace("localhost:8080", f"127.0.0.1:{coordinator.port}")
        if "rma-coordinator" not in command or command.startswith("TASK="):
            preamble += command + "\n"
            continue
        seen.add(command.split("rma-coordinator ")[1].split()[0])
        result = subprocess.run(["sh", "-c", preamble + command], cwd=coordinator.directory, capture_output=True, text=True,
                                env=environment(), timeout=30)
        if "--watch" in command:
            assert result.returncode == USAGE, "here is no terminal"
        else:
            assert result.returncode == 0 and result.stdout and not result.stderr, (command, result)
    assert seen == {"workers", "worker", "services", "drain", "undrain", "remove", "status", "route",
                    "submit", "queues", "tasks", "task", "cancel", "pause", "resume", "retry"}
    assert coordinator.workers().keys() == {"worker-04d21ad4"}
