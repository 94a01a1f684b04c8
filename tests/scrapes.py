"""What a running server's /metrics says."""

from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests import servers

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(process: servers.Process) -> Series:
    """Every series by name and labels."""
    text = httpx.get(f"{process.admin}/metrics").text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(found: Series | servers.Process, name: str, **labels: Any) -> float:
    """The sum of a family's series that have these labels."""
    series = scrape(found) if isinstance(found, servers.Process) else found
    return sum(number for (each, has), number in series.items() if each == name and has >= frozenset(labels.items()))


def moved(before: Series, after: Series) -> set[str]:
    """Names of families of ours that changed, but for gauges of the process itself."""
    names = {name for (name, labels), number in after.items() if before.get((name, labels)) != number}
    return {name for name in names if not name.startswith(("process_", "python_"))}
