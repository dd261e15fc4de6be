"""Commands and settings: the environment and flags alike, --help with every default, and one clear line for a bad value."""

import ipaddress
import re
import socket
import subprocess

import pytest

import coordinator as coordinator_module
import project

DEFAULTS = {
    "HOST": "::", "PORT": "8080", "THREADS": "", "REDIS_URL": "", "DATA_DIR": "./data", "KEY_PREFIX": "{rma}",
    "HEARTBEAT_INTERVAL_SECONDS": "30", "HEARTBEAT_TIMEOUT_SECONDS": "300", "WORKER_TIMEOUT_SECONDS": "1800", "COORDINATOR_ID": "",
    "REGION": "", "PUBLIC_URL": "", "WORKERS_ARRAY_HOSTS": "", "ALLOWED_ORIGINS": "*", "TRUST_PROXY": "", "MAX_CONNECTIONS": "",
    "MAX_SERVICES_PER_WORKER": "1",
    "SERVICE_CATALOG": "",    "REQUEST_TIMEOUT_MS": "1500", "LOG_LEVEL": "", "LOG_FORMAT": ""}

# Every numeric setting, with the range that its message must name.
NUMBERS = {
    "PORT": (0, 65535), "THREADS": (0, 64), "HEARTBEAT_INTERVAL_SECONDS": (1, 3600), "HEARTBEAT_TIMEOUT_SECONDS": (1, 86400),
    "UPSTREAM_CONNECT_MS": (50, 10000), "WORKER_TIMEOUT_SECONDS": (2, 604800), "MAX_SERVICES_PER_WORKER": (1, 8),
    "REQUEST_TIMEOUT_MS": (10, 2000),
    "MAX_UPLOAD_BYTES": (65536, 2147483647), "MAX_CONNECTIONS": (1, 1000000), "IDLE_TIMEOUT_SECONDS": (1, 86400),
    "TRUST_PROXY": (0, 16)}
WITHOUT_DEFAULT = {"IDLE_TIMEOUT_SECONDS", "TRUST_PROXY"}  # an empty value is none
NO_NUMBERS = ["5m", "x", " 5", "5 ", "5 5", "\t5", "5\n", "+5", "-5", "-0", "0x5", "5.0", "5e0", "1,000", "99999999999999999999",
              "-99999999999999999999", "\N{FULLWIDTH DIGIT FIVE}"]

CHOICES = {"LOG_LEVEL": "debug, info, warn or error", "LOG_FORMAT": "text or json"}
NO_CHOICES = {"LOG_LEVEL": ["warning", "INFO", "deb", "1", " info"], "LOG_FORMAT": ["pretty", "xml", "JSON", "texts"]}


def run(*arguments, **settings):
    """Runs it to its end; should it start after all, there is no Redis for it, and the test fails by the time limit."""
    environment = coordinator_module.environment({"REDIS_URL": "unix:///nonexistent/redis.sock", "PORT": 0, **settings})
    return subprocess.run([str(project.BINARY), *arguments], env=environment, capture_output=True, text=True, timeout=30)


def refusal(*arguments, code, **settings):
    """The one line that it says when it refuses to start."""
    result = run(*arguments, **settings)
    assert result.returncode == code, result
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1 and result.stderr.endswith("\n"), result.stderr
    assert result.stderr[:-1].isprintable(), result.stderr
    return result.stderr


@pytest.mark.parametrize("arguments", [
    ["--help"], ["-h"], ["serve", "--help"], ["serve", "-h"], ["--port=1", "--help"], ["--port", "1", "-h"],
    ["serve", "--no-such-flag", "--help"], ["no-such-command", "--help"], ["--port", "--help"]])
def test_help_is_given_wherever_it_is_asked_for(arguments):
    result = run(*arguments, PORT="bad")
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.startswith("Usage: rma-coordinator [COMMAND] [FLAG...]\n")
    assert re.search(r"^  serve  +\w", result.stdout, re.MULTILINE), "the commands are listed"
    assert result.stdout.index("  serve ") < result.stdout.index("  --host ")


def test_help_tells_the_words_of_a_choice():
    lines = run("--help").stdout.splitlines()
    for name, words in CHOICES.items():
        row = next(number for number, line in enumerate(lines) if line.endswith(f" {name}"))
        assert words in lines[row + 1]


