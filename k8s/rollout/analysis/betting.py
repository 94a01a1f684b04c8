"""Tests by betting on differences between two tracks, vectorised over any leading axes.

A bet on each block multiplies the wealth by ``1 + λ (x - m)``, where ``x`` is the difference of the block, clipped, and
``m`` the mean that it has at most under the hypothesis. Wealth then grows by luck alone beyond ``1/α`` with a chance of
``α`` at most, however often it is looked at (Ville, 1939; Waudby-Smith and Ramdas, "Estimating means of bounded random
variables by betting", JRSS-B 2024). Several ``λ`` are mixed, since the best one depends on what is not known.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

BLOCK: Final = 20.0
"""Requests of the canary at which a block is closed: of fewer, a single error is any share."""
STAKE: Final = 0.9
"""Share of the wealth that the worst outcome of a block may take."""
KAPPAS: Final = (0.1, 0.3, 1.0, 3.0)
"""Bets per request, λ over the block's weight: the best one is the excess over the variance of one request."""
SHARE: Final = 0.003
"""Of the wealth that is spread anew after each block."""
_PRIOR_ERRORS: Final = 0.5
_PRIOR_REQUESTS: Final = 500.0
"""A rate of 0.1 % that is soon outweighed, so that a spread is known before there was an error."""


class Blocks(NamedTuple):
    """Differences between tracks [..., interval], at the interval that closes a block; ``weight`` is 0 at the others.

    A block is one interval, or as many as it takes to ``BLOCK`` requests of the canary. It is judged within its
    intervals (the weighted mean of Mantel and Haenszel, 1959), so that what hits both tracks at once cancels out.
    """

    difference: Floats
    """Canary's share minus stable's."""
    weight: Floats
    """The harmonic ``n_c n_s / (n_c + n_s)``, which is the inverse variance but for the rate."""
    spread: Floats
    """Standard deviation of the difference from stable's rate until then."""
    calm: NDArray[np.bool_]
    """Whether stable's rate in the block is no more than three of these above its rate until then."""
    pooled: Floats
    """Standard deviation of the difference from the rate of both tracks until then."""


def _spread(rate: Floats, weight: Floats) -> Floats:
    spread: Floats = np.sqrt(rate * (1 - rate) / np.maximum(weight, 1e-9))
    return spread


def blocks(stable: tuple[ArrayLike, ArrayLike], canary: tuple[ArrayLike, ArrayLike], least: float = BLOCK) -> Blocks:
    """Blocks from requests and events [..., interval] of each track."""
    (n_s, e_s), (n_c, e_c) = (tuple(np.asarray(each, dtype=np.float64) for each in track) for track in (stable, canary))
    weight = n_c * n_s / np.maximum(n_c + n_s, 1.0)
    share_s = e_s / np.maximum(n_s, 1.0)
    whole = np.floor(np.cumsum(n_c, axis=-1) / least)
    closes = np.diff(whole, axis=-1, prepend=0.0) > 0
    positions = np.arange(n_c.shape[-1])
    before = np.maximum.accumulate(np.where(closes, positions, -1), axis=-1)
    before = np.concatenate([np.full((*before.shape[:-1], 1), -1), before[..., :-1]], axis=-1) + 1

    def until(values: Floats) -> tuple[Floats, Floats]:
        """Of each block, and before it."""
        sums = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
        earlier = np.take_along_axis(sums, before, axis=-1)
        return sums[..., 1:] - earlier, earlier

    block, _ = until(weight)
    block = np.where(closes & (block > 1e-6), block, 0.0)
    scale = np.maximum(block, 1e-9)
    now = np.clip(until(weight * share_s)[0] / scale, 0.0, 1.0)
    difference = until(weight * (e_c / np.maximum(n_c, 1.0) - share_s))[0] / scale
    errors, requests = until(e_s)[1], until(n_s)[1]
    past = (errors + _PRIOR_ERRORS) / (requests + _PRIOR_REQUESTS)
    both = (errors + until(e_c)[1] + _PRIOR_ERRORS) / (requests + until(n_c)[1] + _PRIOR_REQUESTS)
    spread = _spread(past, block)
    return Blocks(np.where(block > 0, difference, 0.0), block, spread, now <= past + 3 * spread, _spread(both, block))


def log_wealth(
    excess: Floats, weight: Floats, worst: Floats | float, kappas: tuple[float, ...] = KAPPAS, stake: float = STAKE
) -> Floats:
    """Logarithm of the mixture's wealth [..., block] after each block.

    Args:
        excess: of the clipped difference over the mean of the hypothesis, never below ``-worst``.
        weight: of each block.
        worst: what a block can lose per unit of λ.
        kappas: bets per unit of weight that are mixed in equal parts.
        stake: share of the wealth that a block may lose.
    """
    paths = [np.cumsum(np.log1p(stakes(weight, worst, kappa, stake) * excess), axis=-1) for kappa in kappas]
    mixed: Floats = np.logaddexp.reduce(paths, axis=0) - np.log(len(kappas))
    return mixed


def stakes(weight: Floats, worst: Floats | float, kappa: float, stake: float = STAKE) -> Floats:
    """λ of each block: ``kappa`` a unit of weight, but no more than what leaves something after the worst outcome."""
    capped: Floats = np.minimum(kappa * weight, stake / np.maximum(worst, 1e-3))
    return capped


def tracked(factors: Sequence[Floats], prior: Sequence[float], judged: NDArray[np.bool_]) -> Floats:
    """Logarithm of wealth [..., block] that is spread over several bets, and spread anew by a little after each block.

    Without that, bets on gross differences would be spent on a version that was good for an hour, and a fault that
    comes then would find nothing left to bet with. Herbster and Warmuth, "Tracking the best expert" (1998). What the
    prior leaves to 1 is never bet.

    Args:
        factors: what each bet multiplies its wealth by [..., block].
        prior: share of the wealth of each bet.
        judged: blocks after which there is something to spread anew [..., block].
    """
    weights = np.array([*prior, 1 - sum(prior)])
    steps = np.stack([*factors, np.ones_like(factors[0])])
    shares = np.broadcast_to(weights.reshape(-1, *[1] * (steps.ndim - 2)), steps.shape[:-1]).copy()
    grown = np.zeros(steps.shape[1:])
    for block in range(steps.shape[-1]):
        shares *= steps[..., block]
        total = shares.sum(0)
        grown[..., block] = total
        moved = SHARE * judged[..., block]
        shares = (1 - moved) * shares / total + moved * weights.reshape(-1, *[1] * (steps.ndim - 2))
    wealth: Floats = np.cumsum(np.log(grown), axis=-1)
    return wealth
