import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bentos.core import Core
from bentos.metrics import Metrics
from tests import bundles
from tests.helm import charts
from tests.monitoring.rules import promtool


@pytest.fixture(scope="session")
def program() -> str:
    """Promtool."""
    found = promtool.promtool()
    if found is None:
        pytest.skip(promtool.MISSING)
    return found


@pytest.fixture(scope="session")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """Gives the spec of the chart's PrometheusRule for a file of values beside the tests, or for the defaults."""
    helm = charts.helm()
    if helm is None:
        pytest.skip(charts.MISSING)
    chart = charts.Chart(helm, tmp_path_factory.mktemp("values"))

    @cache
    def render(name: str = "") -> dict[str, Any]:
        given = [Path(__file__).parent / "rules/values" / f"{name}.yaml"] if name else []
        made = chart.one("PrometheusRule", charts.with_image(prometheusRule={"enabled": True}), *given)
        spec: dict[str, Any] = made["spec"]
        return spec

    return render


@pytest.fixture(scope="session")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the metrics of a pod."""
    watched = [{"name": "faster_by", "edges": [0.0], "shares": [0.5, 0.5]}]
    live = {"accuracy": 0.9, "brier": 0.1, "from_outcomes": 1, "described_as": "a test"}
    scores = {"edges": [0.5], "shares": [0.5, 0.5]}
    folder = tmp_path_factory.mktemp("bundle") / "battle"
    core = Core.open(bundles.write(folder, monitored=watched, score_bins=scores, live_reference=live))
    metrics = Metrics()
    metrics.bind(core.contract)
    metrics.watch_scratch(lambda: 0)
    metrics.shadow_pair("2", flipped=False, difference=0.0)
    lines = metrics.expose()[0].decode().splitlines()
    return {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}
