"""Faults are off, refused without the flag, and do through both doors what they say."""

from collections.abc import Collection
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import numpy as np
import pytest

from bentos.adapter import Rows
from bentos.contract import Task
from bentos.core import Core
from bentos.errors import SettingsError
from bentos.faults import inject
from bentos.settings import Fault, Settings
from tests import servers, tabular

DUEL = {"pokemon_a": "pikachu", "pokemon_b": "blastoise"}
FLAG = {"PDX_FAULT_ALLOWED": "yes-this-is-a-test"}


@pytest.mark.parametrize(
    "fault", [{"slow_seconds": 0.5}, {"error_ratio": 0.1}, {"answers": "mirrored"}, {"memory_mib": 1}]
)
def test_a_fault_without_the_flag_is_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"need PDX_FAULT_ALLOWED=yes-this-is-a-test beside them\.$"):
        Settings.read({"fault": fault})
    assert Settings.read({"fault": {**fault, "allowed": "yes-this-is-a-test"}}).fault.allowed


def test_a_process_with_a_fault_and_no_flag_does_not_start(bundle: Path, tmp_path: Path) -> None:
    with servers.start(tmp_path, PDX_BUNDLE=str(bundle), PDX_FAULT_ERROR_RATIO="0.5") as process:
        assert process.wait() == 78
        assert "PDX_FAULT_ALLOWED" in process.text()


def test_a_slow_model_is_slow_and_says_so_in_the_log(bundle: Path, tmp_path: Path) -> None:
    with servers.start(tmp_path, PDX_BUNDLE=str(bundle), PDX_FAULT_SLOW_SECONDS="0.4", **FLAG) as process:
        servers.ready(process)
        assert "FAULTS ARE INJECTED" in process.text()
        start = perf_counter()
        answer = httpx.post(f"{process.rest}/predict/battle", json=DUEL)
        assert answer.status_code == 200
        assert perf_counter() - start >= 0.4


def faulty(bundle: Path, **fault: Any) -> Core:
    core = Core.open(bundle)
    inject(core, Fault(allowed="yes-this-is-a-test", **fault))
    return core


def parity_rows(core: Core) -> tuple[Rows, Any]:
    """The parity sample and what a good model says of it."""
    parity = core.contract.parity
    columns = {column.name: [row[i] for row in parity.rows] for i, column in enumerate(core.contract.columns)}
    expected = np.array(parity.expected)
    return core.adapter.columns(columns), expected if core.contract.task is Task.MULTICLASS else expected[:, -1]


@pytest.mark.parametrize("kind", ["battle", "classifier", "multiclass", "regressor"])
def test_mirrored_scores_are_exactly_the_other_way_round(kind: Any, bundle: Path, tmp_path: Path) -> None:
    core = faulty(bundle if kind == "battle" else tabular.write(kind, tmp_path / "bundle"), answers="mirrored")
    rows, right = parity_rows(core)
    wrong = {"multiclass": right[..., ::-1], "regressor": -right}.get(kind, 1 - right)
    assert core.scores(rows) == pytest.approx(wrong, abs=1e-4)


@pytest.mark.parametrize("kind", ["battle", "classifier", "pipeline"])
def test_shuffled_columns_are_the_same_wrong_ones_each_time(kind: Any, bundle: Path, tmp_path: Path) -> None:
    core = faulty(bundle if kind == "battle" else tabular.write(kind, tmp_path / "bundle"), answers="shuffled")
    rows, right = parity_rows(core)
    scores = core.scores(rows)
    assert np.abs(scores - right).max() > 0.1
    assert np.all((scores >= 0) & (scores <= 1))
    assert np.array_equal(scores, core.scores(rows))


@pytest.mark.parametrize(
    ("fault", "slow"),
    [({}, [20]), ({"slow_first": 3}, [3]), ({"slow_ratio": 0.0}, [0]), ({"slow_ratio": 0.5}, range(4, 17))],
)
def test_the_first_or_a_share_of_the_requests_are_slow(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], slow: Collection[int]
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("bentos.faults.sleep", slept.append)
    core = faulty(bundle, slow_seconds=0.25, **fault)
    rows, _ = parity_rows(core)
    for _ in range(20):
        core.scores(rows)
    assert len(slept) in slow
    assert set(slept) <= {0.25}


def test_answers_of_one_type_are_wrong_for_its_attackers_only(bundle: Path, core: Core) -> None:
    wrong = faulty(bundle, answers="one-type")
    rows, right = parity_rows(wrong)
    water = np.array(["Water" in core.duels.dex.species_rows[code]["types"] for code in rows.source[0]])
    assert 0 < water.sum() < len(water)
    assert wrong.scores(rows) == pytest.approx(np.where(water, 1 - right, right), abs=1e-6)
    for attacker, flipped in (("gyarados", True), ("pikachu", False)):
        asked = (attacker, "snorlax", ["thunderbolt"], ["bodyslam"])
        good, bad = core.battle(*asked).win_probability, wrong.battle(*asked).win_probability
        assert bad == pytest.approx(1 - good if flipped else good)
        assert abs(good - 0.5) > 0.01


def test_one_type_is_a_fault_of_duels_only(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PDX_FAULT_ANSWERS=one-type is a fault of models of duels"):
        faulty(tabular.write("classifier", tmp_path / "bundle"), answers="one-type")


def test_memory_that_requests_leave_behind_grows(bundle: Path, tmp_path: Path) -> None:
    with servers.start(tmp_path, PDX_BUNDLE=str(bundle), PDX_FAULT_MEMORY_MIB="8", **FLAG) as process:
        servers.ready(process)
        before = process.memory_mib()
        for _ in range(10):
            assert httpx.post(f"{process.rest}/predict/battle", json=DUEL).status_code == 200
        assert process.memory_mib() - before > 70


def test_a_failing_model_fails_as_any_model_would(bundle: Path, tmp_path: Path) -> None:
    with servers.start(tmp_path, PDX_BUNDLE=str(bundle), PDX_FAULT_ERROR_RATIO="1", **FLAG) as process:
        servers.ready(process)
        answer = httpx.post(f"{process.rest}/predict/battle", json=DUEL)
        assert answer.status_code == 500
        assert answer.json()["code"] == "internal"
        assert "FAULT" not in answer.text
        metrics = httpx.get(f"{process.admin}/metrics").text
        lines = [line for line in metrics.splitlines() if 'code="internal"' in line and 'transport="rest"' in line]
        assert [line.rpartition(" ")[2] for line in lines] == ["1"]
