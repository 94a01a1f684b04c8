"""Files that are left of a run: HTML by Locust, tables as CSV, a plot, and the verdict as JSON."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from locust.html import get_html_report
from locust.stats import PERCENTILES_TO_REPORT, StatsCSV
from matplotlib.figure import Figure

from loadtests import summary
from loadtests.slo import Slo, Verdict
from loadtests.summary import PERCENTILES, milliseconds
from loadtests.tally import Second
from loadtests.users.base import Load

FILES: Final = ("report.html", "requests.csv", "failures.csv", "history.csv", "plot.png", "verdict.json")


def write(folder: Path, environment: Load, slo: Slo, verdicts: Sequence[Verdict], title: str) -> None:
    """Write ``FILES``.

    Args:
        folder: is made where it is missing.
        environment: of the run that is over.
        slo: what it was held against.
        verdicts: what came of that.
        title: of the plot.

    Raises:
        OSError: the folder cannot be written.
    """
    tally = environment.run.tally
    folder.mkdir(parents=True, exist_ok=True)
    html: str = get_html_report(environment, show_download_link=False)  # type: ignore[no-untyped-call]
    (folder / "report.html").write_text(html, encoding="utf-8")
    tables = StatsCSV(environment, PERCENTILES_TO_REPORT)
    for name, fill in (("requests", tables.requests_csv), ("failures", tables.failures_csv)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            fill(csv.writer(file))
    _history(folder / "history.csv", tally.history)
    _plot(folder / "plot.png", tally.history, slo, title)
    found = json.dumps(summary.values(tally, slo, verdicts), indent=1)
    (folder / "verdict.json").write_text(found + "\n", encoding="utf-8")


def _history(path: Path, history: Sequence[Second]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["second", "users", "right_answers", "failed", *(f"p{p:g}_ms" for p in PERCENTILES)])
        for at, second in enumerate(history):
            times = [round(value, 2) for value in milliseconds(second.seconds, PERCENTILES)]
            writer.writerow([at, second.users, len(second.seconds), second.failed, *times])


def _plot(path: Path, history: Sequence[Second], slo: Slo, title: str) -> None:
    history = history[: max(1, len(history) - 1)]  # users leave in the last second
    at = np.arange(len(history))
    figure = Figure(figsize=(9, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.set_title(title)
    upper.plot(at, [len(second.seconds) for second in history], label="right answers", color="tab:blue")
    upper.plot(at, [second.failed for second in history], label="failed", color="tab:red")
    upper.set_ylabel("requests a second")
    upper.legend(loc="lower left")
    users = upper.twinx()
    users.step(at, [second.users for second in history], where="post", color="0.6")
    users.set_ylabel("users (grey)")
    users.set_ylim(bottom=0)
    upper.set_ylim(bottom=0)
    times = np.array([milliseconds(second.seconds, PERCENTILES) for second in history]).reshape(-1, len(PERCENTILES))
    for column, percentile in enumerate(PERCENTILES):
        lower.plot(at, times[:, column], label=f"p{percentile:g}")
    lower.axhline(slo.threshold * 1000, color="0.3", linestyle="--", label=f"{slo.latency:g} % within")
    lower.set_yscale("log")
    lower.yaxis.set_major_formatter("{x:g}")
    lower.yaxis.set_minor_formatter("{x:g}")
    lower.set_ylabel("milliseconds")
    lower.set_xlabel("seconds of the run")
    lower.legend(loc="upper right", ncols=4)
    figure.savefig(path, dpi=110)
