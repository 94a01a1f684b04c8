"""From the bytes of a connection to requests, with a limit on everything that a client may send.

llhttp, under httptools, does the parsing; what it lets pass and a server should not is refused here: heads and trailers
without an end, lengths of a thousand digits, bodies wrapped in more framing than content.
"""

import logging
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote

import httptools

from bentos.errors import HeadersTooLarge, Overloaded, PayloadTooLarge, PredictionDexError, RequestError
from bentos.http import Request

Phase = Literal["idle", "head", "body"]

_MOST_HEADERS: Final = 128
_DIGITS: Final = 19
"""Digits of the longest length that is read as a number; Python refuses to read thousands of them."""
_SHORT: Final = 256
"""Bytes of a request line's target up to which what it decodes to is remembered."""
_VERSIONS: Final[dict[str, tuple[bytes | None, bytes | None]]] = {
    "1.1": (b"host", None),
    "1.0": (None, b"transfer-encoding"),
}
"""Versions that are spoken, and of each a header that is required and one that it cannot have."""
_FRAMING: Final = (b"content-length", b"transfer-encoding")
_WRAPPING: Final = 8
"""Bytes of framing that a byte of a chunked body may take; a chunk of one byte takes six."""

log = logging.getLogger(__name__)


class Limits(NamedTuple):
    """What one connection, and all of them, may take.

    Attributes:
        header_bytes: longest head of a request.
        header_seconds: how long it may take.
        body_bytes: longest body.
        body_seconds: how long it may take.
        arriving_bytes: bodies that are still arriving, of all connections together.
        keep_alive_seconds: how long a connection may be idle.
        connections: open at the same time.
    """

    header_bytes: int
    header_seconds: float
    body_bytes: int
    body_seconds: float
    arriving_bytes: int
    keep_alive_seconds: float
    connections: int


class Arriving:
    """Bytes of bodies that are still arriving, shared by the connections of a door."""

    def __init__(self) -> None:
        self.used = 0


Incoming = tuple[Request, PredictionDexError | None, bool]
"""A whole request; why its head was refused, so that its body was thrown away, or None; and whether the client wants to
keep the connection."""


def _target(url: bytes) -> tuple[str, str]:
    """Decoded path, and query, of a request line; raises HttpParserInvalidURLError and UnicodeDecodeError."""
    parsed = httptools.parse_url(url)
    path = (parsed.path or b"").decode("ascii")
    return unquote(path) if "%" in path else path, (parsed.query or b"").decode("ascii")


_known_target = lru_cache(maxsize=1024)(_target)


