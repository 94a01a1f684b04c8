"""What a run saw, kept exactly: Locust itself rounds its times to two digits."""

import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from loadtests.slo import Slo, Verdict, judge


@dataclass
class Door:
    """Counts of one kind of request.

    Attributes:
        total: requests that came to an end, well or not.
        failed: those without a right answer.
        slow: right answers that came later than the threshold.
        seconds: how long each right answer took.
    """

    total: int = 0
    failed: int = 0
    slow: int = 0
    seconds: "array[float]" = field(default_factory=lambda: array("f"))


@dataclass
class Second:
    """What ended within one second of the run; attributes as of ``Door``."""

    users: int = 0
    failed: int = 0
    seconds: "array[float]" = field(default_factory=lambda: array("f"))


class Tally:
    """Counts requests, failures by their reason, and the model versions that answered.

    Args:
        threshold: seconds above which an answer is slow.
        users: how many there are at the moment.
    """

    def __init__(self, threshold: float, users: Callable[[], int] = lambda: 0) -> None:
        self.doors: dict[str, Door] = {}
        self.history: list[Second] = []
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.versions: Counter[tuple[str, str]] = Counter()
        self.users = users
        self._threshold = threshold
        self._start = time.monotonic()

    @property
    def total(self) -> int:
        """All requests."""
        return sum(door.total for door in self.doors.values())

    @property
    def failed(self) -> int:
        """All requests without a right answer."""
        return sum(door.failed for door in self.doors.values())

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    def start(self) -> None:
        """Begin to count time."""
        self._start = time.monotonic()

    def count(self, door: str, seconds: float, failure: str | None) -> None:
        """Count one request.

        Args:
            door: its kind.
            seconds: how long it took.
            failure: why it has no right answer, in words that many requests share.
        """
        entry = self.doors.setdefault(door, Door())
        second = self._second()
        entry.total += 1
        if failure is not None:
            entry.failed += 1
            second.failed += 1
            self.reasons[failure] += 1
            return
        entry.seconds.append(seconds)
        second.seconds.append(seconds)
        entry.slow += seconds > self._threshold

    def example(self, failure: str, detail: str) -> None:
        """Keep the particulars of the first failure of a kind."""
        self.examples.setdefault(failure, detail)

    def saw(self, model: str, version: str) -> None:
        """Count an answer of a model version."""
        self.versions[model, version] += 1

    def judge(self, slo: Slo) -> list[Verdict]:
        """Hold the run against the objectives: all doors together, as users see one service."""
        slow, right = (sum(counts) for counts in ((d.slow for d in self.doors.values()), self._right()))
        return [
            judge("availability", slo.availability, self.total, self.failed),
            judge("latency", slo.latency, right, slow),
        ]

    def _right(self) -> list[int]:
        return [door.total - door.failed for door in self.doors.values()]

    def _second(self) -> Second:
        at = int(self.elapsed)
        while len(self.history) <= at:
            self.history.append(Second(self.users()))
        return self.history[at]
