"""From a bundle to a bento: the serving code, its pinned requirements, and the bundle by its exact tag."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training.folder import recover

PROJECT: Final = Path(__file__).parent.parent
_SECONDS: Final = 300


class PackageError(Exception):
    """The bento cannot be built; one sentence says why."""


@dataclass(frozen=True, slots=True)
class Package:
    """What was built.

    Attributes:
        model: tag of the bundle in BentoML's model store.
        bento: tag of the bento, which names that model.
        folder: where the bento is stored.
    """

    model: str
    bento: str
    folder: Path


def package(bundle: Path, bentoml_home: Path | None = None, project: Path = PROJECT) -> Package:
    """Store the bundle and build the bento, both once: what is there already is found again.

    Takes seconds and asks no other machine.

    Args:
        bundle: the folder of the bundle.
        bentoml_home: BentoML's home; ``BENTOML_HOME`` by default, which ``training.settings.resolve`` sets.
        project: the folder of ``bentofile.yaml``.

    Raises:
        PackageError: the bundle is not what was packed, the project has no bentofile or lock, or BentoML refuses or
            takes longer than five minutes.
    """
    for needed in ("bentofile.yaml", "requirements/serving.txt"):
        if not (project / needed).is_file():
            raise PackageError(f"{project} has no {needed}, which a bento is built from.")
    home = (bentoml_home or Path(os.environ["BENTOML_HOME"])).absolute()
    home.mkdir(parents=True, exist_ok=True)
    recover(bundle)
    with tempfile.TemporaryDirectory(prefix="pdx-package-") as scratch:
        try:
            done = subprocess.run(  # noqa: S603  our own module
                [sys.executable, "-m", "training.bento", str(bundle.absolute())],
                cwd=project,
                env=_environment(home, Path(scratch)),
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PackageError(f"The bento was not built within {_SECONDS} s; run it again to start anew.") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise PackageError(lines[-1] if lines else f"BentoML ended with status {done.returncode}.")
    tags = json.loads(done.stdout.splitlines()[-1])
    return Package(tags["model"], tags["bento"], home / "bentos" / tags["bento"].replace(":", "/"))


def _environment(bentoml_home: Path, scratch: Path) -> dict[str, str]:
    """BentoML downloads uv when it finds none, even where nothing is locked and uv is never called: show it one."""
    uv = scratch / "uv"
    uv.write_text("#!/bin/sh\necho 'nothing is to be locked' >&2\nexit 1\n")
    uv.chmod(0o755)
    return {
        **os.environ,
        "PATH": os.pathsep.join(filter(None, [os.environ.get("PATH"), str(scratch)])),
        "BENTOML_HOME": str(bentoml_home),
        "BENTOML_DO_NOT_TRACK": "True",
    }
