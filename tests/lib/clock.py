"""A wall clock that tests move, for the processes that are started with it; see clock.c."""

import contextlib
import mmap
import struct
import time

import preloaded


class Clock:
    """An offset and a moment in a file. For processes that are started with environment(), the wall clock is moved by the offset,
    or stands still at the moment."""

    def __init__(self, path):
        self._path = path
        path.write_bytes(struct.pack("=qq", 0, 0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 16)
        self._library = preloaded.build("clock")

    def environment(self):
        return {"LD_PRELOAD": str(self._library), "CLOCK_OFFSET_FILE": str(self._path)}

    @property
    def offset_ms(self):
        return struct.unpack("=q", self._map[:8])[0]

    @offset_ms.setter
    def offset_ms(self, value):
        self._map[:8] = struct.pack("=q", value)

    def now_ms(self):
        """The present time by this clock, unless it stands still."""
        return time.time_ns() // 1_000_000 + self.offset_ms

    def advance(self, seconds):
        self.offset_ms += round(seconds * 1000)

    def move_to(self, moment_ms):
        """Makes the present the given moment, in ms since 1970."""
        self.offset_ms += round(moment_ms) - self.now_ms()

    def stop_at(self, moment_ms):
        """Stops the clock at a moment, in ms since 1970; 0 lets it go on."""
        self._map[8:16] = struct.pack("=q", round(moment_ms))

    @contextlib.contextmanager
    def standing_at(self, moment_ms):
        """During the block the clock stands at a moment, however long the block takes; it goes on from there."""
        self.stop_at(moment_ms)
        yield
        self.move_to(moment_ms)
        self.stop_at(0)
