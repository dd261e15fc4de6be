"""SERVICE_CATALOG: a file in place of the built-in services."""

import json
import re
import shlex
import subprocess

import pytest

import coordinator as coordinator_module
import project
from coordinator import GPU_CAPABILITIES


def service(name, tier=2, **members):
    return {"name": name, "tier": tier, "image": f"registry/{name}:1", "port": 9000, **members}


@pytest.fixture
def write(directory):
    """Writes a catalogue, of services or of a text as it is; returns its path."""
    def write(*services, text=None):
        path = directory / "catalogue.json"
        path.write_text(json.dumps({"services": services}) if text is None else text)
        return path
    return write


def test_workers_are_assigned_to_the_services_of_the_file(redis, start_coordinator, write):
    path = write(service("late", priority=9), service("b"), service("gpu", 1), service("a"), service("first", priority=1),
                 service("store", 3, container="box", port=1), service("proxy", 4))
    coordinator = start_coordinator(redis, SERVICE_CATALOG=path)
    got = [coordinator.register()["assigned_services"] for _ in range(8)]
    assert got == [["first"], ["a"], ["b"], ["late"]] * 2
    assert coordinator.register(capabilities=GPU_CAPABILITIES)["assigned_services"] == ["gpu"]
    assert coordinator.register(capabilities={"worker_type": "edge"})["assigned_services"] == ["proxy"]
    answer = coordinator.register("s", {"worker_type": "storage"})
    assert answer["assigned_services"] == ["store"]
    assert answer["service_configs"] == [{"name": "store", "port": 1, "priority": 5}]
    env = {"COORDINATOR_URL": coordinator.url, "WORKER_ID": "s"}
    assert answer["assigned_containers"] == [{"name": "box", "image": "registry/store:1", "port": 1, "env": env}]
    assert coordinator.workers()["s"]["assigned_containers"] == ["box"]


def test_env_is_written_into_containers_and_no_log(redis, start_coordinator, write):
    path = write(service("a", env={"TOKEN": "<${TOKEN}>", "MODE": "${MODE:-fast}", "PRICE": "5$$"}))
    coordinator = start_coordinator(redis, SERVICE_CATALOG=path, LOG_LEVEL="debug", TOKEN='s3cret "\n\u00e9')
    expected = {"COORDINATOR_URL": coordinator.url, "WORKER_ID": "w", "TOKEN": '<s3cret "\n\u00e9>', "MODE": "fast", "PRICE": "5$"}
    assert coordinator.register("w")["assigned_containers"][0]["env"] == expected
    assert coordinator.worker("w")["assigned_containers"][0]["env"] == expected
    assert "s3cret" not in json.dumps(coordinator.workers())
    coordinator.stop()
    assert "s3cret" not in coordinator.stderr()
    assert "s3cret" not in str(redis.dump())


PASSED_ON = {"postgres": ["POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"], "neo4j": ["NEO4J_AUTH"], "upload": ["JWT_SECRET"],
             "vllm": ["MODEL_NAME", "GPU_MEMORY_UTILIZATION"], "vision": ["OLLAMA_HOST"],
             "minio": ["MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"]}


def containers_of_the_built_in(coordinator):
    """By service, what workers that register one after another are told to run: all of the built-in catalogue."""
    tiers = {1: 2, 2: 6, 3: 5, 4: 1}
    types = {1: "gpu", 2: "cpu", 3: "storage", 4: "edge"}
    answers = [coordinator.register(capabilities={"worker_type": types[tier]}) for tier, count in tiers.items()
               for _ in range(count)]
    return {answer["assigned_services"][0]: answer["assigned_containers"][0] for answer in answers}


def test_the_built_in_containers_get_what_the_environment_has(redis, start_coordinator):
    values = {name: f"<{name}> \u00e9" * 3 for names in PASSED_ON.values() for name in names}
    coordinator = start_coordinator(redis, LOG_LEVEL="debug", **values)
    containers = containers_of_the_built_in(coordinator)
    assert len(containers) == 14
    for service, container in containers.items():
        passed_on = {name: value for name, value in container["env"].items() if name not in ("COORDINATOR_URL", "WORKER_ID")}
        assert passed_on == {name: values[name] for name in PASSED_ON.get(service, [])}, service
    assert {service: container["port"] for service, container in containers.items()} == {
        "vision": 11434, "vllm": 8000, "rag": 8102, "ner": 8108, "notes": 8100, "upload": 8103, "client-rag": 8104,
        "doc-processor": 8101,
        "postgres": 5432, "neo4j": 7687, "redis": 6379, "chromadb": 8000, "minio": 9000, "edge-proxy": 8787}
    coordinator.stop()
    assert "JWT_SECRET>" not in coordinator.stderr() and "JWT_SECRET>" not in str(redis.dump())


