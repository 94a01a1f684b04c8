import gzip
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.http import InferResult

from bentos.core import Prediction
from bentos.http import JSON, OCTETS, Response
from bentos.oip.answer import Writer
from bentos.tensor import Tensor, TensorSpec

CLASSES = ["no", "yes", 'é "maybe"']
WRITER = Writer(
    "model", "7", (TensorSpec("probabilities", "FP32", (-1, 3)), TensorSpec("label", "BYTES", (-1, 1))), CLASSES
)
NUMBERS = Writer("numbers", "1", (TensorSpec("value", "FP32", (-1, 1)), TensorSpec("exact", "FP64", (-1, 1))), ())


def prediction(p: Any, labels: list[str], ids: list[str] | None = None) -> Prediction:
    scores = np.array(p, np.float32).reshape(-1, 3)
    label = np.array(labels, np.object_).reshape(-1, 1)
    outputs = (Tensor("probabilities", "FP32", scores), Tensor("label", "BYTES", label))
    return Prediction(outputs, ids or [], len(scores), 0.0, 0.5)


def read(response: Response) -> InferResult:
    """As Triton's own client reads it."""
    headers = dict(response.headers)
    length = headers.get(b"inference-header-content-length")
    return InferResult.from_response_body(
        response.body,
        header_length=None if length is None else int(length),
        content_encoding=headers.get(b"content-encoding", b"").decode() or None,
    )


ONE = prediction([0.1, 0.7, 0.2], ["yes"], ["id-1"])


def test_an_answer_in_json() -> None:
    response = WRITER.write(ONE, "7", None, None)
    assert (response.status, response.content_type, response.headers) == (200, JSON, ())
    assert orjson.loads(response.body) == {
        "model_name": "model",
        "model_version": "7",
        "id": "7",
        "parameters": {"prediction_ids": "id-1"},
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [1, 3], "data": [0.1, 0.7, 0.2]},
            {"name": "label", "datatype": "BYTES", "shape": [1, 1], "data": ["yes"]},
        ],
    }


def test_what_was_not_given_is_not_answered() -> None:
    answer = orjson.loads(WRITER.write(prediction([0.1, 0.7, 0.2], ["yes"]), None, None, None).body)
    assert list(answer) == ["model_name", "model_version", "outputs"]


def test_ids_of_rows_are_joined() -> None:
    answer = orjson.loads(WRITER.write(prediction([0.1] * 6, ["yes", "no"], ["a", "b"]), None, None, None).body)
    assert answer["parameters"] == {"prediction_ids": "a,b"}


@pytest.mark.parametrize("wanted", [[(1, False)], [(1, True)], [(1, True), (0, False)], [(1, False), (0, True)]])
def test_outputs_in_the_order_and_form_asked_for(wanted: list[tuple[int, bool]]) -> None:
    response = WRITER.write(ONE, None, wanted, None)
    found = read(response)
    names = ["probabilities", "label"]
    assert [output["name"] for output in found.get_response()["outputs"]] == [names[place] for place, _ in wanted]
    for place, raw in wanted:
        output = found.get_output(names[place])
        assert ("data" in output, "binary_data_size" in output.get("parameters", {})) == (not raw, raw)
    assert response.content_type == (OCTETS if any(raw for _, raw in wanted) else JSON)


rows = st.integers(1, 30)


@given(rows, st.booleans(), st.booleans(), st.sampled_from([None, b"gzip", b"deflate"]), st.data())
def test_a_client_reads_what_was_written(n: int, p_raw: bool, label_raw: bool, accept: bytes | None, data: Any) -> None:
    p = data.draw(st.lists(st.floats(0, 1, width=32), min_size=3 * n, max_size=3 * n))
    labels = data.draw(st.lists(st.sampled_from([*CLASSES, "unseen"]), min_size=n, max_size=n))
    found = read(WRITER.write(prediction(p, labels), "i", [(0, p_raw), (1, label_raw)], accept))
    np.testing.assert_array_equal(found.as_numpy("probabilities"), np.array(p, np.float32).reshape(-1, 3))
    given = [text.decode() if isinstance(text, bytes) else text for text in found.as_numpy("label").ravel()]
    assert given == labels


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20), st.booleans())
def test_values_lose_no_bit(values: list[float], raw: bool) -> None:
    value, exact = np.array(values, np.float32).reshape(-1, 1), np.array(values, np.float64).reshape(-1, 1) / 3
    outputs = (Tensor("value", "FP32", value), Tensor("exact", "FP64", exact))
    answer = NUMBERS.write(Prediction(outputs, [], len(values), 0.0, 0.0), None, [(0, raw), (1, raw)], None)
    np.testing.assert_array_equal(read(answer).as_numpy("value"), value)
    np.testing.assert_array_equal(read(answer).as_numpy("exact"), exact)


def test_a_long_answer_is_packed_where_asked() -> None:
    many = prediction([0.25] * 3000, ["yes"] * 1000)
    plain = WRITER.write(many, None, None, None)
    packed = WRITER.write(many, None, None, b"gzip")
    assert packed.headers == ((b"content-encoding", b"gzip"),)
    assert gzip.decompress(packed.body) == plain.body
    assert WRITER.write(ONE, None, None, b"gzip") == WRITER.write(ONE, None, None, None)


def test_the_length_of_the_text_is_that_before_packing() -> None:
    many = prediction([0.25] * 3000, ["yes"] * 1000)
    wanted = [(0, True), (1, True)]
    plain, packed = (dict(WRITER.write(many, None, wanted, accept).headers) for accept in (None, b"deflate"))
    assert packed.pop(b"content-encoding") == b"deflate"
    assert packed == plain
