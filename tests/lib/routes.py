"""Calls the scripts that choose workers for requests."""

import itertools

import project

PREFIX = "{rma}:"
# the names of keys that differ from what the scripts call them
NAMES = {"prefix": "", "service": "service:", "model": "model:", "region": "region:"}


class Choice:
    """The outcome of a choice: a worker, or why there is none."""

    def __init__(self, text):
        self.text = text
        words = text.split(" ")
        self.refusal = words[1] if words[0] == "!" else None
        self.worker, self.service, self.has_model, self.stamp, self.mark = \
            (None,) * 5 if self.refusal else (words[0], words[1], words[2] == "1", words[3], words[4])

    def __repr__(self):
        return self.text


class Routes:
    def __init__(self, client, move_clock=None):
        """move_clock(seconds) moves the clock, for calls with `at`"""
        self.redis = client
        self._move_clock = move_clock
        self._leases = itertools.count(1)

    def _run(self, name, *rest, **args):
        lines = [line.split() for line in (project.SCRIPTS / f"{name}.args").read_text().splitlines()]
        keys = [PREFIX + NAMES.get(key, key) for kind, key in lines if kind == "key"]
        words = [args[each] for kind, each in lines if kind == "arg"]
        return self.redis.eval((project.SCRIPTS / f"{name}.lua").read_text(), len(keys), *keys, *words, *rest)

    def call(self, *things, at=None, thread="t1", region=""):
        """Calls the script with things, which are lists of strings -> an answer for each"""
        if at is not None:
            self._move_clock(at)
        return self._run("route", *[word for thing in things for word in thing], thread=thread, region=region)

    def wish(self, services, model="", others="", session="", excluded="", seed=1, lease=None):
        return ["choose", lease or str(next(self._leases)), services, model, others, session, excluded, seed]

    def choose(self, services, *, count=1, thread="t1", region="", at=None, **wish):
        """-> the choice; its lease is in `lease`; with a count, a list of them, made in one call"""
        things = [self.wish(services, **{"seed": number, **wish}) for number in range(1, count + 1)]
        choices = [Choice(text) for text in self.call(*things, at=at, thread=thread, region=region)]
        for choice, thing in zip(choices, things):
            choice.lease, choice.thread = thing[1], thread
        return choices if count > 1 else choices[0]

    def release(self, choice, outcome="s", at=None, requests=1):
        answer, = self.call(["release", choice.lease, outcome, requests], at=at, thread=choice.thread)
        return answer

    def request(self, services, outcome, at=None, **wish):
        """Chooses a worker and releases the lease -> (the choice, the answer to the release)"""
        choice = self.choose(services, at=at, **wish)
        return choice, self.release(choice, outcome) if choice.worker else None

    def renew(self, thread="t1", at=None):
        answer, = self.call(["renew"], thread=thread, at=at)
        return answer.split()

    def in_flight(self):
        """{worker: requests}"""
        return {worker: int(count) for worker, count in self.redis.hgetall(PREFIX + "requests").items()}

    def list(self, services, model="", others="", thread="t1", at=None):
        """[(id, mark)]"""
        answer, = self.call(["list", services, model, others], thread=thread, at=at)
        return [(each.split(" ")[0], each.split(" ")[4]) for each in answer]

    def explain(self, service, model="", region=""):
        """{worker: [status, provides, unwell, has model, near, load, active, requests, standing, row, left]}"""
        rows, cursor = {}, "0"
        while True:
            cursor, *words = self._run("route_explain", service=service, model=model, region=region, cursor=cursor)
            rows.update({words[at]: words[at + 1:at + 12] for at in range(0, len(words), 12)})
            if cursor == "0":
                return rows
