"""The files under deploy/ and docker-compose.yml, as far as no container is needed to see whether they are right."""

import re
import subprocess
import tomllib

import pytest
import yaml

import project

DEPLOY = project.ROOT / "deploy"
COMPOSE = project.ROOT / "docker-compose.yml"
KUBERNETES = [DEPLOY / "kubernetes" / f"{name}.yaml" for name in ("coordinator", "redis", "autoscaling")]
VALIDATOR = project.ROOT / "tests" / "kubernetes"
OF_THE_ENTRY_POINT = {"REDIS_PASSWORD", "REDIS_PROTECTED_MODE"}


def version():
    return re.search(r'^#define VERSION "(.*)"$', (project.ROOT / "src/instance/instance.h").read_text(), re.MULTILINE)[1]


def settings():
    text = subprocess.run([project.BINARY, "--help"], capture_output=True, text=True, timeout=10, check=True).stdout
    return set(re.findall(r"^  --[a-z-]+ +([A-Z_]+)$", text, re.MULTILINE))


# -- Compose -----------------------------------------------------------------------------------------------------------------------


def compose_commands():
    return [command for command in (["docker-compose"], ["docker", "compose"])
            if subprocess.run([*command, "version"], capture_output=True).returncode == 0]


def test_compose_reads_the_file_whichever_it_is(directory):
    commands = compose_commands()
    assert commands, "there is no Compose: apt-get install docker-compose"
    bad = directory / "docker-compose.yml"
    bad.write_text(COMPOSE.read_text().replace("restart: unless-stopped", "restarts: unless-stopped"))
    for command in commands:
        for arguments in ([], ["--profile", "dev"]):
            result = subprocess.run([*command, "-f", str(COMPOSE), *arguments, "config", "-q"], capture_output=True, text=True,
                                    timeout=60)
            assert result.returncode == 0 and result.stdout + result.stderr == "", result
        assert subprocess.run([*command, "-f", str(bad), "config", "-q"], capture_output=True, timeout=60).returncode != 0


def test_compose_sets_what_there_is():
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    assert services.keys() == {"redis", "coordinator", "balancer", "prometheus", "grafana", "worker"}
    for name in ("redis", "coordinator"):
        unknown = services[name]["environment"].keys() - settings() - OF_THE_ENTRY_POINT
        assert not unknown, f"{name}: the coordinator has no such settings"


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_compose_mounts_what_there_is(name):
    """An engine makes an empty directory where one is missing, and says nothing."""
    sources = [volume.partition(":")[0] for volume in yaml.safe_load(COMPOSE.read_text())["services"][name]["volumes"]]
    ours = [source for source in sources if source.startswith("./")]
    assert ours
    for source in ours:
        assert (project.ROOT / source).is_dir(), f"{source} is missing"


def test_grafana_finds_its_dashboards_and_prometheus():
    mounts = dict(volume.split(":")[1::-1] for volume in yaml.safe_load(COMPOSE.read_text())["services"]["grafana"]["volumes"])
    provisioning = project.ROOT / mounts["/etc/grafana/provisioning"]
    for path in (provisioning / "dashboards").glob("*.yml"):
        for provider in yaml.safe_load(path.read_text())["providers"]:
            assert list((project.ROOT / mounts[provider["options"]["path"]]).glob("*.json")), path
    urls = [source["url"] for path in (provisioning / "datasources").glob("*.yml")
            for source in yaml.safe_load(path.read_text())["datasources"]]
    # Grafana puts variables in, but knows no defaults for them, as a shell has: ${NAME:-value} would be nothing
    assert urls == ["http://prometheus:9090"]


# -- the images --------------------------------------------------------------------------------------------------------------------


