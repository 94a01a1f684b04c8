"""The log: one JSON object a line on stderr, or text for a terminal; and the ids that tie its lines to requests.

A line never holds a header's value or a body. What it does hold of a caller's is escaped, so that nobody can add a line
of their own or move a terminal's cursor, and bounded: container runtimes cut lines at 16 KiB, and a cut one is no JSON.
"""

import itertools
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from bentos.errors import PredictionDexError
from bentos.settings import Log

REQUESTS: Final = logging.getLogger("bentos.requests")
"""Logs one line a request, at debug. ``REQUESTS.isEnabledFor(logging.DEBUG)`` says whether it is worth a call."""

FIELDS: Final = ("request_id", "trace_id", "transport", "route", "status", "code", "duration_ms", "rows")
"""What a record may carry beside its message: ``log.error(..., extra={"request_id": ident})``."""
QUIET_SECONDS: Final = 10.0
"""Between two lines about requests of one transport that were refused with the same code."""
LONGEST_LINE: Final = 16_000
"""Bytes of a line, its end included."""
_LONGEST_MESSAGE: Final = 2_000
_LONGEST_TRACE: Final = 8_000
_LONGEST_FIELD: Final = 128
"""Characters each."""

_GIVEN_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_TRACEPARENT: Final = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
)
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
_prefix: Final = os.urandom(6).hex() + "-"
_count: Final = itertools.count(1)
_model: dict[str, str] = {}

log = logging.getLogger(__name__)


def ident(given: bytes | None) -> str:
    """A request's id: the caller's, if it is 1 to 64 letters, digits, dots, dashes or underscores, else a new one."""
    if given is not None and _GIVEN_ID.fullmatch(given):
        return given.decode("ascii")
    return _prefix + str(next(_count))


def trace_id(traceparent: bytes | None) -> str | None:
    """The trace that a request belongs to, 32 hex digits; None without a valid W3C ``traceparent`` (Level 1)."""
    parent = trace_parent(traceparent)
    return None if parent is None else parent[0]


def trace_parent(traceparent: bytes | None) -> tuple[str, str, int] | None:
    """Trace id, id of the caller's span and flags of a W3C ``traceparent``; None if there is no valid one."""
    found = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent.strip(b" \t"))
    if found is None or (found[1] == b"00" and found[5] is not None):
        return None
    return found[2].decode(), found[3].decode(), int(found[4], 16)


def bind(model: str, version: str) -> None:
    """Name the model that answers: in every line from now on."""
    _model.update(model=model, version=version)


def request_line(
    transport: str,
    route: str,
    code: str,
    *,
    status: int | str,
    seconds: float,
    request_id: str,
    trace_id: str | None = None,
    rows: int = 0,
) -> None:
    """Log a request that was answered, at debug.

    Args:
        transport: ``rest`` or ``grpc``.
        route: its template, never the path.
        code: ``ok``, or the stable word of the error.
        status: HTTP status, or the name of the gRPC one.
        seconds: from its head to its answer.
        request_id: from ``ident``.
        trace_id: from ``trace_id``.
        rows: how many were scored.
    """
    fields = {
        "request_id": request_id,
        "trace_id": trace_id,
        "transport": transport,
        "route": route,
        "status": status,
        "code": code,
        "duration_ms": round(seconds * 1e3, 3),
        "rows": rows,
    }
    REQUESTS.debug("%s %s %s", transport, route, code, extra=fields)


def unexpected(route: str, transport: str, ident: str, trace: str | None, error: Exception) -> PredictionDexError:
    """Log an error that nobody foresaw, and make the one that tells the caller the id of its request only.

    Args:
        route: template or method.
        transport: ``rest`` or ``grpc``.
        ident: the id of the request, from ``ident``.
        trace: from ``trace_id``.
        error: what was raised.
    """
    fields = {"request_id": ident, "trace_id": trace, "transport": transport, "route": route}
    log.error("%s failed (request %s)", route, ident, exc_info=error, extra=fields)
    return PredictionDexError(f"The server failed on this request; its log has more under {ident}.")


