"""The pictures of docs/canary-statistics.md, the same bytes from the same figures."""

import math
from pathlib import Path
from typing import Any, Final

import numpy as np

from k8s.rollout.analysis import checks
from k8s.rollout.analysis.betting import blocks
from k8s.rollout.simulate import figures
from k8s.rollout.simulate.judges import events
from k8s.rollout.simulate.traces import Scenario, draw

NAMES: Final = ("canary-bounds.svg", "canary-curve.svg", "canary-rivals.svg")


def write(results: dict[str, Any], folder: Path) -> None:
    """All of them, as SVG."""
    import matplotlib as mpl  # noqa: PLC0415 - of development alone

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "predictiondex", "svg.fonttype": "none", "font.size": 9})
    for name, draw_it in zip(NAMES, (_bounds, _curve, _rivals), strict=True):
        from matplotlib.figure import Figure  # noqa: PLC0415

        figure = Figure(figsize=(7, 3.2), layout="constrained")
        draw_it(figure, results)
        figure.savefig(folder / name, metadata={"Date": None, "Creator": None})


def _bounds(figure: Any, _results: dict[str, Any]) -> None:
    """Bounds of one healthy and one bad rollout as they narrow."""
    settings = figures.SETTINGS
    kinds = {
        "as good as stable": Scenario(minutes=40),
        "errors 0.1 % to 1 %": Scenario(errors=(0.001, 0.01), minutes=40),
    }
    axes = figure.subplots(1, 2, sharey=True)
    for axis, (title, scenario) in zip(axes, kinds.items(), strict=True):
        traces = draw(scenario, settings, 1, np.random.default_rng(3))
        (n_s, e_s), (n_c, e_c) = (events(track, "errors", traces.evidence) for track in (traces.stable, traces.canary))
        minutes, lowers, uppers = [], [], []
        for until in range(24, n_s.shape[-1] + 1, 4):
            seen = blocks((n_s[0, :until], e_s[0, :until]), (n_c[0, :until], e_c[0, :until]))
            lower, upper = checks.bounds(seen, settings.alpha_of("errors"), settings.beta)
            minutes.append(until * settings.interval_seconds / 60)
            lowers.append(math.nan if lower is None else 100 * lower)
            uppers.append(math.nan if upper is None else 100 * upper)
        axis.fill_between(minutes, np.clip(lowers, -2, 4), np.clip(uppers, -2, 4), alpha=0.3, linewidth=0)
        axis.axhline(100 * settings.errors.accept, color="black", linewidth=0.8, linestyle="--")
        axis.set_title(title)
        axis.set_xlabel("minutes")
        axis.set_ylim(-2, 2)
    axes[0].set_ylabel("errors over stable, points")


def _curve(figure: Any, results: dict[str, Any]) -> None:
    """Shares rolled back and promoted by the true excess."""
    axis = figure.subplots()
    excess = [100 * float(key) for key in results["curve"]]
    for key, label in (("rolled_back", "rolled back"), ("promoted", "promoted")):
        axis.plot(excess, [100 * told[key] for told in results["curve"].values()], marker="o", label=label)
    axis.axvline(100 * figures.SETTINGS.errors.accept, color="black", linewidth=0.8, linestyle="--")
    axis.set_xlabel("errors over stable, points; dashed: the margin")
    axis.set_ylabel("percent of rollouts")
    axis.legend()


def _rivals(figure: Any, results: dict[str, Any]) -> None:
    """Healthy versions rolled back, by judge."""
    axis = figure.subplots()
    names = list(results["healthy"])
    height = 0.8 / len(figures.JUDGES)
    for place, judge in enumerate(figures.JUDGES):
        shares = [100 * results["healthy"][name][judge]["rolled_back"] for name in names]
        axis.barh(np.arange(len(names)) + place * height, shares, height, label=judge)
    figure.set_size_inches(7, 5.5)
    axis.set_yticks(np.arange(len(names)) + 0.4 - height / 2, names)
    axis.invert_yaxis()
    axis.set_xlabel("percent of healthy versions rolled back")
    axis.legend()
