"""The ways in which a worker can fail or lie, each as a behaviour for Peers.start()."""

import asyncio
import dataclasses
import typing

from peers import reply, saying, serving

TRICKLE = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nContent-Type: text/plain\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n"


# -- connections that fail before, while or after a request comes


async def hang(connection):
    """Accepts the connection, and neither reads nor writes."""
    await connection.wait_until_gone()


async def reset_at_once(connection):
    connection.reset()


async def close_at_once(connection):
    connection.close()


async def plainly(connection):
    """Answers as a server of plain HTTP answers a client that begins with TLS."""
    await connection.reader.read(1)
    await connection.send(reply(b"plain", 400))


def after(data, end):
    """Reads a request, sends `data`, and then calls end(connection, request)."""

    async def behave(connection):
        request = await connection.read_request()
        if request is not None:
            await connection.send(data)
            await end(connection, request)

    return behave


async def reset(connection, _):
    await asyncio.sleep(0.02)  # so that the reset does not overtake the data that was sent
    connection.reset()


async def close(connection, _):
    connection.close()


async def silence(connection, request):
    await connection.wait_until_gone(request)


def late(seconds, body=b"late"):
    async def answer(connection, request):
        await asyncio.sleep(seconds)
        await connection.send(reply(body))

    return serving(answer)


def stale(end):
    """Answers the first request of a connection. The second request ends the connection without an answer, as with a server that
    has just given up waiting."""

    async def behave(connection):
        if await connection.read_request() is not None:
            await connection.send(reply(b"fresh"))
            if await connection.read_request() is not None:
                await end(connection, None)

    return behave


def stale_unread():
    """Answers the first request of a connection and closes it at once, like a server whose keep-alive time is over."""

    async def behave(connection):
        if await connection.read_request() is not None:
            await connection.send(reply(b"fresh"))

    return behave


@dataclasses.dataclass
class Fault:
    """`behave` for Peers.start(), or `make`, which makes the peer. `get` and `post` are the statuses that a client may get if there
    is a second, good worker; 200 is that worker's answer."""

    behave: typing.Any = None
    make: typing.Any = None
    tls: str = ""              # the worker's certificate: "good", "stranger", "other name"
    get: tuple = (200,)
    post: tuple = (502,)
    alone: tuple = (502,)      # the statuses of a GET without a second worker
    cut: bool = False          # the answer has begun, so the client must see that it is cut off


# No byte of the request can have been sent, so another worker serves it, whatever the method.
UNDELIVERED = {
    "refuses": Fault(make=lambda peers, tls: peers.refusing(), post=(200,)),
    "hangs at connect": Fault(make=lambda peers, tls: peers.unreachable(tls), post=(200,), alone=(502, 504)),
    "hangs at TLS": Fault(hang, make=lambda peers, tls: as_https(peers.start(hang)), post=(200,), alone=(502, 504)),
    "speaks plain HTTP where TLS was said": Fault(make=lambda peers, tls: as_https(peers.start(plainly)), post=(200,)),
    "resets at TLS": Fault(make=lambda peers, tls: as_https(peers.start(reset_at_once)), post=(200,)),
    "closes at TLS": Fault(make=lambda peers, tls: as_https(peers.start(close_at_once)), post=(200,)),
    "has a certificate that nobody trusts": Fault(saying(reply(b"stranger")), tls="stranger", post=(200,)),
    "has a certificate of another name": Fault(saying(reply(b"other")), tls="other name", post=(200,)),
}

