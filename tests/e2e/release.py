"""A release of ``helm/serving`` behind the cluster's gateway, under a host name of its own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from k8s.local.paths import ROOT
from tests.e2e.cluster import Done, Namespace
from tests.e2e.load import Load
from tests.e2e.watching import Endpoints

CHART: Final = ROOT / "helm/serving"
PARTS: Final[dict[str, Any]] = {
    "route": {"enabled": True, "parentRefs": [{"name": "gateway", "namespace": "gateway", "sectionName": "http"}]},
    "serviceMonitor": {"enabled": True, "interval": "5s", "additionalLabels": {"release": "monitoring"}},
    "prometheusRule": {"enabled": True, "additionalLabels": {"release": "monitoring"}},
}
"""What the cluster has and the chart has off by default."""

Values = dict[str, Any]


def merged(*many: Values) -> Values:
    """Later values win, at every depth."""
    whole: Values = {}
    for values in many:
        for key, value in values.items():
            both = isinstance(value, dict) and isinstance(whole.get(key), dict)
            whole[key] = merged(whole[key], value) if both else deepcopy(value)
    return whole


@dataclass(frozen=True)
class Release:
    """A release by its name in a namespace.

    Attributes:
        space: the namespace.
        name: of the release.
    """

    space: Namespace
    name: str

    @property
    def host(self) -> str:
        """The host name that leads to it."""
        return f"{self.name}.{self.space.name}.example"

    @property
    def stable(self) -> str:
        """Name of Deployment, Service, autoscaler and disruption budget."""
        return f"{self.name}-stable"

    @property
    def selector(self) -> str:
        """Labels of its pods."""
        return f"app.kubernetes.io/instance={self.name},app.kubernetes.io/name=serving"

    def values(self, *values: Values) -> Values:
        """The values given, on top of a route to the host name and the parts that the cluster has."""
        return merged(PARTS, {"route": {"hostnames": [self.host]}}, *values)

    def install(self, *values: Values, words: tuple[str, ...] = ("--wait",)) -> Done:
        """``helm install``."""
        return self.space.helm("install", self.name, CHART, "--values", self.space.values(self.values(*values)), *words)

    def upgrade(self, *values: Values, words: tuple[str, ...] = ("--wait",)) -> Done:
        """``helm upgrade`` by values on top of the release's own."""
        return self.space.helm(*self.upgrading(*values), *words)

    def upgrading(self, *values: Values) -> tuple[Any, ...]:
        """The words of ``helm upgrade``."""
        file = self.space.values(merged(*values))
        return ("upgrade", self.name, CHART, "--reset-then-reuse-values", "--values", file)

    def rollback(self, *words: str) -> Done:
        """``helm rollback`` to the revision before, or to one that is named."""
        return self.space.helm("rollback", self.name, *words, "--wait", "--force-conflicts")

    def pods(self) -> list[dict[str, Any]]:
        """Its pods."""
        return self.space.items("pods", "--selector", self.selector)

    def deployment(self) -> dict[str, Any]:
        """The Deployment."""
        return self.space.get("deployment", self.stable)

    def replicas(self) -> int:
        """The pods that the Deployment wants."""
        wanted: int = self.deployment()["spec"]["replicas"]
        return wanted

    def rolled_out(self, within_s: int = 180) -> None:
        """Wait for the Deployment."""
        words = ("rollout", "status", f"deployment/{self.stable}", f"--timeout={within_s}s")
        self.space.kubectl(*words, timeout_s=within_s + 30)

    def endpoints(self) -> Endpoints:
        """A watch of its Service."""
        return Endpoints(self.space, self.stable)

    def load(self, **options: Any) -> Load:
        """Clients that ask it through the gateway."""
        return Load(self.space.folder, self.host, **options)

    def revision(self) -> int:
        """Of the release, as helm has it."""
        listed = json.loads(self.space.helm("history", self.name, "--output", "json").stdout)
        newest: int = listed[-1]["revision"]
        return newest

    @contextmanager
    def asked(self, **options: Any) -> Iterator[tuple[Load, Endpoints]]:
        """Clients and a watch, both for the block."""
        with self.endpoints() as endpoints, self.load(**options) as load:
            load.answered(20)
            yield load, endpoints
