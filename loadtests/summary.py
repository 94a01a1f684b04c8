"""What a run came to, in words and as JSON values."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from loadtests.slo import Outcome, Slo, Verdict
from loadtests.tally import Tally

PERCENTILES: Final = (50.0, 95.0, 99.0)
_SHOWN_REASONS: Final = 8


def table(tally: Tally, slo: Slo, verdicts: Sequence[Verdict]) -> str:
    """Counts a door, failures, versions and objectives as lines of text."""
    lines = [f"{'door':12}{'requests':>10}{'failed':>8}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'max ms':>9}"]
    for name, door in sorted(tally.doors.items()):
        times = "".join(f"{value:9.1f}" for value in milliseconds(door.seconds, (*PERCENTILES, 100.0)))
        lines.append(f"{name:12}{door.total:>10,}{door.failed:>8,}{times}")
    lines += ["", *(_reasons(tally) or ["no failures"]), ""]
    for (model, version), count in sorted(tally.versions.items()):
        lines.append(f"{model} {version} gave {count:,} answers ({count / tally.versions.total():.2%})")
    lines += ["", *(_objective(verdict, slo) for verdict in verdicts)]
    return "\n".join(lines)


def _reasons(tally: Tally) -> list[str]:
    lines = []
    for reason, count in tally.reasons.most_common(_SHOWN_REASONS):
        example = tally.examples.get(reason, "")
        lines.append(f"{count:,} × {reason}" + (f" (first: {example[:160]})" if example not in {"", reason} else ""))
    left = len(tally.reasons) - _SHOWN_REASONS
    return lines + ([f"and {left} more kinds of failure"] if left > 0 else [])


def _objective(verdict: Verdict, slo: Slo) -> str:
    what = "answered rightly" if verdict.name == "availability" else f"of those within {slo.threshold:g} s"
    good = verdict.total - verdict.bad
    share = f"{good / verdict.total:.3%}" if verdict.total else "none"
    line = f"{verdict.name}: {share} {what} ({good:,} of {verdict.total:,}), objective {verdict.objective:g} %"
    line += f": {verdict.outcome.value}"
    return line + (f", {verdict.needed:,} are needed" if verdict.outcome is Outcome.UNKNOWN else "")


def values(tally: Tally, slo: Slo, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Counts, objectives and versions as they stand in verdict.json."""
    return {
        "requests": tally.total,
        "failed": tally.failed,
        "seconds": len(tally.history),
        "latency_threshold_seconds": slo.threshold,
        "objectives": [
            {
                "name": verdict.name,
                "objective_percent": verdict.objective,
                "requests": verdict.total,
                "bad": verdict.bad,
                "outcome": verdict.outcome.name.lower(),
            }
            for verdict in verdicts
        ],
        "versions": [
            {"model": model, "version": version, "answers": count}
            for (model, version), count in sorted(tally.versions.items())
        ],
    }


def milliseconds(seconds: Sequence[float], percentiles: Sequence[float]) -> list[float]:
    """Percentiles of times in seconds, in milliseconds; NaN of none."""
    if not len(seconds):
        return [float("nan")] * len(percentiles)
    return [float(value) for value in np.percentile(np.asarray(seconds), percentiles) * 1000]
