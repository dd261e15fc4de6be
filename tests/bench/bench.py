#!/usr/bin/python3
"""The figures of the coordinator, measured here and now: the real binary, a real redis-server with an append-only file.

    tests/bench/bench.py [--quick] [--only FIGURE]… [--million] [--million-tasks] [--binary PATH] [--json PATH]

Prints a table and writes build/bench.json. Fails when a target is missed. Needs wrk, redis-benchmark, curl, nginx, python3-redis
and build/release/tests/bench/tasks, and for yardsticks beanstalkd, and node with the packages of tests/bench/peer. --million
measures a fleet of 1,000,000 workers alone, which takes ten minutes; --million-tasks also queues 1,000,000 tasks. A figure is one
function, which takes the measuring plan and adds rows to it; each starts its own Redis and coordinator.
"""
import argparse
import base64
import contextlib
import functools
import http.client
import itertools
import json
import operator
import os
import re
import resource
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

import redis

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

import coordinator as tested  # noqa: E402
import credentials  # noqa: E402
import fly_proxy  # noqa: E402
import project  # noqa: E402

TICK = 1e6 / os.sysconf("SC_CLK_TCK")  # microseconds
FLEET = 1000
CONNECTIONS = 64
HOST = "127.0.0.1"
TASKS, PACED = (os.path.join(ROOT, "build/release/tests/bench", name) for name in ("tasks", "paced"))


# --- what is measured: processes


def busy_cores():
    """How many cores other programs keep busy just now."""

    def used():
        with open("/proc/stat", encoding="ascii") as stat:
            fields = [int(field) for field in stat.readline().split()[1:9]]
        return sum(fields) - fields[3] - fields[4]

    before = used()
    time.sleep(1)
    return (used() - before) * TICK / 1e6


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def wait_until(condition, what, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"{what} did not come up in {seconds} s")
        time.sleep(0.001)


class Process:
    """A child, with what the kernel knows of it."""

    failed = False  # whether one did not end well

    def __init__(self, command, environment=None):
        self.name = os.path.basename(command[0])
        self.child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        self.pid = self.child.pid

    def cpu(self):
        """Microseconds of CPU used so far."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK

    def resident(self):
        """Bytes."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
        if self.child.wait() != 0:
            print(f"{self.name} ended with {self.child.returncode} when told to stop", file=sys.stderr)
            Process.failed = True


class Server(Process):
    """A redis-server of our own: append-only file, unix socket and loopback port."""

    def __init__(self, folder):
        self.socket = os.path.join(folder, "redis.sock")
        super().__init__(
            ["redis-server", "--bind", HOST, "--port", str(free_port()), "--unixsocket", self.socket, "--dir", folder]
            + ["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--hash-max-listpack-value", "1024"]
            + ["--maxmemory-policy", "noeviction", "--loglevel", "warning"]
        )
        self.client = redis.Redis(unix_socket_path=self.socket)
        wait_until(self.answers, "redis-server")

    def answers(self):
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def memory(self):
        """Bytes that the data take, without the buffers of connections and of the append-only file."""
        info = self.client.info("memory")
        return info["used_memory"] - info["mem_clients_normal"] - info["mem_aof_buffer"]


class Coordinator(Process):
    """One coordinator, one thread."""

    def __init__(self, plan, server, **settings):
        self.port = free_port()
        self.started = time.monotonic()
        environment = {"PATH": os.environ["PATH"], "HOST": HOST, "PORT": str(self.port), "THREADS": "1", "LOG_LEVEL": "warn",
                       "REGISTRATIONS_PER_MINUTE": "0"}
        super().__init__([plan.binary], environment | {"REDIS_URL": "unix://" + server.socket} | settings)

    def ready(self):
        return status_of(self.port, "/health") == 200

    def url(self, path):
        return f"http://{HOST}:{self.port}{path}"


@contextlib.contextmanager
def stage(plan, workers=0, **settings):
    """A fresh Redis and a coordinator with that many registered workers, and settings of its own."""
    folder = tempfile.mkdtemp(prefix="rma-bench-")
    server = coordinator = None
    try:
        server = Server(folder)
        coordinator = Coordinator(plan, server, **settings)
        wait_until(coordinator.ready, "the coordinator")
        register(coordinator, 0, workers)
        yield server, coordinator
    finally:
        for process in (coordinator, server):
            if process:
                process.stop()
        shutil.rmtree(folder)


# --- what measures: clients


def request_bytes(method, path, body=None):
    text = b"" if body is None else json.dumps(body).encode()
    kind = "" if body is None else "Content-Type: application/json\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{kind}Content-Length: {len(text)}\r\n\r\n".encode() + text


def read_answer(connection):
    """The status of one answer, which has a Content-Length."""
    data = b""
    while True:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError("closed before the answer")
        data += part
        head, end, body = data.partition(b"\r\n\r\n")
        if end and len(body) >= int(re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)[1]):
            return int(head.split(b" ", 2)[1])


