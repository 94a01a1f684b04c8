"""Everything that can go wrong in serving, as one tree.

    PredictionDexError
    ├── BundleError                 the bundle cannot be served; the process must not become ready
    │   ├── ContractError           contract.json is missing, not JSON, or not of this schema version
    │   ├── DigestError             a file is missing, extra, or not the one that was packed
    │   └── ParityError             a runtime does not answer the parity sample as the export did
    ├── SettingsError               a setting is unknown or out of range; the process must not start
    └── RequestError                the caller's request cannot be answered; carries ``details``
        ├── InvalidInput            a value is of the wrong type, out of range, or not allowed together with others
        │   ├── UnknownName         a species or an attack does not exist; ``details`` has the nearest valid names
        │   └── PredictionRefused   a prediction id was not signed here, is too old, or of another model
        ├── PayloadTooLarge         the body, or what it unpacks to, has more bytes than the server reads
        ├── TooManyRows             the request has more rows than one may have
        ├── HeadersTooLarge         the request's head has more bytes than the server reads
        ├── UnsupportedMediaType    the body is announced in a format or packing that the route does not read
        ├── NotFound                no such route, model or version
        ├── MethodNotAllowed        the route exists, the method does not
        ├── Unauthorized            an API key is needed, and none of those that are known came
        ├── TooSlow                 the request did not arrive in the time it is given
        ├── DeadlineExceeded        the caller's own deadline passed; nothing was computed after it
        └── NotReady                the model is loading, or the process is stopping
            └── Overloaded          as many requests as allowed are in flight already

The message is one sentence that a caller can act on; it never holds a path or a stack trace. Each transport maps
these to its own codes in exactly one table.
"""

from typing import Any, ClassVar


class PredictionDexError(Exception):
    """Root of the tree; ``code`` is the stable word clients may match on."""

    code: ClassVar[str] = "internal"


class BundleError(PredictionDexError):
    """The bundle cannot be served."""

    code = "bundle_refused"


class ContractError(BundleError):
    """contract.json is missing, not JSON, or not of this schema version."""

    code = "contract_refused"


class DigestError(BundleError):
    """A file of the bundle is missing, extra, or not the one that was packed."""

    code = "digest_mismatch"


class ParityError(BundleError):
    """A runtime does not answer the parity sample as the export did."""

    code = "parity_failed"


class SettingsError(PredictionDexError):
    """A setting is unknown or out of range."""

    code = "settings_refused"


class RequestError(PredictionDexError):
    """The caller's request cannot be answered.

    Attributes:
        details: machine-readable facts, one a fault, e.g. ``{"field": "pokemon_a", "did_you_mean": ["pikachu"]}``.
    """

    code = "bad_request"

    def __init__(self, message: str, details: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.details = details or []


class InvalidInput(RequestError):
    """A value is of the wrong type, out of range, or not allowed together with others."""

    code = "invalid_input"


class UnknownName(InvalidInput):
    """A species or an attack that does not exist."""

    code = "unknown_name"


class PredictionRefused(InvalidInput):
    """A prediction id that was not signed here, is too old, or of another model."""

    code = "prediction_refused"


class NotFound(RequestError):
    """No such route, model or version."""

    code = "not_found"


class PayloadTooLarge(RequestError):
    """The body has more bytes than the server reads."""

    code = "payload_too_large"


class TooManyRows(RequestError):
    """More rows than one request may have."""

    code = "too_many_rows"


class HeadersTooLarge(RequestError):
    """The head of the request has more bytes than the server reads."""

    code = "headers_too_large"


class UnsupportedMediaType(RequestError):
    """The body is announced in a format or packing that the route does not read."""

    code = "unsupported_media_type"


class MethodNotAllowed(RequestError):
    """The route exists, but not for this method."""

    code = "method_not_allowed"


class NotReady(RequestError):
    """The model is loading, or the process is stopping."""

    code = "not_ready"


class Overloaded(NotReady):
    """As many requests as allowed are in flight already."""

    code = "overloaded"


class Unauthorized(RequestError):
    """An API key is needed, and none of those that are known came."""

    code = "unauthorized"


class TooSlow(RequestError):
    """The request did not arrive in the time it is given."""

    code = "too_slow"


class DeadlineExceeded(RequestError):
    """The caller's own deadline passed; nothing was computed after it."""

    code = "deadline_exceeded"
