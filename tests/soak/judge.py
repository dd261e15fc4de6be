"""Compares, minute by minute, what the coordinators say with what is true."""

import collections
import functools
import json
from datetime import datetime

from prometheus import Metrics
from surroundings import PREFIX
from waiting import let_pass

COLUMNS = {
    "offline": "false *offline*, worker minutes",
    "healthy": "false *healthy*, worker minutes",
    "longest": "longest false *healthy*, minutes",
    "404": "404s to live workers",
    "401": "401s to live workers",
    "duplicates": "duplicates, worker minutes",
    "dead": "requests to dead workers",
    "failed": "requests that failed",
    "missed": "events missed",
    "twice": "events told twice",
    "figures": "figures that disagree",
    "causeless": "alerts without cause",
    "silent": "alerts that should have come",
    "human": "human actions",
}


METRICS_AGE = 1.1  # s of the real time, for which an instance may say the same


def _as_told(status):
    return status if status in ("removed", "offline") else "online"


class Judge:
    """Counts for each row of the report: a disturbance and what comes after it."""

    def __init__(self, world):
        self._world = world
        self.rows = collections.OrderedDict()
        self.details = collections.defaultdict(list)  # (row, column) -> the first things that were noted
        self.begin("a quiet start")
        self._last_event = "0-0"
        self._told = {}      # worker -> what the events say of it: online, offline
        self._was = {}       # minute, ms -> (total, offline) as the statistics had it
        self._doubted = []   # workers that were told offline though they had been heard in time
        self._was_until = 0  # ms: up to this minute the history may be that of minutes which have passed twice
        self._written = []   # ids of the events since the listener was asked
        self.minutes = 0

    def begin(self, row):
        self.row = row
        self.rows.setdefault(row, collections.Counter())

    def note(self, column, count=1, detail=None):
        if count:
            self.rows[self.row][column] += count
            if detail is not None and len(self.details[self.row, column]) < 5:
                self.details[self.row, column].append(f"{self._world.now() / 60:.0f} min: {detail}")

    # -- a minute ------------------------------------------------------------------------------------------------------------------

    def look(self, whole=True, discovery=True, minutes=1):
        """Call it when a minute has passed. What disagrees is looked at once more, since the world goes on between two answers."""
        self.minutes += minutes
        self._each = minutes
        if not self._world.redis_is_up():
            return
        for last in (False, False, True):
            seen = self._read(whole)
            if seen is None:
                return
            disagreements = self._compare(*seen, whole)
            if last or not disagreements:
                break
            let_pass(METRICS_AGE)
        for column, detail in disagreements:
            self.note(column, detail=detail)
        listed, stats, _ = seen
        self._look_at_workers(listed, whole)
        self._doubted.clear()
        if discovery:
            self._look_at_discovery()
            self._send_requests()
        minute = self._world.clock.now_ms() // 60_000 * 60_000
        if minute > self._was_until:
            self._was[minute] = (stats["total_workers"], stats["offline_workers"])
        if whole:
            self._told = {**dict.fromkeys(self._told, "removed"), **{worker: _as_told(status) for worker, status in listed.items()}}

    def _read(self, whole):
        """-> the listing, the statistics, what each instance's metrics say; None when they can't be had."""
        instances = self._world.running()
        listing = "/api/admin/workers" + ("" if whole else "?status=offline")
        asked = [functools.partial(self._world.ask, "GET", path) for path in ("/api/admin/stats", listing)]
        asked += [functools.partial(self._world.ask_directly, instance, "/metrics") for instance in instances]
        (status, stats), (listed, listing), *answers = self._world.at_once(asked, self._each > 1)
        if status != 200 or listed != 200:
            return None
        scrapes = {}
        for coordinator, answer in zip(instances, answers):
            if answer is not None and answer.status == 200:
                scrapes[coordinator.name] = Metrics(answer.body.decode(), None if whole else self._world.alerts.names)
                self._world.alerts.scraped(coordinator.name, scrapes[coordinator.name])
        self._hear_news()
        return {row["worker_id"]: row["status"] for row in listing["workers"]}, stats, scrapes

    def _compare(self, listed, stats, scrapes, whole):
        """-> (column, what) of all that disagree with the listing."""
        found = []
        offline = sum(status == "offline" for status in listed.values())
        if stats["offline_workers"] != offline or whole and stats["total_workers"] != len(listed):
            found.append(("figures", f"stats {stats['total_workers']}/{stats['offline_workers']}, listed {len(listed)}/{offline}"))
        for name, metrics in scrapes.items():
            if metrics.samples.get("rma_workers") and metrics.sum("rma_workers", status="offline") != offline:
                found.append(("figures", f"metrics of {name} {metrics.sum('rma_workers', status='offline')}, listed {offline}"))
        for worker in set(self._told) | set(listed) if whole else ():
            says, is_so = self._told.get(worker, "removed"), _as_told(listed.get(worker, "removed"))
            if says != is_so:
                found.append(("missed", f"{worker} is {is_so}, events say {says}"))
        return found

    def _look_at_workers(self, listed, whole):
        everybody, moment, now = self._world.everybody(), self._world.redis_time(), self._world.now()
        present = {machine.worker_id for machine in everybody}
        for machine in everybody:
            shown = listed.get(machine.worker_id) or ("removed" if whole else self._told.get(machine.worker_id, "removed"))
            if shown in ("offline", "removed") and machine.must_be_online(moment):
                self.note("offline", self._each, f"{machine.name} is {shown}")
            elif machine.died is not None and machine.worker_id and shown not in ("offline", "removed"):
                silent = now - machine.died
                self.note("healthy", self._each)
                self.rows[self.row]["longest"] = max(self.rows[self.row]["longest"], round(silent / 60))
                if not machine.may_be_online(moment):
                    self.note("figures", detail=f"{machine.name} is still {shown}")
            if machine.worker_id in self._doubted and shown not in ("offline", "removed"):
                self.note("offline", detail=f"{machine.name} was told offline, and is {shown}")
            for other in machine.earlier_ids - present:
                if other in listed:
                    self.note("duplicates", detail=f"{machine.name}: {other} is {listed[other]}")

    def distrust_history(self):
        """The clock is about to be set back."""
        self._was_until = self._world.clock.now_ms()
        self._was.clear()

    def look_at_history(self):
        """What was kept of the minutes that were like the one before and the one after them."""
        status, answer = self._world.ask("GET", "/api/admin/history?minutes=600")
        if status != 200:
            return
        for point in answer["points"]:
            minute = round(datetime.fromisoformat(point["time"].replace("Z", "+00:00")).timestamp() * 1000)
            near = {self._was.get(minute + step) for step in (-120_000, 0, 120_000)}
            near |= {self._was[minute + step] for step in (-60_000, 60_000) if minute + step in self._was}
            if None not in near and len(near) == 1 and (point["total_workers"], point["offline_workers"]) not in near:
                self.note("figures",
                          detail=f"history at {point['time']} {point['total_workers']}/{point['offline_workers']}, was {near}")

    def _look_at_discovery(self):
        by_id = {machine.worker_id: machine for machine in self._world.everybody()}
        for service in ("rag", "ner"):
            status, answer = self._world.ask("GET", f"/api/services/discover/{service}?limit=20")
            for row in answer.get("workers", []) if status == 200 else []:
                machine = by_id.get(row["worker_id"])
                if machine is not None and not machine.may_be_online(self._world.redis_time()):
                    self.note("dead", detail=f"{machine.name} for {service}")

    def _send_requests(self):
        """To a service of the whole fleet, in both regions. Dead workers may be asked as long as nobody can know that they are
        dead."""
        for region, proxy in self._world.proxies.items():
            status, answer = self._world.ask("GET", "/service/notes/minute", region=region)
            is_there = any(machine.state == "started" and self._world.is_ready(machine.coordinator) for machine in proxy.machines)
            if status != 200 and is_there:
                self.note("failed", detail=f"in the {region} region: {status} {answer}")
        for name in self._world.receiver.take():
            if not self._world.fleet.by_name[name].may_be_online(self._world.redis_time()):
                self.note("dead", detail=f"{name} was asked")

    # -- events --------------------------------------------------------------------------------------------------------------------

    def _hear_news(self):
        for entry, fields in self._world.primary.client.xrange(PREFIX + "events", "(" + self._last_event):
            self._last_event = entry
            self._written.append(entry)
            if not fields["event"].startswith(("task", "queue")):
                self._hear(fields, int(entry.partition("-")[0]))

    def _hear(self, fields, moment_ms):
        worker, event = fields["worker_id"], fields["event"]
        before = self._told.get(worker)  # None: nothing is known of it, as after a reset
        after = {"registered": "online", "online": "online", "offline": "offline",
                 "removed": "removed"}.get(event, before or "online")
        if event in ("online", "offline", "removed") and after == before:
            self.note("twice", detail=f"{worker} is told {event}, and was {before}")
        if event == "offline":
            machine = next((machine for machine in self._world.everybody() if machine.worker_id == worker), None)
            moment = self._world.redis_time() - (self._world.clock.now_ms() - moment_ms) / 1000
            if machine is not None and machine.was_heard_before(moment):
                self._doubted.append(worker)
        self._told[worker] = after

    def ask_the_listener(self):
        """Whether the event stream has told everything once. Who is told to load anew, and does, has missed nothing."""
        self._hear_news()
        heard, resets = self._world.listener.take(self._last_event)
        written, self._written = self._written, []
        if resets == 0:
            missing = set(written) - set(heard)
            self.note("missed", len(missing), f"the stream has not told {sorted(missing)[:3]}")
        self.note("twice", len(heard) - len(set(heard)), "the stream has told twice")

    def forget_events(self):
        """The store is that of an earlier day: listeners are told to load anew, and so are we."""
        status, listing = self._world.ask("GET", "/api/admin/workers")
        assert status == 200
        self._told = {row["worker_id"]: _as_told(row["status"]) for row in listing["workers"]}
        newest = self._world.primary.client.xrevrange(PREFIX + "events", count=1)
        self._last_event = newest[0][0] if newest else "0-0"

    # -- the report ----------------------------------------------------------------------------------------------------------------

    def total(self, column):
        return (max if column == "longest" else sum)(row[column] for row in self.rows.values())

    def table(self):
        lines = ["| disturbance | " + " | ".join(COLUMNS.values()) + " |", "| --- |" + " --- |" * len(COLUMNS)]
        for name, row in self.rows.items():
            lines.append(f"| {name} | " + " | ".join(str(row[column]) for column in COLUMNS) + " |")
        lines.append("| **all** | " + " | ".join(f"**{self.total(column)}**" for column in COLUMNS) + " |")
        return "\n".join(lines)

    def explain(self):
        return json.dumps({f"{row}: {column}": found for (row, column), found in self.details.items()}, indent=1)
