"""How differently a tabular model may answer from the version that it is to replace, measured on the sample rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from bentos.adapter import Scores
from bentos.contract import Expectation, Task
from bentos.errors import BundleError, PredictionDexError
from training.export import ExportError

if TYPE_CHECKING:
    from bentos.core import Core

MOST_ROWS: Final = 50_000


def expectation(new: "Core", against: Path, columns: Mapping[str, NDArray[Any]]) -> Expectation | None:
    """Ask both versions the same rows and compare labels and scores; the score is what is watched for drift.

    A pair is one row, as one observation of a request is. None for a regression, whose values are no label and have no
    scale that a rate could be of.

    Args:
        new: the new version, opened.
        against: bundle of the version that runs now.
        columns: rows as the new version takes them, each column [n]; the first 50,000 are asked.

    Raises:
        ExportError: the other bundle cannot be served, is of another name, task or classes or of the same version, or
            does not take these rows; or there are fewer than two.
    """
    from bentos.core import Core

    try:
        old = Core.open(against)
    except BundleError as error:
        raise ExportError(f"The bundle to compare with cannot be served: {error}") from error
    theirs, ours = old.contract, new.contract
    if (theirs.name, theirs.adapter, theirs.task, theirs.classes) != (ours.name, ours.adapter, ours.task, ours.classes):
        raise ExportError(
            "The bundle to compare with is of another name, task or classes, so their answers are no pairs."
        )
    if theirs.version == ours.version:
        raise ExportError(f"The bundle to compare with is version {theirs.version} as well; give the new one another.")
    if ours.task is Task.REGRESSION:
        return None
    rows = {name: values[:MOST_ROWS] for name, values in columns.items()}
    pairs = len(next(iter(rows.values())))
    if pairs < 2:
        raise ExportError("A score's variance needs at least two sample rows.")
    try:
        (label, score), (old_label, old_score) = (_said(core.probabilities(rows)) for core in (new, old))
    except PredictionDexError as error:
        raise ExportError(f"Version {theirs.version} does not take the sample rows: {error}") from error
    shifts = score - old_score
    return Expectation(
        against_version=theirs.version,
        pairs=pairs,
        flip_rate=float((label != old_label).mean()),
        mean_score_shift=float(shifts.mean()),
        score_shift_variance=float(shifts.var(ddof=1)),
    )


def _said(p: Scores) -> tuple[NDArray[np.intp], Scores]:
    """Number of the answered class and its score [n]: P(class 1) of two, the greatest P of more."""
    if p.ndim == 1:
        return (p >= 0.5).astype(np.intp), p
    return p.argmax(axis=1), p.max(axis=1)
