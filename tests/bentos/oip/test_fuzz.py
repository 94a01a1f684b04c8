"""Whatever is sent is answered, or refused as the caller's fault."""

import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentos.core import Core
from bentos.errors import RequestError
from bentos.http import Response
from bentos.oip.binary import LENGTH_HEADER, framed
from bentos.tensor import DTYPES
from tests.tabular import Kind

Ask = Callable[[Core, bytes, dict[bytes, bytes]], Response]
Sent = tuple[bytes, dict[bytes, bytes]]

MANY = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def with_bytes(document: Any, *buffers: bytes) -> Sent:
    text = orjson.dumps(document)
    return text + b"".join(buffers), {LENGTH_HEADER: b"%d" % len(text)}


def good(core: Core) -> list[Sent]:
    """Requests that are answered, in JSON and in bytes."""
    if len(core.adapter.inputs) == 1:
        width = core.adapter.inputs[0].shape[1]
        values = np.linspace(18, 30, 2 * width, dtype=np.float32).reshape(2, width)
        if core.contract.name == "classifier":
            values[:, 1], values[:, 2] = 3, 1
        head = {"name": "input", "datatype": "FP32", "shape": [2, width]}
        raw = head | {"parameters": {"binary_data_size": values.nbytes}}
        return [
            (orjson.dumps({"inputs": [head | {"data": values.ravel().tolist()}]}), {}),
            (
                orjson.dumps({"id": "é", "inputs": [head | {"data": values.tolist()}], "outputs": [{"name": "label"}]}),
                {},
            ),
            with_bytes({"inputs": [raw], "parameters": {"binary_data_output": True}}, values.tobytes()),
        ]
    row = core.contract.parity.rows[0]
    heads = [{"name": spec.name, "datatype": spec.datatype, "shape": [1, 1]} for spec in core.adapter.inputs]
    pairs = list(zip(heads, row, strict=True))
    buffers = [
        framed([str(value)])
        if head["datatype"] == "BYTES"
        else np.array([value], DTYPES[str(head["datatype"])]).tobytes()
        for head, value in pairs
    ]
    raws = [
        head | {"parameters": {"binary_data_size": len(buffer)}} for head, buffer in zip(heads, buffers, strict=True)
    ]
    return [
        (orjson.dumps({"inputs": [head | {"data": [value]} for head, value in pairs]}), {}),
        with_bytes({"inputs": raws}, *buffers),
    ]


@pytest.fixture(scope="session", params=["battle", "classifier", "pipeline"])
def model(request: pytest.FixtureRequest, core: Core, tabular_core: Callable[[Kind], Core]) -> Core:
    return core if request.param == "battle" else tabular_core(request.param)


def answered(ask: Ask, core: Core, body: bytes, headers: dict[bytes, bytes]) -> bool:
    """Whether it is answered; fails for what is no fault of the caller."""
    try:
        response = ask(core, body, headers)
    except RequestError as error:
        refused = error
    else:
        length = dict(response.headers).get(LENGTH_HEADER)
        orjson.loads(response.body if length is None else response.body[: int(length)])
        return True
    assert str(refused).endswith((".", ".)", "?"))
    orjson.dumps(refused.details)
    return False


def items(document: Any) -> list[tuple[Any, Any]]:
    return list(document.items() if isinstance(document, dict) else enumerate(document))


def test_good_requests_are_answered(ask: Ask, model: Core) -> None:
    assert all(answered(ask, model, *sent) for sent in good(model))


