import pytest
from scipy.stats import binom

from k8s.rollout.analysis.evidence import Expectation, Golden, Pairs
from k8s.rollout.analysis.golden import binomial_tail, faults
from k8s.rollout.analysis.settings import AnalysisSettings

EXPECTED = Expectation(pairs=50_000, flip_rate=0.01, mean_score_shift=0.0, score_shift_variance=0.0004)


def found(golden: Golden, expectation: Expectation | None = EXPECTED) -> str:
    return "; ".join(faults(golden, expectation, AnalysisSettings(), 0.003))


@pytest.mark.parametrize(("n", "k", "p"), [(10, 3, 0.5), (1000, 30, 0.02), (5, 0, 0.1), (20, 20, 0.9), (7, 1, 0.0)])
def test_the_tail_is_exact(n: int, k: int, p: float) -> None:
    assert binomial_tail(n, k, p) == pytest.approx(binom.sf(k - 1, n, p))


def test_a_version_as_expected_has_no_fault() -> None:
    assert not found(Golden(Pairs(1000, 12, 0.1, 0.5), stable_only_right=6, canary_only_right=5))


def test_too_many_flips_are_a_fault() -> None:
    assert "80 of 1000 answers differ" in found(Golden(Pairs(1000, 80, 0.1, 0.5), 40, 38))


def test_rows_that_only_stable_gets_right_are_a_fault_without_an_expectation() -> None:
    assert "gets 40 rows wrong" in found(Golden(Pairs(1000, 50, 0.0, 0.5), 40, 3), None)


def test_scores_that_are_off_are_a_fault() -> None:
    assert "scores are off by +1.0 standard" in found(Golden(Pairs(1000, 10, 20.0, 0.8), 5, 5))
