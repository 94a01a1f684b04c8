from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

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
