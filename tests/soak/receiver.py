"""Where the fleet's workers take the requests that coordinators pass on: one server, which knows by the path who was meant."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = "workers.internal"  # of a machine: others can't reach what is told to be on loopback


class Receiver:
    """find(name) -> the machine. A dead one says nothing: its connection ends."""

    def __init__(self, find):
        self.reached = []  # names of the dead ones that were asked since take()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                name = self.path.split("/")[1]
                if not find(name).lives:
                    receiver.reached.append(name)
                    self.close_connection = True
                    return
                self.send_response_only(200)
                self.send_header("Content-Length", str(len(name)))
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.5}, daemon=True).start()

    def url(self, name):
        return f"http://{NAME}:{self.port}/{name}"

    def take(self):
        reached, self.reached = self.reached, []
        return reached

    def close(self):
        self._server.shutdown()
        self._server.server_close()
