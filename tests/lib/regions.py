"""Regions: network namespaces with an IPv6 network between them, whose links can be cut. Needs root and iproute2.

A thread in standing_in() opens its sockets in that region, and so do the processes and threads that it starts. Nothing leaves the
namespaces, since their network has no route out.
"""

import contextlib
import ctypes
import os
import subprocess

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PREFIX = "fd00:6:"


def why_not():
    """Returns why this machine can have no regions; None if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        name = f"rma-probe-{os.getpid()}"
        _ip("netns", "add", name)
        _ip("netns", "delete", name)
    except FileNotFoundError:
        return "ip is not there: install iproute2"
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.strip()}"
    return None


def _ip(*words, namespace=None):
    inside = ["-n", namespace] if namespace else []
    subprocess.run(["ip", *inside, *words], check=True, capture_output=True, text=True, timeout=20)


def _set_namespace(descriptor):
    if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Region:
    """A namespace with one address."""

    def __init__(self, name, number, hub):
        self.name = name
        self.address = f"{PREFIX}:{number}"
        self._namespace = f"rma-{os.getpid()}-{name}"
        self._hub = hub
        self._port = f"to-{name}"
        _ip("netns", "add", self._namespace)
        _ip("link", "set", "lo", "up", namespace=self._namespace)
        _ip("link", "add", self._port, "type", "veth", "peer", "name", "net", "netns", self._namespace, namespace=hub)
        _ip("link", "set", self._port, "master", "net", "up", namespace=hub)
        _ip("address", "add", f"{self.address}/64", "dev", "net", "nodad", namespace=self._namespace)
        _ip("link", "set", "net", "up", namespace=self._namespace)

    @contextlib.contextmanager
    def standing_in(self):
        """Puts the calling thread into this region during the block."""
        with open("/proc/thread-self/ns/net", "rb") as before, open(f"/var/run/netns/{self._namespace}", "rb") as here:
            _set_namespace(here.fileno())
            try:
                yield self
            finally:
                _set_namespace(before.fileno())

    def cut(self):
        """Cuts the region off: data to and from the other regions is lost, without an error."""
        _ip("link", "set", self._port, "nomaster", namespace=self._hub)

    def heal(self):
        _ip("link", "set", self._port, "master", "net", namespace=self._hub)

    def remove(self):
        subprocess.run(["ip", "netns", "delete", self._namespace], check=False, capture_output=True)


class Regions:
    """Regions that reach one another, by their names."""

    def __init__(self, *names):
        self._hub = f"rma-{os.getpid()}-hub"
        self._regions = []
        _ip("netns", "add", self._hub)
        _ip("link", "add", "net", "type", "bridge", "forward_delay", "0", namespace=self._hub)
        _ip("link", "set", "net", "up", namespace=self._hub)
        for number, name in enumerate(names, 1):
            self._regions.append(Region(name, number, self._hub))

    def __iter__(self):
        return iter(self._regions)

    def remove(self):
        for region in self._regions:
            region.remove()
        subprocess.run(["ip", "netns", "delete", self._hub], check=False, capture_output=True)
