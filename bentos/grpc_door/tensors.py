"""Tensors of a gRPC request and answer: as raw bytes, or as repeated fields by type."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bentos.errors import InvalidInput
from bentos.grpc_door.wire.inference_pb2 import InferParameter, ModelInferRequest, ModelInferResponse
from bentos.oip import binary
from bentos.oip.checks import Head, read_head, refused, shown
from bentos.oip.request import refuse_unsupported
from bentos.tensor import Tensor

_FIELD: Final = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where the values of a data type are; FP16 has no field."""
_NARROW: Final = frozenset({"INT8", "INT16", "UINT8", "UINT16"})
"""Data types whose field takes values that they do not."""

LARGE: Final = 64 << 10
"""Bytes of a message from which on its fields are counted before it is decoded."""
_MOST_FIELDS: Final = 16 << 10
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def too_many_fields(message: bytes) -> bool:
    """Whether a message has more fields of its own than any request: decoded, each takes some thirty times its bytes.

    What is no message is left to protobuf to refuse.
    """
    at, end = 0, len(message)
    try:
        for _ in range(_MOST_FIELDS):
            if at >= end:
                return False
            tag, at = _varint(message, at)
            kind = tag & 7
            if kind == _BYTES:
                size, at = _varint(message, at)
                at += size
            elif kind == _VARINT:
                _, at = _varint(message, at)
            else:
                at += {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
    except IndexError:
        return False
    return True


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 or shift > 63:
            return value, at
        shift += 7


def tensors(request: ModelInferRequest, most_values: int) -> list[Tensor]:
    """The inputs of a request.

    Args:
        request: decoded.
        most_values: values that the longest allowed request has in one tensor.

    Raises:
        RequestError: a tensor is not what the protocol says.
        TooManyRows: one has more values than ``most_values``.
    """
    inputs, raw = request.inputs, request.raw_input_contents
    if not raw:
        return [_typed(given, most_values) for given in inputs]
    if len(raw) != len(inputs):
        raise InvalidInput(
            f"The request has {len(inputs)} inputs and {len(raw)} raw contents; each input needs one of its own."
        )
    if len(inputs) == 1:
        usual = _usual(inputs[0], raw[0], most_values)
        if usual is not None:
            return [usual]
    return [_raw(given, content, most_values) for given, content in zip(inputs, raw, strict=True)]


def _usual(given: ModelInferRequest.InferInputTensor, content: bytes, most_values: int) -> Tensor | None:
    """The usual tensor, an FP32 matrix; None for any other, and for a faulty one, which are read the long way."""
    shape = given.shape
    if given.datatype != "FP32" or len(shape) != 2 or given.parameters or given.HasField("contents"):
        return None
    rows, columns = shape
    if rows < 1 or columns < 1 or not 4 * rows * columns == len(content) <= 4 * most_values:
        return None
    return Tensor(given.name, "FP32", np.frombuffer(content, np.float32).reshape(rows, columns))


def _raw(given: ModelInferRequest.InferInputTensor, content: bytes, most_values: int) -> Tensor:
    head = _head(given, most_values)
    if given.HasField("contents"):
        raise refused(head.name, "has contents by type in a request with raw contents; all travel in one way")
    return Tensor(head.name, head.datatype, binary.values(head, content, 0, len(content)))


def _head(given: ModelInferRequest.InferInputTensor, most_values: int) -> Head:
    if given.parameters:
        check_supported(given.parameters, f"The tensor {shown(given.name)}")
    return read_head({"name": given.name, "datatype": given.datatype, "shape": list(given.shape)}, most_values)


def _typed(given: ModelInferRequest.InferInputTensor, most_values: int) -> Tensor:
    head = _head(given, most_values)
    name, datatype = head.name, head.datatype
    field = _FIELD.get(datatype)
    if field is None:
        raise refused(name, f"is {datatype}, which travels in raw_input_contents only", datatype=datatype)
    filled = given.contents.ListFields()
    if any(descriptor.name != field for descriptor, _ in filled):
        raise refused(name, f"is {datatype}, whose values belong into {field} alone", datatype=datatype)
    values = filled[0][1] if filled else ()
    if len(values) != head.total:
        said = f"has {len(values)} values in {field}, and its shape {head.shape} says {head.total}"
        raise refused(name, said, shape=head.shape)
    return Tensor(name, datatype, _values(head, values).reshape(head.shape))


def _values(head: Head, values: Sequence[Any]) -> NDArray[Any]:
    if head.datatype == "BYTES":
        try:
            return np.array([str(value, "utf-8") for value in values], np.object_)
        except UnicodeDecodeError:
            raise refused(head.name, "has an element that is not UTF-8") from None
    if head.datatype not in _NARROW:
        return np.fromiter(values, head.dtype, len(values))
    wide = np.fromiter(values, np.int64, len(values))
    allowed = np.iinfo(head.dtype)
    if wide.min() < allowed.min or wide.max() > allowed.max:
        raise refused(head.name, f"has a value out of the range of {head.datatype}", datatype=head.datatype)
    return wide.astype(head.dtype)


def check_supported(parameters: Any, whose: str) -> None:
    """Raise InvalidInput where parameters ask for an extension that is not here, as over REST."""
    refuse_unsupported({name: _given(value) for name, value in parameters.items()}, whose)


def _given(parameter: InferParameter) -> Any:
    """The value of a parameter; None where it has none."""
    kind = parameter.WhichOneof("parameter_choice")
    return None if kind is None else getattr(parameter, kind)


def raw_content(tensor: Tensor) -> bytes:
    """The values of an answer's tensor as bytes."""
    return binary.framed(tensor.data.ravel().tolist()) if tensor.datatype == "BYTES" else tensor.data.tobytes()


def fill(output: ModelInferResponse.InferOutputTensor, tensor: Tensor) -> None:
    """Put the values of an answer's tensor into its field."""
    values = tensor.data.ravel().tolist()
    if tensor.datatype == "BYTES":
        values = [value.encode() for value in values]
    getattr(output.contents, _FIELD[tensor.datatype]).extend(values)
