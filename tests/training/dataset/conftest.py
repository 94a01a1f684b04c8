"""Duels as rows of Python values, and the doors they can be read through."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from bentos.battle.dex import Dex
from tests.postgres import postgres
from training.dataset.draw import draw
from training.dataset.engine import installed
from training.dataset.generate import load_attacks
from training.settings import DATA

__all__ = ["postgres"]  # a fixture, found by its name

Row = dict[str, Any]
Write = Callable[[Sequence[Row]], str | Path]
COLUMNS = ("pokemon_a", "move_a", "pokemon_b", "move_b", "winner", "turns")


@pytest.fixture(scope="session")
def dex() -> Dex:
    return Dex.load(DATA / "dex.json")


@pytest.fixture(scope="session")
def attacks() -> dict[str, list[str]]:
    return load_attacks(DATA / "dex.json")


@pytest.fixture
def good(attacks: dict[str, list[str]]) -> list[Row]:
    """Ten rows that can be used; a row may be changed freely."""
    outcomes = [("a", 1), ("b", 2), ("draw", 1000)]
    pairings = draw("duels", attacks, seed=5, shard=0, rows=10)
    return [
        {name: asdict(pairing)[name] for name in COLUMNS[:4]} | dict(zip(COLUMNS[4:], outcomes[k % 3], strict=True))
        for k, pairing in enumerate(pairings)
    ]


def write_sql(url: str, rows: Sequence[Row], *, key: bool = True, **types: Any) -> None:
    """Put rows into a fresh table ``duels``; ``types`` are column types other than text, and integer for turns."""
    engine = sa.create_engine(url)
    kinds = {"turns": sa.Integer(), **types}
    columns = [sa.Column(name, kinds.get(name, sa.Text())) for name in (rows[0] if rows else COLUMNS)]
    table = sa.Table(
        "duels", sa.MetaData(), *([sa.Column("id", sa.Integer, primary_key=True)] if key else []), *columns
    )
    with engine.begin() as connection:
        table.drop(connection, checkfirst=True)
        table.create(connection)
        if rows:
            connection.execute(table.insert(), list(rows))
    engine.dispose()


@pytest.fixture(params=["parquet", "sqlite", "postgresql"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Write]:
    """Puts rows where the reader can be pointed at, once for each kind of source."""
    if request.param == "parquet":
        yield lambda rows: write_parquet(tmp_path / "duels.parquet", rows)
        return
    url = f"sqlite:///{tmp_path / 'duels.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres")

    def to_database(rows: Sequence[Row]) -> str:
        write_sql(url, rows)
        return str(url)

    yield to_database


def write_parquet(path: Path, rows: Sequence[Row]) -> Path:
    columns = list(rows[0])
    pq.write_table(pa.table({name: [row[name] for row in rows] for name in columns}), path)
    return path


@pytest.fixture(scope="session")
def engine() -> None:
    """The battle engine, ready to play."""
    import shutil

    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    if not installed():
        pytest.skip("the battle engine is not installed (npm ci --ignore-scripts in training/engine)")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A fresh working folder, for what is written beside no file."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)
