"""The cluster that ``make cluster`` brought up, and the kubectl and helm that a person has."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import kubernetes.client
import kubernetes.config
import yaml

from k8s.local import choose, images, kind, packages, paths, tools
from k8s.local.choose import Mode
from k8s.local.commands import run, succeeds, wait
from k8s.local.errors import Missing
from k8s.local.kubectl import Kubectl

HELM_S: Final = 400
"""Longer than Helm's own limit, 300 s."""
_DELETED_S: Final = 180


class Done(NamedTuple):
    """What a command came to."""

    status: int
    stdout: str
    stderr: str
    seconds: float


@dataclass(frozen=True)
class Cluster:
    """A cluster, and how it is reached.

    Attributes:
        kubectl: calls kubectl; raises ``ClusterError`` with its own word.
        core: the Kubernetes client's core API; ``apps`` and ``discovery`` likewise.
    """

    kubectl: Kubectl
    core: Any
    apps: Any
    discovery: Any

    def helm(self, *words: str | Path, timeout_s: float = HELM_S) -> Done:
        """Run helm; the status is the caller's to look at."""
        start = time.monotonic()
        command = [str(tools.path("helm")), f"--kubeconfig={paths.KUBECONFIG}", *map(str, words)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout_s)
        return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - start)


def connect(*, bare: bool = False) -> Cluster:
    """The cluster that is up; ``bare`` takes one without addons too.

    Raises:
        Missing: there is none that images can be given to, it does not answer, it is bare, or helm or kubectl is
            missing.
    """
    mode = choose.running()
    if mode is None:
        raise Missing("There is no cluster; `make cluster` brings one up.")
    if mode is Mode.CURRENT:
        raise Missing("CLUSTER=current has no way to take images without a registry; kind and node have.")
    for name in ("helm", "kubectl"):
        if not tools.path(name).exists():
            raise Missing(f"{name} is missing; `make tools` brings it.")
    kubectl = Kubectl(paths.KUBECONFIG)
    if not succeeds(*kubectl.start, "get", "--raw", "/readyz", timeout_s=30):
        raise Missing("The cluster does not answer; `make cluster` mends it.")
    if not bare and "gateway.networking.k8s.io/" not in kubectl("api-versions"):
        raise Missing("The cluster is bare; `make cluster` gives it the rest.")
    api = kubernetes.config.new_client_from_config(str(paths.KUBECONFIG))  # type: ignore[no-untyped-call]
    return Cluster(
        kubectl,
        kubernetes.client.CoreV1Api(api),
        kubernetes.client.AppsV1Api(api),
        kubernetes.client.DiscoveryV1Api(api),
    )


def kill(container: str, signal: str = "SIGKILL") -> None:
    """A signal for a container by its id, from the node: process 1 takes few from inside of its container."""
    task = container.removeprefix("containerd://")
    words = ("--namespace", images.NAMESPACE, "tasks", "kill", "--signal", signal, task)
    if choose.running() is Mode.KIND:
        run("docker", "exec", f"{kind.NAME}-control-plane", "ctr", *words)
    else:
        run(packages.program("ctr"), "--address", paths.CONTAINERD, *words)


@dataclass
class Namespace:
    """A namespace of the tests' own, in which the ``restricted`` Pod Security standard is enforced.

    Attributes:
        cluster: where it is.
        name: of the namespace.
        folder: an empty folder, for values and records.
    """

    cluster: Cluster
    name: str
    folder: Path
    _files: int = field(default=0, init=False)

    def kubectl(self, *words: str, stdin: str | None = None, timeout_s: float = 60) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl(f"--namespace={self.name}", *words, stdin=stdin, timeout_s=timeout_s)

    def get(self, *words: str) -> dict[str, Any]:
        """Objects as kubectl has them in JSON."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *words, "--output=json"))
        return found

    def items(self, *words: str) -> list[dict[str, Any]]:
        """The objects of a list."""
        found: list[dict[str, Any]] = self.get(*words)["items"]
        return found

    def tried(self, *words: str | Path) -> Done:
        """Run helm in the namespace, whatever its status."""
        return self.cluster.helm(*words, "--namespace", self.name)

    def helm(self, *words: str | Path) -> Done:
        """Run helm in the namespace; its status has to be 0."""
        done = self.tried(*words)
        assert done.status == 0, f"helm {words[0]} ended with {done.status}:\n{done.stdout}\n{done.stderr}"
        return done

    def values(self, values: dict[str, Any]) -> Path:
        """Write values for helm into a file."""
        self._files += 1
        path = self.folder / f"values-{self._files}.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    def logs(self, pod: str, *words: str) -> str:
        """The log of a pod."""
        return self.kubectl("logs", pod, *words)


def until(what: str, true: Callable[[], bool], within_s: float = 60, poll_s: float = 0.2) -> None:
    """Poll until it is true; raises ``NotReady`` after ``within_s`` seconds."""
    wait(what, true, within_s, poll_s)


@contextmanager
def namespace(cluster: Cluster, name: str, folder: Path) -> Iterator[Namespace]:
    """A namespace that is there for the block; it is being deleted afterwards."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
    labels["predictiondex.e2e"] = "yes"
    cluster.core.create_namespace({"metadata": {"name": name, "labels": labels}})
    try:
        yield Namespace(cluster, name, folder)
    finally:
        cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def gone(cluster: Cluster, names: list[str]) -> None:
    """Wait until namespaces are deleted."""

    def done() -> bool:
        there = {each.metadata.name for each in cluster.core.list_namespace().items}
        return not there & set(names)

    until(f"Deletion of {', '.join(names)}", done, _DELETED_S, poll_s=1)
