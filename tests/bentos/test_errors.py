from collections.abc import Iterator

import orjson
import pytest

from bentos import errors
from bentos.errors import PredictionDexError, RequestError
from bentos.http import refusal


def tree(root: type[PredictionDexError]) -> Iterator[type[PredictionDexError]]:
    yield root
    for child in root.__subclasses__():
        # Training and tests derive their own errors, which no door ever meets.
        if child.__module__ == errors.__name__:
            yield from tree(child)


ALL = list(tree(PredictionDexError))


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__ is not None
    words = {word for line in errors.__doc__.splitlines() for word in line.split()}
    assert {error.__name__ for error in ALL} <= words


def test_codes_are_stable_words_of_their_own() -> None:
    codes = [error.code for error in ALL]
    assert len(set(codes)) == len(codes)
    assert all(code.replace("_", "").isalpha() and code.islower() for code in codes)


EXPECTED: dict[type[PredictionDexError], int] = {
    errors.RequestError: 400,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.PayloadTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.InvalidInput: 422,
    errors.UnknownName: 422,
    errors.PredictionRefused: 422,
    errors.TooManyRows: 413,
    errors.HeadersTooLarge: 431,
    errors.Unauthorized: 401,
    errors.TooSlow: 408,
    errors.DeadlineExceeded: 504,
    errors.NotReady: 503,
    errors.Overloaded: 503,
}


@pytest.mark.parametrize("error", ALL)
def test_every_error_has_its_status_and_the_one_body(error: type[PredictionDexError]) -> None:
    raised = error("A sentence.")
    assert issubclass(error, RequestError) == (error in EXPECTED), "say what status a new request error has"
    answer = refusal(raised)
    assert answer.status == EXPECTED.get(error, 500)
    assert orjson.loads(answer.body) == {"error": "A sentence.", "code": error.code, "details": []}


def test_details_are_in_the_body() -> None:
    details = [{"field": "pokemon_a"}]
    assert orjson.loads(refusal(RequestError("No.", details)).body)["details"] == details
