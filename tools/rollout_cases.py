"""Writes what rollouts on the cluster came to: the table of docs/canary.md, and the two recordings of README.md.

    .venv/bin/python tools/rollout_cases.py          take what `make e2e K=canary FULL=1` left in .pdx/e2e/rollouts
    .venv/bin/python tools/rollout_cases.py --check  fail where a file says something else than docs/rollouts.json

A case that passed replaces the one of an earlier run; one that no run has shown says so in the table.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
LEFT: Final = ROOT / ".pdx/e2e/rollouts"
RESULTS: Final = ROOT / "docs/rollouts.json"
DOCUMENT: Final = ROOT / "docs/canary.md"
README: Final = ROOT / "README.md"
NOT_SHOWN: Final = "not shown"
CASES: Final = {
    "test_a_good_version_is_promoted": "a good version",
    "test_a_model_of_other_data": "the same kind of model, trained on other data",
    "test_errors_come_out_before_a_user_meets_them": "5 % errors",
    "test_errors_come_out_at_a_step": "5 % errors, nothing copied and nothing compared",
    "test_slow_answers_come_out": "a quarter of the answers slow",
    "test_out_before_a_user_meets_it[crash-loop]": "ends at its start, again and again",
    "test_a_version_that_is_never_ready_comes_out": "never ready",
    "test_out_before_a_user_meets_it[memory]": "killed for memory",
    "test_out_before_a_user_meets_it[hang]": "answers nothing",
    "test_a_version_that_hangs_comes_out": "stops answering anything, at a step",
    "test_out_before_a_user_meets_it[mirrored]": "mirrored scores",
    "test_out_before_a_user_meets_it[shuffled]": "shuffled columns",
    "test_out_before_a_user_meets_it[one-type]": "wrong for attackers of one type",
    "test_a_stable_that_is_slow": "only stable slow",
    "test_an_incident_of_both": "both tracks stopped for 1.5 s, twice",
    "test_one_pod_that_stalls": "the canary's pod stopped for 1.5 s",
    "test_a_canary_that_begins_cold": "slow in its first answers",
    "test_no_traffic_is_held_then_aborted_as_set": "no traffic",
    "test_a_prometheus_that_is_not_there": "no Prometheus where one was named",
    "test_a_prometheus_that_answers_no_number": "a Prometheus that answers NaN",
    "test_a_driver_that_is_killed_at_every_revision": "the driver killed at every revision",
    "test_two_drivers_an_abort_and_a_hand": "a second driver, an abort, an autoscaler patched by hand",
    "test_a_helm_rollback_and_a_rollout_undo_by_hand": "`helm rollback` and `kubectl rollout undo` by hand",
    "test_a_deploy_in_the_middle_stays": "a plain deploy of something else in the middle",
}
RECORDED: Final = {
    "good": "test_a_good_version_is_promoted",
    "bad": "test_out_before_a_user_meets_it[mirrored]",
}
_PLANNED: Final = "is expected.\n"
_ENDED: Final = "\nbattle-rollout-"
_WAITS: Final = "  waits: "
_LOOK: Final = re.compile(r" +\d+ s: stable |  no data: ")
_BLOCK: Final = re.compile(r"(<!-- rollouts (\w+): [^\n]* -->\n).*?(<!-- end of rollouts -->)", re.DOTALL)


def table(results: dict[str, Any]) -> str:
    """A row for each case."""
    rows = [
        "| the new version, or what happens | comes to | clients' requests | failed | seen on |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for name, what in CASES.items():
        found = results.get(name)
        if found is None:
            rows.append(f"| {what} | {NOT_SHOWN} | | | |")
            continue
        asked, failed = (f"{found[key]:,}" if found[key] is not None else "" for key in ("requests", "failed"))
        rows.append(f"| {what} | {found['result']} | {asked} | {failed} | {found['on']} |")
    return "\n".join(rows) + "\n"


def recording(results: dict[str, Any], which: str) -> str:
    """What a driver wrote to its terminal between its plan and the last state; of looks in a row the first one.

    What it waited for is left out.
    """
    found = results.get(RECORDED[which])
    if found is None:
        return f"```\n{NOT_SHOWN}\n```\n"
    kept: list[str] = []
    for line in found["log"].partition(_PLANNED)[2].partition(_ENDED)[0].strip().splitlines():
        if line.startswith(_WAITS):
            continue
        if not _LOOK.match(line):
            kept.append(line.rstrip())
        elif not kept or kept[-1] != "  …":
            kept += ["  …"] if kept and _LOOK.match(kept[-1]) else [line]
    if not kept:
        raise ValueError(f"The log of {RECORDED[which]} has nothing after the plan; has the driver other words now?")
    return "```\n" + "\n".join(kept) + "\n```\n"


def filled(text: str, results: dict[str, Any]) -> str:
    """The text with its blocks written anew."""

    def block(match: re.Match[str]) -> str:
        which = match[2]
        return match[1] + (table(results) if which == "cases" else recording(results, which)) + match[3]

    return _BLOCK.sub(block, text)


def read(path: Path) -> dict[str, Any]:
    """Results by case."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or compare."""
    parser = argparse.ArgumentParser(prog="tools/rollout_cases.py", description="Write what rollouts came to.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 on a difference")
    given = parser.parse_args(arguments)
    results = read(RESULTS)
    if not given.check:
        for path in sorted(LEFT.glob("*.json")):
            found = read(path)
            name = found.pop("name")
            results[name] = found if name in RECORDED.values() else {**found, "log": ""}
        results = {name: results[name] for name in CASES if name in results}
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    status = 0
    for path in (DOCUMENT, README):
        text = path.read_text(encoding="utf-8")
        new = filled(text, results)
        if given.check and new != text:
            sys.stderr.write(f"{path.relative_to(ROOT)} says something else than {RESULTS.relative_to(ROOT)}.\n")
            status = 1
        elif not given.check:
            path.write_text(new, encoding="utf-8")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
