"""Where the bundle of this process lies: in the folder that was named, or in the bento that holds this code."""

import os
from pathlib import Path
from typing import Final

from bentos.errors import SettingsError
from bentos.settings import Settings

_MANIFEST: Final = "bento.yaml"


def bundle_folder(settings: Settings, code: Path = Path(__file__).parent) -> Path:
    """Folder of the bundle to serve.

    Without a setting it is the model that the bento's manifest names by its exact tag, in the bento's own model store
    (an exported bento and the image carry it) or else in that of ``BENTOML_HOME`` (a bento that was just built).

    Args:
        settings: whose ``bundle`` comes first.
        code: folder of this package; a bento has it in ``src``, beside its manifest's folder.

    Raises:
        SettingsError: none is named and the code lies in no bento, or the bento has not got exactly one model.
    """
    if settings.bundle is not None:
        return settings.bundle
    bento = code.parent.parent
    if not (bento / _MANIFEST).is_file():
        raise SettingsError("No bundle is named: set PDX_BUNDLE or --bundle to its folder.")
    tags = _model_tags(bento / _MANIFEST)
    if len(tags) != 1:
        raise SettingsError(f"The bento has {len(tags)} models, and exactly one is served.")
    name, _, version = tags[0].partition(":")
    home = Path(os.environ.get("BENTOML_HOME") or Path.home() / "bentoml")
    for store in (bento / "models", home / "models"):
        if (store / name / version).is_dir():
            return store / name / version
    raise SettingsError(f"The bento's model {tags[0]} is neither in the bento nor in BentoML's model store.")


def _model_tags(manifest: Path) -> list[str]:
    import yaml  # noqa: PLC0415  only a bento started by itself has a manifest to read

    table = yaml.safe_load(manifest.read_text("utf-8"))
    models = [*table.get("models", []), *(m for s in table.get("services", []) for m in s.get("models", []))]
    return sorted({model["tag"] for model in models})
