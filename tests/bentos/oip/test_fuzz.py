"""Whatever is sent is answered, or refused as the caller's fault: by the routes themselves, and by a running server.

``FUZZ_EXAMPLES`` sets how much, as for schemathesis; each test tries some twenty times as many requests a model.
"""

import gzip
import os
import socket
import struct
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentos.core import Core
from bentos.errors import RequestError
from bentos.http import Response
from bentos.keys import line_of
from bentos.oip.binary import LENGTH_HEADER, framed
from bentos.tensor import DTYPES
from tests import servers
from tests.tabular import Kind

Ask = Callable[[Core, bytes, dict[bytes, bytes]], Response]
Sent = tuple[bytes, dict[bytes, bytes]]

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "15"))
MANY = settings(max_examples=20 * EXAMPLES)
FEWER = settings(MANY, max_examples=4 * EXAMPLES)
PACKERS: dict[str, Callable[[bytes], bytes]] = {"identity": bytes, "gzip": gzip.compress, "deflate": zlib.compress}


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
    answered(ask, model, damaged(data, body), misled(data, headers))


def damaged(data: st.DataObject, body: bytes) -> bytes:
    """Bytes with one to three damages."""
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
    return bytes(mangled)


def misled(data: st.DataObject, headers: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Headers whose length of the text may be wrong, or gone."""
    if not headers or not data.draw(st.booleans()):
        return headers
    length = int(headers[LENGTH_HEADER]) + data.draw(st.integers(-3, 3))
    return {LENGTH_HEADER: b"%d" % length} if data.draw(st.booleans()) else {}


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
    answered(ask, model, *twisted(data, model))


def twisted(data: st.DataObject, model: Core) -> Sent:
    """A good request of which one or two parts are something else."""
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
    return text + body[end:], {LENGTH_HEADER: b"%d" % len(text)} if headers else {}


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


class Door(NamedTuple):
    """A running server, and what it is known to answer."""

    client: httpx.Client
    core: Core
    statuses: Counter[int]

    def send(self, body: bytes, headers: dict[bytes, bytes]) -> httpx.Response:
        """Fails for what is no fault of the caller, or has not the shape of an error."""
        answer = self.client.post(f"/v2/models/{self.core.contract.name}/infer", content=body, headers=headers)
        self.statuses[answer.status_code] += 1
        assert answer.status_code < 500, answer.text
        if answer.status_code != 200:
            assert set(answer.json()) == {"error", "code", "details"}
        return answer

    def check(self, ask: Ask) -> None:
        """Ask something good, and compare with what the core says."""
        for body, headers in good(self.core):
            answer, expected = self.send(body, headers), ask(self.core, body, headers)
            end = dict(expected.headers).get(LENGTH_HEADER)
            if end is None:
                assert answer.json()["outputs"] == orjson.loads(expected.body)["outputs"]
            else:
                assert answer.content[int(answer.headers[LENGTH_HEADER.decode()]) :] == expected.body[int(end) :]


@pytest.fixture(scope="module", params=["server", "classifier", "pipeline"])
def door(request: pytest.FixtureRequest, core: Core, tabular_core: Callable[[Kind], Core], ask: Ask) -> Iterator[Door]:
    process: servers.Process = request.getfixturevalue(request.param)
    known = core if request.param == "server" else tabular_core(request.param)
    with httpx.Client(base_url=process.rest, timeout=60) as client:
        opened = Door(client, known, Counter())
        opened.check(ask)
        memory, logged = process.memory_mib(), len(process.text())
        yield opened
        opened.check(ask)
    assert process.memory_mib() - memory < 40
    assert "Traceback" not in process.text()[logged:]
    # Requests that were all refused for one reason, or not at all, would have tried nothing.
    assert {200, 400, 422} <= set(opened.statuses)


@FEWER
@given(data=st.data())
def test_the_door_takes_damaged_bytes(door: Door, ask: Ask, data: st.DataObject) -> None:
    body, headers = data.draw(st.sampled_from(good(door.core)))
    packing = data.draw(st.sampled_from(list(PACKERS)))
    packed_last = data.draw(st.booleans())
    body = PACKERS[packing](damaged(data, body)) if packed_last else damaged(data, PACKERS[packing](body))
    door.send(body, {**misled(data, headers), b"content-encoding": packing.encode()})
    door.check(ask)


@FEWER
@given(data=st.data())
def test_the_door_takes_other_values_in_the_right_places(door: Door, ask: Ask, data: st.DataObject) -> None:
    door.send(*twisted(data, door.core))
    door.check(ask)


@pytest.mark.parametrize("packing", list(PACKERS))
@pytest.mark.parametrize(("body", "headers"), corpus())
def test_the_door_refuses_the_corpus(
    door: Door, ask: Ask, body: bytes, headers: dict[bytes, bytes], packing: str
) -> None:
    packed = PACKERS[packing](body)
    assert door.send(packed, {**headers, b"content-encoding": packing.encode()}).status_code in {400, 413, 422, 431}
    door.check(ask)


@pytest.mark.parametrize("door", ["classifier"], indirect=True)
def test_hostile_requests_leave_no_memory_behind(door: Door, classifier: servers.Process) -> None:
    sent = [each.values[:2] for each in corpus()]

    def send() -> None:
        for body, headers in sent:
            door.send(body, headers)

    for _ in range(5):
        send()
    before = classifier.memory_mib()
    for _ in range(max(50, EXAMPLES)):
        send()
    # A server looks for garbage seldom: what only that finds, as an error that holds its request, would be there.
    assert classifier.memory_mib() - before < 10


def test_callers_without_a_key_leave_no_memory_behind(tabular_bundle: Callable[[Kind], Path], tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(line_of("k" * 40))
    head = (
        b"POST /v2/models/classifier/infer HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 200000\r\n\r\n"
    )
    given = {"PDX_AUTH_KEYS_FILE": str(tmp_path / "keys"), "PDX_STOP_DRAIN_SECONDS": "0"}
    with servers.start(tmp_path / "server", "--bundle", str(tabular_bundle("classifier")), **given) as process:
        servers.ready(process)
        url = httpx.URL(process.rest)

        def send(times: int) -> None:
            for _ in range(times):
                with socket.create_connection((url.host, url.port), 60) as connection:
                    # Head and body in one piece, so that who holds the one holds the other.
                    connection.sendall(head + b"x" * 200_000)
                    assert connection.recv(12) == b"HTTP/1.1 401"
                    while connection.recv(1 << 16):
                        pass

        send(20)
        before = process.memory_mib()
        send(200)
        assert process.memory_mib() - before < 10
