"""Against a textbook test, a figure worked out by hand, and simulated truth."""

import numpy as np
import pytest
from scipy import stats

from training.statistics import clustered_mean


def test_clusters_of_one_are_students_paired_t() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=40), rng.normal(0.3, 1, 40)
    interval = clustered_mean(a - b, np.arange(40))
    expected = stats.ttest_rel(a, b, alternative="less").confidence_interval(0.95)
    assert interval.upper == pytest.approx(expected.high)
    expected = stats.ttest_rel(a, b, alternative="greater").confidence_interval(0.95)
    assert interval.lower == pytest.approx(expected.low)


def test_two_clusters_by_hand() -> None:
    interval = clustered_mean([1.0, 3.0, 5.0, 7.0], ["x", "x", "y", "y"])
    # deviations -3 -1 | 1 3, sums -4 and 4; sqrt(2 / 1 * 32) / 4 = 2
    assert interval.mean == 4
    assert interval.error == pytest.approx(2)
    assert interval.upper == pytest.approx(4 + 2 * stats.t.ppf(0.95, 1))
    assert interval.clusters == 2


def test_bounds_keep_their_promise_where_rows_of_a_cluster_move_together() -> None:
    rng = np.random.default_rng(2)
    clusters = np.repeat(np.arange(60), 5)
    rounds = 600
    missed = {"clustered": 0, "as if independent": 0}
    for _ in range(rounds):
        values = np.repeat(rng.normal(size=60), 5) + 0.3 * rng.normal(size=300)
        missed["clustered"] += clustered_mean(values, clusters).lower > 0
        missed["as if independent"] += clustered_mean(values, np.arange(300)).lower > 0
    assert 0.025 < missed["clustered"] / rounds < 0.08
    assert missed["as if independent"] / rounds > 0.15


@pytest.mark.parametrize(
    ("values", "clusters", "confidence", "sentence"),
    [
        ([1.0, 2.0], [1], 0.95, "same length"),
        ([1.0, np.nan], [1, 2], 0.95, "not finite"),
        ([1.0, 2.0], [1, 1], 0.95, "two clusters"),
        ([1.0, 2.0], [1, 2], 0.5, "between"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    values: list[float], clusters: list[int], confidence: float, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        clustered_mean(values, clusters, confidence)
