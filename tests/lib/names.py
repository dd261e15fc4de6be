"""Lets a test decide how names resolve, and notes every connection that a coordinator makes; see names.c."""

import preloaded


class Names:
    """Names and connections of coordinators that are started with start_coordinator(redis, **names.settings())."""

    def __init__(self, directory):
        self._script = directory / "names"
        self._log = directory / "names.log"
        self._lines = {}
        self._script.write_text("")
        self._log.write_text("")

    def settings(self):
        return {"LD_PRELOAD": preloaded.build("names"), "NAMES_FILE": self._script, "NAMES_LOG": self._log}

    def resolve(self, name, *answers):
        """Sets the answers to look-ups of a name: "8.8.8.8,::1", "none", "slow:500:8.8.8.8". The last one is repeated."""
        self._lines[name] = f"{name} {' '.join(answers)}\n"
        self._write()

    def lead(self, address, port):
        """Makes connections to the address, at any port, go to that port of this machine."""
        self._lines[address] = f"{address}>{port}\n"
        self._write()

    def _write(self):
        part = self._script.with_suffix(".new")
        part.write_text("".join(self._lines.values()))
        part.rename(self._script)

    @property
    def connections(self):
        """(address, port) of every connection that was tried, including those to Redis."""
        lines = (line.split() for line in self._log.read_text().splitlines())
        return [(address, int(port)) for address, port in lines]
