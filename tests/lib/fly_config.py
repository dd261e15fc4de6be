"""Compares fly.toml and its runbook with each other, and with what the program says about itself.

Each function takes plain data and returns a list of faults, so that a test can give it altered copies.
"""

import re
import shlex

# The keys that flyctl reads (internal/appconfig of its sources, August 2026), as far as we use them. Fly ignores unknown keys.
KNOWN = {
    "": {"app", "primary_region", "kill_signal", "kill_timeout", "build", "deploy", "processes", "env", "http_service", "checks",
         "metrics",
         "mounts", "restart", "vm"},
    "build": {"dockerfile", "build-target", "args"},
    "deploy": {"strategy", "release_command", "wait_timeout", "max_unavailable"},
    "http_service": {"processes", "internal_port", "force_https", "auto_stop_machines", "auto_start_machines",
                     "min_machines_running",
                     "concurrency", "checks", "http_options"},
    "http_service.concurrency": {"type", "soft_limit", "hard_limit"},
    "http_service.checks": {"method", "path", "interval", "timeout", "grace_period", "headers", "protocol"},
    "check": {"processes", "type", "port", "interval", "timeout", "grace_period", "method", "path"},
    "metrics": {"processes", "port", "path"},
    "mounts": {"processes", "source", "destination", "initial_size", "snapshot_retention", "scheduled_snapshots",
               "auto_extend_size_threshold",
               "auto_extend_size_increment", "auto_extend_size_limit"},
    "restart": {"processes", "policy", "retries"},
    "vm": {"processes", "size", "memory", "cpus", "cpu_kind"},
}

# The commands of the runbook, with the flags that flyctl documents for them.
COMMANDS = {
    "apps create": set(),
    "auth login": set(),
    "checks list": set(),
    "deploy": {"--process-groups", "--image", "--config", "--ha"},
    "logs": {"--no-tail", "--machine", "--region"},
    "machine clone": {"--region", "--from-snapshot", "--attach-volume"},
    "machine destroy": {"--force"},
    "machine list": set(),
    "machine start": set(),
    "machine stop": set(),
    "proxy": set(),
    "releases": {"--image"},
    "scale count": {"--region", "--config", "--from-snapshot", "--with-new-volumes"},
    "scale show": set(),
    "secrets import": {"--stage", "--config"},
    "ssh console": {"--process-group", "--quiet", "--command"},
    "status": set(),
    "volumes create": {"--region", "--size", "--snapshot-retention", "--yes"},
    "volumes destroy": set(),
    "volumes extend": {"--size"},
    "volumes fork": {"--region"},
    "volumes list": set(),
    "volumes snapshots create": set(),
    "volumes snapshots list": set(),
}

REDIS_PORT = 6379
# Where the fleet's Redis is and what its volume is called.
REGION = "lhr"
VOLUME = "rma_data"
OTHER_REGION = "ams"  # in the runbook's examples
# The entry point of the image reads it for the role redis.
REDIS_SECRET = "REDIS_PASSWORD"
# Fly allows a kill_timeout of at most 300 s, and an interval of 2 to 60 s for checks.
KILL_TIMEOUT_MAX = 300
CHECK_INTERVAL_MIN, CHECK_MAX = 2, 60


def seconds(value):
    """A duration as Fly reads it: a number of seconds, or "10s", "5m"."""
    if isinstance(value, (int, float)):
        return float(value)
    match = re.fullmatch(r"(\d+)(ms|s|m)", value)
    return int(match[1]) * {"ms": 0.001, "s": 1, "m": 60}[match[2]]


def megabytes(value):
    match = re.fullmatch(r"(\d+)(mb|gb)", value.lower())
    return int(match[1]) * {"mb": 1, "gb": 1024}[match[2]]


def settings_of_help(text):
    """Returns the settings that --help lists, with their defaults ("" if there is none)."""
    rows = re.findall(r"^  --[a-z-]+ +([A-Z_]+)\n +(.*)$", text, re.MULTILINE)
    return {name: (re.search(r" \(([^()]*)\)$", help_) or [None, ""])[1] for name, help_ in rows}


# -- fly.toml ----------------------------------------------------------------------------------------------------------------------


