"""What must be true of the tasks in Redis at any moment; lua/KEYS.md has the rules. Dumps are those of state.dump()."""

PREFIX = "{rma}:"
BAND = 2 ** 44
ENDED = ("completed", "dead", "cancelled", "expired")
WAITING = ("queued", "scheduled")


def _under(dump, name):
    """{rest of the name: value} of the keys that begin with `name`."""
    start = PREFIX + name
    return {key[len(start):]: value for key, (_, value, _) in dump.items() if key.startswith(start)}


def _get(dump, name, default):
    return dump[PREFIX + name][1] if PREFIX + name in dump else default


def tasks_of(dump):
    return {key[len(PREFIX + "task:"):]: (fields, expiry) for key, (_, fields, expiry) in dump.items()
            if key.startswith(PREFIX + "task:")}


def _indexes(dump, now):
    """{task: [where it is listed]}"""
    places = {}

    def add(task, where):
        places.setdefault(task, []).append(where)

    for lane, members in _under(dump, "ready:").items():
        group, queue, shape = lane.split(" ")
        for task in members:
            add(task, ("queued", queue, group, shape))
    for queue, members in _under(dump, "scheduled:").items():
        for task in members:
            add(task, ("scheduled", queue))
    for worker, members in _under(dump, "held:").items():
        for task, entry in members.items():
            add(task, ("leased", entry.split(" ")[4], worker))
    for state in ENDED:
        for queue, members in _under(dump, state + ":").items():
            for task, moment in members.items():
                if moment > now:
                    add(task, (state, queue))
    return places


def _meant(fields):
    state, queue = fields["state"], fields["queue"]
    if state == "queued":
        return state, queue, fields.get("group", "a"), fields.get("shape", "")
    if state == "leased":
        return state, queue, fields["worker_id"]
    return state, queue


def _lanes(dump, expect):
    lanes = {}
    for lane, members in _under(dump, "ready:").items():
        group, queue, shape = lane.split(" ")
        lanes.setdefault(group, {})[queue + " " + shape] = min(members.values())
    listed = _under(dump, "lanes:")
    expect({group: set(of) for group, of in listed.items()} == {group: set(of) for group, of in lanes.items()},
           f"lanes are {listed}, those that are not empty {lanes}")
    for group, of in listed.items():
        for lane, bound in of.items():
            expect(bound <= lanes.get(group, {}).get(lane, bound),
                   f"lane {group} {lane} has the bound {bound}, its first is before it")
    expect(set(_get(dump, "groups", set())) == set(lanes), f"groups are {_get(dump, 'groups', set())}, should be {set(lanes)}")
    by_queue = {}
    for group, of in lanes.items():
        for lane in of:
            queue, shape = lane.split(" ")
            by_queue.setdefault(queue, set()).add(group + " " + shape)
    expect(_under(dump, "queue_lanes:") == by_queue, f"lanes of queues are {_under(dump, 'queue_lanes:')}, should be {by_queue}")


def _agenda(dump, tasks, expect):
    agenda = _get(dump, "agenda", {})
    for kind in ("scheduled", "expiring"):
        for queue, members in _under(dump, kind + ":").items():
            bound = agenda.get(f"{kind} {queue}")
            expect(bound is not None and bound <= min(members.values()), f"{kind} {queue} is in the agenda at {bound}: {members}")
    expiring = {(queue, task, moment) for queue, members in _under(dump, "expiring:").items() for task, moment in members.items()}
    meant = {(fields["queue"], task, float(fields["expires_at"])) for task, (fields, _) in tasks.items()
             if "expires_at" in fields and fields["state"] in WAITING}
    expect(expiring == meant, f"expiring are {expiring}, should be {meant}")


