"""Distributions of scores of both tracks, unpaired: a bet on the bins in which they differed until then."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from k8s.rollout.analysis.betting import Floats, log_wealth

QUIET: Final = 0.1
"""Share of the total variation that is to be found which is nothing yet: of two such distances the test tells which."""
_CLIP: Final = 0.02
_CLIP_SPREADS: Final = 2.0
_SURE: Final = 1.0
"""Standard errors from which on a bin is bet on in full."""
_KAPPAS: Final = (0.03, 0.1)


def scores_against(stable: ArrayLike, canary: ArrayLike, variation: float) -> Floats:
    """Log wealth [..., interval] of bets that the total variation is more than ``variation``.

    Of the past a witness is made, a weight between -1 and 1 for each bin; its mean differs between the tracks by at
    most twice their total variation. Shekhar and Ramdas, "Nonparametric two-sample testing by betting" (2021).

    Args:
        stable: observations [..., interval, bin].
        canary: the same.
        variation: total variation under the hypothesis, 0 to 1.
    """
    of_s, of_c = np.asarray(stable, dtype=np.float64), np.asarray(canary, dtype=np.float64)
    n_s, n_c = of_s.sum(-1), of_c.sum(-1)
    weight = n_c * n_s / np.maximum(n_c + n_s, 1.0)
    before_s, before_c = np.cumsum(of_s, -2) - of_s, np.cumsum(of_c, -2) - of_c
    total_s, total_c = (np.maximum(each.sum(-1, keepdims=True), 1.0) for each in (before_s, before_c))
    shares = (before_s + before_c + 0.5) / (before_s + before_c + 0.5).sum(-1, keepdims=True)
    error = np.sqrt(shares * (1 - shares) * (1 / total_s + 1 / total_c))
    witness = np.clip((before_c / total_c - before_s / total_s) / (_SURE * error), -1.0, 1.0)
    now = of_c / np.maximum(n_c, 1.0)[..., None] - of_s / np.maximum(n_s, 1.0)[..., None]
    difference = np.where(weight > 0, (witness * now).sum(-1), 0.0)
    variance = np.maximum((shares * witness**2).sum(-1) - (shares * witness).sum(-1) ** 2, 1e-4)
    clip = np.maximum(_CLIP, _CLIP_SPREADS * np.sqrt(variance / np.maximum(weight, 1e-9)))
    excess = np.where(weight > 0, np.clip(difference, -clip, clip) - 2 * variation, 0.0)
    return log_wealth(excess, weight, clip + 2 * variation, kappas=_KAPPAS)


def total_variation(stable: ArrayLike, canary: ArrayLike) -> float | None:
    """Between all observations [interval, bin], biased upwards by noise; None without any of one track."""
    of_s, of_c = np.asarray(stable, dtype=np.float64).sum(0), np.asarray(canary, dtype=np.float64).sum(0)
    if of_s.sum() == 0 or of_c.sum() == 0:
        return None
    return float(np.abs(of_s / of_s.sum() - of_c / of_c.sum()).sum() / 2)
