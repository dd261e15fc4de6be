"""The commands of tasks: what they send and show, how they wait, and how they end."""

import json
import re
import subprocess
import threading

import pytest

import project
from test_operator import DONE, FAILED, NO_WORKER, OBEYED, USAGE, environment, show, stranger, terminal  # noqa: F401
from waiting import wait_until

NOT_DONE = 5
COMMANDS = [["submit", "echo"], ["tasks"], ["task", "t"], ["queues"], ["cancel", "t"], ["retry", "t"],
            ["retry", "--queue=default", "--yes"],
            ["pause", "default"], ["resume", "default"]]
NASTY = "\x1b]0;owned\x07\x1b[2J\r\n\b\x7f\u202eevil"


def run(*arguments, settings=None, stdin="", within=60, cwd="/"):
    result = subprocess.run([str(project.BINARY), *arguments], env=environment(settings), cwd=cwd, capture_output=True, input=stdin,
                            text=True,
                            timeout=within)
    assert result.returncode in range(6), result
    if result.returncode != DONE:
        assert result.stderr.startswith("rma-coordinator: ") and result.stderr.count("\n") == 1, result.stderr
    assert not OBEYED.search(result.stderr.rstrip("\n")) and "Sanitizer" not in result.stderr
    return result


@pytest.fixture
def fleet(coordinator):
    """A coordinator with a worker w, and how to run commands on it."""
    coordinator.register("w")

    def command(*arguments, **more):
        return run(*arguments, "--url", coordinator.url, **more)

    def done(*arguments, **more):
        result = command(*arguments, **more)
        assert result.returncode == DONE, result
        return result.stdout

    coordinator.command, coordinator.done = command, done
    return coordinator


def submit(fleet, *arguments, **more):
    task_id = fleet.done("submit", *arguments, **more).strip()
    assert re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", task_id)
    return task_id


def lease(fleet, worker_id="w"):
    """The next task of the worker."""
    return wait_until(lambda: fleet.get(f"/api/worker/tasks?worker_id={worker_id}").json["tasks"], what="a task is given out")[0]


def complete(fleet, task, result=None, worker_id="w"):
    return fleet.post("/api/worker/task-complete",
                      {"worker_id": worker_id, "task_id": task["task_id"], "lease": task["lease"], "result": result})


def fail(fleet, task, error, retryable=False, worker_id="w"):
    body = {"error": error, "retryable": retryable}
    return fleet.post(f"/api/worker/task-fail?worker_id={worker_id}&task_id={task['task_id']}&lease={task['lease']}", body)


def die(fleet, error, **more):
    task_id = submit(fleet, "echo", **more)
    fail(fleet, lease(fleet), error)
    return task_id


# -- submit ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", ['{"a": [1, 2.5, null]}', '"text"', "7", " [1] ", '"\\u00e4\u20ac"', "null"])
def test_a_payload_comes_from_an_argument_a_file_or_standard_input(fleet, directory, payload):
    path = directory / "payload.json"
    path.write_text(payload)
    for arguments, stdin in ((["--", payload], ""), (["-"], payload), (["--file", str(path)], ""), (["--file=-"], payload + "\n")):
        task = fleet.get("/api/tasks/" + submit(fleet, "echo", *arguments[1:] if arguments[0] == "--" else arguments,
                                                stdin=stdin)).json
        assert task["payload"] == json.loads(payload) and task["type"] == "echo" and task["queue"] == "default"


