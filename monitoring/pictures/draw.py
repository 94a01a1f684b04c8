"""Draws a recording as Grafana would show it: panels three abreast, headings between them."""

import io
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from monitoring.pictures import plots
from monitoring.pictures.panels import Panel, Query, dashboard
from monitoring.pictures.recording import Recording
from monitoring.pictures.series import Line, lines, named, short, total

_DPI: Final = 160
_WIDE: Final = 11.0  # inches; 1,760 pixels, twice the width of a README
_HIGH, _FIRST, _HEADING, _HEAD = 2.45, 1.35, 0.3, 0.42  # inches of a panel, the list of alerts, a row's name, the title
_ROWS: Final = 4
"""Lines of a legend, which says how many more series there are."""
_STYLE: Final[Any] = {
    "font.family": "DejaVu Sans", "font.size": 8, "axes.edgecolor": "#c8ccd2", "axes.labelcolor": "#444c56",
    "xtick.color": "#5a636e", "ytick.color": "#5a636e", "xtick.labelsize": 7.5, "ytick.labelsize": 7.5,
    "axes.grid": True, "grid.color": "#e8eaed", "grid.linewidth": 0.7, "axes.axisbelow": True,
    "legend.frameon": False, "legend.fontsize": 7, "figure.facecolor": "#f4f5f7", "axes.facecolor": "white",
}  # fmt: skip


class Silent(NamedTuple):
    """A query that gave nothing."""

    dashboard: str
    panel: str
    expr: str


def silent(recording: Recording) -> list[Silent]:
    """The queries of its dashboard that a recording has no value of."""

    def given(query: Query) -> bool:
        return any(value is not None for _, values in recording.answers.get(query.expr, []) for value in values)

    made = dashboard(recording.dashboard)
    return [
        Silent(made.name, panel.title, query.expr)
        for panel in made.panels
        for query in panel.queries
        if not given(query)
    ]


def draw(recording: Recording, folder: Path) -> Path:
    """Write NAME.png of a recording; a panel without data says so."""
    drawn = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure(recording).savefig(drawn, dpi=_DPI)
    path = folder / f"{recording.dashboard}.png"
    # Few colours are used, so a palette of them takes a third of the space and looks the same.
    Image.open(drawn).convert("RGB").quantize(160, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


def places(panels: Sequence[Panel]) -> Iterator[tuple[Panel, float, float, float, float]]:
    """Each panel with its left edge and its width, of 24, and its top and its height in inches."""
    left, top = 0, _HEAD
    for number, panel in enumerate(panels):
        if panel.kind == "row":
            if left:
                left, top = 0, top + _HIGH
            yield panel, 0, 24, top, _HEADING
            top += _HEADING
            continue
        high = _FIRST if panel.width == 24 else _HIGH
        yield panel, left, panel.width, top, high
        left += panel.width
        following = panels[number + 1].width if number + 1 < len(panels) else 24
        if left + following > 24:
            left, top = 0, top + high


def figure(recording: Recording) -> Figure:
    """All panels of a recording's dashboard, with what it has for them."""
    made = dashboard(recording.dashboard)
    laid = list(places(made.panels))
    whole = max(top + high for *_, top, high in laid) + 0.1
    drawn = Figure(figsize=(_WIDE, whole))
    began = datetime.fromtimestamp(recording.span.start, UTC)
    drawn.text(0.012, 1 - 0.2 / whole, made.title, size=14, weight="bold", color="#1f2933", va="center")
    about = f"{recording.of}, {began:%Y-%m-%d}"
    drawn.text(0.988, 1 - 0.2 / whole, about, size=8.5, color="#5a636e", va="center", ha="right")
    for panel, left, width, top, high in laid:
        if panel.kind == "row":
            text: dict[str, Any] = {"size": 10.5, "weight": "bold", "color": "#444c56", "va": "center"}
            drawn.text(0.012, 1 - (top + 0.55 * high) / whole, panel.title, **text)
            continue
        gap = 0.07  # inches between two cards
        box = (left / 24 * _WIDE + gap, whole - top - high + gap, width / 24 * _WIDE - 2 * gap, high - 2 * gap)
        _card(drawn, whole, panel, recording, box)
    return drawn


def _columns(panel: Panel, texts: list[str]) -> int:
    """How many names stand beside each other in a legend."""
    if panel.width == 24:
        return 6
    return 3 if max(map(len, texts)) <= 13 else 2


def _legend(series: list[Line], columns: int) -> list[tuple[Line | None, str]]:
    """Whom the legend names, with their texts; the last one is nobody where there are more."""
    most = _ROWS * columns
    told: list[tuple[Line | None, str]] = [
        (line, short(line.name, 24 if columns == 2 else 40)) for line in named(series, most)
    ]
    unique = len({line.name for line in series})
    if len(told) == unique:
        return told
    kept = told[: most - 1]
    return [*kept, (None, f"… and {unique - len(kept)} more")]


def _card(
    drawn: Figure, whole: float, panel: Panel, recording: Recording, box: tuple[float, float, float, float]
) -> None:
    left, bottom, width, high = box
    card = drawn.add_axes((left / _WIDE, bottom / whole, width / _WIDE, high / whole))
    card.set(xticks=[], yticks=[])
    card.grid(visible=False)
    title: dict[str, Any] = {"size": 9, "weight": "bold", "color": "#1f2933", "va": "top"}
    card.text(0.1 / width, 1 - 0.1 / high, panel.title, transform=card.transAxes, **title)
    series = lines(panel, recording)
    if not series:
        card.text(0.5, 0.45, "no data", transform=card.transAxes, ha="center", color="#9aa3ad", size=11)
        return
    if panel.kind == "stat":
        plots.numbers(card, series, panel.unit)
        return
    columns = _columns(panel, [short(line.name, 40) for line in series])
    legend = [] if panel.kind == "heatmap" else _legend(series, columns)
    under = 0.29 + (0.145 * math.ceil(len(legend) / columns) + 0.03 if legend else 0.05)
    inner = (left + 0.62, bottom + under, width - 0.77, high - under - 0.36)
    axes = drawn.add_axes((inner[0] / _WIDE, inner[1] / whole, inner[2] / _WIDE, inner[3] / whole))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0)
    axes.tick_params(axis="x", pad=5)
    plots.across(axes, recording.span)
    if panel.kind == "heatmap":
        plots.heat(axes, series, recording.span)
        return
    plot = plots.stacked if panel.stacked else plots.plain
    handles = plot(axes, series, recording.span)
    reach = [total(series)] if panel.stacked else series
    plots.upwards(axes, reach, panel.unit, 2 if panel.width == 24 else 4)
    nothing = Line2D([], [], color="none")
    drawn.legend(
        [handles[line.name] if line else nothing for line, _ in legend], [text for _, text in legend],
        ncols=columns, loc="lower left", borderaxespad=0,
        bbox_to_anchor=((left + 0.1) / _WIDE, (bottom + 0.06) / whole), handlelength=1.3, handletextpad=0.5,
        columnspacing=1.1, labelspacing=0.25,
    )  # fmt: skip
