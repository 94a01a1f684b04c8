import struct
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from bentos.errors import InvalidInput, RequestError
from bentos.oip.binary import framed
from bentos.oip.request import Reader
from bentos.tensor import DTYPES, Tensor, TensorSpec

READER = Reader(
    tuple(TensorSpec(name, "FP32", (-1, 133)) for name in "abc"), (TensorSpec("value", "FP32", (-1, 1)),), 1000, 16
)


def request(*tensors: tuple[str, Any, list[int], bytes], size: Any = None, **more: Any) -> tuple[bytes, bytes]:
    """A body of tensors (name, datatype, shape, bytes) and the length of its text."""
    inputs = [
        {
            "name": name,
            "datatype": datatype,
            "shape": shape,
            "parameters": {"binary_data_size": len(data) if size is None else size},
        }
        for name, datatype, shape, data in tensors
    ]
    text = orjson.dumps({"inputs": inputs, **more}, option=orjson.OPT_SERIALIZE_NUMPY)
    return text + b"".join(data for *_, data in tensors), b"%d" % len(text)


def read(*request: Any) -> list[Tensor]:
    return READER.read(*request).tensors


def texts(*values: str) -> bytes:
    found = serialize_byte_tensor(np.array(values, np.object_)).item()
    assert isinstance(found, bytes)
    return found


@pytest.mark.parametrize("datatype", [name for name in DTYPES if name != "BYTES"])
def test_values_of_every_datatype(datatype: str) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]], DTYPES[datatype])
    (found,) = read(*request(("a", datatype, [2, 3], values.tobytes())))
    assert (found.name, found.datatype, found.data.dtype) == ("a", datatype, values.dtype)
    np.testing.assert_array_equal(found.data, values)


@given(st.lists(st.text(), min_size=1, max_size=20))
def test_texts_come_through_and_back(values: list[str]) -> None:
    assert framed(values) == texts(*values)
    (found,) = read(*request(("a", "BYTES", [len(values), 1], framed(values))))
    assert found.data.tolist() == [[value] for value in values]
    assert [text.decode() for text in deserialize_bytes_tensor(framed(values))] == values


@given(
    st.lists(st.floats(width=32), min_size=1, max_size=50),
    st.lists(st.text(max_size=5), min_size=1, max_size=5),
    st.data(),
)
def test_tensors_follow_each_other_at_any_offset(numbers: list[float], words: list[str], data: Any) -> None:
    floats = np.array(numbers, np.float32)
    parts = [
        ("a", "BYTES", [len(words)], framed(words)),
        ("b", "FP32", [len(numbers)], floats.tobytes()),
        ("c", "FP64", [1], struct.pack("<d", 0.5)),
    ]
    found = {tensor.name: tensor.data for tensor in read(*request(*data.draw(st.permutations(parts))))}
    assert found["a"].tolist() == words
    assert found["b"].tobytes() == floats.tobytes()
    assert found["c"].tolist() == [0.5]
    assert all(array.flags.aligned for array in found.values())


def test_values_in_json_and_in_bytes_go_together() -> None:
    body, _ = request(("a", "FP32", [1], struct.pack("<f", 1)), ("b", "FP32", [1], b""))
    document = orjson.loads(body[:-4])
    document["inputs"][1] = {"name": "b", "datatype": "FP32", "shape": [1], "data": [2]}
    text = orjson.dumps(document)
    a, b = read(text + body[-4:], b"%d" % len(text))
    assert (a.data.item(), b.data.item()) == (1.0, 2.0)


def test_a_batch_is_not_copied() -> None:
    values = np.zeros((1000, 133), np.float32)
    for id_length in range(1, 9):
        body, length = request(("a", "FP32", [1000, 133], values.tobytes()), id="x" * id_length)
        (found,) = read(body, length)
        assert found.data.flags.aligned
        # Only a copy is its own; one is made of three that do not lie at a multiple of four bytes.
        assert (found.data.base is None or found.data.base.flags.owndata) == (int(length) % 4 != 0)


FLOAT = ("a", "FP32", [1, 2], bytes(8))


@pytest.mark.parametrize("length", [b"", b"-1", b"+1", b"1.0", b"x", b"\xb2", b"9" * 11, b"9" * 100_000, b" 1"])
def test_a_length_that_is_no_number_is_refused(length: bytes) -> None:
    with pytest.raises(RequestError, match="not a number of bytes"):
        read(request(FLOAT)[0], length)


