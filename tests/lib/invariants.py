"""What must be true of the registry in Redis whenever no call is under way and all due sweeps have run."""

import hashlib
import json
import re
from collections import Counter

PREFIX = "{rma}:"
STATUSES = ("healthy", "degraded", "draining", "offline")
BAND = 1_000_000_000_000
UNWELL = 4 * BAND
BANDS = {"healthy": 0, "degraded": 2 * BAND, "draining": 4 * BAND}
ACTIVE_MOST = 100_000
MODELS_MOST = 32
RANKED_MOST = 64
LOAD_STEP = 50_000


def _get(dump, name, empty):
    return dump.get(PREFIX + name, (None, empty, None))[1]


def _under(dump, name):
    """{rest of the key: (value, expiry)} of the keys whose name begins with `name`."""
    return {key[len(PREFIX + name):]: (value, expiry) for key, (_, value, expiry) in dump.items() if key.startswith(PREFIX + name)}


def _names(text):
    return [name for name in (text or "").split(",") if name]


def workers_of(dump):
    """{id: (hash, moment of removal)} of the workers whose hash is there."""
    return {worker_id: found for worker_id, found in _under(dump, "worker:").items() if isinstance(found[0], dict)}


def registrations_of(dump):
    """{id: (hash, moment at which it expires; None: never)}"""
    return _under(dump, "registration:")


def normal_model(name):
    return re.sub(r"(?<=.):latest$", "", name.lower())


def models_of(fields):
    """Returns the names of the loaded models that requests can name, with commas between; "-" for none."""
    names = [normal_model(name) for name in json.loads(fields.get("loaded_models") or "[]")
             if re.fullmatch(r"[!-+.-~-]{1,128}", name) and normal_model(name) not in ("-", "=")]
    return ",".join(names[:MODELS_MOST]) or "-"


def specialization_of(fields):
    said = fields.get("specialization") or "-"
    return said if re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", said) and not said.endswith(":online") else "-"


def services_of(registration, fields):
    """Returns the services that it provides, then the unhealthy ones with a "!", with commas between; "-" for none."""
    return ",".join([*_names(registration.get("provides")), *(f"!{name}" for name in _names(fields.get("unwell")))]) or "-"


def region_of(registration):
    """[its region], or [] if it has none that requests can name"""
    return re.findall(r"\A[A-Za-z0-9._:-]+\Z", registration.get("region", ""))


def places_of(dump):
    """{id: entry}: what the ledger should be, according to the workers' own keys."""
    places = {}
    registrations = registrations_of(dump)
    for worker_id, (fields, _) in workers_of(dump).items():
        registration = registrations.get(worker_id, ({}, None))[0]
        online = dump.get(f"{PREFIX}worker:{worker_id}:online")
        load = round(float(fields["current_load"]) * 1_000_000) if online else 0
        active = int(fields.get("active_requests") or 0)
        places[worker_id] = " ".join([
            registration.get("tier", "?"), online[1] if online else "offline", str(load), "d" if "drained" in registration else "-",
            services_of(registration, fields), str(active), specialization_of(fields), models_of(fields), *region_of(registration)])
    return places


def is_near(entry, place):
    """Whether a ledger entry is right. Its load of a live worker may differ from the reported one by less than LOAD_STEP."""
    known, told = entry.split(" "), place.split(" ")
    load, exact = int(known.pop(2)), int(told.pop(2))
    return known == told and (load == exact or (known[1] != "offline" and abs(load - exact) < LOAD_STEP))


def requests_of(dump):
    """{id: requests that the worker has}"""
    return {worker_id: int(count) for worker_id, count in _get(dump, "requests", {}).items()}


def leases_disagree(dump):
    """Returns how the leases of requests and their counts differ."""
    leases = [lease.split(" ") for leases, _ in _under(dump, "requests:").values() for lease in leases.values()]
    wrong = []
    for name, what in (("requests", 0), ("flights", 1)):
        counts = dict(Counter(lease[what] for lease in leases))
        told = {field: int(count) for field, count in _get(dump, name, {}).items()}
        wrong += [] if counts == told else [f"{name} are {told}, the leases give {counts}"]
    return wrong


