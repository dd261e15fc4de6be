"""Names that resolve as a test says, and every connection that a coordinator makes, noted: see names.c."""

import preloaded


class Names:
    """A coordinator that is started with these settings, start_coordinator(redis, **names.settings()), lives in this world of
    names."""

    def __init__(self, directory):
        self._script = directory / "names"
        self._log = directory / "names.log"
        self._lines = {}
        self._script.write_text("")
        self._log.write_text("")

    def settings(self):
        return {"LD_PRELOAD": preloaded.build("names"), "NAMES_FILE": self._script, "NAMES_LOG": self._log}

    def resolve(self, name, *answers):
        """What the look-ups of the name get, one after the other: "8.8.8.8,::1", "none", "slow:500:8.8.8.8"; the last one stays."""
        self._lines[name] = f"{name} {' '.join(answers)}\n"
        self._write()

    def lead(self, address, port):
        """Connections to the address, at any port, go to that port of this machine."""
        self._lines[address] = f"{address}>{port}\n"
        self._write()

    def _write(self):
        part = self._script.with_suffix(".new")
        part.write_text("".join(self._lines.values()))
        part.rename(self._script)

    def _noted(self, verb):
        words = (line.split() for line in self._log.read_text().splitlines())
        return [(what, int(port)) for noted, what, port in words if noted == verb]

    @property
    def connections(self):
        """(address, port) of every connection that was tried, Redis's among them."""
        return self._noted("connect")

    @property
    def lookups(self):
        """The names that were looked up, each time."""
        return [name for name, _ in self._noted("resolve")]
