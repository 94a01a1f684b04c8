"""Means with intervals that know which values depend on each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its one-sided confidence bounds, in the unit of the values.

    Attributes:
        mean: plain mean over all values; every value weighs the same, whatever the size of its cluster.
        error: cluster-robust standard error of the mean.
        lower, upper: each is a bound by itself at the stated confidence, not a two-sided pair.
        clusters: how many clusters there were; the degrees of freedom are one less.
    """

    mean: float
    error: float
    lower: float
    upper: float
    clusters: int


def clustered_mean(values: ArrayLike, clusters: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean of values that are dependent inside clusters, with one-sided t bounds.

    The sandwich variance of Liang and Zeger (1986) with the factor G / (G - 1) and the t distribution of G - 1 degrees
    of freedom (Cameron and Miller 2015, sections II and VI). On paired differences this is a paired t test; with
    clusters of one value it is exactly Student's.

    Args:
        values: [n] numbers, for a paired test the differences.
        clusters: [n] labels of any dtype; equal labels are one cluster.
        confidence: of each bound by itself, above 0.5 and below 1.

    Raises:
        ValueError: lengths differ, a value is not finite, or there are fewer than two clusters.
    """
    x = np.asarray(values, np.float64)
    labels = np.asarray(clusters)
    if x.ndim != 1 or labels.shape != x.shape:
        raise ValueError("values and clusters must be vectors of the same length")
    if not np.isfinite(x).all():
        raise ValueError("a value is not finite")
    if not 0.5 < confidence < 1:
        raise ValueError("confidence must lie between 0.5 and 1")
    names, membership = np.unique(labels, return_inverse=True)
    count = len(names)
    if count < 2:
        raise ValueError("an interval needs at least two clusters")
    mean = float(x.mean())
    sums = np.bincount(membership, weights=x - mean, minlength=count)
    error = float(np.sqrt(count / (count - 1) * (sums**2).sum())) / len(x)
    reach = float(stats.t.ppf(confidence, count - 1)) * error
    return Interval(mean, error, mean - reach, mean + reach, count)
