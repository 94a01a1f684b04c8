"""Answers of a Prometheus to the queries of one dashboard, over a stretch of time."""

import gzip
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode

from monitoring.pictures.panels import Dashboard

Ask = Callable[[str], Any]
"""Gives the JSON at a path of Prometheus' HTTP API, which begins with /api/v1."""
Series = tuple[dict[str, str], list[float | None]]
"""Labels, and a value a step; None where there is none, or where it is no number."""
MOST_BYTES: Final = 300_000
"""Of a file, so that it may be committed."""


class RecordingError(Exception):
    """Prometheus refuses a query, or a file is no recording; the message is one sentence."""


@dataclass(frozen=True)
class Span:
    """When is looked at, in seconds.

    Attributes:
        start: the first moment, since 1970.
        end: the last one.
        step: between two moments.
        rate: what ``$__rate_interval`` stands for.
    """

    start: float
    end: float
    step: float
    rate: float

    def points(self) -> int:
        """How many moments there are."""
        return math.floor((self.end - self.start) / self.step + 1e-9) + 1


@dataclass(frozen=True)
class Recording:
    """What Prometheus answered.

    Attributes:
        dashboard: name of the dashboard.
        of: what it is of, for people.
        span: when.
        answers: series by the expression as the dashboard has it, with only the labels that the legend names.
    """

    dashboard: str
    of: str
    span: Span
    answers: dict[str, list[Series]]

    def write(self, folder: Path) -> Path:
        """Write it as gzip JSON, NAME.json.gz; equal recordings are equal files."""
        path = folder / f"{self.dashboard}.json.gz"
        text = json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
        return path

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what ``write`` wrote.

        Raises:
            RecordingError: the file is none.
        """
        try:
            read = json.loads(gzip.decompress(path.read_bytes()))
            answers = {expr: [(labels, values) for labels, values in each] for expr, each in read["answers"].items()}
            return cls(read["dashboard"], read["of"], Span(**read["span"]), answers)
        except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise RecordingError(f"{path} is no recording of a dashboard.") from error


def record(ask: Ask, dashboard: Dashboard, chosen: Mapping[str, str], span: Span, of: str) -> Recording:
    """Ask all queries of a dashboard.

    Args:
        ask: reaches Prometheus.
        dashboard: whose queries.
        chosen: values of its variables, by name; those that are not given are everything.
        span: when.
        of: what it is of, for people.

    Raises:
        RecordingError: Prometheus refuses a query.
    """
    variables = {"version": ".*", "track": ".*", **chosen, "__rate_interval": f"{span.rate:.0f}s"}
    answers: dict[str, list[Series]] = {}
    for panel in dashboard.panels:
        for query in panel.queries:
            if query.expr in answers:
                continue
            expr = query.expr
            for name, value in variables.items():
                expr = expr.replace(f"${name}", value)
            asked = {"query": expr, "start": f"{span.start:.3f}", "end": f"{span.end:.3f}", "step": f"{span.step:g}"}
            answer = ask(f"/api/v1/query_range?{urlencode(asked)}")
            if answer.get("status") != "success":
                raise RecordingError(f"Prometheus refuses a query of {panel.title}: {answer.get('error', answer)}")
            answers[query.expr] = [_series(each, query.labels(), span) for each in answer["data"]["result"]]
    return Recording(dashboard.name, of, span, answers)


def _series(found: dict[str, Any], labels: list[str], span: Span) -> Series:
    values: list[float | None] = [None] * span.points()
    for time, text in found["values"]:
        value = float(text)
        place = round((float(time) - span.start) / span.step)
        if math.isfinite(value) and 0 <= place < len(values):
            values[place] = float(f"{value:.6g}")
    return {name: found["metric"][name] for name in labels if name in found["metric"]}, values