def _leases(dump, tasks, now, expect):
    leases = _get(dump, "leases", {})
    for worker, members in _under(dump, "held:").items():
        expect(worker in leases, f"{worker} holds something and is not in leases")
        expect(len(members) <= 256, f"{worker} holds {len(members)}")
        deadlines = []
        for task, entry in members.items():
            words = entry.split(" ")
            expect(len(words) in (6, 7), f"{worker} holds {task} as {entry!r}")
            lease_ms, until, ends, since = map(int, words[:4])
            fields = tasks.get(task, ({}, None))[0]
            expect((len(words) == 7 and words[6] == "cancel") == ("cancel" in fields), f"{task} is {fields}, but held as {entry!r}")
            expect(fields.get("started_at") == words[3], f"{task} began at {fields.get('started_at')}, but is held since {since}")
            state = _get(dump, "worker:" + worker, {})
            deadlines.append(min(ends, max(until, int(state.get("last_heartbeat", 0)) + lease_ms,
                                           int(state.get("silent_until", 0)))))
        expect(leases.get(worker, 0) <= max(now, min(deadlines)), f"{worker} is looked at after {leases.get(worker)}: {members}")


def _queues(dump, tasks, expect):
    queues = _under(dump, "queue:")
    for queue, fields in queues.items():
        expect(queue in _get(dump, "queues", set()), f"{queue} is not in queues")
        count = {state: 0 for state in (*WAITING, "leased")}
        for task, _ in tasks.values():
            if task["queue"] == queue and task["state"] in count:
                count[task["state"]] += 1
        leased = int(fields.get("leased", 0))
        expect(leased == count["leased"], f"{queue}: {leased} leased, there are {count['leased']}")
        total = {name: int(fields.get(name, 0)) for name in ("enqueued", "retried", *ENDED)}
        live = total["enqueued"] + total["retried"] - sum(total[state] for state in ENDED)
        expect(live == sum(count.values()), f"{queue}: totals {fields} make {live} live, there are {count}")
    for task, (fields, _) in tasks.items():
        expect(fields["queue"] in queues, f"{task} is in the queue {fields['queue']}, of which nothing is known")


def faults(dump, now):
    """Returns how the tasks, their indexes and the counters disagree; [] if they agree."""
    found = []

    def expect(truth, complaint):
        if not truth:
            found.append(complaint)

    tasks, indexes = tasks_of(dump), _indexes(dump, now)
    for task, (fields, expiry) in tasks.items():
        if "state" not in fields or "queue" not in fields:
            expect(False, f"{task} is {fields}")
            return found
        expect(indexes.get(task) == [_meant(fields)], f"{task} is listed as {indexes.get(task)}, its hash says {_meant(fields)}")
        expect((expiry is not None) == (fields["state"] in ENDED), f"{task} is {fields['state']} and goes at {expiry}")
        if fields["state"] in ENDED:
            listed = _get(dump, f"{fields['state']}:{fields['queue']}", {}).get(task)
            expect(listed == expiry, f"{task} goes at {expiry}, its index says {listed}")
    expect(set(indexes) <= set(tasks), f"listed without a hash: {set(indexes) - set(tasks)}")
    _lanes(dump, expect)
    _agenda(dump, tasks, expect)
    _leases(dump, tasks, now, expect)
    _queues(dump, tasks, expect)
    dedups = _under(dump, "dedup:")
    meant = {f"{fields['queue']} {fields['dedup']}": task for task, (fields, _) in tasks.items()
             if "dedup" in fields and fields["state"] not in ENDED}
    expect(dedups == meant, f"dedup keys are {dedups}, should be {meant}")
    parked = {}
    for group, members in _under(dump, "parked:").items():
        for waiter in members:
            parked.setdefault(waiter, set()).add(group)
    listed = {waiter: set(entry.split(" ")[3:]) for waiter, entry in _get(dump, "parked", {}).items()}
    expect(parked == listed, f"parked are {parked}, should be {listed}")
    return found


def assert_hold(dump, now):
    problems = faults(dump, now)
    assert not problems, "\n".join(problems)
