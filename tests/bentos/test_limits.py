"""The limits of the REST door at their edges: the last that passes, the first that does not, and what is given back.

``test_protocol.py`` has what is refused at all, ``test_limits_connections.py`` what one connection does to others.
"""

import contextlib
import gzip
import json
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from bentos.keys import line_of
from tests import servers
from tests.bentos.test_protocol import BODY, POST, answers, connected, parsed, refused, rest_of

HEAD_BYTES, BODY_BYTES, IN_FLIGHT = 2048, 4096, 3
GET = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n"
MEW = json.dumps({"pokemon_a": "mew", "pokemon_b": "mew"}).encode()


@pytest.fixture(scope="module")
def edges(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Process]:
    """Limits of bytes and numbers near, those of time far."""
    limits = {
        "PDX_HTTP_HEADER_BYTES": str(HEAD_BYTES),
        "PDX_HTTP_BODY_BYTES": str(BODY_BYTES),
        "PDX_HTTP_ARRIVING_BYTES": str(2 * BODY_BYTES),
        "PDX_LIMIT_IN_FLIGHT": str(IN_FLIGHT),
        "PDX_LIMIT_NESTING": "8",
        "PDX_LIMIT_OFFLOAD_ROWS": "2",
        "PDX_STOP_DRAIN_SECONDS": "0",
    }
    with servers.start(tmp_path_factory.mktemp("edges"), "--bundle", str(bundle), **limits) as process:
        yield servers.ready(process)


@pytest.fixture(scope="module")
def roomy(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Process]:
    """Many requests in flight, and room for two bodies."""
    limits = {
        "PDX_HTTP_BODY_BYTES": str(BODY_BYTES),
        "PDX_HTTP_ARRIVING_BYTES": str(2 * BODY_BYTES),
        "PDX_LIMIT_IN_FLIGHT": "64",
        "PDX_LIMIT_OFFLOAD_ROWS": "2",
        "PDX_STOP_DRAIN_SECONDS": "0",
    }
    with servers.start(tmp_path_factory.mktemp("roomy"), "--bundle", str(bundle), **limits) as process:
        yield servers.ready(process)


@contextmanager
def stopped(server: servers.Process) -> Iterator[None]:
    """A server that does nothing meanwhile, and then finds everything that was sent to it at once."""
    state = Path(f"/proc/{server.popen.pid}/stat")
    server.popen.send_signal(signal.SIGSTOP)
    try:
        servers.until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", server, seconds=10)
        yield
    finally:
        server.popen.send_signal(signal.SIGCONT)


