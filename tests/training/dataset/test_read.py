import csv
import itertools
import socket
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentos.battle.dex import Dex
from tests.training.dataset.conftest import Row, Write, write_parquet, write_sql
from training.dataset import database, sources
from training.dataset.errors import BadRows, SourceError
from training.dataset.read import duels
from training.dataset.split import Part, part_of
from training.settings import DATA

Change = Callable[[Row], None]


def pair_of(part: Part) -> Change:
    ids = Dex.load(DATA / "dex.json").species_ids
    a, b = next(pair for pair in itertools.combinations(ids[::5], 2) if part_of(*pair) is part and "ditto" not in pair)
    return lambda row: row.update(pokemon_a=a, move_a="tackle", pokemon_b=b, move_b="tackle")


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    *(
        ({name: None}, "null", f"{name} is null")
        for name in ("pokemon_a", "move_a", "pokemon_b", "move_b", "winner", "turns")
    ),
    ({"pokemon_a": "pikachoo"}, "unknown species", "pokemon_a: There is no Pokémon called 'pikachoo'. Did you mean"),
    ({"pokemon_b": ""}, "unknown species", "pokemon_b: There is no Pokémon called ''"),
    ({"move_a": "splash"}, "unknown attack", "move_a: There is no attack called 'splash'"),
    ({"move_b": "hyperbeem"}, "unknown attack", "Did you mean"),
    ({"pokemon_b": "magikarp", "move_b": "surf"}, "illegal attack", "magikarp cannot use surf"),
    ({"pokemon_a": "ditto", "move_a": "tackle"}, "illegal attack", "ditto cannot use tackle"),
    ({"winner": "A"}, "unknown winner", "winner is 'A', not a, b or draw"),
    ({"turns": 0}, "turns out of range", "turns is 0, not between 1 and 2147483647"),
    ({"turns": -5}, "turns out of range", "turns is -5"),
]


@pytest.mark.parametrize(("change", "kind", "clause"), FAULTS, ids=[f"{kind}-{next(iter(c))}" for c, kind, _ in FAULTS])
def test_a_bad_row_is_named_by_number_and_reason(
    write: Write, good: list[Row], change: dict[str, Any], kind: str, clause: str
) -> None:
    good[6].update(change)
    with pytest.raises(BadRows) as caught:
        duels(write(good), part=None)
    assert (caught.value.rows, caught.value.bad, caught.value.counts) == (10, 1, {kind: 1})
    assert caught.value.first[0].startswith("row 7: ")
    assert clause in caught.value.first[0]
    assert "1 of 10 rows cannot be used" in str(caught.value)


@pytest.mark.parametrize("part", [Part.CALIBRATION, Part.GATE])
def test_a_pair_of_another_part_never_reaches_training(write: Write, good: list[Row], part: Part) -> None:
    pair_of(part)(good[3])
    source = write(good)
    with pytest.raises(BadRows, match=rf"row 4: .* are a pair of the {part} part, not of training"):
        duels(source)


def test_only_the_part_that_is_allowed(write: Write, good: list[Row]) -> None:
    source = write(good)
    assert len(duels(source, part=None)) == 10
    with pytest.raises(BadRows) as caught:
        duels(source, part=Part.GATE)
    assert caught.value.bad == 10


def test_every_fault_of_a_row_is_told(write: Write, good: list[Row]) -> None:
    good[0].update(pokemon_a="nobody", winner=None, turns=0)
    with pytest.raises(BadRows) as caught:
        duels(write(good))
    assert caught.value.bad == 1
    assert caught.value.counts == {"unknown species": 1, "null": 1, "turns out of range": 1}
    assert all(word in caught.value.first[0] for word in ("nobody", "winner is null", "turns is 0"))


WRONG_TYPES: list[tuple[str, Any, Any, str]] = [
    ("turns", sa.Text(), "many", "turns is 'many', not a whole number"),
    ("turns", sa.Float(), 2.5, "turns is 2.5, not a whole number"),
    ("turns", sa.Float(), float("inf"), "turns is inf, not a whole number"),
    ("turns", sa.Boolean(), True, "turns is True, not a whole number"),
    ("pokemon_a", sa.Integer(), 25, "pokemon_a is 25, not text"),
    ("winner", sa.Integer(), 1, "winner is 1, not text"),
]


