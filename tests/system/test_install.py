"""make install, the man page and the systemd unit."""

import re
import shutil
import subprocess

import pytest

import project

PAGE = project.ROOT / "deploy" / "rma-coordinator.8"


def make(*arguments):
    result = subprocess.run(["make", "-s", "-C", str(project.ROOT), *arguments], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The directory that it was installed in, as PREFIX."""
    prefix = tmp_path_factory.mktemp("installed") / "usr"
    make("install", f"MODE={project.MODE}", f"PREFIX={prefix}")
    return prefix


def files(directory):
    return {str(path.relative_to(directory)): path.stat().st_mode & 0o777 for path in directory.rglob("*") if path.is_file()}


EXPECTED = {
    "bin/rma-coordinator": 0o755, "bin/rma-coordinator-backup": 0o755, "bin/rma-coordinator-restore": 0o755,
    "share/man/man8/rma-coordinator.8": 0o644, "lib/systemd/system/rma-coordinator.service": 0o644,
    "share/doc/rma-coordinator/README.md": 0o644, "share/doc/rma-coordinator/LICENSE": 0o644,
    "share/doc/rma-coordinator/redis.conf": 0o644,
    **{f"share/doc/rma-coordinator/docs/{page.name}": 0o644 for page in (project.ROOT / "docs").glob("*.md")}}


def test_a_packager_finds_everything_under_destdir_and_nothing_is_left_afterwards(directory):
    arguments = [f"MODE={project.MODE}", f"DESTDIR={directory}/root", "PREFIX=/opt/rma"]
    make("install", *arguments)
    assert files(directory / "root" / "opt" / "rma") == EXPECTED
    assert [path.name for path in (directory / "root").iterdir()] == ["opt"]
    unit = (directory / "root/opt/rma/lib/systemd/system/rma-coordinator.service").read_text()
    assert "\nExecStart=/opt/rma/bin/rma-coordinator\n" in unit and str(directory) not in unit
    make("uninstall", *arguments)
    assert files(directory / "root") == {}


def test_what_is_installed_runs(installed):
    assert files(installed) == EXPECTED
    version = subprocess.run([installed / "bin" / "rma-coordinator", "--version"], capture_output=True, text=True, timeout=10)
    assert version.returncode == 0 and version.stdout.startswith("rma-coordinator ")
    for script in ("backup", "restore"):
        usage = subprocess.run([installed / "bin" / f"rma-coordinator-{script}"], capture_output=True, text=True, timeout=10)
        assert usage.returncode == 1 and "usage" in usage.stderr


# -- the unit ----------------------------------------------------------------------------------------------------------------------


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60)


def test_systemd_understands_the_unit_and_takes_it_for_safe(installed):
    unit = installed / "lib/systemd/system/rma-coordinator.service"
    result = analyze("verify", "--man=no", unit)
    assert result.returncode == 0 and str(unit) not in result.stderr, result
    # 10 is without any protection, 1.1 with nearly all: it uses the network
    result = analyze("security", "--offline=true", "--threshold=15", unit)
    assert result.returncode == 0, result.stdout


def test_these_two_see_a_bad_unit(installed, directory):
    good = (installed / "lib/systemd/system/rma-coordinator.service").read_text()
    bad = directory / "rma-coordinator.service"
    bad.write_text(good.replace("ProtectHome=yes", "ProtectHouse=yes"))
    result = analyze("verify", "--man=no", bad)
    assert "ProtectHouse" in result.stderr
    bad.write_text(re.sub(r"^(Protect|Private|Restrict|System|Capability|Dynamic).*\n", "", good, flags=re.MULTILINE))
    assert analyze("security", "--offline=true", "--threshold=15", bad).returncode == 1


# -- the man page ------------------------------------------------------------------------------------------------------------------


def binary_help():
    return subprocess.run([project.BINARY, "--help"], capture_output=True, text=True, timeout=10, check=True).stdout


def items(text):
    """{flag: what the page says about it} of the settings on a man page."""
    section = text.partition(".Sh SETTINGS\n")[2].partition("\n.Sh ")[0]
    parts = re.split(r"^\.It Fl -(\S+) , Ev (\S+)$", section, flags=re.MULTILINE)
    return {(flag, name): " ".join(line for line in body.splitlines() if line) for flag, name, body
            in zip(parts[1::3], parts[2::3], parts[3::3])}


def differences(page):
    """What the binary's --help has and the page has not, or the other way round."""
    wrong = []
    settings = re.findall(r"^  --([a-z-]+) +([A-Z_]+)\n      (.*)$", binary_help(), flags=re.MULTILINE)
    described = items(page)
    wrong += [f"{flag}: not on the page" for flag, name, _ in settings if (flag, name) not in described]
    wrong += [f"{flag}: not a setting" for flag, name in described if (flag, name) not in {setting[:2] for setting in settings}]
    for flag, name, text in settings:
        default = re.search(r" \(([^()]*)\)$", text)
        words = re.sub(r"[.,;]?\s", " ", described.get((flag, name), "") + " ").replace("(", " ").replace(")", " ").split()
        if default and default[1] not in [word.strip(",.;") for word in words] and default[1] not in words:
            wrong.append(f"{flag}: the page does not tell the default {default[1]}")
    commands = re.findall(r"^  ([a-z]+)  +\w", binary_help().partition("Commands:\n")[2].partition("\n\n")[0] + "\n",
                          flags=re.MULTILINE)
    listed = re.findall(r"^\.It Cm ([a-z]+)", page, flags=re.MULTILINE)
    commands += re.findall(r"^  (import|check|export) ", binary_help(), flags=re.MULTILINE)
    return wrong + [f"{name}: a command on one side alone" for name in sorted(set(commands) ^ set(listed))]


def test_the_page_has_every_setting_and_command_of_the_binary_and_no_other():
    assert len(items(PAGE.read_text())) > 20
    assert differences(PAGE.read_text()) == []


@pytest.mark.parametrize(("old", "new", "wrong"), [
    (".It Fl -port , Ev PORT\n", ".It Fl -prot , Ev PROT\n", "port: not on the page"),
    ("(8080)", "(8000)", "port: the page does not"),
    (".It Fl -port , Ev PORT\n", ".It Fl -gone , Ev GONE\nx\n.It Fl -port , Ev PORT\n", "gone: not a setting"),
    (".It Cm status\n", "", "status: a command")])
def test_a_page_that_has_rotted_is_noticed(old, new, wrong):
    page = PAGE.read_text()
    assert old in page
    assert any(text.startswith(wrong) for text in differences(page.replace(old, new)))


def test_the_page_is_well_formed(directory):
    result = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(PAGE)], capture_output=True, text=True, timeout=30)
    assert result.returncode == 0 and result.stdout == "", result
    bad = directory / "bad.8"
    shutil.copy(PAGE, bad)
    bad.write_text(bad.read_text().replace(".Ed\n", "").replace(".El\n", "", 1))
    assert subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(bad)], capture_output=True, timeout=30).returncode != 0
