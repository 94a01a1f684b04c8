"""Figures against values worked out by hand, against scikit-learn on single replays, and on simulated truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics

from tests.training.simulation import duel_like, replay
from training.evaluate import (
    REACHES,
    accuracy_by_pairing,
    calibration_bins,
    figures,
    log_loss_by_pairing,
    roc_auc,
    roc_curve,
)
from training.outcomes import Outcomes
from training.regret import Regret

# Four pairings of four replays; f = 1, 0.75, 0.25, 0.
HAND = Outcomes.of([[2, 2], [2, 1], [1, 0], [0, 0]], np.zeros((4, 2)), 4)
ANSWERS = np.array([0.9, 0.4, 0.2, 0.1])


def _many(n: int = 3000, seed: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64], Outcomes]:
    """Win probabilities, noisy answers to them, and replays with some draws."""
    rng = np.random.default_rng(seed)
    v = duel_like(n, rng)
    p = (0.9 * v + 0.1 * rng.random(n)).clip(0.01, 0.99)
    return v, p, replay(v, rng, drawn=0.1)


def _single(p: NDArray[np.float64], outcomes: Outcomes) -> tuple[NDArray[np.float64], ...]:
    """Answers, labels and weights with a row for the wins and one for the losses of each pairing."""
    f = outcomes.frequency
    return np.concatenate([p, p]), np.repeat([1, 0], len(p)), np.concatenate([f, 1 - f])


def test_by_hand() -> None:
    with pytest.raises(ValueError, match="cannot fill 15 bins"):
        figures(ANSWERS, HAND)
    repeated = np.tile(np.arange(4), 5)
    found = figures(ANSWERS[repeated], HAND.take(repeated), reversed_p=(1.02 - ANSWERS)[repeated])
    assert found.pairings == 20
    assert found.replays == 80
    # Bets: A, B, B, B; right on 1, 0.25, 0.75, 1.
    assert found.accuracy == pytest.approx(0.75)
    assert found.precision == pytest.approx(1)
    assert found.recall == pytest.approx(0.5)
    assert found.f1 == pytest.approx(2 / 3)
    assert found.mae == pytest.approx((0.1 + 0.35 + 0.05 + 0.1) / 4)
    assert found.brier == pytest.approx((0.01 + (0.75 * 0.36 + 0.25 * 0.16) + (0.25 * 0.64 + 0.75 * 0.04) + 0.01) / 4)
    assert found.antisymmetry == pytest.approx(0.02)
    assert np.isnan(found.accuracy_se)
    assert found.regret is None


def test_an_even_answer_is_half_right() -> None:
    outcomes = Outcomes.of([[2, 2], [0, 1]], np.zeros((2, 2)), 4)
    assert accuracy_by_pairing(np.array([0.5, 0.5]), outcomes).tolist() == [0.5, 0.5]


def test_a_certain_answer_that_is_wrong_costs_a_finite_loss() -> None:
    outcomes = Outcomes.of([[2, 2], [0, 0]], np.zeros((2, 2)), 4)
    assert log_loss_by_pairing(np.array([0.0, 0.0]), outcomes) == pytest.approx([-np.log(1e-7), 1e-7], rel=1e-3)


def test_scores_are_those_of_scikit_learn_on_single_replays() -> None:
    _, p, outcomes = _many()
    found = figures(p, outcomes)
    answer, label, weight = _single(p, outcomes)
    bet = answer > 0.5
    assert found.accuracy == pytest.approx(metrics.accuracy_score(label, bet, sample_weight=weight))
    assert found.precision == pytest.approx(metrics.precision_score(label, bet, sample_weight=weight))
    assert found.recall == pytest.approx(metrics.recall_score(label, bet, sample_weight=weight))
    assert found.f1 == pytest.approx(metrics.f1_score(label, bet, sample_weight=weight))
    assert found.roc_auc == pytest.approx(metrics.roc_auc_score(label, answer, sample_weight=weight))
    assert found.log_loss == pytest.approx(metrics.log_loss(label, answer, sample_weight=weight))
    assert found.brier == pytest.approx(metrics.brier_score_loss(label, answer, sample_weight=weight))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([0.0, 0.2, 0.5, 1.0])), min_size=2))
def test_roc_area_with_ties(rows: list[tuple[int, int, float]]) -> None:
    outcomes = Outcomes.of([row[:2] for row in rows], np.zeros((len(rows), 2)), 8)
    p = np.array([row[2] for row in rows])
    if 0 < outcomes.frequency.sum() < len(rows):
        answer, label, weight = _single(p, outcomes)
        expected = metrics.roc_auc_score(label, answer, sample_weight=weight)
        assert roc_auc(p, outcomes) == pytest.approx(expected)
    else:
        assert np.isnan(roc_auc(p, outcomes))


def test_roc_runs_from_corner_to_corner() -> None:
    _, p, outcomes = _many(200)
    false_rate, true_rate = roc_curve(p, outcomes)
    assert (false_rate[0], true_rate[0]) == (0, 0)
    assert (false_rate[-1], true_rate[-1]) == pytest.approx((1, 1))
    assert (np.diff(false_rate) >= 0).all()


def test_calibration_bins_by_hand() -> None:
    bins = calibration_bins(ANSWERS, HAND, bins=2)
    assert bins.predicted == pytest.approx([0.15, 0.65])
    assert bins.observed == pytest.approx([0.125, 0.875])
    assert bins.error == pytest.approx((0.025 + 0.225) / 2)
    # One loss or win of four has variance 0.25, its mean 0.0625, and half of that pairing's mean a quarter again.
    assert bins.noise == pytest.approx([0.125, 0.125])


def test_a_constant_shift_is_the_calibration_error() -> None:
    v = np.full(3000, 0.4)
    outcomes = replay(v, np.random.default_rng(2))
    assert figures(v + 0.05, outcomes).ece == pytest.approx(0.05, abs=0.004)


def test_the_truth_shows_the_perfect_figures() -> None:
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(20):
        v = duel_like(1000, rng)
        bins = calibration_bins(v, replay(v, rng))
        errors.append([bins.error, bins.perfect_error])
    shown, told = np.mean(errors, axis=0)
    assert shown < told < 1.35 * shown
    v = duel_like(3000, rng)
    found = figures(v, replay(v, rng))
    assert found.mae == pytest.approx(found.ceiling.mae, rel=0.1)
    assert found.share == pytest.approx(1, abs=0.003)
    assert found.log_loss == pytest.approx(found.ceiling.log_loss, abs=0.02)


def test_order_of_the_pairings_changes_nothing() -> None:
    _, p, outcomes = _many()
    p = p.round(1)
    clusters = np.arange(len(p)) // 3
    order = np.random.default_rng(4).permutation(len(p))
    straight = figures(p, outcomes, clusters=clusters).metrics()
    shuffled = figures(p[order], outcomes.take(order), clusters=clusters[order]).metrics()
    assert shuffled == pytest.approx(straight, rel=1e-9)


def test_exchanging_the_sides_changes_no_symmetric_figure() -> None:
    _, p, outcomes = _many()
    per_half = outcomes.replays // 2
    exchanged = Outcomes.of(per_half - outcomes.wins - outcomes.draws, outcomes.draws, outcomes.replays)
    one, other = figures(p, outcomes), figures(1 - p, exchanged)
    for name in ("accuracy", "roc_auc", "log_loss", "brier", "ece", "mae"):
        assert getattr(other, name) == pytest.approx(getattr(one, name))
    assert other.ceiling.accuracy == pytest.approx(one.ceiling.accuracy, abs=1e-6)


def test_standard_errors_cover_the_spread_between_samples() -> None:
    runs = []
    for seed in range(25):
        _, p, outcomes = _many(600, seed=seed + 100)
        found = figures(p, outcomes, clusters=np.arange(600))
        runs.append([found.accuracy, found.accuracy_se, found.mae, found.mae_se, found.share, found.share_se])
    mean, spread = np.mean(runs, axis=0), np.std(runs, axis=0, ddof=1)
    for value in (0, 2, 4):
        assert mean[value + 1] == pytest.approx(spread[value], rel=0.5)


def test_dependent_pairings_widen_the_error() -> None:
    _, p, outcomes = _many(500)
    twice = np.repeat(np.arange(500), 2)
    apart = figures(p[twice], outcomes.take(twice), clusters=np.arange(1000)).accuracy_se
    together = figures(p[twice], outcomes.take(twice), clusters=twice).accuracy_se
    assert together == pytest.approx(apart * np.sqrt(2), rel=0.01)


def test_metrics_hold_what_is_known_and_only_that() -> None:
    _, p, outcomes = _many(300)
    bare = figures(p, outcomes).metrics()
    assert {"accuracy", "ece", "mae_perfect", "ceiling_share"} <= bare.keys()
    assert not {"accuracy_se", "antisymmetry", "regret"} & bare.keys()
    lost = Regret(10, 0.01, 0.002, 0.02, 0.005, 0.001)
    full = figures(p, outcomes, reversed_p=1 - p, clusters=np.arange(300), regret=lost).metrics()
    assert full["regret"] == 0.01
    assert full["antisymmetry"] == pytest.approx(0, abs=1e-12)
    assert {"accuracy_se", "mae_se", "ceiling_share_se"} <= full.keys()


def test_reaches_are_judged_in_the_right_direction() -> None:
    v = duel_like(3000, np.random.default_rng(5))
    outcomes = replay(v, np.random.default_rng(6))
    lost = Regret(10, 0.03, 0.002, 0.02, 0.005, 0.001)
    perfect = figures(v, outcomes, reversed_p=1 - v, regret=lost)
    poor = figures(np.full(3000, 0.3), outcomes, reversed_p=np.full(3000, 0.3))
    by_title = {reach.title: reach for reach in REACHES}
    assert by_title["share of the replay ceiling"].met(perfect) is True
    assert by_title["share of the replay ceiling"].met(poor) is False
    assert by_title["mean absolute error of the win probability"].met(perfect) is True
    assert by_title["mean absolute error of the win probability"].met(poor) is False
    assert by_title["mean of abs(P(A beats B) + P(B beats A) - 1)"].met(poor) is False
    assert by_title["best-attack regret against the best reply"].met(perfect) is False
    assert by_title["best-attack regret against the best reply"].met(poor) is None


def test_answers_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match="not a probability"):
        figures(np.array([0.5, 0.5, 0.5, 1.5]), HAND)
    with pytest.raises(ValueError, match="not a probability"):
        figures(np.tile(ANSWERS, 5), HAND.take(np.tile(np.arange(4), 5)), reversed_p=np.full(20, np.nan))