def connect(port):
    connection = socket.create_connection((HOST, port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def status_of(port, path):
    """The status of one GET; 0 when nobody answers."""
    try:
        with connect(port) as connection:
            connection.sendall(request_bytes("GET", path))
            return read_answer(connection)
    except OSError:
        return 0


def ask_all(port, requests, connections=32):
    """Sends the requests over that many connections, one at a time on each; each must be answered 200."""
    pool = [connect(port) for _ in range(connections)]
    try:
        for first in range(0, len(requests), connections):
            busy = list(zip(pool, requests[first : first + connections]))
            for connection, request in busy:
                connection.sendall(request)
            for connection, request in busy:
                status = read_answer(connection)
                if status != 200:
                    sys.exit(f"{status} for {request!r}")
    finally:
        for connection in pool:
            connection.close()


def worker_id(number):
    return f"bench-{number:012d}"


def registration(number):
    """What an agent in the field sends, with 400 bytes of capabilities."""
    capabilities = {"cpu_cores": 8, "ram": "15.6GB", "storage": "466.0GB", "gpu_type": "NVIDIA GeForce RTX 4090"}
    capabilities |= {"gpu_memory": "24564 MiB", "gpu_driver": "535.129.03", "containerized": True, "note": ""}
    capabilities["worker_type"] = ["gpu", "cpu", "storage", "edge"][number % 4]
    capabilities["note"] = "x" * (400 - len(json.dumps(capabilities, separators=(",", ":"))))
    tunnel = f"https://bench-{number:06d}.trycloudflare.com"
    return {"worker_id": worker_id(number), "tunnel_url": tunnel, "vpn_ip": None, "capabilities": capabilities}


def register(coordinator, first, last):
    for start in range(first, last, 10000):
        numbers = range(start, min(last, start + 10000))
        ask_all(coordinator.port, [request_bytes("POST", "/api/worker/register", registration(n)) for n in numbers])


def beat(coordinator, count):
    beats = [{"worker_id": worker_id(n), "current_load": 0.24, "available_memory": "9.8GB"} for n in range(count)]
    ask_all(coordinator.port, [request_bytes("POST", "/api/worker/heartbeat", body) for body in beats])


def wrk(coordinator, script, path, seconds, connections=CONNECTIONS, headers=(), workers=FLEET, more=(), may_fail=False):
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--latency", "-s", script]
    for header in headers:
        command += ["-H", header]
    command += [coordinator.url(path), "--", str(workers), *more]
    output = subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True).stdout
    result = json.loads(output.strip().splitlines()[-1])
    if result["errors"] and not may_fail:
        sys.exit(f"wrk {script}: {result['errors']} of {result['requests']} requests failed")
    return result


def command_of(server, coordinator, request, word):
    """The script call, with `word` among its arguments, that the coordinator sends to Redis for a request."""
    command = None
    with server.client.monitor() as monitor:
        thread = threading.Thread(target=ask_all, args=(coordinator.port, [request], 1))
        thread.start()
        while command is None:
            line = monitor.connection.read_response().decode()
            words = [each.encode().decode("unicode_escape") for each in re.findall(r'"((?:[^"\\]|\\.)*)"', line)]
            if words and words[0].upper() == "EVALSHA" and word in words:
                command = words
        thread.join()
    return command


def heartbeat_command(server, coordinator):
    """The very command that the coordinator sends to Redis for one heartbeat, for any of the workers."""
    command = command_of(server, coordinator, beat_request(7), worker_id(7))
    if server.client.execute_command(*command)[0] != b"1":
        sys.exit("the heartbeat that the coordinator sends is not taken a second time")
    return [word.replace(worker_id(7), "bench-__rand_int__") for word in command]


def beat_body(number):
    body = {"worker_id": worker_id(number), "status": "healthy", "current_load": 0.24, "available_memory": "9.8GB"}
    body |= {"active_requests": 2, "gpu_utilization": 65.3, "loaded_models": ["llama3.2"]}
    return body | {"services_status": {"rag": "running"}, "specialization": "rag"}


def beat_request(number):
    return request_bytes("POST", "/api/worker/heartbeat", beat_body(number))


def redis_benchmark(server, command, count):
    """Commands a second: 50 connections, no pipelining."""
    call = ["redis-benchmark", "-s", server.socket, "-c", "50", "-P", "1", "-n", str(count), "-r", str(FLEET), "-q"]
    server.client.config_resetstat()
    output = subprocess.run(call + command, check=True, capture_output=True, text=True).stdout
    calls = server.client.info("commandstats")["cmdstat_evalsha"]
    if calls["failed_calls"] or calls["rejected_calls"] or calls["calls"] < count:
        sys.exit(f"redis-benchmark: {calls}")
    return float(re.findall(r"([\d.]+) requests per second", output)[-1])


class Peer(Process):
    """The service of tests/bench/peer, on the Redis of the stage."""

    def __init__(self, server):
        self.port = free_port()
        super().__init__(["node", os.path.join(HERE, "peer", "server.js"), str(self.port), server.socket])
        wait_until(lambda: status_of(self.port, "/") == 404, "the peer")

    def url(self, path):
        return f"http://{HOST}:{self.port}{path}"


def naive_command(server, workers):
    """The call of naive.lua for any of the workers, who are made known to it."""
    pipeline = server.client.pipeline(transaction=False)
    for number in range(workers):
        pipeline.hset(f"naive:worker:{worker_id(number)}",
                      mapping={"status": "healthy", "current_load": "0", "last_heartbeat": "0"})
    pipeline.execute()
    digest = server.client.script_load(Path(HERE, "naive.lua").read_text(encoding="utf-8"))
    anyone = "bench-__rand_int__"
    return ["EVALSHA", digest, "3", f"naive:worker:{anyone}", f"naive:online:{anyone}", "naive:index", anyone, "healthy", "0.24"]


def has_peer():
    return shutil.which("node") is not None and os.path.isdir(os.path.join(HERE, "peer", "node_modules"))


# --- the figures


def heartbeats(plan):
    """Heartbeats a second beside what redis-benchmark gets out of a naive script, beside a service of Node.js with that script,
    beside what redis-benchmark gets out of the same script, and beside a constant answer."""
    rounds, seconds = (3, 2) if plan.quick else (5, 3)
    rates, costs, yardsticks, constants, p99s, redis_costs, naives, peers = [], [], [], [], [], [], [], []
    with stage(plan, FLEET) as (server, coordinator), contextlib.ExitStack() as ends:
        command, naive = heartbeat_command(server, coordinator), naive_command(server, FLEET)
        peer = Peer(server) if has_peer() else None
        if peer:
            ends.callback(peer.stop)
        count = int(redis_benchmark(server, command, 20000) * seconds)
        for _ in range(rounds):
            before = coordinator.cpu(), server.cpu()
            result = wrk(coordinator, "heartbeat.lua", "/", seconds)
            after = coordinator.cpu(), server.cpu()
            rates.append(result["requests"] / result["seconds"])
            p99s.append(result["p99"] / 1000)
            costs.append((after[0] - before[0]) / result["requests"])
            redis_costs.append((after[1] - before[1]) / result["requests"])
            yardsticks.append(redis_benchmark(server, command, count))
            naives.append(redis_benchmark(server, naive, count))
            if peer:
                result = wrk(peer, "heartbeat.lua", "/", seconds)
                peers.append(result["requests"] / result["seconds"])
            constant = wrk(coordinator, "done.lua", "/livez", seconds)  # GETs, since no request is made by the script
            constants.append(constant["requests"] / constant["seconds"])
    rate, yardstick, constant = map(statistics.median, (rates, yardsticks, constants))
    # each round beside its own yardstick, so that what else the machine does weighs on both

    def against(others):
        return statistics.median(one / other for one, other in zip(rates, others))

    plan.add("  heartbeats/s, one thread, 64 connections", rate, "1/s")
    plan.add("  redis-benchmark, a naive script, -c 50 -P 1", statistics.median(naives), "1/s")
    plan.add("heartbeats / redis-benchmark with the naive script", against(naives), "", least=1.0)
    if peers:
        plan.add("  Node.js: fastify, ioredis, the naive script", statistics.median(peers), "1/s")
        plan.add("heartbeats / Node.js", against(peers), "", least=2.0)
    else:
        plan.add("  Node.js: not measured, for want of tests/bench/peer/node_modules", 0, "")
    plan.add("  redis-benchmark, the same script, -c 50 -P 1", yardstick, "1/s")
    plan.add("heartbeats / redis-benchmark with the same script", against(yardsticks), "", least=0.9)
    plan.add("  the same server's constant answer (GET /livez)", constant, "1/s")
    plan.add("  heartbeats / constant answers", rate / constant, "")
    plan.add("heartbeat latency, p99", statistics.median(p99s), "ms", most=5)
    plan.add("CPU of the coordinator for a heartbeat", statistics.median(costs), "µs", most=6.5)
    plan.add("CPU of Redis for a heartbeat", statistics.median(redis_costs), "µs", most=10)


def million(plan):
    """A fleet of 1,000,000 workers, who need 33,333 heartbeats a second, also while Redis rewrites its append-only file."""
    workers, seconds = 1_000_000, 20
    with stage(plan) as (server, coordinator):
        base, started = server.memory(), time.monotonic()
        register(coordinator, 0, workers)
        plan.add("  registrations/s of a million workers", workers / (time.monotonic() - started), "1/s")
        wait_until(lambda: not server.client.info("persistence")["aof_rewrite_in_progress"], "the append-only file", 600)
        server.client.config_set("auto-aof-rewrite-percentage", 0)
        for name in ("heartbeats", "heartbeats while the append-only file is rewritten"):
            if "rewritten" in name:
                server.client.bgrewriteaof()
            before = coordinator.cpu(), server.cpu()
            result = wrk(coordinator, "heartbeat.lua", "/", seconds, workers=workers)
            after = coordinator.cpu(), server.cpu()
            count, usual = result["requests"], name == "heartbeats"
            plan.add(f"{'' if usual else '  '}{name}/s", count / result["seconds"], "1/s", **({"least": 33_400} if usual else {}))
            plan.add(f"{'' if usual else '  '}p99 of them", result["p99"] / 1000, "ms", **({"most": 20} if usual else {}))
            plan.add("  CPU of the coordinator for each", (after[0] - before[0]) / count, "µs")
            plan.add("  CPU of Redis for each", (after[1] - before[1]) / count, "µs")
        plan.add("Redis memory of the fleet", (server.memory() - base) / 2**30, "GiB", most=2)


def cpu_of(processes, work):
    """What work() returns, and the microseconds of CPU that the processes use meanwhile."""
    before = sum(process.cpu() for process in processes)
    result = work()
    return result, sum(process.cpu() for process in processes) - before


def bulk(plan):
    """Heartbeats in slices of a hundred, as a node agent sends them on a few connections, beside single ones on as many connections
    and beside what redis-benchmark gets out of the same script call."""
    rounds, seconds, slice_size, few = (3, 2, 100, 4) if plan.quick else (5, 3, 100, 4)
    costs, singles, many, rates, yardsticks = [], [], [], [], []
    with stage(plan, FLEET) as (server, coordinator):
        beats = {"heartbeats": [beat_body(number) for number in range(slice_size)]}
        command = command_of(server, coordinator, request_bytes("POST", "/api/worker/heartbeats", beats), worker_id(7))
        both = (server, coordinator)
        for _ in range(rounds):
            result, cpu = cpu_of(both, lambda: wrk(coordinator, "bulk.lua", "/", seconds, few))
            rates.append(result["requests"] * slice_size / result["seconds"])
            costs.append(cpu / result["requests"] / slice_size)
            result, cpu = cpu_of(both, lambda: wrk(coordinator, "heartbeat.lua", "/", seconds, few))
            singles.append(cpu / result["requests"])
            result, cpu = cpu_of(both, lambda: wrk(coordinator, "heartbeat.lua", "/", seconds))
            many.append(cpu / result["requests"])
            yardsticks.append(redis_benchmark(server, command, 2000 * seconds) * slice_size)
    plan.add("  bulk heartbeats/s, 100 in a request, 4 connections", statistics.median(rates), "1/s")
    plan.add("  redis-benchmark, the same script call", statistics.median(yardsticks), "1/s")
    plan.add("  bulk heartbeats / redis-benchmark", statistics.median(a / b for a, b in zip(rates, yardsticks)), "")
    plan.add("  CPU of coordinator and Redis for a heartbeat, in bulk", statistics.median(costs), "µs")
    plan.add("  the same, single ones on 4 connections", statistics.median(singles), "µs")
    plan.add("  the same, single ones on 64 connections", statistics.median(many), "µs")
    plan.add("single / bulk, 4 connections each", statistics.median(a / b for a, b in zip(singles, costs)), "", least=2)


def discovery(plan):
    """The best worker of a service with 10,000 of them beside a service with 10, and beside redis-benchmark with the same
    script."""
    rounds, seconds = (3, 2) if plan.quick else (5, 3)
    rates, yardsticks, few_costs, many_costs = [], [], [], []
    with stage(plan) as (server, coordinator):

        def provide(first, last, service):
            bodies = [registration(number) | {"services": [service]} for number in range(first, last)]
            ask_all(coordinator.port, [request_bytes("POST", "/api/worker/register", body) for body in bodies])

        provide(0, 10000, "many")
        provide(10000, 10010, "few")
        spread = [{"worker_id": worker_id(n), "current_load": n % 997 / 1000} for n in range(10010)]
        ask_all(coordinator.port, [request_bytes("POST", "/api/worker/heartbeat", body) for body in spread])
        command = command_of(server, coordinator, request_bytes("GET", "/api/worker/find/many"), "many")
        for _ in range(rounds):
            result, cpu = cpu_of((server,), lambda: wrk(coordinator, "done.lua", "/api/worker/find/many", seconds))
            rates.append(result["requests"] / result["seconds"])
            many_costs.append(cpu / result["requests"])
            result, cpu = cpu_of((server,), lambda: wrk(coordinator, "done.lua", "/api/worker/find/few", seconds))
            few_costs.append(cpu / result["requests"])
            yardsticks.append(redis_benchmark(server, command, 10000 * seconds))
    plan.add("  best of 10,000 workers, answers/s", statistics.median(rates), "1/s")
    plan.add("  redis-benchmark, the same script, -c 50 -P 1", statistics.median(yardsticks), "1/s")
    plan.add("  best of 10,000 / redis-benchmark", statistics.median(a / b for a, b in zip(rates, yardsticks)), "")
    plan.add("  CPU of Redis to find the best of 10", statistics.median(few_costs), "µs")
    plan.add("  CPU of Redis to find the best of 10,000", statistics.median(many_costs), "µs")
    plan.add("best of 10,000 / best of 10, CPU of Redis", statistics.median(a / b for a, b in zip(many_costs, few_costs)), "",
             most=1.5)


def memory(plan):
    """What a registered worker takes in Redis."""
    with stage(plan, 1) as (server, coordinator):  # one, so that what comes with the first is not counted
        time.sleep(0.2)
        base = server.memory()
        done = 1
        for count in (1000, 10000):
            register(coordinator, done, count)
            done = count
            time.sleep(0.2)
            plan.add(f"Redis memory of a worker, {count:,} registered", (server.memory() - base) / (count - 1), "B", most=2048)
        beat(coordinator, done)
        time.sleep(0.2)
        plan.add("  the same after a heartbeat of each", (server.memory() - base) / (done - 1), "B")


def resident(plan):
    """The coordinator's own memory after much work."""
    wanted, beats = (100_000 if plan.quick else 1_000_000), 0
    with stage(plan, FLEET) as (_, coordinator):
        plan.add("  resident size after start and 1,000 registrations", coordinator.resident() / 2**20, "MiB")
        while beats < wanted:
            beats += wrk(coordinator, "heartbeat.lua", "/", 3)["requests"]
        plan.add(f"resident size after {beats:,} heartbeats", coordinator.resident() / 2**20, "MiB", most=12)
        for _ in range(5):  # the first may leave little behind by chance
            ask_all(coordinator.port, [beat_request(n) for n in range(1000)], connections=1000)
        time.sleep(1)
        plan.add("resident size after 1,000 connections, five times", coordinator.resident() / 2**20, "MiB", most=12)


def open_stream(port):
    """A connection on which an event stream has begun."""
    connection = connect(port)
    connection.sendall(request_bytes("GET", "/api/events"))
    data = b""
    while b"event: stats" not in data:
        part = connection.recv(65536)
        if not part:
            sys.exit(f"no event stream: {data!r}")
        data += part
    connection.setblocking(False)
    return connection


def read_off(connections):
    """Takes what has come on them, so that none falls behind."""
    for connection in connections:
        with contextlib.suppress(BlockingIOError):
            while connection.recv(1 << 20):
                pass


def no_streams_left(port):
    with connect(port) as connection:
        connection.sendall(request_bytes("GET", "/metrics"))
        data = b""
        while b"rma_http_event_streams " not in data:
            data += connection.recv(65536)
        while not data.rpartition(b"rma_http_event_streams ")[2].partition(b"\n")[1]:
            data += connection.recv(65536)
    return float(data.rpartition(b"rma_http_event_streams ")[2].split()[0]) == 0


def streams(plan):
    """Thousands of open event streams: their memory, and heartbeats beside them and without them, by turns."""
    rounds, seconds, count = (3, 2, 5000) if plan.quick else (5, 3, 5000)
    alone, beside, p99s, taken = [], [], [], []
    with stage(plan, FLEET, MAX_CONNECTIONS="12000") as (_, coordinator):
        wrk(coordinator, "heartbeat.lua", "/", seconds)
        before = coordinator.resident()
        for _ in range(rounds):
            alone.append(wrk(coordinator, "heartbeat.lua", "/", seconds)["requests"] / seconds)
            opened = [open_stream(coordinator.port) for _ in range(count)]
            time.sleep(6)  # all of them have been told how the fleet is, and who has beaten
            read_off(opened)
            taken.append(coordinator.resident() - before)
            result = wrk(coordinator, "heartbeat.lua", "/", seconds)
            beside.append(result["requests"] / seconds)
            p99s.append(result["p99"] / 1000)
            for connection in opened:
                connection.close()
            wait_until(lambda: no_streams_left(coordinator.port), "the end of the streams", seconds=20)
    plan.add(f"memory of {count:,} idle event streams", max(taken) / 2**20, "MiB", most=100)
    plan.add("  heartbeats/s without them", statistics.median(alone), "1/s")
    plan.add("  heartbeats/s beside them", statistics.median(beside), "1/s")
    ratio = statistics.median(one / other for one, other in zip(beside, alone))
    plan.add("heartbeats beside them / without, median of the rounds", ratio, "", least=0.9)
    plan.add("  heartbeat latency beside them, p99", statistics.median(p99s), "ms")


def start(plan):
    """From exec to the first 200 of /health, on a Redis that runs already."""
    times = []
    with stage(plan, FLEET) as (server, _):
        for _ in range(3 if plan.quick else 10):
            coordinator = Coordinator(plan, server)
            wait_until(coordinator.ready, "the coordinator")
            times.append((time.monotonic() - coordinator.started) * 1000)
            coordinator.stop()
    plan.add("exec to the first 200 of /health, median", statistics.median(times), "ms", most=50)


def cold_start(plan):
    """What a stopped coordinator adds to the heartbeat that starts it, through a proxy like Fly's, on a Redis that runs already."""
    project.BINARY = Path(plan.binary)
    beat_once = beat_request(0)
    with stage(plan, FLEET) as (server, _), tempfile.TemporaryDirectory(prefix="rma-bench-") as folder:

        def make(**settings):
            return tested.Coordinator(Path(folder), REDIS_URL="unix://" + server.socket, THREADS=1, LOG_LEVEL="warn", **settings)

        cold, warm = [], []
        with fly_proxy.FlyProxy(make, machines=1, limits=(200, 1000)) as proxy:
            for _ in range(5 if plan.quick else 30):
                for times in (cold, warm):
                    began = time.monotonic()
                    ask_all(proxy.port, [beat_once], connections=1)
                    times.append((time.monotonic() - began) * 1000)
                proxy.stop_all()
            exec_to_answer = proxy.cold_starts_ms
    plan.add("cold start: exec to the heartbeat's answer, median", statistics.median(exec_to_answer), "ms", most=100)
    plan.add("  slowest", max(exec_to_answer), "ms")
    plan.add("  the whole request, as the worker sees it", statistics.median(cold), "ms")
    plan.add("  the same, when the coordinator runs", statistics.median(warm), "ms")


def reading_cost(server, coordinator, path, count):
    """Microseconds of CPU in Redis for a GET, above what Redis uses when idle."""

    def used():
        cpu = server.client.info("cpu")
        return (cpu["used_cpu_user_main_thread"] + cpu["used_cpu_sys_main_thread"]) * 1e6, time.monotonic()

    cpu0, time0 = used()
    time.sleep(0.5)
    cpu1, time1 = used()
    ask_all(coordinator.port, [request_bytes("GET", path)] * count, connections=1)
    cpu2, time2 = used()
    return (cpu2 - cpu1 - (cpu1 - cpu0) / (time1 - time0) * (time2 - time1)) / count


def reading(plan):
    """What /health and the statistics cost Redis, in fleets of three sizes."""
    sizes = (10, 1000, 10_000 if plan.quick else 100_000)
    costs = {"/health": [], "/api/admin/stats": []}
    with stage(plan) as (server, coordinator):
        done = 0
        for size in sizes:
            register(coordinator, done, size)
            done = size
            time.sleep(1)
            for path, found in costs.items():
                # the least of several: anything else that runs here only adds
                found.append(min(reading_cost(server, coordinator, path, 1000) for _ in range(5)))
    for path, found in costs.items():
        for size, cost in zip(sizes[:-1], found):
            plan.add(f"  Redis CPU of GET {path}, {size:,} workers", cost, "µs")
        # under 5 µs it is the noise that differs
        plan.add(f"Redis CPU of GET {path}, {sizes[-1]:,} workers", found[-1], "µs", most=max(1.5 * found[0], 5))


class Probe:
    """A client that pings Redis without a pause and remembers the longest wait: how long Redis served nobody else."""

    CODE = """
import os, select, socket, sys, time
os.nice(-10) if os.geteuid() == 0 else None
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
longest = 0.0
print(flush=True)
while True:
    sent = time.monotonic()
    connection.sendall(b"PING\\r\\n")
    connection.recv(64)
    longest = max(longest, time.monotonic() - sent)
    if select.select([0], [], [], 0)[0]:
        if not os.read(0, 1):
            break
        print(longest * 1000, flush=True)
        longest = 0.0
    time.sleep(0.0001)
"""

    def __init__(self, server):
        pipe = subprocess.PIPE
        self.child = subprocess.Popen([sys.executable, "-c", self.CODE, server.socket], stdin=pipe, stdout=pipe, bufsize=0)
        self.child.stdout.readline()

    def longest(self):
        """Milliseconds, since the last call."""
        self.child.stdin.write(b"\n")
        return float(self.child.stdout.readline())

    def stop(self):
        self.child.stdin.close()
        self.child.wait()


def listing(plan):
    """Listing 10,000 workers: how long it takes, and how long Redis serves nobody else meanwhile."""
    walls, blocks, idles = [], [], []
    with stage(plan, 10000) as (server, coordinator):
        beat(coordinator, 10000)
        url = coordinator.url("/api/admin/workers")
        whole = json.loads(subprocess.run(["curl", "-sf", url], check=True, capture_output=True).stdout)
        if len(whole["workers"]) != 10000:
            sys.exit(f"{url} lists {len(whole['workers'])} of 10,000 workers")
        server.client.config_set("slowlog-log-slower-than", 100)
        server.client.config_set("slowlog-max-len", 100000)
        server.client.slowlog_reset()
        for _ in range(5 if plan.quick else 15):
            output = subprocess.run(
                ["curl", "-sf", "-o", "/dev/null", "-w", "%{time_total}", url], check=True, capture_output=True, text=True
            ).stdout
            walls.append(float(output) * 1000)
        slow = max((entry["duration"] for entry in server.client.slowlog_get(100000)), default=0)
        probe = Probe(server)
        for _ in range(5 if plan.quick else 15):
            time.sleep(0.1)
            idles.append(probe.longest())
            subprocess.run(["curl", "-sf", "-o", "/dev/null", url], check=True)
            blocks.append(probe.longest())
        probe.stop()
    plan.add("listing 10,000 workers, median", statistics.median(walls), "ms", most=100)
    plan.add("  slowest", max(walls), "ms")
    plan.add("longest wait for Redis during a listing, median", statistics.median(blocks), "ms", most=5)
    plan.add("  longest of all", max(blocks), "ms")
    plan.add("  the same when idle, median", statistics.median(idles), "ms")
    plan.add("longest single command of a listing", slow / 1000, "ms", most=5)


def dashboards(plan):
    """Pages of other origins that list 1,000 workers as fast as they can, beside clients that each get a listing of their own."""
    path, seconds = "/api/admin/workers", 3
    rates, own_rates, costs, own_costs = [], [], [], []
    with stage(plan, FLEET) as (server, coordinator):
        for _ in range(1 if plan.quick else 3):
            result, cpu = cpu_of((server,),
                                 lambda: wrk(coordinator, "done.lua", path, seconds, headers=["Origin: https://bench.example"]))
            rates.append(result["requests"] / result["seconds"])
            costs.append(cpu / result["seconds"] / 1000)
            result, cpu = cpu_of((server,), lambda: wrk(coordinator, "done.lua", path, seconds, 16))
            own_rates.append(result["requests"] / result["seconds"])
            own_costs.append(cpu / result["seconds"] / 1000)
    plan.add("listings of 1,000 workers/s to pages of other origins", statistics.median(rates), "1/s")
    plan.add("CPU of Redis meanwhile, in a second", statistics.median(costs), "ms", most=50)
    plan.add("  the same to others, 16 connections", statistics.median(own_rates), "1/s")
    plan.add("  CPU of Redis meanwhile, in a second", statistics.median(own_costs), "ms")


def scraping(plan):
    """GET /metrics with 10,000 workers and many routes in use: what Prometheus waits for it, and what it costs."""
    walls, cpus, redis_cpus, count = [], [], [], 100
    with stage(plan, 10000) as (server, coordinator):
        beat(coordinator, 1000)
        seen = ("/", "/api", "/docs", "/health", "/livez", "/readyz", "/openapi.json", "/api/admin/stats", "/api/admin/health",
                "/api/admin/gaps")
        ask_all(coordinator.port,
                [request_bytes("GET", path) for path in (*seen, "/api/services/list", "/api/worker/" + worker_id(7))])
        scrapes = [request_bytes("GET", "/metrics")] * count
        for _ in range(5 if plan.quick else 15):
            began, used, used_by_redis = time.monotonic(), coordinator.cpu(), server.cpu()
            ask_all(coordinator.port, scrapes, connections=1)
            walls.append((time.monotonic() - began) * 1000 / count)
            cpus.append((coordinator.cpu() - used) / count)
            redis_cpus.append((server.cpu() - used_by_redis) / count)
    plan.add("GET /metrics, 10,000 workers, median", statistics.median(walls), "ms", most=2)
    plan.add("  CPU of the coordinator", statistics.median(cpus), "µs")
    plan.add("  CPU of Redis", statistics.median(redis_cpus), "µs")


class Clients:
    """Those who submit tasks to one job server and those who work on them, `count` tasks, `bulk` in a request."""

    def __init__(self, command, in_flight, concurrency):
        self.command, self.in_flight, self.concurrency = command, in_flight, concurrency

    def begin(self, role, bulk, count):
        """Starts a client, and returns it when it begins, and the moment (ms)."""
        many = self.in_flight if role == "add" else self.concurrency
        words = [str(word) for word in (many, bulk, count)]
        child = subprocess.Popen([*self.command(role), *words], stdout=subprocess.PIPE, text=True)
        return child, float(child.stdout.readline())

    @staticmethod
    def end(child):
        """Waits for the end of a client; returns the moment (ms) at which it was done."""
        done = child.stdout.readline()
        if child.wait() != 0:
            sys.exit(f"{child.args} ended with {child.returncode}")
        return float(done)

    def add(self, bulk, count):
        self.end(self.begin("add", bulk, count)[0])

    def run(self, bulk, count):
        """Adds and processes at once; returns tasks a second, from the first submission to the last completion."""
        worker, _ = self.begin("work", bulk, count)
        adder, began = self.begin("add", bulk, count)
        self.end(adder)
        return count * 1000 / (self.end(worker) - began)


BULK = 50


def task_clients(coordinator, in_flight=64, concurrency=50, kind="http"):
    return Clients(lambda role: [TASKS, role, kind, str(coordinator.port)], in_flight, concurrency)


def bull_clients(server, in_flight=64):
    return Clients(lambda role: ["node", os.path.join(HERE, "peer", "tasks.js"), role, server.socket], in_flight, 50)


@contextlib.contextmanager
def beanstalk_clients():
    """Those of a beanstalkd with a log as safe as an append-only file that is written every second; None without beanstalkd."""
    command = shutil.which("beanstalkd", path=os.environ["PATH"] + ":/usr/sbin")
    if not command:
        print("beanstalkd is not installed: nothing is measured beside it")
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="rma-bench-") as folder:
        port = free_port()
        child = subprocess.Popen([command, "-l", HOST, "-p", str(port), "-b", folder, "-f", "1000"])
        try:
            wait_until(lambda: is_open(port), "beanstalkd")
            yield Clients(lambda role: [TASKS, role, "beanstalk", str(port)], 64, 50)
        finally:
            child.kill()
            child.wait()


