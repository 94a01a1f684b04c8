"""HTTP/1.1 for one handler: our protocol class for uvicorn's server.

uvicorn's own classes read heads without a bound and wait for them for ever (httptools), or cost as much as a small
model does (h11), and start a task for each request. Here a request whose body has arrived is answered at once, in the
call that read its last byte; only what takes long becomes a task.

What ends a connection before its time:

    too many connections            503, closed
    head longer than header_bytes   431, closed
    head not complete in time       408, closed
    body longer than body_bytes     413, closed
    body not complete in time       408, closed
    not HTTP                        400, closed
    idle, or not reading its        closed
    answers, for longer than allowed

Each of these answers lingers: what the client is still sending is read and thrown away for a moment, since closing on
unread bytes resets the connection, and the client would never see the answer.
"""

import asyncio
import http
import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final, Protocol, cast

from uvicorn.server import ServerState

from bentos.errors import NotReady, Overloaded, PredictionDexError, TooSlow
from bentos.http import Answer, Request, Response, refusal
from bentos.reader import Arriving, Incoming, Limits, Reader

_LINGER_SECONDS: Final = 2.0
"""How long a client may take to read a last answer."""
_LINGER_BODIES: Final = 4
"""How many times the limit of a body is read and thrown away meanwhile."""
_IN_A_ROW: Final = 32
"""Requests of one connection that are answered before others have their turn."""
_ONE_WRITE: Final = 1 << 16
"""Bytes of a body up to which it is copied behind its head, which saves a system call."""
_NEVER: Final = float("inf")
_REASONS: Final = {status.value: status.phrase.encode() for status in http.HTTPStatus}
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_FAILED: Final = refusal(PredictionDexError("The server failed on this request."))

log = logging.getLogger(__name__)


class Handler(Protocol):
    """What answers requests."""

    @property
    def stopping(self) -> bool:
        """Whether answers should send their clients elsewhere next time."""
        ...

    def admit(self, request: Request) -> None:
        """Called with the head of a request before its body is read; raises what it is refused with."""
        ...

    def handle(self, request: Request) -> Answer:
        """Answer a request, now or later."""
        ...

    def release(self, request: Request) -> None:
        """Called once for each answer that was to come later, when it came or will not."""
        ...

    def refuse(self, request: Request, error: PredictionDexError) -> Response:
        """The answer to a request that is not to be handled; an empty one where its head could not be read."""
        ...


@lru_cache(maxsize=256)
def _head(status: int, content_type: bytes) -> bytes:
    """An answer's first lines, up to the number of its bytes."""
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: " % (status, _REASONS[status], content_type)


