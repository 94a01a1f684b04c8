"""The model card says what the figures say, leaves out what is not known, and reads as Markdown."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from bentos.contract import Calibration, Column, Contract, Output, ParitySample, Provenance, RuntimePlan, Task
from tests.training.simulation import duel_like, replay
from training.breakdown import Group, Miss, by_closeness
from training.card import Rival, Story, card
from training.evaluate import figures
from training.regret import Regret


@pytest.fixture(scope="module")
def story() -> Story:
    """A perfect model, with everything measured."""
    rng = np.random.default_rng(1)
    v = duel_like(1000, rng)
    outcomes = replay(v, rng)
    measured = figures(
        v,
        outcomes,
        reversed_p=1 - v,
        clusters=np.arange(1000),
        regret=Regret(300, 0.0123, 0.0011, 0.0234, 0.0056, 0.0012),
    )
    return Story(
        measured,
        params={"max_depth": 7, "eta": 0.12},
        matchups=[Group("neutral against neutral", 1234, 0.91, 0.92, 0.03)],
        closeness=by_closeness(v, outcomes),
        misses=[Miss("Mew", "Surf", "Eevee", "Odd | name", 0.912, 0.25)],
        candidates=[
            Rival("xgboost", 1_500_000, 0.1234, measured, 61.4),
            Rival("random_forest", 200_000, 0.14, measured),
        ],
        timings={"make demo, 2 cores": "3 min 10 s"},
    )


@pytest.fixture
def contract() -> Contract:
    """A draft as the export writes it."""
    return Contract(
        name="battle",
        version="0",
        adapter="battle",
        task=Task.BINARY,
        columns=[Column(name="pokemon_a", dtype="string")],
        outputs=[Output(name="label", datatype="BYTES")],
        classes=["b_wins", "a_wins"],
        features=["one", "two"],
        features_digest="a" * 64,
        calibration=Calibration(method="logistic", slope=1.05, intercept=-0.01),
        runtime=RuntimePlan(crossover_rows=96),
        parity=ParitySample(rows=[["mew"]], expected=[[0.5]], compared_rows=20_000, max_difference=3e-7),
        observation="one request",
        sample_inputs=[],
        metrics={},
        provenance=Provenance(
            run_id="run17",
            git_commit="c0ffee",
            dataset_digest="d" * 64,
            dataset_rows=1_500_000,
            algorithm="xgboost",
            libraries={"xgboost": "3.2.0", "numpy": "2.4.6"},
            created=datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
        ),
        files={},
    )


def _cells(text: str, first: str) -> list[str]:
    """The cells of the one table row that starts with ``first``."""
    rows = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    assert len(rows) == 1
    return [cell.strip() for cell in rows[0].strip("|").split("|")]


def test_figures_stand_with_reach_and_bound(contract: Contract, story: Story) -> None:
    text, found = card(contract, story), story.figures
    ceiling = f"{found.ceiling.accuracy:.4f}"
    assert _cells(text, "expected accuracy")[1:4] == [f"{found.accuracy:.4f}", "≥ 0.943", ceiling]
    assert _cells(text, "best-attack regret against the best reply")[1:] == ["0.0123", "≤ 0.02", "0.0000", "reached"]
    assert _cells(text, "expected calibration error")[1] == f"{found.ece:.4f}"
    assert _cells(text, "Brier score")[1:] == [f"{found.brier:.4f}", f"{found.ceiling.brier:.4f}"]
    assert f"Standard errors, clustered by species pair: expected accuracy {found.accuracy_se:.4f}" in text
    assert f"between {found.ceiling.lower:.4f}, which is biased down, and {found.ceiling.upper:.4f}" in text


def test_a_bound_that_is_missed_is_said(contract: Contract, story: Story) -> None:
    missed = replace(story, figures=replace(story.figures, mae=0.0512, antisymmetry=None))
    text = card(contract, missed)
    assert _cells(text, "mean absolute error of the win probability")[1:3] == ["0.0512", "≤ 0.028"]
    assert _cells(text, "mean absolute error of the win probability")[4] == "not reached"
    assert _cells(text, "mean of abs(P(A beats B) + P(B beats A) - 1)")[1:] == ["not measured", "≤ 0.005", "0.0000", ""]


def test_it_can_be_followed_back_to_its_sources(contract: Contract, story: Story) -> None:
    text = card(contract, story)
    assert _cells(text, "MLflow run")[1] == "`run17`"
    assert _cells(text, "git commit")[1] == "`c0ffee`"
    assert _cells(text, "training data")[1] == f"1,500,000 duels, digest `{'d' * 64}`"
    assert _cells(text, "libraries")[1] == "numpy 2.4.6, xgboost 3.2.0"
    assert _cells(text, "created")[1] == "2024-02-29T12:30:00+00:00"
    assert "Trained with eta = 0.12, max_depth = 7." in text
    assert "below 96 rows" in text
    assert "20,000 rows; the largest difference of a probability was 3.0e-07" in text
    assert "sigmoid(1.0500 · logit(p) -0.0100)" in text
    assert _cells(text, "make demo, 2 cores")[1] == "3 min 10 s"


def test_candidates_and_errors_are_listed(contract: Contract, story: Story) -> None:
    text = card(contract, story)
    assert _cells(text, "xgboost")[1:3] == ["1,500,000", "0.1234"]
    assert _cells(text, "xgboost")[-1] == "61 s"
    assert _cells(text, "random_forest")[-1] == ""
    assert _cells(text, "neutral against neutral")[1:] == ["1,234", "0.9100", "0.9200", "0.0300"]
    assert "| Mew: Surf | Eevee: Odd \\| name | 0.912 | 0.250 |" in text
    assert "Its worst errors in the calibration part:" in text


def test_parts_that_are_not_known_are_left_out(contract: Contract, story: Story) -> None:
    nan = float("nan")
    text = card(contract, Story(replace(story.figures, regret=None, accuracy_se=nan, share_se=nan, mae_se=nan)))
    for title in ("Candidates", "By type matchup", "By closeness", "Timings"):
        assert f"## {title}" not in text
        assert f"## {title}" in card(contract, story)
    assert "worst errors in" not in text
    assert _cells(text, "best-attack regret against the best reply")[1] == "not measured"
    assert " nan" not in text
    assert "Standard errors" not in text


def test_the_same_input_gives_the_same_text(contract: Contract, story: Story) -> None:
    text = card(contract, story)
    assert text == card(contract, story)
    assert text.endswith("\n")
    assert "{" not in text
    assert "\n\n\n" not in text
    columns = [line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("| ---")]
    assert len(columns) == 8


def test_every_table_is_rectangular(contract: Contract, story: Story) -> None:
    tables = [block.splitlines() for block in card(contract, story).split("\n\n") if block.startswith("| ")]
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1
