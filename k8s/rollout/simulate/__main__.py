"""Simulate, and write the figures, the tables and the plots of docs/canary-statistics.md.

``--check`` compares the document with the committed figures; ``--render`` writes tables and plots from them anew.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from k8s.rollout.simulate import figures, plots
from k8s.rollout.simulate.tables import tables

ROOT: Final = Path(__file__).resolve().parents[3]
RESULTS: Final = Path(__file__).with_name("results.json")
DOCUMENT: Final = ROOT / "docs/canary-statistics.md"
BEGIN: Final = "<!-- simulated: written by python -m k8s.rollout.simulate -->"
END: Final = "<!-- end of simulated -->"


def document(results: dict[str, Any]) -> str:
    """docs/canary-statistics.md with these figures."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{tables(results)}\n{END}{rest.partition(END)[2]}"


def _say(name: str) -> None:
    sys.stderr.write(f"{name}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, render, or compare the committed document with the committed figures."""
    parser = argparse.ArgumentParser(prog="python -m k8s.rollout.simulate", description="Simulate rollouts.")
    parser.add_argument("--rollouts", type=int, default=10_000, help="of each kind (default %(default)s)")
    parser.add_argument("--check", action="store_true", help="simulate nothing; exit with 1 on a difference")
    parser.add_argument("--render", action="store_true", help="simulate nothing; write tables and plots")
    given = parser.parse_args(arguments)
    if given.check:
        if document(json.loads(RESULTS.read_text(encoding="utf-8"))) != DOCUMENT.read_text(encoding="utf-8"):
            sys.stderr.write("docs/canary-statistics.md has other figures than k8s/rollout/simulate/results.json.\n")
            return 1
        return 0
    if not given.render:
        results = figures.simulate(given.rollouts, _say)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    DOCUMENT.write_text(document(results), encoding="utf-8")
    plots.write(results, DOCUMENT.parent)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
