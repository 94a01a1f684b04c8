"""Regret by hand, and against the true regret of simulated requests."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.simulation import replay
from training.outcomes import Outcomes
from training.regret import regret


def _rows(requests: int, k: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Request, A's attack and B's attack of every row, A's attack outermost."""
    grid = np.stack(np.meshgrid(range(requests), range(k), range(k), indexing="ij")).reshape(3, -1).astype(np.int32)
    return grid[0], grid[1], grid[2]


def _outcomes(first: list[int], second: list[int]) -> Outcomes:
    """Halves of ten replays."""
    return Outcomes.of(np.stack([first, second], 1), np.zeros((len(first), 2)), 20)


def test_by_hand() -> None:
    # Rows: attack 0 against replies 0 and 1, then attack 1. By half one attack 0 is worth 0.8 (reply 0), attack 1 is
    # worth 0.6 (reply 1); valued by half two against those replies: 0.7 and 0.5. The halves exchanged: attack 0 is
    # worth 0.7 (reply 0), valued 0.8; attack 1 is worth 0.4 (reply 0), valued 0.9.
    outcomes = _outcomes([8, 9, 9, 6], [7, 10, 4, 5])
    request, a, b = _rows(1, 2)
    good, bad = np.array([0.9, 0.9, 0.1, 0.1]), np.array([0.1, 0.1, 0.9, 0.9])
    assert regret(good, outcomes, request, a, b).best_reply == pytest.approx(0)
    found = regret(bad, outcomes, request, a, b)
    assert found.best_reply == pytest.approx(((0.7 - 0.5) + (0.8 - 0.9)) / 2)
    # All replays: attack 0 is worth 0.75, attack 1 is worth 0.55.
    assert found.best_reply_upper == pytest.approx(0.2)
    # Means of the rows by half: attack 0 0.85 and 0.85, attack 1 0.75 and 0.45.
    assert found.mean_reply == pytest.approx(((0.85 - 0.45) + (0.85 - 0.75)) / 2)
    assert found.requests == 1
    assert np.isnan(found.best_reply_se)


def test_the_model_is_judged_by_its_worst_case_not_by_its_mean() -> None:
    # By the answers attack 0 has the better mean (0.6) and attack 1 the better worst case (0.5).
    p = np.array([1.0, 0.2, 0.5, 0.5])
    outcomes = _outcomes([10, 2, 5, 5], [10, 2, 5, 5])
    found = regret(p, outcomes, *_rows(1, 2))
    assert found.best_reply == pytest.approx(0)
    assert found.mean_reply == pytest.approx(0)
    other = regret(np.array([0.9, 0.9, 0.1, 0.1]), outcomes, *_rows(1, 2))
    assert other.best_reply == pytest.approx(0.5 - 0.2)
    assert other.mean_reply == pytest.approx(0)


def test_ties_are_taken_in_equal_parts() -> None:
    # Answers that do not tell attacks apart lose what a blind pick loses.
    outcomes = _outcomes([10, 10, 0, 0], [10, 10, 0, 0])
    assert regret(np.full(4, 0.5), outcomes, *_rows(1, 2)).best_reply == pytest.approx(0.5)
    # Both attacks tie in half one, so the reference is worth their mean in half two.
    outcomes = _outcomes([10, 10, 10, 10], [10, 10, 6, 6])
    assert regret(np.array([0.9, 0.9, 0.1, 0.1]), outcomes, *_rows(1, 2)).best_reply == pytest.approx((0.8 - 1) / 2)


def test_rows_may_come_in_any_order() -> None:
    rng = np.random.default_rng(1)
    request, a, b = _rows(20, 4)
    v = rng.random(len(request))
    outcomes = replay(v, rng)
    p = rng.random(len(v))
    order = rng.permutation(len(v))
    straight = regret(p, outcomes, request, a, b)
    shuffled = regret(p[order], outcomes.take(order), request[order], a[order], b[order])
    assert shuffled.best_reply == pytest.approx(straight.best_reply)
    assert shuffled.mean_reply == pytest.approx(straight.mean_reply)


def _true(v: NDArray[np.float64], p: NDArray[np.float64]) -> tuple[float, float]:
    """Regret by the win probabilities themselves: against the best reply, and against one drawn evenly."""
    rows = np.arange(len(v))
    worst, mean = v.min(-1), v.mean(-1)
    best_reply = worst.max(-1) - worst[rows, p.min(-1).argmax(-1)]
    mean_reply = mean.max(-1) - mean[rows, p.mean(-1).argmax(-1)]
    return float(best_reply.mean()), float(mean_reply.mean())


@pytest.mark.parametrize("noise", [0.0, 0.6, 2.0])
def test_the_truth_lies_between_the_two_estimates(noise: float) -> None:
    rng = np.random.default_rng(2)
    requests, k = 6000, 4
    attack, reply = rng.normal(0, 2, (requests, k, 1)), rng.normal(0, 2, (requests, 1, k))
    logit = attack - reply + rng.normal(0, 1, (requests, k, k))
    v, p = (1 / (1 + np.exp(-x)) for x in (logit, logit + noise * rng.normal(size=logit.shape)))
    found = regret(p.ravel(), replay(v.ravel(), rng), *_rows(requests, k))
    best_reply, mean_reply = _true(v, p)
    # Understated by what thirty replays lose themselves, overstated by the luck of the best of sixty.
    assert best_reply - 0.01 < found.best_reply < best_reply + 2 * found.best_reply_se
    assert best_reply - 2 * found.best_reply_se < found.best_reply_upper < best_reply + 0.02
    assert mean_reply - 0.01 < found.mean_reply < mean_reply + 2 * found.mean_reply_se


def test_picking_and_valuing_with_the_same_half_would_be_luck() -> None:
    # All attacks are equal, so nothing can be lost; the estimate by all replays sees skill in the noise.
    rng = np.random.default_rng(3)
    request, a, b = _rows(2000, 4)
    outcomes = replay(np.full(len(request), 0.5), rng)
    found = regret(rng.random(len(request)), outcomes, request, a, b)
    assert abs(found.best_reply) < 3 * found.best_reply_se
    assert found.best_reply_upper > 0.03


@pytest.mark.parametrize(
    ("request_of", "a", "b", "sentence"),
    [
        ([0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 0, 1], "same number of pairings"),
        ([0, 0, 0], [0, 0, 1], [0, 1, 0], "same number of pairings"),
        ([0, 0, 0, 0], [0, 0, 1, 2], [0, 1, 0, 1], "same attacks of B"),
        ([0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 2], "same attacks of B"),
    ],
)
def test_what_is_no_full_grid_is_refused(request_of: list[int], a: list[int], b: list[int], sentence: str) -> None:
    outcomes = Outcomes.of(np.ones((len(a), 2)), np.zeros((len(a), 2)), 4)
    codes = [np.array(column, np.int32) for column in (request_of, a, b)]
    with pytest.raises(ValueError, match=sentence):
        regret(np.full(len(a), 0.5), outcomes, *codes)
