"""What the driver reads: counts within one interval, differenced, never cumulative."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Of = TypeVar("Of")


def countable(values: Iterable[float]) -> bool:
    """Whether these are counts: finite and not negative, which a counter reset is and a missing series is not."""
    return all(math.isfinite(value) and value >= 0 for value in values)


@dataclass(frozen=True)
class Tracks(Generic[Of]):
    """The same of both tracks."""

    stable: Of
    canary: Of


@dataclass(frozen=True)
class Counts:
    """Requests of one track in one interval, summed over its pods."""

    requests: float
    """Answered ones: right answers and errors of the server, without what callers did wrong."""
    errors: float
    slow: float = 0.0
    """Right answers that took longer than the latency threshold."""

    def usable(self) -> bool:
        """Whether these can be: no NaN, nothing negative, not more errors and slow answers than requests."""
        counts = (self.requests, self.errors, self.slow)
        return countable(counts) and self.errors + self.slow <= self.requests


@dataclass(frozen=True)
class Outcomes:
    """What feedback told of one track in one interval."""

    total: float
    correct: float

    def usable(self) -> bool:
        """Whether these can be: no NaN, nothing negative, not more right ones than all."""
        return countable((self.total, self.correct)) and self.correct <= self.total


@dataclass(frozen=True)
class Interval:
    """One scrape interval, the same for both tracks. A counter that is missing is NaN, never 0."""

    seconds: float
    stable: Counts
    canary: Counts
    gateway: Tracks[Counts] | None = None
    """The gateway's counts per backend, ``slow`` left 0; None where no gateway is asked."""
    scores: Tracks[tuple[float, ...]] | None = None
    """Observations per score bin (``model_score_bin_total``), the same bins for both tracks."""
    outcomes: Tracks[Outcomes] | None = None
    """None where no feedback came."""
    copies: Counts | None = None
    """Copied requests that the canary answered; the server times no copies, so ``slow`` stays 0. None without any."""

    @property
    def answered(self) -> Counts:
        """What the canary's errors are told by: users' requests, and where it has none of them, copies."""
        return self.copies if self.copies is not None and not self.canary.requests else self.canary

    def usable(self) -> bool:
        """Whether every number in it can be; one bad number spoils the interval, since its cause is unknown."""
        pairs: list[Counts | Outcomes] = [self.stable, self.canary, self.answered]
        for both in (self.gateway, self.outcomes):
            pairs += [both.stable, both.canary] if both is not None else []
        bins = self.scores.stable + self.scores.canary if self.scores is not None else ()
        same = self.scores is None or len(self.scores.stable) == len(self.scores.canary)
        return self.seconds > 0 and all(each.usable() for each in pairs) and countable(bins) and same


@dataclass(frozen=True)
class Pairs:
    """Requests of one interval that both versions answered (shadow), differenced from the stable pods' counters."""

    pairs: float
    flips: float
    """Pairs with another label."""
    difference_sum: float
    """Of the canary's score minus stable's."""
    difference_squares: float
    """Sum of the squares of these differences."""

    def usable(self) -> bool:
        """Whether these can be: no NaN, nothing negative but the sum of differences, not more flips than pairs."""
        counts = (self.pairs, self.flips, self.difference_squares)
        return countable(counts) and math.isfinite(self.difference_sum) and self.flips <= self.pairs


@dataclass(frozen=True)
class Golden:
    """The golden rows, answered by both versions."""

    pairs: Pairs
    stable_only_right: int = 0
    """Rows whose truth stable tells and the canary does not."""
    canary_only_right: int = 0


@dataclass(frozen=True)
class Expectation:
    """How differently the canary may answer from stable, as the gate measured; fields as in the bundle's contract."""

    pairs: int
    flip_rate: float
    mean_score_shift: float
    score_shift_variance: float
