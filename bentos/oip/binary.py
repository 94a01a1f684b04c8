"""The binary tensor data extension: values as bytes behind the JSON text, little-endian, row by row, unpadded.

``Inference-Header-Content-Length`` says where the text ends, ``binary_data_size`` of each tensor how many of the bytes
after it are its own, in the order of the tensors. An element of BYTES: its length in four bytes, and UTF-8.
"""

import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bentos.errors import RequestError
from bentos.oip.checks import Head, refused, shown

LENGTH_HEADER: Final = b"inference-header-content-length"
_LENGTH: Final = struct.Struct("<I")
_DIGITS: Final = 10
"""Digits of the longest length of a text that is read as a number."""


def text_length(announced: bytes, body: bytes) -> int:
    """Bytes of the JSON text in front of the tensors' bytes; raises RequestError."""
    if not announced.isdigit() or len(announced) > _DIGITS:
        raise RequestError("Inference-Header-Content-Length is not a number of bytes.")
    length = int(announced)
    if length > len(body):
        raise RequestError(f"Inference-Header-Content-Length says {length} bytes, and the body has {len(body)}.")
    return length


def check_end(end: int, body: bytes) -> None:
    """Raise RequestError where bytes are left that belong to no tensor."""
    if end != len(body):
        raise RequestError(f"The body has {len(body) - end} bytes after those of its tensors.")


def size_of(name: str, size: Any, start: int, body: bytes) -> int:
    """A ``binary_data_size`` as it was sent, where the tensor's bytes begin at ``start``; raises RequestError."""
    if type(size) is not int or size < 0:
        raise refused(name, "has a binary_data_size that is no number of bytes")
    if size > len(body) - start:
        raise RequestError(
            f"The tensor {shown(name)} has {size} bytes, and the body has {len(body) - start} left for it.",
            [{"tensor": shown(name)}],
        )
    return size


def values(head: Head, body: bytes, start: int, size: int) -> NDArray[Any]:
    """The values of a tensor, in its shape; a view of the body where memory alignment allows.

    Args:
        head: what was said of it.
        body: the whole body.
        start: where the tensor's bytes begin.
        size: how many there are; they are all in the body.

    Raises:
        RequestError: the bytes are more or fewer than the shape says, or do not fit the data type.
    """
    name, _, dtype, shape, count = head
    if dtype.kind == "O":
        return _texts(name, count, body, start, start + size).reshape(shape)
    if count * dtype.itemsize != size:
        raise _mismatch(name, size, f"its shape says {count * dtype.itemsize}")
    # A byte that is neither would be a boolean that equals neither True nor False.
    if dtype.kind == "b" and np.frombuffer(body, np.uint8, count, start).max(initial=0) > 1:
        raise refused(name, "is BOOL, whose bytes are 0 and 1")
    found: NDArray[Any] = np.frombuffer(body, dtype, count, start)
    # XGBoost refuses addresses that are no multiple of the element's size.
    return (found if found.flags.aligned else found.copy()).reshape(shape)


def framed(texts: Sequence[str]) -> bytes:
    """Texts as elements of BYTES."""
    return b"".join([_LENGTH.pack(len(text)) + text for text in map(str.encode, texts)])


def _texts(name: str, count: int, body: bytes, start: int, end: int) -> NDArray[Any]:
    if count * _LENGTH.size > end - start:
        raise _mismatch(name, end - start, f"its {count} elements take {count * _LENGTH.size} at least")
    texts = np.empty(count, np.object_)
    at, read = start, _LENGTH.unpack_from
    try:
        for i in range(count):
            # At the very end of the body there may be no four bytes to read a length from.
            behind = at + 4 + read(body, at)[0]
            if behind > end:
                raise _mismatch(name, end - start, f"element {i} goes beyond them")
            texts[i] = str(body[at + 4 : behind], "utf-8")
            at = behind
    except struct.error:
        raise _mismatch(name, end - start, "they end in the middle of a length") from None
    except UnicodeDecodeError:
        raise refused(name, "has an element that is not UTF-8") from None
    if at != end:
        raise _mismatch(name, end - start, f"its {count} elements take {at - start}")
    return texts


def _mismatch(name: str, size: int, but: str) -> RequestError:
    return RequestError(f"The tensor {shown(name)} has {size} bytes, and {but}.", [{"tensor": shown(name)}])
