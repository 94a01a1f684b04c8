"""What the cluster's Prometheus and Alertmanager see, through the API server's proxy."""

import json
from typing import Any, Final
from urllib.parse import urlencode

from tests.e2e.cluster import Cluster

_PROMETHEUS: Final = "/api/v1/namespaces/monitoring/services/prometheus-operated:web/proxy"
_ALERTMANAGER: Final = "/api/v1/namespaces/monitoring/services/alertmanager-operated:web/proxy"

Sample = tuple[dict[str, str], float]


class Eyes:
    """Asks both."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def ask(self, expr: str) -> list[Sample]:
        """Labels and values of an expression now."""
        answer = self.prometheus(f"/api/v1/query?{urlencode({'query': expr})}")
        assert answer["status"] == "success", answer
        return [(each["metric"], float(each["value"][1])) for each in answer["data"]["result"]]

    def prometheus(self, path: str) -> Any:
        """What Prometheus' HTTP API has at a path."""
        return self._get(f"{_PROMETHEUS}{path}")

    def fired(self, namespace: str, seconds: float) -> set[str]:
        """Names of the alerts that fired in a namespace within the last seconds."""
        series = f'ALERTS{{namespace="{namespace}",alertstate="firing"}}'
        return {labels["alertname"] for labels, _ in self.ask(f"max_over_time({series}[{int(seconds)}s])")}

    def received(self, namespace: str) -> set[str]:
        """Names of the alerts of a namespace that Alertmanager has."""
        told = self._get(f"{_ALERTMANAGER}/api/v2/alerts")
        labels = [each["labels"] for each in told]
        return {each["alertname"] for each in labels if each.get("namespace") == namespace}

    def _get(self, path: str) -> Any:
        return json.loads(self._cluster.kubectl("get", "--raw", path))
