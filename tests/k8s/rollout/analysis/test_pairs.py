import math

import numpy as np
import pytest

from k8s.rollout.analysis import pairs
from k8s.rollout.analysis.evidence import Expectation

EXPECTED = Expectation(pairs=50_000, flip_rate=0.01, mean_score_shift=0.002, score_shift_variance=0.0004)
ALIKE = Expectation(pairs=50_000, flip_rate=0.0, mean_score_shift=0.0, score_shift_variance=0.0)


def drawn(rate: float, *, mean: float = 0.002, deviation: float = 0.02, runs: int = 300, n: int = 100) -> pairs.Series:
    rng = np.random.default_rng(4)
    shape = (runs, 50)
    differences = rng.normal(mean, deviation, (*shape, n))
    flips = rng.binomial(n, rate, shape).astype(np.float64)
    return pairs.Series(np.full(shape, float(n)), flips, differences.sum(-1), (differences**2).sum(-1))


def test_wilson_gives_the_published_interval() -> None:
    """Newcombe (1998), Statistics in Medicine 17: of 81 in 263, 0.2553 to 0.3662."""
    assert pairs.wilson(81 / 263, 263, 1.959964) == pytest.approx(0.3662, abs=5e-5)
    assert pairs.wilson(81 / 263, 263, -1.959964) == pytest.approx(0.2553, abs=5e-5)


def test_flips_are_judged_with_the_uncertainty_of_the_expectation() -> None:
    few = Expectation(200, 0.01, 0.0, 0.0004)
    assert pairs.flips_bound(few, 0.001) > 0.03
    assert pairs.flips_bound(EXPECTED, 0.001) == pytest.approx(0.0111, abs=1e-4)


def test_as_many_flips_as_expected_pass_and_seldom_fail() -> None:
    series = drawn(0.01, n=200)
    failed = (pairs.flips_against(series, pairs.flips_bound(EXPECTED, 0.001)) >= math.log(120)).any(-1).mean()
    passed = (pairs.flips_in_favour(series, 0.015, 0.01)[:, -1] >= math.log(20)).mean()
    assert failed <= 1 / 120
    assert passed > 0.8


def test_flips_at_the_bound_seldom_fail_or_pass() -> None:
    failed = (pairs.flips_against(drawn(0.0111, runs=2000), 0.0111) >= math.log(20)).any(-1).mean()
    passed = (pairs.flips_in_favour(drawn(0.015, runs=2000), 0.015, 0.01) >= math.log(20)).any(-1).mean()
    assert failed <= 0.05
    assert passed <= 0.05


def test_one_interval_of_flips_decides_nothing() -> None:
    n, flips = np.full(50, 1000.0), np.zeros(50)
    flips[10] = 1000
    assert pairs.flips_against(pairs.Series(n, flips, n, n), 0.01).max() < math.log(10)


@pytest.mark.parametrize(("mean", "fails"), [(0.002, False), (0.003, False), (0.01, True), (-0.006, True)])
def test_a_shift_fails_to_either_side(mean: float, fails: bool) -> None:
    wealth = pairs.shift_against(drawn(0.01, mean=mean), EXPECTED, pairs.SHIFT_FAIL)
    failed = (wealth >= math.log(360)).any(-1).mean()
    assert failed > 0.9 if fails else failed <= 0.01


def test_an_expected_shift_passes_and_another_does_not() -> None:
    as_expected = pairs.shift_in_favour(drawn(0.01), EXPECTED, pairs.SHIFT_ACCEPT)
    off = pairs.shift_in_favour(drawn(0.01, mean=0.008), EXPECTED, pairs.SHIFT_ACCEPT)
    assert (as_expected[:, -1] >= math.log(20)).mean() > 0.9
    assert (off >= math.log(20)).any(-1).mean() <= 0.05


def test_scores_that_differ_more_widely_around_the_same_mean_fail() -> None:
    wide = pairs.spread_against(drawn(0.01, deviation=0.1), EXPECTED)
    same = pairs.spread_against(drawn(0.01), EXPECTED)
    assert (wide.max(-1) >= math.log(360)).all()
    assert (same.max(-1) < 0.1).all()


def test_versions_that_answer_alike_are_no_shift_of_their_rounding() -> None:
    n = np.full(50, 100.0)
    series = pairs.Series(n, 0 * n, 1e-7 * n, 1e-14 * n)
    assert pairs.shift_in_favour(series, ALIKE, pairs.SHIFT_ACCEPT)[-1] >= math.log(20)
    assert pairs.shift_against(series, ALIKE, pairs.SHIFT_FAIL).max() <= 0
    assert pairs.spread_against(series, ALIKE).max() <= 0