def is_open(port):
    try:
        connect(port).close()
        return True
    except OSError:
        return False


def tasks(plan):
    """Tasks a second, submitted, leased and completed, beside BullMQ on the same Redis and beside beanstalkd."""
    rounds, count = (1, 10000) if plan.quick else (3, 20000)
    names = ("next", "one", "bulk", "bull", "bull bulk", "beanstalk")
    rates, costs = {name: [] for name in names}, {name: [] for name in names}
    with stage(plan, 1) as (server, coordinator), beanstalk_clients() as beanstalk:
        beat(coordinator, 1)
        one, bulk = task_clients(coordinator), task_clients(coordinator, 4, 4)
        following = task_clients(coordinator, kind="next")
        clients = {"next": (following, 1, count), "one": (one, 1, count), "bulk": (bulk, BULK, 2 * count)}
        if has_peer():
            clients |= {"bull": (bull_clients(server), 1, count), "bull bulk": (bull_clients(server, 4), BULK, count)}
        if beanstalk:
            clients["beanstalk"] = (beanstalk, 1, count)
        for _ in range(rounds):
            for name, (who, many, total) in clients.items():
                rates[name].append(measure_tasks(server, coordinator, functools.partial(who.run, many, total), total, costs[name]))

    def against(name, other):
        return statistics.median(ours / theirs for ours, theirs in zip(rates[name], rates[other]))

    plan.add("  tasks/s, one in a request", statistics.median(rates["next"]), "1/s")
    plan.add("  tasks/s, with a request for each ask", statistics.median(rates["one"]), "1/s")
    plan.add("  tasks/s, 50 in a request", statistics.median(rates["bulk"]), "1/s")
    if has_peer():
        plan.add("  BullMQ, jobs/s", statistics.median(rates["bull"]), "1/s")
        plan.add("  BullMQ, added 50 at once, jobs/s", statistics.median(rates["bull bulk"]), "1/s")
        # BullMQ's worker, too, gets its next job with the completion of the one before
        plan.add("tasks, one in a request / BullMQ", against("next", "bull"), "", least=1.5)
        plan.add("  tasks, with a request for each ask / BullMQ", against("one", "bull"), "")
        plan.add("tasks, 50 in a request / BullMQ", against("bulk", "bull"), "", least=3)
        plan.add("  tasks, 50 in a request / BullMQ, added 50 at once", against("bulk", "bull bulk"), "")
    if beanstalk:
        plan.add("  beanstalkd, jobs/s", statistics.median(rates["beanstalk"]), "1/s")
        plan.add("  tasks, with a request for each ask / beanstalkd", against("one", "beanstalk"), "")
    for name, what in (("next", "a task, one in a request"), ("one", "a task, with a request for each ask"),
                       ("bulk", "a task, 50 in a request"), ("bull", "a job of BullMQ")):
        for who, cost in zip(("the coordinator", "Redis", "the clients"), map(statistics.median, zip(*costs[name]))):
            if costs[name] and (name, who) != ("bull", "the coordinator"):
                plan.add(f"  CPU of {who} for {what}", cost, "µs")
    queued_tasks(plan)


