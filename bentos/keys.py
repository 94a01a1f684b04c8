"""API keys, and a command that makes one.

The server knows the keys' hashes only, so whoever reads its Secret cannot call it. A key is long and random; a hash
without salt or stretching is enough for such a one, and cheap enough to be taken with every request.

    python -m bentos.keys            makes a key, prints it and the line for the file
    python -m bentos.keys --stdin    reads a key and prints the line for the file
"""

import argparse
import re
import secrets
import sys
from collections.abc import Sequence
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Final

from bentos.errors import SettingsError, Unauthorized
from bentos.secretfile import SecretFile, lines

SETTING: Final = "PDX_AUTH_KEYS_FILE"
_LINE: Final = re.compile(r"sha256:([0-9a-fA-F]{64})")
_RANDOM_BYTES: Final = 32
_SHORTEST: Final = 20
"""Characters of a key that the command takes; shorter ones could be found from their hash."""


class Keys:
    """The keys that may call; safe to use from several threads."""

    __slots__ = ("_file",)

    def __init__(self, file: SecretFile[tuple[bytes, ...]]) -> None:
        self._file = file

    @classmethod
    def open(cls, path: Path) -> "Keys":
        """Read a file of ``sha256:HEX`` lines, and again whenever it changes.

        Raises:
            SettingsError: the file cannot be read, a line is something else, or there is none.
        """
        return cls(SecretFile(path, _parse, SETTING))

    @property
    def ok(self) -> bool:
        """Whether the file as it is now could be read; ``api_keys_reload_success``."""
        return self._file.ok

    def check(self, given: bytes | str | None) -> None:
        """Let a caller pass who has one of the keys.

        The time it takes tells neither how much of a key is right nor which one it is: hashes are compared, in
        constant time, with every entry.

        Raises:
            Unauthorized: no key was given, or one that is not known; it is not repeated.
        """
        if not given:
            raise Unauthorized("An API key is needed, sent as x-api-key.")
        key = given if isinstance(given, bytes) else given.encode("utf-8", "surrogatepass")
        digest, known = sha256(key).digest(), False
        for entry in self._file.get():
            known |= compare_digest(entry, digest)
        if not known:
            raise Unauthorized("The API key is not known here.")


def line_of(key: str) -> str:
    """The line of the file that lets a key pass."""
    return f"sha256:{sha256(key.encode()).hexdigest()}"


def _parse(text: str) -> tuple[bytes, ...]:
    known = []
    for number, line in lines(text):
        entry = _LINE.fullmatch(line)
        if entry is None:
            raise SettingsError(f"line {number} is not sha256: and 64 hex digits")
        known.append(bytes.fromhex(entry[1]))
    if not known:
        raise SettingsError("it holds no key")
    return tuple(known)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a key's line, and a key that was made; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bentos.keys", description="Make an API key.")
    parser.add_argument("--stdin", action="store_true", help="read the key from standard input instead of making one")
    if parser.parse_args(arguments).stdin:
        key = sys.stdin.read().strip()
        if not _usable(key):
            sys.stderr.write(f"A key has at least {_SHORTEST} characters, of printable ASCII without blanks.\n")
            return 2
    else:
        key = f"pdx_{secrets.token_urlsafe(_RANDOM_BYTES)}"
        sys.stdout.write(f"{key}\n")
    sys.stdout.write(f"{line_of(key)}\n")
    return 0


def _usable(key: str) -> bool:
    # Anything else would not come through every client's headers as it was typed.
    return len(key) >= _SHORTEST and all("!" <= character <= "~" for character in key)


if __name__ == "__main__":
    sys.exit(main())
