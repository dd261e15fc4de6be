"""What the tests of one file share if they are about passing on requests: a Redis, coordinators and workers. Each case has a
service of its own, so no test sees another test's workers."""

import http.client
import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor

from names import Names
from waiting import PATIENCE

SERVICES = 230
ALLOWED = "127.0.0.0/8,::1"


def of_all(run, table, at_once=24):
    """Calls run(name, case) for all cases of a table, many at once. Fails with a list of the cases that failed."""
    with ThreadPoolExecutor(at_once) as threads:
        done = [(name, threads.submit(run, name, case)) for name, case in table.items()]
    wrong = [f"{name}: {work.exception()!r}" for name, work in done if work.exception()]
    assert not wrong, "\n".join(wrong)


class Outcome:
    """What a client got, whole or not."""

    def __init__(self, port, method, target, body=None, headers=None, timeout=PATIENCE):
        self.status, self.headers, self.body = None, {}, b""
        self.is_whole, self.trouble = False, None
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        try:
            connection.request(method, target, body, {"Connection": "close", **(headers or {})})
            answer = connection.getresponse()
            self.status, self.headers = answer.status, answer.headers
            self.body = answer.read()
            self.is_whole = True
        except http.client.IncompleteRead as error:
            self.body, self.trouble = error.partial, error
        except (OSError, http.client.HTTPException) as error:
            self.trouble = error
        finally:
            connection.close()
        self.seconds = time.monotonic() - started

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        whole = "" if self.is_whole else f", not whole: {self.trouble!r}"
        return f"<{self.status} {self.body[:200]!r} after {self.seconds:.3f} s{whole}>"


class Stage:
    def __init__(self, directory, redis, make_coordinator, peers):
        self.directory, self.redis, self.peers = directory, redis, peers
        self.names = Names(directory)
        self.coordinators = []
        self._make = make_coordinator
        self._numbers = itertools.count()
        self._ids = itertools.count()

    def start(self, services=(), members=None, **settings):
        """Starts a coordinator. Its catalogue has these services, and those that service() returns, to which `members` are added.
        By default it allows workers on loopback."""
        catalogue = self.directory / f"catalogue-{len(self.coordinators)}.json"
        numbered = [{"name": f"case-{number}", "tier": 2, "image": "x", "port": 9, **(members or {})} for number in range(SERVICES)]
        catalogue.write_text(json.dumps({"services": [*services, *numbered]}))
        settings = {"SERVICE_CATALOG": catalogue, "UPSTREAM_ALLOW": ALLOWED, **settings}
        self.coordinators.append(self._make(self.redis, **settings).start().wait_until_ready())
        return self.coordinators[-1]

    def service(self, *peers, name=None):
        """Returns the name of a service that only these workers provide. They are peers of Peers.start(), or URLs."""
        service = name or f"case-{next(self._numbers)}"
        for peer in peers:
            self.register(service, peer)
        return service

    def register(self, service, peer, **members):
        """Registers the peer, or the URL, as a worker that provides the service; returns its id."""
        worker_id = f"{service}-{next(self._ids)}"
        url = peer if isinstance(peer, str) else peer.url
        self.coordinators[0].register(worker_id, services=[{"name": service, "service_url": url}], **members)
        return worker_id

    def ask(self, method, target, body=None, headers=None, coordinator=None, **more):
        """Sends a request; returns its Outcome."""
        return Outcome((coordinator or self.coordinators[0]).port, method, target, body, headers, **more)