@contextmanager
def several(server: servers.Process, count: int) -> Iterator[list[socket.socket]]:
    """Connections that the server has accepted."""
    with ExitStack() as stack:
        made = [stack.enter_context(connected(server)) for _ in range(count)]
        for connection in made:
            connection.sendall(GET + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        yield made


def statuses(connections: Sequence[socket.socket]) -> list[int]:
    """Status of one answer on each, sorted."""
    return sorted(int(connection.recv(65536).split()[1]) for connection in connections)


def padded(body: bytes, size: int) -> bytes:
    return body + b" " * (size - len(body))


def posted(body: bytes, path: bytes = b"/predict/battle") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


# Heads


@pytest.mark.parametrize("where", ["header", "request line"])
def test_the_longest_head(edges: servers.Process, where: str) -> None:
    def head(size: int) -> bytes:
        lines = b"GET /v2/health/live?%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: %b\r\n\r\n"
        filler = b"x" * (size - len(lines) + 4)
        return lines % ((b"", filler) if where == "header" else (filler, b""))

    for size, status in ((HEAD_BYTES, 200), (HEAD_BYTES + 1, 431)):
        with connected(edges) as connection:
            assert len(head(size)) == size
            connection.sendall(head(size))
            assert parsed(rest_of(connection))[0] == status


def test_a_long_request_line_behind_another_request(edges: servers.Process) -> None:
    with connected(edges) as connection:
        connection.sendall(GET + b"\r\nGET /v2/health/live?" + b"x" * 2030 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = rest_of(connection)
    assert answer.count(b"HTTP/1.1 200") == answer.count(b"HTTP/1.1 431") == 1


def test_the_most_headers(edges: servers.Process) -> None:
    for count, status in ((128, 200), (129, 431)):
        lines = b"".join(b"a%d:1\r\n" % number for number in range(count - 2))
        with connected(edges) as connection:
            connection.sendall(GET + b"Connection: close\r\n" + lines + b"\r\n")
            assert parsed(rest_of(connection))[0] == status


def test_a_length_of_thousands_of_zeros_is_refused(server: servers.Process) -> None:
    # llhttp reads its value, and Python's int refuses so many digits.
    with connected(server) as connection:
        connection.sendall(POST + b"Content-Length: " + b"0" * 5000 + b"%d\r\n\r\n" % len(BODY) + BODY)
        refused(rest_of(connection), 413, "payload_too_large")
    answers(server)


def test_blanks_behind_a_value_are_none_of_it(edges: servers.Process) -> None:
    head = POST + b"Connection: close\r\nExpect: 100-continue \t\r\nContent-Length: %d \t\r\n\r\n" % len(BODY)
    with connected(edges) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 100")
        connection.sendall(BODY)
        assert parsed(rest_of(connection))[0] == 200


def test_long_targets_are_not_remembered(server: servers.Process) -> None:
    before = server.memory_mib()
    with httpx.Client(base_url=server.rest) as client:
        for number in range(1200):
            assert client.get(f"/v2/health/live?{number:0>15000}").status_code == 200
    assert server.memory_mib() - before < 12


# Bodies


@pytest.mark.parametrize("framing", [b"Content-Length: %d", b"Transfer-Encoding: chunked"])
def test_the_longest_body(edges: servers.Process, framing: bytes) -> None:
    for size, status in ((BODY_BYTES, 200), (BODY_BYTES + 1, 413)):
        body = padded(BODY, size)
        head = POST + (framing % size if b"%d" in framing else framing) + b"\r\nConnection: close\r\n\r\n"
        with connected(edges) as connection:
            connection.sendall(head + (body if b"%d" in framing else b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)))
            assert parsed(rest_of(connection))[0] == status


@pytest.mark.parametrize("size", [1, 7, 1000, BODY_BYTES])
def test_chunks_that_come_behind_their_head_make_a_body(edges: servers.Process, size: int) -> None:
    body = padded(BODY, BODY_BYTES)
    parts = [body[at : at + size] for at in range(0, BODY_BYTES, size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    with several(edges, 1) as (connection,):
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 100")
        with stopped(edges):
            connection.sendall(chunks + b"0\r\nx: y\r\n\r\n")
        assert statuses([connection]) == [200]


@pytest.mark.parametrize("begun", [b"0\r\nx: ", b"1;"], ids=["a trailer", "an extension of a chunk"])
def test_framing_without_an_end_is_refused_while_it_is_sent(server: servers.Process, begun: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n \r\n" + begun)
        with contextlib.suppress(ConnectionError):
            for _ in range(16):
                connection.sendall(b"x" * (256 << 10))
        status, _, body = parsed(rest_of(connection))
    assert (status, body["code"]) in {(413, "payload_too_large"), (431, "headers_too_large")}
    answers(server)


def test_what_was_arriving_is_given_back(edges: servers.Process) -> None:
    for _ in range(6):
        with connected(edges) as connection:
            connection.sendall(POST + b"Content-Length: 4000\r\nExpect: 100-continue\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 100")
            connection.sendall(b" " * 3000)
    with several(edges, 2) as connections:
        for connection in connections:
            connection.sendall(POST + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % BODY_BYTES)
            assert connection.recv(65536).startswith(b"HTTP/1.1 100")
            connection.sendall(padded(BODY, BODY_BYTES)[:-1])
        for connection in connections:
            connection.sendall(b" ")
        assert statuses(connections) == [200, 200]


def test_a_body_of_who_may_not_send_is_not_kept_and_takes_no_room(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(line_of("a-key-for-these-tests") + "\n")
    size, late = 4 << 20, 256 << 10
    settings = {
        "PDX_AUTH_KEYS_FILE": str(tmp_path / "keys"),
        "PDX_HTTP_ARRIVING_BYTES": str(2 * size),
        "PDX_STOP_DRAIN_SECONDS": "0",
    }
    with servers.start(tmp_path, "--bundle", str(bundle), **settings) as keyed:
        servers.ready(keyed)
        with several(keyed, 16) as connections:
            before = keyed.memory_mib()
            for connection in connections:
                connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % size + b" " * (size - late))
            assert httpx.get(f"{keyed.rest}/v2/health/live").status_code == 200
            assert keyed.memory_mib() - before < 24
            for connection in connections:
                connection.sendall(b" " * late)
            assert statuses(connections) == [401] * 16


def test_a_packed_body_is_held_to_the_limit_of_its_route(client: httpx.Client) -> None:
    def ask(size: int) -> httpx.Response:
        packed = gzip.compress(padded(BODY, size))
        return client.post("/predict/battle", content=packed, headers={"content-encoding": "gzip"})

    assert ask(32 << 10).status_code == 200
    refusal = ask((32 << 10) + 1)
    assert refusal.status_code == 413
    assert refusal.json()["details"] == [{"limit_bytes": 32 << 10}]


@pytest.mark.parametrize(
    "path", ["/predict/battle", "/predict", "/feedback", "/bento/predict_battle", "/v2/models/battle/infer"]
)
def test_every_route_bounds_nesting_by_the_setting(edges: servers.Process, path: str) -> None:
    def sentence(levels: int) -> str:
        body = b'{"records": ' + b"[" * (levels - 1) + b"]" * (levels - 1) + b', "inputs": [1]}'
        return str(httpx.post(f"{edges.rest}{path}", content=body).json()["error"])

    assert sentence(9) == "The body is nested deeper than 8 levels."
    assert "nested" not in sentence(8)


# In flight


def test_whoever_comes_when_all_places_are_taken_is_refused_before_its_body(edges: servers.Process) -> None:
    with several(edges, IN_FLIGHT + 2) as (*busy, small, health):
        with stopped(edges):
            for connection in busy:
                connection.sendall(posted(MEW))
            small.sendall(POST + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(BODY))
            health.sendall(GET + b"\r\n")
        assert statuses(busy) == [200] * IN_FLIGHT
        answer = small.recv(65536)
        assert refused(answer, 503, "overloaded")["retry-after"] == "1"
        assert b"requests in flight already" in answer
        assert statuses([health]) == [200]


@pytest.mark.parametrize("path", [b"/predict/battle", b"/bento/predict_battle"])
def test_who_was_let_in_finds_no_place_when_its_body_is_there(edges: servers.Process, path: bytes) -> None:
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n" % (path, len(MEW))
    for _ in range(2):  # and all places are given back
        with several(edges, IN_FLIGHT + 1) as connections:
            for connection in connections:
                connection.sendall(head)
                assert connection.recv(65536).startswith(b"HTTP/1.1 100")
            with stopped(edges):
                for connection in connections:
                    connection.sendall(MEW)
            assert statuses(connections) == [200] * IN_FLIGHT + [503]


def test_bodies_that_wait_for_their_answers_are_bounded_together(roomy: servers.Process) -> None:
    request = posted(padded(MEW, BODY_BYTES))
    for _ in range(3):  # and what they held is given back
        with several(roomy, 3) as connections:
            with stopped(roomy):
                for connection in connections:
                    connection.sendall(request)
            found = [connection.recv(65536) for connection in connections]
        assert sorted(int(answer.split()[1]) for answer in found) == [200, 200, 503]
        assert sum(b"Bodies of 8192 bytes are waiting already." in answer for answer in found) == 1
