"""Series of a panel as they are drawn."""

import math
import re
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
                name = query.name(labels) or "none"
                numbers = [math.nan if value is None else value for value in values]
                found.append(Line(name, numbers, bool(panel.dashed.match(name))))
    return found


def greatest(line: Line) -> float:
    """The greatest value of a series that has one."""
    return max(value for value in line.values if not math.isnan(value))


def least(line: Line) -> float:
    """The least value of a series that has one."""
    return min(value for value in line.values if not math.isnan(value))


def total(series: list[Line]) -> Line:
    """The sum of all, where what has no value is 0."""
    steps = zip(*(line.values for line in series), strict=True)
    return Line("total", [math.fsum(value for value in step if not math.isnan(value)) for step in steps], dashed=False)


def named(series: list[Line], most: int) -> list[Line]:
    """Whom a legend names: the limits, and of the others the largest, in their order and each name once.

    Where there are many, those that are always 0 are left out.
    """
    first = {line.name: line for line in reversed(series)}
    order = {line.name: number for number, line in enumerate(series)}
    moving = [line for line in first.values() if line.dashed or greatest(line) > 0]
    told = moving if moving and len(first) > most else list(first.values())
    chosen = sorted(told, key=lambda line: (not line.dashed, -greatest(line)))[:most]
    return sorted(chosen, key=lambda line: order[line.name])


def short(name: str, most: int) -> str:
    """A name in so many characters; long decimals in it keep three digits."""
    rounded = re.sub(r"\d+\.\d{4,}", lambda found: f"{float(found[0]):.3g}", name)
    return rounded if len(rounded) <= most else f"{rounded[: most - 1]}…"
