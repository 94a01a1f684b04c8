"""What a model that knew every win probability would score on the same replays.

A pairing of win probability v is called right with probability max(v, 1 - v) at best, so the ceiling of the expected
accuracy is E[max(v, 1 - v)] over pairings. v itself is not known, only k wins of n replays, and the obvious estimate,
the mean of max(k / n, 1 - k / n), is too high: near v = 0.5 the noise of k always points away from 0.5. Instead the
distribution of v over pairings is estimated as a whole by nonparametric maximum likelihood (Kiefer and Wolfowitz 1956;
Laird 1978: the estimate is discrete and EM on a grid finds it), and the ceiling is the mean of max(v, 1 - v) under it.

A draw is a coin toss: each drawn replay counts as a win with probability one half. The number of wins is then binomial
with exactly the probability that counts a draw half, and averaging over the tosses needs no random numbers.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlog1py, xlogy

from training.outcomes import Outcomes

GRID_POINTS: Final = 601
_MAX_STEPS: Final = 20_000
_CHECK_EVERY: Final = 50
TOLERANCE: Final = 1e-4
"""Largest accepted distance from the maximum, in nats of log likelihood a pairing; on duels the ceiling moves by less
than 0.00003 below it, and by 0.0001 from ten times it."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Scores of a perfect model on replays of the same pairings; all are means over pairings.

    Attributes:
        accuracy: expected accuracy, by nonparametric maximum likelihood.
        lower: the accuracy of betting on each replay with the side that won more of the pairing's other replays: below
            the ceiling, since 59 replays sometimes name the wrong favourite.
        upper: the mean of max(f, 1 - f) of the frequencies f: above the ceiling by what the noise adds.
        mae: mean of abs(v - f) between win probability and replay frequency: the replays' own noise.
        log_loss: entropy of the outcome, in nats a replay.
        brier: mean of v (1 - v).
        gap: how far the fit may be from the maximum, in nats of log likelihood a pairing.
    """

    accuracy: float
    lower: float
    upper: float
    mae: float
    log_loss: float
    brier: float
    gap: float


def _log_binomial(k: NDArray[np.int64], n: int, v: NDArray[np.float64]) -> NDArray[np.float64]:
    choose = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    log: NDArray[np.float64] = choose + xlogy(k, v) + xlog1py(n - k, -v)
    return log


def _shares_of_wins(outcomes: Outcomes) -> NDArray[np.float64]:
    """Share of pairings with 0, 1, ... wins, draws tossed; shape [replays + 1]."""
    share = np.zeros(outcomes.replays + 1)
    totals = np.stack([outcomes.wins.sum(1), outcomes.draws.sum(1)], axis=1)
    distinct, pairings = np.unique(totals, axis=0, return_counts=True)
    for (wins, draws), count in zip(distinct.tolist(), pairings.tolist(), strict=True):
        heads = np.arange(draws + 1)
        share[wins : wins + draws + 1] += count * np.exp(_log_binomial(heads, draws, np.array(0.5)))
    return share / len(outcomes)


def mixing_distribution(
    outcomes: Outcomes, tolerance: float = TOLERANCE
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Estimate how win probabilities are distributed over pairings.

    Returns:
        The grid of win probabilities, the mass of each (both of shape [GRID_POINTS], the masses sum to 1), and the
        gap: an upper bound of what the log likelihood a pairing could still gain (Lindsay 1983: the largest
        directional derivative towards a point mass).
    """
    grid = np.linspace(0, 1, GRID_POINTS)
    share = _shares_of_wins(outcomes)
    seen = np.flatnonzero(share)
    share = share[seen]
    likelihood = np.exp(_log_binomial(seen[:, None], outcomes.replays, grid[None, :]))
    mass = np.full(GRID_POINTS, 1 / GRID_POINTS)
    gap = np.inf
    for step in range(_MAX_STEPS):
        gain = (share / (likelihood @ mass)) @ likelihood
        if step % _CHECK_EVERY == 0:
            gap = float(gain.max()) - 1
            if gap <= tolerance:
                break
        mass = mass * gain
    return grid, mass / mass.sum(), gap


def _replay_noise(grid: NDArray[np.float64], mass: NDArray[np.float64], replays: int) -> float:
    """Mean of abs(k / n - v) over pairings, for k wins of n replays drawn at v from the distribution."""
    k = np.arange(replays + 1)[:, None]
    weight = np.exp(_log_binomial(k, replays, grid[None, :]))
    return float((weight * np.abs(k / replays - grid[None, :])).sum(0) @ mass)


def leave_one_out(outcomes: Outcomes) -> float:
    """Accuracy of betting on each replay with the favourite of the other replays of its pairing; even counts half."""
    wins, draws, n = outcomes.wins.sum(1), outcomes.draws.sum(1), outcomes.replays
    points = wins + draws / 2
    right = np.zeros(len(outcomes))
    for score, count in ((1.0, wins), (0.5, draws), (0.0, n - wins - draws)):
        bet = (np.sign(2 * (points - score) - (n - 1)) + 1) / 2
        right += count * (bet * score + (1 - bet) * (1 - score))
    return float((right / n).mean())


def ceiling(outcomes: Outcomes, tolerance: float = TOLERANCE) -> Ceiling:
    """Estimate the scores of a perfect model on these replays."""
    grid, mass, gap = mixing_distribution(outcomes, tolerance)
    frequency = outcomes.frequency
    return Ceiling(
        accuracy=float(np.maximum(grid, 1 - grid) @ mass),
        lower=leave_one_out(outcomes),
        upper=float(np.maximum(frequency, 1 - frequency).mean()),
        mae=_replay_noise(grid, mass, outcomes.replays),
        log_loss=float(-(xlogy(grid, grid) + xlogy(1 - grid, 1 - grid)) @ mass),
        brier=float((grid * (1 - grid)) @ mass),
        gap=gap,
    )
