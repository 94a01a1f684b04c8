import grpc
import orjson
import pytest

from bentos import errors
from bentos.errors import PredictionDexError, RequestError
from bentos.grpc_door.status import sentence_of, status_of, trailing_of

C = grpc.StatusCode
EXPECTED: dict[type[PredictionDexError], grpc.StatusCode] = {
    errors.RequestError: C.INVALID_ARGUMENT,
    errors.InvalidInput: C.INVALID_ARGUMENT,
    errors.UnknownName: C.INVALID_ARGUMENT,
    errors.PredictionRefused: C.INVALID_ARGUMENT,
    errors.TooManyRows: C.INVALID_ARGUMENT,
    errors.UnsupportedMediaType: C.INVALID_ARGUMENT,
    errors.PayloadTooLarge: C.RESOURCE_EXHAUSTED,
    errors.HeadersTooLarge: C.RESOURCE_EXHAUSTED,
    errors.NotFound: C.NOT_FOUND,
    errors.MethodNotAllowed: C.UNIMPLEMENTED,
    errors.Unauthorized: C.UNAUTHENTICATED,
    errors.TooSlow: C.DEADLINE_EXCEEDED,
    errors.DeadlineExceeded: C.DEADLINE_EXCEEDED,
    errors.NotReady: C.UNAVAILABLE,
    errors.Overloaded: C.RESOURCE_EXHAUSTED,
}


def tree(root: type[PredictionDexError]) -> list[type[PredictionDexError]]:
    ours = [child for child in root.__subclasses__() if child.__module__ == errors.__name__]
    return [root, *(each for child in ours for each in tree(child))]


@pytest.mark.parametrize("error", tree(PredictionDexError))
def test_every_error_has_its_status(error: type[PredictionDexError]) -> None:
    raised = error("A sentence.")
    assert issubclass(error, RequestError) == (error in EXPECTED), "say what status a new request error has"
    assert status_of(raised) is EXPECTED.get(error, C.INTERNAL)
    assert sentence_of(raised) == "A sentence."
    assert trailing_of(raised) == (("pdx-code", error.code),)


def test_details_are_json_and_bounded() -> None:
    details = [{"row": i, "value": "é" * 20} for i in range(500)]
    name, text = trailing_of(RequestError("No.", details))[1]
    assert name == "pdx-details-bin"
    assert len(text) <= 2048
    kept = orjson.loads(text)
    assert kept == details[: len(kept)]
    assert len(kept) > 20


def test_a_sentence_is_bounded_and_can_be_encoded() -> None:
    cut = sentence_of(RequestError("é" * 5000))
    assert cut == "é" * 512 + "…"
    assert sentence_of(RequestError("\ud800")) == "\\ud800"
