"""What can go wrong with a dataset, as one tree; every message is one sentence that a user can act on.

DatasetError
├── SourceError     the source cannot be read: no such file, table or column, no connection, not a dataset
├── BadRows         rows cannot be used and the choice was to refuse; carries how many and the first of them
├── ShipError       finished shards do not make a whole dataset, or are not what their seed draws
└── EngineError     Node, the engine package or the engine itself failed
"""

from collections.abc import Mapping, Sequence


class DatasetError(Exception):
    """Root of the tree."""


class SourceError(DatasetError):
    """The source cannot be read: no such file, table or column, no connection, not a dataset."""


class BadRows(DatasetError):
    """Rows cannot be used and the choice was to refuse; nothing of the source is used.

    Attributes:
        rows: how many rows were read.
        bad: how many of them cannot be used.
        counts: how many rows show each kind of fault; a row may show several.
        first: sentences on the first bad rows, each beginning with the row's number.
    """

    def __init__(self, rows: int, bad: int, counts: Mapping[str, int], first: Sequence[str]) -> None:
        self.rows, self.bad, self.counts, self.first = rows, bad, dict(counts), list(first)
        faults = ", ".join(f"{count} × {reason}" for reason, count in self.counts.items())
        super().__init__(f"{bad} of {rows} rows cannot be used ({faults}), so nothing is used; {first[0]}.")


class ShipError(DatasetError):
    """Finished shards do not make a whole dataset, or are not what their seed draws."""


class EngineError(DatasetError):
    """Node, the engine package or the engine itself failed."""