def measure_tasks(server, coordinator, run, count, costs):
    """What run() returns; adds to `costs` what a task cost the coordinator, Redis and the clients (µs of CPU)."""

    def used():
        clients = resource.getrusage(resource.RUSAGE_CHILDREN)
        return coordinator.cpu(), server.cpu(), (clients.ru_utime + clients.ru_stime) * 1e6

    before = used()
    rate = run()
    costs.append([(after - first) / count for first, after in zip(before, used())])
    return rate


def queued_tasks(plan):
    """What a task costs while many others are queued, and what memory these take."""
    count, costs, queued = 5000, [], 0
    depths = (100, 10_000, 1_000_000) if plan.million_tasks else (100, 10_000)
    with stage(plan, 1) as (server, coordinator):
        beat(coordinator, 1)
        clients, filling = task_clients(coordinator), task_clients(coordinator, 4, 4)
        clients.run(1, count)
        for depth in depths:
            before = server.memory()
            filling.add(BULK, depth - queued)
            memory = (server.memory() - before) / (depth - queued)
            queued = depth
            found = []
            for _ in range(3):
                measure_tasks(server, coordinator, lambda: clients.run(1, count), count, found)
            costs.append(min(sum(each[:2]) for each in found))
    for depth, cost in zip(depths[:-1], costs):
        plan.add(f"  CPU for a task, {depth:,} queued", cost, "µs")
    plan.add(f"CPU for a task, {depths[-1]:,} queued", costs[-1], "µs", most=1.5 * costs[0])
    plan.add("memory of a queued task with a payload of 200 bytes", memory, "B", most=1024)


