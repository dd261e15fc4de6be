"""Containers, started and asked with the docker command."""

import json
import subprocess
import uuid

from waiting import wait_until


def docker(*arguments, check=True, **more):
    """Runs a docker command; returns its stdout."""
    result = subprocess.run(["docker", *map(str, arguments)], capture_output=True, text=True, timeout=120, **more)
    assert not check or result.returncode == 0, result
    return result.stdout.strip()


def run_once(image, *command, options=(), network="none"):
    """Runs a container to its end; returns its exit code and its output."""
    result = subprocess.run(["docker", "run", "--rm", "--network", network, *map(str, options), image, *map(str, command)],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    return result.returncode, result.stdout


class Container:
    """A container, by its name."""

    def __init__(self, name):
        self.name = name

    @classmethod
    def start(cls, image, *command, options=()):
        name = f"rma-test-{uuid.uuid4().hex[:12]}"
        docker("run", "-d", "--name", name, *options, image, *command)
        return cls(name)

    def inspect(self):
        return json.loads(docker("inspect", self.name))[0]

    def state(self):
        return self.inspect()["State"]

    def health(self):
        return self.state().get("Health", {}).get("Status")

    def wait_until_healthy(self, within=40):
        wait_until(lambda: self.health() == "healthy", within=within, what=f"{self.name} is healthy", every=0.2)
        return self

    def published(self, port):
        """Returns the loopback port of this machine that leads to a port of the container."""
        return int(self.inspect()["NetworkSettings"]["Ports"][f"{port}/tcp"][0]["HostPort"])

    def execute(self, *command, check=True):
        return docker("exec", self.name, *command, check=check)

    def logs(self):
        result = subprocess.run(["docker", "logs", self.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                timeout=60)
        return result.stdout

    def stop(self):
        """Asks it to end; returns its exit code."""
        docker("stop", "-t", "20", self.name)
        return self.state()["ExitCode"]

    def remove(self):
        docker("rm", "-f", "-v", self.name)