def books_of(ledger, requests=None):
    """Returns (stats, services, {index: {id: rank}}) as they follow from the ledger, and from the workers' numbers of requests."""
    requests = requests or {}
    stats, services, indexes = {"requests": sum(requests.values())}, {}, {}
    for worker_id, entry in ledger.items():
        tier, status, load, _, provides, active, special, models, *rest = entry.split(" ")
        region = [word for word in rest if word[0] not in "@~"]
        for field, by in ((f"{tier}:{status}", 1), (f"{tier}:load", int(load))):
            stats[field] = stats.get(field, 0) + by
        if status == "offline":
            continue
        names = _names(provides) if provides != "-" else []
        ranked = list(dict.fromkeys(_names(models))) if models != "-" else []
        for name in names:
            services[f"{status} {name}"] = services.get(f"{status} {name}", 0) + 1
            specialized = special != "-" and special == name
            rank = BANDS[status] + (0 if specialized else BAND) + int(load) + min(max(int(active), requests.get(worker_id, 0)),
                                                                                  ACTIVE_MOST) * 100_000
            rank += UNWELL if f"!{name}" in names else 0
            ranked_here = ranked[:RANKED_MOST // len(names)]
            keys = [f"service:{name}", *(f"model:{name}/{model}" for model in ranked_here)]
            if region:
                keys += [f"region:{name}/{region[0]}", *(f"region:{name}/{region[0]}/{model}" for model in ranked_here)]
            for key in keys:
                indexes.setdefault(key, {})[worker_id] = rank
    return {name: value for name, value in stats.items() if value}, services, indexes


def recount(dump):
    """Returns the counters, counted from the workers' own keys."""
    return books_of(places_of(dump), requests_of(dump))[0]


def stored_counters(dump):
    return {name: int(value) for name, value in _get(dump, "stats", {}).items()
            if int(value) and name != "tasks_completed" and not name.startswith("event:")}


def counted_events(dump):
    """{kind:reason: count} of the events, according to the counters."""
    return {name[len("event:"):]: int(value) for name, value in _get(dump, "stats", {}).items() if name.startswith("event:")}


def of_workers(dump):
    """Returns the events that are about workers."""
    return [(event_id, entry) for event_id, entry in _get(dump, "events", []) if "." not in entry["event"]]


def told_events(dump):
    """{kind:reason: count} of the events in the stream, which may lack the oldest ones."""
    told = {}
    for _, entry in of_workers(dump):
        name = f"{entry['event']}:{entry['reason']}"
        told[name] = told.get(name, 0) + 1
    return told


def told_statuses(dump):
    """{id: status} of the workers that are there, as a client knows it that has received all events."""
    statuses = {}
    for _, entry in of_workers(dump):
        statuses[entry["worker_id"]] = entry["status"]
    return {worker_id: status for worker_id, status in statuses.items() if status != "removed"}


def _indexes_of(dump):
    return {key[len(PREFIX):]: dict(value)
            for key, (_, value, _) in dump.items() if key.startswith((PREFIX + "service:", PREFIX + "model:", PREFIX + "region:"))}


def _ranks_agree(dump, indexes):
    """Whether Redis has these indexes. Ranks of workers in `stale` may differ until the next sweep."""
    stale, found = _get(dump, "stale", ()), _indexes_of(dump)
    fresh = {name: {worker_id: rank for worker_id, rank in ranks.items() if worker_id not in stale}
             for name, ranks in indexes.items()}
    return {name: set(ranks) for name, ranks in found.items()} == {name: set(ranks) for name, ranks in indexes.items()} and \
        all(found[name][worker_id] == rank for name, ranks in fresh.items() for worker_id, rank in ranks.items())


def books_disagree(dump):
    """Returns how the ledger, the counters and the indexes disagree. They must agree at any moment, whatever keys have expired."""
    ledger = _get(dump, "ledger", {})
    online, offline = set(_get(dump, "online", {})), set(_get(dump, "offline", {}))
    found = []
    stats, services, indexes = books_of(ledger, requests_of(dump))
    found += leases_disagree(dump)
    if stored_counters(dump) != stats:
        found.append(f"counters are {stored_counters(dump)}, the ledger gives {stats}")
    if {name: int(value) for name, value in _get(dump, "services", {}).items()} != services:
        found.append(f"services are {_get(dump, 'services', {})}, the ledger gives {services}")
    if not _ranks_agree(dump, indexes):
        found.append(f"ranks are {_indexes_of(dump)}, the ledger gives {indexes}")
    if not set(ledger) == online | offline == set(_get(dump, "workers", {})):
        found.append("ledger, workers, online and offline don't name the same workers")
    if online & offline:
        found.append(f"both online and offline: {online & offline}")
    for worker_id, entry in ledger.items():
        if (worker_id in offline) != (entry.split(" ")[1] == "offline"):
            found.append(f"{worker_id} is '{entry}' in the ledger, but in the wrong index")
    return found


def _identities_of(registration):
    if "instance_id" in registration:
        yield "instance:" + registration["instance_id"]
    if "tunnel_url" in registration:
        yield "tunnel:" + hashlib.sha1(registration["tunnel_url"].encode()).hexdigest()[:20]


def faults(dump):
    """Returns how the indexes, the ledger, the counters and the workers' own keys disagree; [] if they agree."""
    found = []

    def expect(truth, complaint):
        if not truth:
            found.append(complaint)

    workers, registrations = workers_of(dump), registrations_of(dump)
    ids = set(workers)
    online, offline = _get(dump, "online", {}), _get(dump, "offline", {})
    ledger, listed = _get(dump, "ledger", {}), _get(dump, "workers", {})

    for name, index in (("workers", set(listed)), ("ledger", set(ledger)), ("online and offline", set(online) | set(offline))):
        expect(index == ids, f"{name} has too much: {sorted(index - ids)}, too little: {sorted(ids - index)}")
    expect(not set(online) & set(offline), f"both online and offline: {sorted(set(online) & set(offline))}")
    expect(set(listed.values()) <= {0.0}, "a score in workers is not 0")
    expect(ids <= set(registrations), f"without a registration: {sorted(ids - set(registrations))}")

    places = places_of(dump)
    # only the ledger knows the address from which a worker calls
    stands = {worker_id: re.sub(r" [@~][0-9a-fA-F.:]+$", "", entry) for worker_id, entry in ledger.items()}
    expect(stands.keys() == places.keys() and all(is_near(stands[worker_id], places[worker_id]) for worker_id in places),
           f"the ledger is {ledger}, should be {places}")
    twins = {}
    for worker_id, (fields, removal) in workers.items():
        key = f"{PREFIX}worker:{worker_id}:online"
        registration, forgotten = registrations.get(worker_id, ({}, None))
        expect(forgotten is None, f"the registration of {worker_id} ends while the worker is there")
        expect(removal is not None, f"the hash of {worker_id} has no TTL")
        if key in dump:
            _, status, expiry = dump[key]
            meant = "draining" if "drained" in registration else fields["status"]
            expect(status == meant, f"{worker_id}: online key says {status}, it should be {meant}")
            expect(expiry is not None and worker_id in online and online[worker_id] <= expiry,
                   f"{worker_id} goes offline at {expiry}, the index says {online.get(worker_id)}")
        else:
            expect(offline.get(worker_id) == removal,
                   f"{worker_id} is removed at {removal}, the index says {offline.get(worker_id)}")
        advertised = [item if isinstance(item, str) else item.get("name")
                      for list_of in ("services", "containers") for item in json.loads(registration.get(list_of) or "[]")]
        advertised = [name for name in advertised if name]
        provides = _names(registration.get("provides"))
        expect(set(provides) == set(_names(registration.get("assigned_services"))) | set(advertised) and
               len(set(provides)) == len(provides), f"{worker_id} provides {provides}, its registration is {registration}")
        for name in ("fingerprint", "moved_fingerprint"):
            if name in registration:
                twins.setdefault(registration[name], set()).add(worker_id)
    for worker_id in set(registrations) - ids:
        expect(registrations[worker_id][1] is not None, f"the registration of {worker_id} is kept for ever")
        expect(f"{PREFIX}worker:{worker_id}:online" not in dump, f"{worker_id} is removed, but has its online key")

    for name, (worker_id, expiry) in _under(dump, "identity:").items():
        registration, forgotten = registrations.get(worker_id, ({}, None))
        expect(name in _identities_of(registration), f"identity {name} leads to {worker_id}, which does not know of it")
        expect(expiry == forgotten, f"identity {name} ends at {expiry}, the registration of {worker_id} at {forgotten}")
    alike = {name: set(value) for name, (value, _) in _under(dump, "fingerprint:").items()}
    expect(alike == twins, f"fingerprints are {alike}, should be {twins}")

    stats, services, indexes = books_of(ledger, requests_of(dump))
    found += leases_disagree(dump)
    expect(stored_counters(dump) == stats, f"counters are {stored_counters(dump)}, a recount gives {stats}")
    counted = {name: int(value) for name, value in _get(dump, "services", {}).items()}
    expect(counted == services, f"services are {counted}, a recount gives {services}")
    expect(_ranks_agree(dump, indexes), f"ranks are {_indexes_of(dump)}, should be {indexes}")
    return found


def assert_hold(dump):
    problems = faults(dump)
    assert not problems, "\n".join(problems)
