"""Packed bodies: ``Content-Encoding`` of requests, bounded as they unpack, and ``Accept-Encoding`` of answers."""

import zlib
from typing import Final

from bentos.errors import PayloadTooLarge, RequestError, UnsupportedMediaType

ACCEPTED: Final = "gzip, deflate"
PACK_FROM: Final = 1024
"""Bytes from which on an answer is packed for who asks; shorter ones are not faster on any wire."""
_LEVEL: Final = 1
"""zlib's fastest: the next ones take several times as long for a tenth fewer bytes."""
_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS


def unpack(body: bytes, encoding: bytes | None, limit: int) -> bytes:
    """The body as it was before ``Content-Encoding``.

    Args:
        body: as it came.
        encoding: the header's value; None for no header.
        limit: longest accepted body, in bytes; no more than one byte above it is ever produced.

    Raises:
        UnsupportedMediaType: it is packed in another way, or twice.
        PayloadTooLarge: it is longer than ``limit`` bytes.
        RequestError: it is not what the header says, ends too early, or goes on after its end.
    """
    kind = b"" if encoding is None else encoding.strip().lower()
    if kind in (b"", b"identity"):
        return _bounded(body, limit)
    if kind in (b"gzip", b"x-gzip"):
        return _inflate(body, _GZIP, limit, "gzip")
    if kind != b"deflate":
        raise UnsupportedMediaType(
            f"The body must be packed with {ACCEPTED.replace(', ', ' or ')}, or not at all.",
            [{"accept-encoding": ACCEPTED}],
        )
    # RFC 9110 means the zlib format, and some clients send what is inside of it.
    wrapped = len(body) > 1 and body[0] & 15 == zlib.DEFLATED and (body[0] << 8 | body[1]) % 31 == 0
    return _inflate(body, _ZLIB if wrapped else _RAW, limit, "deflate")


def _inflate(body: bytes, bits: int, limit: int, kind: str) -> bytes:
    inflater = zlib.decompressobj(bits)
    try:
        found = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise RequestError(f"The body is not {kind}, as its Content-Encoding says.") from error
    _bounded(found, limit)
    if not inflater.eof:
        raise RequestError(f"The body ends in the middle of its {kind} stream.")
    if inflater.unused_data:
        # Several streams in a row are allowed by gzip, but nobody sends them, and millions of empty ones take minutes.
        raise RequestError(f"The body goes on after the end of its {kind} stream.")
    return found


def _bounded(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise PayloadTooLarge(f"The body is longer than {limit} bytes.", [{"limit_bytes": limit}])
    return body


def pack(body: bytes, accept: bytes) -> tuple[bytes, bytes | None]:
    """An answer packed as the client asks, and its ``Content-Encoding``; as it is, and None, where that is better.

    Args:
        body: the answer.
        accept: value of the header ``Accept-Encoding``.
    """
    if len(body) < PACK_FROM:
        return body, None
    asked = _asked(accept)
    if asked is None:
        return body, None
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP if asked == b"gzip" else _ZLIB)
    return packer.compress(body) + packer.flush(), asked


def _asked(accept: bytes) -> bytes | None:
    """The packing that a client likes best of ours; gzip of two it likes equally. A star names none of ours."""
    best, most = None, 0.0
    for offer in accept.lower().split(b","):
        name, _, weight = offer.partition(b";")
        name = name.strip()
        if name in (b"gzip", b"deflate"):
            liked = _weight(weight)
            if liked > most or (liked == most and name == b"gzip" and best is not None):
                best, most = name, liked
    return best


def _weight(parameter: bytes) -> float:
    name, _, value = parameter.strip().partition(b"=")
    if not name:
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0) if name.strip() == b"q" else 0.0
    except ValueError:
        return 0.0
