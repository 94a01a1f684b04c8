"""The pictures: which are drawn, what is in them, and that they do not change by themselves."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

from tests.training.simulation import duel_like, replay
from training import report
from training.outcomes import Outcomes

CURVE = report.LearningCurve(
    "training duels", "log loss (nats a duel)", [1000, 10_000], {"training": [0.1, 0.12], "unseen": [0.2, 0.15]}
)


@pytest.fixture(scope="module")
def answered() -> tuple[NDArray[np.float64], Outcomes]:
    """Answers of a perfect model and the replays."""
    rng = np.random.default_rng(1)
    v = duel_like(400, rng)
    return v, replay(v, rng)


def _texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_all_pictures_are_drawn_in_order(tmp_path: Path, answered: tuple[NDArray[np.float64], Outcomes]) -> None:
    paths = report.draw(tmp_path / "new", *answered, importances={"speed": 1.0, "power": 2.0}, curve=CURVE)
    names = ["confusion.png", "roc.png", "reliability.png", "importance.png", "learning_curve.png"]
    assert [path.name for path in paths] == names
    for path in paths:
        pixels = imread(path)
        assert min(pixels.shape[:2]) >= 150
        assert pixels.std() > 0.01


def test_only_what_there_is_data_for_is_drawn(tmp_path: Path, answered: tuple[NDArray[np.float64], Outcomes]) -> None:
    assert [path.stem for path in report.draw(tmp_path, *answered)] == ["confusion", "roc", "reliability"]


def test_the_same_data_give_the_same_bytes(tmp_path: Path, answered: tuple[NDArray[np.float64], Outcomes]) -> None:
    one, other = (report.draw(tmp_path / name, *answered, curve=CURVE) for name in ("one", "other"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_confusion_counts_replays() -> None:
    outcomes = Outcomes.of([[2, 1], [0, 0]], np.zeros((2, 2)), 4)
    told = _texts(report.confusion(np.array([0.9, 0.5]), outcomes)).splitlines()
    # Bet on A, won 3 of 4; even, lost 4 of 4: two of them count for each bet.
    assert told == ["3", "37.5%", "3", "37.5%", "0", "0.0%", "2", "25.0%"]


def test_every_axis_is_labelled(answered: tuple[NDArray[np.float64], Outcomes]) -> None:
    pictures = [
        report.confusion(*answered),
        report.roc(*answered),
        report.importance({"speed": 1.0}, "share of total gain"),
        report.learning_curve(CURVE),
    ]
    for picture in pictures:
        assert picture.axes[0].get_xlabel()
        assert picture.axes[0].get_ylabel()
        assert picture.axes[0].get_title()
    upper, lower = report.reliability(*answered).axes
    assert upper.get_ylabel()
    assert lower.get_xlabel()
    assert lower.get_ylabel() == "pairings"


def test_the_reliability_picture_shows_the_bins(answered: tuple[NDArray[np.float64], Outcomes]) -> None:
    upper, lower = report.reliability(*answered).axes
    assert upper.containers[0].has_yerr  # type: ignore[attr-defined]
    assert len(upper.lines[1].get_xydata()) == 15  # type: ignore[arg-type]
    assert sum(patch.get_height() for patch in lower.patches) == 400  # type: ignore[attr-defined]


def test_importance_shows_the_largest_first() -> None:
    figure = report.importance({f"feature {n}": float(n) for n in range(30)}, "gain")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[0] == "feature 29"
    assert len(names) == 25
    assert figure.axes[0].yaxis_inverted()


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="no feature importances"):
        report.importance({}, "gain")
    with pytest.raises(ValueError, match="one to 4 lines"):
        report.LearningCurve("x", "y", [1], {})
    with pytest.raises(ValueError, match="2 values for 1 steps"):
        report.LearningCurve("x", "y", [1], {"training": [1, 2]})