def test_help_lists_every_setting_with_its_default():
    result = run("--help")
    assert result.returncode == 0 and result.stderr == ""
    for name, default in DEFAULTS.items():
        rows = [line for line in result.stdout.splitlines() if name in line.split() or f"{name} " in line or f"{name}=" in line]
        assert rows, f"--help does not mention {name}"
        assert default in result.stdout, f"--help does not say that {name} is {default}"


def table_of(path):
    """{name: default} of the settings in the table of a document."""
    settings, text = {}, (project.ROOT / path).read_text()
    for names, default in re.findall(r"^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) \| ([^|]*) \|", text, re.MULTILINE):
        names = re.findall(r"[A-Z_]+", names)
        defaults = default.split(", ") if len(names) > 1 else [default]
        assert len(defaults) == len(names), names
        settings |= dict(zip(names, (each.strip("`") for each in defaults)))
    return settings


@pytest.mark.parametrize("path", ["docs/configuration.md", "README.md"])
def test_the_documents_have_every_setting_with_its_default(path):
    described = table_of(path)
    settings = dict(re.findall(r"^  --[a-z-]+ +([A-Z_]+)\n      (.*)$", run("--help").stdout, re.MULTILINE))
    assert set(described) == set(settings) if path != "README.md" else set(described) < set(settings)
    for name, default in described.items():
        told = re.search(r" \(([^()]*)\)$", settings[name])
        if told and told[1] != "0":  # 0 often stands for something that the document has in words
            assert default.split(" ")[0].rstrip(";,") == told[1], name


@pytest.mark.parametrize("arguments", [["--version"], ["serve", "--version"], ["--port=1", "--version"]])
def test_version(arguments):
    result = run(*arguments)
    assert result.returncode == 0 and result.stderr == ""
    assert any(character.isdigit() for character in result.stdout)
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize("name, value", [
    ("PORT", "abc"), ("PORT", "70000"), ("PORT", "-1"), ("PORT", "80 80"), ("PORT", "1e3"), ("THREADS", "-1"),
    ("THREADS", "many"), ("REDIS_URL", "http://localhost:6379"), ("REDIS_URL", "localhost:6379"),
    ("REDIS_URL", "redis://localhost:abc"),
    ("REDIS_URL", "redis://localhost:6379/x"), ("REDIS_URL", "redis://"), ("REDIS_URL", "unix://"), ("LOG_LEVEL", "loud"),
    ("LOG_FORMAT", "xml"),
    ("HEARTBEAT_TIMEOUT_SECONDS", "0"), ("HEARTBEAT_TIMEOUT_SECONDS", "-300"), ("HEARTBEAT_TIMEOUT_SECONDS", "5m"),
    ("WORKER_TIMEOUT_SECONDS", "x"), ("WORKER_TIMEOUT_SECONDS", "99999999999999999999"), ("MAX_CONNECTIONS", "0"),
    ("MAX_CONNECTIONS", "x"),
    ("REQUEST_TIMEOUT_MS", "-1"), ("MAX_SERVICES_PER_WORKER", "0"), ("MAX_SERVICES_PER_WORKER", "9"), ("TRUST_PROXY", "maybe"),
    ("KEY_PREFIX", "x" * 200), ("HOST", "not an address")])
def test_a_bad_value_stops_the_start_with_one_clear_line(redis, make_coordinator, name, value):
    settings = {"REDIS_URL": redis.url, name: value}
    says = make_coordinator(**settings).refuses_to_start()
    assert len(says.splitlines()) == 1, says
    assert name in says


@pytest.mark.parametrize(("name", "value"), [
    ("PUBLIC_URL", "not a url"), ("PUBLIC_URL", "javascript:alert(1)"), ("PUBLIC_URL", "c.example"),
    ("PUBLIC_URL", "https://c.example?x"),
    ("PUBLIC_URL", "https://user:pw@c.example"), ("PUBLIC_URL", "https://c.example:70000"), ("PUBLIC_URL", "https://c.example\n"),
    ("ALLOWED_ORIGINS", "a.example"), ("ALLOWED_ORIGINS", "https://a.example/path"), ("ALLOWED_ORIGINS", "https://*"),
    ("ALLOWED_ORIGINS", "null"), ("ALLOWED_ORIGINS", "https://a.example https://b.example"),
    ("ALLOWED_ORIGINS", "https://a.example,x")])