class Reader:
    """Reads the requests of one connection.

    Args:
        limits: bounds.
        arriving: shared by the door's connections.
        admit: called with each head before its body is read; raises PredictionDexError.

    Attributes:
        phase: of the request that is arriving.
        messages: how many have begun.
        ready: requests that are whole, in their order.
        request: the one whose body is arriving.
        fault: why nothing more is read; where the request that it is about ends, nobody knows.
    """

    def __init__(self, limits: Limits, arriving: Arriving, admit: Callable[[Request], None]) -> None:
        self.phase: Phase = "idle"
        self.messages = 0
        self.ready: deque[Incoming] = deque()
        self.request: Request | None = None
        self.fault: PredictionDexError | None = None
        self._limits = limits
        self._arriving = arriving
        self._admit = admit
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._head_fed = 0
        self._refusal: PredictionDexError | None = None
        self._body: bytes | bytearray = b""
        self._body_bytes = 0
        self._body_fed = 0
        self._unheard = 0
        self._accounted = 0
        self._keep = True
        self._offered = False
        self._resumed = False
        self._muted = False

    def feed(self, data: bytes) -> None:
        """Read on."""
        while data and self.fault is None:
            piece = data
            heard, began = -1, self.messages
            if self.phase == "body":
                self._body_fed += len(piece)
                heard = self._body_bytes + self._head_bytes
            else:
                room = self._limits.header_bytes - self._head_fed
                if room <= 0:
                    self.fault = self._too_long_a_head()
                    break
                piece = data[:room]
                self._head_fed += len(piece)
            data = self._parse(piece) + data[len(piece) :]
            # What was fed may end in the body of another request, about which this piece says nothing.
            if heard >= 0 and self.phase == "body" and began == self.messages:
                self._check_framing(len(piece) if heard == self._body_bytes + self._head_bytes else 0)
        if self._accounted or self.phase == "body":
            self._account()

    def close(self) -> None:
        """Forget the request that is arriving."""
        self.request = None
        self._body = b""
        self.phase = "idle"
        self._account()

    def _parse(self, piece: bytes) -> bytes:
        """Parse a piece; gives back what follows an offer of another protocol."""
        try:
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                # As Java's client makes one with its first request; a server may ignore it.
                self._parser = httptools.HttpRequestParser(self)
                if self._resumed and self.request is not None:
                    self._muted = True
                    self._parser.feed_data(_framing(self.request.headers))
                    self._muted = self._resumed = False
                return piece[upgrade.args[0] :]
        except httptools.HttpParserCallbackError as error:
            log.exception("reading a request failed", exc_info=error.__context__ or error)
            self.fault = PredictionDexError("The server failed while it read this request.")
        except httptools.HttpParserError:
            self.fault = self.fault or RequestError("This is not HTTP/1.1.")
        return b""

    def _check_framing(self, unheard: int) -> None:
        """Bound what is around a body's bytes, once what was fed is parsed: until then it may all be body.

        Args:
            unheard: bytes just fed of which the parser told nothing, and may keep all: an extension of a chunk, or a
                trailer, that has no end yet.
        """
        self._unheard = self._unheard + unheard if unheard else 0
        if self._unheard > self._limits.header_bytes:
            self.fault = self.fault or self._too_long_a_head()
        # A body of many small chunks is mostly framing.
        if self._body_fed - self._body_bytes > self._limits.header_bytes + _WRAPPING * self._body_bytes:
            self.fault = self.fault or too_large(self._limits.body_bytes)

    def _account(self) -> None:
        """Hold what is arriving against what all connections together may hold."""
        held = self._body_bytes if self.phase == "body" and self.fault is None and self._refusal is None else 0
        self._arriving.used += held - self._accounted
        self._accounted = held
        limit = self._limits.arriving_bytes
        if held and self._arriving.used > limit:
            self.fault = Overloaded(f"Bodies of {limit} bytes are arriving already.")
            self._account()

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request's first byte."""
        if self.fault is not None or self._muted:
            return
        self.messages += 1
        self.phase = "head"
        self._url = b""
        self._headers = {}
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        if not self._muted:
            self._url += url
            self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One whole header, or trailer."""
        if self._muted:
            return
        self._head_bytes += len(name) + len(value) + 4
        if self.phase != "head":
            # A trailer must not pass for a header that was looked at when the request was let in.
            if self._head_bytes > self._limits.header_bytes:
                self.fault = self.fault or self._too_long_a_head()
            return
        name = name.lower()
        headers = self._headers
        if name == b"host" and name in headers:
            self.fault = self.fault or RequestError("The request names two hosts.")
        value = value.rstrip(b" \t")  # which llhttp leaves there, and RFC 9110 says is none of the value
        headers[name] = b"%b, %b" % (headers[name], value) if name in headers else value

    def on_headers_complete(self) -> None:
        """Decide whether the body is worth reading."""
        if self.fault is not None or self._muted:
            return
        parser, headers = self._parser, self._headers
        self._offered = parser.should_upgrade()
        # HTTP/1.0 has keep-alive only as an extension with a header of its own.
        version = parser.get_http_version()
        self._keep = parser.should_keep_alive() and version != "1.0"
        try:
            path, query = _known_target(self._url) if len(self._url) <= _SHORT else _target(self._url)
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
            path, query = "", ""
        self.request = request = Request(parser.get_method().decode("ascii"), path, query, headers)
        self._body = b""
        self._body_bytes = self._body_fed = self._unheard = 0
        self._refusal = None
        self.fault = self._head_fault(headers, version)
        if self.fault is None:
            try:
                self._admit(request)
            except PredictionDexError as refusal:
                # Its traceback holds the frames that read, and they what was read.
                self._refusal = refusal.with_traceback(None)
            self.phase = "body"

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if self.fault is not None:
            return
        self._body_bytes += len(data)
        if self._body_bytes > self._limits.body_bytes:
            self.fault = too_large(self._limits.body_bytes)
        elif self._refusal is None:
            if not self._body:
                self._body = data
            else:
                # A list of the pieces would take twenty times the memory of a body that comes in pairs of bytes.
                if isinstance(self._body, bytes):
                    self._body = bytearray(self._body)
                self._body += data

    def on_message_complete(self) -> None:
        """A whole request."""
        request = self.request
        if request is None or self.fault is not None:
            return
        if self._offered:
            self._offered = False
            # llhttp takes what follows an offer for the other protocol; it is the body, where there is one.
            if b"transfer-encoding" in request.headers or request.headers.get(b"content-length", b"0") != b"0":
                self._resumed = True
                return
        request.body = bytes(self._body)
        self.ready.append((request, self._refusal, self._keep))
        self.request = None
        self._body = b""
        self._head_fed = 0
        self.phase = "idle"

    def invite(self) -> bool:
        """Whether the client waits to be told to send the body that it announced; one refused has not to send it."""
        request = self.request
        if (
            request is None
            or self._body_bytes
            or self.fault is not None
            or request.headers.get(b"expect", b"").lower() != b"100-continue"
        ):
            return False
        self.fault = self._refusal
        return self.fault is None

    def _head_fault(self, headers: dict[bytes, bytes], version: str) -> RequestError | None:
        """What is wrong with a head that llhttp lets pass."""
        limits = self._limits
        required, forbidden = _VERSIONS.get(version, (b"no such version", None))
        if (required is not None and required not in headers) or forbidden in headers:
            return RequestError("This is not HTTP/1.1.")
        if self._head_bytes > limits.header_bytes:
            return self._too_long_a_head()
        if len(headers) > _MOST_HEADERS:
            return HeadersTooLarge(f"The head has more than {_MOST_HEADERS} headers.")
        length = headers.get(b"content-length")
        if length is not None:
            if not length.isdigit():
                return RequestError("The length of the body is no number.")
            if len(length) > _DIGITS or int(length) > limits.body_bytes:
                return too_large(limits.body_bytes)
        return None

    def _too_long_a_head(self) -> HeadersTooLarge:
        return HeadersTooLarge(f"The head is longer than {self._limits.header_bytes} bytes.")


def too_large(limit: int) -> PayloadTooLarge:
    """The error of a body of more than ``limit`` bytes."""
    return PayloadTooLarge(f"The body is longer than {limit} bytes.", [{"limit_bytes": limit}])


def _framing(headers: dict[bytes, bytes]) -> bytes:
    """A head that says of the body that follows what the real one said."""
    kept = (b"%b: %b\r\n" % (name, headers[name]) for name in _FRAMING if name in headers)
    return b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(kept)
