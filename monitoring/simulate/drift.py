"""Windows of requests against references of requests, all drawn from one large pool of observations."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bentos.battle.dex import Dex
from bentos.metrics.bins import MISSING, Bins, of, of_score
from monitoring.simulate.formulas import bound, psi
from training.battle_watch import REQUESTS, Seen, reference

SIZES: Final = (200, 500, 1_000, 2_000, 5_000, 20_000, 100_000)
LEAST: Final = 200
FLOOR: Final = 0.02
SHIFTS: Final = ("to another bin", "to missing", "spread over all bins")
"""Kinds of a shift: to one that is filled too and drawn, to missing values, or from half of all bins to the other."""
_WINDOWS_A_REFERENCE: Final = 20


class Watched(NamedTuple):
    """Bins of one column and the bin of each observation of the pool [pool]."""

    bins: Bins
    places: NDArray[np.intp]

    def counts(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Observations [bins] of some rows of the pool."""
        return np.bincount(self.places[rows], minlength=len(self.bins.names))


def watch(dex: Dex, pool: Seen, rng: np.random.Generator) -> dict[str, Watched]:
    """Bins of a reference that is drawn anew, with its own error of sampling, over the whole pool."""
    drawn = rng.choice(len(pool.scores), REQUESTS, replace=False)
    made = reference(dex, Seen(pool.values[drawn], pool.scores[drawn]))
    watched = {
        column.name: Watched(of(column), of(column).place(values))
        for column, values in zip(made.monitored, pool.values.T, strict=True)
    }
    watched["score"] = Watched(of_score(made.score_bins), of_score(made.score_bins).place(pool.scores))
    return watched


def alerts(counts: NDArray[np.int64], reference: NDArray[np.float64]) -> bool:
    """Whether the first level of the chart's alert fires on a window."""
    n = int(counts.sum())
    return n >= LEAST and psi(counts, reference) > max(bound(reference, n), FLOOR)


def false_alerts(dex: Dex, pool: Seen, windows: int, sizes: Sequence[int] = SIZES, seed: int = 1) -> dict[int, float]:
    """Share of windows of each size in which any column alerts though nothing drifted."""
    rng = np.random.default_rng(seed)
    fired = dict.fromkeys(sizes, 0)
    references = -(-windows // _WINDOWS_A_REFERENCE)
    for _ in range(references):
        watched = watch(dex, pool, rng)
        for size in sizes:
            for _ in range(_WINDOWS_A_REFERENCE):
                rows = rng.integers(len(pool.scores), size=size)
                fired[size] += any(alerts(each.counts(rows), each.bins.reference) for each in watched.values())
    return {size: count / (references * _WINDOWS_A_REFERENCE) for size, count in fired.items()}


def found(dex: Dex, pool: Seen, n: int, runs: int, *, shift: float = 0.1, seed: int = 2) -> dict[str, dict[str, float]]:
    """Share of windows of ``n`` requests in which a shift of total variation ``shift`` is found, by kind and column.

    Kinds are those of ``SHIFTS``.
    """
    rng = np.random.default_rng(seed)
    hits: dict[str, dict[str, int]] = {kind: {} for kind in SHIFTS}
    for _ in range(runs):
        for name, each in watch(dex, pool, rng).items():
            shares = np.bincount(each.places, minlength=len(each.bins.names)) / len(each.places)
            for kind in SHIFTS:
                moved = _shifted(shares, kind, shift, each.bins.names.index(MISSING), rng)
                counts = rng.multinomial(n, moved / moved.sum())
                hits[kind][name] = hits[kind].get(name, 0) + alerts(counts, each.bins.reference)
    return {kind: {name: count / runs for name, count in by.items()} for kind, by in hits.items()}


def _shifted(
    shares: NDArray[np.float64], kind: str, shift: float, missing: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Shares [bins] after a shift; what is taken comes from the fullest bins, or from half of all of them."""
    moved = shares.copy()
    order = np.argsort(-shares)
    filled = order[shares[order] > 0]
    if kind == "spread over all bins":
        drawn = rng.permutation(filled)
        losing = drawn[: int(np.searchsorted(np.cumsum(shares[drawn]), 0.5)) + 1]
        losing = losing if len(losing) < len(drawn) else drawn[:-1]
        gaining = np.setdiff1d(drawn, losing)
        moved[losing] -= shift * shares[losing] / shares[losing].sum()
        moved[gaining] += shift * shares[gaining] / shares[gaining].sum()
        return np.clip(moved, 0.0, None)
    left = shift
    for source in filled[:2].tolist():
        taken = min(left, float(moved[source]))
        moved[source] -= taken
        left -= taken
    moved[missing if kind == "to missing" else int(rng.choice(filled[2:]))] += shift - left
    return moved
