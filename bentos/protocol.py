"""HTTP/1.1 for one handler, with a limit on everything a client may take: our protocol class for uvicorn's server.

uvicorn's own classes read heads without a bound and wait for them for ever (httptools), or cost as much as a small
model does (h11), and start a task for each request. Here a request whose body has arrived is answered at once, in the
call that read its last byte; only what takes long becomes a task. llhttp, under httptools, does the parsing.

What ends a connection before its time:

    too many connections            503, closed
    head longer than header_bytes   431, closed
    head not complete in time       408, closed
    body longer than body_bytes     413, closed
    body not complete in time       408, closed
    not HTTP                        400, closed
    idle for longer than allowed    closed

Each of these answers lingers: what the client is still sending is read and thrown away for a moment, since closing on
unread bytes resets the connection, and the client would never see the answer.
"""

import asyncio
import http
from collections import deque
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final, NamedTuple, Protocol, cast
from urllib.parse import unquote

import httptools
from uvicorn.server import ServerState

from bentos.errors import (
    HeadersTooLarge,
    NotReady,
    Overloaded,
    PayloadTooLarge,
    PredictionDexError,
    RequestError,
    TooSlow,
)
from bentos.http import Answer, Request, Response

_LINGER_SECONDS: Final = 2.0
_LINGER_BODIES: Final = 4
"""How many times the limit of a body is read and thrown away after a refusal."""
_FRAMING: Final = (b"content-length", b"transfer-encoding")
_MOST_HEADERS: Final = 128
_DIGITS: Final = 19
"""Digits of the longest length that is read as a number."""
_ONE_WRITE: Final = 1 << 16
"""Bytes of a body up to which it is copied behind its head, which saves a system call."""
_SHORT: Final = 256
"""Bytes of a request line's target up to which what it decodes to is remembered."""
_NEVER: Final = float("inf")
_REASONS: Final = {status.value: status.phrase.encode() for status in http.HTTPStatus}


class Limits(NamedTuple):
    """What one connection, and all of them, may take.

    Attributes:
        header_bytes: longest head of a request.
        header_seconds: how long it may take.
        body_bytes: longest body.
        body_seconds: how long it may take.
        keep_alive_seconds: how long a connection may be idle.
        connections: open at the same time.
    """

    header_bytes: int
    header_seconds: float
    body_bytes: int
    body_seconds: float
    keep_alive_seconds: float
    connections: int


class Handler(Protocol):
    """What answers requests."""

    @property
    def stopping(self) -> bool:
        """Whether answers should send their clients elsewhere next time."""
        ...

    def admit(self, request: Request) -> None:
        """Called with the head of a request before its body is read; raises what it is refused with."""
        ...

    def release(self, request: Request) -> None:
        """Called once for each request that was admitted, when it is answered or its client is gone."""
        ...

    def handle(self, request: Request) -> Answer:
        """Answer a request; must not raise."""
        ...

    def refuse(self, request: Request | None, error: PredictionDexError) -> Response:
        """The answer to a request that is not to be handled; None where its head could not be read."""
        ...


@lru_cache(maxsize=256)
def _head(status: int, content_type: bytes) -> bytes:
    """An answer's first lines, up to the number of its bytes."""
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: " % (status, _REASONS[status], content_type)


def _target(url: bytes) -> tuple[str, str]:
    """Decoded path, and query, of a request line; raises HttpParserInvalidURLError and UnicodeDecodeError."""
    parsed = httptools.parse_url(url)
    path = (parsed.path or b"").decode("ascii")
    return unquote(path) if "%" in path else path, (parsed.query or b"").decode("ascii")


_known_target = lru_cache(maxsize=1024)(_target)


