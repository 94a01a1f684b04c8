"""Tensors of the Open Inference Protocol as the core sees them, whatever wire they came over."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bentos.errors import InvalidInput

DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
"""NumPy's dtype of each data type of the protocol; elements of BYTES are ``str``, since every model here takes text."""


class Tensor(NamedTuple):
    """A tensor that was sent or is answered.

    Attributes:
        name: its name in the model's metadata.
        datatype: a key of ``DTYPES``.
        data: the values, in the tensor's shape; BYTES as an object array of ``str``.
    """

    name: str
    datatype: str
    data: NDArray[Any]


class TensorSpec(NamedTuple):
    """A tensor as the metadata describes it.

    Attributes:
        name: its name.
        datatype: a key of ``DTYPES``.
        shape: its dimensions, -1 for any number.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


def bind(given: Sequence[Tensor], specs: Sequence[TensorSpec]) -> list[Tensor]:
    """The tensors of a request in the order of the model's inputs, each of the data type and shape it has there.

    Raises:
        InvalidInput: one is missing, unknown, there twice, of another data type or shape, or they differ in rows.
    """
    by_name = {tensor.name: tensor for tensor in given}
    if len(by_name) != len(given):
        twice = next(tensor.name for tensor in given if by_name[tensor.name] is not tensor)
        raise InvalidInput(f"The tensor {_shown(twice)} is there twice.", [{"tensor": _shown(twice)}])
    for spec in specs:
        if spec.name not in by_name:
            raise InvalidInput(f"The tensor {spec.name} is missing.", [{"tensor": spec.name}])
    if len(given) > len(specs):
        known = {spec.name for spec in specs}
        extra = _shown(next(name for name in by_name if name not in known))
        raise InvalidInput(f"The model takes no tensor {extra}.", [{"tensor": extra}])
    bound = [by_name[spec.name] for spec in specs]
    rows = bound[0].data.shape[:1]
    for tensor, spec in zip(bound, specs, strict=True):
        if tensor.datatype != spec.datatype:
            raise InvalidInput(
                f"The tensor {spec.name} is {_shown(tensor.datatype)}, and the model takes {spec.datatype}.",
                [{"tensor": spec.name, "datatype": spec.datatype}],
            )
        shape = tensor.data.shape
        if len(shape) != len(spec.shape) or shape[1:] != spec.shape[1:]:
            wanted = list(spec.shape)
            raise InvalidInput(
                f"The tensor {spec.name} has the shape {list(shape)}, and the model takes {wanted}.",
                [{"tensor": spec.name, "shape": wanted}],
            )
        if shape[:1] != rows:
            raise InvalidInput("The tensors differ in their number of rows.", [{"tensor": spec.name}])
    if rows == (0,):
        raise InvalidInput("The request has no rows.")
    return bound


def _shown(text: str) -> str:
    return text if len(text) <= 64 else f"{text[:64]}…"
