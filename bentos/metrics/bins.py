"""Bins of what is watched for drift. Whoever makes a reference places its values with the functions of this module."""

import itertools
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bentos.contract import MonitoredColumn, ScoreBins
from bentos.errors import ContractError

MISSING: Final = "missing"
UNKNOWN: Final = "unknown"
_ROUNDING: Final = 1e-6
"""Shares that sum to this much less than 1 are complete: they are decimals in a JSON file."""


class Bins:
    """The bins of one column or of the score.

    Args:
        of: what is binned, for errors.
        edges: inner edges [bins - 1] of a number, ascending.
        categories: the categories otherwise.
        shares: reference share of each bin. What they lack of 1 is the share of missing values.

    Attributes:
        names: a name a bin, each once.
        reference: reference share of each bin.

    Raises:
        ContractError: the parts do not fit each other.
    """

    def __init__(
        self, of: str, edges: Sequence[float] | None, categories: Sequence[str] | None, shares: Sequence[float]
    ) -> None:
        if (edges is None) == (categories is None):
            raise ContractError(f"The bins of {of} are either edges or categories.")
        if edges is not None and not np.all(np.diff([*edges, np.inf]) > 0):
            raise ContractError(f"The bin edges of {of} do not ascend.")
        own = list(categories) if categories is not None else intervals(edges or ())
        if len(own) != len(shares):
            raise ContractError(f"There are {len(own)} bins and {len(shares)} reference shares of {of}.")
        # A category may itself be called missing or unknown, and a series must be there once.
        self.names = list(dict.fromkeys([*own, MISSING] if categories is None else [*own, MISSING, UNKNOWN]))
        place = {name: i for i, name in enumerate(self.names)}
        self._places = np.array([place[name] for name in own], np.intp)
        self._edges = None if edges is None else np.asarray(edges, np.float64)
        self._missing, self._unknown = place[MISSING], place.get(UNKNOWN, -1)
        left = 1.0 - sum(shares)
        self.reference = np.zeros(len(self.names))
        np.add.at(self.reference, self._places, shares)
        self.reference[self._missing] += left if left > _ROUNDING else 0.0

    def place(self, values: NDArray[np.float64]) -> NDArray[np.intp]:
        """The bin of each value [n]: a number by its interval, a category by its place in the contract's list."""
        missing = np.isnan(values)
        if self._edges is not None:
            return np.where(missing, self._missing, np.searchsorted(self._edges, values, side="right"))
        codes = np.where(missing, -1, values).astype(np.intp)
        known = (codes >= 0) & (codes < len(self._places))
        found = self._places[np.where(known, codes, 0)] if len(self._places) else codes
        return np.where(missing, self._missing, np.where(known, found, self._unknown))


def of(watched: MonitoredColumn) -> Bins:
    """The bins of a monitored column; raises ContractError."""
    return Bins(f"the monitored column {watched.name}", watched.edges, watched.categories, watched.shares)


def of_score(watched: ScoreBins) -> Bins:
    """The bins of the score; raises ContractError."""
    return Bins("the score", watched.edges, None, watched.shares)


def intervals(edges: Sequence[float]) -> list[str]:
    """Names of the bins between inner edges."""
    if not edges:
        return ["[-Inf,+Inf]"]
    inner = [f"[{low},{high})" for low, high in itertools.pairwise(edges)]
    return [f"[-Inf,{edges[0]})", *inner, f"[{edges[-1]},+Inf]"]
