"""Reference histograms of what is watched: tenths of numbers, and shares of categories."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

_BINS: Final = 10

Floats = NDArray[np.float64]


def tenths(values: Floats) -> tuple[Floats, Floats]:
    """Inner edges of about equally filled bins, each halfway between two values that occur, and their shares of all."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.empty(0), np.zeros(1)
    distinct = np.unique(known)
    cuts = np.unique(np.quantile(known, np.arange(1, _BINS) / _BINS, method="lower"))
    places = np.searchsorted(distinct, cuts)
    places = places[places + 1 < len(distinct)]
    edges = np.unique((distinct[places] + distinct[places + 1]) / 2)
    counts = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
    return edges, counts / len(values)


def shares(places: NDArray[np.intp], categories: Sequence[str]) -> list[float]:
    """Share of each category, from the place of each value in the list."""
    counted: list[float] = (np.bincount(places, minlength=len(categories)) / len(places)).tolist()
    return counted