def test_flags_of_a_submission(fleet):
    task_id = submit(fleet, "a type", "--queue=embeddings", "--priority=-7", "--max-attempts=2", "--delay=60", "--tier=2",
                     "--service=rag",
                     "--model=llama3", "--worker=w", "--dedup-key=the same")
    task = fleet.get("/api/tasks/" + task_id).json
    assert (task["type"], task["queue"], task["priority"], task["max_attempts"],
            task["state"]) == ("a type", "embeddings", -7, 2, "scheduled")
    assert task["requirements"] == {"tier": 2, "service": "rag", "model": "llama3",
                                    "worker_id": "w"} and task["dedup_key"] == "the same"
    assert submit(fleet, "a type", "--queue=embeddings", "--dedup-key=the same") == task_id
    first = submit(fleet, "echo", "1", "--idempotency-key=k")
    assert submit(fleet, "echo", "1", "--idempotency-key=k") == first
    assert json.loads(fleet.done("submit", "echo", "--json"))["state"] == "queued"


@pytest.mark.parametrize("arguments", [
    ["submit"], ["submit", ""], ["submit", "x" * 1025], ["submit", "echo", "{"], ["submit", "echo", "text"],
    ["submit", "echo", '1,"queue":"other"'],
    ["submit", "echo", ""], ["submit", "echo", "NaN"], ["submit", "echo", "1", "2"], ["submit", "echo", "1", "--file=x"],
    ["submit", "echo", "--file=/nowhere"], ["submit", "echo", "--priority=101"], ["submit", "echo", "--priority=1.5"],
    ["submit", "echo", "--priority="],
    ["submit", "echo", "--delay=-1"], ["submit", "echo", "--delay=inf"], ["submit", "echo", "--delay=0x10"],
    ["submit", "echo", "--max-attempts=0"],
    ["submit", "echo", "--queue=a b"], ["submit", "echo", "--worker=a/b"], ["submit", "echo", "--tier=5"],
    ["submit", "echo", "--follow"], ["submit", "echo", "--idempotency-key=k\r\nX-Forwarded-For: 1"],
    ["submit", "echo", "--idempotency-key=" + "k" * 256],
    ["tasks", "t"], ["tasks", "--state=gone"], ["tasks", "--limit=0"], ["tasks", "--limit=x"], ["tasks", "--error="],
    ["tasks", "--wait"],
    ["task"], ["task", "a/b"], ["task", "a", "b"], ["task", "t", "--wait"], ["queues", "x"], ["cancel"], ["cancel", ""], ["retry"],
    ["retry", "t", "--queue=default"], ["retry", "t", "--dry-run"], ["retry", "--state=dead"], ["pause"], ["pause", "a b"],
    ["resume", NASTY]])
def test_arguments_that_are_not_understood(arguments):
    result = run(*arguments)
    assert result.returncode == USAGE and result.stdout == "", result


def test_a_payload_that_is_too_large(fleet):
    result = fleet.command("submit", "echo", "-", stdin='"' + "x" * 300_000 + '"')
    assert result.returncode == USAGE and "256 KiB" in result.stderr
    assert fleet.command("submit", "x" * 129).returncode == FAILED, "the coordinator refuses the type, and is quoted"


def test_wait_prints_the_result_and_exits_by_the_outcome(fleet):
    results = {}

    def wait_for(name):
        results[name] = fleet.command("submit", name, "--wait")

    threads = {name: threading.Thread(target=wait_for, args=(name,)) for name in ("good", "bad", "gone")}
    for thread in threads.values():
        thread.start()
    for _ in threads:
        task = lease(fleet)
        if task["type"] == "good":
            complete(fleet, task, {"answer": [42, "\u20ac"]})
        elif task["type"] == "bad":
            fail(fleet, task, f"it broke {NASTY}")
        else:
            assert fleet.done("cancel", task["task_id"]) == f"{task['task_id']} is being cancelled: its worker is told.\n"
            fail(fleet, task, "as you wish")
    for thread in threads.values():
        thread.join(60)
    assert results["good"].returncode == DONE and json.loads(results["good"].stdout) == {"answer": [42, "\u20ac"]}
    assert results["bad"].returncode == NOT_DONE and results["bad"].stdout == "" and "is dead: it broke" in results["bad"].stderr
    assert results["gone"].returncode == NOT_DONE and "is cancelled" in results["gone"].stderr


# -- looking -----------------------------------------------------------------------------------------------------------------------


