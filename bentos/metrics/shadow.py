"""What came of the copies of requests: how another version's answers differ from those that users were given."""

from typing import Final

import numpy as np

from bentos.metrics.family import Family, Labels
from bentos.metrics.labels import DROPPED

_MOST_VERSIONS: Final = 4
"""Versions that have series; another one takes those of the version that has not answered for longest."""


class Shadow:
    """Pairs by the version that answered the copy, and copies that made no pair by the reason."""

    def __init__(self, common: Labels) -> None:
        self._common = common
        self._pairs: dict[str, list[float]] = {}
        self._dropped = Family(
            "shadow_dropped_total",
            "Requests drawn to be copied that made no pair.",
            [{"reason": reason} for reason in DROPPED],
        )
        self._dropped.bind(common)

    def pair(self, against: str, *, flipped: bool, difference: float) -> None:
        """Count a pair; ``difference`` is the other version's score less that of the answer."""
        sums = self._pairs.pop(against, None) or [0, 0, 0.0, 0.0]
        if len(self._pairs) >= _MOST_VERSIONS:
            del self._pairs[next(iter(self._pairs))]
        # In the order of their last answers.
        self._pairs[against] = sums
        for place, more in enumerate((1, int(flipped), difference, difference * difference)):
            sums[place] += more

    def drop(self, reason: str, number: int) -> None:
        """Count copies that made no pair."""
        self._dropped.values[DROPPED.index(reason)] += number

    @property
    def families(self) -> list[Family]:
        """The families as they are now."""
        labels = [{"against": against} for against in self._pairs]
        made = [
            Family("shadow_pairs_total", "Requests that another version answered too, and that were compared.", labels),
            Family("shadow_flips_total", "Compared requests whose answered label differed.", labels),
            # No counters: readers that go by types would give them the name of one, which ends in _total.
            *(
                Family(f"shadow_score_difference_{name}", text, labels, "untyped", np.float64)
                for name, text in (
                    ("sum", "Sum of the other version's score less ours, over compared requests."),
                    ("squares_sum", "Sum of the squares of these differences."),
                )
            ),
        ]
        for family, numbers in zip(made, zip(*self._pairs.values(), strict=True), strict=False):
            family.values[:] = numbers
        for family in made:
            family.bind(self._common)
        return [*made, self._dropped]
