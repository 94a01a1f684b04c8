"""A cluster that is somebody's: used as it is. Nothing is installed into it, what it lacks is said."""

from typing import Final

from k8s.local import paths, progress, tools
from k8s.local.commands import run
from k8s.local.errors import ClusterError, Missing

# API groups that the charts and their tests can use, and who serves them.
GROUPS: Final = {
    "metrics.k8s.io": "metrics-server",
    "custom.metrics.k8s.io": "prometheus-adapter",
    "gateway.networking.k8s.io": "Gateway API",
    "monitoring.coreos.com": "Prometheus Operator",
}


def use(bare: bool = False) -> None:
    """Write the current context of the person's kubeconfig as the cluster's, and say what it lacks.

    Raises:
        Missing: there is no such cluster, it does not answer, or a bare one is asked for.
    """
    if bare:
        raise Missing("The cluster of a kubeconfig is used as it is: --bare needs kind or a node of our own.")
    tools.ensure("kubectl")
    kubectl = tools.path("kubectl")
    try:
        text = run(kubectl, "config", "view", "--minify", "--flatten", "--raw")
        versions = run(kubectl, "api-versions", timeout_s=30)
    except ClusterError as error:
        raise Missing(f"The current kubeconfig leads to no cluster that answers: {error}") from None
    paths.STATE.mkdir(parents=True, exist_ok=True)
    paths.KUBECONFIG.touch(0o600)
    paths.KUBECONFIG.write_text(text)
    for lacking in lacks(versions):
        progress.say(f"  it has no {lacking}: what needs it is off")


def lacks(versions: str) -> list[str]:
    """Who is missing, by what ``kubectl api-versions`` said."""
    there = {line.partition("/")[0] for line in versions.split()}
    return [who for group, who in GROUPS.items() if group not in there]
