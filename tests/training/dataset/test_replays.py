from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bentos.battle.dex import Dex
from tests.training.dataset.conftest import Row, write_parquet
from training.dataset.draw import Kind, draw
from training.dataset.errors import BadRows, SourceError
from training.dataset.read import replays
from training.dataset.schema import PAIRING
from training.dataset.split import Part

COUNTS = {"wins_1": 10, "draws_1": 2, "wins_2": 20, "draws_2": 0, "replays": 60, "mean_turns": 3.5}


def rows_of(kind: Kind, attacks: dict[str, list[str]]) -> list[Row]:
    drawn = draw(kind, attacks, seed=2, shard=0, rows=6)
    names = (*PAIRING, "request") if kind == "requests" else PAIRING
    return [{name: getattr(pairing, name) for name in names} | COUNTS for pairing in drawn]


def test_counts_frequencies_and_codes(attacks: dict[str, list[str]], tmp_path: Path, dex: Dex) -> None:
    rows = rows_of("gate", attacks)
    found = replays(write_parquet(tmp_path / "gate.parquet", rows))
    assert len(found) == 6
    assert found.replays == 60
    assert found.request is None
    assert [dex.species_ids[code] for code in found.pokemon_b] == [row["pokemon_b"] for row in rows]
    assert found.wins[0].tolist() == [10, 20]
    assert found.draws[0].tolist() == [2, 0]
    assert found.half(0)[0] == pytest.approx(11 / 30)
    assert found.half(1)[0] == pytest.approx(20 / 30)
    assert found.frequency()[0] == pytest.approx(31 / 60)
    assert found.mean_turns.dtype == np.float32
    assert replays(tmp_path / "gate.parquet", part=Part.GATE).digest == found.digest


def test_requests_keep_their_number(attacks: dict[str, list[str]], tmp_path: Path) -> None:
    found = replays(write_parquet(tmp_path / "requests.parquet", rows_of("requests", attacks)))
    assert found.request is not None
    assert found.request.tolist() == [number for number in range(6) for _ in range(16)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"wins_1": 29}, "half 1 has 29 wins and 2 draws in 30 replays"),
        ({"wins_2": -1}, "wins_2 is -1, not between 0 and"),
        ({"draws_2": 31}, "half 2 has 20 wins and 31 draws"),
        ({"replays": 62}, "replays is 62, where every row needs the same even number"),
        ({"wins_1": None}, "wins_1 is null"),
        ({"mean_turns": None}, "mean_turns is null"),
        ({"mean_turns": 0.5}, "mean_turns is 0.5, not between 1 and"),
        ({"mean_turns": float("nan")}, "mean_turns is nan, not between 1 and"),
        ({"mean_turns": float("inf")}, "mean_turns is inf, not between 1 and"),
        ({"pokemon_a": "nobody"}, "no Pokémon called 'nobody'"),
        ({"move_a": "splash"}, "no attack called 'splash'"),
    ],
)
def test_one_bad_row_refuses_the_file(
    attacks: dict[str, list[str]], tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    rows = rows_of("gate", attacks)
    rows[2].update(change)
    with pytest.raises(BadRows) as caught:
        replays(write_parquet(tmp_path / "gate.parquet", rows))
    assert caught.value.bad == 1
    assert words in caught.value.first[0]


@pytest.mark.parametrize(("value", "shown"), [("3.5", "'3.5'"), (True, "True")])
def test_a_column_of_another_type_refuses_the_file(
    attacks: dict[str, list[str]], tmp_path: Path, value: Any, shown: str
) -> None:
    rows = [row | {"mean_turns": value} for row in rows_of("gate", attacks)]
    with pytest.raises(BadRows, match="6 of 6 rows") as caught:
        replays(write_parquet(tmp_path / "gate.parquet", rows))
    assert caught.value.first[0] == f"row 1: mean_turns is {shown}, not a number"


def test_whole_numbers_of_turns_are_numbers(attacks: dict[str, list[str]], tmp_path: Path) -> None:
    rows = [row | {"mean_turns": 4} for row in rows_of("gate", attacks)]
    assert replays(write_parquet(tmp_path / "gate.parquet", rows)).mean_turns.tolist() == [4.0] * 6


def test_pairs_are_all_of_one_part_and_never_of_training(attacks: dict[str, list[str]], tmp_path: Path) -> None:
    gate, calibration, training = (rows_of(kind, attacks) for kind in ("gate", "calibration", "duels"))
    assert len(replays(write_parquet(tmp_path / "c.parquet", calibration))) == 6
    for rows, part, words in (
        ([*gate, calibration[0]], None, "row 7: .* of the calibration part, not of gate"),
        (gate, Part.CALIBRATION, "6 of 6 rows"),
        (training, None, "6 of 6 rows"),
    ):
        with pytest.raises(BadRows, match=words):
            replays(write_parquet(tmp_path / "mixed.parquet", rows), part=part)


def test_an_empty_file_is_no_replay_set(attacks: dict[str, list[str]], tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = write_parquet(tmp_path / "gate.parquet", rows_of("gate", attacks))
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(SourceError, match="holds no rows"):
        replays(path)
