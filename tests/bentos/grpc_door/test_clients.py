"""Clients of others: Triton's, sync and aio, in the process of the door, and what grpcurl asks."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from bentos.core import Core
from bentos.grpc_door import GrpcDoor
from bentos.grpc_door.wire import inference_pb2
from tests.bentos.grpc_door import doors


def inputs(module: Any, core: Core, rows: int) -> list[Any]:
    made = []
    for name, column in zip(doors.NAMES, zip(*core.contract.parity.rows[:rows], strict=True), strict=True):
        tensor = module.InferInput(name, [rows, 1], "BYTES")
        tensor.set_data_from_numpy(np.array(column, np.object_).reshape(-1, 1))
        made.append(tensor)
    return made


def test_tritonclient(door: GrpcDoor, core: Core) -> None:
    with triton.InferenceServerClient(f"127.0.0.1:{door.port}") as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("battle")
        assert client.is_model_ready("battle", "1")
        server = client.get_server_metadata(as_json=True)
        assert server["name"] == "predictiondex"
        model = client.get_model_metadata("battle", as_json=True)
        assert model["versions"] == ["1"]
        assert [tensor["name"] for tensor in model["inputs"]] == list(doors.NAMES)
        assert model["outputs"][0] == {"name": "probabilities", "datatype": "FP32", "shape": ["-1", "2"]}
        for compression in (None, "gzip", "deflate"):
            answer = client.infer(
                "battle",
                inputs(triton, core, 3),
                request_id="r",
                outputs=[triton.InferRequestedOutput("probabilities")],
                timeout=5_000_000,
                compression_algorithm=compression,
                parameters={"prediction_ids": False},
            )
            assert answer.as_numpy("probabilities")[:, 1] == pytest.approx(doors.expected(core, 3), abs=1e-5)
            assert answer.get_response().id == "r"
            assert not answer.get_response().parameters
        with pytest.raises(InferenceServerException, match="There is no model 'cat'") as caught:
            client.get_model_metadata("cat")
        assert caught.value.status() == "StatusCode.NOT_FOUND"
        with pytest.raises(InferenceServerException, match="NOT_FOUND"):
            client.is_model_ready("battle", "2")


def test_tritonclient_aio(door: GrpcDoor, core: Core) -> None:
    async def call() -> list[Any]:
        async with triton_aio.InferenceServerClient(f"127.0.0.1:{door.port}") as client:
            assert await client.is_model_ready("battle")
            return await asyncio.gather(*(client.infer("battle", inputs(triton_aio, core, n)) for n in range(1, 9)))

    for n, answer in enumerate(asyncio.run(call()), start=1):
        assert answer.as_numpy("probabilities")[:, 1] == pytest.approx(doors.expected(core, n), abs=1e-5)


TRITON_ONLY: dict[str, Callable[[triton.InferenceServerClient], Any]] = {
    "RepositoryIndex": lambda client: client.get_model_repository_index(),
    "RepositoryModelLoad": lambda client: client.load_model("battle"),
    "ModelConfig": lambda client: client.get_model_config("battle"),
    "ModelStatistics": lambda client: client.get_inference_statistics("battle"),
    "SystemSharedMemoryStatus": lambda client: client.get_system_shared_memory_status(),
}


@pytest.mark.parametrize("method", TRITON_ONLY)
def test_what_only_triton_has_is_unimplemented(door: GrpcDoor, method: str) -> None:
    with triton.InferenceServerClient(f"127.0.0.1:{door.port}") as client:
        with pytest.raises(InferenceServerException, match="does not have the method") as caught:
            TRITON_ONLY[method](client)
        assert caught.value.status() == "StatusCode.UNIMPLEMENTED"


def test_a_stream_of_inference_is_unimplemented(channel: Any) -> None:
    call = channel.stream_stream(f"/{doors.SERVICE}/ModelStreamInfer")(iter([b""]), timeout=20)
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


OURS, THEIRS = (
    "from bentos.grpc_door.wire import inference_pb2 as ours",
    "from tritonclient.grpc import service_pb2 as theirs",
)
USE = """
message = ours.ModelInferRequest(model_name="m", raw_input_contents=[b"x"])
message.inputs.add(name="a", datatype="FP32", shape=[1, 2])
message.parameters["p"].bool_param = True
other = theirs.ModelInferRequest.FromString(message.SerializeToString())
assert ours.ModelInferRequest.FromString(other.SerializeToString()) == message, other
"""


@pytest.mark.parametrize("imports", [(OURS, THEIRS), (THEIRS, OURS)])
def test_both_definitions_live_in_one_process_in_any_order(imports: tuple[str, str]) -> None:
    subprocess.run([sys.executable, "-c", "\n".join([*imports, USE])], check=True, timeout=60)


Wire = tuple[dict[str, Any], dict[str, Any]]


def wire(message: Any) -> Wire:
    """Fields by name (number, type, repeated, message, oneof) and nested messages by name."""
    fields = {
        field.name: (field.number, field.type, field.label, field.type_name, field.HasField("oneof_index"))
        for field in message.field
    }
    return fields, {nested.name: wire(nested) for nested in message.nested_type}


def test_the_wire_is_the_standards() -> None:
    """Names, numbers and types are those of the client's own definition, which has more messages and methods."""
    ours, theirs = FileDescriptorProto(), FileDescriptorProto()
    inference_pb2.DESCRIPTOR.CopyToProto(ours)
    service_pb2.DESCRIPTOR.CopyToProto(theirs)
    assert (ours.package, ours.syntax) == (theirs.package, theirs.syntax) == ("inference", "proto3")
    known = {message.name: message for message in theirs.message_type}
    for message in ours.message_type:
        assert wire(message) == wire(known[message.name])
    (service,), (their_service, *_) = ours.service, theirs.service
    assert service.name == their_service.name
    methods = {method.name: (method.input_type, method.output_type) for method in service.method}
    assert list(methods) == [
        "ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer"
    ]  # fmt: skip
    assert methods.items() <= {m.name: (m.input_type, m.output_type) for m in their_service.method}.items()


def test_generated_messages_are_as_generated() -> None:
    subprocess.run([sys.executable, "tools/protos.py", "--check"], check=True, timeout=120)


def questions(channel: Any, *asked: Any) -> list[Any]:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    return list(stub.ServerReflectionInfo(iter(asked), timeout=20))


def test_reflection_lists_and_describes_what_is_here(channel: Any) -> None:
    request = reflection_pb2.ServerReflectionRequest
    symbols = (
        doors.SERVICE,
        "inference.InferTensorContents",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    )
    listed, missing, *found = questions(
        channel,
        request(list_services=""),
        request(file_containing_symbol="opentelemetry.proto.trace.v1.Span"),
        *(request(file_containing_symbol=symbol) for symbol in symbols),
    )
    assert {service.name for service in listed.list_services_response.service} == {
        doors.SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"
    }  # fmt: skip
    assert missing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    files = [
        FileDescriptorProto.FromString(answer.file_descriptor_response.file_descriptor_proto[0]) for answer in found
    ]
    assert [file.package for file in files] == ["inference", "inference", "grpc.health.v1", "grpc.reflection.v1alpha"]
    assert [method.name for method in files[0].service[0].method][-1] == "ModelInfer"
