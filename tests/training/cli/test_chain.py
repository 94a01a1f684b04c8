"""The commands a data scientist types, one after another in one home, as processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sqlalchemy

from tests.tracking import free_port
from training.serving import PYTHON
from training.settings import DATA

Pdx = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.slow

_ENOUGH = "60000"  # duels for a model that the gate's floors let pass


@pytest.fixture(scope="module")
def pdx(tmp_path_factory: pytest.TempPathFactory) -> Pdx:
    """Run ``pdx`` in one home, whose first champion the ``demo`` fixture makes."""
    return runner(tmp_path_factory.mktemp("home"))


def runner(home: Path) -> Pdx:
    """Run ``pdx`` in a home and check its exit status."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PDX_", "MLFLOW_", "BENTOML_"))}
    environment = {**kept, "PDX_HOME": str(home), "COLUMNS": "160"}

    def run(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", "from training.cli import main; main()", *arguments],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == status, f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture(scope="module")
def demo(pdx: Pdx) -> str:
    if not PYTHON.exists():
        pytest.skip("there is no serving environment; make .venv-serving/.ready")
    ports = ("--port", str(free_port()), "--admin-port", str(free_port()))
    return pdx("demo", "--once", "--rows", _ENOUGH, *ports).stdout


def test_the_demo_ends_with_a_served_prediction(demo: str) -> None:
    assert "xgboost: accuracy 0.9" in demo
    assert "The champion is version 1, packaged as bento predictiondex:1-" in demo
    asked, _, answered = demo.partition("POST http")[2].partition("{")[2].partition("}\n{")
    answer = json.loads("{" + answered[: answered.index("\n}\n") + 2])
    request = json.loads("{" + asked + "}")
    assert answer["model"] == {"name": "battle", "version": "1"}
    assert answer["recommended_move"] in request["available_moves_a"]
    assert {move["move"] for move in answer["all_moves"]} == set(request["available_moves_a"])


@pytest.mark.usefixtures("demo")
def test_a_worsened_model_stops_at_the_gate_and_cannot_be_promoted(pdx: Pdx) -> None:
    told = pdx("train", "--algorithm", "random_forest", "--rows", "1000", "--trials", "1", "--learning-curve")
    version = told.stdout.strip().splitlines()[-1].rsplit(" ", 1)[-1]
    refused = pdx("gate", version, status=1)
    assert f"No: version {version} fails on" in refused.stdout
    assert f"The gate said no to version {version}" in pdx("promote", version, status=2).stderr
    document = json.loads(pdx("gate", version, "--json", status=1).stdout)
    assert document["passed"] is False
    assert document["against"] == "1"
    assert "Version 1 is the champion already" in pdx("promote", "1").stdout


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
def test_the_champion_can_be_bundled_and_packaged_again(pdx: Pdx, tmp_path: Path) -> None:
    pdx("bundle", "--out", str(tmp_path / "bundle"))
    contract = json.loads((tmp_path / "bundle" / "contract.json").read_text())
    assert contract["version"] == "1"
    assert contract["live_reference"]["from_outcomes"] == 300 * 60
    assert "is built" in pdx("package", "--bundle", str(tmp_path / "bundle")).stdout


def test_the_evaluation_prints_each_aim(pdx: Pdx, demo: str) -> None:
    table = pdx("evaluate").stdout
    for figure in ("expected accuracy", "share of the replay ceiling", "best-attack regret"):
        assert figure in table
        assert figure in demo


def test_bad_rows_stop_a_run_with_their_numbers(pdx: Pdx, tmp_path: Path) -> None:
    table = pq.read_table(DATA / "duels.parquet").slice(0, 2_000)
    rows = table.to_pylist()
    rows[6]["pokemon_a"], rows[9]["winner"] = "missingno", "c"
    bad = tmp_path / "bad.parquet"
    pq.write_table(type(table).from_pylist(rows), bad)
    refused = pdx("train", "--source", str(bad), "--algorithm", "xgboost", status=2)
    assert "2 of 2000 rows cannot be used" in refused.stderr
    assert "row 7" in refused.stderr
    assert "Traceback" not in refused.stderr
    kept = pdx("train", "--source", str(bad), "--algorithm", "xgboost", "--bad", "set-aside", "--no-register")
    assert "2 of 2000 rows were set aside into" in kept.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("train", "--algorithm", "oracle"), "no candidate 'oracle'"),
        (("train", "--source", "nowhere.parquet"), "nowhere.parquet"),
        (("evaluate", "99"), "no version 99"),
        (("bundle", "--version", "99"), "no version 99"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(pdx: Pdx, arguments: tuple[str, ...], sentence: str) -> None:
    refused = pdx(*arguments, status=2)
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr


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
    done = runner(tmp_path)("all", "--rows", "20000", "--folds", "2", "--no-learning-curve")
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
