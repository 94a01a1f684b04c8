"""Counters as text, and what they grew by.

Every set of labels starts at 0 with its process. So a difference needs the same process at both ends: of a pod that is
new, or whose container started anew, or whose counters fell, the interval is left out, since part of it is not known.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

READ: Final = (
    "api_requests_total",
    "api_request_duration_seconds_bucket",
    "api_request_duration_seconds_count",
    "cohort_requests_total",
    "model_score_bin_total",
    "model_feedback_total",
    "model_info",
    "shadow_",
)
"""Beginnings of the series that are read; the rest is not even parsed."""

Labels = frozenset[tuple[str, str]]
Series = tuple[str, Labels]
Numbers = dict[Series, float]


@dataclass(frozen=True)
class Scrape:
    """What one pod said.

    Attributes:
        process: what has to be the same for two scrapes to be compared: the pod's uid and its container's restarts.
        numbers: of the series that are read.
    """

    process: tuple[str, int]
    numbers: Numbers


def parse(text: str, read: tuple[str, ...] = READ) -> Numbers:
    """Read Prometheus' text format.

    Raises:
        ValueError: it is none.
    """
    lines = "\n".join(line for line in text.splitlines() if line.startswith(read)) + "\n"
    return {
        (sample.name, frozenset(sample.labels.items())): float(sample.value)
        for family in text_string_to_metric_families(lines)
        for sample in family.samples
    }


def growth(before: Numbers, after: Numbers) -> Numbers | None:
    """What each series grew by; None where one fell or is gone, which is another process's doing."""
    if any(series not in after for series in before):
        return None
    grown = {series: value - before.get(series, 0.0) for series, value in after.items()}
    gauges = {"model_info"}
    fell = any(value < 0 for (name, _), value in grown.items() if name not in gauges and not _may_fall(name))
    return None if fell else grown


def compared(before: Mapping[str, Scrape], after: Mapping[str, Scrape]) -> dict[str, Numbers]:
    """Growth by pod, of those pods that ran through the interval."""
    found = {}
    for pod, scrape in after.items():
        earlier = before.get(pod)
        if earlier is None or earlier.process != scrape.process:
            continue
        grown = growth(earlier.numbers, scrape.numbers)
        if grown is not None:
            found[pod] = grown
    return found


def total(numbers: Iterable[Numbers], name: str, **labels: str | frozenset[str]) -> float:
    """Sum over the series of a name with these labels; a set takes any of its values."""
    wanted = {key: frozenset({value}) if isinstance(value, str) else value for key, value in labels.items()}
    return sum(
        value
        for one in numbers
        for (series, given), value in one.items()
        if series == name and all(dict(given).get(key) in values for key, values in wanted.items())
    )


def values(numbers: Iterable[Numbers], name: str, label: str) -> frozenset[str]:
    """Values that a label has among the series of a name."""
    return frozenset(
        text for one in numbers for (series, given) in one if series == name for key, text in given if key == label
    )


def _may_fall(name: str) -> bool:
    """A sum of signed differences is no counter, for all its ``_total``."""
    return name.startswith("shadow_score_difference_sum")
