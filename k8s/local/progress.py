"""What the commands say: one line a part, with its seconds."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(line: str = "") -> None:
    """Write one line to standard output at once, for logs that are followed."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@contextmanager
def part(name: str) -> Iterator[None]:
    """Say `name` and the seconds that the block took, also when it failed."""
    start = time.monotonic()
    outcome = "failed"
    try:
        yield
        outcome = ""
    finally:
        say(f"  {name:<44} {time.monotonic() - start:6.1f} s  {outcome}".rstrip())