def _unknown_keys(config):
    tables = [("", config)]
    for name in ("build", "deploy", "http_service"):
        tables.append((name, config.get(name, {})))
    service = config.get("http_service", {})
    tables.append(("http_service.concurrency", service.get("concurrency", {})))
    tables += [("http_service.checks", check) for check in service.get("checks", [])]
    tables += [("check", check) for check in config.get("checks", {}).values()]
    for name in ("metrics", "mounts", "restart", "vm"):
        tables += [(name, table) for table in config.get(name, [])]
    return [f"[{name}] has the key {key}, which Fly does not know" for name, table in tables
            for key in table if key not in KNOWN[name]]


def _for_group(config, section, group):
    """The tables of a section that apply to a process group."""
    return [table for table in config.get(section, []) if group in table.get("processes", config["processes"])]


def _faults_of_groups(config, roles):
    groups = config["processes"]
    faults = []
    if set(groups) != {"app", "redis"}:
        faults.append(f"the process groups are {sorted(groups)}, not app and redis")
    named = [("http_service", config["http_service"])] + [(f"checks.{name}", check) for name, check in config["checks"].items()]
    named += [(section, table) for section in ("metrics", "mounts", "restart", "vm") for table in config.get(section, [])]
    for section, table in named:
        faults += [f"{section} names the process group {group}, which is not declared"
                   for group in table.get("processes", []) if group not in groups]
    for group, command in groups.items():
        if roles and shlex.split(command)[0] not in roles:
            faults.append(f"the command of {group} begins with {shlex.split(command)[0]}, which is no role of the image")
    return faults


def _faults_of_service(config, program):
    service, environment = config["http_service"], config["env"]
    faults = []
    if service.get("processes") != ["app"]:
        faults.append("http_service must be for the group app alone: the proxy would stop Redis")
    if str(service["internal_port"]) != environment.get("PORT", program["settings"]["PORT"]):
        faults.append("internal_port is not the PORT that the coordinator listens on")
    for key, wanted in {"auto_stop_machines": "stop", "auto_start_machines": True, "min_machines_running": 0,
                        "force_https": True}.items():
        if service.get(key) != wanted:
            faults.append(f"http_service.{key} is {service.get(key)}, not {wanted}")
    limits = service["concurrency"]
    if limits["type"] != "requests":
        faults.append("concurrency must count requests: the proxy shares connections")
    if not 0 < limits["soft_limit"] < limits["hard_limit"] <= int(program["settings"]["MAX_CONNECTIONS"]):
        faults.append("concurrency: soft_limit must be below hard_limit, and that at most MAX_CONNECTIONS")
    for check in service.get("checks", []) or [{}]:
        if (check.get("method", "GET").upper(), check.get("path")) not in program["routes"] or check["path"] != "/readyz":
            faults.append(f"the check asks {check.get('path')}, not /readyz")
            continue
        if seconds(check["timeout"]) <= program["not_ready_after"]:
            faults.append("the check gives up before /readyz says that it is not ready")
        if not CHECK_INTERVAL_MIN <= seconds(check["interval"]) <= CHECK_MAX:
            faults.append(f"a check's interval must be {CHECK_INTERVAL_MIN} to {CHECK_MAX} s")
    return faults


def _faults_of_end(config, program):
    faults = []
    ends_after = program["ends_after"].get(config["kill_signal"])
    if ends_after is None:
        faults.append(f"the coordinator does not end on {config['kill_signal']}")
    elif not ends_after < program["ends_within"] < seconds(config["kill_timeout"]) <= KILL_TIMEOUT_MAX:
        faults.append(f"kill_timeout {config['kill_timeout']} does not fit a coordinator that ends within "
                      f"{program['ends_within']} s"
                      f" (it took {ends_after:.1f} s)")
    return faults