class Refusals:
    """Says that requests are refused, without a line for each: under overload there are thousands a second.

    Safe to use from several threads.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._said: dict[tuple[str, str], float] = {}
        self._held: dict[tuple[str, str], int] = {}

    def __call__(self, transport: str, route: str, code: str, request_id: str) -> None:
        """Log a request that was refused, or count it where such a line is less than ``QUIET_SECONDS`` old.

        Args:
            transport: ``rest`` or ``grpc``.
            route: template or method.
            code: one of ``bentos.metrics.REFUSED``.
            request_id: from ``ident``.
        """
        kind, now = (transport, code), self._clock()
        with self._lock:
            said = self._said.get(kind)
            if said is not None and now - said < QUIET_SECONDS:
                self._held[kind] += 1
                return
            held = self._held.get(kind, 0)
            self._said[kind], self._held[kind] = now, 0
        fields = {"request_id": request_id, "transport": transport, "route": route, "code": code}
        log.warning(
            "%s %s was refused: %s; %d more since the last such line", transport, route, code, held, extra=fields
        )


refused: Final = Refusals()
"""Of the process."""


def configure(settings: Log) -> None:
    """Write the log of the whole process to stderr; calling it again replaces what the last call set."""
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, _Handler)]:
        root.removeHandler(handler)
        handler.close()
    handler = _Handler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    level = settings.level.upper()
    logging.getLogger("bentos").setLevel(level)
    # Its warnings are about what clients send: anyone could fill the log with them.
    logging.getLogger("uvicorn").setLevel("DEBUG" if level == "DEBUG" else "ERROR")


class _Handler(logging.StreamHandler[Any]):
    """Ours, among those that others may have added."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (ISO 8601, UTC, ms), level, logger, message, and what is known beside."""

    def format(self, record: logging.LogRecord) -> str:
        """The line without its end."""
        message, trace = _cut(record.getMessage(), _LONGEST_MESSAGE), self._trace(record)
        head = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        while True:
            line = _dump({**head, "message": message, **_model, **_fields(record), **trace})
            if len(line) < LONGEST_LINE:
                return line
            # Escapes make up to twelve characters of one. The end of a trace says what went wrong, so its start goes.
            if trace:
                rest = trace["exception"]
                trace = {"exception": rest[-len(rest) // 2 :]} if len(rest) > _LONGEST_FIELD else {}
            else:
                message = message[: len(message) // 2]

    def _trace(self, record: logging.LogRecord) -> dict[str, str]:
        if not record.exc_info or record.exc_info[0] is None:
            return {}
        return {"exception": self.formatException(record.exc_info)[-_LONGEST_TRACE:]}


class TextFormatter(logging.Formatter):
    """A line for people, and the trace of an exception, indented, below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines without the last end."""
        known = " ".join(f"{name}={_plain(str(value))}" for name, value in _fields(record).items())
        message = _plain(_cut(record.getMessage(), _LONGEST_MESSAGE))
        lines = [f"{_time(record)} {record.levelname} {record.name}: {message}" + (f" [{known}]" if known else "")]
        if record.exc_info and record.exc_info[0] is not None:
            trace = self.formatException(record.exc_info)[-_LONGEST_TRACE:]
            # Indented, since the message of an exception may hold line ends of a caller's.
            lines += [f"    {_plain(line)}" for line in trace.splitlines()]
        return "\n".join(lines)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, str | int | float]:
    given = ((name, record.__dict__.get(name)) for name in FIELDS)
    return {
        name: value if isinstance(value, int | float) else _cut(str(value), _LONGEST_FIELD)
        for name, value in given
        if value is not None
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "..."


def _plain(text: str) -> str:
    return text.translate(_CONTROLS)


def _dump(values: dict[str, Any]) -> str:
    # All but printable ASCII is escaped: lone surrogates, which orjson refuses, and controls beyond ASCII too.
    return json.dumps(values, separators=(",", ":"))
