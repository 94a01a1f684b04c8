"""What connections that ask much, read nothing or take long may cost the REST door, and the admin door's limits."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests import servers
from tests.bentos.test_limits import GET, MEW, padded, posted, several, statuses, stopped
from tests.bentos.test_protocol import GOOD, POST, WHOLE, answers, connected, parsed, refused, rest_of

BODY_BYTES, CONNECTIONS = 4096, 12
STATIC = 'api_requests_total{transport="rest",route="/static_content/{file}",class="ok",'


@pytest.fixture(scope="module")
def hasty(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Process]:
    """Half a second for a head and for a body, and an hour for everything else."""
    limits = {
        "PDX_HTTP_HEADER_SECONDS": "0.5",
        "PDX_HTTP_BODY_SECONDS": "0.5",
        "PDX_HTTP_KEEP_ALIVE_SECONDS": "3600",
        "PDX_STOP_DRAIN_SECONDS": "0",
    }
    with servers.start(tmp_path_factory.mktemp("hasty"), "--bundle", str(bundle), **limits) as process:
        yield servers.ready(process)


@pytest.fixture(scope="module")
def lapsing(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Process]:
    """A second for an idle connection, and an hour for everything else."""
    limits = {
        "PDX_HTTP_HEADER_SECONDS": "3600",
        "PDX_HTTP_BODY_SECONDS": "3600",
        "PDX_HTTP_KEEP_ALIVE_SECONDS": "1",
        "PDX_HTTP_BODY_BYTES": str(BODY_BYTES),
        "PDX_HTTP_CONNECTIONS": str(CONNECTIONS),
        "PDX_STOP_DRAIN_SECONDS": "0",
    }
    with servers.start(tmp_path_factory.mktemp("lapsing"), "--bundle", str(bundle), **limits) as process:
        yield servers.ready(process)


@contextmanager
def to_admin(server: servers.Process) -> Iterator[socket.socket]:
    address = urlsplit(server.admin)
    with socket.create_connection((address.hostname, address.port), timeout=15) as connection:
        yield connection


def asked(server: servers.Process) -> int:
    """Status of an answer; 0 for one that was lost, as it may be where the server closes without reading."""
    try:
        return httpx.get(f"{server.rest}/v2/health/live").status_code
    except httpx.TransportError:
        return 0


def closing(request: bytes) -> bytes:
    return request.replace(b"Host: x", b"Host: x\r\nConnection: close", 1)


def dripped(connection: socket.socket, begun: bytes, drop: bytes) -> bytes:
    """What is answered to a client that sends on for ever, a little at a time, and never ends."""
    connection.sendall(begun)
    connection.settimeout(0.1)
    answer = b""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        with contextlib.suppress(TimeoutError, ConnectionError):
            chunk = connection.recv(65536)
            if not chunk:
                return answer
            answer += chunk
            continue
        with contextlib.suppress(ConnectionError):
            connection.sendall(drop)
    raise AssertionError("the server waited for as long as the client liked")


# Requests behind each other


def test_many_requests_of_one_connection_do_not_keep_others_waiting(server: servers.Process) -> None:
    answer = httpx.post(f"{server.rest}/predict/battle", json=GOOD).json()
    best = answer["all_moves"][0]
    outcome = {"prediction_id": answer["prediction_id"], "outcome": "a", "move_a": best["move"]}
    feedback = posted(json.dumps({**outcome, "move_b": best["best_reply"]}).encode(), b"/feedback")
    count = 1000  # in one read
    with several(server, 2) as (many, one):
        with stopped(server):
            many.sendall((GET + b"\r\n") * count + closing(feedback))
            one.sendall(closing(feedback))
        # The first of two equal outcomes counts, so the answers say which was first.
        assert b'"status":"counted"' in rest_of(one)
        last = rest_of(many)
    assert last.count(b"HTTP/1.1 200") == count + 1
    assert b'"status":"duplicate"' in last


def test_requests_behind_a_slow_one_are_not_read(server: servers.Process) -> None:
    request = posted(padded(MEW, 32 << 10)) * 8
    sent = 0
    with connected(server) as connection:
        connection.settimeout(0.1)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                sent += connection.send(request)
    # The kernel takes some of it, and meanwhile a hundred are answered; read as they come, it would be far more.
    assert sent < 32 << 20
    answers(server)


def test_who_does_not_read_is_answered_no_more(server: servers.Process) -> None:
    ask = b"GET /static_content/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"

    def answered() -> int:
        lines = httpx.get(f"{server.admin}/metrics").text.splitlines()
        return sum(int(float(line.split()[-1])) for line in lines if STATIC in line)

    before = answered()
    with several(server, 2) as (deaf, other):
        deaf.sendall(ask * 500)
        servers.until(lambda: answered() > before, server)
        for _ in range(50):  # turns of the loop, in each of which it could answer 32
            other.sendall(GET + b"\r\n")
            assert statuses([other]) == [200]
        assert answered() - before < 50


# Time


@pytest.mark.parametrize(
    ("begun", "drop"),
    [
        (b"GET /docs HTTP/1.1\r\nHost: x\r\nX: ", b"x"),
        (WHOLE + b"GET /docs HTTP/1.1\r\nHost: x\r\nX: ", b"x"),
        (POST + b"Content-Length: 4000\r\n\r\n", b" "),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
    ids=["head", "second head", "body", "chunks"],
)
def test_no_byte_gives_its_sender_more_time(hasty: servers.Process, begun: bytes, drop: bytes) -> None:
    with connected(hasty) as connection:
        answer = dripped(connection, begun, drop)
    refused(answer[answer.index(b"HTTP/1.1 408") :], 408, "too_slow")
    answers(hasty)


def test_line_breaks_keep_no_idle_connection(lapsing: servers.Process) -> None:
    with connected(lapsing) as connection:
        assert dripped(connection, b"\r\n", b"\r\n") == b""


def test_who_was_refused_and_stays_gives_its_place_back(lapsing: servers.Process) -> None:
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(connected(lapsing))
            connection.sendall(b"GARBAGE\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 400")
        assert asked(lapsing) in {0, 503}
        servers.until(lambda: asked(lapsing) == 200, lapsing, seconds=15)


def test_who_was_refused_and_sends_on_is_cut_off(lapsing: servers.Process) -> None:
    sent = 0
    with connected(lapsing) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GARBAGE\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 400")
        while True:
            sent += connection.send(b"x" * (256 << 10))
    # The kernel takes some of it; in the two seconds that a client has to read its answer, hundreds of times as much.
    assert sent < 32 << 20
    answers(lapsing)


# The admin door


ADMIN_CASES: list[tuple[bytes, int]] = [
    (b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: " + b"x" * (15 << 10) + b"\r\n\r\n", 200),
    (b"GET /readyz HTTP/1.1\r\nHost: x\r\nX: " + b"x" * (16 << 10), 431),
    (b"POST /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1024\r\n\r\n" + b" " * 1024, 405),
    (b"POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 1025\r\n\r\n" + b" " * 1025, 413),
]


@pytest.mark.parametrize(("sent", "status"), ADMIN_CASES)
def test_the_admin_door_bounds_what_is_sent(server: servers.Process, sent: bytes, status: int) -> None:
    with to_admin(server) as connection:
        connection.sendall(sent)
        assert parsed(rest_of(connection))[0] == status


def test_the_admin_door_waits_five_seconds_for_a_request(server: servers.Process) -> None:
    line = b"GET /readyz HTTP/1.1\r\n"
    with to_admin(server) as head, to_admin(server) as body:
        head.sendall(line)
        body.sendall(line + b"Host: x\r\nContent-Length: 9\r\n\r\n")
        for connection in (head, body):
            assert b"within 5 s" in rest_of(connection)


def test_the_admin_door_bounds_its_connections(server: servers.Process) -> None:
    opened = 0
    with ExitStack() as stack:
        while opened < 300:
            connection = stack.enter_context(to_admin(server))
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            if connection.recv(65536).startswith(b"HTTP/1.1 503"):
                break
            opened += 1
    # Those of earlier tests may take a moment to be counted out.
    assert 240 < opened <= 256
    servers.until(server.ready, server)
