"""The simulation computes what the rules do, and its tables are those of its figures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bentos.battle.dex import Dex
from monitoring.simulate import __main__ as simulate
from monitoring.simulate import accuracy, drift
from monitoring.simulate.formulas import bound, psi, wilson_upper
from tests.monitoring.rules import promtool
from tests.monitoring.rules.pods import REFERENCE, Pod
from training.battle_watch import Seen
from training.settings import DATA

Rules = Callable[[str], dict[str, Any]]


@pytest.mark.parametrize("degrees", [1, 5, 9, 17, 40])
def test_the_bound_is_a_quantile_of_chi_square(degrees: int) -> None:
    shares = np.full(degrees + 1, 1 / (degrees + 1))
    exact = stats.chi2.isf(stats.norm.sf(4.5), degrees) / 1000
    # So far out Wilson and Hilferty are on the safe side, most of all with one degree of freedom.
    assert exact <= bound(shares, 1000) <= exact * (1.15 if degrees == 1 else 1.05)


def test_wilsons_interval_is_that_of_scipy() -> None:
    for right, n in ((85, 100), (0, 50), (4600, 5000), (50, 50)):
        exact = stats.binomtest(right, n).proportion_ci(method="wilson").high
        assert wilson_upper(np.array([float(right)]), n)[0] == pytest.approx(exact, abs=1e-5)


def test_prometheus_has_the_same_index_bound_and_interval(program: str, rules: Rules, tmp_path: Path) -> None:
    pod = Pod(scrapes=60, asked=100, inputs={"a": 0.3, "b": 0.3, "c": 0.4}, right=90, wrong=10)
    reference = np.array(list(REFERENCE.values()))
    counts = np.array([1800, 1800, 2400, 0])
    window = '{namespace="models",release="battle",window="1h"}'
    wanted = {
        f"column:model_input_drift:psi{window}": psi(counts, reference),
        f"column:model_input_drift:bound{window}": bound(reference, 6000),
        'model_accuracy:upper{namespace="models",release="battle"}': wilson_upper(np.array([5400.0]), 6000)[0],
    }
    for expr, value in wanted.items():
        for factor, right in ((1.0, True), (1.1, False)):
            # What a counter grew by is extrapolated to the ends of the window.
            close = f"abs({expr} / {factor * value} - 1) < bool 0.03"
            said = promtool.complaint(program, rules(""), [pod], set(), tmp_path, true=close)
            assert (not said) is right, said


@pytest.fixture(scope="module")
def pool() -> tuple[Dex, Seen]:
    """Observations as the generator's might be: what is tested is the simulation, not the model."""
    rng = np.random.default_rng(5)
    values = np.column_stack([rng.integers(0, 18, (40_000, 3)), rng.normal(450, 80, (40_000, 3)).round()])
    return Dex.load(DATA / "dex.json"), Seen(values.astype(np.float64), rng.beta(0.3, 0.3, 40_000))


def test_without_drift_hardly_a_window_alerts(pool: tuple[Dex, Seen]) -> None:
    assert max(drift.false_alerts(*pool, 200, (200, 2_000, 20_000)).values()) <= 0.01


def test_a_tenth_that_moves_is_found(pool: tuple[Dex, Seen]) -> None:
    for by in drift.found(*pool, 2_000, 60).values():
        assert min(by.values()) >= 0.9
    for by in drift.found(*pool, 2_000, 60, shift=0.0).values():
        assert max(by.values()) <= 0.05


def test_two_points_less_accuracy_are_found() -> None:
    assert accuracy.below_offline(0.924, 0.944, 5_000, 20_000) >= 0.95
    assert accuracy.below_offline(0.944, 0.944, 5_000, 20_000) <= 0.001


def test_the_document_has_the_figures_of_the_simulation() -> None:
    assert simulate.main(["--check"]) == 0


def test_the_figures_reach_their_aims() -> None:
    results = json.loads(simulate.RESULTS.read_text())
    assert results["windows"] >= 1_000
    assert max(results["false_alerts"].values()) <= 0.01
    for by in results["found"]["2000"].values():
        assert min(by.values()) >= 0.95
    assert results["accuracy"]["5000"]["2"] >= 0.95
