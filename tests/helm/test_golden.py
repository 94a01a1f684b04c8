"""Every manifest of a handful of value sets, compared with the committed ones."""

from pathlib import Path

import pytest

from tests.helm import charts
from tests.helm.charts import Chart, Compared

EVERY = [
    pytest.param(tested, name, values, id=f"{tested.folder.name}-{name}")
    for tested in charts.TESTED
    for name, values in tested.values()
]


@pytest.mark.parametrize(("tested", "name", "values"), EVERY)
def test_a_render_is_the_committed_one(program: str, tmp_path: Path, tested: Compared, name: str, values: Path) -> None:
    chart = Chart(program, tmp_path, tested.folder)
    committed = (tested.golden / f"{name}.yaml").read_text()
    assert charts.golden(chart, values) == committed, "if this is meant: python -m tests.helm.golden"


@pytest.mark.parametrize("tested", charts.TESTED, ids=lambda tested: tested.folder.name)
def test_every_committed_render_has_its_values(tested: Compared) -> None:
    assert {path.stem for path in tested.golden.iterdir()} == {name for name, _ in tested.values()}
