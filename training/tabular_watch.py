"""What live traffic of a tabular model is held against: histograms of its sample rows and of its answers to them."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bentos.contract import MonitoredColumn, ScoreBins, Task
from training.export import ExportError
from training.tabular_frame import Schema

_BINS: Final = 10
_MOST_MONITORED: Final = 20
_MOST_CATEGORIES: Final = 50  # each is a series in Prometheus

Floats = NDArray[np.float64]


def monitored_columns(
    schema: Schema, columns: Mapping[str, NDArray[Any]], names: list[str] | None
) -> list[MonitoredColumn]:
    """Bins of columns: tenths of the numbers, or the most frequent categories.

    Raises:
        ExportError: more than 20 columns are to be watched.
    """
    if names is not None and len(names) > _MOST_MONITORED:
        raise ExportError(f"{len(names)} columns are to be monitored, and at most {_MOST_MONITORED} can be.")
    wanted = [c for c in schema.columns if names is None or c.name in names][:_MOST_MONITORED]
    watched = []
    for column in wanted:
        values = columns[column.name]
        if column.dtype == "string":
            found, counts = np.unique(values.astype(str), return_counts=True)
            most = np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES]
            shares = counts[most] / counts[most].sum()
            watched.append(MonitoredColumn(name=column.name, categories=found[most].tolist(), shares=shares.tolist()))
            continue
        edges, shares = _bins(values.astype(np.float64))
        watched.append(MonitoredColumn(name=column.name, edges=edges.tolist(), shares=shares.tolist()))
    return watched


def score_bins(answers: Floats, task: Task) -> ScoreBins:
    """Bins of the score: P(class 1), the greatest P, or the value."""
    score = answers.max(axis=1) if task is Task.MULTICLASS else answers
    edges, shares = _bins(score)
    return ScoreBins(edges=edges.tolist(), shares=shares.tolist())


def _bins(values: Floats) -> tuple[Floats, Floats]:
    """Inner edges of about equally filled bins, each halfway between two values that occur, and the bins' shares."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.empty(0), np.ones(1)
    distinct = np.unique(known)
    cuts = np.unique(np.quantile(known, np.arange(1, _BINS) / _BINS, method="lower"))
    places = np.searchsorted(distinct, cuts)
    places = places[places + 1 < len(distinct)]
    edges = np.unique((distinct[places] + distinct[places + 1]) / 2)
    counts = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
    return edges, counts / counts.sum()
