"""The files in deploy/prometheus and deploy/grafana: Prometheus takes them, every alert is seen to fire and not to fire, and every
query gets something out of a real Prometheus that scrapes real coordinators."""

import json
import re
import shutil
import subprocess
import urllib.parse

import pytest
import yaml

import http_client
import project
import redis_server
from prometheus import promtool, scrape
from waiting import wait_until

PROMETHEUS = project.ROOT / "deploy" / "prometheus"
GRAFANA = project.ROOT / "deploy" / "grafana"
RULES = [PROMETHEUS / "recording.yml", PROMETHEUS / "alerts.yml"]
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
NAMES = [path.stem for path in DASHBOARDS]

# What a query that shows only trouble, or needs longer than a test, has nothing to say about.
MAY_BE_EMPTY = {"rma:heartbeats_late:ratio_rate10m"}
# What Grafana puts into a query.
VARIABLES = {"$__rate_interval": "5s", "$instance": ".*"}


def rules():
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def alerts():
    return [rule for rule in rules() if "alert" in rule]


def panels(path):
    return json.loads(path.read_text())["panels"]


def queries(path):
    """(title of the panel, PromQL as Prometheus gets it) of a dashboard."""
    for panel in panels(path):
        for target in panel.get("targets", []):
            expression = target["expr"]
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            assert "$" not in expression, f"{panel['title']}: {expression}"
            yield panel["title"], expression