# A byte of the request may have been sent, so only a GET gets another worker.
DELIVERED = {
    "resets at accept": Fault(reset_at_once, post=(200, 502)),
    "closes at accept": Fault(close_at_once, post=(200, 502)),
    "closes after the request": Fault(after(b"", close)),
    "resets after the request": Fault(after(b"", reset)),
    "hangs at the head": Fault(after(b"", silence), post=(504,), alone=(504,)),
    "cuts the head": Fault(after(b"HTTP/1.1 200 OK\r\nContent-Le", close), get=(200, 502)),
    "resets in the head": Fault(after(b"HTTP/1.1 200 OK\r\nContent-Le", reset), get=(200, 502)),
    "hangs in the head": Fault(after(b"HTTP/1.1 200 OK\r\nContent-Le", silence), get=(200, 504), post=(504,), alone=(504,)),
    "says nothing but 100 Continue": Fault(after(b"HTTP/1.1 100 Continue\r\n\r\n", close), get=(200, 502)),
    "answers garbage": Fault(saying(b"\x16\x03\x01 no HTTP at all\r\n\r\n"), get=(200, 502)),
    "answers with a status line of another protocol": Fault(saying(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), get=(200, 502)),
}

# The worker answers. Another worker is tried only after 429, 502, 503 and 504, and only for a GET.
ANSWERED = {
    "answers 500": Fault(saying(reply(b"5", 500)), get=(500,), post=(500,), alone=(500,)),
    "answers 502": Fault(saying(reply(b"5", 502)), post=(502,), alone=(502,)),
    "answers 503": Fault(saying(reply(b"5", 503)), post=(503,), alone=(503,)),
    "answers 504": Fault(saying(reply(b"5", 504)), post=(504,), alone=(504,)),
    "answers 429": Fault(saying(reply(b"4", 429)), post=(429,), alone=(429,)),
    "answers 404": Fault(saying(reply(b"4", 404)), get=(404,), post=(404,), alone=(404,)),
    "answers late": Fault(late(0.4), get=(200,), post=(200,), alone=(200,)),
}

# The answer has begun: no other worker may answer, and the client must see that the answer is not whole.
CUT = {
    "closes in the body": Fault(after(TRICKLE + b"x" * 400, close)),
    "resets in the body": Fault(after(TRICKLE + b"x" * 400, reset)),
    "hangs in the body": Fault(after(TRICKLE + b"x" * 400, silence)),
    "closes before the first byte of the body": Fault(after(TRICKLE, close)),
    "closes in a chunk": Fault(after(CHUNKED + b"100\r\n" + b"x" * 30, close)),
    "closes between chunks": Fault(after(CHUNKED + b"3\r\nabc\r\n", close)),
    "closes in the last chunk": Fault(after(CHUNKED + b"3\r\nabc\r\n0\r\n", close)),
    "closes in a trailer": Fault(after(CHUNKED + b"3\r\nabc\r\n0\r\nX-Sum: 1", close)),
    "resets between chunks": Fault(after(CHUNKED + b"3\r\nabc\r\n", reset)),
    "hangs between chunks": Fault(after(CHUNKED + b"3\r\nabc\r\n", silence)),
    "sends a broken chunk later": Fault(after(CHUNKED + b"3\r\nabc\r\nzz\r\n", silence)),
}


def as_https(peer):
    """Returns the peer, with an https URL."""
    peer.scheme = "https"
    return peer


# -- hostile answers


def answer(*lines, status="HTTP/1.1 200 OK", body=b""):
    return b"".join(line.encode("latin-1") + b"\r\n" for line in (status, *lines)) + b"\r\n" + body


ONE = b"1\r\nx\r\n0\r\n\r\n"
LENGTH = "Content-Length: 1"
CODED = "Transfer-Encoding: chunked"

