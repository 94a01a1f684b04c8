"""How long a verdict will take, before anything is rolled out: the tests themselves, on made-up rollouts."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from k8s.rollout.analysis import pairs as paired
from k8s.rollout.analysis import rates
from k8s.rollout.analysis.betting import BLOCK, Blocks, Floats, blocks
from k8s.rollout.analysis.evidence import Expectation
from k8s.rollout.analysis.settings import AnalysisSettings

_RUNS: Final = 60
_SEED: Final = 7
_HOURS: Final = 8.0
"""Beyond these a rollout does not end, for all anyone will wait."""
_POWER: Final = 0.9
_EXCESSES: Final = (0.003, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.4)
_FLIPS: Final = (0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True)
class Plan:
    """What the traffic at hand allows."""

    minutes: float
    """Expected until a healthy version passes, all steps together; infinite where 8 hours do not suffice."""
    step_minutes: tuple[float, ...]
    """Of each step: warm-up, minimum, and in the last one the wait for the pass."""
    weights: tuple[int, ...]
    """Percent; proposed steps that can end: in whose minimum of intervals the canary answers enough to be judged."""
    errors_excess: float | None
    """Share of errors above stable's that is found with 90 % chance within these minutes; None where none is."""
    slow_excess: float | None
    flips_excess: float | None
    """The same of flips above the expectation; None without pairs or expectation as well."""
    pairs_needed: float
    """Shadow pairs a minute, so that flips pass no later than errors and slow answers; 0 without an expectation."""


def schedule(weights: tuple[int, ...], settings: AnalysisSettings, last: int) -> Floats:
    """Weight of each interval of evidence, 0 to 1, the last step being ``last`` intervals long."""
    lengths = [settings.minimum_intervals] * (len(weights) - 1) + [last]
    return np.repeat(np.array(weights, dtype=np.float64) / 100, lengths)


def endable(requests_per_minute: float, settings: AnalysisSettings, weights: tuple[int, ...]) -> tuple[int, ...]:
    """The steps in whose minimum of intervals the canary answers enough to be judged; at least the last one."""
    judged = requests_per_minute * settings.interval_seconds / 60 * settings.minimum_intervals
    return tuple(weight for weight in weights if judged * weight / 100 >= BLOCK) or weights[-1:]


def pairs_asked(pairs_per_minute: float, settings: AnalysisSettings) -> int:
    """Shadow pairs that the step at weight 0 takes: half of what comes in its minimum of intervals, within bounds.

    Never more than ``settings.shadow_pairs``, nor less than a block: where hardly any comes the step does not end.
    """
    due = pairs_per_minute * settings.interval_seconds / 60 * settings.minimum_intervals
    return math.ceil(min(settings.shadow_pairs, max(due / 2, BLOCK)))


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
    """Times and detectable excesses at this traffic, for independent requests: medians of 60 simulated rollouts.

    Args:
        requests_per_minute: of both tracks together.
        settings: of the analysis.
        weights: percent of the requests that go to the canary, step by step.
        error_share: share of errors that stable has now.
        slow_share: share of slow answers that stable has now.
        pairs_per_minute: shadow pairs.
        expectation: of the gate.
    """
    minutes = settings.interval_seconds / 60
    total, least = requests_per_minute * minutes, settings.minimum_intervals
    able = endable(requests_per_minute, settings, weights)
    limit = int(_HOURS * 60 / minutes)
    before = least * (len(able) - 1)
    shares = schedule(able, settings, max(limit - before, least))
    judged = max(
        _wait(total, shares, error_share, settings.errors.accept, settings),
        _wait(total, shares, slow_share, settings.slow.accept, settings),
        before + least,
    )
    step, last = (settings.warmup_intervals + least) * minutes, (settings.warmup_intervals + judged - before) * minutes
    horizon = int(min(judged, len(shares)))
    flips, needed = None, 0.0
    if expectation is not None:
        needed = _pairs_needed(expectation, settings) / (horizon * minutes)
        if pairs_per_minute > 0:
            flips = _flips_excess(pairs_per_minute * minutes, horizon, expectation, settings)
    return Plan(
        minutes=step * (len(able) - 1) + last,
        step_minutes=(step,) * (len(able) - 1) + (last,),
        weights=able,
        errors_excess=_excess(total, shares[:horizon], error_share, settings.errors.fail, settings.alpha_of("errors")),
        slow_excess=_excess(total, shares[:horizon], slow_share, settings.slow.fail, settings.alpha_of("slow")),
        flips_excess=flips,
        pairs_needed=needed,
    )


def _drawn(total: float, shares: Floats, stable: float, canary: float) -> Blocks:
    """Blocks of made-up rollouts, with these shares of events."""
    rng = np.random.default_rng(_SEED)
    tracks = []
    for part, rate in ((1 - shares, stable), (shares, min(canary, 1.0))):
        requests = rng.poisson(total * part, (_RUNS, len(shares)))
        tracks.append((requests.astype(np.float64), rng.binomial(requests, rate).astype(np.float64)))
    return blocks(tracks[0], tracks[1])


def _wait(total: float, shares: Floats, share: float, margin: float, settings: AnalysisSettings) -> float:
    """Median of the intervals until a version as good as stable passes."""
    passed = rates.in_favour(_drawn(total, shares, share, share), margin) >= math.log(1 / settings.beta)
    return _median(passed)


def _median(happened: NDArray[np.bool_]) -> float:
    first = np.where(happened.any(-1), happened.argmax(-1) + 1.0, np.inf)
    return float(np.sort(first)[len(first) // 2])


def _found(wealth: Floats, alpha: float) -> bool:
    return float((wealth >= math.log(1 / alpha)).any(-1).mean()) >= _POWER


def _least(rising: Sequence[float], found: Callable[[float], bool]) -> float | None:
    """The least that is found, where greater ones are too."""
    place = bisect_left(rising, True, key=found)
    return rising[place] if place < len(rising) else None


def _excess(total: float, shares: Floats, share: float, margin: float, alpha: float) -> float | None:
    """The least of a list of excesses that is found in time."""

    def found(excess: float) -> bool:
        return _found(rates.against(_drawn(total, shares, share, share + excess), margin), alpha)

    return _least([excess for excess in _EXCESSES if excess > margin], found)


def _flips(pairs: float, intervals: int, rate: float) -> paired.Series:
    rng = np.random.default_rng(_SEED)
    drawn = rng.poisson(pairs, (_RUNS, intervals)).astype(np.float64)
    none = np.zeros_like(drawn)
    return paired.Series(drawn, rng.binomial(drawn.astype(np.int64), min(rate, 1.0)).astype(np.float64), none, none)


def _flips_excess(pairs: float, intervals: int, expectation: Expectation, settings: AnalysisSettings) -> float | None:
    rate, alpha = paired.flips_bound(expectation, settings.flips.fail), settings.alpha_of("flips")

    def found(excess: float) -> bool:
        return _found(paired.flips_against(_flips(pairs, intervals, expectation.flip_rate + excess), rate), alpha)

    return _least([each for each in _FLIPS if expectation.flip_rate + each > rate], found)


def _pairs_needed(expectation: Expectation, settings: AnalysisSettings) -> float:
    """Median of the pairs until a version that flips as expected passes."""
    a_block, most = 50.0, paired.wilson(expectation.flip_rate, expectation.pairs, -2.33) + settings.flips.accept
    series = _flips(a_block, 1000, expectation.flip_rate)
    return a_block * _median(paired.flips_in_favour(series, most, expectation.flip_rate) >= math.log(1 / settings.beta))
