"""Builds other versions of the coordinator: the one before format 1, and one with a future format."""

import contextlib
import fcntl
import os
import shutil
import subprocess

import project

# The last commit before the data in Redis had a format number.
BEFORE_FORMAT_1 = "2f4d69478f0942bda63ff2c0a7ab1732e0efeeab"


def git(*arguments, **options):
    return subprocess.run(["git", "-C", str(project.ROOT), *arguments], check=True, capture_output=True, **options).stdout


def existing(name):
    with contextlib.suppress(subprocess.CalledProcessError):
        return git("rev-parse", "--verify", "--quiet", name + "^{commit}", text=True).strip()
    return None


def commit_before():
    """Returns BEFORE_FORMAT_1; if this clone does not have it, the commit before the one that added the format; if it does not have
    that one either, the commit that added the format, as far as its history shows."""
    named = existing(BEFORE_FORMAT_1)
    if named:
        return named
    began, *_ = git("log", "--reverse", "--format=%H", "-S", "define KEYS_FORMAT ", "--", "src/redis/keys.h", text=True).split()
    return existing(began + "^") or began


@contextlib.contextmanager
def alone(directory):
    """Lets one test process at a time build in the directory. The next ones find the build."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def compiler():
    return "ccache gcc" if shutil.which("ccache") else "gcc"


def build_before():
    """Builds the version before format 1, once; returns the path of the program. Without optimization this takes only seconds."""
    commit = commit_before()
    directory = project.ROOT / "build" / "before" / commit
    binary = directory / "build" / "release" / "rma-coordinator"
    with alone(directory):
        if not binary.exists():
            subprocess.run(["tar", "-x", "-C", str(directory)], input=git("archive", commit, "Makefile", "src", "lua"), check=True)
            unpacked = project.ROOT / "build" / "node-llhttp"  # exists if Debian's package is not installed
            if unpacked.exists() and not (directory / "build" / "node-llhttp").exists():
                (directory / "build").mkdir(exist_ok=True)
                (directory / "build" / "node-llhttp").symlink_to(unpacked)
            made = subprocess.run(["make", "-s", f"-j{os.cpu_count()}", "MODE=release", f"CC={compiler()}", "CFLAGS_release=-O0",
                                   "all"],
                                  cwd=directory, env={**os.environ, "MAKEFLAGS": "", "MAKELEVEL": "0"}, capture_output=True,
                                  text=True)
            assert made.returncode == 0 and binary.exists(), made.stderr[-2000:]
    return binary


def build_newer(format_number, beside):
    """Builds this version with another format. Coordinators of format `beside` and later may serve beside it."""
    directory = project.BUILD / "tests" / f"format-{format_number}-{beside}"
    binary = directory / "rma-coordinator"
    show = "show:;@echo '$(CC)|$(CPPFLAGS) $(CFLAGS)|$(LDFLAGS)|$(LDLIBS)|$(BUILD)/main.o $(OBJECTS)'"
    with alone(directory):
        if binary.exists() and binary.stat().st_mtime > project.BINARY.stat().st_mtime:
            return binary
        shown = subprocess.run(["make", "-s", f"MODE={project.MODE}", f"--eval={show}", "show"], cwd=project.ROOT, check=True,
                               env={**os.environ, "MAKEFLAGS": "", "MAKELEVEL": "0"}, capture_output=True, text=True).stdout
        command, flags, link_flags, libraries, objects = (words.split() for words in shown.strip().split("|"))
        formats = [f"-DKEYS_FORMAT={format_number}", f"-DKEYS_FORMAT_BESIDE={beside}"]
        for source in (project.ROOT / "src").rglob("*.c"):
            if "KEYS_FORMAT" in source.read_text():
                made = directory / f"{source.stem}.o"
                subprocess.run([*command, *flags, *formats, "-c", "-o", str(made), str(source)], cwd=project.ROOT, check=True)
                of_ours = str((project.BUILD
                               / source.relative_to(project.ROOT / "src")).relative_to(project.ROOT).with_suffix(".o"))
                objects[objects.index(of_ours)] = str(made)
        subprocess.run([*command, *link_flags, "-o", str(binary), *objects, *libraries], cwd=project.ROOT, check=True)
    return binary