# These are refused with 502 before anything reaches the client.
HOSTILE_HEADS = {
    "encoding gzip": answer("Transfer-Encoding: gzip", body=b"x"),
    "encoding gzip, chunked": answer("Transfer-Encoding: gzip, chunked", body=ONE),
    "encoding chunked, gzip": answer("Transfer-Encoding: chunked, gzip", body=ONE),
    "encoding chunked, chunked": answer("Transfer-Encoding: chunked, chunked", body=ONE),
    "encoding twice": answer(CODED, CODED, body=ONE),
    "encoding identity": answer("Transfer-Encoding: identity", LENGTH, body=b"x"),
    "encoding of no name": answer("Transfer-Encoding: ", body=ONE),
    "encoding xchunked": answer("Transfer-Encoding: xchunked", body=ONE),
    "encoding with a vertical tab": answer("Transfer-Encoding: \x0bchunked", body=ONE),
    "encoding in HTTP/1.0": answer(CODED, status="HTTP/1.0 200 OK", body=ONE),
    "encoding and length": answer(CODED, LENGTH, body=ONE),
    "length and encoding": answer(LENGTH, CODED, body=ONE),
    **{f"length {value!r}": answer(f"Content-Length: {value}", body=b"x") for value in (
        "abc", "+1", "-1", "1x", "1, 1", "1,2", "0x1", "", "1 1", "1.0", "1;a", "9" * 19, "9" * 20, "9" * 40,
        "18446744073709551617")},
    "two lengths": answer(LENGTH, "Content-Length: 2", body=b"xy"),
    "101 headers": answer(*(f"X-{number}: y" for number in range(100)), LENGTH, body=b"x"),
    "a head over 64 KiB": answer(*(f"X-{number}: {'y' * 2000}" for number in range(40)), LENGTH, body=b"x"),
    "a header over 64 KiB": answer(f"X: {'y' * 70000}", LENGTH, body=b"x"),
    "a reason over 64 KiB": answer(LENGTH, status=f"HTTP/1.1 200 {'y' * 70000}", body=b"x"),
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 40000,
    "nine answers of 1xx": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9 + answer(LENGTH, body=b"x"),
    "a flood of 1xx": b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
    "101 that nobody asked for": answer("Upgrade: websocket", "Connection: Upgrade", status="HTTP/1.1 101 Switching Protocols"),
    "a NUL in a value": answer("X: a\0b", LENGTH, body=b"x"),
    "a NUL in a name": answer("X\0: a", LENGTH, body=b"x"),
    "a bare CR in a value": answer("X: a\rY: b", LENGTH, body=b"x"),
    "a bare CR behind a value": answer("X: a\r", LENGTH, body=b"x"),
    "a control character in a value": answer("X: a\x01b", LENGTH, body=b"x"),
    "a DEL in a value": answer("X: a\x7fb", LENGTH, body=b"x"),
    "a control character in a name": answer("X\x02: a", LENGTH, body=b"x"),
    "a blank before the colon": answer("Content-Length : 1", body=b"x"),
    "a tab before the colon": answer("Content-Length\t: 1", body=b"x"),
    "a blank in a name": answer("X Y: a", LENGTH, body=b"x"),
    "an empty name": answer(": a", LENGTH, body=b"x"),
    "no colon": answer("XY", LENGTH, body=b"x"),
    "a folded line": answer("X: a", " b", LENGTH, body=b"x"),
    "a folded line of a tab": answer("X: a", "\tb", LENGTH, body=b"x"),
    "a folded first line": answer(" X: a", LENGTH, body=b"x"),
    "lines that end with LF": b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
    "one line that ends with LF": b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 1\r\n\r\nx",
    "a head that ends with LF": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\nx",
    "HTTP/0.9": b"<html>old</html>",
    "HTTP/1.2": answer(LENGTH, status="HTTP/1.2 200 OK", body=b"x"),
    "HTTP/2.0": answer(LENGTH, status="HTTP/2.0 200 OK", body=b"x"),
    "HTTP/11": answer(LENGTH, status="HTTP/11 200 OK", body=b"x"),
    "http in small letters": answer(LENGTH, status="http/1.1 200 OK", body=b"x"),
    "ICY": answer(LENGTH, status="ICY 200 OK", body=b"x"),
    "a status of two digits": answer(LENGTH, status="HTTP/1.1 20 OK", body=b"x"),
    "a status of four digits": answer(LENGTH, status="HTTP/1.1 2000 OK", body=b"x"),
    "a status under 100": answer(LENGTH, status="HTTP/1.1 099 Low", body=b"x"),
    "a status over 599": answer(LENGTH, status="HTTP/1.1 999 High", body=b"x"),
    "a status that is none": answer(LENGTH, status="HTTP/1.1 2O0 OK", body=b"x"),
    "a negative status": answer(LENGTH, status="HTTP/1.1 -200 OK", body=b"x"),
    "a bare CR in the reason": answer(LENGTH, status="HTTP/1.1 200 O\rK", body=b"x"),
    "a NUL in the reason": answer(LENGTH, status="HTTP/1.1 200 O\0K", body=b"x"),
    "a control character in the reason": answer(LENGTH, status="HTTP/1.1 200 O\x01K", body=b"x"),
    "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x28",
    "an HTTP/2 preface": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18,
    "blanks before it": b"  " + answer(LENGTH, body=b"x"),
    "NULs": b"\0" * 4000,
    "one endless line": b"HTTP/1.1 200 " + b"a" * 300000,
}

