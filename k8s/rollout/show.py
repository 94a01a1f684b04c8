"""What people see: the plan, a rollout's state, and the list of all rollouts."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from k8s.rollout.prepare import Prepared
from k8s.rollout.record import Record

_COLOURS = {
    "pass": "green", "fail": "red", "not yet": "yellow",
    "running": "yellow", "held": "magenta", "promoted": "green", "rolled back": "red",
}  # fmt: skip


def planned(prepared: Prepared) -> RenderableType:
    """What ``start`` will do."""
    record, expected = prepared.record, prepared.record.expected
    title = Text(f"{record.name}: {record.stable_image} → {record.image}")
    table = Table(title=title, title_justify="left")
    for name in ("#", "revision", "changes", "canary gets", "goes on when"):
        table.add_column(name)
    for place, each in enumerate(record.plan):
        _row(table, str(place), each.name, each.changes.value, f"{each.weight} %", _GATES[each.gate.value])
    minutes = expected["minutes"]
    lines = [
        f"Traffic now: {prepared.per_minute:,.0f} requests a minute.",
        f"Expected time to a verdict: {minutes:,.0f} minutes."
        if minutes is not None
        else "At this traffic a verdict never comes: more of it, or `kubectl canary promote` by hand.",
        f"Found within it, at 90 %: errors {_points(expected['errors_excess'])}, slow answers "
        f"{_points(expected['slow_excess'])}, other answers {_points(expected['flips_excess'])} over what is expected.",
    ]
    proposed = expected["weights"]
    if proposed and proposed != list(record.settings["steps"]):
        lines.append(f"Weights that can end at this traffic: {','.join(map(str, proposed))}.")
    if not record.settings["prometheus"]:
        lines.append("The gateway is not asked (--prometheus): crashes and hangs show in pods alone, 502s nowhere.")
    if not record.settings["pairs"]:
        lines.append("What the model says is not judged (--without-pairs).")
    return Group(table, *map(Text, lines))


_GATES = {
    "golden": "ready, right version, golden pairs",
    "ready": "every pod is ready",
    "evidence": "nothing failed, warm-up and minimum over",
    "pass": "every check has passed",
    "routed": "the gateway has the weights",
    "done": "",
}


def state(record: Record, driver: str | None, live_weight: int | None) -> RenderableType:
    """One rollout now."""
    head = Text(f"{record.name}: ")
    head.append(record.state, style=_COLOURS.get(record.state, ""))
    head.append(f", canary {record.weight} %")
    if live_weight is not None and live_weight != record.weight:
        head.append(f" (live {live_weight} %)", style="red")
    head.append(f"; {record.stable_image} → {record.image}; began {record.began}")
    lines = [head]
    if record.open:
        lines.append(Text(f"Driver: {driver}" if driver else "No driver is at work: `kubectl canary resume` goes on."))
        minutes = record.expected.get("minutes")
        if minutes is not None:
            lines.append(Text(f"Expected from the start to a verdict: {minutes:.0f} minutes."))
    if record.sentence:
        lines.append(Text(record.sentence))
    return Group(*lines, _steps(record), _readings(record))


def _steps(record: Record) -> Table:
    table = Table("revision", "helm", "canary", "stable", "canary", "intervals", "from", "to", "")
    for each in record.steps:
        _row(
            table, each.name, str(each.helm), f"{each.weight} %", f"{each.requests['stable']:.0f}",
            f"{each.requests['canary']:.0f}", str(each.intervals), each.began[11:19], each.ended[11:19], each.sentence,
        )  # fmt: skip
    return table


def _readings(record: Record) -> Table:
    table = Table("check", "estimate", "interval", "margin", "evidence", "verdict", "")
    found = next((each.readings for each in reversed(record.steps) if each.readings), [])
    for each in found:
        verdict = Text(each["outcome"], style=_COLOURS.get(each["outcome"], ""))
        bounds = f"{_number(each['lower'])} to {_number(each['upper'])}"
        _row(
            table, each["check"] + ("" if each["required"] else " (can only fail)"), _number(each["estimate"]), bounds,
            _number(each["margin"]), f"{each['evidence']:,.0f}", verdict, each["sentence"],
        )  # fmt: skip
    return table


def listed(records: list[Record]) -> RenderableType:
    """All rollouts of a release."""
    table = Table("rollout", "state", "image", "versions", "began", "ended", "why")
    for each in records:
        versions = " → ".join(each.versions.get(track, "?") for track in ("stable", "canary"))
        state = Text(each.state, style=_COLOURS.get(each.state, ""))
        _row(table, each.name, state, each.image, versions, each.began, each.ended, each.sentence)
    return table


def _row(table: Table, *cells: str | Text) -> None:
    """What pods and helm said may look like markup, and is none."""
    table.add_row(*(Text(each) if isinstance(each, str) else each for each in cells))


def as_json(record: Record, **more: Any) -> dict[str, Any]:
    """A rollout of JSON's own types, without what only another driver reads."""
    found = record.to_json()
    found.pop("analysis")
    return {"name": record.name, **found, "weight": record.weight, **more}


def _points(share: float | None) -> str:
    return "not judged" if share is None else f"{share:.2%}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
