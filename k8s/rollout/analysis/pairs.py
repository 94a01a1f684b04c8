"""Answers of both versions to the same requests, against how differently the gate says that they may answer."""

import math
from typing import Final, NamedTuple

import numpy as np

from k8s.rollout.analysis.betting import Floats, log_wealth
from k8s.rollout.analysis.evidence import Expectation

CAP: Final = math.log(8)
"""What one interval multiplies the wealth by at most, as a logarithm: pairs of an interval may come of one caller."""
ABOVE: Final = (0.003, 0.01, 0.03, 0.1, 0.4)
"""Excesses of flips that are bet on."""
SHIFT_FAIL: Final = 0.1
SHIFT_ACCEPT: Final = 0.25
"""Standard deviations of the expected difference by which the mean difference may be off."""
SPREAD_FAIL: Final = 2.0
"""Times the expected mean square of the differences."""
_SPREAD_CLIP: Final = 8.0
_SHIFT_CLIP: Final = 0.5
_LEAST_DEVIATION: Final = 1e-3
"""Of scores between 0 and 1: versions that answer alike differ by rounding, and that is no shift."""


class Series(NamedTuple):
    """Pairs [..., interval]."""

    pairs: Floats
    flips: Floats
    sums: Floats
    squares: Floats


def wilson(share: float, n: int, z: float) -> float:
    """Upper end of Wilson's score interval (1927) of a share among ``n``, the lower end with a negative ``z``."""
    half = math.copysign(math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)), z) * abs(z)
    return (share + z**2 / (2 * n) + half) / (1 + z**2 / n)


def flips_bound(expectation: Expectation, margin: float) -> float:
    """Rate of flips above which they are too many: the expected one and the margin, and at least its own 99 % bound."""
    return max(expectation.flip_rate + margin, wilson(expectation.flip_rate, expectation.pairs, 2.33))


def _ratio(series: Series, null: float, other: float) -> Floats:
    """Log wealth of a likelihood ratio of binomial distributions, capped a block."""
    null, other = min(max(null, 1e-9), 1 - 1e-9), min(max(other, 1e-9), 1 - 1e-9)
    same = series.pairs - series.flips
    steps = series.flips * math.log(other / null) + same * math.log((1 - other) / (1 - null))
    wealth: Floats = np.cumsum(np.minimum(steps, CAP), axis=-1)
    return wealth


def _mixed(paths: list[Floats]) -> Floats:
    mixed: Floats = np.logaddexp.reduce(paths, axis=0) - math.log(len(paths))
    return mixed


def flips_against(series: Series, rate: float) -> Floats:
    """Log wealth [..., interval] of bets that more than this rate of pairs flips."""
    return _mixed([_ratio(series, rate, rate + above) for above in ABOVE])


def flips_in_favour(series: Series, rate: float, expected: float) -> Floats:
    """Log wealth [..., interval] of bets that less than this rate of pairs flips, about as many as expected."""
    return _mixed([_ratio(series, rate, other) for other in (expected, (expected + rate) / 2, expected / 2)])


def standardised(series: Series, expectation: Expectation) -> Floats:
    """Mean difference [..., interval] less the expected one, in expected standard deviations; 0 without pairs."""
    deviation = max(math.sqrt(expectation.score_shift_variance), _LEAST_DEVIATION)
    means = series.sums / np.maximum(series.pairs, 1.0) - expectation.mean_score_shift
    return np.where(series.pairs > 0, means / deviation, 0.0)


def shift_margin(expectation: Expectation, margin: float) -> float:
    """The margin, or what the expectation's own mean may be off by, in standard deviations."""
    return max(margin, 3 / math.sqrt(expectation.pairs))


def shift_against(series: Series, expectation: Expectation, margin: float) -> Floats:
    """Log wealth [..., interval] of bets that the mean difference is off by more than ``margin``, to either side."""
    off, clip = standardised(series, expectation), _clip(series)
    sides = [
        log_wealth(np.clip(side * off, -clip, clip) - margin, series.pairs, clip + margin, kappas=(0.1, 0.3, 1.0))
        for side in (1.0, -1.0)
    ]
    return _mixed(sides)


def shift_in_favour(series: Series, expectation: Expectation, margin: float) -> Floats:
    """Log wealth [..., interval] of bets that the mean difference is off by less; of both sides the poorer one."""
    off, clip = standardised(series, expectation), _clip(series)
    sides = [
        log_wealth(margin - np.clip(side * off, -clip, clip), series.pairs, clip, kappas=(0.1, 0.3))
        for side in (1.0, -1.0)
    ]
    poorer: Floats = np.minimum(*sides)
    return poorer


def _clip(series: Series) -> Floats:
    return np.maximum(_SHIFT_CLIP, 4 / np.sqrt(np.maximum(series.pairs, 1.0)))


def spread_ratio(series: Series, expectation: Expectation) -> Floats:
    """Mean square of the differences [..., interval] over the expected one; 0 without pairs."""
    expected = expectation.score_shift_variance + expectation.mean_score_shift**2
    ratio: Floats = series.squares / np.maximum(series.pairs, 1.0) / max(expected, _LEAST_DEVIATION**2)
    return ratio


def spread_against(series: Series, expectation: Expectation) -> Floats:
    """Log wealth [..., interval] of bets that scores differ more widely than expected, whatever their mean."""
    excess = np.where(series.pairs > 0, np.minimum(spread_ratio(series, expectation), _SPREAD_CLIP) - SPREAD_FAIL, 0.0)
    return log_wealth(excess, series.pairs, SPREAD_FAIL, kappas=(0.01, 0.1))
