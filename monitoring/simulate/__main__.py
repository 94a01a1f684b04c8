"""Simulate, and write the figures and the tables of docs/drift.md; ``--check`` compares these two."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from bentos.adapter import Rows
from bentos.battle import features
from bentos.core import Core
from monitoring.simulate import accuracy, drift
from training.battle_watch import observe

ROOT: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = Path(__file__).with_name("results.json")
DOCUMENT: Final = ROOT / "docs/drift.md"
BEGIN: Final = "<!-- simulated: written by python -m monitoring.simulate -->"
END: Final = "<!-- end of simulated -->"
POOL: Final = 200_000
SEED: Final = 4
"""Another one than those of load tests, references and expectations."""
OFFLINE: Final = 0.944
OUTCOMES: Final = (2_500, 5_000, 10_000, 20_000, 50_000)


def simulate(bundle: Path, pool: int, windows: int) -> dict[str, Any]:
    """Every figure, of a bundle's own answers."""
    core = Core.open(bundle)
    dex = core.duels.dex

    def answer(rows: features.Matrix) -> np.ndarray[Any, np.dtype[np.float64]]:
        return features.restore(core.scores(Rows(len(rows.x), rows.x)), rows)

    seen = observe(dex, answer, pool, SEED)
    sizes = [size for size in drift.SIZES if size <= pool]
    return {
        "model": f"{core.contract.name} {core.contract.provenance.algorithm}",
        "pool": pool,
        "windows": windows,
        "false_alerts": {str(size): share for size, share in drift.false_alerts(dex, seen, windows, sizes).items()},
        "found": {str(n): drift.found(dex, seen, n, windows // 2) for n in (500, 1_000, 2_000)},
        "offline": OFFLINE,
        "accuracy": {
            str(n): {
                f"{points:g}": accuracy.below_offline(OFFLINE - points / 100, OFFLINE, n, 100_000)
                for points in (0, 0.5, 1, 2, 3)
            }
            for n in OUTCOMES
        },
    }


def tables(results: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        f"Of {results['windows']:,} windows a size, drawn from {results['pool']:,} requests of the generator, each",
        f"twenty against a reference of 5,000 requests of its own; model: {results['model']}.",
        "",
        "| requests in the window | windows in which any of seven alerts though nothing drifted |",
        "| ---: | ---: |",
        *(f"| {int(size):,} | {share:.2%} |" for size, share in results["false_alerts"].items()),
        "",
        "| a tenth of the requests moves | of the column | " + " | ".join(results["found"]) + " requests |",
        "| --- | --- |" + " ---: |" * len(results["found"]),
    ]
    for kind, names in next(iter(results["found"].values())).items():
        for name in names:
            shares = " | ".join(f"{of[kind][name]:.1%}" for of in results["found"].values())
            lines.append(f"| {kind} | `{name}` | {shares} |")
    points = next(iter(results["accuracy"].values()))
    lines += [
        "",
        f"| outcomes | {' | '.join('as right as offline' if p == '0' else f'{p} points less' for p in points)} |",
        "| ---: |" + " ---: |" * len(points),
        *(
            f"| {int(n):,} | " + " | ".join(f"{share:.1%}" for share in of.values()) + " |"
            for n, of in results["accuracy"].items()
        ),
    ]
    return "\n".join(lines)


def document(results: dict[str, Any]) -> str:
    """docs/drift.md with these figures."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{tables(results)}\n{END}{rest.partition(END)[2]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, or compare the committed document with the committed figures."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.simulate", description="Simulate alerts.")
    parser.add_argument("--bundle", type=Path, help="whose answers are watched")
    parser.add_argument("--pool", type=int, default=POOL, help="requests that are drawn from (default %(default)s)")
    parser.add_argument("--windows", type=int, default=1000, help="windows of each size (default %(default)s)")
    parser.add_argument("--check", action="store_true", help="simulate nothing; exit with 1 on a difference")
    given = parser.parse_args(arguments)
    if given.check:
        if document(json.loads(RESULTS.read_text(encoding="utf-8"))) != DOCUMENT.read_text(encoding="utf-8"):
            sys.stderr.write("docs/drift.md has other figures than monitoring/simulate/results.json.\n")
            return 1
        return 0
    if given.bundle is None:
        parser.error("--bundle is needed to simulate")
    results = simulate(given.bundle, given.pool, given.windows)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    DOCUMENT.write_text(document(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
