"""One client's greed or sloth is not the others' trouble."""

import socket
import threading
import time

import project
from waiting import wait_until

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
PIPELINED = 400000


def small_window(coordinator):
    """A connection whose own end takes next to nothing before it is read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", coordinator.port))
    return connection


def test_a_pipelining_client_gets_no_more_than_its_share(redis, start_coordinator):
    """Tens of thousands of requests that need no Redis, on one connection of the only thread: the others are served between
    them."""
    coordinator = start_coordinator(redis, THREADS=1)
    greedy = coordinator.raw(timeout=60)
    answered = []

    def read():
        data = b""
        while len(answered) < PIPELINED:
            data += greedy.socket.recv(1 << 20)
            found = data.count(b"HTTP/1.1 200 ")
            answered.extend([time.monotonic()] * found)
            data = data[-12:] if found else data

    reader = threading.Thread(target=read)
    reader.start()
    writer = threading.Thread(target=greedy.send, args=(LIVEZ * PIPELINED,))
    writer.start()
    wait_until(lambda: answered, what="the first pipelined answers")
    beside = []
    while reader.is_alive():
        beside.append(coordinator.get("/health"))
    reader.join()
    writer.join()
    assert len(answered) == PIPELINED
    assert beside and {response.status for response in beside} == {200}
    assert len(beside) > 3, "one of them waited for the greedy one to end"
    assert "redis_lost" not in coordinator.stderr()
    greedy.close()


def test_listings_that_nobody_reads_take_bounded_memory(redis, start_coordinator):
    coordinator = start_coordinator(redis, THREADS=1)
    wide = {"capabilities": {"note": "x" * 7000}}
    for i in range(900):  # a listing of 6 MB, more than the kernel takes off our hands
        coordinator.register(f"w{i}", **wide)
    before = coordinator.memory_mb()
    lazy = [small_window(coordinator) for _ in range(100)]
    answers = []
    for connection in lazy:
        connection.sendall(b"GET /api/admin/workers HTTP/1.1\r\nHost: x\r\n\r\n")
        answers.append(connection.recv(12))  # and no more: the answer is made, and stays where it is
    assert answers[0] == b"HTTP/1.1 200" and answers[-1] == b"HTTP/1.1 503"
    assert int(coordinator.get("/api/admin/workers").headers["Retry-After"]) >= 1
    grown = coordinator.memory_mb() - before
    assert grown < (110 if project.MODE == "release" else 400), f"{grown} MB for listings that nobody reads"
    assert coordinator.get("/health").status == 200
    coordinator.beat("w1")
    for connection in lazy:
        connection.close()
    wait_until(lambda: coordinator.get("/api/admin/workers").status == 200, what="listings go on when the lazy have left")


def test_refused_in_the_middle_of_a_pipeline(coordinator):
    """A client that sends on and on, reads nothing, and leaves while what was refused is still being read away."""
    for answers in (1, 400, 4000):
        connection = small_window(coordinator)
        connection.settimeout(1)
        try:
            connection.sendall(LIVEZ * answers)
            connection.sendall(b"POST /api/worker/register HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
                               + b"x" * 5000000)
        except OSError:
            pass  # full, as it should be
        connection.close()
        assert coordinator.is_alive()
    coordinator.register("w")
