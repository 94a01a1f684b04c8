"""Our HTTP protocol, byte by byte, against ``python -m bentos`` with limits that a test can reach."""

import contextlib
import gzip
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests import servers

GOOD = {"pokemon_a": "pikachu", "pokemon_b": "blastoise", "available_moves_a": ["thunderbolt"]}
BODY = json.dumps(GOOD).encode()
POST = b"POST /predict/battle HTTP/1.1\r\nHost: x\r\n"
WHOLE = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
LIMITS = {
    "PDX_HTTP_HEADER_BYTES": "2048",
    "PDX_HTTP_HEADER_SECONDS": "0.6",
    "PDX_HTTP_BODY_BYTES": "4096",
    "PDX_HTTP_BODY_SECONDS": "0.6",
    "PDX_HTTP_ARRIVING_BYTES": "12288",
    "PDX_HTTP_KEEP_ALIVE_SECONDS": "2",
    "PDX_HTTP_CONNECTIONS": "12",
    "PDX_LIMIT_IN_FLIGHT": "3",
    "PDX_LIMIT_NESTING": "8",
    "PDX_LIMIT_ROWS": "3",
    "PDX_LIMIT_OFFLOAD_ROWS": "2",
}


@pytest.fixture(scope="module")
def tight(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Process]:
    with servers.start(tmp_path_factory.mktemp("tight"), "--bundle", str(bundle), **LIMITS) as process:
        yield servers.ready(process)


