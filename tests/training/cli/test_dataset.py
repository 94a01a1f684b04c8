"""The commands of ``pdx dataset``, through their own door."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from training.cli.dataset import app
from training.dataset.engine import installed
from training.settings import DATA


def pdx(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def duels(tmp_path: Path) -> Path:
    """Some shipped duels, two of which cannot be used."""
    rows = pq.read_table(DATA / "duels.parquet").slice(0, 50)
    turns = rows["turns"].to_pylist()
    turns[3], turns[9] = 0, None
    path = tmp_path / "mine.parquet"
    pq.write_table(rows.set_column(5, "turns", pa.array(turns, pa.int16())), path)
    return path


def test_check_refuses_with_rows_and_reasons(duels: Path) -> None:
    done = pdx("check", duels)
    assert done.exit_code == 2
    assert done.stdout.splitlines() == ["row 4: turns is 0, not between 1 and 2147483647", "row 10: turns is null"]
    assert "2 of 50 rows cannot be used (1 × null, 1 × turns out of range), so nothing is used" in done.stderr


def test_check_sets_aside_by_choice(duels: Path, tmp_path: Path) -> None:
    done = pdx("check", duels, "--bad", "set-aside", "--aside", tmp_path / "bad.csv")
    assert done.exit_code == 1
    assert "48 of 50 rows can be used" in done.stdout
    assert f"2 rows are set aside in {tmp_path / 'bad.csv'}." in done.stdout
    assert len((tmp_path / "bad.csv").read_text().splitlines()) == 3


def test_check_passes_what_can_be_used(duels: Path) -> None:
    pq.write_table(pq.read_table(duels).slice(10), duels)
    assert pdx("check", duels).exit_code == 0
    assert pdx("check", duels, "--part", "gate").exit_code == 2
    assert pdx("check", duels, "--part", "any").exit_code == 0


def test_generate_resumes_and_refuses_shards_out_of_range(tmp_path: Path) -> None:
    if not installed():
        pytest.skip("the battle engine is not installed (npm ci --ignore-scripts in training/engine)")
    words = ("generate", "--rows", "5", "--shards", "2", "--workers", "1", "--out", tmp_path)
    assert pdx(*words, "--shard", "1").exit_code == 0
    assert pdx(*words).exit_code == 0
    assert "All 2 shards are in" in pdx(*words).stdout
    assert len(list(tmp_path.glob("*.parquet"))) == 2
    assert pdx(*words, "--shard", "2").exit_code == 2
    assert pdx("ship", "--shards", tmp_path, "--out", tmp_path / "out").exit_code == 0
    assert pdx("verify", "--kind", "duels", "--shard", "1", "--folder", tmp_path / "out").exit_code == 0
    assert pdx("verify", "--kind", "gate", "--folder", tmp_path / "out").exit_code == 2
    shown = pdx("info", "--folder", tmp_path / "out").stdout
    assert "| `duels.parquet` | 10 | 10 |" in shown


def test_dex_is_the_engines() -> None:
    if not installed():
        pytest.skip("the battle engine is not installed (npm ci --ignore-scripts in training/engine)")
    done = pdx("dex")
    assert (done.exit_code, done.stdout) == (0, "The dex is the engine's.\n")