class Nginx(Process):
    """An nginx with one process at work, whose configuration's http block is the given text."""

    def __init__(self, folder, name, block):
        path = os.path.join(folder, name)
        os.mkdir(path)
        with open(os.path.join(path, "conf"), "w", encoding="ascii") as out:
            out.write(
                f"daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 20000; pid {path}/pid; "
                "error_log stderr;\n"
                "events { worker_connections 9000; }\n"
                "http { access_log off; keepalive_requests 1000000000; "
                f"client_body_temp_path {path}/1; proxy_temp_path {path}/2;\n"
                f"fastcgi_temp_path {path}/3; uwsgi_temp_path {path}/4; scgi_temp_path {path}/5;\n{block}\n}}\n"
            )
        super().__init__([shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-p", path, "-c",
                          os.path.join(path, "conf")])
        port = int(re.search(rf"listen {HOST}:(\d+)", block)[1])
        wait_until(lambda: is_open(port), "nginx")


WORKERS = 4  # that the requests are passed on to


@contextlib.contextmanager
def proxies(plan, **settings):
    """Workers that answer 1 KB, all of one nginx; an nginx before them, and a coordinator, which has them as the workers of the
    services `leased` and `random`. Gives both, Redis, and their URLs by name."""
    ports, front = [free_port() for _ in range(WORKERS)], free_port()
    listens = "".join(f"server {{ listen {HOST}:{port} backlog=4096; location / {{ return 200 '{'x' * 1024}'; }} }}\n"
                      for port in ports)
    servers = "".join(f"server {HOST}:{port}; " for port in ports)
    passing = (
        f"upstream workers {{ {servers} keepalive 128; keepalive_requests 1000000000; }}\n"
        f"server {{ listen {HOST}:{front} backlog=4096; "
        "location / { proxy_pass http://workers; proxy_http_version 1.1; proxy_set_header Connection ''; } }"
    )
    services = [{"name": name, "tier": 2, "image": "x", "port": 1, "spread": spread}
                for name, spread in (("leased", "load"), ("random", "random"))]
    with tempfile.TemporaryDirectory(prefix="rma-bench-") as folder, contextlib.ExitStack() as ends:
        catalogue = os.path.join(folder, "catalogue.json")
        with open(catalogue, "w", encoding="ascii") as out:
            json.dump({"services": services}, out)
        for name, block in (("workers", listens), ("front", passing)):
            nginx = Nginx(folder, name, block)
            ends.callback(nginx.stop)
        server, coordinator = ends.enter_context(stage(plan, SERVICE_CATALOG=catalogue, UPSTREAM_ALLOW="127.0.0.0/8", **settings))
        provide(coordinator, [("leased", port) for port in ports] + [("random", port) for port in ports])
        urls = {"nginx": f"http://{HOST}:{front}/x", "direct": f"http://{HOST}:{ports[0]}/x"}
        urls |= {name: coordinator.url(f"/service/{name}/x") for name in ("random", "leased")}
        wait_until(lambda: all(status_of(coordinator.port, f"/service/{name}/x") == 200 for name in ("random", "leased")),
                   "the services")
        yield server, coordinator, nginx, urls


