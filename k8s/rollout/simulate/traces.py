"""Made-up rollouts: counts of both tracks per scrape interval, with what goes wrong in real ones."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from k8s.rollout.analysis.betting import Floats
from k8s.rollout.analysis.planning import endable
from k8s.rollout.analysis.settings import AnalysisSettings

WEIGHTS: Final = (1, 5, 10, 25, 50)
PODS: Final = 10
"""Of stable, which keeps them all during a rollout; the canary has its share of them, and at least one."""


@dataclass(frozen=True)
class Scenario:
    """A kind of rollout; shares are fractions."""

    requests_per_minute: float = 1000.0
    errors: tuple[float, float] = (0.001, 0.001)
    """Share of errors, of stable and of the canary."""
    slow: tuple[float, float] = (0.001, 0.001)
    stalls: float = 0.0
    """Share of pod-intervals in which every answer of the pod is slow and a tenth of them errors, of both tracks."""
    cold_intervals: int = 0
    """In as many intervals from the start of a step a canary's new pods give 30 % slow answers and 2 % errors."""
    incident: bool = False
    """Whether both tracks give 20 % errors and 50 % slow answers for three minutes, at some time in the first 30."""
    drift: bool = False
    """Whether errors and slow answers of both tracks rise tenfold in the first hour, and traffic threefold."""
    onset_minutes: int = 0
    """Until when the canary is as good as stable."""
    weights: tuple[int, ...] = WEIGHTS
    minutes: int = 240
    """Until a rollout without a verdict is held."""


class Track(NamedTuple):
    """Counts of one track [rollout, interval]."""

    requests: Floats
    errors: Floats
    slow: Floats


class Traces(NamedTuple):
    """Rollouts on the schedule that they have while nothing fails: a step is its warm-up and its minimum."""

    stable: Track
    canary: Track
    evidence: NDArray[np.bool_]
    """Intervals [interval] that are no warm-up."""
    promotable: int
    """Interval from which on a pass promotes: the last step's minimum is over."""


def _rates(scenario: Scenario, settings: AnalysisSettings, weights: tuple[int, ...], length: int) -> tuple[Floats, ...]:
    """Canary's share of the traffic, its pods and its cold share [interval]."""
    step = settings.warmup_intervals + settings.minimum_intervals
    places = np.minimum(np.arange(length) // step, len(weights) - 1)
    pods = np.array([max(1, -(-PODS * weight // 100)) for weight in weights])
    new = np.diff(pods, prepend=0) / pods
    since = np.arange(length) - places * step
    cold = np.where(since < scenario.cold_intervals, new[places], 0.0)
    return np.array(weights)[places] / 100, pods[places], cold


def draw(scenario: Scenario, settings: AnalysisSettings, rollouts: int, rng: np.random.Generator) -> Traces:
    """As many rollouts of a kind, on the steps that the plan proposes for their traffic."""
    weights = endable(scenario.requests_per_minute, settings, scenario.weights)
    step = settings.warmup_intervals + settings.minimum_intervals
    length = max(int(scenario.minutes * 60 / settings.interval_seconds), step * len(weights))
    share, pods, cold = _rates(scenario, settings, weights, length)
    hour = np.minimum(np.arange(length) * settings.interval_seconds / 3600, 1.0) if scenario.drift else np.zeros(length)
    total = scenario.requests_per_minute * settings.interval_seconds / 60 * (1 + 2 * hour)
    incident = np.zeros((rollouts, length), dtype=np.bool_)
    if scenario.incident:
        start = rng.integers(0, int(1800 / settings.interval_seconds), (rollouts, 1))
        places = np.arange(length)
        incident = (places >= start) & (places < start + int(180 / settings.interval_seconds))
    tracks = []
    late_on = np.arange(length) * settings.interval_seconds / 60 >= scenario.onset_minutes
    base = np.array([scenario.errors, scenario.slow])[:, [0]]
    for of, (part, count, chill) in enumerate(((1 - share, np.full(length, PODS), 0.0 * cold), (share, pods, cold))):
        requests = rng.poisson(total * part, (rollouts, length))
        stalled = rng.binomial(count, scenario.stalls, (rollouts, length)) / count if scenario.stalls else 0.0
        rates = np.where(late_on, np.array([scenario.errors, scenario.slow])[:, [of]], base)
        errors = np.minimum(rates[0] * (1 + 9 * hour) + 0.02 * chill + 0.2 * incident, 1.0)
        slow = np.minimum(rates[1] * (1 + 9 * hour) + 0.3 * chill + 0.5 * incident, 1.0)
        failed = rng.binomial(requests, np.minimum(errors + 0.1 * stalled, 1.0))
        late = rng.binomial(requests - failed, np.maximum(slow, stalled))
        tracks.append(Track(*(each.astype(np.float64) for each in (requests, failed, late))))
    since = np.arange(length) - np.minimum(np.arange(length) // step, len(weights) - 1) * step
    return Traces(tracks[0], tracks[1], since >= settings.warmup_intervals, step * len(weights))
