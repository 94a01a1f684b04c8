"""The REST door's own limits where another HTTP server carries it, as under ``bentoml serve``."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from bentos.core import Core
from bentos.keys import Keys, line_of
from bentos.metrics import Metrics
from bentos.rest import Rest
from bentos.settings import Settings
from bentos.state import State
from tests.bentos.test_protocol import BODY, POST, WHOLE, parsed, rest_of

LIMIT = 4096


@contextmanager
def carried(core: Core, keys: Keys | None = None) -> Iterator[Any]:
    """A function that opens connections to the door in a plain uvicorn."""
    state = State()
    state.core = core
    settings = Settings.read({"http": {"body_bytes": LIMIT, "body_seconds": 0.5}})
    app: Any = Rest(None, state=state, settings=settings, metrics=Metrics(), keys=keys)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", log_config=None))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield lambda: socket.create_connection(listener.getsockname(), timeout=10)
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


@pytest.fixture(scope="module")
def connect(core: Core) -> Iterator[Any]:
    with carried(core) as opened:
        yield opened


def status_of(connection: socket.socket) -> int:
    status, _, _ = parsed(connection.recv(65536))
    return status


def closing(request: bytes) -> bytes:
    return request.replace(b"Host: x", b"Host: x\r\nConnection: close", 1)


@pytest.mark.parametrize("chunked", [False, True])
def test_the_longest_body(connect: Any, chunked: bool) -> None:
    for size, status in ((LIMIT, 200), (LIMIT + 1, 413)):
        body = BODY + b" " * (size - len(BODY))
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
        with connect() as connection:
            sent = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body) if chunked else body
            connection.sendall(closing(POST) + framing + b"\r\n\r\n" + sent)
            assert parsed(rest_of(connection))[0] == status


def test_a_body_far_beyond_the_limit_is_refused_before_its_end(connect: Any) -> None:
    with connect() as connection:
        connection.sendall(POST + b"Content-Length: 1000000\r\n\r\n" + b" " * (LIMIT * 8))
        assert status_of(connection) == 413


def test_a_body_that_does_not_end_is_refused_in_time(connect: Any) -> None:
    with connect() as connection:
        connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % LIMIT)
        connection.settimeout(0.1)
        end = time.monotonic() + 8
        answer = b""
        while not answer and time.monotonic() < end:
            connection.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(65536)
    status, _, body = parsed(answer)
    assert (status, body["code"]) == (408, "too_slow")


def test_keys_are_asked_for(core: Core, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(line_of("a-key-for-these-tests") + "\n")
    with carried(core, Keys.open(tmp_path / "keys")) as connect, connect() as connection:
        connection.sendall(WHOLE)
        assert status_of(connection) == 401
        connection.sendall(WHOLE.replace(b"Host: x", b"Host: x\r\nx-api-key: a-key-for-these-tests"))
        assert status_of(connection) == 200
