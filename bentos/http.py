"""A request as the HTTP doors see it, the answer they give, and the one table from error to status.

What carries them is our own protocol or, under ``bentoml serve``, ASGI.
"""

from collections.abc import Awaitable
from time import perf_counter
from typing import Final, NamedTuple

import orjson

from bentos.errors import (
    BundleError,
    DeadlineExceeded,
    HeadersTooLarge,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    NotReady,
    PayloadTooLarge,
    PredictionDexError,
    RequestError,
    SettingsError,
    TooManyRows,
    TooSlow,
    Unauthorized,
    UnsupportedMediaType,
)

STATUS: Final[dict[type[PredictionDexError], int]] = {
    PredictionDexError: 500,
    BundleError: 500,
    SettingsError: 500,
    RequestError: 400,
    InvalidInput: 422,
    PayloadTooLarge: 413,
    TooManyRows: 413,
    HeadersTooLarge: 431,
    UnsupportedMediaType: 415,
    NotFound: 404,
    MethodNotAllowed: 405,
    Unauthorized: 401,
    TooSlow: 408,
    DeadlineExceeded: 504,
    NotReady: 503,
}
"""An error that is not listed has the status of its nearest base."""

_RETRY_SECONDS: Final = b"1"

JSON: Final = b"application/json"
OCTETS: Final = b"application/octet-stream"

Headers = tuple[tuple[bytes, bytes], ...]


class Request:
    """One request, its body read in full.

    Attributes:
        method: as sent, e.g. ``POST``.
        path: decoded path without the query, e.g. ``/v2/models/battle/infer``.
        query: what follows the question mark, undecoded.
        headers: by lower-case name; of one that came twice, the values joined by ``", "``.
        body: the bytes of the body, not yet unpacked.
        started: ``time.perf_counter()`` when its head was complete.
        held: bytes of the body that count as waiting while the answer is made.
        ident: the id of the request, from ``x-request-id`` or made up; in every log line and in the answer.
        cohort: what its traffic counts for; None is users'.
    """

    __slots__ = ("body", "cohort", "headers", "held", "ident", "method", "path", "query", "started")

    def __init__(self, method: str, path: str, query: str, headers: dict[bytes, bytes], body: bytes = b"") -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.started = perf_counter()
        self.ident = ""
        self.held = 0
        self.cohort: str | None = None


class Response(NamedTuple):
    """One answer.

    Attributes:
        status: HTTP status.
        body: the bytes of the body.
        content_type: value of that header.
        headers: what there is beside content type and length, names in lower case.
    """

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()


Answer = Response | Awaitable[Response]
"""An answer now, or, where it takes long, later."""


def status_of(error: PredictionDexError) -> int:
    """HTTP status of an error."""
    return next(STATUS[base] for base in type(error).__mro__ if base in STATUS)


def refusal(error: PredictionDexError) -> Response:
    """The answer to every error of ours."""
    details = error.details if isinstance(error, RequestError) else []
    body = orjson.dumps({"error": str(error), "code": error.code, "details": details})
    return Response(status_of(error), body, headers=_headers(error))


def _headers(error: PredictionDexError) -> Headers:
    """What the answer to an error says beside its body."""
    if isinstance(error, MethodNotAllowed) and error.details:
        return ((b"allow", error.details[0]["allow"].encode()),)
    if isinstance(error, Unauthorized):
        return ((b"www-authenticate", b'ApiKey realm="predictiondex"'),)
    return ((b"retry-after", _RETRY_SECONDS),) if isinstance(error, NotReady) else ()
