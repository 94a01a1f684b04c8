"""What live traffic of a tabular model is held against: histograms of its sample rows and of its answers to them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bentos.contract import Column, MonitoredColumn, ScoreBins, Task
from bentos.records import nearest
from training.export import ExportError
from training.histograms import tenths
from training.tabular_frame import Schema

_MOST_MONITORED: Final = 20
_MOST_CATEGORIES: Final = 50  # each is a series in Prometheus

Floats = NDArray[np.float64]


def watched_names(schema: Schema, frame: pd.DataFrame, asked: Sequence[str] | None) -> list[str]:
    """Names of the columns to watch: those that are asked for, or the first 20 that can be watched.

    A text column that holds more than 50 categories is not watched: each is a series in Prometheus, and if only the
    most frequent were, all others would count as unknown in live traffic, and so as drift that is none.

    Raises:
        ExportError: more than 20 columns are asked for, one that the frame lacks, or one that cannot be watched.
    """
    if asked is None:
        return [column.name for column in schema.columns if _categories(column, frame) <= _MOST_CATEGORIES][
            :_MOST_MONITORED
        ]
    if len(asked) > _MOST_MONITORED:
        raise ExportError(f"{len(asked)} columns are to be monitored, and at most {_MOST_MONITORED} can be.")
    columns = {column.name: column for column in schema.columns}
    for name in asked:
        if name not in columns:
            near = nearest(str(name), list(columns))
            meant = f"; did you mean {near[0]}?" if near else "."
            raise ExportError(f"monitored names the column {name}, which the frame lacks{meant}")
        count = _categories(columns[name], frame)
        if count > _MOST_CATEGORIES:
            raise ExportError(
                f"The column {name} holds {count:,} categories, and text of more than {_MOST_CATEGORIES} cannot be "
                "monitored."
            )
    return list(asked)


def _categories(column: Column, frame: pd.DataFrame) -> int:
    return len({str(value) for value in frame[column.name]}) if column.dtype == "string" else 0


def monitored_columns(
    schema: Schema, columns: Mapping[str, NDArray[Any]], names: Sequence[str]
) -> list[MonitoredColumn]:
    """Bins of the named columns, in the schema's order: tenths of the numbers, or all categories of text.

    The shares are of all rows: what they lack of 1 is the share of missing values.
    """
    return [_monitored(column, columns[column.name]) for column in schema.columns if column.name in names]


def _monitored(column: Column, values: NDArray[Any]) -> MonitoredColumn:
    if column.dtype == "string":
        found, counts = np.unique(values.astype(str), return_counts=True)
        most = np.argsort(-counts, kind="stable")
        shares = counts[most] / len(values)
        return MonitoredColumn(name=column.name, categories=found[most].tolist(), shares=shares.tolist())
    edges, shares = tenths(values.astype(np.float64))
    return MonitoredColumn(name=column.name, edges=edges.tolist(), shares=shares.tolist())


def score_bins(answers: Floats, task: Task) -> ScoreBins:
    """Bins of the score: P(class 1), the greatest P, or the value."""
    score = answers.max(axis=1) if task is Task.MULTICLASS else answers
    edges, shares = tenths(score)
    return ScoreBins(edges=edges.tolist(), shares=shares.tolist())
