"""The commands of ``pdx dataset``, through their own door."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from training.cli.dataset import app
from training.dataset import engine, generate
from training.dataset.engine import installed
from training.settings import DATA


def pdx(*words: str | Path) -> Result:
    # With its own copy of the variable, which a command sets for what it starts.
    runner = CliRunner(env={"PDX_HOME": os.environ["PDX_HOME"]})
    return runner.invoke(app, [str(word) for word in words])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what is written goes unless a test says otherwise."""
    monkeypatch.setenv("PDX_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def plays() -> None:
    if not installed():
        pytest.skip("the battle engine is not installed (npm ci --ignore-scripts in training/engine)")


@pytest.fixture
def new_checkout(plays: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: ARG001  (a skip)
    """A checkout's engine without its packages; returns a folder that alone is on PATH, with node in it."""
    folder = tmp_path / "engine"
    shutil.copytree(engine.ENGINE, folder, ignore=shutil.ignore_patterns("node_modules"))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "node").symlink_to(engine.require("node"))
    for module in (engine, generate):
        monkeypatch.setattr(module, "ENGINE", folder)
    monkeypatch.setenv("PATH", str(programs))
    return programs


def npm(programs: Path, *lines: str) -> None:
    """A package manager that reaches no registry."""
    program = programs / "npm"
    program.write_text("\n".join(["#!/bin/sh", 'echo "$@" > arguments', *lines]) + "\n")
    program.chmod(0o755)


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


@pytest.mark.usefixtures("plays")
def test_generate_resumes_and_refuses_shards_out_of_range(tmp_path: Path) -> None:
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


@pytest.mark.usefixtures("plays")
def test_dex_is_the_engines() -> None:
    done = pdx("dex")
    assert (done.exit_code, done.stdout) == (0, "The dex is the engine's.\n")


@pytest.mark.usefixtures("plays")
def test_the_generator_plays_into_the_home_and_shows_how_far_it_is(tmp_path: Path) -> None:
    words = ("check", "generator:seed=4,rows=20,shards=2", "--home", tmp_path / "mine")
    played = pdx(*words)
    assert (played.exit_code, played.stdout[:28]) == (0, "40 of 40 rows can be used; d")
    assert "2 of 2 shards: 40 of 40 duels played (100 %)" in played.stderr.splitlines()
    assert len(list((tmp_path / "mine" / "shards").glob("*.parquet"))) == 2
    again = pdx(*words)
    assert (again.stdout, again.stderr) == (played.stdout, "")


@pytest.mark.usefixtures("plays")
def test_generate_and_ship_meet_in_the_home(tmp_path: Path, home: Path) -> None:
    mine = ("--home", tmp_path / "mine")
    assert f"in {tmp_path / 'mine' / 'shards'}." in pdx("generate", "--rows", "5", *mine).stdout
    assert pdx("ship", "--out", tmp_path / "out").exit_code == 2
    assert "duels.parquet: 5 rows from 1 shards" in pdx("ship", "--out", tmp_path / "out", *mine).stdout
    assert not list(home.rglob("*.parquet"))


def test_the_generator_installs_the_engine_as_make_does(new_checkout: Path, tmp_path: Path) -> None:
    npm(new_checkout, f"/bin/ln -s '{DATA.parent / 'engine' / 'node_modules'}' node_modules")
    done = pdx("check", "generator:rows=5")
    assert done.exit_code == 0
    assert "running npm ci --ignore-scripts in training/engine" in done.stderr
    words = (tmp_path / "engine" / "arguments").read_text()
    makefile = (DATA.parents[1] / "Makefile").read_text()
    assert f"npm {words}" in makefile


@pytest.mark.parametrize(
    "words", [("dataset", "check", "generator:rows=5"), ("train", "--source", "generator:rows=5", "--no-register")]
)
def test_without_a_registry_one_sentence_says_what_to_run(
    new_checkout: Path, home: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.cli import app as whole

    for name in ("MLFLOW_TRACKING_URI", "BENTOML_HOME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    npm(new_checkout, "echo 'network unreachable'", "exit 7")
    done = CliRunner().invoke(whole, words)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == (
        "npm ci failed with code 7 (network unreachable); run `npm ci --ignore-scripts` in training/engine where the "
        "npm registry can be reached."
    )
    (new_checkout / "npm").unlink()
    assert "there is no npm on PATH; install Node 18 or later." in CliRunner().invoke(whole, words).stderr
    assert not list(home.rglob("*.parquet"))


@pytest.mark.slow
@pytest.mark.usefixtures("plays")
def test_train_learns_from_what_it_plays(home: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PDX_", "MLFLOW_", "BENTOML_"))}
    words = ("train", "--source", "generator:seed=4,rows=2000", "--algorithm", "xgboost", "--no-register")
    done = subprocess.run(
        [sys.executable, "-c", "from training.cli import main; main()", *words, "--home", str(home)],
        env=kept, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 of 1 shards: 2,000 of 2,000 duels played (100 %)" in done.stderr
    assert [path.name for path in (home / "shards").iterdir()] == ["duels-seed4-rows2000-0000.parquet"]


def test_the_help_names_the_generator_with_its_parameters() -> None:
    from training.cli import app as whole

    for command in ("train", "all", "demo"):
        shown = CliRunner(env={"COLUMNS": "200"}).invoke(whole, [command, "--help"]).stdout
        assert "generator:seed=1,shards=2,rows=50000" in shown


def test_a_mistyped_database_is_not_made(tmp_path: Path) -> None:
    refused = pdx("check", f"sqlite:///{tmp_path / 'nowhere.db'}")
    assert refused.exit_code == 2
    assert f"there is no file {tmp_path / 'nowhere.db'}." in refused.stderr
    assert not (tmp_path / "nowhere.db").exists()


def test_check_names_the_shipped_file_that_differs(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(DATA, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["dex_sha256"] = "0" * 64
    manifest["kinds"] = {kind: manifest["kinds"][kind] for kind in ("gate", "requests")}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    table = pq.read_table(folder / "requests.parquet")
    pq.write_table(table, folder / "requests.parquet", compression="none")
    done = pdx("check", "--folder", folder)
    assert done.exit_code == 1
    dex, gate, requests = done.stdout.splitlines()
    assert dex.startswith("dex: dex.json is not the file of the manifest: its sha256 is ")
    assert dex.endswith(", not 0000000000000000….")
    assert gate == "gate: 4,000 rows, all as the manifest says"
    assert requests.startswith("requests: requests.parquet is not the file of the manifest")
