"""Doors in this process, and plain gRPC callers of them with our own messages."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc
import numpy as np
from google.protobuf.message import Message

from bentos.core import Core
from bentos.grpc_door import GrpcDoor
from bentos.grpc_door.wire import inference_pb2 as pb
from bentos.settings import Settings
from bentos.state import State

SERVICE = "inference.GRPCInferenceService"
NAMES = ("pokemon_a", "move_a", "pokemon_b", "move_b")
M = TypeVar("M", bound=Message)


@contextmanager
def open_door(core: Core | None, **given: Any) -> Iterator[GrpcDoor]:
    """A started door; ``grpc`` and ``limit`` are settings, the rest goes to the door."""
    state = given.pop("state", None) or State()
    state.core = core
    grpc_settings = {"host": "127.0.0.1", "port": 0, **given.pop("grpc", {})}
    settings = Settings.read({"grpc": grpc_settings, "limit": given.pop("limit", {})})
    door = GrpcDoor(settings, state, **given)
    door.start()
    try:
        yield door
    finally:
        assert door.end(5).wait(10)


def connect(door: GrpcDoor) -> Any:
    """A connection of its own, a ``grpc.Channel``; its stubs cannot say that messages are sent as they are."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0)]
    return grpc.insecure_channel(f"127.0.0.1:{door.port}", options=options)


def ask(channel: Any, method: str, request: Message | bytes, answer: type[M], **options: Any) -> M:
    """Call a method of the protocol."""
    message = request if isinstance(request, bytes) else request.SerializeToString()
    call = channel.unary_unary(f"/{SERVICE}/{method}", response_deserializer=answer.FromString)
    answered: M = call(message, **{"timeout": 20, "wait_for_ready": True, **options})
    return answered


def infer(channel: Any, request: Message | bytes, **options: Any) -> pb.ModelInferResponse:
    return ask(channel, "ModelInfer", request, pb.ModelInferResponse, **options)


def framed(texts: Sequence[str]) -> bytes:
    return b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in texts)


def raw_battle(core: Core, rows: int = 1) -> pb.ModelInferRequest:
    """A request of the first rows of the parity sample, as raw contents."""
    request = pb.ModelInferRequest(model_name="battle")
    for name, column in zip(NAMES, zip(*core.contract.parity.rows[:rows], strict=True), strict=True):
        request.inputs.add(name=name, datatype="BYTES", shape=[rows, 1])
        request.raw_input_contents.append(framed([str(value) for value in column]))
    return request


def typed_battle(core: Core, rows: int = 1) -> pb.ModelInferRequest:
    """The same by type."""
    request = pb.ModelInferRequest(model_name="battle")
    for name, column in zip(NAMES, zip(*core.contract.parity.rows[:rows], strict=True), strict=True):
        tensor = request.inputs.add(name=name, datatype="BYTES", shape=[rows, 1])
        tensor.contents.bytes_contents.extend([str(value).encode() for value in column])
    return request


def expected(core: Core, rows: int = 1) -> Any:
    """P(A wins) of those rows [rows]."""
    return np.array(core.contract.parity.expected[:rows])[:, -1]


def probabilities(response: pb.ModelInferResponse) -> Any:
    """The first output [rows, classes] of an answer, raw or typed."""
    output = response.outputs[0]
    flat = (
        np.frombuffer(response.raw_output_contents[0], np.float32)
        if response.raw_output_contents
        else np.array(output.contents.fp32_contents)
    )
    return flat.reshape(list(output.shape))


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Poll a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
