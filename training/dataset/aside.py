"""The file that bad rows are set aside in: whole, as text, with their number and what is wrong with them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from training.dataset.errors import SourceError
from training.dataset.judge import value_at
from training.dataset.sources import Columns, Source


class Aside:
    """Writes bad rows beside their source; the file appears, replacing an older one, only when all are written.

    Values are kept as text, since what is wrong may be their type; null stays null.
    """

    def __init__(self, source: Source, path: Path | None) -> None:
        """Decide on the file; nothing is written before there is a bad row.

        Raises:
            SourceError: the file is neither .parquet nor .csv, or is a file of the source.
        """
        if path is None:
            first = source.files[0] if source.files else None
            path = Path("duels.bad.parquet") if first is None else first.with_suffix(".bad.parquet")
        if path.suffix not in (".parquet", ".csv"):
            raise SourceError(f"Bad rows can be set aside in a .parquet or a .csv file, not in {path.name}.")
        if path.exists() and any(path.samefile(file) for file in source.files):
            raise SourceError(f"Bad rows cannot be set aside in {path}, which is the source itself.")
        self.path = path
        self._part = path.with_name(path.name + ".part")
        self._writer: pq.ParquetWriter | pyarrow.csv.CSVWriter | None = None

    def write(self, columns: Columns, rows: Sequence[int], first: int, reason: Callable[[int], str]) -> None:
        """Add ``rows`` of a batch whose first row has the number ``first``.

        Raises:
            SourceError: the file cannot be written.
        """
        data: dict[str, pa.Array] = {
            "row": pa.array([first + row for row in rows], pa.int64()),
            "reason": pa.array([reason(row) for row in rows], pa.string()),
        }
        for name, values in columns.items():
            data[f"{name}_" if name in ("row", "reason") else name] = pa.array(
                [_text(value_at(values, row)) for row in rows], pa.string()
            )
        table = pa.table(data)
        try:
            if self._writer is None:
                kind = pq.ParquetWriter if self.path.suffix == ".parquet" else pyarrow.csv.CSVWriter
                self._writer = kind(str(self._part), table.schema)
            self._writer.write_table(table)
        except OSError as error:
            raise SourceError(f"Bad rows cannot be set aside in {self.path}: {error.strerror or error}.") from error

    def close(self, keep: bool) -> None:
        """Finish the file, or remove it again."""
        if self._writer is None:
            return
        self._writer.close()
        if keep:
            self._part.replace(self.path)
        else:
            self._part.unlink()


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)
