"""Each check: from evidence to a reading, with bounds by inverting its test."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from k8s.rollout.analysis import golden as golden_rows
from k8s.rollout.analysis import pairs as paired
from k8s.rollout.analysis import rates
from k8s.rollout.analysis.betting import Blocks, Floats, blocks
from k8s.rollout.analysis.evidence import Expectation, Golden, Pairs
from k8s.rollout.analysis.reading import Outcome, Reading
from k8s.rollout.analysis.scores import QUIET, scores_against, total_variation
from k8s.rollout.analysis.settings import AnalysisSettings, Margin

_POINTS = 24
_ROUNDS = 3
"""Of bounds: three times 24 values in what was left, to a ten-thousandth of it."""


def _last(wealth: Floats) -> float:
    return float(wealth[-1]) if wealth.shape[-1] else -math.inf


def _best(wealth: Floats) -> float:
    return float(wealth.max()) if wealth.shape[-1] else -math.inf


def greatest(low: float, high: float, holds: Callable[[Floats], NDArray[np.bool_]]) -> float | None:
    """The greatest value that holds, where small ones do; None where not even ``low`` does.

    Args:
        low: where to start.
        high: a value that does not hold.
        holds: of values [value], whether each does.
    """
    found = None
    for _ in range(_ROUNDS):
        values = np.linspace(low, high, _POINTS)
        held = holds(values)
        if not held[0]:
            return found
        place = int(np.argmin(held)) - 1 if not held.all() else len(values) - 1
        found = low = float(values[place])
        high = float(values[min(place + 1, len(values) - 1)])
    return found


def bounds(seen: Blocks, alpha: float, beta: float) -> tuple[float | None, float | None]:
    """Lower and upper bound of the difference, by inverting both tests."""

    def above(margins: Floats) -> NDArray[np.bool_]:
        wealth = rates.against(seen, margins[:, None])
        return np.asarray(wealth.max(-1, initial=-math.inf) >= math.log(1 / alpha))

    def below(margins: Floats) -> NDArray[np.bool_]:
        wealth = rates.in_favour(seen, -margins[:, None])
        return (
            np.asarray(wealth[:, -1] >= math.log(1 / beta)) if wealth.size else np.zeros(len(margins), dtype=np.bool_)
        )

    upper = greatest(-0.9, 0.1, below)
    return greatest(-0.1, 0.9, above), None if upper is None else -upper


def consistent(lower: float | None, upper: float | None, estimate: float | None) -> float | None:
    """The upper bound, or None where it is below the lower one or the estimate.

    Each bounds a mean of clipped differences, and the one of a pass is clipped lower: above its clip it bounds nothing.
    """
    return None if upper is None or any(each is not None and upper < each for each in (lower, estimate)) else upper


def _outcome(failed: bool, passed: bool) -> Outcome:
    return Outcome.FAIL if failed else Outcome.PASS if passed else Outcome.NOT_YET


def _points(value: float | None) -> str:
    return "no bound" if value is None else f"{100 * value:+.2f}"


def rate(
    check: str,
    stable: tuple[Floats, Floats],
    canary: tuple[Floats, Floats],
    margin: Margin,
    settings: AnalysisSettings,
    *,
    required: bool,
) -> Reading:
    """Share of events, canary against stable, from requests and events [interval] of each."""
    seen, against, favour = blocks(stable, canary), math.log(1 / settings.alpha_of(check)), math.log(1 / settings.beta)
    failed = _best(rates.against(seen, margin.fail)) >= against
    passed = _last(rates.in_favour(seen, margin.accept)) >= favour
    lower, upper = bounds(seen, settings.alpha_of(check), settings.beta)
    evidence, estimate = int(canary[0].sum()), rates.estimate(seen)
    upper = consistent(lower, upper, estimate)
    outcome = _outcome(failed, passed)
    if estimate is None:
        sentence = f"no evidence yet in {evidence} requests"
    else:
        sentence = (
            f"{_points(estimate)} points against stable, {_points(lower)} to {_points(upper)}, "
            f"in {evidence} requests; {100 * margin.accept:.2f} may be"
        )
    return Reading(check, outcome, required, sentence, evidence, margin.accept, estimate, lower, upper)


def ceiling(
    check: str,
    stable: tuple[Floats, Floats],
    canary: tuple[Floats, Floats],
    limit: float,
    settings: AnalysisSettings,
) -> Reading:
    """The canary's share of events against what the objective allows, or against stable where that is above it."""
    seen, against = rates.ceiling_blocks(stable, canary, limit), math.log(1 / settings.alpha_of(check))
    failed = _best(rates.against(seen, 0.0)) >= against
    evidence = int(canary[0].sum())
    share = float(canary[1].sum() / evidence) if evidence else None
    is_now = "no evidence yet" if share is None else f"{share:.2%}"
    sentence = f"{is_now} in {evidence} requests; the objective allows {limit:.2%}"
    return Reading(
        check,
        _outcome(failed, passed=False),
        required=False,
        sentence=sentence,
        evidence=evidence,
        margin=limit,
        estimate=share,
    )


