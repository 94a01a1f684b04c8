"""Brings the single node up. Each step leaves what is right alone, so that it heals what a crash left half done."""

import fcntl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from k8s.local import (
    addons,
    before,
    build,
    down,
    identity,
    images,
    node,
    packages,
    parts,
    paths,
    processes,
    progress,
    require,
    tools,
    volumes,
)
from k8s.local.commands import succeeds
from k8s.local.errors import Missing
from k8s.local.images import Image
from k8s.local.kubectl import Kubectl

_BARE: Final = (addons.COREDNS,)
_ADDONS: Final = (*_BARE, *addons.EVERYWHERE)
_LOCK: Final = Path("/run/lock/predictiondex")
_STARTS_S: Final = 60


def up(bare: bool = False) -> None:
    """Have the node and its addons running, and the kubeconfig written; ``bare`` leaves out all but CoreDNS.

    Raises:
        Missing: the machine lacks something, and nothing was started; or it is to be bare and has addons.
        BuildFailed: a part does not build.
        NotReady: a part did not come up.
    """
    require.machine()
    with machine_lock():
        packages.ensure()
        require.kernel()
        address = require.address()
        adopt(address)  # before the long builds, since it may refuse
        programs(bare)
        made = images.of_the_bare() if bare else images.of_parts()
        kubectl = _node(address, made)
        _write_kubeconfig()
        if bare:
            addons.refuse(kubectl)
            addons.apply(kubectl, _BARE, values(made))
            addons.wait(kubectl, _BARE)
            return
        with progress.part("custom resource definitions"):
            addons.definitions(kubectl)
        addons.apply(kubectl, _ADDONS, values(made))
        with progress.part(f"{volumes.COUNT} local volumes"):
            volumes.ensure(kubectl)
        addons.wait(kubectl, _ADDONS)


@contextmanager
def machine_lock() -> Iterator[None]:
    """One ``up`` or ``down`` at a time on this machine."""
    _LOCK.parent.mkdir(parents=True, exist_ok=True)
    with _LOCK.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Missing("Another `make cluster` or `make cluster-down` is at work; wait for its end.") from None
        yield


def programs(bare: bool = False) -> None:
    """Build what the cache lacks; ``bare`` leaves the addons out."""
    tools.ensure("kubectl")
    for part in parts.BARE if bare else (*parts.NODE, *parts.ADDONS):
        build.ensure(part)
    if not bare:
        build.traefik()


def values(made: list[Image]) -> dict[str, str]:
    """What stands in the manifests for each variable."""
    return {
        **{image.name.replace("-", "_"): image.reference for image in made},
        "dns": node.DNS,
        "prometheus_version": parts.PROMETHEUS.version,
        "alertmanager_version": images.alertmanager_version(),
    }


def adopt(address: str) -> None:
    """Go on with this checkout's node if there is one; clear away what is left of any other.

    Raises:
        Missing: another checkout's node runs, or something else has our ports.
    """
    ours, known = identity.current(address), identity.known()
    if known == ours:
        return
    if known and known.get("checkout") != ours["checkout"] and identity.of_this_boot() and _alive():
        raise Missing(f"The cluster of {known['checkout']} runs on this machine: `make cluster-down` takes it down.")
    if down.is_there():
        progress.say("What is left of an earlier cluster is cleared away:")
        down.clean()
    require.free_ports(require.PORTS)
    before.remember()
    identity.note(ours)


def _node(address: str, made: list[Image]) -> Kubectl:
    pause = next(image.reference for image in made if image.name == "pause")
    node.configure(address, pause)
    before.set_for_services()
    kubectl = Kubectl(paths.DATA / "admin.kubeconfig")
    with ThreadPoolExecutor(max_workers=1) as pool:
        with progress.part("etcd, containerd"):
            etcd, containerd = node.etcd(), node.containerd()
            etcd.ensure()
            containerd.ensure()
            containerd.wait("containerd", _containerd_answers, _STARTS_S)
            # It needs the disk while the API server needs the processor.
            loading = pool.submit(_load, made)
        with progress.part(f"Kubernetes {parts.KUBERNETES.version}"):
            _control_plane(kubectl, address)
        with progress.part("images"):
            loading.result()
        with progress.part("node"):
            node.kubelet(address).ensure()
            node.proxy().ensure()
            _registered(kubectl, address)
    return kubectl


def _control_plane(kubectl: Kubectl, address: str) -> None:
    apiserver = node.apiserver(address)
    apiserver.ensure()
    apiserver.wait("The API server", lambda: succeeds(*_ask(kubectl), "/readyz", timeout_s=10), _STARTS_S)
    node.controller_manager().ensure()
    node.scheduler().ensure()
    kubectl.apply((paths.MANIFESTS / "node-access.yaml").read_text())


def _registered(kubectl: Kubectl, address: str) -> None:
    agent = node.kubelet(address)
    agent.wait("The node's registration", lambda: succeeds(*_ask(kubectl), f"/api/v1/nodes/{node.NAME}"), _STARTS_S)
    kubectl("wait", "--for=condition=Ready", f"node/{node.NAME}", f"--timeout={_STARTS_S}s", timeout_s=_STARTS_S + 10)


def _ask(kubectl: Kubectl) -> tuple[str | Path, ...]:
    return (*kubectl.start, "get", "--raw")


def _containerd_answers() -> bool:
    return succeeds(packages.program("ctr"), "--address", paths.CONTAINERD, "version", timeout_s=10)


def _load(made: list[Image]) -> None:
    there = images.loaded()
    images.load([images.archive(image) for image in made if image.reference not in there])


def _write_kubeconfig() -> None:
    paths.STATE.mkdir(parents=True, exist_ok=True)
    paths.KUBECONFIG.touch(0o600)
    paths.KUBECONFIG.write_text(node.kubeconfig())


def _alive() -> bool:
    return any(processes.file_runs(file) for file in processes.PIDS.glob("*.json"))
