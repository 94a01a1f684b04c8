"""The ceiling on simulated replays of pairings whose win probabilities, and so whose ceiling, are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.simulation import duel_like, replay
from training.ceiling import ceiling, leave_one_out, mixing_distribution
from training.outcomes import Outcomes

PAIRINGS = 4000
RUNS = 6


def _best(v: NDArray[np.float64]) -> float:
    return float(np.maximum(v, 1 - v).mean())


@pytest.mark.parametrize("drawn", [0.0, 0.5])
@pytest.mark.parametrize("spread", ["duels", "uniform", "near even"])
def test_the_estimate_finds_the_known_ceiling_and_the_others_bracket_it(spread: str, drawn: float) -> None:
    rng = np.random.default_rng(7)
    found = []
    for _ in range(RUNS):
        v = {
            "duels": duel_like(PAIRINGS, rng),
            "uniform": rng.random(PAIRINGS),
            "near even": rng.normal(0.5, 0.1, PAIRINGS).clip(0, 1),
        }[spread]
        estimate, truth = ceiling(replay(v, rng, drawn=drawn)), _best(v)
        found.append([estimate.accuracy - truth, estimate.lower - truth, estimate.upper - truth])
        assert estimate.lower < estimate.accuracy < estimate.upper
    error, lower, upper = np.mean(found, axis=0)
    # The plug-in is off by 0.0009 to 0.012 here; the estimate must remove nearly all of that.
    assert abs(error) < {"duels": 0.0005, "uniform": 0.0015, "near even": 0.003}[spread]
    assert lower < 0 < upper
    assert abs(error) < upper


def test_the_noise_floor_is_what_the_truth_shows_on_its_own_replays() -> None:
    rng = np.random.default_rng(8)
    v = duel_like(20_000, rng)
    outcomes = replay(v, rng)
    estimate = ceiling(outcomes)
    f = outcomes.frequency
    assert estimate.mae == pytest.approx(np.abs(v - f).mean(), abs=0.0004)
    assert estimate.brier == pytest.approx((v * (1 - v)).mean(), abs=0.0004)
    inside = v[(v > 0) & (v < 1)]
    entropy = -(inside * np.log(inside) + (1 - inside) * np.log(1 - inside)).sum() / len(v)
    assert estimate.log_loss == pytest.approx(entropy, abs=0.002)


def test_duels_without_chance_have_a_ceiling_of_one() -> None:
    estimate = ceiling(Outcomes.of([[30, 30], [0, 0]], np.zeros((2, 2)), 60))
    assert estimate.accuracy == pytest.approx(1, abs=1e-3)
    assert (estimate.lower, estimate.upper) == (1, 1)
    assert estimate.mae == pytest.approx(0, abs=1e-3)


def test_draws_alone_are_even() -> None:
    outcomes = Outcomes.of(np.zeros((50, 2)), np.full((50, 2), 30), 60)
    assert ceiling(outcomes).accuracy == pytest.approx(0.5, abs=0.01)


def test_leaving_one_out_by_hand() -> None:
    # Three wins of four. A win left out: two of three others are wins, so the bet is on A and right (3 times).
    # The loss left out: all others are wins, so the bet is on A and wrong.
    assert leave_one_out(Outcomes.of([[2, 1]], [[0, 0]], 4)) == 0.75
    # Two wins of four: whatever is left out, the others name the other side.
    assert leave_one_out(Outcomes.of([[1, 1]], [[0, 0]], 4)) == 0
    # A win and a draw: each names the wrong or no side of the other. Draw left out: bet on A, half right. Win left
    # out: the draw is even, half right.
    assert leave_one_out(Outcomes.of([[1, 0]], [[0, 1]], 2)) == 0.5


def test_the_distribution_is_one_and_its_gap_is_told() -> None:
    rng = np.random.default_rng(9)
    outcomes = replay(duel_like(1500, rng), rng)
    grid, mass, gap = mixing_distribution(outcomes)
    assert grid[[0, -1]].tolist() == [0, 1]
    assert mass.sum() == pytest.approx(1)
    assert mass.min() >= 0
    assert 0 < gap <= 1e-4
    assert grid @ mass == pytest.approx(outcomes.frequency.mean(), abs=2e-3)
