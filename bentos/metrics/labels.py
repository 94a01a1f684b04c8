"""The value sets of every label: finite and known before the first request."""

from collections.abc import Iterator
from typing import Final, Literal

from bentos.errors import DeadlineExceeded, NotReady, PredictionDexError, RequestError

Transport = Literal["rest", "grpc"]
Class = Literal["ok", "client", "server"]

TRANSPORTS: Final[tuple[Transport, ...]] = ("rest", "grpc")
OTHER: Final = "other"
"""Stands for every value that is not in a label's set: an unknown path, method, cohort or result."""

ROUTES: Final[dict[Transport, tuple[str, ...]]] = {
    "rest": (
        "/predict/battle",
        "/predict",
        "/feedback",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/{name}",
        "/v2/models/{name}/ready",
        "/v2/models/{name}/infer",
        "/v2/models/{name}/versions/{version}",
        "/v2/models/{name}/versions/{version}/ready",
        "/v2/models/{name}/versions/{version}/infer",
        "/bento/predict_battle",
        "/docs",
        "/docs.json",
        "/openapi.json",
        "/static_content/{file}",
        OTHER,
    ),
    "grpc": ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer", OTHER),
}
"""Templates of routes and names of methods, by transport."""
PREDICTING: Final[dict[Transport, tuple[str, ...]]] = {
    "rest": (
        "/predict/battle",
        "/predict",
        "/v2/models/{name}/infer",
        "/v2/models/{name}/versions/{version}/infer",
        "/bento/predict_battle",
    ),
    "grpc": ("ModelInfer",),
}
"""Those that ask the model. Only they have durations of their own, since only they have an objective."""
CLASSES: Final[tuple[Class, ...]] = ("ok", "client", "server")
"""Whose fault the end of a request was: nobody's, the caller's or ours."""

OK: Final = "ok"
INTERNAL: Final = PredictionDexError.code
CANCELLED: Final = "cancelled"
"""The caller went away before its answer."""

COHORTS: Final = ("shadow", "golden", "test", "header", OTHER)
DROPPED: Final = ("queue", "busy", "timeout", "failed", "refused")
"""Why a request that was drawn to be copied made no pair: too many waited or were in flight here; the other version
did not answer in time, answered that it failed or nothing that can be read, or refused the request."""
RESULTS: Final = ("correct", "wrong", "half", "scored", "other_pairing", "duplicate", "refused", OTHER)
"""What feedback said of a prediction: right, not, or a draw (classifiers), scored against its value (regressors), or
counted apart since it says nothing of it."""

EDGES: Final = (
    0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0
)  # fmt: skip
"""Upper edges of the buckets of a request's duration, in seconds. A latency objective has to name one of them."""
MODEL_EDGES: Final = (
    0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0
)  # fmt: skip
"""The same for the time in the model: a row takes some 20 µs, and 10,000 of them a tenth of a second."""
CONFIDENCE_EDGES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0)
"""The same for the probability of the answered class; of two classes it is never below a half."""


def _tree(root: type[PredictionDexError]) -> Iterator[type[PredictionDexError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


def _class(error: type[PredictionDexError]) -> Class:
    ours = not issubclass(error, RequestError) or issubclass(error, NotReady | DeadlineExceeded)
    return "server" if ours else "client"


_CLASSES: Final[dict[str, Class]] = {
    OK: "ok",
    INTERNAL: "server",
    CANCELLED: "client",
    **{error.code: _class(error) for error in _tree(RequestError)},
}
CODES: Final = tuple(_CLASSES)
"""``ok`` first, then every word that a request can be refused with."""
REFUSED: Final = frozenset(code for code, whose in _CLASSES.items() if whose == "server" and code != INTERNAL)
"""What a server refuses that has no error of its own in the log: the codes that ``bentos.logs.refused`` is for."""


def class_of(code: str) -> Class:
    """Whose fault a code is; a deadline that passed, or too much load, is the server's. One unknown is the server's."""
    return _CLASSES.get(code, "server")
