"""Evidence of a whole rollout, from its first step to its verdict."""

from typing import Any, Self

from k8s.rollout.analysis.evidence import Expectation, Golden, Interval, Pairs
from k8s.rollout.analysis.reading import Outcome, Reading, together
from k8s.rollout.analysis.settings import AnalysisSettings


class Analysis:
    """Collects evidence and says what it amounts to. A fail stays a fail; a pass holds for the latest look only.

    Another process continues it from ``to_json``. Nothing is judged on intervals that are missing or cannot be, and
    there is no pass while the latest interval is such a one.
    """

    def __init__(self, settings: AnalysisSettings, expectation: Expectation | None = None) -> None:
        """Without an expectation pairs are collected and not judged, and are not required."""
        self.settings = settings
        self.expectation = expectation

    def begin_step(self, weight: int) -> None:
        """From here on the canary gets ``weight`` percent; the next intervals are warm-up."""
        raise NotImplementedError

    def add(self, interval: Interval) -> bool:
        """Take an interval as evidence; False where it was warm-up or unusable (NaN, a reset), which is a gap."""
        raise NotImplementedError

    def add_gap(self) -> None:
        """Note an interval that could not be read, or came too late to be one."""
        raise NotImplementedError

    def add_pairs(self, pairs: Pairs) -> bool:
        """Take shadow pairs of one interval as evidence; False where they are unusable."""
        raise NotImplementedError

    def add_golden(self, golden: Golden) -> None:
        """Judge the golden rows; from then on they are a check."""
        raise NotImplementedError

    def readings(self) -> list[Reading]:
        """Every check that has, or needs, evidence."""
        raise NotImplementedError

    def verdict(self) -> Outcome:
        """Of all checks together."""
        return together(self.readings())

    def may_advance(self) -> bool:
        """Whether this step may end: nothing failed, warm-up over, the minimum of intervals seen, no gap just now."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Settings and evidence, of JSON's own types."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        """Continue where ``to_json`` stopped."""
        raise NotImplementedError
