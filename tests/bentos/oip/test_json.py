import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.errors import InvalidInput, RequestError, TooManyRows
from bentos.oip.json import check_nesting, document, only_numbers
from bentos.oip.request import Reader
from bentos.tensor import DTYPES, TensorSpec

WIDTH = 133
MOST_ROWS = 1000
NESTING = 16
MATRIX = Reader(
    (TensorSpec("input", "FP32", (-1, WIDTH)),), (TensorSpec("value", "FP32", (-1, 1)),), MOST_ROWS, NESTING
)


def tensor(datatype: str, shape: Any, data: Any, **more: Any) -> bytes:
    """The body of a request of one tensor, its data last."""
    given = {"name": "input", "datatype": datatype, "shape": shape, **more, "data": data}
    return json.dumps({"inputs": [given]}).encode()


def read(body: bytes) -> np.ndarray[Any, Any]:
    (found,) = MATRIX.read(body, None).tensors
    assert found.name == "input"
    return found.data


def dressed(body: bytes) -> bytes:
    """The same request with more keys, which is read another way."""
    return body[:-1] + b', "id": "1"}'


BOTH = pytest.mark.parametrize("dress", [bytes, dressed], ids=["bare", "with an id"])
_NO_NUMBERS: tuple[Any, ...] = (True, None, "1", {}, [1], {"data": 1})
WRONG: list[tuple[str, tuple[Any, ...]]] = [
    ("FP32", _NO_NUMBERS),
    ("FP64", _NO_NUMBERS),
    ("INT64", (*_NO_NUMBERS, 1.0)),
    ("BOOL", (1, 0.0, None, "true")),
    ("BYTES", (1, True, None, ["x"], {})),
]
LEAST = {"INT8": -128, "INT16": -(2**15), "INT32": -(2**31), "INT64": -(2**63)}
GREATEST = {
    "INT8": 127,
    "INT16": 2**15 - 1,
    "INT32": 2**31 - 1,
    "INT64": 2**63 - 1,
    "UINT8": 255,
    "UINT16": 2**16 - 1,
    "UINT32": 2**32 - 1,
    "UINT64": 2**64 - 1,
}


@BOTH
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("BOOL", [True, False, True, False]),
        ("BYTES", ["a", "", "é🦊", 'a "quoted" [one]']),
        ("FP16", [1, -2.5, 0.5, 65504]),
        ("FP32", [1, -2.5, 1e-30, 3.4e38]),
        ("FP64", [1, -2.5, 1e-300, 1.7e308]),
        *[(name, [LEAST.get(name, 0), GREATEST[name], 1, 0]) for name in GREATEST],
    ],
)
def test_values_of_every_datatype(datatype: str, values: list[Any], nested: bool, dress: Any) -> None:
    data = [values[:2], values[2:]] if nested else values
    found = read(dress(tensor(datatype, [2, 2], data)))
    assert found.dtype == DTYPES[datatype]
    assert found.tolist() == np.array([values[:2], values[2:]], DTYPES[datatype]).tolist()


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_a_float32_comes_through_exactly(values: list[float]) -> None:
    for body in (tensor("FP32", [1, len(values)], values), tensor("FP32", [1, len(values)], [values])):
        assert read(body).tolist() == read(dressed(body)).tolist() == [values]


def test_long_and_short_rows_are_read_alike() -> None:
    values = np.random.default_rng(0).standard_normal((50, WIDTH)).astype(np.float32)
    body = tensor("FP32", [50, WIDTH], values.tolist())
    np.testing.assert_array_equal(read(body), values)
    np.testing.assert_array_equal(read(tensor("FP32", [1, WIDTH], values[0].tolist())), values[:1])


def test_of_a_key_that_is_there_twice_the_last_counts() -> None:
    body = b'{"inputs":[{"name":"input","shape":[1],"datatype":"FP32","data":["x"],"data":[2]}]}'
    assert read(body).tolist() == [2.0]


@BOTH
@pytest.mark.parametrize(
    ("datatype", "wrong"),
    [(datatype, value) for datatype, values in WRONG for value in values],
)
def test_a_value_of_another_type_is_refused(datatype: str, wrong: Any, dress: Any) -> None:
    good = {"BOOL": True, "BYTES": "x"}.get(datatype, 1)
    for values in ([wrong, good], [good, wrong]):
        for data in (values, [values]):
            with pytest.raises(InvalidInput) as refused:
                read(dress(tensor(datatype, [1, 2], data)))
            assert refused.value.details[0]["tensor"] == "input"


@BOTH
@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("FP16", 70000),
        ("FP32", 1e39),
        ("INT8", -129),
        ("INT64", 2**63),
        ("UINT8", 256),
        ("UINT64", -1),
    ],
)
def test_a_value_out_of_range_is_refused(datatype: str, value: Any, dress: Any) -> None:
    for size in (1, 2000):
        with pytest.raises(InvalidInput, match=f"out of the range of {datatype}"):
            read(dress(tensor(datatype, [size], [value] * size)))


