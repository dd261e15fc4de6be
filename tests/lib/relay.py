"""A relay to a server that can be cut: data is then lost, without an error."""

import contextlib
import selectors
import socket
import threading


class Relay:
    """Listens on a port of 127.0.0.1, and passes each connection on to the port that where() returns when it begins."""

    def __init__(self, where):
        self._where = where
        self._selector = selectors.DefaultSelector()
        self._pairs = {}
        self.is_cut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self):
        self.is_cut = True

    def heal(self):
        """Ends the cut. Both ends have given up the earlier connections by now."""
        self.is_cut = False

    def close(self):
        self._over.set()
        self._thread.join(5)
        for each in [*self._pairs, self._listener]:
            each.close()

    def _run(self):
        while not self._over.is_set():
            for key, _ in self._selector.select(timeout=0.05):
                if self.is_cut:
                    self._over.wait(0.01)
                elif key.fileobj is self._listener:
                    self._accept()
                else:
                    self._pass(key.fileobj)

    def _accept(self):
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._where()), timeout=1)
        except (OSError, AssertionError):
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass(self, one):
        if one not in self._pairs:
            return
        with contextlib.suppress(OSError):
            piece = one.recv(65536)
            if piece:
                self._pairs[one].sendall(piece)
                return
        for each in (self._pairs[one], one):
            self._selector.unregister(each)
            del self._pairs[each]
            each.close()