def test_tasks_are_a_table(fleet):
    for number in range(5):
        submit(fleet, f"type-{number}", "--queue=q")
    task = lease(fleet)
    fleet.post(f"/api/tasks/{task['task_id']}/progress",
               {"worker_id": "w", "lease": task["lease"], "percent": 40, "message": f"page 3 {NASTY}"})
    lines = fleet.done("tasks").splitlines()
    assert lines[0].split() == ["TASK", "STATE", "TYPE", "QUEUE", "WORKER", "FAILED", "AGE", "NOTE"]
    assert re.match(rf"{task['task_id']} +leased +type-0 +q +w +0 +\d s +40 % page 3 \?", lines[1]), lines[1]
    assert [line.split()[2] for line in lines[2:-1]] == [f"type-{number}" for number in range(1, 5)] and lines[-1] == "5 tasks"
    assert len(fleet.done("tasks", "--state=queued").splitlines()) == 6
    assert fleet.done("tasks", "--type=type-3").splitlines()[1].split()[1] == "queued"
    assert fleet.done("tasks", "--worker=w").splitlines()[1].split()[1] == "leased"
    assert fleet.done("tasks", "--queue=other") == "There are no such tasks.\n"
    assert fleet.done("tasks", "--limit=2").splitlines()[-1] == "2 tasks; more follow, see --limit"
    printed = json.loads(fleet.done("tasks", "--json"))
    assert [each["type"] for each in printed["tasks"]] == [f"type-{number}"
                                                           for number in range(5)] and printed["next_cursor"] is None
    assert json.loads(fleet.done("tasks", "--json", "--limit=2"))["next_cursor"]
    assert not OBEYED.search(fleet.done("tasks", "--json"))


def test_many_tasks_come_in_pages(fleet):
    fleet.post("/api/tasks/bulk", {"tasks": [{"type": f"t{number}"} for number in range(250)]})
    lines = fleet.done("tasks", "--limit=1000").splitlines()
    assert [line.split()[2] for line in lines[1:-1]] == [f"t{number}" for number in range(250)]
    assert len(json.loads(fleet.done("tasks", "--limit=1000", "--json"))["tasks"]) == 250
    assert len(fleet.done("tasks").splitlines()) == 102
    assert fleet.done("tasks", "--limit=249").endswith("249 tasks; more follow, see --limit\n")
    for limit in (250, 251):
        assert fleet.done("tasks", f"--limit={limit}").endswith("\n250 tasks\n")
    assert json.loads(fleet.done("tasks", "--limit=250", "--json"))["next_cursor"] is None


def test_one_task_with_all_there_is_and_why_it_waits(fleet):
    task_id = submit(fleet, "echo", '{"deep": [{"er": "value"}]}', "--service=nobody-has-it", "--delay=3600")
    shown = fleet.done("task", task_id)
    assert shown.startswith(task_id + "\n") and "why it waits" in shown
    for pattern in (r"state +scheduled", r"type +echo", r"er +value", r"available_at +20.*Z \(in \d+ (h|min)\)",
                    r"created_at +20.*Z \(\d+ s ago\)",
                    r"service +nobody-has-it"):
        assert re.search(pattern, shown), (pattern, shown)
    assert json.loads(fleet.done("task", task_id, "--json"))["task_id"] == task_id