def test_the_images_packages_are_those_of_the_makefile_and_all_have_a_version():
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    stages = dict(re.findall(r"^FROM base AS (\S+)$(.*?)(?=^FROM |\Z)", dockerfile, re.MULTILINE | re.DOTALL))
    named = {stage: set(re.search(r'"\$VERSIONS"(.*?)\n(?! {4})', text.replace("\\\n", " ") + "\n",
                                  re.DOTALL)[1].split("&&")[0].split())
             for stage, text in stages.items()}
    makefile = (project.ROOT / "Makefile").read_text().replace("\\\n", " ")
    wanted = set(re.search(r"^BUILD_PACKAGES := (.*)$", makefile, re.MULTILINE)[1].split()) - {"redis-server", "curl"}
    assert named["build"] == wanted
    assert "redis-server" in named["coordinator"] and "haproxy" in named["balancer"]
    for path in DEPLOY.glob("packages.*"):
        lines = path.read_text().splitlines()
        assert re.fullmatch(r"# snapshot: \d{8}T\d{6}Z", lines[1])
        listed = {line.partition("=")[0] for line in lines[2:]}
        missing = set().union(*named.values()) - listed
        assert not missing, f"{path.name}: make image-packages"


# -- Kubernetes --------------------------------------------------------------------------------------------------------------------


def objects():
    found = {}
    for path in KUBERNETES:
        for document in yaml.safe_load_all(path.read_text()):
            found[document["kind"], document["metadata"]["name"]] = document
    return found


def validate(*paths):
    assert (VALIDATOR / "node_modules").is_dir(), "make tests/kubernetes/node_modules"
    return subprocess.run(["node", str(VALIDATOR / "validate.js"), *map(str, paths)], capture_output=True, text=True, timeout=60)


def test_kubernetes_objects_are_what_their_schemas_ask_for():
    result = validate(*KUBERNETES)
    assert result.returncode == 0 and result.stdout + result.stderr == "", result
    assert set(DEPLOY.glob("kubernetes/*")) == {*KUBERNETES, DEPLOY / "kubernetes" / "kustomization.yaml"}


@pytest.mark.parametrize(("file", "old", "new", "fault"), [
    ("coordinator", "livenessProbe:", "livenessProb:", "nobody knows /spec/template/spec/containers/0/livenessProb"),
    ("coordinator", "replicas: 2", "replicas: two", "must be integer"),
    ("coordinator", "whenUnsatisfiable: ScheduleAnyway", "", "whenUnsatisfiable"),
    ("coordinator", "apiVersion: policy/v1", "apiVersion: policy/v1alpha1", "no kind"),
    ("redis", "storage: 2Gi", "storage: {}", "volumeClaimTemplates"),
    ("autoscaling", "maxReplicaCount", "maxReplicasCount", "nobody knows /spec/maxReplicasCount"),
    ("autoscaling", "type: prometheus", "kind: prometheus", "type")])
def test_the_schemas_notice_a_mistake(directory, file, old, new, fault):
    text = (DEPLOY / "kubernetes" / f"{file}.yaml").read_text()
    assert old in text
    (directory / "bad.yaml").write_text(text.replace(old, new, 1))
    result = validate(directory / "bad.yaml")
    assert result.returncode == 1 and fault in result.stdout, result


