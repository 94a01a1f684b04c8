"""Static ``local`` volumes: folders of the node. What a released one held is wiped when the cluster is brought up."""

import shutil
from pathlib import Path
from typing import Final

from k8s.local import addons, node, paths
from k8s.local.kubectl import Kubectl

COUNT: Final = 6
FOLDER: Final = paths.DATA / "volumes"
_EVERYONE: Final = 0o777  # pods write as whatever user their image has


def ensure(kubectl: Kubectl) -> None:
    """Have ``COUNT`` volumes that are either bound or free, and the storage class that gives them out."""
    kubectl.apply(addons.manifest("storage", {}))
    there = {
        item["metadata"]["name"]: item["status"].get("phase") for item in kubectl.get("persistentvolumes")["items"]
    }
    documents = []
    for number in range(1, COUNT + 1):
        name = f"local-{number}"
        if there.get(name) in {"Released", "Failed"}:
            kubectl("delete", "persistentvolume", name)
            _wipe(FOLDER / name)
        elif there.get(name):
            continue
        else:
            _wipe(FOLDER / name)
        documents.append(addons.manifest("volume", {"name": name, "path": str(FOLDER / name), "node": node.NAME}))
    if documents:
        kubectl.apply("\n---\n".join(documents))


def _wipe(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    folder.chmod(_EVERYONE)
