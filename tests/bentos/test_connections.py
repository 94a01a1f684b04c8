"""Connections of the HTTP protocol whose clients are slow, or have said their last word; on a server of their own."""

import asyncio
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvloop

from bentos.core import Core
from bentos.errors import PredictionDexError
from bentos.http import Answer, Request, Response, refusal
from bentos.listen import Server, bind
from bentos.metrics import Metrics
from bentos.reader import Arriving, Limits, Reader
from bentos.rest import Rest
from bentos.settings import Settings
from bentos.state import State

KEEP_ALIVE = 2.0
LONG, LONGER = 2 << 20, 16 << 20
LENGTHS = {"/long": LONG, "/longer": LONGER}
"""Bytes of answers; the kernel has room for one of the first, and not for the second."""
LIMITS = Limits(
    header_bytes=4096,
    header_seconds=60,
    body_bytes=1 << 20,
    body_seconds=60,
    arriving_bytes=1 << 24,
    keep_alive_seconds=KEEP_ALIVE,
    connections=8,
)


class Handler:
    """Answers ``/long`` with many bytes, and ``/late`` in its own time."""

    stopping = False

    def admit(self, request: Request) -> None:
        """Everything is let in."""

    def release(self, request: Request) -> None:
        """Nothing is counted."""

    def refuse(self, request: Request, error: PredictionDexError) -> Response:  # noqa: ARG002  Handler's signature
        """The error itself."""
        return refusal(error)

    def handle(self, request: Request) -> Answer:
        """Answer now or later."""
        return self.late() if request.path == "/late" else Response(200, bytes(LENGTHS[request.path]))

    async def late(self) -> Response:
        """An answer that is not there at once."""
        await asyncio.sleep(0.2)
        return Response(200, b"late")


@contextmanager
def serving(
    factory: type[asyncio.AbstractEventLoop] | None = None, keep_alive_seconds: float = KEEP_ALIVE
) -> Iterator[int]:
    """The port of a server with the limits above, on a loop of its own."""
    listener = bind("127.0.0.1", 0, "a port")
    port: int = listener.getsockname()[1]
    stop = threading.Event()

    async def serve() -> None:
        server = Server(Handler(), listener, LIMITS._replace(keep_alive_seconds=keep_alive_seconds))
        server.start()
        await asyncio.to_thread(stop.wait)
        await server.stop()

    def run() -> None:
        with asyncio.Runner(loop_factory=factory or uvloop.new_event_loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield port
    finally:
        stop.set()
        thread.join()


def read_slowly(connection: socket.socket, piece: int, pause: float) -> int:
    """Bytes that come until the other side closes, read a piece at a time."""
    total = 0
    while data := connection.recv(piece, socket.MSG_WAITALL):
        total += len(data)
        time.sleep(pause)
    return total


def client(port: int) -> socket.socket:
    connection = socket.socket()
    # Not much, so that what the client has not read is the server's to keep.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 512 << 10)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", port))
    return connection


def test_long_answers_that_are_read_steadily_each_have_their_time() -> None:
    asked = b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with serving() as port, client(port) as connection:
        connection.sendall(asked * 7 + last)
        # Each takes a quarter of the time that one may, all of them more than one may.
        assert read_slowly(connection, LONG // 8, KEEP_ALIVE / 4 / 8) > 8 * LONG


def test_a_long_last_answer_has_as_long_as_any_other() -> None:
    with serving(keep_alive_seconds=15) as port, client(port) as connection:
        connection.sendall(b"GET /longer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read_slowly(connection, LONGER // 16, 0.25) > LONGER


@pytest.mark.parametrize("factory", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_who_sends_nothing_more_is_answered_and_let_go(factory: type[asyncio.AbstractEventLoop]) -> None:
    with serving(factory) as port, client(port) as connection:
        connection.sendall(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        connection.shutdown(socket.SHUT_WR)
        begun = time.monotonic()
        got = b"".join(iter(lambda: connection.recv(65536), b""))
        # Two answers of 0.2 s; the sweeper would close after the keep-alive time.
        assert time.monotonic() - begun < 0.4 + KEEP_ALIVE
    assert got.count(b"late") == 2


def test_pieces_of_just_a_requests_length_are_no_framing_without_an_end() -> None:
    one = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + bytes(20000)
    sent = one * 4
    reader = Reader(LIMITS, Arriving(), lambda _: None)
    for start in (0, 1000, *range(1000 + len(one), len(sent), len(one))):
        end = {0: 1000}.get(start, start + len(one))
        reader.feed(sent[start:end])
    assert reader.fault is None
    assert len(reader.ready) == 4


def test_what_is_packed_short_and_is_long_leaves_the_loop(bundle: Path) -> None:
    state = State()
    state.core = Core.open(bundle)
    rest = Rest(None, state=state, settings=Settings(), metrics=Metrics())
    body = gzip.compress(b'{"inputs": [' + b" " * (900 << 10) + b"]}")
    assert len(body) < 1024
    headers = {b"content-encoding": b"gzip"}
    name = state.core.contract.name

    async def ask() -> Response:
        request = Request("POST", f"/v2/models/{name}/infer", "", headers, body)
        answer = rest.handle(request)
        assert not isinstance(answer, Response)
        try:
            return await answer
        finally:
            rest.release(request)

    assert asyncio.run(ask()).status == 422
