"""The kinds of panels: lines, stacked bars, a heat map, numbers."""

import math
from collections.abc import Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from monitoring.pictures.recording import Span
from monitoring.pictures.series import Line, greatest, least
from monitoring.pictures.units import shown

_COLOURS: Final = ("#3274d9", "#e0752d", "#299c46", "#8f3bb8", "#0aa5a5", "#b8860b", "#c4487c", "#5b6b7b", "#7aa6e8")
_LIMITS: Final = ("#c4162a", "#6b6b6b", "#d98c00", "#8a2be2")
_RED, _GREEN, _TEXT = "#c4162a", "#299c46", "#444c56"

Handles = dict[str, Any]
"""What a legend shows beside each name."""


def across(axes: Axes, span: Span) -> None:
    """The time since the span's start, in minutes."""
    axes.set_xlim(0, _minutes(span)[-1])
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} min"))


def upwards(axes: Axes, series: Sequence[Line], unit: str, most: int) -> None:
    """Values in their unit, from 0 where none is below it, with so many steps at the most."""
    lowest, highest = min(map(least, series)), max(map(greatest, series))
    bottom, top = min(0.0, lowest), highest if highest > 0 or lowest < 0 else 1.0
    more = 0.08 * (top - bottom)
    axes.set_ylim(bottom - more if lowest < 0 else 0, top + more)
    if unit == "bytes":
        axes.yaxis.set_major_locator(MultipleLocator(2.0 ** math.ceil(math.log2((top - bottom) / most))))
    else:
        whole = all(value.is_integer() for line in series for value in line.values if not math.isnan(value))
        axes.yaxis.set_major_locator(MaxNLocator(most, integer=whole))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, unit)))


def plain(axes: Axes, series: Sequence[Line], span: Span) -> Handles:
    """Lines, of which limits are dashed."""
    handles: Handles = {}
    drawn = {True: 0, False: 0}
    for line in series:
        place = drawn[line.dashed]
        drawn[line.dashed] += 1
        if line.dashed:
            style: dict[str, Any] = {"color": _LIMITS[place % len(_LIMITS)], "linestyle": (0, (5, 3)), "linewidth": 1.2}
        else:
            style = {"color": _COLOURS[place % len(_COLOURS)], "linewidth": 1.4}
        alone = sum(not math.isnan(value) for value in line.values) == 1
        (handle,) = axes.plot(_minutes(span), line.values, marker="o" if alone else "", markersize=3, **style)
        handles.setdefault(line.name, handle)
    return handles


def stacked(axes: Axes, series: Sequence[Line], span: Span) -> Handles:
    """Bars on top of each other."""
    handles: Handles = {}
    below = [0.0] * span.points()
    colours = mpl.colormaps["viridis"]
    for number, line in enumerate(series):
        values = _filled(line)
        colour = colours(number / max(1, len(series) - 1))
        bars = axes.bar(_minutes(span), values, width=span.step / 60, bottom=below, color=colour, align="edge")
        below = [one + other for one, other in zip(below, values, strict=True)]
        handles.setdefault(line.name, bars)
    axes.grid(visible=False)
    return handles


def heat(axes: Axes, series: Sequence[Line], span: Span) -> None:
    """Buckets of a histogram, named by their upper edges: each is what is up to its edge, less the one below."""
    edges = sorted((float(line.name), _filled(line)) for line in series)
    below = [0.0] * span.points()
    rows = []
    for _, counts in edges:
        # What is empty stays white.
        rows.append([one - other if one > other else math.nan for one, other in zip(counts, below, strict=True)])
        below = counts
    whole = (0, _minutes(span)[-1], 0, len(edges))
    axes.imshow(rows, aspect="auto", origin="lower", extent=whole, cmap="Oranges", vmin=0)
    axes.grid(visible=False)
    marked = range(len(edges) - 1, -1, -max(1, math.ceil(len(edges) / 6)))
    axes.set_yticks(
        [number + 0.5 for number in marked], [f"≤ {edges[number][0]:g}".replace("inf", "∞") for number in marked]
    )


def numbers(card: Axes, series: Sequence[Line], unit: str) -> None:
    """The latest value of each, red below zero."""
    place: dict[str, Any] = {"transform": card.transAxes, "ha": "center", "va": "center"}
    for number, line in enumerate(series):
        last = next(value for value in reversed(line.values) if not math.isnan(value))
        middle = (number + 0.5) / len(series)
        colour = _RED if last < 0 else _GREEN
        card.text(middle, 0.5, shown(last, unit), size=17, weight="bold", color=colour, **place)
        card.text(middle, 0.26, line.name, size=8.5, color=_TEXT, **place)


def _minutes(span: Span) -> list[float]:
    return [number * span.step / 60 for number in range(span.points())]


def _filled(line: Line) -> list[float]:
    return [0.0 if math.isnan(value) else value for value in line.values]
