"""The simulator judges as the analysis does, and its document is that of its figures."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from k8s.rollout.analysis import Analysis, Counts, Interval, Outcome
from k8s.rollout.simulate import __main__ as simulate
from k8s.rollout.simulate import figures, judges
from k8s.rollout.simulate.figures import OURS
from k8s.rollout.simulate.plots import NAMES, write
from k8s.rollout.simulate.tables import MISSING, tables
from k8s.rollout.simulate.traces import Scenario, Traces, draw

SETTINGS = figures.SETTINGS


def one_by_one(traces: Traces, row: int) -> tuple[float, float]:
    """The same rollout through the analysis that the driver asks."""
    analysis = Analysis(replace(SETTINGS, gateway=False))
    step = SETTINGS.warmup_intervals + SETTINGS.minimum_intervals
    for place in range(traces.evidence.size):
        if place % step == 0 and place < traces.promotable:
            analysis.begin_step(50)
        stable, canary = (
            Counts(*(float(each[row, place]) for each in track)) for track in (traces.stable, traces.canary)
        )
        assert analysis.add(Interval(15, stable, canary)) == traces.evidence[place]
        verdict = analysis.verdict()
        if verdict is Outcome.FAIL:
            return place + 1.0, np.inf
        if verdict is Outcome.PASS and place + 1 >= traces.promotable:
            return np.inf, place + 1.0
    return np.inf, np.inf


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(minutes=30),
        Scenario(10_000, minutes=22),  # passes before its steps are over
        Scenario(errors=(0.001, 0.03), minutes=30),
        Scenario(400, slow=(0.001, 0.03), stalls=0.02, minutes=30),
    ],
)
def test_the_simulator_decides_as_the_analysis(scenario: Scenario) -> None:
    traces = draw(scenario, SETTINGS, 2, np.random.default_rng(5))
    decided = judges.ours(traces, SETTINGS)
    for row in range(2):
        assert one_by_one(traces, row) == (decided.rolled_back[row], decided.promoted[row])


def test_traces_are_what_they_say() -> None:
    rng = np.random.default_rng(6)
    traces = draw(Scenario(errors=(0.01, 0.05), stalls=0.01, incident=True, minutes=60), SETTINGS, 200, rng)
    assert traces.canary.requests[:, :16].mean() == pytest.approx(2.5, rel=0.1)
    assert traces.stable.requests[:, 64:].mean() == pytest.approx(125, rel=0.01)
    assert not traces.evidence[:4].any()
    assert traces.evidence[4:16].all()
    assert traces.evidence[80:].all()
    late = slice(150, None)  # after any incident
    for track, share, pods in ((traces.stable, 0.01, 10), (traces.canary, 0.05, 5)):
        assert track.errors[:, late].sum() / track.requests[:, late].sum() == pytest.approx(share + 0.001, rel=0.05)
        in_a_stall = (track.slow[:, late] > 0.6 * track.requests[:, late] / pods).mean()
        assert in_a_stall == pytest.approx(1 - 0.99**pods, rel=0.1)
    during = (traces.stable.errors / np.maximum(traces.stable.requests, 1) > 0.12).sum(-1)
    assert np.median(during) == pytest.approx(12, abs=1)


def test_a_cold_minute_is_the_canarys_alone() -> None:
    traces = draw(Scenario(cold_intervals=4, minutes=30), SETTINGS, 200, np.random.default_rng(7))
    assert traces.canary.slow[:, :4].sum() / traces.canary.requests[:, :4].sum() == pytest.approx(0.3, abs=0.05)
    assert traces.stable.slow[:, :4].sum() / traces.stable.requests[:, :4].sum() < 0.01
    # At 25 percent two of three pods are new.
    assert traces.canary.slow[:, 48:52].sum() / traces.canary.requests[:, 48:52].sum() == pytest.approx(0.2, abs=0.05)


def test_the_short_form_reaches_what_the_long_one_shows() -> None:
    healthy = figures.rollouts_of(Scenario(minutes=90), 200, 1)[OURS]
    assert healthy["rolled_back"] == 0
    assert healthy["promoted"] is not None
    assert healthy["promoted"] >= 0.97
    assert healthy["minutes"] is not None
    assert healthy["minutes"] <= 45
    for harm in (
        Scenario(stalls=0.01, minutes=60),
        Scenario(cold_intervals=4, minutes=30),
        Scenario(incident=True, minutes=60),
    ):
        back = figures.rollouts_of(harm, 200, 2)[OURS]["rolled_back"]
        assert back is not None
        assert back <= 0.01
    assert figures.caught(figures.IN_ERRORS, 0.25, 25, 500)[OURS] > 0.87
    assert figures.caught(figures.IN_SLOW, 0.1, 250, 250)[OURS] > 0.9
    assert figures.flips_caught(0.01, 125, 0.01, 5_000, 500) > 0.87
    assert figures.scores_caught(figures.SHAPES[1], 0.03, 250) > 0.9
    assert figures.scores_caught(figures.SHAPES[1], 0.0, 250) <= 0.01


def test_the_document_has_the_committed_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert simulate.main(["--check"]) == 0
    other = json.loads(simulate.RESULTS.read_text(encoding="utf-8"))
    other["healthy"]["1,000 requests a minute"][OURS]["rolled_back"] = 0.5
    (tmp_path / "results.json").write_text(json.dumps(other), encoding="utf-8")
    monkeypatch.setattr(simulate, "RESULTS", tmp_path / "results.json")
    assert simulate.main(["--check"]) == 1


def test_committed_figures_are_of_ten_thousand_rollouts() -> None:
    assert json.loads(simulate.RESULTS.read_text(encoding="utf-8"))["rollouts"] >= 10_000


def test_a_figure_without_a_run_is_not_shown() -> None:
    results: dict[str, Any] = json.loads(simulate.RESULTS.read_text(encoding="utf-8"))
    whole = tables(results)
    assert MISSING not in whole
    del results["healthy"]["1,000 a minute, first minute of new pods cold"], results["flips"]
    assert f"| the same, cold first minute | ≤ 1% | {MISSING} | – |" in tables(results)
    assert tables(results).count(MISSING) > 5
    assert tables({}).count(MISSING) > 50


def test_pictures_are_those_of_the_figures(tmp_path: Path) -> None:
    """Their words and how much is drawn; coordinates are rounded differently by other processors."""
    write(json.loads(simulate.RESULTS.read_text(encoding="utf-8")), tmp_path)
    for name in NAMES:
        drawn, committed = (
            (folder / name).read_text(encoding="utf-8") for folder in (tmp_path, simulate.DOCUMENT.parent)
        )
        assert re.findall(r"<text[^>]*>[^<]*</text>", drawn)
        for what in (r"<text[^>]*>([^<]*)</text>", r'<g id="([a-z]+_\d+)">'):
            assert re.findall(what, drawn) == re.findall(what, committed)
