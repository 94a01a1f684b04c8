"""Outcomes of a model that is as right as it was, and of one that is not."""

import numpy as np

from monitoring.simulate.formulas import wilson_upper

OUTCOMES = 2_500
MARGIN = 0.005


def below_offline(accuracy: float, offline: float, n: int, runs: int, seed: int = 3) -> float:
    """Share of runs in which ``n`` outcomes of a model of this accuracy alert against its offline figure."""
    if n < OUTCOMES:
        return 0.0
    right = np.random.default_rng(seed).binomial(n, accuracy, runs).astype(np.float64)
    return float((wilson_upper(right, n) < offline - MARGIN).mean())