def provide(coordinator, places):
    """Registers a worker for each (service, port or URL)."""
    bodies = []
    for number, (service, place) in enumerate(places):
        url = place if isinstance(place, str) else f"http://{HOST}:{place}"
        bodies.append({"worker_id": worker_id(number), "capabilities": {}, "services": [{"name": service, "service_url": url}]})
    ask_all(coordinator.port, [request_bytes("POST", "/api/worker/register", body) for body in bodies])


def get_load(url, seconds, connections):
    """What wrk finds when it asks for the URL without a pause; see done.lua."""
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--latency", "-s", "done.lua", url]
    result = json.loads(subprocess.run(command, cwd=HERE, check=True, capture_output=True,
                                       text=True).stdout.strip().splitlines()[-1])
    if result["errors"] > connections:
        sys.exit(f"wrk {url}: {result['errors']} of {result['requests']} requests failed")
    return result


def paced_load(url, seconds, connections, rate):
    """What paced.c finds."""
    where = urllib.parse.urlsplit(url)
    words = [where.port, where.path, connections, rate, seconds]
    return json.loads(subprocess.run([PACED, *map(str, words)], check=True, capture_output=True, text=True).stdout)


def proxy(plan):
    """Requests that are passed on, beside an nginx that passes them on to the same workers: with leases, and to any worker."""
    rounds, seconds = (3, 2) if plan.quick else (7, 3)
    with proxies(plan) as (server, coordinator, nginx, urls):
        at_work = {"nginx": (nginx,), "random": (coordinator,), "leased": (coordinator,)}
        for connections in (1, 16, 64):
            rates, costs, redis_costs = ({name: [] for name in at_work} for _ in range(3))
            for _ in range(rounds):
                for name, processes in at_work.items():
                    before = server.cpu()
                    result, cpu = cpu_of(processes, lambda: get_load(urls[name], seconds, connections))
                    rates[name].append(result["requests"] / result["seconds"])
                    costs[name].append(cpu / result["requests"])
                    redis_costs[name].append((server.cpu() - before) / result["requests"])
            many = f"{connections} client{'s' if connections > 1 else ''}"
            plan.add(f"  nginx, 1 KB, {many}", statistics.median(rates["nginx"]), "1/s")
            plan.add("  CPU for a request", statistics.median(costs["nginx"]), "µs")
            for name, what, least in (("random", "without leases", 1.0), ("leased", "with leases", 0.7)):
                # each round beside its own yardstick
                ratio = statistics.median(one / other for one, other in zip(rates[name], rates["nginx"]))
                plan.add(f"passed on {what} / nginx, {many}", ratio, "", least=least)
                plan.add("  requests passed on", statistics.median(rates[name]), "1/s")
                plan.add("  CPU for one", statistics.median(costs[name]), "µs")
                plan.add("  … / nginx", statistics.median(one / other for one, other in zip(costs[name], costs["nginx"])), "")
                plan.add("  CPU of Redis for one", statistics.median(redis_costs[name]), "µs")
        added_latency(plan, urls, rounds, seconds, statistics.median(rates["leased"]))
    idle_connections(plan)
    passed_streams(plan)