def test_kubernetes_objects_find_each_other():
    found = objects()
    kinds = {("Deployment", "rma-coordinator"), ("Service", "rma-coordinator"), ("PodDisruptionBudget", "rma-coordinator"),
             ("StatefulSet", "rma-redis"), ("Service", "rma-redis"), ("NetworkPolicy", "rma-redis"),
             ("ScaledObject", "rma-coordinator")}
    assert found.keys() == kinds
    for workload, name in (("Deployment", "rma-coordinator"), ("StatefulSet", "rma-redis")):
        spec = found[workload, name]["spec"]
        labels = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"] == labels == found["Service", name]["spec"]["selector"]
        container, = spec["template"]["spec"]["containers"]
        assert container["image"] == f"rma-coordinator:{version()}"
        names = {port["name"] for port in container["ports"]}
        assert {port["targetPort"] for port in found["Service", name]["spec"]["ports"]} <= names
        security = {**spec["template"]["spec"]["securityContext"], **container["securityContext"]}
        assert security["runAsNonRoot"] and security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
        unknown = {variable["name"] for variable in container["env"]} - settings() - OF_THE_ENTRY_POINT
        assert not unknown, f"{name}: the coordinator has no such settings"
        for variable in container["env"]:
            if variable["name"] == "REDIS_PASSWORD":
                assert variable["valueFrom"]["secretKeyRef"] == {"name": "rma-redis", "key": "password"}
    coordinators = found["Deployment", "rma-coordinator"]["spec"]["selector"]
    assert found["PodDisruptionBudget", "rma-coordinator"]["spec"]["selector"] == coordinators
    policy = found["NetworkPolicy", "rma-redis"]["spec"]
    assert policy["podSelector"] == found["StatefulSet", "rma-redis"]["spec"]["selector"]
    assert policy["ingress"][0]["from"] == [{"podSelector": coordinators}]
    assert found["ScaledObject", "rma-coordinator"]["spec"]["scaleTargetRef"] == {"name": "rma-coordinator"}
    kustomization = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
    assert kustomization["resources"] == ["coordinator.yaml", "redis.yaml"]
    assert kustomization["images"] == [{"name": "rma-coordinator", "newTag": version()}]


def test_what_kubernetes_asks_a_coordinator_it_answers(coordinator):
    container, = objects()["Deployment", "rma-coordinator"]["spec"]["template"]["spec"]["containers"]
    for probe in ("livenessProbe", "readinessProbe"):
        assert coordinator.get(container[probe]["httpGet"]["path"]).status == 200


def test_prometheus_is_told_where_the_metrics_of_a_pod_are():
    template = objects()["Deployment", "rma-coordinator"]["spec"]["template"]
    container, = template["spec"]["containers"]
    port = template["metadata"]["annotations"]["prometheus.io/port"]
    assert {variable["name"]: variable.get("value") for variable in container["env"]}["METRICS_PORT"] == port
    assert int(port) in {port["containerPort"] for port in container["ports"]}


def test_coordinators_are_scaled_by_metrics_that_there_are(coordinator):
    families = set(re.findall(r"^# TYPE (\S+) ", coordinator.get("/metrics").body.decode(), re.MULTILINE))
    for trigger in objects()["ScaledObject", "rma-coordinator"]["spec"]["triggers"]:
        names = set(re.findall(r"\brma_\w+", trigger["metadata"]["query"]))
        assert names and names <= families


def test_all_deployments_ask_for_credentials_and_lose_no_agent():
    """A fleet that moves to them has agents without; docs/security.md leads on from there."""
    container, = (each for document in yaml.safe_load_all((project.ROOT / "deploy/kubernetes/coordinator.yaml").read_text())
                  if document["kind"] == "Deployment" for each in document["spec"]["template"]["spec"]["containers"])
    said = {"kubernetes": {variable["name"]: variable.get("value") for variable in container["env"]}["AUTH"],
            "compose": yaml.safe_load(COMPOSE.read_text())["services"]["coordinator"]["environment"]["AUTH"],
            "systemd": re.search(r"^Environment=.*\bAUTH=(\w+)", (project.ROOT / "deploy/rma-coordinator.service").read_text(),
                                 re.M)[1],
            "fly": tomllib.loads((project.ROOT / "fly.toml").read_text())["env"]["AUTH"]}
    assert said == {"kubernetes": "warn", "compose": "${AUTH:-warn}", "systemd": "warn", "fly": "warn"}
    for name in ("deploy/kubernetes/coordinator.yaml", "docker-compose.yml", "deploy/rma-coordinator.service", "fly.toml"):
        assert "docs/security.md" in (project.ROOT / name).read_text(), name
