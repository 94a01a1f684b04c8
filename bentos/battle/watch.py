"""What is watched of a duel: six columns of one observation a request, the same for requests of every route.

Two species would be 376 bins, most of them with a handful of requests a day. Types, strength and speed say what kind
of duels people ask about, in bins that fill.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bentos.battle.dex import STATS, Dex
from bentos.contract import MonitoredColumn
from bentos.errors import ContractError

TYPES: Final = ("type_a", "type_b", "recommended_type")
"""First type of A, first type of B, and the type of the attack that is recommended (or asked about)."""
NUMBERS: Final = ("base_stats_a", "base_stats_b", "faster_by")
"""Sums of the six base stats, in points, and speed of A less that of B at level 50, in points."""
COLUMNS: Final = TYPES + NUMBERS


class Watch:
    """Values of the monitored columns of a duel.

    Args:
        dex: species and attacks.
        monitored: the contract's columns, some or all of ``COLUMNS``; none stands for all of them.

    Raises:
        ContractError: a column is none of these, or is binned as the other kind.
    """

    def __init__(self, dex: Dex, monitored: Sequence[MonitoredColumn]) -> None:
        for column in monitored:
            if column.name not in COLUMNS:
                raise ContractError(f"A battle bundle cannot watch {column.name}; it can watch {', '.join(COLUMNS)}.")
            if (column.categories is None) == (column.name in TYPES):
                kind = "categories" if column.name in TYPES else "edges"
                raise ContractError(f"The monitored column {column.name} of a battle bundle is binned by {kind}.")
        # Nothing named is all: so references are made of the same code.
        self._wanted = np.array([COLUMNS.index(column.name) for column in monitored] or range(len(COLUMNS)), np.intp)
        listed = {column.name: column.categories or [] for column in monitored}
        self._places = {name: _places(dex.type_names, listed.get(name, dex.type_names)) for name in TYPES}
        self._first_type = dex.types[:, 0]
        self._attack_type = dex.attack_type
        self._base_stats = dex.base_stats.sum(axis=1)
        self._speed = dex.stats[:, STATS.index("spe")]

    def one(self, a: int, b: int, attack: int) -> NDArray[np.float64]:
        """Values [monitored] of a duel of species ``a`` and ``b`` with A's ``attack``, all codes of the dex."""
        values: NDArray[np.float64] = self.every(np.array([a]), np.array([b]), np.array([attack]))[0]
        return values

    def every(self, a: NDArray[np.int_], b: NDArray[np.int_], attack: NDArray[np.int_]) -> NDArray[np.float64]:
        """Values [n, monitored] of n duels; a type is its place in the contract's list, -1 where it is not in it."""
        values = (
            self._places["type_a"][self._first_type[a]],
            self._places["type_b"][self._first_type[b]],
            self._places["recommended_type"][self._attack_type[attack]],
            self._base_stats[a],
            self._base_stats[b],
            self._speed[a] - self._speed[b],
        )
        return np.stack(values, axis=1).astype(np.float64)[:, self._wanted]


def _places(types: Sequence[str], listed: Sequence[str]) -> NDArray[np.int_]:
    return np.array([listed.index(name) if name in listed else -1 for name in types])
