"""Folders that appear whole or not at all, and are found again where a process was killed while it replaced one."""

import contextlib
import fcntl
import glob
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LOCK: Final = "lock"
_NEW: Final = "new"
_OLD: Final = "old"


@contextmanager
def replacing(out: Path, mark: str, refused: type[Exception]) -> Iterator[Path]:
    """A scratch folder beside ``out`` that takes its name on a clean exit and vanishes on any other.

    Args:
        out: the folder to write; replaced where it is empty or holds the file ``mark``.
        mark: a file that every folder of this kind has.
        refused: the error for a folder of something else.

    Raises:
        refused: ``out`` is a file or holds other things; nothing of it is touched.
    """
    recover(out)
    if out.exists() and not (out.is_dir() and ((out / mark).is_file() or not any(out.iterdir()))):
        raise refused(f"{out} is there already and holds no {mark}; name another folder.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(out) as scratch:
        new = scratch / _NEW
        new.mkdir()
        # Whatever the umask: a bundle is read by whoever serves it.
        new.chmod(0o755)
        yield new
        if out.exists():
            out.rename(scratch / _OLD)
        new.rename(out)


def recover(out: Path) -> None:
    """Put back the folder that a killed process had moved aside to replace it, and clear away what it left.

    What a living process has in work is left alone.
    """
    # mkdtemp's own part of the name, so that .1-… of bundle 1 is not taken for that of a bundle named 1-….
    ours = re.compile(rf"\.{re.escape(out.name)}-[a-z0-9_]{{8}}")
    for scratch in out.parent.glob(f".{glob.escape(out.name)}-*"):
        if not ours.fullmatch(scratch.name):
            continue
        # Gone meanwhile, made this moment, locked by its process, or of another user.
        with (
            contextlib.suppress(FileNotFoundError, BlockingIOError, PermissionError),
            (scratch / _LOCK).open("r+") as lock,
        ):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _end(scratch, out)


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A folder that is locked as long as its process lives, and ended with it or by the next ``recover``."""
    scratch = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    try:
        with (scratch / f"{_LOCK}.new").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Only now under its name, so that nobody finds it unlocked.
            Path(lock.name).rename(scratch / _LOCK)
            yield scratch
    finally:
        _end(scratch, out)


def _end(scratch: Path, out: Path) -> None:
    old = scratch / _OLD
    if old.exists() and not out.exists():
        old.rename(out)
    shutil.rmtree(scratch, ignore_errors=True)