@pytest.mark.parametrize(("name", "kind", "value", "clause"), WRONG_TYPES)
@pytest.mark.parametrize("door", ["parquet", "postgresql"])
def test_a_column_of_a_wrong_type(
    *, door: str, name: str, kind: Any, value: Any, clause: str, good: list[Row], tmp_path: Path, postgres: str
) -> None:
    for row in good:
        row[name] = value
    good[9][name] = None
    if door == "postgresql":
        write_sql(postgres, good, **{name: kind})
    source = postgres if door == "postgresql" else write_parquet(tmp_path / "duels.parquet", good)
    with pytest.raises(BadRows) as caught:
        duels(source)
    assert caught.value.counts == {"wrong type": 9, "null": 1}
    assert caught.value.first[0] == f"row 1: {clause}"


def test_sqlite_mixes_types_in_one_column(good: list[Row], tmp_path: Path) -> None:
    good[1]["turns"], good[2]["turns"], good[3]["pokemon_a"] = "3", b"\0", 7
    with closing(sqlite3.connect(tmp_path / "duels.db")) as connection, connection:
        # Without types SQLite keeps values as they come.
        connection.execute(f"CREATE TABLE duels (id INTEGER PRIMARY KEY, {', '.join(good[0])})")
        connection.executemany("INSERT INTO duels VALUES (NULL, ?, ?, ?, ?, ?, ?)", [tuple(r.values()) for r in good])
    url = f"sqlite:///{tmp_path / 'duels.db'}"
    with pytest.raises(BadRows) as caught:
        duels(url)
    assert caught.value.counts == {"wrong type": 3}
    assert [line.split(":")[0] for line in caught.value.first] == ["row 2", "row 3", "row 4"]


@pytest.mark.parametrize("kind", [sa.Numeric(), sa.Float(), sa.SmallInteger(), sa.BigInteger()])
def test_whole_numbers_may_be_stored_as_any_number(kind: Any, good: list[Row], postgres: str) -> None:
    write_sql(postgres, good, turns=kind)
    assert duels(postgres).turns.tolist() == [row["turns"] for row in good]


def test_every_source_gives_the_same_duels(good: list[Row], tmp_path: Path, postgres: str, dex: Dex) -> None:
    url = f"sqlite:///{tmp_path / 'duels.db'}"
    write_sql(url, good)
    write_sql(postgres, good)
    read = [duels(source) for source in (write_parquet(tmp_path / "duels.parquet", good), url, postgres)]
    assert len({found.digest for found in read}) == 1
    for found in read:
        assert [dex.species_ids[code] for code in found.pokemon_a] == [row["pokemon_a"] for row in good]
        assert [dex.attack_ids[code] for code in found.move_b] == [row["move_b"] for row in good]
        assert found.label.tolist() == [{"a": 1, "b": 0, "draw": 0.5}[row["winner"]] for row in good]
        assert found.turns.tolist() == [row["turns"] for row in good]
        assert found.label.dtype == np.float32
        assert found.pokemon_a.dtype == np.int32


@pytest.mark.parametrize("change", [{"turns": 3}, {"winner": "b"}])
def test_the_digest_knows_every_column(good: list[Row], tmp_path: Path, change: Row) -> None:
    before = duels(write_parquet(tmp_path / "duels.parquet", good)).digest
    good[0].update(change)
    assert duels(write_parquet(tmp_path / "duels.parquet", good)).digest != before