def _faults_of_environment(config, program):
    faults = [f"env.{name} is no setting of the coordinator" for name in config["env"] if name not in program["settings"]]
    faults += [f"env.{name} must be a string" for name, value in config["env"].items() if not isinstance(value, str)]
    if config["env"].get("HOST") != "::":
        faults.append("HOST must be ::, or the private network (IPv6) does not reach the coordinator")
    faults += [f"{name} is a secret: not in fly.toml" for name in config["env"] if re.search("PASSWORD|URL|TOKEN", name)]
    metrics = config.get("metrics", [])
    if [table.get("processes") for table in metrics] != [["app"]]:
        faults.append("metrics must be declared once, for the group app")
    for table in metrics:
        if str(table["port"]) != config["env"].get("METRICS_PORT") or table["path"] != "/metrics":
            faults.append("metrics are not at METRICS_PORT, path /metrics")
        if table["port"] == config["http_service"]["internal_port"]:
            faults.append("metrics would be at the public port")
    return faults


def _faults_of_redis(config):
    faults = []
    mounts = _for_group(config, "mounts", "redis")
    if len(mounts) != 1 or mounts[0].get("processes") != ["redis"] or mounts[0]["destination"] != "/data":
        faults.append("the group redis, and it alone, needs one volume at /data")
    if [table.get("policy") for table in _for_group(config, "restart", "redis")] != ["always"]:
        faults.append("redis must be started again whatever it ended with")
    if not any(check.get("processes") == ["redis"] and check["type"] == "tcp" and check["port"] == REDIS_PORT
               for check in config["checks"].values()):
        faults.append(f"nothing checks the port {REDIS_PORT} of redis")
    faults += _faults_of_memory(config)
    if config.get("deploy", {}).get("strategy", "rolling") not in ("rolling", "immediate"):
        faults.append(f"the strategy {config['deploy']['strategy']} can't be used with a volume")
    return faults


def _option(config, name):
    """Returns the value of an option of the group redis; None if it is not given."""
    words = shlex.split(config["processes"]["redis"])
    return words[words.index(name) + 1] if name in words else None


def _faults_of_memory(config):
    most = _option(config, "--maxmemory")
    memory = min(megabytes(table["memory"]) for table in _for_group(config, "vm", "redis"))
    if most is None or megabytes(most) > memory * 3 // 8:
        return [f"redis needs a --maxmemory of at most 3/8 of its {memory} MB: a rewrite of its file may take as much again"]
    return []


def faults_of_config(config, program, roles=()):
    """What is wrong with fly.toml. `program` has: settings (name: default), routes (method, path), ends_after (signal: seconds as
    measured), ends_within (seconds, promised), not_ready_after (seconds until /readyz says no). `roles` of the image, if known."""
    return (_unknown_keys(config) + _faults_of_groups(config, roles) + _faults_of_service(config, program)
            + _faults_of_end(config, program)
            + _faults_of_environment(config, program) + _faults_of_redis(config) + _faults_of_place(config))


def _faults_of_place(config):
    """What is wrong with the region and the volume, which exist already under these names."""
    faults = [] if config.get("primary_region") == REGION else [f"primary_region is {config.get('primary_region')}, not {REGION}"]
    return faults + [f"the volume is {mount['source']}, not {VOLUME}" for mount in config.get("mounts", [])
                     if mount["source"] != VOLUME]


def faults_of_replica(replica, config):
    """What is wrong with the app of replicas."""
    faults = _unknown_keys(replica)
    if replica["primary_region"] != config["primary_region"]:
        faults.append(f"the first replica belongs into {config['primary_region']}, where the primary is")
    if replica["app"] != f"{config['app']}-replica":
        faults.append(f"the replicas' app must be {config['app']}-replica")
    words = shlex.split(replica["processes"]["redis"])
    if words[:4] != ["redis", "--replicaof", f"redis.process.{config['app']}.internal", str(REDIS_PORT)]:
        faults.append("the replicas do not follow the group redis of the first app")
    period, timeout = _option(config, "--repl-ping-replica-period"), _option(replica, "--repl-timeout")
    if not period or not timeout or timeout != _option(config, "--repl-timeout") or int(timeout) < 3 * int(period):
        faults.append("replicas must wait for three pings of their primary, and the primary as long for them")
    if "http_service" in replica or "services" in replica:
        faults.append("a service would let the proxy stop replicas, and lead strangers to them")
    return faults + _faults_of_memory(replica)


# -- the runbook -------------------------------------------------------------------------------------------------------------------


