"""What several tests of training need: MLflow, once a session, since its first start takes seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import postgres  # noqa: F401  (a fixture)
from tests.tracking import mlflow_server


@pytest.fixture(scope="session", autouse=True)
def few_requests() -> Iterator[None]:
    """Ask 1,000 requests for an expectation, where a release asks 50,000."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PDX_GATE_REQUESTS", "1000")
        yield


@pytest.fixture(scope="session")
def tracking_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URI of a SQLite database; use a model name of your own in it."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(scope="session")
def tracking_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of a running ``mlflow server``; use a model name of your own in it."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow-server")) as uri:
        yield uri


@pytest.fixture
def dummy_export(tmp_path: Path) -> Path:
    """A folder with just the file by which an export is known."""
    folder = tmp_path / "dummy"
    folder.mkdir()
    (folder / "contract.draft.json").write_text("{}")
    return folder
