"""The commands a data scientist types, one after another in one home.

Each goes once through a process of its own, here or in the command's own test; the others save its imports.
"""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sqlalchemy

from tests import commands
from tests.commands import Pdx
from training.settings import DATA

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("demo")
def test_a_worsened_model_stops_at_the_gate_and_cannot_be_promoted(pdx: Pdx, process: Pdx) -> None:
    told = process("train", "--algorithm", "random_forest", "--rows", "1000", "--trials", "1", "--learning-curve")
    version = told.stdout.strip().splitlines()[-1].rsplit(" ", 1)[-1]
    refused = process("gate", version, status=1)
    assert f"No: version {version} fails on" in refused.stdout
    assert f"The gate said no to version {version}" in process("promote", version, status=2).stderr
    document = json.loads(pdx("gate", version, "--json", status=1).stdout)
    assert document["passed"] is False
    assert document["against"] == "1"
    assert "Version 1 is the champion already" in pdx("promote", "1").stdout


def test_training_judges_its_version_when_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "termination-log"
    environment = {**commands.environment(tmp_path / "home"), "PDX_TERMINATION_LOG": str(log)}
    monkeypatch.setattr(commands, "environment", lambda _: environment)
    few = ("train", "--gate", "--algorithm", "logistic_regression", "--rows", "3000")
    said = commands.here(tmp_path / "home")(*few, status=3).stdout
    sentence = "No: version 1 fails on error of win probability.\n"
    assert said.endswith(sentence)
    assert log.read_text() == sentence
    enough = ("train", "--gate", "--algorithm", "xgboost", "--rows", "60000")
    commands.here(tmp_path / "home")(*enough)
    assert log.read_text() == "Yes: version 2 may be promoted (pdx promote 2).\n"


@pytest.mark.usefixtures("demo")
def test_force_needs_a_reason_and_previous_goes_back(pdx: Pdx) -> None:
    pdx("train", "--algorithm", "logistic_regression", "--rows", "3000")
    newest = json.loads(pdx("gate", "--json", status=1).stdout)["version"]
    assert "why" in pdx("promote", newest, "--force", status=2).stderr.lower()
    assert newest in pdx("promote", newest, "--force", "--why", "to try it").stdout
    pdx("promote", "previous", "--force", "--why", "and back")
    assert f"Version {newest} was taken back" in pdx("promote", newest, status=2).stderr
    evaluated = json.loads(pdx("evaluate", "--json").stdout)
    assert evaluated["version"] == "1"
    assert evaluated["accuracy"] > 0.93


@pytest.mark.usefixtures("demo")
def test_the_champion_can_be_bundled_and_packaged_again(pdx: Pdx, process: Pdx, tmp_path: Path) -> None:
    process("bundle", "--out", str(tmp_path / "bundle"))
    contract = json.loads((tmp_path / "bundle" / "contract.json").read_text())
    assert contract["version"] == "1"
    assert contract["live_reference"]["from_outcomes"] == 300 * 60
    assert "is built" in pdx("package", "--bundle", str(tmp_path / "bundle")).stdout


def test_the_evaluation_prints_each_aim(process: Pdx, demo: str) -> None:
    table = process("evaluate").stdout
    for figure in ("expected accuracy", "share of the replay ceiling", "best-attack regret"):
        assert figure in table
        assert figure in demo


def test_bad_rows_stop_a_run_with_their_numbers(pdx: Pdx, process: Pdx, tmp_path: Path) -> None:
    table = pq.read_table(DATA / "duels.parquet").slice(0, 2_000)
    rows = table.to_pylist()
    rows[6]["pokemon_a"], rows[9]["winner"] = "missingno", "c"
    bad = tmp_path / "bad.parquet"
    pq.write_table(type(table).from_pylist(rows), bad)
    refused = process("train", "--source", str(bad), "--algorithm", "xgboost", status=2)
    assert "2 of 2000 rows cannot be used" in refused.stderr
    assert "row 7" in refused.stderr
    assert "Traceback" not in refused.stderr
    kept = pdx("train", "--source", str(bad), "--algorithm", "xgboost", "--bad", "set-aside", "--no-register")
    assert "2 of 2000 rows were set aside into" in kept.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("train", "--algorithm", "oracle"), "no candidate 'oracle'"),
        (("train", "--gate", "--no-register"), "only a registered version is judged"),
        (("train", "--source", "nowhere.parquet"), "nowhere.parquet"),
        (("evaluate", "99"), "no version 99"),
        (("bundle", "--version", "99"), "no version 99"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(pdx: Pdx, arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in pdx(*arguments, status=2).stderr


def test_artifacts_beside_a_database_lie_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("elsewhere", "current"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "current")
    tracking = ("--tracking-uri", f"sqlite:///{tmp_path / 'elsewhere' / 'runs.db'}")
    pdx = commands.here(tmp_path / "home")
    pdx("train", "--algorithm", "logistic_regression", "--rows", "3000", *tracking)
    assert list((tmp_path / "home" / "mlartifacts").rglob("contract.draft.json"))
    assert [file.name for file in (tmp_path / "elsewhere").iterdir()] == ["runs.db"]
    assert list((tmp_path / "current").iterdir()) == []
    # Whoever asks for the version finds them, wherever MLflow's own default would be.
    folder = Path(pdx("bundle", "--version", "1", *tracking).stdout.strip())
    assert (folder / "model.onnx").is_file()


@pytest.mark.postgres
def test_a_database_of_duels_and_a_tracking_server_take_the_place_of_the_files(
    pdx: Pdx, postgres: str, tracking_server: str
) -> None:
    duels = pq.read_table(DATA / "duels.parquet").slice(0, 3_000).to_pandas()
    engine = sqlalchemy.create_engine(postgres)
    duels.astype({name: str for name in duels.columns if name != "turns"}).to_sql(
        "chain_duels", engine, index_label="id"
    )
    engine.dispose()
    server = ("--tracking-uri", tracking_server)
    pdx("train", "--source", postgres, "--table", "chain_duels", "--algorithm", "xgboost", *server)
    verdict = json.loads(pdx("gate", "--json", *server, status=1).stdout)
    assert verdict["against"] is None
    assert [one["name"] for one in verdict["criteria"] if not one["passed"]] == ["error of win probability"]


def test_every_candidate_goes_through_the_whole_chain_in_a_new_home(tmp_path: Path) -> None:
    done = commands.process(tmp_path)("all", "--rows", "20000", "--folds", "0", "--no-learning-curve")
    for algorithm in ("xgboost", "logistic_regression", "hist_gradient_boosting", "random_forest"):
        assert f"{algorithm}: accuracy 0." in done.stdout
    assert "against the floors" in done.stdout
    assert "Bento predictiondex:1-" in done.stdout


def test_help_loads_nothing_heavy() -> None:
    heavy = ("mlflow", "sklearn", "pandas", "xgboost", "onnxruntime", "bentoml", "matplotlib", "numpy", "pyarrow")
    script = (
        "import sys\nfrom training.cli import main\nsys.argv = ['pdx', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
