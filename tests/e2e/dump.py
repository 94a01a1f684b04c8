"""What a namespace looks like when a test has failed: events, objects, descriptions, logs and releases."""

import json
from pathlib import Path
from typing import Final

from k8s.local.errors import ClusterError
from tests.e2e.cluster import Namespace

_SHOWN: Final = 60
"""Lines of each file that stand in the report; the whole is in the folder."""
_TIME: Final = "--sort-by=.metadata.creationTimestamp"


def write(space: Namespace, folder: Path) -> str:
    """Write everything into ``folder``; returns the ends of what is most telling."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = [f"{space.name}: all of it is in {folder}"]
    for name, words in {
        "events": ("get", "events", _TIME, "--output=wide"),
        "objects": ("get", "all,endpointslices,hpa,pdb,networkpolicies,configmaps,pvc", "--output=wide"),
        "describe": ("describe", "deployments,replicasets,statefulsets,jobs,pods,hpa,pdb"),
        "yaml": ("get", "deployments,replicasets,pods,services,hpa,pdb", "--output=yaml"),
    }.items():
        text = _said(space, *words)
        (folder / f"{name}.txt").write_text(text)
        if name in {"events", "objects"}:
            shown.append(_end(name, text))
    for pod in _names(space, "pods"):
        for suffix, option in (("", ()), ("-previous", ("--previous",))):
            text = _said(space, "logs", pod, "--all-containers", "--prefix", "--tail=2000", *option)
            if suffix and "not found" in text:
                continue
            (folder / f"log-{pod}{suffix}.txt").write_text(text)
            shown.append(_end(f"log of {pod}{suffix}", text, 15))
    listed = space.tried("list", "--all", "--output", "json")
    for release in json.loads(listed.stdout) if listed.status == 0 else []:
        done = [space.tried(*words, release["name"]) for words in (("status",), ("history",), ("get", "values"))]
        (folder / f"release-{release['name']}.txt").write_text("\n".join(each.stdout + each.stderr for each in done))
        shown.append(_end(f"history of {release['name']}", done[1].stdout))
    return "\n".join(shown)


def _said(space: Namespace, *words: str) -> str:
    try:
        return space.kubectl(*words)
    except ClusterError as error:
        return f"{error}\n"


def _names(space: Namespace, kind: str) -> list[str]:
    return _said(space, "get", kind, "--output=jsonpath={.items[*].metadata.name}").split()


def _end(name: str, text: str, lines: int = _SHOWN) -> str:
    return f"--- {name}\n" + "\n".join(text.splitlines()[-lines:])