def test_a_web_address_is_checked_at_the_start(name, value):
    """Every bad form is in tests/unit/test_web.c."""
    assert refusal(code=1, **{name: value}).startswith(f"rma-coordinator: {name}: ")


@pytest.mark.parametrize(("value", "wrong"), [
    ("everything", '"everything" is no address'), ("*", '"*" is no address'),
    ("10.0.0.0/8, 10.0.0.0/40", '"10.0.0.0/40" has no number'),
    ("10.1.2.3/8", '"10.1.2.3/8" has bits behind'), ("fe80::/10", '"fe80::/10" lies where requests never go'),
    ("worker.example", "is no address"),
    ("10.0.0.0/8 127.0.0.1", "has no number"), (",".join(["10.0.0.1"] * 65), '"10.0.0.1" is one too many')])
def test_networks_that_requests_may_go_to_are_checked_at_the_start(value, wrong):
    assert refusal(code=1, UPSTREAM_ALLOW=value).startswith("rma-coordinator: UPSTREAM_ALLOW: ")
    assert wrong in refusal(code=1, UPSTREAM_ALLOW=value)


@pytest.mark.parametrize(("path", "pattern"), [
    ("Makefile", r"^NEAR_NETWORKS := (\S+)$"), ("docker-compose.yml", r"UPSTREAM_ALLOW: \$\{UPSTREAM_ALLOW:-(\S+)\}"),
    ("deploy/kubernetes/coordinator.yaml", r"name: UPSTREAM_ALLOW\n *value: (\S+)$"),
    ("deploy/rma-coordinator.service", r"^Environment=UPSTREAM_ALLOW=(\S+)$")])
def test_what_is_deployed_lets_requests_go_to_workers_near_by(path, pattern):
    allowed = re.search(pattern, (project.ROOT / path).read_text(), re.MULTILINE).group(1)
    assert refusal(code=1, UPSTREAM_ALLOW=allowed,
                   HOST="none").startswith("rma-coordinator: HOST none"), "it comes past UPSTREAM_ALLOW"
    networks = [ipaddress.ip_network(network) for network in allowed.split(",")]
    for address in ("10.1.2.3", "172.18.0.5", "192.168.1.7", "100.64.0.9"):
        assert any(ipaddress.ip_address(address) in network for network in networks), address
    assert ("127.0.0.0/8" in allowed) == (path == "Makefile"), "what else listens on the machine is no worker"


def test_on_fly_no_request_goes_to_the_private_network():
    assert "UPSTREAM_ALLOW" not in (project.ROOT / "fly.toml").read_text()


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_digits_within_its_range(name):
    low, high = NUMBERS[name]
    flag = "--" + name.lower().replace("_", "-")
    wanted = f"rma-coordinator: {name} must be a whole number from {low} to {high}, not "
    for value in NO_NUMBERS + [str(high + 1), str(low - 1)]:
        assert refusal(code=1, **{name: value}).startswith(wanted), value
    for value in ("" if name not in WITHOUT_DEFAULT else "-1", "x", str(high + 1)):
        assert refusal(f"{flag}={value}", code=1) == refusal(flag, value, code=1) == f'{wanted}"{value}"\n'


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_is_one_of_its_words(name):
    for value in NO_CHOICES[name]:
        assert refusal(code=1, **{name: value}) == f'rma-coordinator: {name} must be {CHOICES[name]}, not "{value}"\n'


@pytest.mark.parametrize("prefix", [
    "a b", " a", "a ", "a*", "a?", "[a]", "^a", "a\\", "a\n", "\x01a", "a\x7f", "\xe4", '"a"', "{a", "a}", "}a{", "{}", "{}a",
    "{a}{b}",
    "{{a}}", "{a}}", "{{a}", "{a}b}", "a:", "a:worker:b", "{a:b}"])
