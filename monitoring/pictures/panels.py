"""Panels of a dashboard as its JSON has them: what is drawn, from which queries, in which unit."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

from monitoring.dashboards import __main__ as dashboards

_LABEL: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class Query(NamedTuple):
    """An expression with Grafana's variables in it, and what its series are called."""

    expr: str
    legend: str

    def name(self, labels: Mapping[str, str]) -> str:
        """What a series with these labels is called."""
        return _LABEL.sub(lambda found: labels.get(found[1], ""), self.legend).strip()

    def labels(self) -> list[str]:
        """The labels that its name is made of."""
        return _LABEL.findall(self.legend)


@dataclass(frozen=True)
class Panel:
    """What is drawn in one place.

    Attributes:
        title: of the panel; a row's is a heading.
        kind: Grafana's word: row, timeseries, stat or heatmap.
        unit: Grafana's name of it.
        width: of 24.
        stacked: whether they are bars on top of each other.
        dashed: which names of series are limits.
        queries: what is drawn.
    """

    title: str
    kind: str
    unit: str
    width: int
    stacked: bool
    dashed: re.Pattern[str]
    queries: tuple[Query, ...]


class Dashboard(NamedTuple):
    """A dashboard.

    Attributes:
        name: of its file.
        title: what Grafana calls it.
        description: of the dashboard.
        panels: in their order.
    """

    name: str
    title: str
    description: str
    panels: tuple[Panel, ...]


def dashboard(name: str) -> Dashboard:
    """The dashboard of this name, as `python -m monitoring.dashboards` would write it now; raises KeyError."""
    made = json.loads(_texts()[f"{name}.json"])
    return Dashboard(name, made["title"], made["description"], tuple(_panels(made)))


def names() -> list[str]:
    """Names of all dashboards."""
    return [file.removesuffix(".json") for file in _texts()]


@cache
def _texts() -> dict[str, str]:
    return dashboards.texts()


def _panels(made: dict[str, Any]) -> Iterator[Panel]:
    for panel in made["panels"]:
        config = panel.get("fieldConfig", {})
        defaults = config.get("defaults", {})
        yield Panel(
            panel["title"],
            panel["type"],
            defaults.get("unit", "short"),
            panel["gridPos"]["w"],
            defaults.get("custom", {}).get("stacking", {}).get("mode") == "normal",
            _dashed(config.get("overrides", [])),
            tuple(Query(target["expr"], target["legendFormat"]) for target in panel.get("targets", [])),
        )


def _dashed(overrides: list[dict[str, Any]]) -> re.Pattern[str]:
    for each in overrides:
        if any(one["id"] == "custom.lineStyle" for one in each["properties"]):
            return re.compile(each["matcher"]["options"].strip("/"))
    return re.compile(r"(?!)")