def test_no_secret_is_built_in(redis, start_coordinator):
    coordinator = start_coordinator(redis, JWT_SECRET="")
    for service, container in containers_of_the_built_in(coordinator).items():
        assert set(container["env"]) == {"COORDINATOR_URL", "WORKER_ID"}, service


def test_a_variable_of_the_environment_that_no_json_can_hold(redis, make_coordinator):
    said = make_coordinator(redis, NEO4J_AUTH="neo4j/\udcff").refuses_to_start()
    assert re.fullmatch(r"the built-in catalogue:\d+: services\[\d+\]\.pass_env\[0\] needs the environment variable NEO4J_AUTH, "
                        r"which is not UTF-8\n", said)


ALIASES = {"vllm": "llm-inference", "vision": "vision-ocr", "rag": "rag-embeddings", "ner": "ner-extraction", "notes": "notes-coa",
           "doc-processor": "document-processing", "edge-proxy": "load-balancer"}


def test_agents_find_an_assigned_service_under_the_names_they_know(coordinator):
    types = {1: "gpu", 2: "cpu", 4: "edge"}
    for tier, count in {1: 2, 2: 6, 4: 1}.items():
        for _ in range(count):
            answer = coordinator.register(capabilities={"worker_type": types[tier]})
            service, = answer["assigned_services"]
            names = [config["name"] for config in answer["service_configs"]]
            assert names == [service, ALIASES[service]] if service in ALIASES else [service]
            assert {config["port"] for config in answer["service_configs"]} == {answer["assigned_containers"][0]["port"]}
            for name in names + [answer["assigned_containers"][0]["name"]]:
                found = coordinator.get(f"/api/worker/find/{name}").json
                assert (found["service"], found["worker_id"]) == (service, answer["worker_id"])
                discovered = coordinator.get(f"/api/services/discover/{name}").json
                assert (discovered["service"], discovered["recommended"]) == (service, answer["worker_id"])
                assert [row["worker_id"] for row in coordinator.get(f"/api/admin/workers?service={name}").json["workers"]] == [
                    answer["worker_id"]]
    assert not {service["name"] for service in coordinator.get("/api/services/list").json["services"]} & set(ALIASES.values())


def test_what_a_worker_advertises_by_an_alias_is_listed_by_its_name(coordinator):
    coordinator.register("w", {"worker_type": "edge"}, services=["rag-embeddings", {"name": "rma-ner-worker"}, "rag", "own"])
    assert set(coordinator.get("/api/admin/services").json["services"]) == {"rag", "ner", "own", "edge-proxy"}
    assert coordinator.get("/api/worker/find/ner-extraction").json["worker_id"] == "w"


def test_aliases_of_a_file(redis, start_coordinator, write):
    coordinator = start_coordinator(redis, SERVICE_CATALOG=write(service("a", aliases=["b", "c"]), service("rag", tier=1)))
    answer = coordinator.register("w")
    assert answer["service_configs"] == [{"name": name, "port": 9000, "priority": 5} for name in ("a", "b", "c")]
    assert coordinator.get("/api/worker/find/c").json["service"] == "a"
    assert coordinator.get("/api/worker/find/rag-embeddings").status == 503, "no alias of the file"


def test_the_file_is_read_once(redis, start_coordinator, write):
    coordinator = start_coordinator(redis, SERVICE_CATALOG=write(service("before")))
    write(service("after")).unlink()
    assert coordinator.register("w")["assigned_containers"][0]["image"] == "registry/before:1"


def test_a_service_that_is_gone_leaves_its_workers_working(redis, start_coordinator, write):
    first = start_coordinator(redis, SERVICE_CATALOG=write(service("old", priority=1), service("kept")))
    assert first.register("w")["assigned_services"] == ["old"]
    assert first.register("v")["assigned_services"] == ["kept"]
    first.stop()
    second = start_coordinator(redis, SERVICE_CATALOG=write(service("kept"), service("new", priority=1)))
    second.beat("w", current_load=0.5)
    assert second.worker("w")["assigned_services"] == second.workers()["w"]["assigned_services"] == ["old"]
    assert second.worker("w")["assigned_containers"] == second.workers()["w"]["assigned_containers"] == []
    assert second.worker("w")["status"] == "healthy"
    assert second.register("v")["assigned_services"] == ["kept"]
    assert second.register("w")["assigned_services"] == ["new"]
    assert second.worker("w")["assigned_containers"][0]["image"] == "registry/new:1"


def test_a_tier_without_services_is_assigned_none(redis, start_coordinator, write):
    coordinator = start_coordinator(redis, SERVICE_CATALOG=write(service("proxy", 4)))
    answer = coordinator.register("w")
    assert answer["assigned_services"] == answer["assigned_containers"] == answer["service_configs"] == []
    coordinator.beat("w")
    assert coordinator.worker("w")["status"] == "healthy"


