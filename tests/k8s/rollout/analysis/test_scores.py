import math

import numpy as np
import pytest

from k8s.rollout.analysis.scores import scores_against, total_variation

EVEN = np.full(10, 0.1)


def share(canary: np.ndarray[tuple[int, ...], np.dtype[np.float64]], variation: float, runs: int = 200) -> float:
    rng = np.random.default_rng(7)
    stable = rng.multinomial(750, EVEN, (runs, 80))
    wealth = scores_against(stable, rng.multinomial(250, canary, (runs, 80)), variation)
    return float((wealth >= math.log(20)).any(-1).mean())


def moved(variation: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return EVEN + variation / 5 * np.where(np.arange(10) % 2, 1, -1)


def test_a_large_shift_is_found_and_none_is_not() -> None:
    assert share(moved(0.05), 0.003) > 0.99
    assert share(EVEN, 0.003) <= 0.01


def test_a_shift_as_large_as_the_hypothesis_allows_is_seldom_found() -> None:
    assert share(moved(0.02), 0.02, runs=1000) <= 0.05


def test_mirrored_scores_are_not_seen() -> None:
    """The blind spot: a symmetric marginal stays what it is."""
    symmetric = np.array([0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.1, 0.1, 0.2])
    rng = np.random.default_rng(8)
    stable, canary = rng.multinomial(750, symmetric, 80), rng.multinomial(250, symmetric, 80)[:, ::-1]
    assert scores_against(stable, canary, 0.003).max() < math.log(20)


def test_a_shift_of_both_tracks_at_once_is_none() -> None:
    rng = np.random.default_rng(9)
    halves = [np.where(np.arange(10) < 5, 0.15, 0.05), np.where(np.arange(10) < 5, 0.05, 0.15)]
    stable, canary = (np.concatenate([rng.multinomial(n, half, 40) for half in halves]) for n in (750, 250))
    assert scores_against(stable, canary, 0.003).max() < math.log(20)


def test_total_variation_is_half_the_distance() -> None:
    assert total_variation([[5, 5], [5, 5]], [[8, 2]]) == pytest.approx(0.3)
    assert total_variation([[5, 5]], [[0, 0]]) is None