def added_latency(plan, urls, rounds, seconds, most):
    """How much longer an answer takes through the coordinator, 64 clients, at half of what it can do at most."""
    found = {name: [] for name in ("direct", "nginx", "leased", "random")}
    for _ in range(rounds):
        for name, results in found.items():
            results.append(paced_load(urls[name], seconds, 64, most / 2))
    for name in ("leased", "random", "nginx"):
        for percentile, limit in (("p50", 0.3), ("p99", 2)):
            added = statistics.median((one[percentile] - other[percentile]) / 1000
                                      for one, other in zip(found[name], found["direct"]))
            goal = {} if name == "nginx" else {"most": limit}
            plan.add(f"{'  ' if not goal else ''}added {percentile} at half load, {name}", added, "ms", **goal)


def idle_connections(plan, count=250):
    """What a kept connection to a worker takes: one request to each of many workers, who differ in their address. Each is known
    already from a request whose connection it closed."""
    port = free_port()
    block = (f"keepalive_timeout 60s; server {{ listen {HOST}:{port}; listen 0.0.0.0:{port}; location / {{ return 200 'x'; }} "
             "location /close { keepalive_timeout 0; return 200 'x'; } }")
    with tempfile.TemporaryDirectory(prefix="rma-bench-") as folder, contextlib.ExitStack() as ends:
        nginx = Nginx(folder, "workers", block)
        ends.callback(nginx.stop)
        _, coordinator = ends.enter_context(stage(plan, UPSTREAM_ALLOW="127.0.0.0/8"))
        names = [f"idle-{number}" for number in range(count)]
        provide(coordinator, [(name, f"http://127.0.1.{number + 1}:{port}") for number, name in enumerate(names)])
        for path in ("close", "close", "x"):
            before = coordinator.resident()
            ask_all(coordinator.port, [request_bytes("GET", f"/service/{name}/{path}") for name in names], connections=1)
            idle = idle_now(coordinator)
            if idle != (count if path == "x" else 0):
                sys.exit(f"{idle} connections to workers are idle after {path}")
        taken = coordinator.resident() - before
    plan.add("memory of an idle connection to a worker", taken / count, "B", most=2048)


def idle_now(coordinator):
    """How many connections to workers the coordinator keeps; it counts them once in a while."""
    time.sleep(1.5)
    output = subprocess.run(["curl", "-sf", coordinator.url("/metrics")], check=True, capture_output=True, text=True).stdout
    return float(re.search(r'^rma_upstream_connections\{state="idle"\} (\S+)$', output, re.MULTILINE)[1])


class Tokens(Process):
    """A worker whose every answer is an event stream without an end, an event every two seconds."""

    CODE = """
import asyncio, sys
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
EVENT = b"11\\r\\ndata: a token..\\n\\n\\r\\n"
async def answer(reader, writer):
    try:
        await reader.readuntil(b"\\r\\n\\r\\n")
        writer.write(HEAD + EVENT)
        while not reader.at_eof():
            await asyncio.sleep(2)
            writer.write(EVENT)
    except asyncio.IncompleteReadError:
        pass
    finally:
        writer.close()
async def main():
    await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1]), backlog=2000)
    await asyncio.Event().wait()
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
asyncio.run(main())
"""

    def __init__(self):
        self.port = free_port()
        super().__init__([sys.executable, "-c", self.CODE, str(self.port)])
        wait_until(lambda: is_open(self.port), "the worker")


def open_passed(port, path):
    """A connection on which a passed-on stream has begun."""
    connection = connect(port)
    connection.sendall(request_bytes("GET", path))
    data = b""
    while b"a token.." not in data:
        part = connection.recv(65536)
        if not part:
            sys.exit(f"no stream: {data!r}")
        data += part
    connection.setblocking(False)
    return connection


def passed_streams(plan):
    """A thousand streams that are passed on: their memory, and heartbeats beside them and without them, by turns."""
    rounds, seconds, count = (3, 2, 1000) if plan.quick else (7, 3, 1000)
    alone, beside, taken = [], [], []
    with contextlib.ExitStack() as ends:
        tokens = Tokens()
        ends.callback(tokens.stop)
        _, coordinator = ends.enter_context(stage(plan, FLEET, UPSTREAM_ALLOW="127.0.0.0/8", MAX_CONNECTIONS="4000"))
        body = {"worker_id": "tokens", "capabilities": {},
                "services": [{"name": "tokens", "service_url": f"http://{HOST}:{tokens.port}"}]}
        ask_all(coordinator.port, [request_bytes("POST", "/api/worker/register", body)])
        wrk(coordinator, "heartbeat.lua", "/", seconds)
        before = coordinator.resident()
        for _ in range(rounds):
            alone.append(wrk(coordinator, "heartbeat.lua", "/", seconds)["requests"] / seconds)
            opened = [open_passed(coordinator.port, "/service/tokens/x") for _ in range(count)]
            taken.append(coordinator.resident() - before)
            beside.append(wrk(coordinator, "heartbeat.lua", "/", seconds)["requests"] / seconds)
            read_off(opened)
            for connection in opened:
                connection.close()
            time.sleep(3)  # the worker's streams have ended
    plan.add(f"memory of a stream, {count:,} passed on", max(taken) / count, "B", most=30 * 1024)
    ratio = statistics.median(one / other for one, other in zip(beside, alone))
    plan.add("  heartbeats/s without them", statistics.median(alone), "1/s")
    plan.add("  heartbeats/s beside them", statistics.median(beside), "1/s")
    plan.add("heartbeats beside them / without, median of the rounds", ratio, "", least=0.9)


# --- polls of workers, and credentials


ASKS = itertools.count()  # an ask that is sent again is given the same tasks


def open_polls(coordinator, count):
    """Connections on each of which a worker asks for tasks, and waits."""
    opened = []
    for number in range(count):
        opened.append(connect(coordinator.port))
        path = f"/api/worker/tasks?worker_id={worker_id(number % FLEET)}&max=1&wait=60&request_id=r{next(ASKS)}"
        opened[-1].sendall(request_bytes("GET", path))
    return opened


def parked(server):
    return server.client.hlen("{rma}:parked")


def deliver(coordinator, waiting, count):
    """Submits tasks one after the other; -> the milliseconds from there until one of those that wait has each."""
    times = []
    with connect(coordinator.port) as submitting, selectors.DefaultSelector() as selector:
        for connection in waiting:
            selector.register(connection, selectors.EVENT_READ)
        for _ in range(count):
            began = time.monotonic()
            submitting.sendall(request_bytes("POST", "/api/tasks", {"type": "bench"}))
            chosen = selector.select(10)[0][0].fileobj
            times.append(1000 * (time.monotonic() - began))
            selector.unregister(chosen)
            if read_answer(chosen) != 200 or read_answer(submitting) != 201:
                sys.exit("a task was not taken, or not given")
            time.sleep(0.005)
    return times


def polls(plan):
    """Ten thousand parked polls on one instance: their memory, heartbeats beside them and without them, and how soon a task is
    there."""
    rounds, seconds, count = (3, 2, 10000) if plan.quick else (5, 3, 10000)
    alone, beside, taken, times = [], [], [], []
    with stage(plan, FLEET, MAX_CONNECTIONS="12000") as (server, coordinator):
        wrk(coordinator, "heartbeat.lua", "/", seconds)
        before = coordinator.resident()
        for _ in range(rounds):
            alone.append(wrk(coordinator, "heartbeat.lua", "/", seconds)["requests"] / seconds)
            opened = open_polls(coordinator, count)
            wait_until(lambda: parked(server) == count, "all polls parked", seconds=30)
            taken.append(coordinator.resident() - before)
            beside.append(wrk(coordinator, "heartbeat.lua", "/", seconds)["requests"] / seconds)
            times += deliver(coordinator, opened, 200)
            for connection in opened:
                connection.close()
            wait_until(lambda: parked(server) == 0, "the end of the polls", seconds=30)
    plan.add(f"memory of {count:,} parked polls", max(taken) / 2**20, "MiB", most=300)
    plan.add("  heartbeats/s without them", statistics.median(alone), "1/s")
    plan.add("heartbeats beside them / without, median of the rounds", statistics.median(map(operator.truediv, beside, alone)), "",
             least=0.95)
    plan.add("from submitting a task to its delivery, median", statistics.median(times), "ms", most=5)
    plan.add("  p99", statistics.quantiles(times, n=100)[98], "ms")


