"""What the commands share: options that mean the same everywhere, and one way to say what went wrong."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

FAILED = 1
REFUSED = 2
JUDGED_NO = 3
"""The gate's no where training ran as well: a Python that breaks down ends with 1, which a Job must tell apart."""
_KUBERNETES: Final = Path("/dev/termination-log")

TrackingUri = Annotated[
    str | None,
    typer.Option(
        help="MLflow server or database; MLFLOW_TRACKING_URI, or SQLite in --home, by default.", show_default=False
    ),
]
Home = Annotated[
    Path | None,
    typer.Option(
        help="Folder of everything written; PDX_HOME, or .pdx in the project's folder, by default.", show_default=False
    ),
]

ImageBase = Annotated[
    str | None,
    typer.Option(
        help="Image to build upon, best with its digest; docker.io/library/python:3.11-slim by default.",
        envvar="PDX_IMAGE_BASE",
        show_default=False,
    ),
]
ImageRegistry = Annotated[
    str,
    typer.Option(
        help="Where the image belongs: a registry, and a folder in it. Its name there is serving, training or rollout.",
        envvar="PDX_IMAGE_REGISTRY",
    ),
]
LOCAL: Final = "localhost/predictiondex"
"""The default of ``ImageRegistry``: nowhere that could be pushed to."""
ImageRepository = Annotated[
    str | None, typer.Option(help="Whole name of the image, without a tag, instead.", show_default=False)
]
ImageTool = Annotated[
    Literal["docker", "podman", "buildah"] | None,
    typer.Option(help="What builds; the first of them that answers, by default.", show_default=False),
]
ImageArchive = Annotated[
    Path | None,
    typer.Option(help="Write the image into this file too, as `docker save` does.", show_default=False),
]


class Bad(StrEnum):
    """What to do with rows that cannot be used."""

    REFUSE = "refuse"
    SET_ASIDE = "set-aside"


def tell(line: str) -> None:
    """Say one line of progress."""
    typer.echo(line)


def leave(sentence: str) -> None:
    """Leave the last word where ``kubectl describe`` shows it: in ``PDX_TERMINATION_LOG``, or Kubernetes' own file."""
    given = os.environ.get("PDX_TERMINATION_LOG")
    # Kubernetes mounts the file; made by us it would be a stray file in /dev of some other machine.
    target = Path(given) if given else _KUBERNETES if _KUBERNETES.exists() else None
    if target is not None:
        with suppress(OSError):
            target.write_text(f"{sentence}\n", "utf-8", errors="backslashreplace")


def _without_password(text: str) -> str:
    """A library's message may quote the URL it was given, with a password before its host or among its parameters."""
    text = re.sub(r"(\w://)\S*@", r"\1***@", text)
    return re.sub(r"([?&][^=&\s]*(?:password|passwd|pwd)=)[^&\s]*", r"\1***", text, flags=re.IGNORECASE)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn an error that a user can act on into its sentence on stderr and exit code 2; others keep their trace."""
    from mlflow.exceptions import MlflowException

    from bentos.errors import PredictionDexError
    from training.dataset.errors import DatasetError
    from training.export import ExportError
    from training.image_tool import ImageError
    from training.package import PackageError
    from training.registry import RegistryError
    from training.replays import GateError
    from training.settings import SettingsError
    from training.stable import StableError

    known = (
        DatasetError, ExportError, GateError, ImageError, MlflowException, PackageError, PredictionDexError,
        RegistryError, SettingsError, StableError,
    )  # fmt: skip
    try:
        yield
    except known as error:
        sentence = _without_password(str(error))
        typer.secho(sentence, fg=typer.colors.RED, err=True)
        leave(sentence)
        raise typer.Exit(REFUSED) from error