def test_follow_tells_what_changes_until_the_end(fleet):
    task_id = submit(fleet, "echo", "--max-attempts=2")
    with subprocess.Popen([str(project.BINARY), "task", task_id, "--follow", "--url", fleet.url], env=environment(),
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        assert re.fullmatch(r"\d\d:\d\d:\d\d  queued\n", process.stdout.readline())
        task = lease(fleet)
        assert re.fullmatch(r"\d\d:\d\d:\d\d  leased by w\n", process.stdout.readline())
        fleet.post(f"/api/tasks/{task_id}/progress", {"worker_id": "w", "lease": task["lease"], "percent": 50, "message": "half"})
        assert process.stdout.readline().endswith("  leased by w, 50 %, half\n")
        complete(fleet, task, {"a": 1})
        assert "  completed by w" in process.stdout.readline()
        assert json.loads(process.stdout.read()) == {"a": 1} and process.stderr.read() == ""
    assert process.returncode == DONE
    dead = die(fleet, "it broke")
    result = fleet.command("task", dead, "--follow")
    assert result.returncode == NOT_DONE and "dead" in result.stdout and f"{dead} is dead: it broke" in result.stderr
    lines = fleet.command("task", dead, "--follow", "--json").stdout.splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["dead"]


def test_queues_are_a_table(fleet):
    assert fleet.done("queues") == "There are no queues.\n" and json.loads(fleet.done("queues", "--json")) == {"queues": []}
    submit(fleet, "echo")
    submit(fleet, "echo", "--queue=other", "--delay=100")
    assert fleet.done("pause", "other") == "other is paused.\n"
    lines = fleet.done("queues").splitlines()
    assert lines[0].split() == ["QUEUE", "STATE", "WAITING", "RUNNING", "SCHEDULED", "DEAD", "OLDEST", "COMPLETED"]
    assert re.fullmatch(r"default +open +1 +0 +0 +0 +\d s +0", lines[1])
    assert re.fullmatch(r"other +paused +0 +0 +1 +0 +- +0", lines[2])
    assert [queue["queue"] for queue in json.loads(fleet.done("queues", "--json"))["queues"]] == ["default", "other"]


# -- acting ------------------------------------------------------------------------------------------------------------------------


def test_a_paused_queue_gives_out_nothing(fleet):
    fleet.done("pause", "default")
    task_id = submit(fleet, "echo")
    assert fleet.get("/api/worker/tasks?worker_id=w").json["tasks"] == []
    assert "paused" in fleet.done("task", task_id)
    assert fleet.done("resume", "default") == "default is resumed.\n"
    assert lease(fleet)["task_id"] == task_id


def test_cancel(fleet):
    task_id = submit(fleet, "echo")
    assert fleet.done("cancel", task_id) == f"{task_id} is cancelled.\n"
    again = fleet.command("cancel", task_id)
    assert again.returncode == FAILED and "409" in again.stderr
    assert json.loads(fleet.done("cancel", submit(fleet, "echo"), "--json"))["status"] == "cancelled"


def test_retry_of_one(fleet):
    task_id = die(fleet, "it broke")
    assert fleet.done("retry", task_id) == f"{task_id} is queued once more.\n"
    complete(fleet, lease(fleet))
    again = fleet.command("retry", task_id)
    assert again.returncode == FAILED and "409" in again.stderr


def test_retry_of_those_that_match(fleet, terminal):  # noqa: F811
    dead = [die(fleet, "out of memory" if number % 2 else "timeout") for number in range(5)]
    assert fleet.done("retry", "--error=memory", "--dry-run") == "2 dead tasks would be queued once more.\n"
    assert {fleet.get("/api/tasks/" + task_id).json["state"] for task_id in dead} == {"dead"}
    assert fleet.done("retry", "--error=memory") == "2 of 2 dead tasks queued once more.\n"
    assert json.loads(fleet.done("retry", "--queue=default", "--dry-run", "--json")) == {"matched": 3, "retried": 0}
    started = terminal("retry", "--queue=default", "--url", fleet.url)
    wait_until(lambda: "Queue 3 dead tasks once more? [y/N] " in started.output)
    started.type("n\n")
    assert started.wait_for_end() == FAILED and "nothing was retried" in started.output
    assert "3 of 3 dead tasks queued once more." in show(terminal, "retry", "--queue=default", "--yes", "--url", fleet.url)
    assert fleet.done("retry", "--queue=default") == "0 of 0 dead tasks queued once more.\n"


@pytest.mark.parametrize("command", ["task", "cancel", "retry"])
def test_no_such_task(fleet, command):
    result = fleet.command(command, "nothing")
    assert result.returncode == NO_WORKER and result.stderr == "rma-coordinator: there is no task nothing\n"


def test_straight_at_redis(redis, coordinator):
    coordinator.register("w")
    settings = {"REDIS_URL": redis.url}
    task_id = run("submit", "echo", "1", settings=settings).stdout.strip()
    assert coordinator.get("/api/tasks/" + task_id).json["payload"] == 1
    assert run("tasks", settings=settings).returncode == run("queues", settings=settings).returncode == DONE
    assert run("cancel", task_id, settings=settings).returncode == DONE


@pytest.mark.parametrize("command", ["submit", "tasks", "task", "queues", "cancel", "retry", "pause", "resume"])
def test_help_of_a_command(command):
    result = run(command, "--help")
    assert result.stdout.startswith(f"Usage: rma-coordinator {command} ") and "--url URL" in result.stdout
    assert ("5 the task" in result.stdout) == (command in ("submit", "task"))
    assert ("--state STATE" in result.stdout) == (command == "tasks")
    assert ("3 no such" in result.stdout) == (command not in ("submit", "tasks", "queues"))
    assert re.search(rf"^  {command}  +\w", run("--help").stdout, re.MULTILINE)


def test_the_audit_takes_none_of_the_flags_of_tasks():
    result = run("audit", "--help")
    assert "--follow" in result.stdout and "--state" not in result.stdout and "5 the task" not in result.stdout
    assert run("audit", "--state", "dead").returncode == USAGE


# -- strangers ---------------------------------------------------------------------------------------------------------------------


def test_waiting_outlives_whoever_answers(stranger):  # noqa: F811
    answers = iter([(201, {"task_id": "t"}), (503, {"detail": "away"}), (500, {}), (200, {"state": "queued"}),
                    (200, {"state": "completed", "result": {"a": 1}})])

    def answer(handler):
        status, body = next(answers)
        text = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    result = run("submit", "echo", "--wait", "--url", stranger(answer).url)
    assert result.returncode == DONE and json.loads(result.stdout) == {"a": 1}


VALUES = [None, True, 0, -1.5, 1e300, "", NASTY, "x" * 5000, [], [[]], [None], ["x"], [{}], {}, {"x": None}]
MEMBERS = ["tasks", "queues", "next_cursor", "task_id", "state", "status", "queue", "type", "worker_id", "progress", "error",
           "created_at", "counts",
           "totals", "paused", "limit", "oldest_seconds", "matched", "retried", "text", "reasons", "result", "attempts", "history",
           "percent", "message"]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:12])
