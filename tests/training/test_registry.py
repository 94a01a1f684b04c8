"""The registry on a real MLflow, through its database and through its server."""

from pathlib import Path

import numpy as np
import pytest

from tests.tracking import log_run, model_name
from training.registry import REPLACED_TAG, Registry, RegistryError, UnknownVersion


@pytest.fixture(params=["tracking_database", "tracking_server"])
def registry(request: pytest.FixtureRequest) -> Registry:
    return Registry(request.getfixturevalue(request.param), model_name())


def test_empty_registry_has_neither_newest_nor_champion(registry: Registry) -> None:
    assert registry.newest() is None
    assert registry.champion() is None
    assert registry.previous() is None


def test_versions_count_up_and_the_alias_names_one(registry: Registry, dummy_export: Path) -> None:
    runs = [log_run(registry.tracking_uri, dummy_export) for _ in range(2)]
    assert [registry.register(run) for run in runs] == ["1", "2"]
    assert registry.newest() == "2"
    assert registry.champion() is None
    registry.point_champion_at("1")
    assert registry.champion() == "1"
    assert registry.version("1").run_id == runs[0]


def test_registering_a_run_again_keeps_its_version(registry: Registry, dummy_export: Path) -> None:
    run = log_run(registry.tracking_uri, dummy_export)
    assert registry.register(run) == registry.register(run) == "1"


def test_export_is_downloaded_once_and_whole(registry: Registry, dummy_export: Path, tmp_path: Path) -> None:
    (dummy_export / "model.onnx").write_bytes(b"\x00\x01")
    number = registry.register(log_run(registry.tracking_uri, dummy_export))
    folder = registry.export_folder(number, tmp_path / "cache")
    assert {file.name for file in folder.iterdir()} == {"contract.draft.json", "model.onnx"}
    assert (folder / "model.onnx").read_bytes() == b"\x00\x01"
    (folder / "model.onnx").write_bytes(b"kept")
    assert registry.export_folder(number, tmp_path / "cache") == folder
    assert (folder / "model.onnx").read_bytes() == b"kept"
    assert not list(folder.parent.glob(".download-*"))


def test_run_without_an_export_is_refused(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="has no exported model"):
        registry.register(log_run(registry.tracking_uri, None))
    assert registry.newest() is None


def test_unknown_run_is_refused(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="There is no run"):
        registry.register("0" * 32)


@pytest.mark.parametrize("number", ["9", "latest", ""])
def test_unknown_version_names_the_newest(registry: Registry, dummy_export: Path, number: str) -> None:
    registry.register(log_run(registry.tracking_uri, dummy_export))
    with pytest.raises(UnknownVersion, match=r"the newest is 1\."):
        registry.version(number)


def test_tags_and_documents_come_back(registry: Registry, dummy_export: Path, tmp_path: Path) -> None:
    number = registry.register(log_run(registry.tracking_uri, dummy_export))
    registry.tag(number, {"gate.verdict": "yes", REPLACED_TAG: "none"})
    assert registry.version(number).tags == {"gate.verdict": "yes", REPLACED_TAG: "none"}
    assert registry.read_artifact(number, "gate.json", tmp_path) is None
    registry.log_json(number, {"a": 1}, "gate.json")
    registry.log_json(number, {"a": 2}, "gate.json")
    assert b'"a": 2' in (registry.read_artifact(number, "gate.json", tmp_path) or b"")


def test_source_is_the_logged_model_where_there_is_one(
    tracking_database: str, dummy_export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.dummy import DummyRegressor

    run_id = log_run(tracking_database, dummy_export)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_database)
    mlflow.set_tracking_uri(tracking_database)
    x = np.zeros((2, 1))
    with mlflow.start_run(run_id=run_id):
        model = DummyRegressor(strategy="constant", constant=7).fit(x, [0, 1])
        mlflow.sklearn.log_model(model, name="model", signature=infer_signature(x, [7.0]), pip_requirements=[])
    registry = Registry(tracking_database, model_name())
    number = registry.register(run_id)
    assert mlflow.pyfunc.load_model(f"models:/{registry.name}/{number}").predict(x).tolist() == [7, 7]