class HttpProtocol(asyncio.Protocol):
    """One connection.

    Args:
        handler: answers.
        limits: bounds.
        arriving: bytes that are arriving on all connections of the door.
        server_state: uvicorn's; its open connections and running tasks.
    """

    def __init__(self, handler: Handler, limits: Limits, arriving: Arriving, server_state: ServerState) -> None:
        self._handler = handler
        self._limits = limits
        self._server_state = server_state
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(limits, arriving, handler.admit)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._stage: tuple[int, str] | None = None
        self._deadline = _NEVER  # of that stage, by the loop's clock
        self._reading = True
        self._paused = False  # the client does not read its answers
        self._ended = False  # the last answer is written; what still comes is thrown away
        self._thrown_away = 0
        self._half_closed = False  # the client sends nothing more
        self._defaults: list[tuple[bytes, bytes]] = []
        self._default_lines = b""

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it, or turn it away."""
        self._transport = cast(asyncio.Transport, transport)
        connections = self._server_state.connections
        full = len(connections) >= self._limits.connections
        connections.add(self)  # type: ignore[arg-type]  # declared for uvicorn's two classes
        if full:
            # Nothing of it was read, and who lingers would hold what there is too little of.
            error = Overloaded(f"There are {self._limits.connections} connections already.")
            self._refuse(None, error)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Forget it, and stop working for a client that is gone."""
        self._server_state.connections.discard(self)
        self._ended = True
        self._transport = None
        self._reader.ready.clear()
        self._reader.close()
        if self._task is not None:
            self._task.cancel()

    def eof_received(self) -> bool:
        """Keep the way back open for answers that are being made."""
        self._half_closed = True
        return self._task is not None or bool(self._reader.ready)

    def pause_writing(self) -> None:
        """Answer no more of a client that does not read."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on; of several long answers each has its own time to be read."""
        self._paused = False
        self._stage = None
        self._go_on()

    def data_received(self, data: bytes) -> None:
        """Read, and answer whatever is complete."""
        if self._ended:
            self._thrown_away += len(data)
            if self._thrown_away > self._limits.body_bytes * _LINGER_BODIES:
                self._abort()
            return
        self._reader.feed(data)
        if self._reader.phase == "body" and self._reader.invite():
            self._send(_CONTINUE)
        self._go_on()

    # What uvicorn's server calls

    def shutdown(self) -> None:
        """Close now where nothing is on its way, else after the answer."""
        if self._task is None and not self._reader.ready and self._reader.phase == "idle":
            self._close()

    # Our own

    def check(self, now: float) -> None:
        """Called now and then, by the loop's clock: end what has taken too long.

        Each stage of each request has one deadline, so that no byte gives its sender more time.
        """
        if not self._ended:
            if self._task is not None and not self._paused:
                self._stage = None
                return
            reader, limits = self._reader, self._limits
            stage = (reader.messages, "paused" if self._paused else reader.phase)
            if stage != self._stage:
                self._stage = stage
                seconds = {"head": limits.header_seconds, "body": limits.body_seconds}
                self._deadline = now + seconds.get(stage[1], limits.keep_alive_seconds)
                return
        if self._deadline <= now:
            self._expire()

    def _expire(self) -> None:
        """Time is up for an idle connection, a head, a body, or a client that does not read."""
        phase, limits = self._reader.phase, self._limits
        if self._ended or self._paused or phase == "idle":
            self._abort()
            return
        what, seconds = ("head", limits.header_seconds) if phase == "head" else ("body", limits.body_seconds)
        self._reader.fault = TooSlow(f"The {what} did not arrive within {seconds:g} s.")
        self._go_on()

    def cut(self) -> None:
        """The time that a stopping server leaves is over: say so to whoever is still sending, and close."""
        request = self._reader.request
        if request is not None and self._task is None and not self._ended:
            error = NotReady("The server stopped before the request was read.")
            self._refuse(request, error)
        self._close()

    def _go_on(self) -> None:
        """Answer what is whole."""
        reader = self._reader
        ready = reader.ready
        turns = _IN_A_ROW
        while ready and turns and self._task is None and not self._paused and not self._ended:
            self._answer(ready.popleft())
            turns -= 1
        if ready or self._paused or self._half_closed or not self._reading or reader.fault is not None:
            self._settle(turns)

    def _settle(self, turns: int) -> None:
        """Leave others their turn, say what is wrong, and read on or wait."""
        reader = self._reader
        if not turns and reader.ready:
            self._loop.call_soon(self._go_on)
        idle = self._task is None and not reader.ready
        if reader.fault is not None and idle and not self._paused and not self._ended:
            self._refuse(reader.request, reader.fault, linger=True)
        if self._transport is None or self._transport.is_closing():
            return
        if self._half_closed and self._task is None and not reader.ready:
            self._transport.close()
            return
        # While an answer is made the socket is read, to hear when the client goes; but not for ever.
        read = self._ended or not (reader.ready or self._paused)
        if read is not self._reading:
            self._reading = read
            if read:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _answer(self, incoming: Incoming) -> None:
        request, error, keep = incoming
        if error is not None:
            self._refuse(request, error, keep=keep)
            return
        try:
            answer = self._handler.handle(request)
        except Exception:  # whatever it is, the client gets our error shape
            log.exception("answering a request failed")
            answer = _FAILED
        if isinstance(answer, Response):
            self._write(request, answer, keep=keep)
            return
        self._task = task = asyncio.create_task(self._later(request, answer, keep=keep))
        self._server_state.tasks.add(task)
        task.add_done_callback(lambda _: self._done(task, request))

    async def _later(self, request: Request, answer: Awaitable[Response], *, keep: bool) -> None:
        try:
            response = await answer
        except asyncio.CancelledError:
            # The client is gone, or it is the end of the time that a stopping server leaves to what is in flight.
            if not self._ended:
                error = NotReady("The server stopped before the request was answered.")
                self._refuse(request, error)
            raise
        except Exception:
            log.exception("answering a request failed")
            response = _FAILED
        if not self._ended:
            self._write(request, response, keep=keep)

    def _done(self, task: asyncio.Task[None], request: Request) -> None:
        """The task of an answer is over, even where it never began."""
        self._handler.release(request)
        self._server_state.tasks.discard(task)
        self._task = None
        self._go_on()

    def _refuse(
        self, request: Request | None, error: PredictionDexError, *, keep: bool = False, linger: bool = False
    ) -> None:
        """Write the answer to a request that is not handled; None where its head could not be read."""
        request = request or Request("", "", "", {})
        try:
            response = self._handler.refuse(request, error)
        except Exception:
            log.exception("refusing a request failed")
            response = _FAILED
        self._write(request, response, keep=keep, linger=linger)

    def _write(self, request: Request, response: Response, *, keep: bool, linger: bool = False) -> None:
        keep = keep and not self._handler.stopping
        status, body, content_type, headers = response
        defaults = self._server_state.default_headers
        if defaults is not self._defaults:
            self._keep_defaults(defaults)
        head = b"%b%d\r\n%b" % (_head(status, content_type), len(body), self._default_lines)
        if request.ident:
            head = b"%bx-request-id: %b\r\n" % (head, request.ident.encode())
        for name, value in headers:
            head += b"%b: %b\r\n" % (name, value)
        if not keep:
            head += b"connection: close\r\n"
        if request.method == "HEAD":
            self._send(head + b"\r\n")
        elif len(body) <= _ONE_WRITE:
            self._send(b"%b\r\n%b" % (head, body))
        else:
            self._send(head + b"\r\n")
            self._send(body)
        if linger:
            self._linger()
        elif not keep:
            self._close()

    def _keep_defaults(self, defaults: list[tuple[bytes, bytes]]) -> None:
        """Uvicorn's date header as bytes; it makes a new list each second."""
        self._defaults = defaults
        self._default_lines = b"".join(b"%b: %b\r\n" % header for header in defaults)

    def _linger(self) -> None:
        """Throw away what still comes, for a moment."""
        self._end()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def _close(self) -> None:
        """Close when what was written has left."""
        self._end()
        # A long answer may take its client longer than the rest of a body that is thrown away.
        self._deadline = self._loop.time() + self._limits.keep_alive_seconds
        if self._transport is not None:
            self._transport.close()

    def _end(self) -> None:
        self._ended = True
        self._reader.ready.clear()
        self._reader.close()
        self._deadline = self._loop.time() + _LINGER_SECONDS

    def _abort(self) -> None:
        self._end()
        if self._transport is not None:
            self._transport.abort()

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


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
                if isinstance(connection, HttpProtocol):
                    try:
                        connection.check(moment)
                    # One connection must not end the deadlines of all others.
                    except Exception:
                        log.exception("ending a connection failed")


def sweep_seconds(limits: Limits) -> float:
    """How often to look for what is past its deadline: a tenth of the shortest one, at most each half second."""
    return min(0.5, limits.header_seconds / 10, limits.body_seconds / 10, limits.keep_alive_seconds / 10)
