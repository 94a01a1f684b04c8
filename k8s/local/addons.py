"""What a platform adds to a bare cluster: names, metrics, gateway, Prometheus, storage."""

from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from k8s.local import build, parts, paths, progress
from k8s.local.errors import ClusterError, Missing, NotReady
from k8s.local.kubectl import Kubectl

_READY_S: Final = 180
_SYSTEM: Final = "kube-system"


@dataclass(frozen=True)
class Addon:
    """One line of progress.

    Attributes:
        name: what people call it.
        manifests: files under ``manifests/``.
        namespace: where its pods are.
        ready: words for kubectl that end when it is ready.
    """

    name: str
    manifests: tuple[str, ...]
    namespace: str
    ready: tuple[tuple[str, ...], ...]


def _rollout(name: str) -> tuple[str, ...]:
    return ("rollout", "status", f"deployment/{name}")


def _condition(condition: str, thing: str) -> tuple[str, ...]:
    return ("wait", f"--for=condition={condition}", thing)


COREDNS: Final = Addon("CoreDNS", ("coredns",), _SYSTEM, (_rollout("coredns"),))
EVERYWHERE: Final = (
    Addon(
        "Traefik and its Gateway",
        ("traefik", "gateway"),
        "gateway",
        (_rollout("traefik"), _condition("Programmed", "gateway/gateway")),
    ),
    Addon("Prometheus Operator", ("prometheus-operator",), "monitoring", (_rollout("prometheus-operator"),)),
    Addon(
        "Prometheus and Alertmanager",
        ("prometheus",),
        "monitoring",
        (_condition("Available", "prometheus/prometheus"), _condition("Available", "alertmanager/alertmanager")),
    ),
    Addon(
        "metrics-server",
        ("metrics-server",),
        _SYSTEM,
        (_rollout("metrics-server"), _condition("Available", "apiservice/v1beta1.metrics.k8s.io")),
    ),
    Addon(
        "prometheus-adapter",
        ("prometheus-adapter",),
        "monitoring",
        (_rollout("prometheus-adapter"), _condition("Available", "apiservice/v1beta1.custom.metrics.k8s.io")),
    ),
)


def definitions(kubectl: Kubectl) -> None:
    """Apply the custom resource definitions, and the operator's role, which is of the same release."""
    files = [path for part in (parts.GATEWAY_API, parts.OPERATOR) for path in _files(build.folder(part) / "files")]
    kubectl.apply("\n---\n".join(path.read_text() for path in files))
    kubectl("wait", "--for=condition=Established", "customresourcedefinitions", "--all", "--timeout=60s", timeout_s=90)


def refuse(kubectl: Kubectl) -> None:
    """A cluster that has addons does not become bare.

    Raises:
        Missing: it has custom resource definitions, which come first of all that is added.
    """
    if kubectl("get", "customresourcedefinitions", "--output=name").strip():
        raise Missing("The cluster that is up is not bare; `make cluster-down` takes it down.")


def apply(kubectl: Kubectl, addons: tuple[Addon, ...], values: dict[str, str]) -> None:
    """Apply every addon at once, so that they start beside each other.

    Args:
        kubectl: of the cluster.
        addons: what to apply.
        values: what stands in the manifests for ``${name}``.
    """
    names = [name for addon in addons for name in addon.manifests]
    if any(addon.namespace != _SYSTEM for addon in addons):
        names.insert(0, "namespaces")
    kubectl.apply("\n---\n".join(manifest(name, values) for name in names))


def wait(kubectl: Kubectl, addons: tuple[Addon, ...]) -> None:
    """Wait for one after the other.

    Raises:
        NotReady: names the addon and the command that shows why.
    """
    for addon in addons:
        with progress.part(addon.name):
            for words in addon.ready:
                _wait(kubectl, addon, words)


def manifest(name: str, values: dict[str, str]) -> str:
    """Text of a manifest with every variable replaced; one without a value is a ``KeyError``."""
    return Template((paths.MANIFESTS / f"{name}.yaml").read_text()).substitute(values)


def _wait(kubectl: Kubectl, addon: Addon, words: tuple[str, ...]) -> None:
    try:
        kubectl(*words, f"--namespace={addon.namespace}", f"--timeout={_READY_S}s", timeout_s=_READY_S + 30)
    except ClusterError as error:
        look = f"{paths.PROGRAMS.relative_to(paths.ROOT)}/kubectl -n {addon.namespace} describe pods"
        raise NotReady(f"{addon.name} is not ready ({error}); `{look}` shows why.") from None


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml"))
