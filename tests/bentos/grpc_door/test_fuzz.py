"""Whatever bytes come: an answer or a refusal, never a failure of ours, and good requests are answered right after.

``FUZZ_EXAMPLES`` sets how much, as for schemathesis; each test tries ten times as many messages.
"""

import os
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentos.core import Core
from bentos.grpc_door.wire import inference_pb2 as pb
from tests import servers
from tests.bentos.grpc_door import doors

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "15"))
QUICK = settings(max_examples=10 * EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
UNARY = [
    *(
        f"/{doors.SERVICE}/{name}"
        for name in ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata")
    ),
    f"/{doors.SERVICE}/ModelInfer",
    "/grpc.health.v1.Health/Check",
]
ALLOWED = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}


def check(channel: Any, core: Core, path: str, message: bytes) -> None:
    try:
        channel.unary_unary(path)(message, timeout=20)
        code = grpc.StatusCode.OK
    except grpc.RpcError as error:
        refused: Any = error
        code = refused.code()
        assert refused.details()
    assert code in ALLOWED
    answer = doors.infer(channel, doors.raw_battle(core))
    assert doors.probabilities(answer)[0, 1] == pytest.approx(doors.expected(core)[0], abs=1e-5)


@given(path=st.sampled_from(UNARY), message=st.binary(max_size=300))
@QUICK
def test_bytes_at_random(channel: Any, core: Core, path: str, message: bytes) -> None:
    check(channel, core, path, message)


