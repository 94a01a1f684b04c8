"""What our ASGI doors have in common: JSON answers, bounded bodies, and the one table from error to HTTP status."""

import logging
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import orjson

from bentos.errors import (
    BundleError,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    NotReady,
    PayloadTooLarge,
    PredictionDexError,
    RequestError,
    SettingsError,
    UnsupportedMediaType,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

STATUS: Final[dict[type[PredictionDexError], int]] = {
    PredictionDexError: 500,
    BundleError: 500,
    SettingsError: 500,
    RequestError: 400,
    InvalidInput: 422,
    PayloadTooLarge: 413,
    UnsupportedMediaType: 415,
    NotFound: 404,
    MethodNotAllowed: 405,
    NotReady: 503,
}
"""An error that is not listed has the status of its nearest base."""

_DISCARD: Final = 4
"""How many times the limit of a body is read and thrown away before a 413, so that its sender gets to read it."""

_DIGITS: Final = 19
"""Digits of the longest length that is read as a number; Python refuses to read thousands of them."""

CLOSE: Final = (b"connection", b"close")
_RETRY_SECONDS: Final = b"1"

log = logging.getLogger(__name__)


class ClientGone(Exception):
    """The client closed the connection in the middle of its body; nobody waits for an answer."""


def status_of(error: PredictionDexError) -> int:
    """HTTP status of an error."""
    return next(STATUS[base] for base in type(error).__mro__ if base in STATUS)


def error_body(error: PredictionDexError) -> bytes:
    """The body of every error of ours."""
    details = error.details if isinstance(error, RequestError) else []
    return orjson.dumps({"error": str(error), "code": error.code, "details": details})


def error_headers(error: PredictionDexError) -> list[tuple[bytes, bytes]]:
    """What the answer to an error says beside its body."""
    if isinstance(error, MethodNotAllowed):
        return [(b"allow", error.details[0]["allow"].encode())]
    if isinstance(error, PayloadTooLarge):
        return [CLOSE]  # what is left of the body would be taken for the next request
    return [(b"retry-after", _RETRY_SECONDS)] if isinstance(error, NotReady) else []


def unexpected(request: str, error: Exception) -> PredictionDexError:
    """Log an error that nobody foresaw under a new id, and make the one that tells the client this id only."""
    ident = uuid.uuid4().hex
    log.error("%s failed (request %s)", request, ident, exc_info=error)
    return PredictionDexError(f"The server failed on this request; its log has more under {ident}.")


async def respond(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes = b"application/json",
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    """Send a whole answer."""
    fixed = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": fixed + (headers or [])})
    await send({"type": "http.response.body", "body": body})


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Read the body of a request.

    Raises:
        PayloadTooLarge: it has more than ``limit`` bytes.
        ClientGone: it ended too early.
    """
    announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    keep = not announced.isdigit() or (len(announced) <= _DIGITS and int(announced) <= limit)
    chunks: list[bytes] = []
    size = 0
    more = True
    while more and size <= limit * _DISCARD:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        keep = keep and size <= limit
        if keep:
            chunks.append(chunk)
        more = message.get("more_body", False)
    if not keep:
        raise PayloadTooLarge(f"The body is longer than {limit} bytes.", [{"limit_bytes": limit}])
    return b"".join(chunks)
