"""The commands that Redis gets, for tests of what an operation costs."""

import threading

END = "ECHO the-end-of-these-commands"


class Commands:
    """What Redis is told while the block runs: each command, and the connection from which it came."""

    def __init__(self, redis):
        self._redis = redis
        self.lines, self.clients = [], []

    def __enter__(self):
        self._monitor = self._redis.client.monitor()
        self._monitor.__enter__()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def sweeps(self):
        """How many sweeps there were: each coordinator sweeps once a second. So they measure time, also on a busy machine."""
        return sum(line.startswith("EVALSHA") and " {rma}:alive " in line for line in self.lines)

    def _read(self):
        while (told := self._monitor.next_command())["command"] != END:
            self.lines.append(told["command"])
            self.clients.append((told["client_address"], told["client_port"]))

    def __exit__(self, *_):
        self._redis.client.execute_command(*END.split())
        self._thread.join(timeout=10)
        self._monitor.__exit__(None, None, None)