@given(data=st.data())
@QUICK
def test_good_messages_cut_or_changed_somewhere(channel: Any, core: Core, data: st.DataObject) -> None:
    make = data.draw(st.sampled_from([doors.raw_battle, doors.typed_battle]))
    message = bytearray(make(core, 2).SerializeToString())
    for _ in range(data.draw(st.integers(0, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    check(channel, core, UNARY[5], bytes(message[: data.draw(st.integers(0, len(message)))]))


SHAPE = st.lists(st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-2, 3), max_size=12)
TEXT = st.text(max_size=20) | st.sampled_from(doors.NAMES)
PARAMETERS = st.dictionaries(
    st.sampled_from(["prediction_ids", "timeout", "binary_data_size", "classification", "x"]),
    st.one_of(
        st.builds(pb.InferParameter, bool_param=st.booleans()),
        st.builds(pb.InferParameter, int64_param=st.integers(-(1 << 63), (1 << 63) - 1)),
        st.builds(pb.InferParameter, uint64_param=st.integers(0, (1 << 64) - 1)),
        st.builds(pb.InferParameter, double_param=st.floats()),
        st.builds(pb.InferParameter, string_param=TEXT),
        st.builds(pb.InferParameter),
    ),
    max_size=3,
)
DATATYPE = st.sampled_from(["BOOL", "INT8", "UINT64", "FP16", "FP32", "FP64", "BYTES", "BF16", "", "fp32"])
CONTENTS = st.none() | st.builds(
    pb.InferTensorContents,
    int_contents=st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=3),
    fp32_contents=st.lists(st.floats(width=32), max_size=3),
    bytes_contents=st.lists(st.binary(max_size=8), max_size=3),
)
INPUT = st.builds(
    pb.ModelInferRequest.InferInputTensor,
    name=TEXT,
    datatype=DATATYPE,
    shape=SHAPE,
    parameters=PARAMETERS,
    contents=CONTENTS,
)
OUTPUT = st.builds(
    pb.ModelInferRequest.InferRequestedOutputTensor, name=TEXT | st.just("probabilities"), parameters=PARAMETERS
)


@given(
    request=st.builds(
        pb.ModelInferRequest,
        model_name=st.just("battle"),
        id=TEXT,
        parameters=PARAMETERS,
        inputs=st.lists(INPUT, max_size=5),
        outputs=st.lists(OUTPUT, max_size=2),
        raw_input_contents=st.lists(st.binary(max_size=40), max_size=5),
    )
)
@QUICK
def test_valid_messages_that_make_no_sense(channel: Any, core: Core, request: pb.ModelInferRequest) -> None:
    # A timeout of some microseconds may well pass, and is told so.
    request.parameters.pop("timeout", None)
    check(channel, core, UNARY[5], request.SerializeToString())


@given(message=st.binary(max_size=100))
@QUICK
def test_streams_take_bytes_at_random(channel: Any, core: Core, message: bytes) -> None:
    reflection = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
    watch = channel.stream_stream("/grpc.health.v1.Health/Watch")
    for call in (reflection(iter([message]), timeout=20), watch(iter([message]), timeout=20)):
        try:
            next(call, None)
            call.cancel()
        except grpc.RpcError as error:
            refused: Any = error
            assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert doors.infer(channel, doors.raw_battle(core)).outputs


@pytest.mark.parametrize("field", ["01", "0b", "0c", "80", "ff" * 12, "2a80808080", "2affffffffffffffffff01"])
@pytest.mark.parametrize("before", [0, 65536])
def test_fields_that_are_cut_or_lie_about_their_length(channel: Any, core: Core, field: str, before: int) -> None:
    # Beyond 64 KiB the fields are counted first.
    padding = pb.ModelInferRequest(id="x" * before).SerializeToString()
    check(channel, core, UNARY[5], padding + bytes.fromhex(field))


@pytest.mark.parametrize("depth", [50, 5000])
def test_groups_in_groups(channel: Any, core: Core, depth: int) -> None:
    check(channel, core, UNARY[5], b"\x7b" * depth + b"\x7c" * depth)


MODEL = pb.ModelInferRequest(model_name="battle").SerializeToString()


def changed(core: Core, change: Callable[[pb.ModelInferRequest], object], *, raw: bool = True) -> bytes:
    """A good message of two rows in which something is changed."""
    request = (doors.raw_battle if raw else doors.typed_battle)(core, 2)
    change(request)
    return request.SerializeToString()


def shaped(*shape: int, raw: bool = True) -> Callable[[Core], bytes]:
    def change(request: pb.ModelInferRequest) -> None:
        for tensor in request.inputs:
            tensor.shape[:] = shape

    return lambda core: changed(core, change, raw=raw)


def content(made: Callable[[bytes], bytes]) -> Callable[[Core], bytes]:
    def change(request: pb.ModelInferRequest) -> None:
        request.raw_input_contents[1] = made(request.raw_input_contents[1])

    return lambda core: changed(core, change)


def typed(datatype: str, *, raw: bool) -> Callable[[Core], bytes]:
    return lambda core: changed(core, lambda request: setattr(request.inputs[2], "datatype", datatype), raw=raw)


def text(where: bytes) -> Callable[[Core], bytes]:
    """A string that is not UTF-8 in place of a known one of its length."""
    return lambda core: doors.raw_battle(core).SerializeToString().replace(where, b"\xff" * len(where), 1)


CORPUS: dict[str, Callable[[Core], bytes]] = {
    "a shape that multiplies to 0": shaped(1 << 32, 1 << 32),
    "a shape that wraps to its rows": shaped((1 << 63) - 1, 2),
    "the largest shape": shaped((1 << 63) - 1, (1 << 63) - 1),
    "many dimensions": shaped(*[2] * 1_000),
    "a negative shape": shaped(-2, -1),
    "a shape of no rows": shaped(0, 1),
    "no shape": shaped(),
    "a shape beyond the values by type": shaped(1 << 40, 1, raw=False),
    "contents cut": content(lambda given: given[:-1]),
    "contents gone": content(lambda _: b""),
    "contents that go on": content(lambda given: given + b"\0"),
    "an element of four gigabytes": content(lambda given: b"\xff" * 4 + given[4:]),
    "an element of no UTF-8": content(lambda given: given[:4] + b"\xff" + given[5:]),
    **{f"{name} raw": typed(name, raw=True) for name in ("FP32", "INT64", "BOOL", "BF16", "", "bytes")},
    **{f"{name} by type": typed(name, raw=False) for name in ("FP32", "INT64", "BOOL", "FP16", "", "bytes")},
    "a model's name of no UTF-8": text(b"battle"),
    "a tensor's name of no UTF-8": text(b"move_b"),
    "a data type of no UTF-8": text(b"BYTES"),
    "one contents too many": lambda core: changed(core, lambda request: request.raw_input_contents.append(b"")),
    "raw and by type": lambda core: changed(
        core, lambda request: request.inputs[0].contents.bytes_contents.append(b"x")
    ),
    "a tensor twice": lambda core: changed(core, lambda request: request.inputs.append(request.inputs[0]), raw=False),
    "the model's name twice": lambda core: doors.raw_battle(core).SerializeToString() + MODEL.replace(b"b", b"x"),
    "a field as another type": lambda core: doors.raw_battle(core).SerializeToString() + b"\x28\x01" + b"\x0d\0\0\0\0",
    "a hundred thousand inputs": lambda _: MODEL + b"\x2a\x00" * 100_000,
    "a hundred thousand contents": lambda core: doors.raw_battle(core).SerializeToString() + b"\x3a\x00" * 100_000,
    "a million dimensions": lambda _: MODEL + pb.ModelInferRequest(
        inputs=[pb.ModelInferRequest.InferInputTensor(name="pokemon_a", shape=[1] * 1_000_000)]
    ).SerializeToString(),
}  # fmt: skip
ANSWERED = {"a field as another type"}
"""Fields of another type are unknown ones, which protobuf leaves alone."""


@pytest.mark.parametrize("name", list(CORPUS))
def test_a_corpus_of_hostile_messages(channel: Any, core: Core, name: str) -> None:
    message = CORPUS[name](core)
    if name in ANSWERED:
        assert doors.infer(channel, message).outputs
    else:
        with pytest.raises(grpc.RpcError) as refused:
            doors.infer(channel, message)
        code: Any = refused.value
        assert code.code() in ALLOWED - {grpc.StatusCode.OK}, code.details()
        assert code.details()
    check(channel, core, UNARY[5], message)


def test_hostile_messages_leave_no_memory_behind(server: servers.Process, core: Core) -> None:
    messages = [make(core) for make in CORPUS.values()]
    with grpc.insecure_channel(server.grpc, options=[("grpc.max_send_message_length", -1)]) as connected:

        def send() -> None:
            for message in messages:
                check(connected, core, UNARY[5], message)

        for _ in range(5):
            send()
        before = server.memory_mib()
        for _ in range(max(20, EXAMPLES)):
            send()
        # A server looks for garbage seldom: what only that finds, as an error that holds its message, would be there.
        assert server.memory_mib() - before < 40