def test_names_as_people_write_them(good: list[Row], tmp_path: Path, dex: Dex) -> None:
    good[0].update(pokemon_a="Dracaufeu", move_a="Flamethrower", pokemon_b="Mr. Mime", move_b="psychic")
    found = duels(write_parquet(tmp_path / "duels.parquet", good), part=None)
    assert dex.species_ids[found.pokemon_a[0]] == "charizard"
    assert dex.species_ids[found.pokemon_b[0]] == "mrmime"


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_set_aside_loses_nothing(write: Write, good: list[Row], suffix: str, tmp_path: Path) -> None:
    for number, row in enumerate(good):
        row["note"] = f"note {number}"
    good[1].update(winner="nobody")
    good[4].update(move_a=None, turns=0)
    aside = tmp_path / f"aside.{suffix}"
    found = duels(write(good), bad="set-aside", aside=aside, part=None)
    assert (len(found), found.rows, found.bad, found.aside) == (8, 10, 2, aside)
    assert found.turns.tolist() == [row["turns"] for number, row in enumerate(good) if number not in {1, 4}]
    rows = (
        pq.read_table(aside).to_pylist()
        if suffix == "parquet"
        else list(csv.DictReader(aside.read_text().splitlines()))
    )
    assert [int(row["row"]) for row in rows] == [2, 5]
    assert rows[1]["reason"] == "move_a is null; turns is 0, not between 1 and 2147483647"
    assert [row["note"] for row in rows] == ["note 1", "note 4"]
    assert rows[1]["move_a"] == (None if suffix == "parquet" else "")
    for name in ("pokemon_a", "pokemon_b", "winner"):
        assert [row[name] for row in rows] == [good[1][name], good[4][name]]


def test_the_file_for_bad_rows_lies_beside_its_source(good: list[Row], tmp_path: Path, elsewhere: Path) -> None:
    good[0]["turns"] = 0
    path = write_parquet(tmp_path / "mine.parquet", good)
    assert duels(path, bad="set-aside").aside == tmp_path / "mine.bad.parquet"
    write_sql(f"sqlite:///{elsewhere / 'x.db'}", good)
    assert duels(f"sqlite:///{elsewhere / 'x.db'}", bad="set-aside").aside == Path("duels.bad.parquet")
    assert pq.read_table(elsewhere / "duels.bad.parquet").num_rows == 1


def test_without_bad_rows_nothing_is_set_aside(good: list[Row], tmp_path: Path) -> None:
    found = duels(write_parquet(tmp_path / "duels.parquet", good), bad="set-aside")
    assert found.aside is None
    assert [path.name for path in tmp_path.iterdir()] == ["duels.parquet"]


def test_when_no_row_can_be_used_that_is_an_error_and_no_file(good: list[Row], tmp_path: Path) -> None:
    for row in good:
        row["turns"] = 0
    with pytest.raises(BadRows, match="10 of 10 rows"):
        duels(write_parquet(tmp_path / "duels.parquet", good), bad="set-aside")
    assert [path.name for path in tmp_path.iterdir()] == ["duels.parquet"]


def test_the_source_is_never_overwritten(good: list[Row], tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "duels.parquet", good)
    before = path.read_bytes()
    with pytest.raises(SourceError, match="is the source itself"):
        duels(path, bad="set-aside", aside=path)
    with pytest.raises(SourceError, match=r"\.parquet or a \.csv"):
        duels(path, bad="set-aside", aside=tmp_path / "aside.txt")
    assert path.read_bytes() == before


def test_batches_keep_row_numbers(
    write: Write, good: list[Row], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = duels(write(good)).digest
    monkeypatch.setattr(sources, "BATCH", 3)
    assert duels(write(good)).digest == whole
    good[0]["turns"] = good[7]["turns"] = 0
    found = duels(write(good), bad="set-aside", aside=tmp_path / "aside.parquet")
    assert pq.read_table(tmp_path / "aside.parquet")["row"].to_pylist() == [1, 8]
    assert len(found) == 8


def test_a_table_without_a_key_is_read_in_a_fixed_order(good: list[Row], postgres: str) -> None:
    write_sql(postgres, good, key=False)
    before = duels(postgres).digest
    write_sql(postgres, good[::-1], key=False)
    assert duels(postgres).digest == before


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([None, *range(len(FAULTS))]), min_size=10, max_size=10))
def test_good_and_aside_make_all(good: list[Row], tmp_path: Path, faults: Sequence[int | None]) -> None:
    rows = [row | ({} if fault is None else FAULTS[fault][0]) for row, fault in zip(good, faults, strict=True)]
    path = write_parquet(tmp_path / "duels.parquet", rows)
    if all(fault is not None for fault in faults):
        with pytest.raises(BadRows):
            duels(path, bad="set-aside", part=None)
        return
    found = duels(path, bad="set-aside", part=None)
    bad = [number for number, fault in enumerate(faults, 1) if fault is not None]
    assert (len(found), found.bad) == (10 - len(bad), len(bad))
    if bad:
        assert found.aside is not None
        table = pq.read_table(found.aside)
        assert table["row"].to_pylist() == bad
        assert table["winner"].to_pylist() == [rows[number - 1]["winner"] for number in bad]