def test_a_prefix_that_would_do_harm_in_a_key_is_refused(prefix):
    says = refusal(code=1, KEY_PREFIX=prefix)
    assert says == (
        "rma-coordinator: KEY_PREFIX must be of letters, digits, '.', '_' and '-', a part of which may stand in braces, "
                    "as in {rma}\n")


def test_fleets_whose_prefixes_resemble_each_other_share_a_redis(redis, start_coordinator):
    fleets = {prefix: start_coordinator(redis, KEY_PREFIX=prefix)
              for prefix in ("a", "{a}", "A", "a.b_c-1", "x{a}y", "{" + 62 * "a" + "}")}
    for number, coordinator in enumerate(fleets.values()):
        coordinator.register(f"w-{number}")
    for number, coordinator in enumerate(fleets.values()):
        assert coordinator.workers().keys() == {f"w-{number}"}
        assert coordinator.stats()["total_workers"] == 1
    assert {key.partition(":")[0] for key in redis.dump()} == set(fleets)


@pytest.mark.parametrize(("settings", "says"), [
    ({"HOST": "localhost"}, "HOST localhost, PORT 0: HOST must be a numeric address, as in 127.0.0.1 or ::1"),
    ({"HOST": "192.0.2.1"}, "HOST 192.0.2.1, PORT 0: the port can't be listened on: Cannot assign requested address"),
    ({"HOST": "x" * 46}, "HOST must have at most 45 bytes"),
    ({"COORDINATOR_ID": "\u00e4" * 65}, "COORDINATOR_ID must have at most 128 bytes")])
def test_a_value_that_cant_be_used_says_what_can(settings, says):
    assert refusal(code=1, **settings) == f"rma-coordinator: {says}\n"


def test_removal_must_come_after_offline(redis, make_coordinator):
    says = make_coordinator(redis, HEARTBEAT_TIMEOUT_SECONDS=600, WORKER_TIMEOUT_SECONDS=300).refuses_to_start()
    assert len(says.splitlines()) == 1 and "WORKER_TIMEOUT_SECONDS" in says


@pytest.mark.parametrize("name", ["COORDINATOR_ID", "REGION"])
@pytest.mark.parametrize("value", ["Z\udcfcrich", "two\nlines", "\x1b[2J", "\x7f", "\x85"])
def test_a_name_that_would_spoil_answers_is_refused(name, value):
    """An answer with it would be no JSON, or would move the cursor of a terminal."""
    assert refusal(code=1, **{name: value}) == f"rma-coordinator: {name} must be UTF-8 without control characters\n"


def test_a_name_may_have_any_letters():
    assert refusal(code=1, COORDINATOR_ID="K\u00f6ln 1", REGION="Z\u00fcrich", HOST="none").startswith("rma-coordinator: HOST none")


@pytest.mark.parametrize("interval, timeout", [(30, 30), (31, 30), (3600, 300), (1, 1)])
def test_a_worker_that_keeps_to_its_interval_must_not_be_offline(redis, make_coordinator, interval, timeout):
    says = make_coordinator(redis, HEARTBEAT_INTERVAL_SECONDS=interval, HEARTBEAT_TIMEOUT_SECONDS=timeout).refuses_to_start()
    assert len(says.splitlines()) == 1 and "HEARTBEAT_INTERVAL_SECONDS" in says and "HEARTBEAT_TIMEOUT_SECONDS" in says


def test_a_port_that_is_taken_is_one_clear_line(redis, make_coordinator):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        says = make_coordinator(redis, PORT=port).refuses_to_start()
    assert str(port) in says


def test_an_unknown_command_is_a_usage_error():
    for command in ("no-such-command", "Serve", "", "help"):
        says = refusal(command, "--port=0", code=2)
        assert re.fullmatch(f'rma-coordinator: there is no command "{command}", only these: serve( [a-z]+)+; --help tells more\n',
                            says)


def test_an_unknown_flag_is_a_usage_error():
    for flag in ("--no-such-flag", "--", "-p", "-", "--PORT", "--por", "--ports", "--redis_url"):
        for arguments in ([flag], [flag + "=s3cret"], ["serve", flag], ["--port=0", flag, "serve"]):
            assert refusal(*arguments, code=2) == f'rma-coordinator: there is no flag "{flag}"; --help lists all\n'