def metric_names(expression):
    """The metrics that PromQL reads: what is no label, function, keyword, number or string."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b\d[\w.]*", " ", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    return {name for name, call in re.findall(r"([a-zA-Z_:][\w:]*)(\s*\()?", bare)
            if not call} - {"and", "or", "unless", "bool", "offset"}


# -- Prometheus --------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-fly.yml"])
def test_prometheus_takes_the_configuration(name):
    result = promtool("check", "config", PROMETHEUS / name)
    assert result.returncode == 0, result
    config = yaml.safe_load((PROMETHEUS / name).read_text())
    job, = [each for each in config["scrape_configs"] if each["job_name"] == "rma-coordinator"]
    looked_up, = job["dns_sd_configs"]
    assert (looked_up["names"], looked_up["type"], looked_up["port"]) == (
        (["coordinator"], "A", 9091) if name == "prometheus.yml" else (["rma-coordinator.internal"], "AAAA", 9091))
    assert config["rule_files"] == [path.name for path in RULES]


def test_every_alert_says_what_is_wrong_and_what_to_do():
    for alert in alerts():
        assert alert["labels"]["severity"] in ("critical", "warning"), alert
        summary, description = alert["annotations"]["summary"], alert["annotations"]["description"]
        assert 10 < len(summary) < 120 and "\n" not in summary and len(description) > 80, alert["alert"]
    named = [alert["alert"] for alert in alerts()]
    assert len(set(named)) == len(named) and len(named) >= 10


def cases():
    return yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text())["tests"]


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not():
    for alert in (each["alert"] for each in alerts()):
        moments = [str(moment["exp_samples"]) for case in cases() if case["name"].startswith(alert + ":")
                   for moment in case["promql_expr_test"]]
        fires = [f'alertname="{alert}"' in moment for moment in moments]
        assert True in fires and False in fires, alert
    assert all(moment["expr"] == 'ALERTS{alertstate="firing"}' for case in cases() for moment in case["promql_expr_test"])


@pytest.fixture
def copy(directory):
    """The rules and their tests, to be changed."""
    for path in (*RULES, PROMETHEUS / "alerts.test.yml"):
        shutil.copy(path, directory)
    return directory


def failed_moments(directory):
    """At how many moments of the cases other alerts fire than should."""
    result = promtool("test", "rules", "alerts.test.yml", cwd=directory)
    failed = (result.stdout + result.stderr).count("got: ")
    assert (result.returncode == 0) == (failed == 0), result
    return failed


def test_alerts_fire_when_they_should_and_only_then(copy):
    assert failed_moments(copy) == 0


def change_alerts(directory, change):
    path = directory / "alerts.yml"
    content = yaml.safe_load(path.read_text())
    for group in content["groups"]:
        for rule in group["rules"]:
            change(rule)
    path.write_text(yaml.safe_dump(content))


def test_their_cases_notice_an_alert_that_never_fires(copy):
    change_alerts(copy, lambda rule: rule.update(expr="vector(0) > 1"))
    assert failed_moments(copy) == sum(bool(moment["exp_samples"]) for case in cases() for moment in case["promql_expr_test"])


def test_their_cases_notice_an_alert_that_fires_at_once(copy):
    def at_once(rule):
        if rule["alert"] == "RmaNoCoordinator":
            rule.update({"expr": "vector(1)", "for": "0s"})
    change_alerts(copy, at_once)
    assert failed_moments(copy) >= sum(not moment["exp_samples"] for case in cases() for moment in case["promql_expr_test"])


# -- Grafana -----------------------------------------------------------------------------------------------------------------------

def test_dashboards_are_those_that_are_told_of():
    assert NAMES == ["fleet", "http", "redis", "requests", "services", "tasks"]
    boards = [json.loads(path.read_text()) for path in DASHBOARDS]
    assert len({board["uid"] for board in boards}) == len({board["title"] for board in boards}) == 6


@pytest.mark.parametrize("path", DASHBOARDS, ids=NAMES)
def test_a_dashboard_is_laid_out(path):
    board = json.loads(path.read_text())
    assert path.read_text() == json.dumps(board, indent=2, ensure_ascii=False) + "\n"
    assert board["description"] and "id" not in board and "__inputs" not in board
    taken, ids = {}, []
    for panel in board["panels"]:
        ids.append(panel["id"])
        at = panel["gridPos"]
        assert at["x"] >= 0 and at["w"] > 0 and at["x"] + at["w"] <= 24, panel["title"]
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            assert taken.setdefault(cell, panel["title"]) == panel["title"], f"{panel['title']} lies on {taken[cell]}"
    assert len(set(ids)) == len(ids)
    rows = {y for _, y in taken}
    assert rows == set(range(max(rows) + 1)) and len(taken) == 24 * len(rows), "there is a hole"


@pytest.mark.parametrize("path", DASHBOARDS, ids=NAMES)
def test_a_panel_says_what_it_shows(path):
    for panel in panels(path):
        if panel["type"] == "row":
            continue
        assert panel["title"] and len(panel["description"]) > 20 and panel["targets"], panel["title"]
        unit = (panel["fieldConfig"]["defaults"].get("unit") or panel["options"].get("yAxis", {}).get("unit")
                or panel["fieldConfig"]["overrides"])
        assert unit, f"{panel['title']} has no unit"
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
            assert target["legendFormat"], panel["title"]
            # a legend names no label that the query has summed away
            grouped = re.findall(r"\bby \(([^)]*)\)", target["expr"])
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert not grouped or any(label in each.split(", ") for each in grouped), panel["title"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=NAMES)
def test_a_dashboard_asks_the_data_source_that_is_chosen(path):
    variables = {each["name"]: each for each in json.loads(path.read_text())["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    for name, variable in variables.items():
        if name != "datasource":
            assert variable["datasource"]["uid"] == "${datasource}" and "rma_build_info" in variable["definition"]
            assert f"${name}" in path.read_text().replace("${datasource}", "")


def test_provisioning_leads_to_what_there_is():
    source, = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert source["type"] == "prometheus" and source["isDefault"] is True
    provider, = yaml.safe_load((GRAFANA / "provisioning/dashboards/rma.yml").read_text())["providers"]
    assert (provider["type"] == "file"
            and provider["options"]["path"] in (GRAFANA / "provisioning/dashboards/rma.yml").read_text().split("\n")[0])


# -- all queries, against real ones ------------------------------------------------------------------------------------------------

@pytest.fixture
def prometheus(directory, redis, start_coordinator):
    """A Prometheus with the rules, every second, that scrapes two coordinators of a fleet in which everything has happened."""
    coordinators = [start_coordinator(redis) for _ in range(2)]
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(path) for path in RULES]
    job = next(each for each in config["scrape_configs"] if each["job_name"] == "rma-coordinator")
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{each.port}" for each in coordinators]}]
    config["scrape_configs"] = [job]
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    port = redis_server.free_port()
    process = subprocess.Popen(["prometheus", f"--config.file={path}", f"--storage.tsdb.path={directory}/tsdb",
                                f"--web.listen-address=127.0.0.1:{port}",
                                "--log.level=warn"], stdout=subprocess.DEVNULL, stderr=(directory / "prometheus.log").open("wb"))
    try:
        yield Prometheus(port, coordinators, process)
    finally:
        process.kill()
        process.wait()


class Prometheus:
    def __init__(self, port, coordinators, process):
        self.port, self.coordinators, self._process = port, coordinators, process

    def query(self, expression):
        """What it says to a query at this moment."""
        assert self._process.poll() is None, "prometheus ended"
        try:
            answer = http_client.request(self.port, "GET", "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        except ConnectionRefusedError:
            return []  # it is about to start
        if answer.status == 503:
            return []
        assert answer.status == 200, (expression, answer)
        return answer.json["data"]["result"]


def something_of_everything(coordinators):
    """A round of requests in which each kind of sample counts on."""
    a, b = coordinators
    for each in coordinators:
        each.register("w", services=["ocr"])
        each.register("degraded", services=["ocr"])
        each.beat("w", current_load=0.5)
        each.beat("degraded", status="degraded")
        for path in ("/health", "/nowhere", "/api/admin/workers", "/api/worker/find/rag", "/api/services/discover/ocr",
                     "/api/worker/find/nowhere"):
            each.get(path)
        each.post("/api/worker/heartbeat", {"worker_id": "nobody"})
        for path in ("/service/ocr/pages", "/service/nobody-has-it/pages"):
            each.get(path)
    a.register("gone")
    b.unregister("gone")
    for queue in ("one", "two"):
        assert a.request("POST", "/api/tasks", {"type": "echo", "queue": queue}).status == 201
    for task in b.get("/api/worker/tasks?worker_id=w").json["tasks"]:
        a.post("/api/worker/task-complete", {"worker_id": "w", "task_id": task["task_id"], "lease": task["lease"], "result": 1})


def test_every_query_gets_something(prometheus, redis):
    """Every query of rules and dashboards names metrics that there are, is understood, and has a result for a busy fleet."""
    something_of_everything(prometheus.coordinators)
    there = scrape(prometheus.coordinators[0])
    known = there.names() | {rule["record"] for rule in rules() if "record" in rule} | {"up"}
    asked = [(rule.get("record") or rule["alert"], rule["expr"]) for rule in rules()]
    asked += [(f"{path.stem}: {title}", expression) for path in DASHBOARDS for title, expression in queries(path)]
    for name, expression in asked:
        assert metric_names(expression) and metric_names(expression) <= known, (name, metric_names(expression) - known)

    waiting = {(name, expression) for name, expression in asked
               if name not in {alert["alert"] for alert in alerts()} | MAY_BE_EMPTY}
    refused = {("redis: Failed commands a second", expression) for name, expression in waiting
               if name == "redis: Failed commands a second"}
    waiting -= refused  # what fails by itself is shown when it does, below

    def all_have_something():
        something_of_everything(prometheus.coordinators)
        waiting.difference_update([each for each in waiting if prometheus.query(each[1])])
        return not waiting
    try:
        wait_until(all_have_something, within=30, every=0.5)
    except AssertionError:
        pytest.fail(f"without a result: {sorted(waiting)}")

    redis.client.config_set("maxmemory", 1)

    def failures_show():
        prometheus.coordinators[0].post("/api/worker/register", {"capabilities": {}})
        return all(prometheus.query(expression) for _, expression in refused)
    wait_until(failures_show, every=0.5, what="refused commands are shown")
    for alert in alerts():
        prometheus.query(alert["expr"])  # understood
    # a moment ago there was one that is gone
    wait_until(lambda: [total["value"][1] for total in prometheus.query("rma:workers_live:sum")] == ["2"], every=0.5,
               what="workers are counted once, though both coordinators tell them")


def test_names_are_found_in_queries():
    assert metric_names('sum by (le, route) (rate(a_total{x="b", y=~"c.*"}[5m])) / on (job) group_left (v) max(c:d:e) '
                        '> 0.5e3 and time() or vector(0)') == {"a_total", "c:d:e"}
