"""``python -m loadtests``: load a running server and hold it against its objectives.

The exit code is 0 where every objective was met, 1 where one was missed, and 2 where nothing can be said: no server, no
values, too few requests, or a run that was stopped before its time.
"""

import argparse
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loadtests import load, options, report, slo, summary
from loadtests.requests import BATTLE_MIX, DEX, OIP_MIX, battles, load_attacks
from loadtests.shapes import SHAPES
from loadtests.slo import NotMeasured, Outcome, Verdict
from loadtests.tally import Tally
from loadtests.users.base import Run

RESULTS: Final = Path(__file__).resolve().parent / "results/load"
KEY_VARIABLE: Final = "LOADTESTS_API_KEY"
_BUSY: Final = 0.9
"""Share of its core above which the generator is part of what it measures."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the gate; returns the exit code."""
    given = options.parser().parse_args(arguments)
    try:
        return _gate(given)
    except NotMeasured as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _gate(given: argparse.Namespace) -> int:
    objectives = slo.load(given.slo or slo.CHART)
    grpc_door = options.reach(given)
    attacks = load_attacks(DEX)
    run = Run(
        battles=battles(attacks, given.seed, BATTLE_MIX),
        batches=battles(attacks, given.seed, OIP_MIX),
        tally=Tally(objectives.threshold),
        model=given.model,
        grpc=grpc_door,
        pace=given.pace,
        feedback=given.feedback,
        rng=random.Random(f"feedback|{given.seed}"),  # noqa: S311  reproducible draws, not secrets
        api_key=os.environ.get(KEY_VARIABLE) or None,
    )
    shape = SHAPES[given.shape]
    seconds = given.seconds or shape.seconds
    ended = load.execute(
        run, host=given.host.rstrip("/"), doors=given.doors, shape=shape, seconds=seconds, users=given.users
    )
    verdicts = run.tally.judge(objectives)
    title = f"{given.shape}: at most {given.users} users, {seconds:g} s, {', '.join(given.doors)}"
    sys.stdout.write(f"{title}\n\n{summary.table(run.tally, objectives, verdicts)}\n\n")
    sys.stdout.write(f"The generator used {ended.generator:.0%} of one core")
    sys.stdout.write(", so its own queue is part of the times.\n" if ended.generator > _BUSY else ".\n")
    folder = given.out or RESULTS / given.shape
    try:
        report.write(folder, ended.environment, objectives, verdicts, title)
    except OSError as error:
        raise NotMeasured(f"The report cannot be written to {folder}: {error.strerror}.") from error
    sys.stdout.write(f"Written to {_shown(folder)}: {', '.join(report.FILES)}\n")
    return _code(given, ended, verdicts)


def _code(given: argparse.Namespace, ended: load.Ended, verdicts: Sequence[Verdict]) -> int:
    """The exit code of a run; raises NotMeasured."""
    sys.stdout.flush()
    if ended.faults:
        raise NotMeasured(f"A user broke down, which is no fault of the server: {ended.faults[0]}")
    if ended.interrupted:
        raise NotMeasured("The run was stopped before its time, so it judges nothing.")
    outcomes = {verdict.outcome for verdict in verdicts}
    if Outcome.MISSED in outcomes:
        return 1
    idle = [door for door in given.doors if door not in ended.environment.run.tally.doors]
    if idle:
        raise NotMeasured(f"No request came through {', '.join(idle)}; run it for longer or with more users.")
    if Outcome.UNKNOWN in outcomes:
        raise NotMeasured("Too few requests to tell whether the objectives are met; run it for longer.")
    return 0


def _shown(folder: Path) -> str:
    here = Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)


if __name__ == "__main__":
    raise SystemExit(main())
