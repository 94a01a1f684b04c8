"""Evidence of a whole rollout, from its first step to its verdict."""

from dataclasses import asdict
from typing import Any, Self

import numpy as np

from k8s.rollout.analysis import checks
from k8s.rollout.analysis.betting import Floats
from k8s.rollout.analysis.evidence import Counts, Expectation, Golden, Interval, Outcomes, Pairs, Tracks
from k8s.rollout.analysis.reading import Outcome, Reading, together
from k8s.rollout.analysis.settings import AnalysisSettings, Margin


class Analysis:
    """Collects evidence and says what it amounts to. A fail stays a fail; a pass holds for the latest look only.

    Another process continues it from ``to_json``. Nothing is judged on intervals that are missing or cannot be, and
    there is no pass while the latest interval is such a one.
    """

    def __init__(self, settings: AnalysisSettings, expectation: Expectation | None = None) -> None:
        """Without an expectation pairs are collected and not judged, and are not required."""
        self.settings = settings
        self.expectation = expectation
        self.weight = 0
        self.intervals: list[Interval] = []
        self.pairs: list[Pairs] = []
        self.golden: Golden | None = None
        self.gaps = 0
        """Intervals that could not be read, or cannot be."""
        self._gap_now = False
        self._seen = 0
        """Intervals since the start of the step, warm-up and gaps included."""
        self._judged = 0
        """Of these, intervals of evidence."""
        self._asked = 0.0
        """Pairs that the step takes at least."""
        self._paired = 0.0
        """Of these, pairs that came."""

    def begin_step(self, weight: int, pairs: int | None = None) -> None:
        """From here on the canary gets ``weight`` percent; the next intervals are warm-up.

        Args:
            weight: percent.
            pairs: shadow pairs without which the step does not end if it is one at weight 0, where they are all that
                the canary answers, and there is an expectation; None takes ``shadow_pairs`` of the settings.
        """
        self.weight, self._seen, self._judged = weight, 0, 0
        asked = weight == 0 and self.expectation is not None
        self._asked, self._paired = float((self.settings.shadow_pairs if pairs is None else pairs) * asked), 0.0

    @property
    def pairs_missing(self) -> float:
        """Shadow pairs that this step still takes."""
        return max(self._asked - self._paired, 0.0)

    @property
    def warming_up(self) -> bool:
        """Whether the next interval is still warm-up."""
        return self._seen < self.settings.warmup_intervals

    def add(self, interval: Interval) -> bool:
        """Take an interval as evidence; False where it was warm-up or unusable (NaN, a reset), which is a gap."""
        if not interval.usable():
            self.add_gap()
            return False
        # Of a gateway that must be asked and did not answer nothing is known just now, however good the server looks.
        warm, self._gap_now = self.warming_up, self.settings.gateway and interval.gateway is None
        self._seen += 1
        if warm:
            return False
        self.intervals.append(interval)
        self._judged += 1
        return True

    def add_gap(self) -> None:
        """Note an interval that could not be read, or came too late to be one."""
        self.gaps += 1
        self._seen += 1
        self._gap_now = True

    def add_pairs(self, pairs: Pairs) -> bool:
        """Take shadow pairs of one interval as evidence; False where they are unusable."""
        if not pairs.usable():
            return False
        self.pairs.append(pairs)
        self._paired += pairs.pairs
        return True

    def add_golden(self, golden: Golden) -> None:
        """Judge the golden rows; from then on they are a check."""
        self.golden = golden

    def _counts(self, of: str, track: str) -> tuple[Floats, Floats]:
        """Requests and events [interval] of a track, 0 where there are none."""
        requests, events = [], []
        for each in self.intervals:
            if of == "gateway":
                counts = getattr(each.gateway, track) if each.gateway is not None else Counts(0, 0)
                requests.append(counts.requests)
                events.append(counts.errors)
            elif of == "accuracy":
                told = getattr(each.outcomes, track) if each.outcomes is not None else Outcomes(0, 0)
                requests.append(told.total)
                events.append(told.total - told.correct)
            else:
                counts = each.answered if (of, track) == ("errors", "canary") else getattr(each, track)
                requests.append(counts.requests)
                events.append(getattr(counts, of))
        return np.array(requests, dtype=np.float64), np.array(events, dtype=np.float64)

    def _rate(self, check: str, of: str, margin: Margin, *, required: bool) -> Reading:
        stable, canary = self._counts(of, "stable"), self._counts(of, "canary")
        return checks.rate(check, stable, canary, margin, self.settings, required=required)

    def _scores(self) -> Reading | None:
        told = [each.scores for each in self.intervals if each.scores is not None]
        bins = max((len(each.stable) for each in told), default=0)
        # A pod of another model version has other bins, and what cannot be compared is no evidence.
        told = [each for each in told if len(each.stable) == bins]
        if not told:
            return None
        return checks.scores([each.stable for each in told], [each.canary for each in told], self.settings)

    def readings(self) -> list[Reading]:
        """Every check that has, or needs, evidence."""
        settings = self.settings
        found: list[Reading | None] = [
            self._rate("errors", "errors", settings.errors, required=True),
            self._rate("slow", "slow", settings.slow, required=True),
        ]
        if settings.gateway or any(each.gateway is not None for each in self.intervals):
            found.append(self._rate("gateway", "gateway", settings.errors, required=settings.gateway))
        for of, ceiling in (("errors", settings.errors_ceiling), ("slow", settings.slow_ceiling)):
            stable, canary = self._counts(of, "stable"), self._counts(of, "canary")
            found.append(checks.ceiling(f"{of} ceiling", stable, canary, ceiling, settings))
        if self.golden is not None:
            found.append(checks.golden(self.golden, self.expectation, settings))
        if self.expectation is not None:
            found += checks.pairs(self.pairs, self.expectation, settings)
        found.append(self._scores())
        if any(each.outcomes is not None for each in self.intervals):
            found.append(self._rate("accuracy", "accuracy", settings.accuracy, required=False))
        return [each for each in found if each is not None]

    def verdict(self) -> Outcome:
        """Of all checks together; no pass without data just now, or before a step had its minimum of intervals."""
        outcome = together(self.readings())
        return Outcome.NOT_YET if outcome is Outcome.PASS and not self._settled() else outcome

    def _settled(self) -> bool:
        return self._judged >= self.settings.minimum_intervals and not self._gap_now

    def may_advance(self) -> bool:
        """Whether this step may end: nothing failed, warm-up over, the minimum of intervals seen, no gap just now.

        The canary must have answered in some of these intervals, or enough copies: a step without shows nothing.
        """
        recent = self.intervals[len(self.intervals) - self._judged :]
        answered = any(each.canary.requests > 0 for each in recent) or self.weight == 0
        return self._settled() and answered and not self.pairs_missing and together(self.readings()) is not Outcome.FAIL

    def to_json(self) -> dict[str, Any]:
        """Settings and evidence, of JSON's own types."""
        return {
            "settings": asdict(self.settings),
            "expectation": None if self.expectation is None else asdict(self.expectation),
            "weight": self.weight,
            "golden": None if self.golden is None else asdict(self.golden),
            "gaps": self.gaps,
            "gap_now": self._gap_now,
            "seen": self._seen,
            "judged": self._judged,
            "asked": self._asked,
            "paired": self._paired,
            "intervals": [_packed(each) for each in self.intervals],
            "pairs": [[each.pairs, each.flips, each.difference_sum, each.difference_squares] for each in self.pairs],
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        """Continue where ``to_json`` stopped."""
        settings: dict[str, Any] = {
            key: Margin(**value) if isinstance(value, dict) else value for key, value in state["settings"].items()
        }
        expectation, golden = state["expectation"], state["golden"]
        analysis = cls(AnalysisSettings(**settings), None if expectation is None else Expectation(**expectation))
        if golden is not None:
            analysis.golden = Golden(**{**golden, "pairs": Pairs(**golden["pairs"])})
        analysis.weight, analysis.gaps, analysis._gap_now = state["weight"], state["gaps"], state["gap_now"]
        analysis._seen, analysis._judged = state["seen"], state["judged"]
        analysis._asked, analysis._paired = state["asked"], state["paired"]
        analysis.intervals = [_unpacked(each) for each in state["intervals"]]
        analysis.pairs = [Pairs(*each) for each in state["pairs"]]
        return analysis


def _packed(interval: Interval) -> list[Any]:
    """Short, since evidence of a rollout of hours has to fit into a ConfigMap (1 MiB)."""
    counts = [[each.requests, each.errors, each.slow] for each in (interval.stable, interval.canary)]
    gateway = interval.gateway and [
        [each.requests, each.errors] for each in (interval.gateway.stable, interval.gateway.canary)
    ]
    scores = interval.scores and [list(interval.scores.stable), list(interval.scores.canary)]
    outcomes = interval.outcomes and [
        [each.total, each.correct] for each in (interval.outcomes.stable, interval.outcomes.canary)
    ]
    copies = interval.copies and [interval.copies.requests, interval.copies.errors]
    return [interval.seconds, *counts, gateway, scores, outcomes, copies]


def _unpacked(packed: list[Any]) -> Interval:
    seconds, stable, canary, gateway, scores, outcomes, copies = packed
    return Interval(
        seconds,
        Counts(*stable),
        Counts(*canary),
        gateway and Tracks(Counts(*gateway[0]), Counts(*gateway[1])),
        scores and Tracks(tuple(scores[0]), tuple(scores[1])),
        outcomes and Tracks(Outcomes(*outcomes[0]), Outcomes(*outcomes[1])),
        copies and Counts(*copies),
    )
