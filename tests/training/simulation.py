"""Replays of pairings whose win probabilities are known."""

import numpy as np
from numpy.typing import NDArray

from training.outcomes import Outcomes

REPLAYS = 60


def replay(v: NDArray[np.float64], rng: np.random.Generator, *, drawn: float = 0.0, replays: int = REPLAYS) -> Outcomes:
    """Replay each pairing; ``drawn`` of what is not decided for sure ends in a draw, ``v`` still counts it half."""
    draw = 2 * drawn * np.minimum(v, 1 - v)
    shares = np.stack([v - draw / 2, draw, 1 - v - draw / 2], axis=1).clip(0, 1)
    halves = [rng.multinomial(replays // 2, shares) for _ in range(2)]
    return Outcomes.of(np.stack([h[:, 0] for h in halves], 1), np.stack([h[:, 1] for h in halves], 1), replays)


def duel_like(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Win probabilities as duels have them: three in five certain, the others spread with most near 0 and 1."""
    spread = 1 / (1 + np.exp(-rng.normal(0, 3, n)))
    certain = rng.integers(0, 2, n).astype(float)
    return np.where(rng.random(n) < 0.6, certain, spread)
