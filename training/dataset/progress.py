"""How far the engine has come: a bar on a terminal, a line at each tenth elsewhere, on stderr in both cases."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tick = Callable[[int], None]


@contextmanager
def playing(title: str, duels: int) -> Iterator[Tick]:
    """Show progress while the block runs; yields what is told of each number of duels played, from any thread."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Tenths(title, duels, say)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=duels)
        yield lambda played: bar.advance(task, played)


def say(line: str) -> None:
    """Say one line on stderr, whole."""
    import sys

    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class _Tenths:
    """A log has no place for a bar that moves."""

    def __init__(self, title: str, duels: int, say: Callable[[str], None]) -> None:
        self._title, self._duels, self._say = title, duels, say
        self._played = self._tenths = 0
        self._lock = threading.Lock()

    def __call__(self, played: int) -> None:
        with self._lock:
            self._played += played
            tenths = 10 * self._played // self._duels
            if tenths > self._tenths:
                self._tenths = tenths
                self._say(f"{self._title}: {self._played:,} of {self._duels:,} duels played ({tenths * 10} %)")
