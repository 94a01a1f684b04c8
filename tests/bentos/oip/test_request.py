import random
from typing import Any

import orjson
import pytest

from bentos.errors import InvalidInput, PredictionDexError
from bentos.oip.request import Asked, Reader
from bentos.tensor import TensorSpec

READER = Reader(
    (TensorSpec("a", "BYTES", (-1, 1)), TensorSpec("b", "BYTES", (-1, 1))),
    (TensorSpec("probabilities", "FP32", (-1, 3)), TensorSpec("label", "BYTES", (-1, 1))),
    1000,
    16,
)
INPUT = {"name": "a", "datatype": "BYTES", "shape": [1, 1], "data": ["x"]}


def read(**request: Any) -> Asked:
    return READER.read(orjson.dumps({"inputs": [INPUT], **request}), None)


def test_a_request_of_inputs_alone_asks_for_everything_as_json() -> None:
    asked = read()
    assert asked[1:] == (None, None, None, None)
    assert asked == read(id=None, parameters=None, outputs=None) == read(parameters={}, outputs=[], unknown=1)


def test_what_a_request_says_of_itself() -> None:
    asked = read(id="7", parameters={"prediction_ids": True, "timeout": 1_500_000, "own": "thing"})
    assert asked[1:] == ("7", True, 1.5, None)
    assert read(parameters={"prediction_ids": False}).ids is False


def test_no_time_is_no_deadline() -> None:
    assert read(parameters={"timeout": 0}).timeout is None


@pytest.mark.parametrize(
    ("outputs", "all_binary", "wanted"),
    [
        (None, True, [(0, True), (1, True)]),
        ([], True, [(0, True), (1, True)]),
        ([{"name": "label"}], False, [(1, False)]),
        ([{"name": "label", "parameters": None}, {"name": "probabilities"}], True, [(1, True), (0, True)]),
        (
            [{"name": "label", "parameters": {"binary_data": True}}, {"name": "probabilities"}],
            False,
            [(1, True), (0, False)],
        ),
        ([{"name": "label", "parameters": {"binary_data": False}}], True, [(1, False)]),
        ([{"name": "label", "parameters": {"classification": 0}}], False, [(1, False)]),
    ],
)
def test_outputs_as_they_are_asked_for(outputs: Any, all_binary: bool, wanted: list[tuple[int, bool]]) -> None:
    assert read(outputs=outputs, parameters={"binary_data_output": all_binary}).wanted == wanted


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"inputs": None}, "needs inputs"),
        ({"inputs": {}}, "needs inputs"),
        ({"inputs": []}, "needs inputs"),
        ({"inputs": [1]}, "An input is a JSON object"),
        ({"inputs": [{}]}, "needs a name"),
        ({"inputs": [INPUT | {"name": 1}]}, "needs a name"),
        ({"inputs": [INPUT] * 3}, "has 3 inputs, and the model takes 2"),
        ({"inputs": [INPUT | {"parameters": []}]}, "parameters must be a JSON object"),
        ({"inputs": [INPUT | {"parameters": {"shared_memory_region": "r"}}]}, "tensor a asks for shared_memory_region"),
        ({"id": 1}, "id of a request is a string"),
        ({"parameters": []}, "parameters must be a JSON object"),
        ({"parameters": {"prediction_ids": 1}}, "prediction_ids is true or false"),
        ({"parameters": {"binary_data_output": "yes"}}, "binary_data_output is true or false"),
        ({"parameters": {"timeout": -1}}, "number of microseconds"),
        ({"parameters": {"timeout": 1.5}}, "number of microseconds"),
        ({"parameters": {"timeout": True}}, "number of microseconds"),
        ({"outputs": {}}, "are a list"),
        ({"outputs": [1]}, "JSON object with a name"),
        ({"outputs": [{"name": []}]}, "JSON object with a name"),
        ({"outputs": [{"name": "other"}]}, "answers no tensor other; it answers probabilities, label"),
        ({"outputs": [{"name": "label"}] * 2}, "label is asked for twice"),
        ({"outputs": [{"name": "label", "parameters": 1}]}, "parameters must be a JSON object"),
        ({"outputs": [{"name": "label", "parameters": {"binary_data": 1}}]}, "binary_data is true or false"),
        ({"outputs": [{"name": "label", "parameters": {"classification": 3}}]}, "output label asks for classification"),
        ({"outputs": [{"name": "label", "parameters": {"shared_memory_region": "r"}}]}, "shared_memory_region"),
    ],
)
def test_what_is_wrong_is_said(request_: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        read(**request_)


def test_a_long_name_is_not_repeated_in_full() -> None:
    with pytest.raises(InvalidInput) as refused:
        read(inputs=[INPUT | {"name": "n" * 1000, "datatype": None}])
    assert len(str(refused.value)) < 250
    assert len(refused.value.details[0]["tensor"]) < 70


def test_the_quick_way_and_the_long_way_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader((TensorSpec("input", "FP32", (-1, 4)),), (TensorSpec("value", "FP32", (-1, 1)),), 1000, 16)
    draw = random.Random(1)  # noqa: S311  no secret
    quick = 0

    def outcome(body: bytes) -> tuple[Any, ...]:
        try:
            asked = reader.read(body, None)
        except PredictionDexError as error:
            return type(error), str(error), error.args
        data = asked.tensors[0].data
        return asked.tensors[0][:2], data.dtype, data.shape, data.tobytes(), asked[1:]

    for _ in range(4000):
        body = odd_body(draw)
        usual = outcome(body)
        with monkeypatch.context() as patched:
            patched.setattr(Reader, "_usual", lambda *_: None)
            assert outcome(body) == usual, body
        quick += usual[0] == ("input", "FP32") and b'"id"' not in body
    assert quick > 50


def odd_body(draw: random.Random) -> bytes:
    """An inference request, mostly with something wrong or unusual about it."""

    def pick(good: str, *odd: str) -> str:
        return draw.choice([good] * len(odd) + [*odd])

    parts = [
        '"name":' + pick('"input"', '"x"', "1", "null", '"a\\"data\\":"'),
        '"shape":' + pick("[1,4]", "[4,1]", "[2,2]", "[-1,-4]", "[true,4]", "[1.0,4]", "[4]", "[0,4]", "null"),
        '"datatype":' + pick('"FP32"', '"FP64"', '"INT32"', '"BOOL"', '"fp32"', "32"),
        '"data":'
        + pick(
            "[1,2.5,-3,0]", "[1e39,1,1,1]", "[3.4028235677973366e38,1,1,1]", "[18446744073709551616,1,1,1]",
            "[true,1,1,1]", "[null,1,1,1]", '["1",1,1,1]', "[[1,2,3,4]]", "[[1,2],[3,4]]", "[]", "[1,2,3]", "{}", "4",
        ),
    ]  # fmt: skip
    if draw.random() < 0.3:
        parts.append(draw.choice(['"parameters":{}', '"data":[true,1,1,1]', '"data":[9,9,9,9]', '"x\\"data":[1]']))
    if draw.random() < 0.3:
        draw.shuffle(parts)
    end = pick("]}", '],"id":"q"}', '],"outputs":[]}', ",{}]}", "]} ", "]} x")
    return f'{{"inputs":[{{{", ".join(parts)}}}{end}'.encode()
