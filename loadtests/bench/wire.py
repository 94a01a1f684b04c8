"""Messages of the Open Inference Protocol's gRPC call, in a descriptor pool of their own.

A process that also imports a Triton client has the same names in the default pool; registering them there again is
fatal.
"""

import functools
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from loadtests.bench.model import Floats

PROTO: Final = Path(__file__).parent / "contenders/bare_grpc/oip.proto"
CALL: Final = "inference.GRPCInferenceService/ModelInfer"
MODEL_NAME: Final = "model"


@functools.cache
def _pool() -> DescriptorPool:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "oip.binpb")
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO.parent}", f"--descriptor_set_out={out}"]
        subprocess.run([*command, PROTO.name], check=True)
        files = FileDescriptorSet.FromString(out.read_bytes())
    pool = DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


def _message(name: str) -> Any:
    return GetMessageClass(_pool().FindMessageTypeByName(f"inference.{name}"))


def encode_infer(rows: Floats) -> bytes:
    """A ModelInferRequest with raw contents for float32 rows [n, columns]."""
    request = _message("ModelInferRequest")(model_name=MODEL_NAME)
    request.inputs.add(name="input", datatype="FP32", shape=rows.shape)
    request.raw_input_contents.append(rows.tobytes())
    return bytes(request.SerializeToString())


def decode_infer(body: bytes) -> list[tuple[str, Any]]:
    """Name and values of each float output of a ModelInferResponse, in its shape; others come without values.

    Raises:
        google.protobuf.message.DecodeError: these bytes are no such message.
    """
    answer = _message("ModelInferResponse").FromString(body)
    outputs: list[tuple[str, Any]] = []
    for index, output in enumerate(answer.outputs):
        dtype = {"FP32": np.float32, "FP64": np.float64}.get(output.datatype)
        if dtype is None:
            outputs.append((output.name, None))
        elif answer.raw_output_contents:
            values = np.frombuffer(answer.raw_output_contents[index], dtype)
            outputs.append((output.name, values.reshape(output.shape)))
        else:
            contents = output.contents.fp32_contents or output.contents.fp64_contents
            outputs.append((output.name, np.array(contents, dtype).reshape(output.shape)))
    return outputs
