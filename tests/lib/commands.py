"""The commands that Redis gets, for tests of what an operation costs."""

import threading


class Commands:
    """What Redis is told while the block runs."""

    def __init__(self, redis):
        self._redis = redis
        self.lines = []

    def __enter__(self):
        self._ended = threading.Event()
        self._monitor = self._redis.client.monitor()
        self._monitor.__enter__()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def _read(self):
        while not self._ended.is_set():
            self.lines.append(self._monitor.next_command()["command"])

    def __exit__(self, *_):
        self._ended.set()
        self._redis.client.ping()  # one more line, which ends the reading
        self._thread.join(timeout=10)
        self._monitor.__exit__(None, None, None)
