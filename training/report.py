"""The pictures of a run, as PNG files: confusion, ROC, reliability, feature importance, learning curve.

Colours are of the palette by Okabe and Ito (2008), which stays readable with every common colour blindness; lines
differ in style as well, so that the pictures survive a black-and-white printer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from training.evaluate import calibration_bins, roc_auc, roc_curve
from training.outcomes import Outcomes, favourite

BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
VERMILION: Final = "#D55E00"
GREY: Final = "#666666"
_LINES: Final = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (VERMILION, ":"))
_DPI: Final = 120
_FEATURES_SHOWN: Final = 25


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """How a score changes with training.

    Attributes:
        x_label: what grows, with its unit, e.g. "training duels" or "boosting rounds".
        y_label: the score, with its unit, e.g. "log loss (nats a duel)".
        x: its values, rising.
        lines: score by name of the data it was measured on, each as long as ``x``; four at most.
    """

    x_label: str
    y_label: str
    x: Sequence[float]
    lines: Mapping[str, Sequence[float]]

    def __post_init__(self) -> None:
        if not 0 < len(self.lines) <= len(_LINES):
            raise ValueError(f"A learning curve has one to {len(_LINES)} lines, not {len(self.lines)}.")
        for name, line in self.lines.items():
            if len(line) != len(self.x):
                raise ValueError(f"The learning curve of {name} has {len(line)} values for {len(self.x)} steps.")


def _new(width: float = 5.5, height: float = 5.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    return figure, figure.add_subplot()


def confusion(p: NDArray[np.float64], outcomes: Outcomes) -> Figure:
    """Replays by the side the model bets on and the side that won; a draw or an even answer is divided in halves."""
    bet, frequency = favourite(p), outcomes.frequency
    cells = np.array(
        [
            [(bet * frequency).sum(), (bet * (1 - frequency)).sum()],
            [((1 - bet) * frequency).sum(), ((1 - bet) * (1 - frequency)).sum()],
        ]
    )
    shares = cells / cells.sum()
    figure, axes = _new()
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=max(0.5, shares.max()))
    for row in range(2):
        for column in range(2):
            share = shares[row, column]
            axes.text(
                column,
                row,
                f"{cells[row, column] * outcomes.replays:,.0f}\n{share:.1%}",
                ha="center",
                va="center",
                color="black" if share > 0.25 else "white",
            )
    axes.set_xticks([0, 1], ["A won", "B won"])
    axes.set_yticks([0, 1], ["A", "B"])
    axes.set_xlabel("outcome of the replay")
    axes.set_ylabel("side the model bets on")
    axes.set_title(f"Confusion matrix, {len(outcomes) * outcomes.replays:,} replays")
    figure.colorbar(image, ax=axes, label="share of replays", shrink=0.8)
    return figure


def roc(p: NDArray[np.float64], outcomes: Outcomes) -> Figure:
    """ROC curve over pooled replays; class 1 is "A wins"."""
    figure, axes = _new()
    axes.plot(*roc_curve(p, outcomes), color=BLUE, label=f"model, area {roc_auc(p, outcomes):.4f}")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="chance, area 0.5")
    axes.set_xlabel("false positive rate (share of replays B won)")
    axes.set_ylabel("true positive rate (share of replays A won)")
    axes.set_title("ROC")
    axes.set_aspect("equal")
    axes.legend(loc="lower right")
    return figure


def reliability(p: NDArray[np.float64], outcomes: Outcomes) -> Figure:
    """Observed against predicted win probability in bins of equal mass, over a histogram of the answers."""
    bins = calibration_bins(p, outcomes)
    figure = Figure(figsize=(5.5, 6.5), dpi=_DPI, layout="constrained")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfect")
    axes.errorbar(
        bins.predicted,
        bins.observed,
        yerr=2 * bins.noise,
        color=BLUE,
        marker="o",
        markersize=4,
        linestyle="-",
        capsize=2,
        label=f"model, ECE {bins.error:.4f} (noise alone {bins.perfect_error:.4f})",
    )
    axes.set_ylabel("share of replays A won (± 2 standard deviations)")
    axes.set_title(f"Reliability, {len(bins.pairings)} bins of equal mass")
    axes.legend(loc="upper left")
    counts.hist(p, bins=list(np.linspace(0, 1, 41)), color=BLUE)
    counts.set_yscale("log")
    counts.set_xlabel("answered win probability of A")
    counts.set_ylabel("pairings")
    return figure


def importance(values: Mapping[str, float], what: str) -> Figure:
    """The most important features, largest first.

    Args:
        values: importance by feature name.
        what: how importance is measured, with its unit, e.g. "share of total gain"; labels the axis.

    Raises:
        ValueError: there are no features.
    """
    if not values:
        raise ValueError("There are no feature importances to draw.")
    ranked = sorted(values.items(), key=lambda item: (-item[1], item[0]))[:_FEATURES_SHOWN]
    figure, axes = _new(7, 1.2 + 0.24 * len(ranked))
    axes.barh([name for name, _ in ranked], [value for _, value in ranked], color=BLUE)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlabel(what)
    axes.set_ylabel("feature")
    axes.set_title(f"Feature importance, {len(ranked)} of {len(values)}")
    return figure


def learning_curve(curve: LearningCurve) -> Figure:
    """Score against training, one line for each data set."""
    figure, axes = _new(6.5, 4.5)
    for (name, line), (color, style) in zip(curve.lines.items(), _LINES, strict=False):
        axes.plot(curve.x, line, color=color, linestyle=style, label=name, marker="o" if len(line) <= 20 else "")
    axes.set_xlabel(curve.x_label)
    axes.set_ylabel(curve.y_label)
    axes.set_title("Learning curve")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.legend()
    return figure


def draw(
    out: Path,
    p: NDArray[np.float64],
    outcomes: Outcomes,
    *,
    importances: Mapping[str, float] | None = None,
    importance_label: str = "share of total gain",
    curve: LearningCurve | None = None,
) -> list[Path]:
    """Draw every picture there is data for into the folder ``out``, which is made.

    Returns:
        The files, in the order confusion.png, roc.png, reliability.png, importance.png, learning_curve.png; the last
        two only when given. The same data give the same bytes with the same matplotlib.
    """
    pictures = {
        "confusion": confusion(p, outcomes),
        "roc": roc(p, outcomes),
        "reliability": reliability(p, outcomes),
    }
    if importances is not None:
        pictures["importance"] = importance(importances, importance_label)
    if curve is not None:
        pictures["learning_curve"] = learning_curve(curve)
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in pictures.items():
        path = out / f"{name}.png"
        figure.savefig(path, metadata={"Software": None})
        paths.append(path)
    return paths
