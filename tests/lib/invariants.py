"""What must hold of the registry in Redis at any moment at which nothing is under way and every sweep has been made."""

import json

PREFIX = "{rma}:"

# The TTL of a key and the score that foretells it are written by one script a moment apart.
MOMENT_TOLERANCE_MS = 50


def _get(dump, name, empty):
    return dump.get(PREFIX + name, (None, empty, None))[1]


def workers_of(dump):
    """{id: (hash, moment of removal)} of the workers whose hash is there."""
    prefix = PREFIX + "worker:"
    return {key[len(prefix):]: (value, expiry) for key, (kind, value, expiry) in dump.items()
            if key.startswith(prefix) and kind == "hash"}


def recount(dump):
    """The counters as a count of the worker hashes and online keys gives them."""
    counters = {}
    for worker_id, (fields, _) in workers_of(dump).items():
        online = dump.get(f"{PREFIX}worker:{worker_id}:online")
        status = online[1] if online else "offline"
        tier = fields["tier"]
        load = round(float(fields["current_load"]) * 1_000_000) if online else 0
        counters[f"{tier}:{status}"] = counters.get(f"{tier}:{status}", 0) + 1
        counters[f"{tier}:load"] = counters.get(f"{tier}:load", 0) + load
    return {name: value for name, value in counters.items() if value}


def count_of_ledger(dump):
    """The counters as the ledger says they are."""
    counters = {}
    for entry in _get(dump, "ledger", {}).values():
        tier, status, load = entry.split(" ")
        counters[f"{tier}:{status}"] = counters.get(f"{tier}:{status}", 0) + 1
        counters[f"{tier}:load"] = counters.get(f"{tier}:load", 0) + int(load)
    return {name: value for name, value in counters.items() if value}


def stored_counters(dump):
    return {name: int(value) for name, value in _get(dump, "stats", {}).items() if int(value)}


def books_disagree(dump):
    """What must agree even before a sweep, whatever time has done to the workers' own keys: the books with each other."""
    ledger, refs = _get(dump, "ledger", {}), _get(dump, "refs", {})
    online, offline = set(_get(dump, "online", {})), set(_get(dump, "offline", {}))
    found = []
    if stored_counters(dump) != count_of_ledger(dump):
        found.append(f"counters are {stored_counters(dump)}, the ledger gives {count_of_ledger(dump)}")
    if not set(ledger) == set(refs) == online | offline == set(_get(dump, "workers", {})):
        found.append("ledger, refs, workers, online and offline don't name the same workers")
    if online & offline:
        found.append(f"both online and offline: {online & offline}")
    services = {}
    for worker_id, entry in ledger.items():
        if (worker_id in offline) != (entry.split(" ")[1] == "offline"):
            found.append(f"{worker_id} is '{entry}' in the ledger, but in the wrong index")
        for name in json.loads(refs[worker_id])["services"] if worker_id in online else ():
            services.setdefault(PREFIX + "service:" + name, set()).add(worker_id)
    indexed = {key: value for key, (_, value, _) in dump.items() if key.startswith(PREFIX + "service:")}
    if indexed != services:
        found.append(f"services are {indexed}, the refs of live workers give {services}")
    return found


def faults(dump):
    """Everything in which the indexes, the ledger, the counters and the workers' own keys disagree; [] when all is well."""
    found = []

    def expect(truth, complaint):
        if not truth:
            found.append(complaint)

    workers = workers_of(dump)
    ids = set(workers)
    online, offline = _get(dump, "online", {}), _get(dump, "offline", {})
    ledger, refs, identity = _get(dump, "ledger", {}), _get(dump, "refs", {}), _get(dump, "identity", {})
    listed = _get(dump, "workers", {})

    for name, index in (("workers", set(listed)), ("ledger", set(ledger)), ("refs", set(refs)),
                        ("online and offline", set(online) | set(offline))):
        expect(index == ids, f"{name} has too much: {sorted(index - ids)}, too little: {sorted(ids - index)}")
    expect(not set(online) & set(offline), f"both online and offline: {sorted(set(online) & set(offline))}")
    expect(set(listed.values()) <= {0.0}, "a score in workers is not 0")

    services, identities = {}, {}
    for worker_id, (fields, removal) in workers.items():
        key = f"{PREFIX}worker:{worker_id}:online"
        live = key in dump
        expect((worker_id in online) == live, f"{worker_id} is {'live' if live else 'not live'}, but the index says otherwise")
        if live:
            status, expiry = dump[key][1], dump[key][2]
            expect(status == fields["status"], f"{worker_id}: online key says {status}, the hash {fields['status']}")
            expect(expiry is not None, f"{key} has no TTL")
            expect(worker_id in online and abs(online[worker_id] - (expiry or 0)) <= MOMENT_TOLERANCE_MS,
                   f"{worker_id} goes offline at {expiry}, the index says {online.get(worker_id)}")
        else:
            status = "offline"
            expect(worker_id in offline and abs(offline[worker_id] - (removal or 0)) <= MOMENT_TOLERANCE_MS,
                   f"{worker_id} is removed at {removal}, the index says {offline.get(worker_id)}")
        expect(removal is not None, f"the hash of {worker_id} has no TTL")
        load = round(float(fields["current_load"]) * 1_000_000) if live else 0
        expected = f"{fields['tier']} {status} {load}"
        expect(ledger.get(worker_id) == expected, f"{worker_id} is '{expected}', the ledger says '{ledger.get(worker_id)}'")

        held = json.loads(refs.get(worker_id, '{"services": {}, "identities": {}}'))
        advertised = [item if isinstance(item, str) else item["name"] for item in json.loads(fields.get("services") or "[]")]
        provides = {name for name in fields["assigned_services"].split(",") if name} | set(advertised)
        expect(set(held["services"]) == provides, f"{worker_id} provides {provides}, its refs say {held['services']}")
        expect(set(fields["provides"].split(",")) - {""} == provides, f"{worker_id} provides {provides}, its hash says {fields['provides']}")
        if live:
            for name in provides:
                services.setdefault(name, set()).add(worker_id)
        for name in held["identities"]:
            identities.setdefault(name, set()).add(worker_id)

    indexed = {key[len(PREFIX + "service:"):]: value for key, (_, value, _) in dump.items() if key.startswith(PREFIX + "service:")}
    expect(indexed == services, f"services are {indexed}, should be {services}")
    for name, worker_id in identity.items():
        expect(worker_id in identities.get(name, ()), f"identity {name} leads to {worker_id}, which does not know of it")

    expect(stored_counters(dump) == recount(dump), f"counters are {stored_counters(dump)}, a recount gives {recount(dump)}")
    return found


def assert_hold(dump):
    problems = faults(dump)
    assert not problems, "\n".join(problems)
