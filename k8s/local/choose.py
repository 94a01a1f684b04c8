"""Which cluster is meant: the one of the kubeconfig when asked for, kind where it is there, else a single node."""

import os
import shutil
from enum import StrEnum
from typing import Final

from k8s.local import paths
from k8s.local.commands import succeeds
from k8s.local.errors import Missing

VARIABLE: Final = "CLUSTER"


class Mode(StrEnum):
    """The kinds of cluster."""

    CURRENT = "current"
    KIND = "kind"
    NODE = "node"


def mode() -> Mode:
    """The cluster that ``make cluster`` brings up.

    Raises:
        Missing: CLUSTER is no known word, or names what is not there.
    """
    asked = os.environ.get(VARIABLE, "")
    if asked and asked not in set(Mode):
        raise Missing(f"{VARIABLE}={asked} is unknown; it is {', '.join(Mode)}, or nothing for what is there.")
    if asked == Mode.KIND and not has_kind():
        raise Missing(f"{VARIABLE}=kind needs kind, and a Docker engine that answers.")
    if asked:
        return Mode(asked)
    # A cluster that is up is the one that is meant.
    return running() or (Mode.KIND if has_kind() else Mode.NODE)


def running() -> Mode | None:
    """What the last ``up`` of this checkout brought up, unless it was taken down."""
    try:
        return Mode(paths.MODE.read_text().strip())
    except (FileNotFoundError, ValueError):
        return None


def remember(chosen: Mode) -> None:
    """Note for ``down`` what there is to take down."""
    paths.STATE.mkdir(parents=True, exist_ok=True)
    paths.MODE.write_text(f"{chosen}\n")


def forget() -> None:
    """There is nothing any more."""
    paths.MODE.unlink(missing_ok=True)
    paths.KUBECONFIG.unlink(missing_ok=True)


def has_kind() -> bool:
    """Whether kind is there, and an engine, not only its client."""
    return bool(shutil.which("kind")) and succeeds("docker", "info", timeout_s=30)
