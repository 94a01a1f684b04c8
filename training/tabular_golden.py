"""Golden requests of a tabular model: records whose truth is known.

``golden.json.gz`` holds ``{"format": 1, "requests": [...]}``; each has ``request``, a body of the records route, and
``truth`` with ``outcome``, the name of the class that came true, or the value.
"""

import gzip
import json
from typing import Any, Final

import pandas as pd

from bentos.contract import Task
from training.export import ExportError
from training.golden import FORMAT, MOST_BYTES
from training.tabular_frame import Schema, records, typed
from training.tabular_model import Model

_MOST: Final = 1_000


def golden(served: Model, schema: Schema, frame: pd.DataFrame, outcomes: list[Any] | None) -> bytes:
    """Text of the file, of as many of the first 1,000 rows as fit into it; none where the truth is not known.

    Raises:
        ExportError: a truth is no class of the model, or no number.
    """
    count = min(len(frame), _MOST) if outcomes else 0
    rows = records(schema, typed(schema, frame.head(count)), range(count))
    requests = [
        {"request": {"records": [row]}, "truth": {"outcome": _outcome(served, outcome)}}
        for row, outcome in zip(rows, (outcomes or [])[:count], strict=True)
    ]
    while True:
        text = json.dumps({"format": FORMAT, "requests": requests}, separators=(",", ":"))
        packed = gzip.compress(text.encode(), mtime=0)
        if len(packed) <= MOST_BYTES:
            return packed
        requests = requests[: len(requests) // 2]


def _outcome(served: Model, outcome: Any) -> str | float:
    if served.task is Task.REGRESSION:
        try:
            return float(outcome)
        except (TypeError, ValueError) as error:
            raise ExportError(f"The truth {outcome!r} is no number.") from error
    names = dict(zip(served.own, served.classes or [], strict=True))
    known = next((names[key] for key in _spellings(outcome) if key in names), None)
    if known is None:
        raise ExportError(f"The truth {outcome!r} is none of the model's classes.")
    return known


def _spellings(outcome: Any) -> list[str]:
    """A class as text; one of 1.0 is that of 1, and one of True too."""
    whole = isinstance(outcome, float | bool) and outcome == outcome // 1
    return [str(outcome), str(int(outcome))] if whole else [str(outcome)]
