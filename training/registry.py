"""The registry of trained models: versions of one registered model in MLflow, and the alias that names the champion.

RegistryError                   the registry cannot do what was asked; one sentence says why
├── UnknownVersion              there is no such version
└── PromotionRefused            the alias stays where it is
    └── PromotionConflict       because somebody else promotes, or promoted, at the same time
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
    ErrorCode,
)

from training.settings import CHAMPION, MODEL_NAME
from training.verdict import NO_VERSION

EXPORT = "export"
DRAFT = "contract.draft.json"
READY_WITHIN_S = 300
REPLACED_TAG = "promotion.replaced"


class RegistryError(Exception):
    """The registry cannot do what was asked."""


class UnknownVersion(RegistryError):
    """There is no such version."""


class PromotionRefused(RegistryError):
    """The alias stays where it is."""


class PromotionConflict(PromotionRefused):
    """Somebody else promotes, or promoted, at the same time."""


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version.

    Attributes:
        number: as MLflow counts, from 1.
        run_id: the run whose export it is.
        tags: as they are now.
    """

    number: str
    run_id: str
    tags: Mapping[str, str]


def _is(error: MlflowException, *codes: "ErrorCode.ValueType") -> bool:
    return error.error_code in {ErrorCode.Name(code) for code in codes}


class Registry:
    """One registered model of one tracking server.

    MLflow's own errors (no connection, no permission) pass through as ``MlflowException``; what a user can get wrong
    is a ``RegistryError``.
    """

    def __init__(self, tracking_uri: str, name: str = MODEL_NAME) -> None:
        self.tracking_uri = tracking_uri
        self.name = name
        self._client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)

    def _model(self) -> RegisteredModel | None:
        try:
            return self._client.get_registered_model(self.name)
        except MlflowException as error:
            if _is(error, RESOURCE_DOES_NOT_EXIST):
                return None
            raise

    def register(self, run_id: str) -> str:
        """Make a version of a run's export and wait until MLflow says it is ready; returns its number.

        The source is the model the run logged, so that MLflow's own loaders work on the version, or the export
        folder where it logged none. A run that was registered before keeps its version.

        Raises:
            RegistryError: the run does not exist or has no export.
        """
        try:
            run = self._client.get_run(run_id)
            exported = {Path(file.path).name for file in self._client.list_artifacts(run_id, EXPORT)}
        except MlflowException as error:
            if _is(error, RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE):
                raise RegistryError(f"There is no run {run_id}.") from error
            raise
        if DRAFT not in exported:
            raise RegistryError(f"Run {run_id} has no exported model, so there is nothing to register.")
        for known in self._client.search_model_versions(f"name='{self.name}' and run_id='{run_id}'", max_results=1):
            return str(known.version)
        try:
            self._client.create_registered_model(self.name)
        except MlflowException as error:
            if not _is(error, RESOURCE_ALREADY_EXISTS):
                raise
        logged = [output.model_id for output in run.outputs.model_outputs] if run.outputs else []
        model_id = logged[-1] if logged else None
        source = f"models:/{model_id}" if model_id else f"{run.info.artifact_uri}/{EXPORT}"
        made = self._client.create_model_version(
            self.name, source, run_id, model_id=model_id, await_creation_for=READY_WITHIN_S
        )
        return str(made.version)

    def version(self, number: str) -> Version:
        """Look a version up.

        Raises:
            UnknownVersion: there is none of this number.
        """
        try:
            found = self._client.get_model_version(self.name, number)
        except MlflowException as error:
            if _is(error, RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE):
                newest = self.newest()
                known = f"the newest is {newest}" if newest else "none is registered yet"
                raise UnknownVersion(f"There is no version {number} of {self.name}; {known}.") from error
            raise
        return Version(str(found.version), str(found.run_id), dict(found.tags))

    def newest(self) -> str | None:
        """Number of the version registered last, None where there is none."""
        found = self._client.search_model_versions(
            f"name='{self.name}'", order_by=["version_number DESC"], max_results=1
        )
        return str(found[0].version) if found else None

    def champion(self) -> str | None:
        """Number of the version the alias ``champion`` names, None where there is none."""
        model = self._model()
        number = model.aliases.get(CHAMPION) if model else None
        return None if number is None else str(number)

    def previous(self) -> str | None:
        """The version that the champion replaced, None where there is none: where one command goes back to."""
        champion = self.champion()
        replaced = self.version(champion).tags.get(REPLACED_TAG) if champion else None
        return None if replaced == NO_VERSION else replaced

    def point_champion_at(self, number: str) -> None:
        """Move the alias, unconditionally; ``training.promote`` is the door that asks first."""
        self._client.set_registered_model_alias(self.name, CHAMPION, number)

    def export_folder(self, number: str, cache: Path) -> Path:
        """The version's export on this machine, downloaded into ``cache`` unless it is there already.

        Folders are kept by run, which names an export for ever, and appear in one step: a download that was cut off
        leaves nothing that could be taken for an export.

        Raises:
            UnknownVersion: there is none of this number.
            RegistryError: its run no longer has the export.
        """
        run_id = self.version(number).run_id
        folder = cache / run_id / EXPORT
        if folder.is_dir():
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".download-") as scratch:
            try:
                # The artifacts' own client would ask the default tracking server for relative locations.
                downloaded = Path(self._client.download_artifacts(run_id, EXPORT, scratch))
            except (MlflowException, OSError) as error:
                raise RegistryError(f"The export of version {number} cannot be downloaded: {error}") from error
            if not (downloaded / DRAFT).is_file():
                raise RegistryError(f"The export of version {number} has no {DRAFT}.")
            try:
                downloaded.rename(folder)
            except OSError:
                if not folder.is_dir():  # unless another process was faster, whose copy is as good
                    raise
        return folder

    def tag(self, number: str, tags: Mapping[str, str]) -> None:
        """Set tags on a version, in the given order."""
        for key, value in tags.items():
            self._client.set_model_version_tag(self.name, number, key, value)

    def log_json(self, number: str, document: dict[str, Any], file: str) -> None:
        """Log a document as an artifact of the version's run, replacing one of that name."""
        self._client.log_dict(self.version(number).run_id, document, file)

    def read_artifact(self, number: str, file: str, cache: Path) -> bytes | None:
        """Read one artifact file of the version's run; None where the run has no such file."""
        run_id = self.version(number).run_id
        if file not in {found.path for found in self._client.list_artifacts(run_id)}:
            return None
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as scratch:
            return Path(self._client.download_artifacts(run_id, file, scratch)).read_bytes()

    def model_tags(self) -> dict[str, str]:
        """Tags of the registered model as they are now.

        Raises:
            RegistryError: nothing was ever registered.
        """
        model = self._model()
        if model is None:
            raise RegistryError(f"No version of {self.name} is registered yet.")
        return dict(model.tags)

    def set_model_tag(self, key: str, value: str) -> None:
        """Set a tag on the registered model."""
        self._client.set_registered_model_tag(self.name, key, value)

    def delete_model_tag(self, key: str) -> None:
        """Delete a tag of the registered model; deleting one that is gone is no error."""
        try:
            self._client.delete_registered_model_tag(self.name, key)
        except MlflowException as error:
            if not _is(error, RESOURCE_DOES_NOT_EXIST):
                raise
