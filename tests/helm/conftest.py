from pathlib import Path

import pytest

from tests.helm import charts


@pytest.fixture(scope="session")
def program() -> str:
    found = charts.helm()
    if found is None:
        pytest.skip(charts.MISSING)
    return found


@pytest.fixture
def chart(program: str, tmp_path: Path) -> charts.Chart:
    return charts.Chart(program, tmp_path)


@pytest.fixture
def training(program: str, tmp_path: Path) -> charts.Chart:
    return charts.Chart(program, tmp_path, charts.TRAINING)
