"""The cluster by kind, where Docker is: the same addons from the same archives in a node that kind makes."""

import json
from typing import Final

from k8s.local import addons, build, choose, images, packages, parts, paths, progress, tools, up
from k8s.local.commands import run
from k8s.local.kubectl import Kubectl

NAME: Final = "predictiondex"
# The gateway's ports, on this machine's loopback as with the single node.
PORTS: Final = (7080, 7081, 7082)
_CREATED_S: Final = 600
# kind brings names and storage of its own, and its own image for pods' namespaces.
_ITS_OWN: Final = frozenset({"coredns", "pause"})


def up_in_kind(bare: bool = False) -> None:
    """Have the kind cluster and its addons running, and the kubeconfig written; ``bare`` leaves the addons out.

    Raises:
        Missing: it is to be bare and has addons.
        ClusterError: kind, Docker or a part failed.
    """
    with up.machine_lock():
        tools.ensure("kubectl")
        if not bare:
            packages.ensure("prometheus-alertmanager")
            for part in (parts.PROBE, *parts.ADDONS):
                build.ensure(part)
            build.traefik()
        paths.STATE.mkdir(parents=True, exist_ok=True)
        if not is_there():
            with progress.part("kind"):
                _kind("create", "cluster", "--wait=120s", "--config=-", stdin=json.dumps(_configuration()))
        _kind("export", "kubeconfig")
        kubectl = Kubectl(paths.KUBECONFIG)
        if bare:
            addons.refuse(kubectl)
            return
        made = [image for image in images.of_parts() if image.name not in _ITS_OWN]
        with progress.part("images"):
            for image in made:
                load(str(images.archive(image)))
        with progress.part("custom resource definitions"):
            addons.definitions(kubectl)
        addons.apply(kubectl, addons.EVERYWHERE, up.values(made))
        addons.wait(kubectl, addons.EVERYWHERE)


def load(archive: str) -> None:
    """Give an image archive to the node."""
    run("kind", "load", "image-archive", archive, f"--name={NAME}", timeout_s=_CREATED_S)


def is_there() -> bool:
    """Whether kind has the cluster, whichever checkout made it."""
    return choose.has_kind() and NAME in run("kind", "get", "clusters").split()


def down() -> None:
    """Delete the cluster; kind takes everything of it away."""
    _kind("delete", "cluster")


def _kind(*words: str, stdin: str | None = None) -> None:
    run("kind", *words, f"--name={NAME}", f"--kubeconfig={paths.KUBECONFIG}", stdin=stdin, timeout_s=_CREATED_S)


def _configuration() -> dict[str, object]:
    mappings = [{"containerPort": port, "hostPort": port, "listenAddress": "127.0.0.1"} for port in PORTS]
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane", "extraPortMappings": mappings}],
    }
