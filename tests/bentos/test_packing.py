import contextlib
import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.errors import PayloadTooLarge, RequestError, UnsupportedMediaType
from bentos.packing import PACK_FROM, pack, unpack

Packer = Callable[[bytes], bytes]

LIMIT = 10_000
BODY = b'{"inputs": []}' * 100


def raw(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


PACKERS = [
    pytest.param(b"gzip", gzip.compress, id="gzip"),
    pytest.param(b"deflate", zlib.compress, id="deflate"),
    pytest.param(b"deflate", raw, id="raw deflate"),
]


@pytest.mark.parametrize(("encoding", "packer"), PACKERS)
@pytest.mark.parametrize("body", [b"", b"x", BODY, b"y" * LIMIT])
def test_what_was_packed_is_unpacked(encoding: bytes, packer: Packer, body: bytes) -> None:
    assert unpack(packer(body), encoding, LIMIT) == body


@pytest.mark.parametrize("encoding", [None, b"", b"identity", b" Identity "])
def test_a_body_that_is_not_packed_stays_as_it_is(encoding: bytes | None) -> None:
    assert unpack(BODY, encoding, LIMIT) is BODY


@pytest.mark.parametrize("encoding", [b"GZIP", b" x-gzip "])
def test_names_of_gzip(encoding: bytes) -> None:
    assert unpack(gzip.compress(BODY), encoding, LIMIT) == BODY


@pytest.mark.parametrize(("encoding", "packer"), PACKERS)
def test_one_byte_above_the_limit_is_too_large(encoding: bytes, packer: Packer) -> None:
    with pytest.raises(PayloadTooLarge) as refused:
        unpack(packer(b"y" * (LIMIT + 1)), encoding, LIMIT)
    assert refused.value.details == [{"limit_bytes": LIMIT}]


@pytest.mark.parametrize("encoding", [None, b"identity"])
def test_a_body_that_is_not_packed_is_held_to_the_limit_too(encoding: bytes | None) -> None:
    assert unpack(b"y" * LIMIT, encoding, LIMIT)
    with pytest.raises(PayloadTooLarge):
        unpack(b"y" * (LIMIT + 1), encoding, LIMIT)


@pytest.mark.parametrize(("encoding", "packer"), PACKERS)
def test_a_bomb_takes_no_more_memory_than_the_limit(encoding: bytes, packer: Packer) -> None:
    import tracemalloc

    bomb = packer(bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge):
            unpack(bomb, encoding, LIMIT)
        # The packed bytes that were not read any more are kept once, beside what was unpacked.
        assert tracemalloc.get_traced_memory()[1] < len(bomb) + 10 * LIMIT
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("encoding", "packer"), PACKERS)
@pytest.mark.parametrize("cut", [1, 4, 12])
def test_a_stream_that_ends_early_is_refused(encoding: bytes, packer: Packer, cut: int) -> None:
    with pytest.raises(RequestError, match="ends in the middle"):
        unpack(packer(BODY)[:-cut], encoding, LIMIT)


@pytest.mark.parametrize(("encoding", "packer"), PACKERS)
@pytest.mark.parametrize(
    "again", [b"x", gzip.compress(b"x"), gzip.compress(b"") * 1000], ids=["byte", "stream", "empty streams"]
)
def test_what_comes_after_the_stream_is_refused(encoding: bytes, packer: Packer, again: bytes) -> None:
    with pytest.raises(RequestError, match="goes on after the end"):
        unpack(packer(BODY) + again, encoding, LIMIT)


@pytest.mark.parametrize(("encoding", "word"), [(b"gzip", "gzip"), (b"deflate", "deflate")])
def test_what_is_not_packed_is_refused(encoding: bytes, word: str) -> None:
    with pytest.raises(RequestError, match=f"not {word}"):
        unpack(BODY, encoding, LIMIT)


def test_a_packed_body_without_a_byte_is_refused() -> None:
    with pytest.raises(RequestError, match="ends in the middle"):
        unpack(b"", b"gzip", LIMIT)


@pytest.mark.parametrize("encoding", [b"br", b"gzip, gzip", b"zstd", b"\xff"])
def test_other_packings_are_refused_and_ours_named(encoding: bytes) -> None:
    with pytest.raises(UnsupportedMediaType) as refused:
        unpack(BODY, encoding, LIMIT)
    assert refused.value.details == [{"accept-encoding": "gzip, deflate"}]


@given(body=st.binary(max_size=200), encoding=st.sampled_from([b"gzip", b"deflate"]))
def test_any_bytes_are_unpacked_or_refused(body: bytes, encoding: bytes) -> None:
    with contextlib.suppress(RequestError):
        assert len(unpack(body, encoding, LIMIT)) <= LIMIT


LONG = b"z" * PACK_FROM


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        (b"gzip", b"gzip"),
        (b"deflate", b"deflate"),
        (b"gzip, deflate, br", b"gzip"),
        (b"deflate, gzip", b"gzip"),
        (b"deflate;q=1.0, GZIP;q=0.5", b"deflate"),
        (b"gzip;q=0, deflate", b"deflate"),
        (b"gzip;q=0", None),
        (b"gzip;q=lots", None),
        (b"identity", None),
        (b"br", None),
        (b"*", None),
        (b"", None),
    ],
)
def test_an_answer_is_packed_as_it_is_asked_for(accept: bytes, encoding: bytes | None) -> None:
    body, used = pack(LONG, accept)
    assert used == encoding
    assert (len(body) < len(LONG)) == (encoding is not None)
    assert unpack(body, used, PACK_FROM) == LONG


def test_a_short_answer_is_not_packed() -> None:
    assert pack(LONG[1:], b"gzip") == (LONG[1:], None)
