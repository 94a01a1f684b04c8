"""The Open Inference Protocol over gRPC, by the messages that a Triton client brings with it."""

import struct
from collections.abc import Sequence
from typing import Any, Final

from tritonclient.grpc import service_pb2

from loadtests.requests import Pairing
from loadtests.users.answers import Scored, WrongAnswer
from loadtests.users.oip import pack

CALL: Final = "/inference.GRPCInferenceService/ModelInfer"


def request(model: str, ident: str, rows: Sequence[Pairing]) -> Any:
    """A ModelInferRequest of n rows: four BYTES tensors [n, 1] as raw contents."""
    message = service_pb2.ModelInferRequest(model_name=model, id=ident)
    for name, values in zip(Pairing._fields, zip(*rows, strict=True), strict=True):
        message.inputs.add(name=name, datatype="BYTES", shape=[len(rows), 1])
        message.raw_input_contents.append(pack(values))
    return message


def parse(body: bytes) -> Any:
    """A ModelInferResponse."""
    return service_pb2.ModelInferResponse.FromString(body)


def scored(answer: Any) -> Scored:
    """Read a ModelInferResponse, of raw or typed contents; raises WrongAnswer where it lacks the probabilities."""
    names = [output.name for output in answer.outputs]
    if "probabilities" not in names:
        raise WrongAnswer("no probabilities", str(names))
    at = names.index("probabilities")
    output = answer.outputs[at]
    if output.datatype != "FP32":
        raise WrongAnswer("probabilities of another type than FP32", output.datatype)
    given = answer.parameters["prediction_ids"].string_param if "prediction_ids" in answer.parameters else ""
    return Scored(
        ident=answer.id,
        model=answer.model_name,
        version=answer.model_version,
        shape=list(output.shape),
        probabilities=_values(answer, at),
        prediction_ids=given.split(",") if given else [],
    )


def _values(answer: Any, at: int) -> Sequence[float]:
    if not answer.raw_output_contents:
        return list(answer.outputs[at].contents.fp32_contents)
    raw = answer.raw_output_contents[at]
    if len(raw) % 4:
        raise WrongAnswer("half a number", f"{len(raw)} bytes")
    return struct.unpack(f"<{len(raw) // 4}f", raw)
