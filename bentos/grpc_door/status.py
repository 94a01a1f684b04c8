"""How an error is told over gRPC: the one table from error to status code, and what goes beside the code.

The status message is the sentence. Trailing metadata has ``pdx-code``, the stable word that REST answers as ``code``,
and, where there are any, ``pdx-details-bin``, the JSON that REST answers as ``details``.
"""

from typing import Final

import orjson
from grpc import StatusCode

from bentos.errors import (
    BundleError,
    DeadlineExceeded,
    HeadersTooLarge,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    NotReady,
    Overloaded,
    PayloadTooLarge,
    PredictionDexError,
    RequestError,
    SettingsError,
    TooManyRows,
    TooSlow,
    Unauthorized,
    UnsupportedMediaType,
)

Metadata = tuple[tuple[str, str | bytes], ...]

STATUS: Final[dict[type[PredictionDexError], StatusCode]] = {
    PredictionDexError: StatusCode.INTERNAL,
    BundleError: StatusCode.INTERNAL,
    SettingsError: StatusCode.INTERNAL,
    RequestError: StatusCode.INVALID_ARGUMENT,
    InvalidInput: StatusCode.INVALID_ARGUMENT,
    TooManyRows: StatusCode.INVALID_ARGUMENT,
    UnsupportedMediaType: StatusCode.INVALID_ARGUMENT,
    PayloadTooLarge: StatusCode.RESOURCE_EXHAUSTED,
    HeadersTooLarge: StatusCode.RESOURCE_EXHAUSTED,
    NotFound: StatusCode.NOT_FOUND,
    MethodNotAllowed: StatusCode.UNIMPLEMENTED,
    Unauthorized: StatusCode.UNAUTHENTICATED,
    TooSlow: StatusCode.DEADLINE_EXCEEDED,
    DeadlineExceeded: StatusCode.DEADLINE_EXCEEDED,
    NotReady: StatusCode.UNAVAILABLE,
    Overloaded: StatusCode.RESOURCE_EXHAUSTED,
}
"""An error that is not listed has the status of its nearest base."""

_SENTENCE_BYTES: Final = 1024
_DETAILS_BYTES: Final = 2048
"""Clients read 8 KiB of metadata by default; a sentence grows threefold on the wire, details by a third."""


def status_of(error: PredictionDexError) -> StatusCode:
    """Status code of an error."""
    return next(STATUS[base] for base in type(error).__mro__ if base in STATUS)


def sentence_of(error: PredictionDexError) -> str:
    """The status message of an error, cut where it would not fit into a client's metadata."""
    text = str(error).encode("utf-8", "backslashreplace")
    return text.decode() if len(text) <= _SENTENCE_BYTES else f"{text[:_SENTENCE_BYTES].decode('utf-8', 'ignore')}…"


def trailing_of(error: PredictionDexError) -> Metadata:
    """What trailing metadata says of an error; details that would not fit are left out, the last ones first."""
    code = ("pdx-code", error.code)
    details = list(error.details) if isinstance(error, RequestError) else []
    while details:
        text = orjson.dumps(details)
        if len(text) <= _DETAILS_BYTES:
            return (code, ("pdx-details-bin", text))
        details.pop()
    return (code,)
