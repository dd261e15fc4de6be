"""Does what workers do with tasks, by calling the scripts, for tests of submitting and watching tasks."""

import itertools

import project

PREFIX = "{rma}:"
_nonces = itertools.count()


def _call(redis, name, *arguments):
    keys = [line.split()[1] for line in (project.SCRIPTS / f"{name}.args").read_text().splitlines() if line.startswith("key ")]
    assert keys == ["prefix"], f"{name} takes {keys}"
    return redis.client.eval((project.SCRIPTS / f"{name}.lua").read_text(), 1, PREFIX, *arguments)


def lease(redis, worker_id, most=1):
    """Asks for tasks -> {id: lease} of those that the worker gets."""
    answer, = _call(redis, "task_lease", worker_id, most, "*", "-", f"n{next(_nonces)}", "0", "", "", 0, "")
    assert answer[0] in ("given", "none"), answer
    return {answer[at]: answer[at + 7] for at in range(4, len(answer), 11)}


def complete(redis, worker_id, task_id, held, result="null"):
    answer, = _call(redis, "task_complete", worker_id, task_id, held, result)
    return answer


def fail(redis, worker_id, task_id, held, error, again=False):
    answer, = _call(redis, "task_fail", worker_id, task_id, held, error, "1" if again else "0", "", "0.5")
    return answer


def kill(redis, worker_id, error, most=1):
    """Takes tasks and makes each of them dead -> their ids, in order."""
    held = lease(redis, worker_id, most)
    for task_id, each in held.items():
        assert fail(redis, worker_id, task_id, each, error).startswith("failed dead")
    return list(held)
