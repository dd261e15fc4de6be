"""A program on a pseudo-terminal: a test reads what it shows, and types."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading

from waiting import wait_until

COLOURS = re.compile(r"\x1b\[\d*m")


class Terminal:
    def __init__(self, command, columns=100, rows=30, **more):
        self._master, slave = pty.openpty()
        self._set_size(slave, columns, rows)
        self._read = b""
        self.modes_before = termios.tcgetattr(slave)
        self._slave = slave  # kept open, to read its modes at the end

        def own_it():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, preexec_fn=own_it, **more)
        self._thread = threading.Thread(target=self._read_all, daemon=True)
        self._thread.start()

    @staticmethod
    def _set_size(descriptor, columns, rows):
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        self._set_size(self._master, columns, rows)

    def _read_all(self):
        with contextlib.suppress(OSError):
            while piece := os.read(self._master, 65536):
                self._read += piece

    def type(self, text):
        os.write(self._master, text.encode())

    def modes(self):
        return termios.tcgetattr(self._slave)

    @property
    def output(self):
        """All output so far. Lines end in a newline only."""
        return self._read.decode().replace("\r\n", "\n")

    @property
    def shown(self):
        """The output without colours."""
        return COLOURS.sub("", self.output)

    @property
    def screen(self):
        """The last whole frame of a program that draws screens, without colours."""
        frames = self.shown.split("\x1b[H")
        whole = [frame for frame in frames[1:] if "\x1b[J" in frame]
        return whole[-1].replace("\x1b[K", "") if whole else ""

    def wait_for_end(self, within=20.0):
        """Waits for the program to end and for all that it wrote; returns its exit code."""
        code = self.process.wait(timeout=within)
        marker = b"\x00end\x00"
        os.write(self._slave, marker)
        wait_until(lambda: marker in self._read, what="the terminal has shown everything")
        self._read = self._read.partition(marker)[0]
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._slave)
        self._thread.join(timeout=5)
        os.close(self._master)
