"""How long a verdict will take, before anything is rolled out."""

from dataclasses import dataclass

from k8s.rollout.analysis.evidence import Expectation
from k8s.rollout.analysis.settings import AnalysisSettings


@dataclass(frozen=True)
class Plan:
    """What the traffic at hand allows."""

    minutes: float
    """Expected until a healthy version passes, all steps together; infinite where it never can."""
    step_minutes: tuple[float, ...]
    """Of each step: warm-up, minimum, and in the last one the wait for the pass."""
    weights: tuple[int, ...]
    """Percent; proposed steps that can end: without those that would see too few requests to find a gross error."""
    errors_excess: float
    """Share of errors above stable's that is found with 90 % chance within these minutes."""
    slow_excess: float
    flips_excess: float | None
    """The same of flips above the expectation; None without pairs or expectation."""
    pairs_needed: float
    """Shadow pairs a minute, so that pairs pass no later than errors and slow answers; 0 without an expectation."""


def plan(
    requests_per_minute: float,
    settings: AnalysisSettings,
    *,
    weights: tuple[int, ...] = (1, 5, 10, 25, 50),
    error_share: float = 0.001,
    slow_share: float = 0.001,
    pairs_per_minute: float = 0.0,
    expectation: Expectation | None = None,
) -> Plan:
    """Times and detectable excesses at this traffic.

    Args:
        requests_per_minute: of both tracks together.
        settings: of the analysis.
        weights: percent of the requests that go to the canary, step by step.
        error_share: share of errors that stable has now.
        slow_share: share of slow answers that stable has now.
        pairs_per_minute: shadow pairs.
        expectation: of the gate.
    """
    raise NotImplementedError
