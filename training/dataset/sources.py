"""Where duels come from: Parquet files, a folder of shards, a SQL database, or the generator; read in batches."""

import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from training.dataset import database
from training.dataset.errors import SourceError
from training.dataset.progress import Tick

BATCH = 1 << 18  # rows; some 100 MB of Python objects from a database
_GENERATOR = "generator:"

# A batch's columns as they came: Arrow arrays from Parquet, lists of Python objects from a database, where one
# column may hold values of several types.
Values: TypeAlias = "pa.Array | Sequence[Any]"
Columns = dict[str, Values]


@dataclass(frozen=True, slots=True)
class Source:
    """Something that duels can be read from.

    Attributes:
        title: how messages call it; never holds a password.
        files: Parquet files, read one after the other; empty for a database.
        url: SQLAlchemy URL of a database.
        table: the database's table, ``schema.table`` where it is not in the default schema.
    """

    title: str
    files: tuple[Path, ...] = ()
    url: str | None = None
    table: str = "duels"

    def batches(self, required: Sequence[str]) -> Iterator[Columns]:
        """Yield every column of the source in batches of at most ``BATCH`` rows.

        Raises:
            SourceError: it cannot be read, or lacks one of the ``required`` columns.
        """
        yield from self._files(required) if self.url is None else self._query(self.url, required)

    def _files(self, required: Sequence[str]) -> Iterator[Columns]:
        first: list[str] | None = None
        for path in self.files:
            try:
                file = pq.ParquetFile(path)
                names = file.schema_arrow.names
                _demand(names, required, path.name)
                if names != (first := first or names):
                    raise SourceError(f"{path.name} has other columns than {self.files[0].name}; read them one by one.")
                for batch in file.iter_batches(BATCH):
                    yield dict(zip(names, batch.columns, strict=True))
            except FileNotFoundError:
                raise SourceError(f"There is no file {path}.") from None
            except (pa.ArrowInvalid, OSError) as error:
                raise SourceError(f"{path} cannot be read as Parquet: {database.first_line(error)}.") from error

    def _query(self, url: str, required: Sequence[str]) -> Iterator[Columns]:
        import sqlalchemy as sa

        sentence = f"{self.title} cannot be read"
        with database.failing(url, SourceError, sentence):
            missing = database.missing_file(url)
            engine = database.engine(url)
        if missing is not None:
            raise SourceError(f"{sentence}: there is no file {missing}.")
        schema, _, name = self.table.rpartition(".")
        try:
            with database.failing(url, SourceError, sentence), engine.connect() as connection:
                if not sa.inspect(connection).has_table(name, schema or None):
                    raise SourceError(f"{self.title} has no table named {self.table}.")
                table = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=connection)
                _demand([column.name for column in table.columns], required, f"the table {self.table}")
                # As stored: a type of the column (a date, JSON) must not turn or refuse a value before it is judged.
                columns = [sa.type_coerce(column, sa.types.NullType()).label(column.name) for column in table.columns]
                # A fixed order, so that row numbers and the digest mean the same thing twice.
                order = list(table.primary_key.columns) or [table.columns[name] for name in required]
                rows = connection.execution_options(yield_per=BATCH).execute(sa.select(*columns).order_by(*order))
                names = list(rows.keys())
                for part in rows.partitions():
                    yield dict(zip(names, zip(*part, strict=True), strict=True))
        finally:
            engine.dispose()


def resolve(source: str | Path | None, default: Path, table: str = "duels", tick: Tick | None = None) -> Source:
    """Understand what a user called a source: nothing, a file, a folder of duel shards, a URL, or the generator.

    The generator plays what is not played yet, which ``tick`` is told of; progress is shown where it is None.

    Raises:
        SourceError: nothing of the kind is there, or it is not understood.
        EngineError: the generator cannot play.
    """
    if isinstance(source, str) and source.startswith(_GENERATOR):
        return Source(source, tuple(_generated(source.removeprefix(_GENERATOR), tick)))
    if isinstance(source, str) and "://" in source:
        return Source(database.title(source, SourceError), url=source, table=table)
    path = Path(source) if source is not None else default
    if path.is_dir():
        files = tuple(sorted(set(path.glob("duels-*.parquet")) - set(path.glob("*.bad.parquet"))))
        if not files:
            raise SourceError(f"The folder {path} holds no shard of duels (duels-….parquet).")
        return Source(f"{path} ({len(files)} shards)", files)
    if not path.is_file():
        raise SourceError(f"There is no file {path}.")
    return Source(str(path), (path,))


def _generated(options: str, tick: Tick | None) -> list[Path]:
    """Play what ``seed=1,shards=2,rows=50000`` asks for, unless it lies in the project's folder from before."""
    import os

    from training import settings
    from training.dataset.engine import install
    from training.dataset.generate import Job, generate, load_attacks
    from training.dataset.progress import playing, say

    given = {"seed": 1, "shards": 1, "rows": 50_000}
    for option in filter(None, options.split(",")):
        name, _, number = option.partition("=")
        if name not in given or not re.fullmatch(r"\d{1,9}" if name == "seed" else r"[1-9]\d{0,8}", number, re.ASCII):
            raise SourceError(
                f"The generator does not understand {option!r}; write for example generator:seed=1,shards=2,rows=50000."
            )
        given[name] = int(number)
    job = Job("duels", **given)
    folder = settings.home_folder() / "shards"
    missing = job.missing(folder)
    if missing:
        install(say)
        attacks = load_attacks(settings.DATA / "dex.json")
        title = f"{len(missing)} of {job.shards} shards"
        with nullcontext(tick) if tick else playing(title, len(missing) * job.duels_a_shard) as told:
            generate(job, folder, attacks, workers=os.cpu_count() or 1, only=missing, tick=told)
    return [job.path(folder, shard) for shard in range(job.shards)]


def _demand(found: Sequence[str], required: Sequence[str], where: str) -> None:
    missing = [name for name in required if name not in found]
    if missing:
        raise SourceError(f"{where} has no column {', '.join(missing)}; a dataset needs {', '.join(required)}.")
