"""What holds for a tensor of a request however its values travel: its name, its data type and its shape."""

from typing import Any, Final, NamedTuple

import numpy as np

from bentos.errors import InvalidInput, TooManyRows
from bentos.tensor import DTYPES

MOST_DIMENSIONS: Final = 8
"""No model takes more than two; a bound keeps the products of hostile shapes small."""
_LONGEST_NAME: Final = 64


class Head(NamedTuple):
    """What a request says of a tensor beside its values, checked.

    Attributes:
        name: as sent.
        datatype: a key of ``DTYPES``.
        dtype: NumPy's of it; object for BYTES.
        shape: its dimensions.
        total: their product.
    """

    name: str
    datatype: str
    dtype: np.dtype[Any]
    shape: list[int]
    total: int


def shown(text: str) -> str:
    """A caller's word as an error repeats it."""
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"


def refused(name: str, problem: str, **facts: Any) -> InvalidInput:
    """The error that says what is wrong with a tensor: ``problem`` goes on after "The tensor NAME "."""
    name = shown(name)
    return InvalidInput(f"The tensor {name} {problem}.", [{"tensor": name, **facts}])


def read_head(given: Any, most: int) -> Head:
    """What a JSON object says of a tensor.

    Args:
        given: what was sent as an input.
        most: values that the longest accepted request has in one tensor.

    Raises:
        InvalidInput: it is no object, or its name, data type or shape is none.
        TooManyRows: it has more values than ``most``.
    """
    if type(given) is not dict:
        raise InvalidInput("An input is a JSON object with name, shape, datatype and data.", [{"field": "inputs"}])
    name = given.get("name")
    if type(name) is not str:
        raise InvalidInput("An input needs a name.", [{"field": "inputs"}])
    datatype, shape = given.get("datatype"), given.get("shape")
    return Head(name, datatype, _dtype(name, datatype), shape, _elements(name, shape, most))  # type: ignore[arg-type]


def _dtype(name: str, datatype: Any) -> np.dtype[Any]:
    dtype = DTYPES.get(datatype) if type(datatype) is str else None
    if dtype is None:
        if datatype == "BF16":
            raise refused(name, "is BF16, which this server does not read; send FP32")
        raise refused(name, f"needs a datatype, one of {', '.join(DTYPES)}", datatypes=list(DTYPES))
    return dtype


def _elements(name: str, shape: Any, most: int) -> int:
    if type(shape) is not list or len(shape) > MOST_DIMENSIONS:
        raise refused(name, f"needs a shape, a list of at most {MOST_DIMENSIONS} dimensions")
    count = 1
    for size in shape:
        # JSON's true and 1.0 are no sizes, though Python would multiply by them.
        if type(size) is not int or size < 1:
            raise refused(name, "has a shape whose dimensions are not all whole numbers from 1 on")
        count *= size
    if count > most:
        raise TooManyRows(
            f"The tensor {shown(name)} has more values than the longest request that is accepted.",
            [{"tensor": shown(name), "limit_values": most}],
        )
    return count
