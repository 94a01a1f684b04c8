"""Tensors as JSON: the text of a request, the values of its tensors, and how deep it may be nested."""

import re
import struct
from functools import lru_cache
from itertools import chain
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from bentos.errors import InvalidInput, RequestError
from bentos.oip.checks import Head, refused

_FLOATS: Final = frozenset({float, int})
_KINDS: Final[dict[str, frozenset[type]]] = {
    "BOOL": frozenset({bool}),
    "BYTES": frozenset({str}),
}
"""Python's types of the JSON values of what are no numbers."""
_WHOLE: Final = frozenset({int})
_SAID: Final = {
    _FLOATS: "numbers",
    _WHOLE: "whole numbers",
    _KINDS["BOOL"]: "true and false",
    _KINDS["BYTES"]: "strings",
}

_PACKED: Final = 1024
"""Values up to which one format string for all of them is kept."""
_ESCAPE: Final = re.compile(rb"\\.", re.DOTALL)
_DROPPED: Final = bytes(set(range(256)) - set(b'[]{}"'))
_ABOVE_DATA: Final = 3
"""The request, its list of inputs and the tensor lie around the values."""


def document(text: bytes | memoryview, nesting: int) -> dict[str, Any]:
    """A JSON object; of a key that is there twice, the last value.

    Raises:
        RequestError: it is not JSON.
        InvalidInput: it is no object, or nested deeper than any limit.
    """
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "depth limit" in error.msg:
            raise too_deep(nesting) from error
        raise RequestError(f"The body is not JSON: {error.msg} at character {error.pos}.") from error
    if type(found) is not dict:
        raise InvalidInput("The body must be a JSON object.")
    return found


def load(text: bytes | memoryview, nesting: int) -> Any:
    """Any JSON; raises RequestError, and InvalidInput where it is nested deeper than the parser itself goes."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "depth limit" in error.msg:
            raise too_deep(nesting) from error
        raise RequestError(f"The body is not JSON: {error.msg}.") from error


def too_deep(nesting: int) -> InvalidInput:
    """The error of a body that is nested deeper than ``nesting`` levels."""
    return InvalidInput(f"The body is nested deeper than {nesting} levels.", [{"limit_nesting": nesting}])


def check_nesting(text: bytes, nesting: int) -> None:
    """Raise InvalidInput where valid JSON is nested deeper than ``nesting`` levels; linear, without recursion."""
    kept = text.translate(None, _DROPPED)
    if kept.count(b"[") + kept.count(b"{") <= nesting:
        return
    if b"\\" in text:
        kept = _ESCAPE.sub(b"", text).translate(None, _DROPPED)
    # With escapes gone, every other part between quotes is the inside of a string.
    brackets = np.frombuffer(b"".join(kept.split(b'"')[::2]), np.int8)
    # In ASCII, both opening brackets have bit 1, and neither of the closing ones has.
    if np.cumsum((brackets & 2) - 1, dtype=np.int32).max(initial=0) > nesting:
        raise too_deep(nesting)


def only_numbers(body: bytes) -> bool:
    """Whether the last key of a body is ``data`` and no string, boolean or null comes after it.

    Two microseconds less for a row of 133 numbers than to ask each value for its type. In a request of one tensor
    without other keys than the protocol's four, that ``data`` is the tensor's: any other is followed by a quote.
    """
    quote = body.rfind(b'"')
    return (
        body[quote - 5 : quote + 2] == b'"data":'
        and body.find(b"t", quote) < 0  # true
        and body.find(b"n", quote) < 0  # null
        and body.find(b"f", quote) < 0  # false
    )


def packed(data: list[Any]) -> NDArray[np.float32] | None:
    """Numbers [n] as NumPy would convert them, in half the time; None where that is not so, or they do not fit."""
    if len(data) > _PACKED:
        return None
    try:
        return np.frombuffer(_packer(len(data)).pack(*data), np.float32)
    except (struct.error, OverflowError):
        return None


def values(head: Head, data: Any, nesting: int) -> NDArray[Any]:
    """The values of a tensor, in its shape, from a flat list or from lists nested as the shape says.

    Args:
        head: what was said of it.
        data: what was sent.
        nesting: levels that the body may have.

    Raises:
        InvalidInput: there are more or fewer values, they are nested otherwise, of another type or out of range.
    """
    name, datatype, dtype, shape, count = head
    if type(data) is not list:
        raise refused(name, "needs its values as a list named data, or binary_data_size among its parameters")
    if data and type(data[0]) is list:
        if len(shape) + _ABOVE_DATA > nesting:
            raise too_deep(nesting)
        data = _flat(name, shape, data)
    elif len(data) != count:
        raise refused(name, f"has {len(data)} values, and its shape {shape} says {count}", shape=shape)
    allowed = _FLOATS if dtype.kind == "f" else _KINDS.get(datatype, _WHOLE)
    if not allowed.issuperset(map(type, data)):
        raise _mistyped(name, datatype, allowed)
    quick = packed(data) if datatype == "FP32" else None
    if quick is not None:
        return quick.reshape(shape)
    try:
        with np.errstate(over="raise"):
            return np.array(data, dtype).reshape(shape)
    except (OverflowError, FloatingPointError):
        raise refused(name, f"has a value out of the range of {datatype}", datatype=datatype) from None
    except (TypeError, ValueError):
        raise _mistyped(name, datatype, allowed) from None


@lru_cache(maxsize=64)
def _packer(count: int) -> struct.Struct:
    return struct.Struct(f"={count}f")


def _mistyped(name: str, datatype: str, allowed: frozenset[type]) -> InvalidInput:
    return refused(name, f"is {datatype}, whose values are {_SAID[allowed]}", datatype=datatype)


def _flat(name: str, shape: list[int], data: list[Any]) -> list[Any]:
    if not shape or len(data) != shape[0]:
        raise _misshapen(name, shape)
    for size in shape[1:]:
        if any(type(inner) is not list or len(inner) != size for inner in data):
            raise _misshapen(name, shape)
        data = data[0] if len(data) == 1 else list(chain.from_iterable(data))
    if type(data[0]) is list:
        raise _misshapen(name, shape)
    return data


def _misshapen(name: str, shape: list[int]) -> InvalidInput:
    return refused(name, f"has values that are not nested as its shape {shape} says", shape=shape)
