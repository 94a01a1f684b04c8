"""Every manifest of a handful of value sets, compared with the committed ones."""

from pathlib import Path

import pytest

from tests.helm import charts, golden
from tests.helm.charts import Chart


@pytest.mark.parametrize(("name", "values"), list(charts.sets()))
def test_a_render_is_the_committed_one(chart: Chart, name: str, values: Path) -> None:
    committed = (golden.GOLDEN / f"{name}.yaml").read_text()
    assert charts.golden(chart, values) == committed, "if this is meant: python -m tests.helm.golden"


def test_every_committed_render_has_its_values() -> None:
    assert {path.stem for path in golden.GOLDEN.iterdir()} == {name for name, _ in charts.sets()}