def golden(rows: Golden, expectation: Expectation | None, settings: AnalysisSettings) -> Reading:
    """The golden rows: a pass where nothing is found against the canary and there were any."""
    found = golden_rows.faults(rows, expectation, settings, settings.alpha_of("golden"))
    count = int(rows.pairs.pairs)
    outcome = _outcome(bool(found), count > 0 and rows.pairs.usable())
    flipped = rows.pairs.flips / count if count else None
    sentence = "; ".join(found) or f"{rows.pairs.flips:.0f} of {count} golden answers differ, none the worse for it"
    return Reading("golden", outcome, True, sentence, count, settings.flips.accept, flipped)


def pairs(shadow: Sequence[Pairs], expectation: Expectation, settings: AnalysisSettings) -> list[Reading]:
    """Flips, mean and spread of the score difference of shadow pairs, against the expectation."""
    columns = np.array(
        [[each.pairs, each.flips, each.difference_sum, each.difference_squares] for each in shadow], dtype=np.float64
    ).reshape(len(shadow), 4)
    series = paired.Series(*columns.T)
    return [
        _flips(series, expectation, settings),
        _shift(series, expectation, settings),
        _spread(series, expectation, settings),
    ]


def _each(holds: Callable[[float], bool]) -> Callable[[Floats], NDArray[np.bool_]]:
    return lambda values: np.array([holds(value) for value in values.tolist()])


def _flips(series: paired.Series, expectation: Expectation, settings: AnalysisSettings) -> Reading:
    margin, expected = settings.flips, expectation.flip_rate
    against, favour = math.log(1 / settings.alpha_of("flips")), math.log(1 / settings.beta)
    failed = _best(paired.flips_against(series, paired.flips_bound(expectation, margin.fail))) >= against
    most = paired.wilson(expected, expectation.pairs, -2.33) + margin.accept
    passed = _last(paired.flips_in_favour(series, most, expected)) >= favour
    count = int(series.pairs.sum())
    estimate = float(series.flips.sum() / count) - expected if count else None
    lower = greatest(0.0, 1.0, _each(lambda rate: _best(paired.flips_against(series, rate)) >= against))
    upper = greatest(-1.0, 0.0, _each(lambda rate: _last(paired.flips_in_favour(series, -rate, -rate / 2)) >= favour))
    lower, upper = None if lower is None else lower - expected, None if upper is None else -upper - expected
    upper = consistent(lower, upper, estimate)
    sentence = (
        f"{_points(estimate)} points against the {expected:.2%} expected, {_points(lower)} to {_points(upper)}, "
        f"in {count} pairs; {100 * margin.accept:.2f} may be"
        if count
        else "no pairs yet"
    )
    return Reading("flips", _outcome(failed, passed), True, sentence, count, margin.accept, estimate, lower, upper)


def _shift(series: paired.Series, expectation: Expectation, settings: AnalysisSettings) -> Reading:
    against, favour = math.log(1 / settings.alpha_of("score shift")), math.log(1 / settings.beta)
    least = paired.shift_margin(expectation, paired.SHIFT_FAIL)
    accept = max(paired.SHIFT_ACCEPT, least)
    failed = _best(paired.shift_against(series, expectation, least)) >= against
    passed = _last(paired.shift_in_favour(series, expectation, accept)) >= favour
    count = int(series.pairs.sum())
    estimate = float((paired.standardised(series, expectation) * series.pairs).sum() / count) if count else None
    sentence = (
        f"scores are {estimate:+.2f} standard deviations from the expected difference in {count} pairs; "
        f"{accept:.2f} may be"
        if estimate is not None
        else "no pairs yet"
    )
    return Reading("score shift", _outcome(failed, passed), True, sentence, count, accept, estimate)


def _spread(series: paired.Series, expectation: Expectation, settings: AnalysisSettings) -> Reading:
    against = math.log(1 / settings.alpha_of("score spread"))
    failed = _best(paired.spread_against(series, expectation)) >= against
    count = int(series.pairs.sum())
    ratio = paired.spread_ratio(series, expectation)
    estimate = float((ratio * series.pairs).sum() / count) if count else None
    sentence = (
        f"scores differ {math.sqrt(estimate):.2f} times as widely as expected in {count} pairs"
        if estimate is not None
        else "no pairs yet"
    )
    outcome = _outcome(failed, passed=False)
    return Reading("score spread", outcome, False, sentence, count, paired.SPREAD_FAIL, estimate)


def scores(stable: Sequence[Sequence[float]], canary: Sequence[Sequence[float]], settings: AnalysisSettings) -> Reading:
    """Distributions of scores [interval, bin] of both tracks."""
    wealth = scores_against(stable, canary, settings.scores * QUIET)
    failed = _best(wealth) >= math.log(1 / settings.alpha_of("scores"))
    count, distance = int(np.sum(canary)), total_variation(stable, canary)
    sentence = (
        "no scores yet"
        if distance is None
        else f"total variation {distance:.3f}, noise included, in {count} requests; {settings.scores:.3f} is found"
    )
    return Reading("scores", _outcome(failed, passed=False), False, sentence, count, settings.scores, distance)