def blocks(text):
    """The shell blocks of a Markdown text."""
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def fly_commands(text):
    """Each fly command of the shell blocks, as words."""
    found = []
    for line in "".join(blocks(text)).replace("\\\n", " ").splitlines():
        match = re.search(r"(?:^|\$\()fly (.*)", line)
        if match:
            words = re.split(r" (?:<<\w+|&$|> |\| )", match[1])[0]
            found.append(shlex.split(words))
    return found


def _split(words):
    """The name of a command, its flags with their values, and its other words."""
    name = next((" ".join(words[:count]) for count in (3, 2, 1) if " ".join(words[:count]) in COMMANDS), None)
    if name is None:
        return None, {}, []
    flags, rest, words = {}, [], words[len(name.split()):]
    alone = {"--stage", "--quiet", "--no-tail", "--yes", "--force",
             "--with-new-volumes"} | ({"--image"} if name == "releases" else set())
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            flag, _, value = word.partition("=")
            flags[flag] = value if value or flag in alone or not words else words.pop(0)
        else:
            rest.append(word)
    return name, flags, rest


def _faults_of_command(words, config, files):
    name, flags, rest = _split(words)
    said = "fly " + " ".join(words)
    if name is None:
        return [f"{said}: there is no such command"]
    faults = [f"{said}: there is no flag {flag}" for flag in flags if flag not in COMMANDS[name]]
    groups, mount = config["processes"], config["mounts"][0]
    for flag in ("--process-group", "--process-groups"):
        if flag in flags and flags[flag] not in groups:
            faults.append(f"{said}: {flags[flag]} is no process group")
    if name == "scale count":
        group, _, count = rest[0].partition("=")
        if group not in groups or not count.isdigit() or (group == "redis" and int(count) != 1):
            faults.append(f"{said}: scales what is not there, or Redis")
    if name == "volumes create" and (rest != [mount["source"]] or int(flags["--snapshot-retention"]) != mount["snapshot_retention"]
                                     or f"{flags['--size']}gb" != mount["initial_size"]):
        faults.append(f"{said}: the volume is not the one of [[mounts]]")
    if not flags.get("--attach-volume", mount["destination"]).endswith(mount["destination"]):
        faults.append(f"{said}: the volume belongs at {mount['destination']}")
    if "--config" in flags and flags["--config"] not in files:
        faults.append(f"{said}: there is no file {flags['--config']}")
    if flags.get("--region", "$REGION") not in ("$REGION", config["primary_region"], OTHER_REGION):
        faults.append(f"{said}: {flags['--region']} is neither the primary region nor the other one of the examples")
    if name == "proxy" and (not rest[0].endswith(f":{REDIS_PORT}") or rest[1] != "redis.process.$APP.internal"):
        faults.append(f"{said}: leads elsewhere than to Redis")
    return faults


def faults_of_runbook(text, config, settings, files):
    """What is wrong with the runbook. `settings` of the coordinator; `files` that the source has."""
    faults = [fault for words in fly_commands(text) for fault in _faults_of_command(words, config, files)]
    for group in re.findall(r"([A-Za-z0-9_-]+)\.process\.", text):
        if group not in config["processes"]:
            faults.append(f"{group}.process… names no process group")
    for secret in re.findall(r"^([A-Z_]+)=\S*\$PASSWORD", text, re.MULTILINE):
        if secret != REDIS_SECRET and secret not in settings:
            faults.append(f"the secret {secret} is nothing that the coordinator or the image reads")
    for region in re.findall(r"fly-prefer-region: (\w+)", text):
        if region != config["primary_region"]:
            faults.append(f"fly-prefer-region: {region} is not the primary region")
    service, mount = config["http_service"], config["mounts"][0]
    for said in (f"port {service['internal_port']}", f"past {service['concurrency']['soft_limit']} requests",
                 f"port {config['metrics'][0]['port']}, `{config['metrics'][0]['path']}`", f"volume `{mount['source']}`",
                 f"for {mount['snapshot_retention']} days", f"to {megabytes(mount['auto_extend_size_limit']) // 1024} GB",
                 f"{megabytes(_option(config, '--maxmemory'))} MB", f"`{config['vm'][0]['size']}`",
                 f"{megabytes(config['vm'][0]['memory'])} MB"):
        if said not in text:
            faults.append(f"the runbook does not say: {said}")
    return faults
