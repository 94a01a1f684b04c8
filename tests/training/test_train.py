"""One training run through MLflow, and what can be read of it afterwards."""

from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest

from bentos.contract import Contract
from tests.exports import fitted_small
from training import prepare, settings, tracking
from training.candidates import CANDIDATES
from training.dataset.errors import SourceError
from training.pipeline import Choice
from training.prepare import Everything
from training.settings import Settings
from training.train import Options, Result, live_reference, train

_ROWS = 15_000


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "BENTOML_HOME", "PDX_HOME"):
            patch.setenv(name, "")
            patch.delenv(name)
        made = settings.resolve(home=tmp_path_factory.mktemp("home"))
        yield made
        mlflow.set_tracking_uri("")


@pytest.fixture(scope="module")
def data() -> Everything:
    return prepare.load(rows=_ROWS)


@pytest.fixture(scope="module")
def result(places: Settings, data: Everything) -> Result:
    told: list[str] = []
    made = train(data, places, Options(algorithms=("logistic_regression", "xgboost"), folds=2), told.append)
    assert any(line.startswith("Exporting xgboost") for line in told)
    return made


def logged_model(client: mlflow.MlflowClient, result: Result) -> str:
    outputs = client.get_run(result.winner.run_id).outputs
    assert outputs is not None
    return f"models:/{outputs.model_outputs[0].model_id}"


def test_the_least_loss_on_the_calibration_part_wins(result: Result) -> None:
    losses = [one.rank_loss for one in result.ranked]
    assert losses == sorted(losses)
    assert result.winner.fitted.algorithm == "xgboost"


def test_every_candidate_has_a_run_with_all_its_figures(result: Result, places: Settings) -> None:
    client = mlflow.MlflowClient(places.tracking_uri)
    for one in result.ranked:
        run = client.get_run(one.run_id)
        assert run.info.status == "FINISHED"
        assert {"accuracy", "f1", "roc_auc", "log_loss", "brier", "ece", "mae", "ceiling_share", "regret",
                "antisymmetry", "train_test_gap", "cv_accuracy", "cv_accuracy_sd"} <= set(run.data.metrics)  # fmt: skip
        assert run.data.metrics["antisymmetry"] < 1e-12
        assert run.data.params["algorithm"] == one.fitted.algorithm
        assert len(run.data.params["dataset_digest"]) == 64
        assert run.data.tags["git_commit"]
        files = {file.path for file in client.list_artifacts(one.run_id, "report")}
        for picture in ("confusion", "roc", "reliability", "importance"):
            assert f"report/{picture}.png" in files
    history = client.get_metric_history(result.winner.run_id, "held_out_log_loss")
    assert len(history) == len(result.winner.fitted.history)


def test_the_winner_is_exported_and_logged_with_signature_and_example(result: Result, places: Settings) -> None:
    client = mlflow.MlflowClient(places.tracking_uri)
    exported = {Path(file.path).name for file in client.list_artifacts(result.winner.run_id, "export")}
    assert {"contract.draft.json", "model.onnx", "dex.json", "golden.json.gz", "card.md"} <= exported
    folder = Path(client.download_artifacts(result.winner.run_id, "export"))
    contract = Contract.model_validate_json((folder / "contract.draft.json").read_bytes())
    assert contract.provenance.run_id == result.winner.run_id
    assert contract.provenance.dataset_rows <= _ROWS
    assert contract.live_reference is not None
    assert contract.parity.max_difference <= contract.parity.tolerance
    card = (folder / "card.md").read_text()
    assert f"{result.winner.measured.accuracy:.4f}" in card
    model = mlflow.models.get_model_info(logged_model(client, result))
    assert model.signature is not None
    assert model.saved_input_example_info is not None


def test_a_logged_model_answers_as_the_exported_one(result: Result, places: Settings, data: Everything) -> None:
    loaded = mlflow.xgboost.load_model(logged_model(mlflow.MlflowClient(places.tracking_uri), result))
    x = data.gate.matrix.x[:500]
    assert np.allclose(loaded.inplace_predict(x), result.winner.fitted.predict(x), atol=1e-6)


@pytest.mark.parametrize("algorithm", list(CANDIDATES))
def test_every_algorithm_can_be_logged_as_a_model(algorithm: str, places: Settings, data: Everything) -> None:
    tracking.open_experiment(places)
    fitted, x = fitted_small(algorithm), data.gate.matrix.x[:200]
    with tracking.run(algorithm, {}) as run_id:
        tracking.log_model(fitted, x)
    outputs = mlflow.MlflowClient(places.tracking_uri).get_run(run_id).outputs
    assert outputs is not None
    loaded = mlflow.pyfunc.load_model(f"models:/{outputs.model_outputs[0].model_id}")
    answered = np.asarray(loaded.predict(x))
    assert np.allclose(answered[:, -1] if answered.ndim > 1 else answered, fitted.predict(x), atol=1e-6)


def test_the_live_reference_is_that_of_the_recommended_attack(data: Everything) -> None:
    truth = data.requests.outcomes.frequency
    told = live_reference(np.clip(truth, 0.01, 0.99), data.requests)
    request = data.requests.replays.request
    assert request is not None
    grids = truth.reshape(-1, 4, 4)
    best = grids.min(axis=2).max(axis=1)
    assert told.from_outcomes == len(grids) * 60
    # A model that knows the truth is right as often as the likelier side of its recommended pairing wins.
    assert told.accuracy == pytest.approx(np.maximum(best, 1 - best).mean(), abs=0.01)


def test_an_unknown_candidate_is_refused() -> None:
    with pytest.raises(SourceError, match="no candidate 'neural_network'; the candidates are xgboost"):
        Choice(algorithms=("neural_network",)).options()