@BOTH
@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([1, 3], [1, 2]),
        ([1, 1], [1, 2]),
        ([1, 2], []),
        ([2, 2], [[1, 2]]),
        ([2, 2], [[1, 2], [3]]),
        ([2, 2], [[1, 2], 3]),
        ([2, 2], [1, [2, 3, 4]]),
        ([2, 3], [[1, 2], [3, 4], [5, 6]]),
        ([1, 1], [[[1]]]),
        ([1], [[1]]),
        ([], [[1]]),
        ([1, 1], {}),
        ([1, 1], "1"),
        ([1, 1], None),
    ],
)
@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_values_that_do_not_fit_their_shape_are_refused(datatype: str, shape: list[int], data: Any, dress: Any) -> None:
    with pytest.raises(InvalidInput):
        read(dress(tensor(datatype, shape, data)))


@pytest.mark.parametrize("shape", [None, 1, "1", {}, [1.0], [True], ["1"], [-1], [0, 133], [None], [1] * 9])
def test_what_is_no_shape_is_refused(shape: Any) -> None:
    with pytest.raises(InvalidInput, match=r"needs a shape|from 1 on"):
        read(tensor("FP32", shape, [1]))


@pytest.mark.parametrize(
    "shape", [[2**63, 2], [2**32, 2**32], [2**64 - 1] * 8, [MOST_ROWS + 1, WIDTH], [1, MOST_ROWS * WIDTH + 1]]
)
def test_a_shape_of_more_values_than_any_request_is_too_much(shape: list[int]) -> None:
    with pytest.raises(TooManyRows):
        read(tensor("FP32", shape, [1.0]))


@pytest.mark.parametrize("datatype", [None, 1, [], {}, "fp32", "FLOAT", "BF16", ""])
def test_what_is_no_datatype_is_refused(datatype: Any) -> None:
    with pytest.raises(InvalidInput, match="BF16" if datatype == "BF16" else "datatype"):
        read(tensor(datatype, [1], [1]))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b"\xff\xfe", b'{"a":"\xc3"}', b"[1e999]", b"NaN", b'"\\ud800"']
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError, match="not JSON") as refused:
        document(body, NESTING)
    assert type(refused.value) is RequestError


@pytest.mark.parametrize("body", [b"1", b"[]", b"null", b'"x"'])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="JSON object"):
        document(body, NESTING)


def closed(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize("inside", [closed, lambda levels: b'{"a":' * levels + b"1" + b"}" * levels])
def test_the_deepest_body_that_is_read(inside: Any) -> None:
    check_nesting(inside(NESTING), NESTING)
    with pytest.raises(InvalidInput, match="nested deeper than 16 levels"):
        check_nesting(inside(NESTING + 1), NESTING)


def test_brackets_side_by_side_or_in_strings_are_not_deep() -> None:
    wide = {"a": [[], {}] * 100, "b": "[" * 100, 'c"[[[[': ['\\"' + "{" * 50, "\\", "[\\\\"], "d": "é" + "[" * 30}
    check_nesting(json.dumps(wide).encode(), NESTING)
    check_nesting(json.dumps(wide, ensure_ascii=False).encode(), NESTING)


def test_closing_brackets_in_strings_do_not_make_a_body_flat() -> None:
    body = b'["]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\\"]]]]\\\\",' + closed(NESTING) + b"]"
    json.loads(body)
    with pytest.raises(InvalidInput, match="deeper"):
        check_nesting(body, NESTING)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text('[]{}"\\a', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[]{}"\\', max_size=3), inner, max_size=3),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(json_values)
def test_the_depth_is_counted_as_by_recursion(value: Any) -> None:
    text, levels = json.dumps(value).encode(), depth(value)
    check_nesting(text, levels)
    if levels:
        with pytest.raises(InvalidInput):
            check_nesting(text, levels - 1)


@pytest.mark.parametrize("levels", [NESTING + 1, 500, 2000, 200_000])
@pytest.mark.parametrize("key", ["parameters", "unknown"])
def test_a_deep_request_is_refused(levels: int, key: str) -> None:
    body = tensor("FP32", [1], [1])[:-1] + f', "{key}": {{"a": '.encode() + closed(levels - 2) + b"}}"
    with pytest.raises(InvalidInput, match="deeper"):
        read(body)


def test_values_count_as_levels_too() -> None:
    reader = Reader((TensorSpec("input", "FP32", (-1, 2)),), (), MOST_ROWS, 4)
    reader.read(tensor("FP32", [1, 2], [1, 2]), None)
    with pytest.raises(InvalidInput, match="deeper than 4 levels"):
        reader.read(tensor("FP32", [1, 2], [[1, 2]]), None)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"inputs":[{"name":"x","data":[1, 2.5e-3, -4E5]}]}', True),
        (b'{"inputs":[{"name":"x","data": [1]}]}', True),
        (b'{"inputs":[{"name":"x","data":[true]}]}', False),
        (b'{"inputs":[{"name":"x","data":[false]}]}', False),
        (b'{"inputs":[{"name":"x","data":[null]}]}', False),
        (b'{"inputs":[{"name":"x","data":["1"]}]}', False),
        (b'{"inputs":[{"data":[1],"name":"x"}]}', False),
        (b'{"inputs":[{"data":[true],"name":"\\"data"}]}', False),
        (b"{}", False),
        (b"", False),
    ],
)
def test_a_text_that_ends_in_numbers(body: bytes, expected: bool) -> None:
    assert only_numbers(body) is expected


def test_a_name_that_ends_in_data_hides_no_boolean() -> None:
    body = b'{"inputs":[{"shape":[1],"datatype":"FP32","data":[true],"name":"\\"data"}]}'
    with pytest.raises(InvalidInput, match="numbers"):
        MATRIX.read(body, None)
