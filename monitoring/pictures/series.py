"""Series of a panel as they are drawn."""

import math
from typing import NamedTuple

from monitoring.pictures.panels import Panel
from monitoring.pictures.recording import Recording


class Line(NamedTuple):
    """A series: its name, a value a step (NaN where there is none), and whether it is a limit."""

    name: str
    values: list[float]
    dashed: bool


def lines(panel: Panel, recording: Recording) -> list[Line]:
    """The series of a panel that have a value, in the order of its queries."""
    found = []
    for query in panel.queries:
        for labels, values in recording.answers.get(query.expr, []):
            if any(value is not None for value in values):
                name = query.name(labels) or "–"
                numbers = [math.nan if value is None else value for value in values]
                found.append(Line(name, numbers, bool(panel.dashed.match(name))))
    return found


def greatest(line: Line) -> float:
    """The greatest value of a series that has one."""
    return max(value for value in line.values if not math.isnan(value))


def least(line: Line) -> float:
    """The least value of a series that has one."""
    return min(value for value in line.values if not math.isnan(value))


def named(series: list[Line], most: int) -> list[Line]:
    """Whom a legend names: the limits, and of the others the largest, in their order and each name once."""
    first = {line.name: line for line in reversed(series)}
    order = {line.name: number for number, line in enumerate(series)}
    chosen = sorted(first.values(), key=lambda line: (not line.dashed, -greatest(line)))[:most]
    return sorted(chosen, key=lambda line: order[line.name])