def test_a_small_fleet_covers_more_when_allowed(redis, start_coordinator, write):
    path = write(service("g1", 1), service("g2", 1), *[service(f"s{number}") for number in range(4)], service("d", 3))
    coordinator = start_coordinator(redis, SERVICE_CATALOG=path, MAX_SERVICES_PER_WORKER=3)
    assert coordinator.register("cpu")["assigned_services"] == ["s0", "s1", "s2"]
    assert coordinator.register("gpu", GPU_CAPABILITIES)["assigned_services"] == ["g1", "g2", "s3"], "the one that nobody provides"
    assert coordinator.register("gpu-2", GPU_CAPABILITIES)["assigned_services"] == ["g1"], "all are provided"
    assert coordinator.register("disk", {"worker_type": "storage"})["assigned_services"] == ["d"], "only its own tier's"
    coordinator.unregister("cpu")
    assert coordinator.register("gpu-3", GPU_CAPABILITIES)["assigned_services"] == ["g2", "s0", "s1"]
    containers = coordinator.worker("gpu-3")["assigned_containers"]
    assert [container["name"] for container in containers] == ["rma-g2-worker", "rma-s0-worker", "rma-s1-worker"]


def test_every_fault_is_told_at_once_with_its_line(write):
    path = write(text="""{
  "services": [
    {"name": "a", "tier": 2, "image": "i", "port": 1},
    {
      "name": "a",
      "tier": 5,
      "image": "i",
      "prot": 80,
      "port": 0,
      "env": {"KEY": "${TOKEN} ${NOT_SET}"}
    }
  ],
  "extra": 1
}
""")
    command = [str(project.BINARY), "--service-catalog", str(path)]
    environment = coordinator_module.environment({"TOKEN": "s3cret"})
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=10)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{path}:8: services[1].prot is unknown; there are name, tier, container, image, port, priority, aliases, env, pass_env, "
        f"routes, "
        "proxy, spread, idempotent, pass_authorization, loads_models, set_cookie and timeouts",
        f"{path}:5: services[1].name is that of services[0], too",
        f"{path}:6: services[1].tier must be a whole number from 1 to 4",
        f"{path}:9: services[1].port must be a whole number from 1 to 65535",
        f"{path}:10: services[1].env.KEY needs the environment variable NOT_SET, which is not set",
        f'{path}:13: the file has an unknown member "extra"; there is services']


@pytest.mark.parametrize("text, says", [
    ("", ":1:1: the file is empty; it must be a JSON object."),
    ('{"services": [\n  {"name": "a",}\n]}', ":2:16: the file is not valid JSON."),
    ('{"services": []}', ":1: services must be an array of 1 to 256 services")])
def test_a_file_that_is_no_catalogue(redis, make_coordinator, write, text, says):
    path = write(text=text)
    assert make_coordinator(redis, SERVICE_CATALOG=path).refuses_to_start() == f"{path}{says}\n"


def test_a_file_that_can_not_be_read(redis, make_coordinator, directory):
    path = directory / "missing.json"
    assert make_coordinator(redis, SERVICE_CATALOG=path).refuses_to_start() == f"{path}: can't be read: No such file or directory\n"
    assert make_coordinator(redis, SERVICE_CATALOG=directory).refuses_to_start() == f"{directory}: can't be read: Is a directory\n"
    assert make_coordinator(redis, SERVICE_CATALOG="/dev/zero").refuses_to_start() == "/dev/zero: is larger than 1 MiB\n"


def test_a_file_of_1_mib_is_taken_and_no_larger_one(redis, make_coordinator, start_coordinator, write):
    text = json.dumps({"services": [service("a")]}).ljust(1024 * 1024)
    coordinator = start_coordinator(redis, SERVICE_CATALOG=write(text=text))
    assert coordinator.register()["assigned_services"] == ["a"]
    path = write(text=text + " ")
    assert make_coordinator(redis, SERVICE_CATALOG=path).refuses_to_start() == f"{path}: is larger than 1 MiB\n"


def test_the_example_of_the_page_works_as_printed(redis, make_coordinator):
    section = (project.ROOT / "docs/catalogue.md").read_text()
    text = re.search(r"```json\n(.*?)```", section, re.DOTALL)[1]
    words = shlex.split(re.search(r"```sh\n(.*?)```", section, re.DOTALL)[1])
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    assert words[len(settings):] == ["build/release/rma-coordinator"]
    coordinator = make_coordinator(redis, **settings)
    (coordinator.directory / settings["SERVICE_CATALOG"]).write_text(text)
    coordinator.start().wait_until_ready()
    container, = coordinator.register("w")["assigned_containers"]
    assert container == {"name": "rma-rag-worker", "image": "ghcr.io/rma/rag-worker:latest", "port": 8102, "env": {
        "COORDINATOR_URL": coordinator.url, "WORKER_ID": "w", "MODEL": "bge-m3", "MODE": "fast"}}
    assert coordinator.register("v")["assigned_services"] == ["ner"]
    assert coordinator.register("g", GPU_CAPABILITIES)["assigned_containers"][0]["name"] == "vllm"
