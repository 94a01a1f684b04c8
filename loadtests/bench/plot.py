"""Draws requests a second of every contender."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from loadtests.bench.figures import Spread


def plot(bars: list[tuple[str, Spread]], title: str, path: Path) -> Path:
    """Horizontal bars, the fastest on top, with whiskers from the least to the greatest round; returns the path."""
    bars = sorted(bars, key=lambda bar: bar[1].median)
    medians = [value.median for _, value in bars]
    whiskers = [
        [value.median - value.least for _, value in bars],
        [value.greatest - value.median for _, value in bars],
    ]
    with mpl.rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 1 + 0.36 * len(bars)), layout="constrained")
        axes = figure.subplots()
        colours = ["#c0392b" if name.startswith("this server") else "#7f8c8d" for name, _ in bars]
        drawn = axes.barh([name for name, _ in bars], medians, xerr=whiskers, color=colours, ecolor="#2c3e50")
        axes.bar_label(drawn, labels=[f"{value:,.0f}" for value in medians], padding=6, fontsize=8)
        axes.set_xscale("log")
        axes.set_xlim(left=max(1.0, min(medians) / 3), right=max(medians) * 2)
        axes.set_xlabel("requests a second (logarithmic)")
        axes.set_title(title)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, metadata={"Date": None})
    return path