def register_guarded(coordinator, count, token):
    """Registers workers with a join token; -> the tokens of their own."""
    own, headers = [], {"Authorization": "Bearer " + token, "Content-Type": "application/json"}  # each from an address of its own
    connection = http.client.HTTPConnection(HOST, coordinator.port, timeout=30)
    for number in range(count):
        connection.request("POST", "/api/worker/register", json.dumps(registration(number)),
                           headers | {"X-Forwarded-For": f"192.0.{number // 250}.{number % 250}"})
        own.append(json.loads(connection.getresponse().read())["token"])
    connection.close()
    return own


@contextlib.contextmanager
def hammering(coordinator, what, seconds):
    """A stranger who does something as fast as it can meanwhile; gives a list that has the requests/s in the end."""
    rates = []

    def hammer():
        result = wrk(coordinator, "stranger.lua", "/", seconds, connections=16, workers=0, more=[what], may_fail=True)
        rates.append(result["requests"] / result["seconds"])

    thread = threading.Thread(target=hammer)
    thread.start()
    time.sleep(0.5)
    yield rates
    thread.join()


def auth(plan):
    """Heartbeats with credentials beside those without, and beside strangers who hammer."""
    rounds, seconds = (3, 2) if plan.quick else (7, 3)
    limit = {"REGISTRATIONS_PER_MINUTE": "60", "TRUST_PROXY": "1", "LOG_LEVEL": "error"}
    with stage(plan, 0, AUTH="on", **limit) as (server, guarded), contextlib.ExitStack() as ends:
        folder = ends.enter_context(tempfile.TemporaryDirectory())
        opened = Coordinator(plan, server, **limit)
        ends.callback(opened.stop)
        wait_until(opened.ready, "the coordinator without credentials")
        server.client.config_set("appendfsync", "everysec")
        join = credentials.make_token(server.client, "join")
        kinds = {"own": ["Bearer " + token for token in register_guarded(guarded, FLEET, join)],
                 "join": ["Basic " + base64.b64encode(b"worker:" + join.encode()).decode()]}
        for kind, lines in kinds.items():
            Path(folder, kind).write_text("\n".join(lines) + "\n", encoding="ascii")
        rates, p99s = {kind: [] for kind in ("off", "own", "join")}, {"quiet": [], "logins": [], "off": [], "on": []}
        strangers = {kind: [] for kind in ("logins", "off", "on")}
        for _ in range(rounds):
            for kind in rates:
                which, more = (opened, ()) if kind == "off" else (guarded, [os.path.join(folder, kind)])
                result = wrk(which, "heartbeat.lua", "/", seconds, more=more)
                rates[kind].append(result["requests"] / result["seconds"])
        few = {"connections": 2, "more": [os.path.join(folder, "own")]}
        for _ in range(rounds):
            p99s["quiet"].append(wrk(guarded, "heartbeat.lua", "/", seconds, **few)["p99"] / 1000)
            for name, which, what in (("logins", guarded, "logins"), ("on", guarded, "registrations"),
                                      ("off", opened, "registrations")):
                with hammering(which, what, seconds + 1) as hammered:
                    p99s[name].append(wrk(which, "heartbeat.lua", "/", seconds, **few)["p99"] / 1000)
                strangers[name] += hammered
        held = server.client.zcard("{rma}:workers") - FLEET
    median = statistics.median
    plan.add("  heartbeats/s with AUTH=off", median(rates["off"]), "1/s")
    for kind, what, least in (("own", "a worker’s own token", 0.95), ("join", "the join token by Basic", 0.85)):
        plan.add(f"heartbeats with {what} / AUTH=off", median(map(operator.truediv, rates[kind], rates["off"])), "", least=least)
    plan.add("  heartbeat latency, two connections, p99", median(p99s["quiet"]), "ms")
    for name, what in (("logins", "wrong passwords"), ("on", "registrations, AUTH=on"), ("off", "registrations, AUTH=off")):
        plan.add(f"  a stranger’s {what}", median(strangers[name]), "1/s")
        plan.add(f"heartbeat latency beside a stranger’s {what}, p99", median(p99s[name]), "ms", most=5)
    plan.add("workers that the stranger has registered", held, "", most=600 + 60 * (1 + rounds * (seconds + 1) * 4 // 60))


FIGURES = {
    f.__name__: f
    for f in (heartbeats, bulk, discovery, memory, resident, start, cold_start, reading, listing, streams, dashboards, scraping,
              tasks,
              proxy, polls, auth)
}


# --- the table


class Plan:
    """How to measure, and the rows measured."""

    def __init__(self, options):
        self.quick = options.quick
        self.million_tasks = options.million_tasks
        self.binary = os.path.abspath(options.binary)
        self.rows = []

    def add(self, figure, value, unit, least=None, most=None):
        target = least if least is not None else most
        ratio = value / target if target else None
        passed = None if target is None else value >= least if least is not None else value <= most
        self.rows.append({"figure": figure.strip(), "value": value, "unit": unit, "least": least, "most": most})
        self.rows[-1] |= {"ratio": ratio, "passed": passed}
        wanted = "" if target is None else f"{'>=' if least is not None else '<='} {number(target)}"
        verdict = {None: "", True: "pass", False: "FAIL"}[passed]
        print(
            f"{figure:<54} {number(value):>9} {unit:<4} {wanted:>12} {'' if ratio is None else f'{ratio:.2f}':>6} {verdict}",
            flush=True,
        )


def number(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def main():
    parser = argparse.ArgumentParser(description="Measures the coordinator's figures.")
    parser.add_argument("--quick", action="store_true", help="short runs: rougher figures in a quarter of the time")
    parser.add_argument("--only", action="append", choices=FIGURES, help="this figure (may be repeated)")
    parser.add_argument("--million", action="store_true", help="a fleet of 1,000,000 workers, and nothing else")
    parser.add_argument("--million-tasks", action="store_true", help="tasks: also with 1,000,000 of them queued")
    parser.add_argument("--binary", default=os.path.join(ROOT, "build/release/rma-coordinator"))
    parser.add_argument("--json", default=os.path.join(ROOT, "build/bench.json"))
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    plan = Plan(options)
    busy = busy_cores()
    if busy > 0.2:
        print(f"Something else keeps {busy:.1f} of {os.cpu_count()} cores busy: the figures will suffer.")
    print(f"{'figure':<54} {'measured':>9} {'':<4} {'target':>12} {'ratio':>6}")
    for name in options.only or FIGURES:
        if not options.million:
            FIGURES[name](plan)
    if options.million:
        million(plan)
    with open(options.json, "w", encoding="utf-8") as out:
        json.dump({"cores": os.cpu_count(), "busy": busy, "quick": plan.quick, "rows": plan.rows}, out, indent=1,
                  ensure_ascii=False)
    sys.exit(Process.failed or any(row["passed"] is False for row in plan.rows))


if __name__ == "__main__":
    main()
