"""A strict reader of Prometheus's text format; and promtool, which reads it as Prometheus does."""

import re
import subprocess

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)')
NAME = re.compile(r"[a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\.)*)"')
ESCAPES = {"\\n": "\n", "\\\\": "\\", '\\"': '"'}


class Metrics:
    """A scrape: value("rma_workers", tier="2", status="healthy")."""

    def __init__(self, text, names=None):
        """`names`: the metrics to keep; None: all of them."""
        self.text = text
        self.types = {}
        self.samples = {}  # name -> {frozenset of labels: value}
        assert text.endswith("\n")
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                name, kind = line.split(" ")[2:]
                assert name not in self.types, f"{name} stands there twice"
                self.types[name] = kind
            elif not line.startswith("# HELP ") and (names is None or NAME.match(line)[0] in names):
                name, labels, value = SAMPLE.fullmatch(line).groups()
                labels = frozenset((key, re.sub(r"\\.", lambda escape: ESCAPES[escape[0]], text))
                                   for key, text in LABEL.findall(labels or ""))
                assert labels not in self.samples.setdefault(name, {}), f"{line} stands there twice"
                self.samples[name][labels] = float(value)

    def value(self, name, **labels):
        return self.samples[name][frozenset(labels.items())]

    def sum(self, name, **labels):
        """Returns the sum of all samples that have these labels, perhaps among others."""
        return sum(value for each, value in self.samples.get(name, {}).items() if set(labels.items()) <= each)

    def labels(self, name, label):
        """Returns all values of a label."""
        return {dict(labels)[label] for labels in self.samples.get(name, {})}

    def names(self):
        return set(self.samples)


def scrape(coordinator):
    response = coordinator.get("/metrics")
    assert response.status == 200, response
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Metrics(response.body.decode())


def promtool(*arguments, **more):
    """Runs promtool; returns the finished process with its output."""
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False, **more)
