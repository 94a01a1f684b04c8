"""What the chart's rules compute, in NumPy."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Z_DRIFT: Final = 4.5
Z_ACCURACY: Final = 1.96

Floats = NDArray[np.float64]


def psi(counts: NDArray[np.int64], reference: Floats) -> float:
    """Population stability index of counts [bins] against reference shares [bins].

    The symmetrised Kullback-Leibler divergence, in counts: each side of a bin is at least half a request.
    """
    n = counts.sum()
    seen, expected = np.maximum(counts, 0.5), np.maximum(n * reference, 0.5)
    return float(((seen - expected) * np.log(seen / expected)).sum() / n)


def bound(reference: Floats, n: int, z: float = Z_DRIFT) -> float:
    """What the index of ``n`` requests stays under without drift, but for one time in 300,000.

    ``n`` times the index is about chi-square distributed with one degree of freedom less than there are bins with a
    reference share; its quantile by Wilson and Hilferty (1931), from that of the normal distribution ``z``.
    """
    k = max(int((reference > 0).sum()) - 1, 1)
    return float(k / n * (1 - 2 / (9 * k) + z * np.sqrt(2 / (9 * k))) ** 3)


def wilson_upper(right: Floats, n: int, z: float = Z_ACCURACY) -> Floats:
    """Upper ends of Wilson's score interval (1927) of ``right`` successes of ``n``."""
    p = right / n
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    upper: Floats = (p + z**2 / (2 * n) + half) / (1 + z**2 / n)
    return upper
