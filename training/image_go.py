"""What a Go program says of itself: whether it needs a system's libraries, and which modules it was built of.

The layout of the modules is that of Go's package ``debug/buildinfo``, Go 1.18 and later; that of the file is ELF's.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_BUILD_INFO: Final = b"\xff Go buildinf:"
_HEADER: Final = 32  # bytes before the first string
_INLINE: Final = 2  # flag of strings that follow the header
_FRAME: Final = 16  # bytes before and after the table of modules
_ELF_64_LITTLE: Final = b"\x7fELF\x02\x01"
_INTERPRETER: Final = 3  # PT_INTERP: the header that names a dynamic linker


class Module(NamedTuple):
    """A Go module.

    Attributes:
        path: ``helm.sh/helm/v4``.
        version: ``v4.1.0``.
    """

    path: str
    version: str


def is_static(program: Path) -> bool:
    """True for a 64-bit program of Linux that names no dynamic linker, so that it runs on any base."""
    with program.open("rb") as file:
        head = file.read(64)
        if len(head) < 64 or not head.startswith(_ELF_64_LITTLE):
            return False
        (offset,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        file.seek(offset)
        table = file.read(size * count)
    return all(struct.unpack_from("<I", table, start)[0] != _INTERPRETER for start in range(0, len(table), size))


def modules(program: bytes) -> list[Module]:
    """The modules that a Go program was built of, its own and Go's library first; none of any other file."""
    found = -1
    while (found := program.find(_BUILD_INFO, found + 1)) >= 0:
        # Programs that read others hold the mark as text as well.
        if found + _HEADER >= len(program) or not program[found + 15] & _INLINE:
            continue
        try:
            version, after = _string(program, found + _HEADER)
            table, _ = _string(program, after)
        except IndexError:
            continue
        if version.startswith(b"go"):
            words = version.decode().removeprefix("go").split()
            listed = list(_listed(table[_FRAME:-_FRAME].decode()))
            return [*listed[:1], Module("stdlib", words[0]), *listed[1:]]
    return []


def _string(program: bytes, offset: int) -> tuple[bytes, int]:
    """The string at an offset, after its length as an unsigned LEB128 number; and the offset after it."""
    length = shift = 0
    while True:
        byte = program[offset]
        offset += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return program[offset : offset + length], offset + length


def _listed(table: str) -> Iterator[Module]:
    """The modules of the table's lines ``mod`` and ``dep``; a line ``=>`` replaces the one before it."""
    last: Module | None = None
    for line in table.splitlines():
        kind, _, rest = line.partition("\t")
        if kind not in {"mod", "dep", "=>"}:
            continue
        path, version, *_ = [*rest.split("\t"), ""]
        if last and kind != "=>":
            yield last
        last = Module(path, version)
    if last:
        yield last