@contextmanager
def connected(server: servers.Process) -> Iterator[socket.socket]:
    address = urlsplit(server.rest)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        yield connection


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def parsed(answer: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of one answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, json.loads(body[: int(headers["content-length"])])


def refused(answer: bytes, status: int, code: str) -> dict[str, str]:
    found, headers, body = parsed(answer)
    assert (found, body["code"]) == (status, code), body
    assert set(body) == {"error", "code", "details"}
    assert headers["connection"] == "close"
    return headers


def answers(server: servers.Process) -> None:
    """The process answers a good request as if nothing had happened."""
    assert httpx.post(f"{server.rest}/predict/battle", json=GOOD).status_code == 200
    assert "Traceback" not in server.text()


def test_a_head_that_is_too_long_is_refused_while_it_is_sent(tight: servers.Process) -> None:
    with connected(tight) as connection:
        connection.sendall(b"GET /docs HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 4000)
        refused(rest_of(connection), 431, "headers_too_large")
    answers(tight)


def test_a_head_that_is_too_long_is_refused_when_it_comes_at_once(tight: servers.Process) -> None:
    with connected(tight) as connection:
        # Behind another request in one write, so that no count of what was read finds it.
        connection.sendall(WHOLE + b"GET /docs HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 2100 + b"\r\n\r\n")
        answer = rest_of(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 431" in answer


def test_more_headers_than_anybody_sends_are_refused(tight: servers.Process) -> None:
    with connected(tight) as connection:
        lines = b"".join(b"a%d: 1\r\n" % number for number in range(200))
        connection.sendall(b"GET /docs HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n")
        refused(rest_of(connection), 431, "headers_too_large")


def test_a_head_that_does_not_end_is_refused_in_time(tight: servers.Process) -> None:
    with connected(tight) as connection:
        start = time.monotonic()
        for piece in (b"GET /docs HTTP/1.1\r\n", b"Host: x\r\n"):
            connection.sendall(piece)
            time.sleep(0.2)  # each byte must not give the client more time
        refused(rest_of(connection), 408, "too_slow")
        assert time.monotonic() - start < 5
    answers(tight)


def test_a_body_that_does_not_end_is_refused_in_time(tight: servers.Process) -> None:
    with connected(tight) as connection:
        start = time.monotonic()
        connection.sendall(POST + b"Content-Length: 100\r\n\r\n{")
        time.sleep(0.2)
        connection.sendall(b'"')
        refused(rest_of(connection), 408, "too_slow")
        assert time.monotonic() - start < 5
    answers(tight)


@pytest.mark.parametrize("framing", [b"Content-Length: 4097", b"Transfer-Encoding: chunked"])
def test_a_body_that_is_too_long_is_refused(tight: servers.Process, framing: bytes) -> None:
    with connected(tight) as connection:
        body = b" " * 4097
        if b"chunked" in framing:
            body = b"1001\r\n" + body + b"\r\n0\r\n\r\n"
        connection.sendall(POST + framing + b"\r\n\r\n" + body)
        refused(rest_of(connection), 413, "payload_too_large")
    answers(tight)


def test_a_packed_body_is_held_to_what_it_unpacks_to(tight: servers.Process) -> None:
    bomb = gzip.compress(b" " * 5_000_000)
    headers = {"content-encoding": "gzip"}
    answer = httpx.post(f"{tight.rest}/predict/battle", content=bomb[:4000], headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    answer = httpx.post(f"{tight.rest}/predict/battle", content=gzip.compress(b" " * 5000), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert httpx.post(f"{tight.rest}/predict/battle", content=gzip.compress(BODY), headers=headers).status_code == 200
    answer = httpx.post(f"{tight.rest}/predict/battle", content=BODY, headers={"content-encoding": "br"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_an_idle_connection_is_closed_and_a_used_one_kept(tight: servers.Process) -> None:
    with connected(tight) as used, connected(tight) as idle:
        end = time.monotonic() + 3.5
        while time.monotonic() < end:
            used.sendall(WHOLE)
            assert used.recv(65536).startswith(b"HTTP/1.1 200")
            time.sleep(0.5)
        assert rest_of(idle) == b""


def test_one_connection_more_than_allowed_is_turned_away(tight: servers.Process) -> None:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connected(tight)) for _ in range(12)]
        for connection in held:
            connection.sendall(WHOLE)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        with connected(tight) as one_more:
            headers = refused(rest_of(one_more), 503, "overloaded")
            assert headers["retry-after"] == "1"
    servers.until(lambda: httpx.post(f"{tight.rest}/predict/battle", json=GOOD).status_code == 200, tight)


def large(count: int) -> bytes:
    """A request of some 2,500 pairings, which are scored beside the loop, one request after another."""
    body = json.dumps({"pokemon_a": "mew", "pokemon_b": "mew"}).encode()
    return (POST + b"Content-Length: %d\r\n\r\n" % len(body) + body) * count


def in_flight(server: servers.Process) -> int:
    lines = httpx.get(f"{server.admin}/metrics").text.splitlines()
    return int(next(line for line in lines if line.startswith('api_requests_in_flight{transport="rest"}')).split()[1])


def test_more_requests_in_flight_than_allowed_are_turned_away_and_the_others_answered(tight: servers.Process) -> None:
    with contextlib.ExitStack() as stack:
        busy = [stack.enter_context(connected(tight)) for _ in range(8)]
        for connection in busy:
            connection.sendall(large(1))
        # Health is asked for when there is much to do.
        assert httpx.get(f"{tight.rest}/v2/health/ready").status_code == 200
        heads = [connection.recv(65536).partition(b"\r\n\r\n")[0] for connection in busy]
    statuses = [head.split()[1] for head in heads]
    assert statuses.count(b"200") >= 3
    assert set(statuses) == {b"200", b"503"}
    assert all(b"retry-after: 1" in head for head in heads if b" 503 " in head)
    servers.until(lambda: in_flight(tight) == 0, tight)


def test_what_clients_left_unfinished_is_in_flight_no_more(tight: servers.Process) -> None:
    for _ in range(4):
        with connected(tight) as connection:
            connection.sendall(large(2))
        with connected(tight) as connection:
            connection.sendall(POST + b"Content-Length: 100\r\n\r\n{")
    servers.until(lambda: in_flight(tight) == 0, tight)
    answers(tight)


def test_bodies_that_are_arriving_are_bounded_together(tight: servers.Process) -> None:
    with contextlib.ExitStack() as stack:
        begun = [stack.enter_context(connected(tight)) for _ in range(6)]
        for connection in begun:
            connection.sendall(POST + b"Content-Length: 4000\r\n\r\n" + b" " * 3000)
        refusals = []
        for connection in begun:
            connection.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                refusals.append(connection.recv(65536))
        # Four times 3,000 bytes are under the 12,288 that are allowed.
        assert len(refusals) == 2
        assert all(b'"code":"overloaded"' in answer for answer in refusals)
    servers.until(lambda: httpx.post(f"{tight.rest}/predict/battle", json=GOOD).status_code == 200, tight)


@pytest.mark.parametrize("trailer", [b"x-api-key: secret\r\n", b"x: " + b"y" * 1000 + b"\r\n"])
def test_trailers_are_bounded_and_no_headers(tight: servers.Process, trailer: bytes) -> None:
    body = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)
    head = POST + b"Transfer-Encoding: chunked\r\n"
    with connected(tight) as connection:
        connection.sendall(head + b"\r\n" + body + b"x-request-id: trailing\r\n\r\n")
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"trailing" not in answer
    with connected(tight) as connection:
        connection.sendall(head + b"\r\n" + body + trailer * 200 + b"\r\n")
        refused(rest_of(connection), 431, "headers_too_large")


def test_a_body_that_is_mostly_framing_is_refused(tight: servers.Process) -> None:
    with connected(tight) as connection:
        # A chunk may carry extensions, which are no body.
        chunks = (b"1;" + b"e" * 100 + b"\r\n \r\n") * 200
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        refused(rest_of(connection), 413, "payload_too_large")


def test_offers_without_end_are_ignored_without_end(tight: servers.Process) -> None:
    offer = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with connected(tight) as connection:
        connection.sendall(WHOLE + offer * 3000 + WHOLE.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        answer = rest_of(connection)
    assert answer.count(b"HTTP/1.1 200") == 3002
    assert in_flight(tight) == 0


def test_answers_wait_for_a_client_that_does_not_read(tight: servers.Process) -> None:
    before = tight.memory_mib()
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    with connected(tight) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(ask * 4000)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            assert tight.memory_mib() - before < 40
            time.sleep(0.05)
    answers(tight)


def test_a_client_that_does_not_read_is_let_go(tight: servers.Process) -> None:
    ask = b"GET /static_content/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
    with connected(tight) as connection:
        connection.sendall(ask * 20)
        time.sleep(4)
        answer = rest_of(connection)
    # Of 28 MB the kernel took some, and the rest waited for longer than a connection may be idle.
    assert 0 < len(answer) < 20_000_000
    answers(tight)


def test_rows_and_nesting_are_bounded(tight: servers.Process) -> None:
    record = {"pokemon_a": "pikachu", "move_a": "thunderbolt", "pokemon_b": "onix", "move_b": "earthquake"}
    ask = f"{tight.rest}/predict"
    assert httpx.post(ask, json={"records": [record] * 3}).status_code == 200
    answer = httpx.post(ask, json={"records": [record] * 4})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_rows")
    deep = b'{"records": ' + b"[" * 8 + b"]" * 8 + b"}"
    answer = httpx.post(ask, content=deep)
    assert "nested deeper than 8" in answer.json()["error"]
    assert "nested deeper" not in httpx.post(ask, content=b'{"records": ["' + b"[" * 50 + b'"]}').json()["error"]


def test_the_deadline_of_a_request_behind_a_slow_one_is_its_own(tight: servers.Process) -> None:
    for half, what in ((b"GET /v2 HTTP/1.1\r\nHo", "head"), (POST + b"Content-Length: 9\r\n\r\n{", "body")):
        with connected(tight) as connection:
            start = time.monotonic()
            connection.sendall(large(1) + half)
            answer = rest_of(connection)
        assert answer.startswith(b"HTTP/1.1 200")
        assert f"The {what} did not arrive".encode() in answer
        assert time.monotonic() - start < 5


def test_requests_in_a_row_are_answered_in_their_order(tight: servers.Process) -> None:
    # The second one's rows are scored beside the loop, so the third could overtake it.
    slow = json.dumps({**GOOD, "available_moves_a": None, "available_moves_b": ["surf", "icebeam"]}).encode()
    second = POST + b"Content-Length: %d\r\nx-request-id: two\r\n\r\n" % len(slow) + slow
    third = WHOLE.replace(b"Host: x", b"Host: x\r\nx-request-id: three\r\nConnection: close")
    with connected(tight) as connection:
        connection.sendall(WHOLE.replace(b"Host: x", b"Host: x\r\nx-request-id: one") + second + third)
        answer = rest_of(connection)
    assert answer.count(b"HTTP/1.1 200") == 3
    places = [answer.index(b"x-request-id: " + name) for name in (b"one", b"two", b"three")]
    assert places == sorted(places)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_request_may_come_in_pieces(tight: servers.Process, size: int) -> None:
    with connected(tight) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(WHOLE), size):
            connection.sendall(WHOLE[start : start + size])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_chunks_make_a_body(tight: servers.Process) -> None:
    half = len(BODY) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:half], BODY[half:], b""))
    with connected(tight) as connection:
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks)
        assert rest_of(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("framing", [b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked"])
def test_an_offer_of_another_protocol_is_ignored(tight: servers.Process, framing: bytes) -> None:
    body = BODY if b"Length" in framing else b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    with connected(tight) as connection:
        connection.sendall(POST + offer + framing + b"\r\n\r\n" + body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(WHOLE)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_client_that_asks_before_it_sends_is_told_to(tight: servers.Process) -> None:
    with connected(tight) as connection:
        connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    with connected(tight) as connection:
        connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 4097\r\n\r\n")
        refused(rest_of(connection), 413, "payload_too_large")


def test_who_may_not_send_is_told_before_it_sends(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("sha256:" + "0" * 64 + "\n")
    with servers.start(tmp_path, "--bundle", str(bundle), PDX_AUTH_KEYS_FILE=str(tmp_path / "keys")) as keyed:
        servers.ready(keyed)
        with connected(keyed) as connection:
            connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n")
            refused(rest_of(connection), 401, "unauthorized")
        # With its body there, the connection is as good as before.
        with connected(keyed) as connection:
            for _ in range(2):
                connection.sendall(WHOLE)
                answer = connection.recv(65536)
                assert answer.startswith(b"HTTP/1.1 401")
                assert b"connection: close" not in answer
        assert httpx.get(f"{keyed.rest}/v2/health/ready").status_code == 200
        assert httpx.get(f"{keyed.rest}/docs").status_code == 401


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n\r\n",
        b"GET /v2 HTTP/2.0\r\nHost: x\r\n\r\n",
        b"POST /v2 HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Connection: Upgrade\r\nUpgrade: h\r\nTransfer-Encoding: gzip\r\n\r\nab",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,  # a TLS client
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /docs HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\n",
        b"POST /docs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 99999999999999999999999999\r\n\r\n",
        POST + b"Bad Header: x\r\n\r\n",
        b"GARBAGE\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(tight: servers.Process, sent: bytes) -> None:
    with connected(tight) as connection:
        connection.sendall(sent)
        answer = rest_of(connection)
    status, headers, body = parsed(answer)
    assert status in {400, 413}
    assert (set(body), headers["connection"]) == ({"error", "code", "details"}, "close")
    answers(tight)


def test_http_1_0_is_answered_and_closed(tight: servers.Process) -> None:
    with connected(tight) as connection:
        connection.sendall(b"GET /v2/health/live HTTP/1.0\r\n\r\n")
        status, headers, body = parsed(rest_of(connection))
    assert (status, headers["connection"], body) == (200, "close", {"live": True})


def test_an_id_and_a_trace_of_the_callers_are_kept(tight: servers.Process) -> None:
    given = httpx.post(f"{tight.rest}/predict/battle", json=GOOD, headers={"x-request-id": "abc-1"})
    assert given.headers["x-request-id"] == "abc-1"
    made = {httpx.post(f"{tight.rest}/predict/battle", json=GOOD).headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    bad = httpx.post(f"{tight.rest}/predict/battle", json=GOOD, headers={"x-request-id": "a b\tc"})
    assert bad.headers["x-request-id"] != "a b\tc"
