"""Submits tasks with the coordinator's own script, for tests of what happens to them later."""

import itertools

import project

IDS = itertools.count()


def submit(redis, *tasks, queue="default", group="a", shape="", payload="{}", priority=0, due="", **fields):
    """Makes tasks with these ids, or one with any id -> their ids. `fields`: those of the task's hash, see lua/KEYS.md."""
    tasks = tasks or (f"task-{next(IDS)}",)
    fields = {"type": "work", "payload": payload, **fields}
    for name, value, default in (("group", group, "a"), ("shape", shape, ""), ("priority", priority, 0)):
        if value != default:
            fields[name] = value
    words = []
    for task in tasks:
        words += [task, queue, group, shape, priority, due, "", "", "return", "", "", 2 * len(fields)]
        words += [word for pair in fields.items() for word in pair]
    answer = redis.client.eval((project.SCRIPTS / "task_enqueue.lua").read_text(), 1, "{rma}:", *words)
    assert all(word.startswith("new ") for word in answer[1:]), answer
    return list(tasks)


def state_of(redis, task):
    return redis.client.hget("{rma}:task:" + task, "state")
