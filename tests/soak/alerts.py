"""What Prometheus would have said of the simulated week: the scrapes, with their moments, and the rules of deploy/prometheus over
them."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request

import yaml

import project
from redis_server import free_port
from waiting import wait_until

PROMETHEUS = project.ROOT / "deploy" / "prometheus"
STEP = 60  # seconds between scrapes, and between evaluations of the rules


def rules(name):
    return [rule for group in yaml.safe_load((PROMETHEUS / name).read_text())["groups"] for rule in group["rules"]]


def seconds(text):
    return sum(int(number) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
               for number, unit in re.findall(r"(\d+)([smhd])", text or "0s"))


class Alerts:
    """Notes scrapes; afterwards, which alerts fired when."""

    def __init__(self, world, directory):
        self._world, self._directory = world, directory
        self._samples = {}  # series -> [(seconds since 1970, value)]
        self._kinds = {}
        text = " ".join(rule["expr"] for name in ("alerts.yml", "recording.yml") for rule in rules(name))
        self.names = set(re.findall(r"[a-z_]+_[a-z_]+", text)) | {"rma_workers"}
        self._expected = []  # (alert, from, to, must): seconds since the beginning

    # -- while the week goes on ----------------------------------------------------------------------------------------------------

    def scraped(self, instance, metrics):
        moment = self._world.true_ms() // 1000
        self._add(f'up{{job="rma-coordinator",instance="{instance}"}}', moment, 1)
        for name, samples in metrics.samples.items():
            if name not in self.names:
                continue
            for labels, value in samples.items():
                if not self._is_asked_for(dict(labels)):
                    continue
                text = ",".join(f"{key}={json.dumps(word)}" for key, word in sorted(labels))
                self._add(f'{name}{{job="rma-coordinator",instance="{instance}"{"," + text if text else ""}}}', moment, value)

    @staticmethod
    def _is_asked_for(labels):
        """Most series are buckets of histograms, of which the rules ask for few."""
        return "le" not in labels or labels.get("script", "heartbeat") == "heartbeat" and (
            labels.get("route", "/api/worker/heartbeat") in ("/api/worker/heartbeat", "/api/worker/heartbeats",
                                                             "/api/worker/register"))

    def _add(self, series, moment, value):
        kept = self._samples.setdefault(series, [])
        if not kept or kept[-1][0] < moment:
            kept.append((moment, value))

    def repeat(self, until):
        """Nothing has changed since the last scrapes, up to that moment (seconds since 1970)."""
        last = max(kept[-1][0] for kept in self._samples.values())
        for kept in self._samples.values():
            if kept[-1][0] >= last - 1:
                kept.extend((moment, kept[-1][1]) for moment in range(int(last) + STEP, int(until), STEP))

    def expect(self, alert, lasting, must=True):
        """From now on, for `lasting` seconds, the alert has a cause; `must`: and is to come."""
        self._expected.append((alert, self._world.now(), self._world.now() + lasting, must, self._world.judge.row))

    # -- afterwards ----------------------------------------------------------------------------------------------------------------

    def judge(self):
        """Notes in the report which alerts had no cause, and which should have come."""
        began = self._world.began_ms / 1000
        fired = self._evaluate()
        judge = self._world.judge
        for alert, moments in fired.items():
            # an alert ends when the last sample that made it has left its window
            periods = [(since, until) for name, since, until, *_ in self._expected if name == alert]
            lost = [moment - began for moment in moments
                    if not any(since <= moment - began <= until for since, until in periods)]
            for first in self._beginnings(lost):
                judge.row = self._world.row_at(first)
                judge.note("causeless", detail=f"{alert} at {first / 60:.0f} min: {moments[first + began]}")
        for alert, since, until, must, row in self._expected:
            if must and not any(since <= moment - began <= until for moment in fired.get(alert, ())):
                judge.row = row
                judge.note("silent", detail=f"{alert} from {since / 60:.0f} min on")

    @staticmethod
    def _beginnings(moments):
        return [moment for at, moment in enumerate(moments) if at == 0 or moment - moments[at - 1] > 1.5 * STEP]

    def _evaluate(self):
        """alert -> moments (seconds since 1970) at which it fires, and its labels then."""
        data = self._directory / "prometheus"
        text = self._directory / "week.om"
        with text.open("w") as out:
            by_name = {}
            for series in self._samples:
                by_name.setdefault(series.partition("{")[0], []).append(series)
            for name, all_series in by_name.items():
                out.write(f"# TYPE {name} unknown\n")
                for series in all_series:
                    out.writelines(f"{series} {value} {moment}\n" for moment, value in self._samples[series])
            out.write("# EOF\n")
        moments = [moment for kept in self._samples.values() for moment, _ in kept]
        first, last = min(moments), max(moments)
        self._promtool("tsdb", "create-blocks-from", "openmetrics", "--quiet", "--max-block-duration=512h", text, data)
        with self._server(data) as url:
            self._promtool("tsdb", "create-blocks-from", "rules", f"--start={first}", f"--end={last}", f"--eval-interval={STEP}s",
                           f"--url={url}", f"--output-dir={self._directory / 'recorded'}", PROMETHEUS / "recording.yml")
        for block in (self._directory / "recorded").iterdir():
            shutil.move(block, data / block.name)
        with self._server(data) as url:
            return {rule["alert"]: self._firing(url, rule, first, last) for rule in rules("alerts.yml")}

    @staticmethod
    def _promtool(*words):
        done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    def _server(self, data):
        return _Server(data)

    @staticmethod
    def _firing(url, rule, first, last):
        found = {}
        for begin in range(int(first), int(last) + 1, 10_000 * STEP):
            query = urllib.parse.urlencode({"query": rule["expr"], "start": begin, "step": STEP,
                                            "end": min(int(last), begin + (10_000 - 1) * STEP)})
            with urllib.request.urlopen(f"{url}/api/v1/query_range?{query}", timeout=120) as answer:
                for series in json.load(answer)["data"]["result"]:
                    found.setdefault(json.dumps(series["metric"], sort_keys=True),
                                     []).extend(moment for moment, _ in series["values"])
        fires, patience = {}, seconds(rule.get("for"))
        for labels, moments in found.items():
            since = None
            for at, moment in enumerate(moments):
                if at == 0 or moment - moments[at - 1] > STEP:
                    since = moment
                if moment - since >= patience:
                    fires[moment] = labels
        return dict(sorted(fires.items()))


class _Server:
    """A Prometheus that scrapes nothing, and answers from what is there."""

    def __init__(self, data):
        self._data, self._port = data, free_port()

    def __enter__(self):
        (self._data / "nothing.yml").write_text("global: {}\n")
        self._process = subprocess.Popen(
            ["prometheus", f"--config.file={self._data}/nothing.yml", f"--storage.tsdb.path={self._data}", "--log.level=error",
             f"--web.listen-address=127.0.0.1:{self._port}", "--query.lookback-delta=150s", "--storage.tsdb.retention.time=10y"],
            stdout=subprocess.DEVNULL, stderr=(self._data / "log").open("wb"))
        url = f"http://127.0.0.1:{self._port}"

        def answers():
            with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
                return answer.status == 200
        wait_until(answers, within=60, what="Prometheus is ready", every=0.05)
        return url

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()
