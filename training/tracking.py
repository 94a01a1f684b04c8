"""What a training run leaves in MLflow: one run a candidate under one run for the whole, each with all its figures."""

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any, Final

import mlflow
import numpy as np
import xgboost as xgb
from mlflow.models import infer_signature
from numpy.typing import NDArray
from skops.io import dumps, get_untrusted_types

from training.candidates import Fitted
from training.settings import EXPERIMENT, Settings

_LOGGED_MODEL: Final = "model"
_EXAMPLE_ROWS = 5
# Given, because MLflow would otherwise find them out by loading the model in another process.
_REQUIREMENTS: Final = ("numpy", "pandas", "scikit-learn", "xgboost")


def open_experiment(settings: Settings) -> None:
    """Point MLflow at the tracking server; where it is a database, artifacts go into the project's folder.

    A server keeps its own artifacts. MLflow's default beside a database is ``./mlruns``, wherever that is.
    """
    mlflow.set_tracking_uri(settings.tracking_uri)
    if settings.database and mlflow.get_experiment_by_name(EXPERIMENT) is None:
        mlflow.create_experiment(EXPERIMENT, artifact_location=(settings.home / "mlartifacts").as_uri())
    mlflow.set_experiment(EXPERIMENT)


@contextmanager
def run(name: str, tags: Mapping[str, str], *, nested: bool = False) -> Iterator[str]:
    """A run that is marked failed when the block raises; yields its id."""
    with mlflow.start_run(run_name=name, nested=nested, tags=dict(tags)) as active:
        yield str(active.info.run_id)


@contextmanager
def resume(run_id: str) -> Iterator[None]:
    """Go on in a run that was finished, within the one that is active."""
    with mlflow.start_run(run_id=run_id, nested=True):
        yield


def log_figures(params: Mapping[str, Any], metrics: Mapping[str, float], history: list[float]) -> None:
    """Log parameters, metrics, and the validation loss of each boosting round as one series."""
    mlflow.log_params(dict(params))
    mlflow.log_metrics(dict(metrics))
    run_id = mlflow.active_run().info.run_id  # type: ignore[union-attr]
    if history:
        client = mlflow.MlflowClient()
        series = [
            mlflow.entities.Metric("held_out_log_loss", loss, 0, step) for step, loss in enumerate(history, start=1)
        ]
        client.log_batch(run_id, metrics=series)


def log_folder(folder: Path, name: str) -> None:
    """Log every file of a folder under the artifact folder ``name``."""
    mlflow.log_artifacts(str(folder), name)


def log_text(text: str, name: str) -> None:
    """Log a text as one artifact file."""
    mlflow.log_text(text, name)


def log_environment() -> None:
    """Log the Python, the platform and the version of every distribution there is."""
    installed = sorted({f"{found.name}=={found.version}" for found in distributions()})
    lines = [f"# Python {platform.python_version()} on {platform.platform()}", *installed]
    mlflow.log_text("\n".join(lines) + "\n", "environment.txt")


def log_model(fitted: Fitted, x: NDArray[np.float32]) -> None:
    """Log the trained model in its own flavour with signature, input example and given requirements."""
    # A matrix, as the models were fitted on; the names of its columns are in the contract.
    example = x[:_EXAMPLE_ROWS]
    signature = infer_signature(example, fitted.predict(example))
    given = [f"{name}=={version(name)}" for name in _REQUIREMENTS]
    if isinstance(fitted.estimator, xgb.Booster):
        mlflow.xgboost.log_model(
            fitted.estimator,
            name=_LOGGED_MODEL,
            signature=signature,
            input_example=example,
            pip_requirements=given,
        )
    else:
        mlflow.sklearn.log_model(
            fitted.estimator,
            # Trees are stored as types that skops asks about first; these are of the model that was just trained here.
            skops_trusted_types=get_untrusted_types(data=dumps(fitted.estimator)),
            name=_LOGGED_MODEL,
            signature=signature,
            input_example=example,
            pip_requirements=given,
            pyfunc_predict_fn="predict_proba",
        )