@MANY
@given(data=st.data())
def test_damaged_bytes(ask: Ask, model: Core, data: st.DataObject) -> None:
    body, headers = data.draw(st.sampled_from(good(model)))
    mangled = bytearray(body)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(mangled)))
        match data.draw(st.sampled_from(["cut", "drop", "insert", "change"])):
            case "cut":
                del mangled[at:]
            case "drop":
                del mangled[at : at + data.draw(st.integers(1, 9))]
            case "insert":
                mangled[at:at] = data.draw(st.binary(min_size=1, max_size=5))
            case "change":
                mangled[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
    moved = data.draw(st.booleans())
    if headers and moved:
        length = int(headers[LENGTH_HEADER]) + data.draw(st.integers(-3, 3))
        announced = data.draw(st.booleans())
        headers = {LENGTH_HEADER: b"%d" % length} if announced else {}
    answered(ask, model, bytes(mangled), headers)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "data", "shape", "binary_data_size", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything in a JSON document."""
    found = [(*path, key) for key, _ in items(document)]
    for key, value in items(document):
        if isinstance(value, (dict, list)):
            found += places(value, (*path, key))
    return found


@MANY
@given(data=st.data())
def test_other_values_in_the_right_places(ask: Ask, model: Core, data: st.DataObject) -> None:
    body, headers = data.draw(st.sampled_from(good(model)))
    end = int(headers.get(LENGTH_HEADER, len(body)))
    document = orjson.loads(body[:end])
    for _ in range(data.draw(st.integers(1, 2))):
        *parents, key = data.draw(st.sampled_from(places(document)))
        target: Any = document
        for parent in parents:
            target = target[parent]
        target[key] = data.draw(values)
    text = orjson.dumps(document)
    headers = {LENGTH_HEADER: b"%d" % len(text)} if headers else {}
    answered(ask, model, text + body[end:], headers)


@MANY
@given(
    body=st.binary(max_size=300),
    length=st.none() | st.binary(max_size=4) | st.integers(0, 300).map(lambda n: b"%d" % n),
)
def test_any_bytes(ask: Ask, model: Core, body: bytes, length: bytes | None) -> None:
    answered(ask, model, body, {} if length is None else {LENGTH_HEADER: length})


def corpus() -> list[Any]:
    head: dict[str, Any] = {"name": "input", "datatype": "FP32", "shape": [1, 4]}
    one = struct.pack("<f", 1.0)
    deep = b"[" * 1_000 + b"]" * 1_000
    bad = [
        ("nothing", b"", {}),
        ("deep", deep, {}),
        ("never closed", b'{"inputs":' + b"[" * 200_000, {}),
        ("deep data", b'{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":' + deep + b"}]}", {}),
        ("deep parameters", b'{"inputs":[1],"parameters":{"a":' + deep[500:-500] + b"}}", {}),
        ("many lists", b'{"inputs":[' + b"[]," * 100_000 + b"[]]}", {}),
        ("many inputs", b'{"inputs":[' + b"{}," * 100_000 + b"{}]}", {}),
        ("invalid UTF-8", b'{"inputs":[{"name":"\xff"}]}', {}),
        ("lone surrogate", b'{"inputs":[{"name":"\\ud800"}]}', {}),
        ("keys twice", b'{"inputs":[],"inputs":[],"inputs":1}', {}),
        ("overflowing shape", orjson.dumps({"inputs": [head | {"shape": [2**63, 2**63], "data": [1.0]}]}), {}),
        ("shape that wraps to 4", orjson.dumps({"inputs": [head | {"shape": [2**62 + 1, 4], "data": [1] * 4}]}), {}),
        (
            "endless number",
            b'{"inputs":[{"name":"input","datatype":"FP32","shape":[1,1],"data":[1' + b"0" * 400 + b"]}]}",
            {},
        ),
        ("huge header", one, {LENGTH_HEADER: b"9" * 5_000}),
        (
            "infinity in bytes",
            *with_bytes(
                {"inputs": [head | {"parameters": {"binary_data_size": 16}}]}, struct.pack("<4f", *[float("inf")] * 4)
            ),
        ),
        (
            "text in bytes",
            *with_bytes(
                {"inputs": [head | {"datatype": "BYTES", "parameters": {"binary_data_size": 16}}]}, b"\xff" * 16
            ),
        ),
        (
            "gigabytes announced",
            *with_bytes({"inputs": [head | {"shape": [2**28, 4], "parameters": {"binary_data_size": 2**32}}]}, one),
        ),
    ]
    return [pytest.param(body, headers, id=name) for name, body, headers in bad]


@pytest.mark.parametrize(("body", "headers"), corpus())
def test_a_corpus_of_hostile_requests(ask: Ask, model: Core, body: bytes, headers: dict[bytes, bytes]) -> None:
    tracemalloc.start()
    try:
        assert not answered(ask, model, body, headers)
        # Twenty bytes of a list for each byte of the body is what JSON in Python costs at worst.
        assert tracemalloc.get_traced_memory()[1] < 1_000_000 + 50 * len(body)
    finally:
        tracemalloc.stop()
    assert answered(ask, model, *good(model)[0])


@pytest.mark.parametrize("raw", [False, True])
def test_one_long_text_does_not_lengthen_the_others(ask: Ask, core: Core, raw: bool) -> None:
    rows = 1_000
    columns = {
        spec.name: [str(value)] * rows
        for spec, value in zip(core.adapter.inputs, core.contract.parity.rows[0], strict=True)
    }
    columns[next(iter(columns))][7] = "x" * 100_000
    heads = [{"name": name, "datatype": "BYTES", "shape": [rows, 1]} for name in columns]
    if raw:
        buffers = [framed(texts) for texts in columns.values()]
        sizes = [{"parameters": {"binary_data_size": len(buffer)}} for buffer in buffers]
        sent = with_bytes({"inputs": [head | size for head, size in zip(heads, sizes, strict=True)]}, *buffers)
    else:
        texts = columns.values()
        sent = orjson.dumps({"inputs": [head | {"data": data} for head, data in zip(heads, texts, strict=True)]}), {}
    tracemalloc.start()
    try:
        assert not answered(ask, core, *sent)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