def test_a_folder_of_shards(good: list[Row], tmp_path: Path) -> None:
    for number in (0, 1):
        write_parquet(tmp_path / f"duels-seed1-rows5-{number:04d}.parquet", good[number * 5 : number * 5 + 5])
    whole = write_parquet(tmp_path / "whole.parquet", good)
    assert duels(tmp_path).digest == duels(whole).digest
    write_parquet(tmp_path / "duels-seed1-rows5-0002.parquet", [row | {"more": 1} for row in good])
    with pytest.raises(SourceError, match="has other columns than"):
        duels(tmp_path)


def test_a_source_that_is_not_there(tmp_path: Path, good: list[Row], postgres: str) -> None:
    url = f"sqlite:///{tmp_path / 'duels.db'}"
    write_sql(url, good)
    text = tmp_path / "notes.parquet"
    text.write_text("no parquet")
    (tmp_path / "folder").mkdir()
    short = write_parquet(tmp_path / "short.parquet", [{"pokemon_a": "mew"}])
    for source, table, words in (
        (tmp_path / "nowhere.parquet", "duels", "There is no file"),
        (tmp_path / "folder", "duels", "holds no shard of duels"),
        (text, "duels", "cannot be read as Parquet"),
        (short, "duels", "has no column move_a, pokemon_b, move_b, winner, turns"),
        (url, "fights", "has no table named fights"),
        (postgres, "other.duels", "has no table named other.duels"),
        (f"sqlite:///{tmp_path / 'no' / 'such.db'}", "duels", "cannot be read"),
        ("nosuch://host/x", "duels", "cannot be read"),
        ("generator:rows=0", "duels", "does not understand 'rows=0'"),
        ("generator:size=3", "duels", "does not understand 'size=3'"),
    ):
        with pytest.raises(SourceError, match=words):
            duels(source, table=table)


@pytest.mark.parametrize("mistyped", ["sqlite:///nowhere.db", "sqlite:///file:nowhere.db?uri=true"])
def test_a_mistyped_database_is_not_made(elsewhere: Path, mistyped: str) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.db.* cannot be read: there is no file nowhere\.db\."):
        duels(mistyped)
    assert list(elsewhere.iterdir()) == []


def test_a_database_that_never_says_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CONNECT_WITHIN_S", 2)  # the least the driver takes
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"postgresql+psycopg://pdx:hidden@127.0.0.1:{silent.getsockname()[1]}/duels"
        with pytest.raises(SourceError, match="timeout"):
            duels(url)


def test_an_empty_table_is_no_dataset(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'duels.db'}"
    write_sql(url, [])
    with pytest.raises(SourceError, match="holds no rows"):
        duels(url)


def test_a_column_of_keys_is_given_up_soon(good: list[Row], tmp_path: Path) -> None:
    rows = [good[0] | {"pokemon_a": f"key {number:x}"} for number in range(1100)]
    with pytest.raises(SourceError, match="More than 1000 different names are unknown"):
        duels(write_parquet(tmp_path / "duels.parquet", rows))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://pdx:hidden@127.0.0.1:1/x",
        "postgresql+psycopg://127.0.0.1:1/x?user=pdx&password=hidden",
        "postgresql+psycopg://pdx:hid/hidden@127.0.0.1/x",
        "postgresql://pdx:hidden@[",
        "://hidden",
        "nosuch://pdx:hidden@host/x",
        "postgresql+psycopg://127.0.0.1:1/x?sslmode=hidden",  # the driver's own message repeats the value
    ],
)
def test_no_message_holds_a_password(url: str) -> None:
    with pytest.raises(SourceError) as caught:
        duels(url)
    error: BaseException | None = caught.value
    assert "hidden" not in str(error)
    assert "pdx" not in str(error)
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


def test_a_wrong_password_is_not_shown_either(postgres: str) -> None:
    url = sa.make_url(postgres).set(password="hidden")
    with pytest.raises(SourceError, match="password authentication failed") as caught:
        duels(url.render_as_string(hide_password=False))
    assert "hidden" not in str(caught.value)
