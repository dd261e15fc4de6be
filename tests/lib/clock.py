"""The movable wall clock: builds clock.c, and moves the clock of the processes that were started under it."""

import mmap
import struct
import subprocess
import time

import project

SOURCE = project.ROOT / "tests" / "lib" / "clock.c"
LIBRARY = project.TEST_BUILD / "clock.so"


def build_library():
    """Compiles the preloaded library when it is missing or older than its source; returns its path."""
    if not LIBRARY.exists() or LIBRARY.stat().st_mtime < SOURCE.stat().st_mtime:
        LIBRARY.parent.mkdir(parents=True, exist_ok=True)
        part = LIBRARY.with_suffix(f".{time.monotonic_ns()}")
        subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-o", str(part), str(SOURCE)],
                       check=True)
        part.rename(LIBRARY)
    return LIBRARY


class Clock:
    """An offset and a moment in a file; the processes started with environment() all see their wall clock moved by the one, or standing
    still at the other."""

    def __init__(self, path):
        self._path = path
        path.write_bytes(struct.pack("=qq", 0, 0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 16)
        build_library()

    def environment(self):
        return {"LD_PRELOAD": str(LIBRARY), "CLOCK_OFFSET_FILE": str(self._path)}

    @property
    def offset_ms(self):
        return struct.unpack("=q", self._map[:8])[0]

    @offset_ms.setter
    def offset_ms(self, value):
        self._map[:8] = struct.pack("=q", value)

    def now_ms(self):
        """What the processes under this clock take for the present."""
        return time.time_ns() // 1_000_000 + self.offset_ms

    def advance(self, seconds):
        self.offset_ms += round(seconds * 1000)

    def move_to(self, moment_ms):
        """Makes the present the given moment, in ms since 1970."""
        self.offset_ms += round(moment_ms) - self.now_ms()

    def stop_at(self, moment_ms):
        """From now on it is the given moment, in ms since 1970, until it is stopped at another one."""
        self._map[8:16] = struct.pack("=q", round(moment_ms))