def test_answers_of_wrong_types(stranger, value):  # noqa: F811
    inner = {name: value for name in MEMBERS}
    nested = {**inner, "tasks": [inner, value], "queues": [inner, value], "task_id": "t", "state": "dead", "queue": "q",
              "status": "ok",
              "next_cursor": None, "matched": 1, "retried": 1, "progress": inner, "reasons": [inner, value]}
    for body in (inner, nested):
        server = stranger(body)
        for command in [*COMMANDS, ["task", "t", "--follow"]]:
            if body is nested or "--follow" not in command:
                result = run(*command, "--url", server.url)
                assert not OBEYED.search(result.stdout), command


def test_pages_that_lead_nowhere(stranger):  # noqa: F811
    for page in ({"tasks": [], "next_cursor": "c"}, {"tasks": [{}], "next_cursor": "c" * 5000}):
        result = run("tasks", "--limit=500000", "--url", stranger(page).url)
        assert result.returncode == FAILED and "lead nowhere" in result.stderr
    assert "lead nowhere" in run("queues", "--url", stranger({"queues": [], "next_cursor": "c"}).url).stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_nobody_there(command):
    result = run(*command, "--url", "http://127.0.0.1:1")
    assert result.returncode == FAILED and "no coordinator listens" in result.stderr
