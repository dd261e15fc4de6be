"""Builds the C libraries that tests preload into processes (LD_PRELOAD)."""

import subprocess
import time

import project


def build(name):
    """Compiles tests/lib/NAME.c if its library is missing or older; returns the library's path."""
    source, library = project.ROOT / "tests" / "lib" / f"{name}.c", project.TEST_BUILD / f"{name}.so"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        library.parent.mkdir(parents=True, exist_ok=True)
        part = library.with_suffix(f".{time.monotonic_ns()}")
        subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-o", str(part), str(source)],
                       check=True)
        part.rename(library)
    return library
