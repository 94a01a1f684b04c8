"""What an analysis goes by, from the chart's ``slo`` block."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

SHARES: Final = {
    "errors": 3,
    "slow": 2,
    "gateway": 2,
    "flips": 3,
    "errors ceiling": 1,
    "slow ceiling": 1,
    "golden": 1,
    "score shift": 1,
    "score spread": 1,
    "scores": 2,
    "accuracy": 1,
}
"""How alpha is divided among the checks (Bonferroni), whether or not all get evidence: more to those that have to
be quick."""


@dataclass(frozen=True)
class Margin:
    """Fractions, not percent: by how much the canary may be worse."""

    accept: float
    """A pass needs the upper bound below this."""
    fail: float
    """A lower bound above this is a fail; at most ``accept``. Between the two it depends on the traffic which of both
    comes first, as in any test with a zone of indifference (Wald, 1945)."""

    @classmethod
    def of(cls, accept: float) -> Self:
        """One margin for both."""
        return cls(accept, accept)


@dataclass(frozen=True)
class AnalysisSettings:
    """Margins, ceilings, error bounds, and how long nothing is decided."""

    errors: Margin = Margin(0.002, 0.002)
    slow: Margin = Margin(0.002, 0.002)
    flips: Margin = Margin(accept=0.005, fail=0.001)
    scores: float = 0.03
    """Total variation between the score distributions of both tracks that is to be found."""
    accuracy: Margin = Margin(0.005, 0.005)
    errors_ceiling: float = 0.001
    """Share of errors from which on the canary fails, whatever stable does, unless stable is as bad."""
    slow_ceiling: float = 0.01
    gateway: bool = True
    """Whether a pass needs the gateway's counts."""
    alpha: float = 0.05
    """Bound on the chance that a version within every margin is rolled back, over all checks and looks of a rollout."""
    beta: float = 0.05
    """Bound on the chance that a version at or beyond a margin passes: each required check has to, at this level."""
    interval_seconds: float = 15.0
    warmup_intervals: int = 4
    """Intervals after the start of a step that are left out of all evidence."""
    minimum_intervals: int = 12
    """Intervals of evidence that a step takes at least."""
    shadow_pairs: int = 200
    """Shadow pairs that the step at weight 0 takes at least, where an expectation says how answers may differ."""

    def alpha_of(self, check: str) -> float:
        """What a check may add to the chance that a version within every margin is rolled back."""
        return self.alpha * SHARES[check] / sum(SHARES.values())

    @classmethod
    def from_slo(cls, slo: Mapping[str, Any], **other: Any) -> Self:
        """From the chart's ``slo`` values; what is not in them by name."""
        canary, percent = slo["canary"], 0.01
        return cls(
            errors=Margin.of(canary["errors"] * percent),
            slow=Margin.of(canary["slow"] * percent),
            flips=Margin(accept=canary["flips"] * percent, fail=canary["flips"] * percent / 5),
            scores=canary["scores"],
            accuracy=Margin.of(slo["accuracy"]["margin"] * percent),
            errors_ceiling=1 - slo["availability"]["objective"] * percent,
            slow_ceiling=1 - slo["latency"]["objective"] * percent,
            **other,
        )