def test_a_text_that_is_longer_than_the_body_is_refused() -> None:
    body, _ = request(FLOAT)
    with pytest.raises(RequestError, match=f"says {len(body) + 1} bytes, and the body has {len(body)}"):
        read(body, b"%d" % (len(body) + 1))


@pytest.mark.parametrize("off", [-1, 1])
def test_a_text_of_another_length_is_refused(off: int) -> None:
    body, length = request(FLOAT)
    with pytest.raises(RequestError):
        read(body, b"%d" % (int(length) + off))


def test_without_the_header_the_body_is_json_alone() -> None:
    body, length = request(FLOAT)
    with pytest.raises(RequestError, match="not JSON"):
        read(body, None)
    with pytest.raises(RequestError, match="8 bytes, and the body has 0 left"):
        read(body[: int(length)], None)


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        (-1, "no number of bytes"),
        (8.0, "no number of bytes"),
        (True, "no number of bytes"),
        ("8", "no number of bytes"),
        ({}, "no number of bytes"),
        (4, "has 4 bytes, and its shape says 8"),
        (9, "has 9 bytes, and the body has 8 left"),
        (2**64 - 1, "and the body has 8 left"),
    ],
)
def test_a_size_that_does_not_fit_is_refused(size: Any, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        read(*request(FLOAT, size=size))


def test_bytes_of_no_tensor_are_refused() -> None:
    body, length = request(FLOAT)
    with pytest.raises(RequestError, match="1 bytes after those"):
        read(body + b"x", length)
    text = orjson.dumps({"inputs": [{"name": "a", "datatype": "FP32", "shape": [1], "data": [1]}]})
    with pytest.raises(RequestError, match="2 bytes after those"):
        read(text + b"xx", b"%d" % len(text))


def test_data_and_bytes_for_one_tensor_are_refused() -> None:
    text = orjson.dumps(
        {
            "inputs": [
                {"name": "a", "datatype": "FP32", "shape": [1], "data": [1], "parameters": {"binary_data_size": 4}}
            ]
        }
    )
    with pytest.raises(InvalidInput, match="both"):
        read(text + bytes(4), b"%d" % len(text))


def test_a_boolean_of_another_byte_is_refused() -> None:
    with pytest.raises(InvalidInput, match="0 and 1"):
        read(*request(("a", "BOOL", [3], b"\x00\x01\x02")))


@pytest.mark.parametrize(
    ("shape", "data", "sentence"),
    [
        ([1], b"", "take 4 at least"),
        ([2], texts("ab"), "take 8 at least|middle of a length"),
        ([1], texts("ab") + texts("c"), "its 1 elements take 6"),
        ([1], b"\x05\x00\x00\x00ab", "element 0 goes beyond"),
        ([1], b"\xff\xff\xff\xffab", "element 0 goes beyond"),
        ([2], texts("a") + b"\x01\x00\x00", "middle of a length"),
        ([2], texts("a") + b"\x01\x00\x00\x00", "element 1 goes beyond"),
        ([1], b"\x01\x00\x00\x00\xff", "not UTF-8"),
        ([1], b"\x03\x00\x00\x00\xed\xa0\x80", "not UTF-8"),
        ([100_000], texts("a"), "take 400000 at least"),
    ],
)
def test_texts_that_are_framed_wrong_are_refused(shape: list[int], data: bytes, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        read(*request(("a", "BYTES", shape, data)))


def test_a_text_does_not_go_into_the_next_tensor() -> None:
    with pytest.raises(RequestError, match="element 0 goes beyond"):
        read(*request(("a", "BYTES", [1], b"\x02\x00\x00\x00a"), ("b", "BYTES", [1], texts("b"))))


def test_bf16_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="BF16"):
        read(*request(("a", "BF16", [4], bytes(8))))


def test_parameters_that_are_nested_too_deeply_are_refused() -> None:
    body, length = request(("a", "FP32", [1], bytes(4)))
    text = body[: int(length)].replace(b'"binary_data_size"', b'"x":' + b"[" * 20 + b"]" * 20 + b',"binary_data_size"')
    with pytest.raises(InvalidInput, match="deeper"):
        read(text + bytes(4), b"%d" % len(text))
