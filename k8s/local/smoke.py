"""Does the cluster do what a cluster should? Each check is a function of its own, which the tests call as well."""

import json
import re
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from k8s.local import addons, images, progress
from k8s.local.commands import wait
from k8s.local.errors import CheckFailed, ClusterError
from k8s.local.images import Image
from k8s.local.kubectl import Kubectl

NAMESPACE: Final = "smoke"
GATEWAY: Final = "http://127.0.0.1:7080/"
PROMETHEUS: Final = "/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy"
ALERTMANAGER: Final = "/api/v1/namespaces/monitoring/services/alertmanager-operated:9093/proxy"
REQUESTS: Final = 300
_WITHIN_S: Final = 90
_CANARY_SHARE: Final = (0.05, 0.15)  # of a weight of 10 in 100


def smoke(kubectl: Kubectl) -> None:
    """Run every check in a namespace that enforces the `restricted` Pod Security standard, and remove it.

    Raises:
        CheckFailed: says which and what was found.
    """
    image = next(image for image in images.of_parts() if image.name == "probe")
    try:
        with progress.part("pods under the restricted standard"):
            pods(kubectl, image)
        checks: tuple[tuple[str, Callable[[Kubectl], None]], ...] = (
            ("Pod Security refuses root", pod_security),
            ("names, and a volume", names_and_volume),
            ("kubectl top", top),
            ("HTTPRoute weights", weights),
            ("Prometheus scrapes pods and the gateway", scraped),
            ("custom metrics API", custom_metrics),
            ("Alertmanager", alertmanager),
        )
        for name, check in checks:
            with progress.part(name):
                check(kubectl)
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s", timeout_s=120)


def pods(kubectl: Kubectl, image: Image) -> None:
    """Start the probes: two that serve, one that looks up a name, one that writes to a volume."""
    values = {"probe": image.reference}
    tracks = [addons.manifest("smoke-track", {**values, "track": track}) for track in ("stable", "canary")]
    namespace = addons.manifest("smoke-namespace", values)
    kubectl.apply("\n---\n".join((namespace, addons.manifest("smoke", values), *tracks)))
    for name in ("stable", "canary"):
        kubectl(*_within("rollout", "status", f"deployment/{name}"), timeout_s=_WITHIN_S + 30)


def pod_security(kubectl: Kubectl) -> None:
    """A pod that asks for privileges is refused by the API server."""
    container = {"name": "pod", "image": "none", "securityContext": {"privileged": True}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "privileged", "namespace": NAMESPACE},
        "spec": {"containers": [container]},
    }
    try:
        kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(pod))
    except ClusterError as error:
        if "violates PodSecurity" not in str(error):
            raise CheckFailed(f"A privileged pod was refused for another reason: {error}") from None
    else:
        raise CheckFailed("A privileged pod was accepted where the restricted standard is enforced.")


def names_and_volume(kubectl: Kubectl) -> None:
    """A pod resolves a Service's name, another writes to a claim of the default storage class."""
    for name, wanted in (("resolve", r"\d+\.\d+\.\d+\.\d+"), ("write", "written")):
        kubectl(*_within("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}"), timeout_s=_WITHIN_S + 30)
        said = kubectl("logs", f"--namespace={NAMESPACE}", f"pod/{name}")
        if not re.search(wanted, said):
            raise CheckFailed(f"The pod {name} said {said[:100]!r}.")


def top(kubectl: Kubectl) -> None:
    """metrics-server has figures of the node and of pods."""
    _eventually("kubectl top", lambda: "%" in kubectl("top", "node", "--no-headers"))
    _eventually("kubectl top pods", lambda: "stable-" in kubectl("top", "pods", f"--namespace={NAMESPACE}"))


def weights(_: Kubectl) -> None:
    """The gateway splits requests as the HTTPRoute says."""
    _eventually("An answer through the gateway", lambda: _get() == "stable")
    seen = Counter(_get() for _ in range(REQUESTS))
    share = seen["canary"] / REQUESTS
    low, high = _CANARY_SHARE
    if seen["stable"] + seen["canary"] != REQUESTS or not low <= share <= high:
        raise CheckFailed(f"Of {REQUESTS} requests at weights 90 and 10 came back {dict(seen)}.")


def scraped(kubectl: Kubectl) -> None:
    """Prometheus has the probes' metric, the gateway's own and the kubelet's."""
    for expression in (
        f'api_requests_in_flight{{namespace="{NAMESPACE}"}} == 3',
        f'sum(traefik_service_requests_total{{service=~".*-svc-{NAMESPACE}-.*"}}) >= {REQUESTS}',
        f'container_memory_working_set_bytes{{namespace="{NAMESPACE}"}} > 0',
    ):

        def answered(expression: str = expression) -> bool:
            return bool(query(kubectl, expression))

        _eventually(f"A series of {expression}", answered)


def custom_metrics(kubectl: Kubectl) -> None:
    """The custom metrics API has each pod's requests in flight."""
    path = f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/pods/*/api_requests_in_flight"

    def answered() -> bool:
        items = json.loads(kubectl.raw(path))["items"]
        return len(items) == 2 and all(item["value"] == "3" for item in items)

    _eventually("The custom metric of two pods", answered)


def alertmanager(kubectl: Kubectl) -> None:
    """Prometheus knows Alertmanager, which answers."""
    _eventually("Alertmanager", lambda: "uptime" in json.loads(kubectl.raw(f"{ALERTMANAGER}/api/v2/status")))

    def known() -> bool:
        told = json.loads(kubectl.raw(f"{PROMETHEUS}/api/v1/alertmanagers"))
        return bool(told["data"]["activeAlertmanagers"])

    _eventually("Prometheus' knowledge of Alertmanager", known)


def query(kubectl: Kubectl, expression: str) -> list[dict[str, Any]]:
    """Ask Prometheus, through the API server."""
    asked = urllib.parse.urlencode({"query": expression})
    answer: dict[str, Any] = json.loads(kubectl.raw(f"{PROMETHEUS}/api/v1/query?{asked}"))
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def _within(*words: str) -> tuple[str, ...]:
    return (*words, f"--namespace={NAMESPACE}", f"--timeout={_WITHIN_S}s")


def _eventually(what: str, true: Callable[[], bool]) -> None:
    def asked() -> bool:
        try:
            return true()
        except (ClusterError, OSError):  # not yet
            return False

    wait(what, asked, _WITHIN_S, poll_s=1)


def _get() -> str:
    with urllib.request.urlopen(GATEWAY, timeout=10) as answer:
        text: str = answer.read().decode()
    return text