def test_a_word_where_a_flag_should_be_is_a_usage_error():
    for arguments in (["serve", "extra"], ["serve", "serve"], ["--port=0", "extra"]):
        assert refusal(*arguments, code=2) == f'rma-coordinator: there is no flag "{arguments[1]}"; --help lists all\n'


def test_a_flag_without_its_value_is_a_usage_error():
    assert refusal("--threads=1", "--port", code=2) == "rma-coordinator: --port needs a value: --port=VALUE\n"


def test_what_is_refused_is_shown_without_control_characters():
    says = refusal("--no-such\n\x1b[2Jflag", code=2)
    assert '"--no-such??[2Jflag"' in says


def test_an_empty_variable_is_an_absent_one(redis, start_coordinator):
    coordinator = start_coordinator(redis, REGION="", PUBLIC_URL="", MAX_CONNECTIONS="", THREADS="", LOG_LEVEL="")
    assert coordinator.is_alive()


@pytest.mark.parametrize("threads", [1, 4])
def test_any_number_of_threads(redis, start_coordinator, threads):
    coordinator = start_coordinator(redis, THREADS=threads)
    for number in range(12):
        coordinator.register(f"w-{number}")
    assert len(coordinator.workers()) == 12


@pytest.mark.parametrize("url", [
    "redis://open@127.0.0.1:{port}", "redis://open:@127.0.0.1:{port}/0", "redis://127.0.0.1:{port}?user=open",
    "redis://fleet:p%2Fw%40%25@127.0.0.1:{port}?db=0", "redis://127.0.0.1:{port}?user=fleet&password=p%2Fw%40%25",
    "unix://fleet:p%2Fw%40%25@{socket}", "unix://open@{socket}", "unix://{socket}?username=fleet&password=p%2Fw%40%25&db=0"])
def test_who_comes_can_be_said_in_every_kind_of_url(start_redis, start_coordinator, directory, url):
    redis = start_redis(password="s3cret")
    redis.client.execute_command("ACL", "SETUSER", "open", "on", "nopass", "allkeys", "allchannels", "allcommands")
    redis.client.execute_command("ACL", "SETUSER", "fleet", "on", ">p/w@%", "allkeys", "allchannels", "allcommands")
    url = url.format(port=redis.port, socket=redis.socket)
    coordinator = start_coordinator(REDIS_URL=url, LOG_LEVEL="debug")
    coordinator.register("w")
    assert "p/w@%" not in coordinator.stderr() and "p%2Fw" not in coordinator.stderr()
    result = subprocess.run([str(project.BINARY), "export"], env=coordinator_module.environment({"REDIS_URL": url}), cwd=directory,
                            capture_output=True,
                            text=True, timeout=30)
    assert result.returncode == 0 and '"w"' in result.stdout, result.stderr


def test_the_password_is_in_no_log(redis, start_coordinator):
    redis.client.execute_command("ACL", "SETUSER", "fleet", "on", ">s3cret", "allkeys", "allcommands")
    coordinator = start_coordinator(REDIS_URL=f"redis://fleet:s3cret@127.0.0.1:{redis.port}/0", LOG_LEVEL="debug")
    coordinator.register("w")
    coordinator.stop()
    assert "s3cret" not in coordinator.stderr()


def test_the_log_says_which_redis(redis, start_coordinator):
    def said(url):
        coordinator = start_coordinator(REDIS_URL=url, LOG_LEVEL="debug")
        places = {line["redis"] for line in coordinator.log_lines() if "redis" in line}
        coordinator.stop()
        return places

    redis.client.config_set("requirepass", "s3cret")
    assert said(f"redis://default:s3cret@127.0.0.1:{redis.port}") == {f"127.0.0.1:{redis.port}"}
    assert said(f"redis://:s3cret@localhost:{redis.port}/2") == {f"localhost:{redis.port}/2"}


def test_the_log_says_which_socket(redis, start_coordinator):
    coordinator = start_coordinator(REDIS_URL=redis.unix_url, LOG_LEVEL="debug")
    assert {line["redis"] for line in coordinator.log_lines() if "redis" in line} == {str(redis.socket)}