# The head may have reached the client already; then the client must see that the answer is broken.
HOSTILE_BODIES = {
    **{f"chunk size {size!r}": answer(CODED, body=size + b"\r\nx\r\n0\r\n\r\n") for size in (
        b"-5", b"5zz", b"+1", b"0x1", b"", b" 1", b"1 ", b"g", b"1\t", b"F" * 16, b"F" * 17, b"1" * 40, b"\x00", b"0" * 41 + b"1",
        b"0" * 15 + b"1")},
    "a chunk that ends with LF": answer(CODED, body=b"1\nx\r\n0\r\n\r\n"),
    "a chunk's data that end with LF": answer(CODED, body=b"1\r\nx\n0\r\n\r\n"),
    "a chunk longer than it says": answer(CODED, body=b"1\r\nxyz\r\n0\r\n\r\n"),
    "a last chunk that ends with LF": answer(CODED, body=b"1\r\nx\r\n0\n\n"),
    "an endless chunk extension": answer(CODED, body=b"1;" + b"a" * 100000 + b"\r\nx\r\n0\r\n\r\n"),
    "trailers over 4 KiB": answer(CODED, body=b"1\r\nx\r\n0\r\n" + b"X: y\r\n" * 1000 + b"\r\n"),
    **{f"trailer {trailer!r}": answer(CODED, body=b"1\r\nx\r\n0\r\n" + trailer) for trailer in (
        b"\n", b"X: a\n\r\n", b"X: a\r\n b\r\n\r\n", b"X : a\r\n\r\n", b": a\r\n\r\n", b"X: \x01\r\n\r\n", b"X\r\n\r\n")},
    "a last chunk of many zeros": answer(CODED, body=b"1\r\nx\r\n" + b"0" * 5000 + b"\r\n\r\n"),
    "a chunk extension with a bare CR": answer(CODED, body=b"1;a\rb\r\nx\r\n0\r\n\r\n"),
    "a trailer with a bare CR": answer(CODED, body=b"1\r\nx\r\n0\r\nX: a\rb\r\n\r\n"),
}

# Odd answers that are whole and can only be read in one way: (bytes, the body that the client gets).
HARMLESS = {
    "no reason": (answer(LENGTH, status="HTTP/1.1 200 ", body=b"x"), b"x"),
    "no reason and no blank": (answer(LENGTH, status="HTTP/1.1 200", body=b"x"), b"x"),
    "eight answers of 1xx": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 8 + answer(LENGTH, body=b"x"), b"x"),
    "Chunked in capitals": (answer("Transfer-Encoding: CHUNKED", body=ONE), b"x"),
    "chunk extensions": (answer(CODED, body=b"1;a=b\r\nx\r\n0;c\r\n\r\n"), b"x"),
    "leading zeros": (answer(CODED, body=b"0001\r\nx\r\n000\r\n\r\n"), b"x"),
    "small trailers": (answer(CODED, body=b"1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"), b"x"),
    "bytes behind it": (answer(LENGTH, body=b"xHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"), b"x"),
    "a body until the end": (answer("Connection: close", body=b"xyz"), b"xyz"),
    "HTTP/1.0 until the end": (answer(status="HTTP/1.0 200 OK", body=b"xyz"), b"xyz"),
    "UTF-8 in a value": (answer("X: \xc3\xa9", LENGTH, body=b"x"), b"x"),
    "many headers": (answer(*(f"X-{number}: y" for number in range(80)), LENGTH, body=b"x"), b"x"),
}
