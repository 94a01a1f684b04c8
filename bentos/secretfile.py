"""A file of a mounted Secret or ConfigMap, read again when it changes.

Kubernetes changes a mounted one by pointing the symlink ``..data`` at another folder, so the file at the end of the
links is looked at: its time, inode and size. An editor that writes in place changes the same three.
"""

import logging
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Final, Generic, TypeVar

from bentos.errors import SettingsError

_MOST_BYTES: Final = 1 << 20  # more than a Secret of Kubernetes may hold
_EVERY_SECONDS: Final = 1.0

T = TypeVar("T")
_Mark = tuple[int, int, int, int]

log = logging.getLogger(__name__)


class SecretFile(Generic[T]):
    """What a file says, at most a second old; safe to use from several threads.

    A new content that cannot be read or parsed changes nothing but ``ok``, and one sentence in the log. Nothing of
    the content is ever logged.

    Args:
        path: the file; may be a link, or lie behind one.
        parse: turns its text into the value; raises SettingsError with half a sentence that repeats nothing of it.
        setting: the variable that names the file, for what is logged.
        fallback: stands in while the file has never been usable; without one, such a file is refused.

    Raises:
        SettingsError: the file cannot be read or parsed now, at the start, and there is no fallback.
    """

    __slots__ = ("_due", "_lock", "_mark", "_parse", "_path", "_setting", "_trouble", "_value")

    def __init__(self, path: Path, parse: Callable[[str], T], setting: str, fallback: T | None = None) -> None:
        self._path = path
        self._parse = parse
        self._setting = setting
        self._lock = Lock()
        self._trouble = ""
        self._mark: _Mark | None
        try:
            self._mark, self._value = self._read()
        except SettingsError as error:
            if fallback is None:
                raise SettingsError(f"The file of {setting} cannot be used: {error}.") from error
            self._mark, self._value, self._trouble = None, fallback, str(error)
            log.error("The file of %s cannot be used, and stands for none: %s.", setting, error)  # noqa: TRY400  no bug
        self._due = monotonic() + _EVERY_SECONDS

    def get(self) -> T:
        """The value of the newest content that could be parsed; the same object until there is a newer one."""
        if monotonic() >= self._due:
            self._look()
        return self._value

    @property
    def ok(self) -> bool:
        """Whether the value is that of the file as it is now."""
        if monotonic() >= self._due:
            self._look()
        return not self._trouble

    def _look(self) -> None:
        # Whoever comes while another thread looks takes what there is.
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._due = monotonic() + _EVERY_SECONDS
            self._renew()
        finally:
            self._lock.release()

    def _renew(self) -> None:
        try:
            if self._mark is not None and self._mark == _mark(_regular(self._path)):
                return
            self._mark, self._value = self._read()
            trouble = ""
        except SettingsError as error:
            # Without a mark it is tried again at every look: a file may become readable and keep its time.
            self._mark, trouble = None, str(error)
        if not trouble:
            log.info("The file of %s has changed and was read again.", self._setting)
        elif trouble != self._trouble:
            log.error(
                "The file of %s cannot be used, and what it held before stays in force: %s.", self._setting, trouble
            )
        self._trouble = trouble

    def _read(self) -> tuple[_Mark, T]:
        _regular(self._path)  # opening a named pipe would wait for a writer
        try:
            with self._path.open("rb") as file:
                # The mark is that of what is read, which may already be another file than the one looked at.
                mark, content = _mark(os.fstat(file.fileno())), file.read(_MOST_BYTES + 1)
        except OSError as error:
            raise SettingsError(_reason(error)) from error
        if len(content) > _MOST_BYTES:
            raise SettingsError(f"it has more than {_MOST_BYTES} bytes")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            # The cause would carry the content into a traceback.
            raise SettingsError("it is not UTF-8 text") from None
        return mark, self._parse(text)


def lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that say something, each with its number from 1; those that are blank or begin with # say nothing."""
    for number, line in enumerate(text.split("\n"), start=1):
        said = line.strip()
        if said and not said.startswith("#"):
            yield number, said


def _regular(path: Path) -> os.stat_result:
    try:
        there = path.stat()
    except OSError as error:
        raise SettingsError(_reason(error)) from error
    if not stat.S_ISREG(there.st_mode):
        raise SettingsError("it is not a file")
    return there


def _mark(there: os.stat_result) -> _Mark:
    return there.st_mtime_ns, there.st_ino, there.st_dev, there.st_size


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