class HttpProtocol(asyncio.Protocol):
    """One connection.

    Args:
        handler: answers.
        limits: bounds.
        server_state: uvicorn's; its open connections and running tasks.
    """

    def __init__(self, handler: Handler, limits: Limits, server_state: ServerState) -> None:
        self._handler = handler
        self._limits = limits
        self._server_state = server_state
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self.deadline = _NEVER
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._count = 0
        self._head_bytes = 0
        self._in_head = False
        self._request: Request | None = None
        self._refusal: PredictionDexError | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._lingering = False
        self._closing = False
        self._keep = True
        self._offered = False
        self._resumed = False
        self._muted = False
        self._defaults: list[tuple[bytes, bytes]] = []
        self._default_lines = b""
        self._waiting: deque[tuple[Request, PredictionDexError | None, bool]] = deque()
        self._last: tuple[Request | None, PredictionDexError] | None = None
        self._task: asyncio.Task[None] | None = None

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it, or turn it away."""
        self._transport = cast(asyncio.Transport, transport)
        connections = self._server_state.connections
        full = len(connections) >= self._limits.connections
        connections.add(self)  # type: ignore[arg-type]  # declared for uvicorn's two classes
        self.deadline = self._loop.time() + self._limits.keep_alive_seconds
        if full:
            self._turn_away(Overloaded(f"There are {self._limits.connections} connections already."))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Forget it, and stop working for a client that is gone."""
        self._server_state.connections.discard(self)
        self._closing = True
        self.deadline = _NEVER
        if self._task is not None:
            self._task.cancel()
        if self._request is not None and self._refusal is None:
            self._handler.release(self._request)
        for request, refusal, _ in self._waiting:
            if refusal is None:
                self._handler.release(request)
        self._waiting.clear()
        self._request = None

    def eof_received(self) -> bool:
        """Keep the way back open for an answer that is being made."""
        return self._task is not None

    def pause_writing(self) -> None:
        """Read no more from a client that does not read."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self._transport is not None and not self._transport.is_closing() and self._task is None:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Parse, and answer whatever is complete."""
        if self._ended():
            self._body_bytes += len(data)
            if self._body_bytes > self._limits.body_bytes * _LINGER_BODIES:
                self._close()
            return
        limit = self._limits.header_bytes
        while data and not self._ended():
            piece = data
            if self._request is None:
                room = limit - self._head_bytes
                if room <= 0:
                    self._turn_away(HeadersTooLarge(f"The head is longer than {limit} bytes."))
                    return
                piece = data[:room]
                self._head_bytes += len(piece)
            self._feed(piece)
            data = data[len(piece) :]
        if self._in_head and self.deadline == _NEVER:
            self.deadline = self._loop.time() + self._limits.header_seconds

    # What uvicorn's server calls

    def shutdown(self) -> None:
        """Close now where nothing is on its way, else after the answer."""
        if self._lingering or (self._task is None and self._request is None and not self._in_head):
            self._close()

    def cut(self) -> None:
        """The time that a stopping server leaves is over: say so to whoever is still sending, and close."""
        if self._request is not None and not self._lingering and self._task is None:
            request, self._request = self._request, None
            if self._refusal is None:
                self._handler.release(request)
            error = NotReady("The server stopped before the request was read.")
            self._write(request, self._handler.refuse(request, error), keep=False)
        self._close()

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request's first byte."""
        if self._muted or self._ended():
            return
        self._url = b""
        self._headers = {}
        self._count = 0
        self._in_head = True
        self.deadline = _NEVER

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        if self._muted:
            return
        self._url += url
        self._count += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One whole header."""
        if self._muted:
            return
        name = name.lower()
        headers = self._headers
        self._count += len(name) + len(value) + 4
        headers[name] = b"%b, %b" % (headers[name], value) if name in headers else value

    def on_headers_complete(self) -> None:
        """Decide whether the body is worth reading."""
        if self._muted or self._ended():
            return
        self._offered = self._parser.should_upgrade()
        # HTTP/1.0 has keep-alive only as an extension with a header of its own.
        self._keep = self._parser.should_keep_alive() and self._parser.get_http_version() != "1.0"
        self._in_head = False
        self.deadline = _NEVER
        headers = self._headers
        try:
            path, query = _known_target(self._url) if len(self._url) <= _SHORT else _target(self._url)
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
            path, query = "", ""
        request = Request(self._parser.get_method().decode("ascii"), path, query, headers)
        self._request = request
        self._refusal = None
        self._body = []
        self._body_bytes = 0
        error = self._fault(headers)
        if error is None:
            try:
                self._handler.admit(request)
            except PredictionDexError as refusal:
                self._refusal = refusal
            if headers.get(b"expect", b"").lower() == b"100-continue" and self._refusal is None:
                self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        else:
            self._refusal = error
            self._turn_away(error)

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(data)
        if self._ended():
            return
        if self._body_bytes > self._limits.body_bytes:
            self._turn_away(_too_large(self._limits.body_bytes))
        elif self._refusal is None:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """A whole request: answer it, or queue it behind one that is being answered."""
        request, refusal = self._request, self._refusal
        if request is None or self._ended():
            return
        if self._offered:
            self._offered = False
            # llhttp takes what follows an offer for the other protocol; it is the body, where there is one.
            if b"transfer-encoding" in request.headers or request.headers.get(b"content-length", b"0") != b"0":
                self._resumed = True
                return
        body = self._body
        request.body = body[0] if len(body) == 1 else b"".join(body)
        self._request = None
        self._body = []
        self._head_bytes = 0
        if self._task is None:
            self._answer(request, refusal, self._keep)
        else:
            self._waiting.append((request, refusal, self._keep))
            # While an answer is made the socket is read, to hear when the client goes; but not for ever.
            if self._transport is not None:
                self._transport.pause_reading()

    # Our own

    def expire(self) -> None:
        """The deadline has passed: of an idle connection, a head, a body, or a client that does not read."""
        if self._in_head:
            self._turn_away(TooSlow(f"The head did not arrive within {self._limits.header_seconds:g} s."))
        elif self._request is not None and not self._lingering:
            self._turn_away(TooSlow(f"The body did not arrive within {self._limits.body_seconds:g} s."))
        elif self._transport is not None:
            self._transport.abort()

    def _ended(self) -> bool:
        """Whether what still comes is thrown away."""
        return self._lingering or self._closing

    def _fault(self, headers: dict[bytes, bytes]) -> RequestError | None:
        """What is wrong with a head that llhttp lets pass."""
        limits = self._limits
        if self._count > limits.header_bytes:
            return HeadersTooLarge(f"The head is longer than {limits.header_bytes} bytes.")
        if len(headers) > _MOST_HEADERS:
            return HeadersTooLarge(f"The head has more than {_MOST_HEADERS} headers.")
        length = headers.get(b"content-length")
        if length is not None:
            if not length.isdigit():
                return RequestError("The length of the body is no number.")
            if len(length) > _DIGITS or int(length) > limits.body_bytes:
                return _too_large(limits.body_bytes)
        return None

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # An offer of another protocol, as Java's client makes with its first request; a server may ignore it.
            self._parser = httptools.HttpRequestParser(self)
            if self._resumed and self._request is not None:
                self._resumed = False
                self._muted = True
                self._parser.feed_data(_framing(self._request.headers))
                self._muted = False
            rest = data[upgrade.args[0] :]
            if rest:
                self._feed(rest)
        except httptools.HttpParserError:
            if not self._ended():
                self._turn_away(RequestError("This is not HTTP/1.1."))
        if self._request is not None and self.deadline == _NEVER:
            self.deadline = self._loop.time() + self._limits.body_seconds

    def _answer(self, request: Request, refusal: PredictionDexError | None, keep: bool) -> None:
        if refusal is not None:
            self._write(request, self._handler.refuse(request, refusal), keep)
            return
        answer = self._handler.handle(request)
        if isinstance(answer, Response):
            self._handler.release(request)
            self._write(request, answer, keep)
            return
        self.deadline = _NEVER
        self._task = asyncio.create_task(self._later(request, answer, keep))
        self._server_state.tasks.add(self._task)

    async def _later(self, request: Request, answer: Awaitable[Response], keep: bool) -> None:
        task = self._task
        try:
            response = await answer
        except asyncio.CancelledError:
            # The client is gone, or it is the end of the time that a stopping server leaves to what is in flight.
            if not self._closing:
                error = NotReady("The server stopped before the request was answered.")
                self._write(request, self._handler.refuse(request, error), keep=False)
            raise
        finally:
            self._task = None
            self._handler.release(request)
            if task is not None:
                self._server_state.tasks.discard(task)
        if self._closing:
            return
        self._write(request, response, keep)
        self._go_on()

    def _go_on(self) -> None:
        """Answer what came while an answer was being made."""
        while self._waiting and self._task is None and not self._closing:
            self._answer(*self._waiting.popleft())
        if self._task is None and self._last is not None and not self._closing:
            request, error = self._last
            self._write(request, self._handler.refuse(request, error), keep=False, linger=True)
        elif self._task is None and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _write(self, request: Request | None, response: Response, keep: bool, *, linger: bool = False) -> None:
        keep = keep and not self._handler.stopping
        status, body, content_type, headers = response
        head = _head(status, content_type) + b"%d\r\n" % len(body) + self._default_headers()
        for name, value in headers:
            head += b"%b: %b\r\n" % (name, value)
        head += b"\r\n" if keep else b"connection: close\r\n\r\n"
        if request is not None and request.method == "HEAD":
            self._send(head)
        elif len(body) <= _ONE_WRITE:
            self._send(head + body)
        else:
            self._send(head)
            self._send(body)
        if keep:
            self.deadline = self._loop.time() + self._limits.keep_alive_seconds
        elif linger:
            self._linger()
        else:
            self._close()

    def _default_headers(self) -> bytes:
        """Uvicorn's date header as bytes; it makes a new list each second."""
        defaults = self._server_state.default_headers
        if defaults is not self._defaults:
            self._defaults = defaults
            self._default_lines = b"".join(b"%b: %b\r\n" % header for header in defaults)
        return self._default_lines

    def _turn_away(self, error: PredictionDexError) -> None:
        """Refuse in the middle of a request; where its end is, nobody knows."""
        request = self._request
        if request is not None and self._refusal is None:
            self._handler.release(request)
        self._refusal = error
        self._in_head = False
        self._request = None
        self._lingering = True
        self._body_bytes = 0
        if self._task is None:
            self._write(request, self._handler.refuse(request, error), keep=False, linger=True)
        else:
            self._last = (request, error)

    def _linger(self) -> None:
        """Throw away what still comes, for a moment."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write_eof()
        if not transport.is_reading():
            transport.resume_reading()
        self.deadline = self._loop.time() + _LINGER_SECONDS

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _close(self) -> None:
        self._closing = True
        self.deadline = _NEVER
        if self._transport is not None:
            self._transport.close()


class Sweeper:
    """Ends what is past its deadline: one look over all connections now and then costs less than a timer a request.

    Args:
        server_state: whose connections.
        seconds: how often.
    """

    def __init__(self, server_state: ServerState, seconds: float) -> None:
        self._server_state = server_state
        self._seconds = seconds

    async def run(self) -> None:
        """Sweep until cancelled."""
        now: Callable[[], float] = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._seconds)
            moment = now()
            for connection in list(self._server_state.connections):
                if isinstance(connection, HttpProtocol) and connection.deadline <= moment:
                    connection.expire()


def _framing(headers: dict[bytes, bytes]) -> bytes:
    """A head that says of the body that follows what the real one said."""
    kept = (b"%b: %b\r\n" % (name, headers[name]) for name in _FRAMING if name in headers)
    return b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(kept)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is longer than {limit} bytes.", [{"limit_bytes": limit}])


def sweep_seconds(limits: Limits) -> float:
    """How often to look for what is past its deadline: a tenth of the shortest one, at most each half second."""
    return min(0.5, limits.header_seconds / 10, limits.body_seconds / 10, limits.keep_alive_seconds / 10)
