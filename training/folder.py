"""Folders that appear whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    if out.exists() and not (out.is_dir() and ((out / mark).is_file() or not any(out.iterdir()))):
        raise refused(f"{out} is there already and holds no {mark}; name another folder.")
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    try:
        # mkdtemp keeps others out; a bundle is read by whoever serves it.
        scratch.chmod(0o755)
        yield scratch
        if out.exists():
            old = scratch.with_name(f"{scratch.name}-old")
            out.rename(old)
            scratch.rename(out)
            shutil.rmtree(old)
        else:
            scratch.rename(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
