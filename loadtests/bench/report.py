"""Writes what was measured: JSON with everything, tables in Markdown, a plot."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadtests.bench.battle import Battle
from loadtests.bench.catalogue import ALL, Contender, Door
from loadtests.bench.figures import Figure, Spread, figures, p50, p99, rps, spread
from loadtests.bench.machine import Machine, locked, pinned
from loadtests.bench.measure import BATCH, BESIDE, CONCURRENCY, ONE_ROW, OWN, Key, Results
from loadtests.bench.model import BATCH_ROWS, COLUMNS, DEPTH, TREES, Model
from loadtests.bench.plot import plot
from loadtests.bench.soak import Soak


@dataclass(frozen=True)
class Run:
    """One run of the benchmark.

    Attributes:
        results: what was measured.
        contenders: whom it was asked to measure, in the order of the table.
        rounds: how many rounds.
        seconds: how long each measurement took.
        battle: the flagship's figure; None when it was not measured.
        soak: None when it was not asked for.
    """

    results: Results
    contenders: list[Contender]
    model: Model
    machine: Machine
    rounds: int
    seconds: float
    battle: Battle | None = None
    soak: Soak | None = None

    def figures(self) -> list[Figure]:
        """The figures of this run."""
        return figures(self.results.loads, self.battle, self.soak, self.results.reasons)


def number(value: float) -> str:
    """A number with as many digits as say something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def cell(value: Spread | None) -> str:
    """Median with the least and the greatest behind it."""
    if value is None:
        return "–"
    if value.least == value.greatest:
        return number(value.median)
    return f"{number(value.median)} ({number(value.least)}–{number(value.greatest)})"


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(entry.replace('|', '/') for entry in line)} |" for line in lines)


def _reason(results: Results, contender: Contender, door: Door) -> str | None:
    reasons = results.reasons
    return reasons.get(f"{contender.name}, {door.name}") or reasons.get(contender.name)


def _one_row(run: Run) -> list[list[str]]:
    rows = []
    for contender in run.contenders:
        for door in contender.doors:
            loads = run.results.loads.get(Key(contender.name, door.name, ONE_ROW), [])
            reason = _reason(run.results, contender, door)
            if not loads:
                rows.append([contender.title, pinned(contender), door.name, f"not measured: {reason}", *[""] * 5])
                continue
            columns = [spread([of(load) for load in loads]) for of in (rps, p50, p99)]
            busy = max(load.busy for load in loads)
            extra = [spread(run.results.starts[contender.name]), spread(run.results.memory[contender.name])]
            title = contender.title + (f" (in {len(loads)} of {run.rounds} rounds: {reason})" if reason else "")
            rows.append([title, pinned(contender), door.name, *map(cell, columns), f"{busy:.0%}", *map(cell, extra)])
    return rows


def _batches(run: Run) -> list[list[str]]:
    titles = {contender.name: contender.title for contender in ALL} | {OWN: f"{OWN}, without a server"}
    rows = []
    for key, loads in run.results.loads.items():
        if key.measure in {BATCH, BESIDE}:
            columns = [spread([of(load) for load in loads]) for of in (rps, p50, p99)]
            rows.append([titles[key.contender], key.door or "–", key.measure, *map(cell, columns)])
    return sorted(rows, key=lambda row: row[2])


def markdown(run: Run) -> str:
    """The tables, with what they were measured on."""
    machine, model = run.machine, run.model
    figure_rows = [
        [figure.title, f"{cell(figure.value)} {figure.unit}".strip(), str(figure.reach or "–"), figure.verdict]
        for figure in run.figures()
    ]
    parts = [
        "# Benchmark",
        f"{machine.processor}, {machine.cores} cores: servers on core {machine.server_core}, load from core "
        f"{machine.generator_core}. Python {machine.python}, wrk {machine.wrk}, ghz {machine.ghz}, XGBoost "
        f"{locked('bare_binary', 'xgboost')}, ONNX Runtime {locked('bare_binary', 'onnxruntime')}. Load average before "
        f"the start: {machine.load}.",
        f"Model {model.digest}: XGBoost, {TREES} trees of depth {DEPTH} ({model.leaves:.0f} of {2**DEPTH} leaves a "
        f"tree) on {COLUMNS} floats. Rounds over all contenders: {run.rounds}, one server running at a time, "
        f"{run.seconds:.0f} s a measurement after 1 s to get warm; medians (least–greatest). Every answer was compared "
        "with the model's before it was timed. Contenders run one worker with the defaults of their documentation; "
        "MLServer runs without debug mode and without its separate process for inference, which on one core makes it "
        "about three times as slow. ghz sends all calls over one connection.",
        "## Figures",
        table(["figure", "measured", "reach", "met"], figure_rows),
        f"## One row, {CONCURRENCY} requests in flight",
        table(
            ["server", "version", "door", "requests/s", "p50 ms", "p99 ms", "generator's core", "start s", "MiB"],
            _one_row(run),
        ),
        f"## Batches of {BATCH_ROWS:,} rows, one connection",
        table(["server", "door", "measure", "requests/s", "p50 ms", "p99 ms"], _batches(run)),
    ]
    return "\n\n".join(parts) + "\n"


def document(run: Run) -> dict[str, Any]:
    """Everything that was measured, for programs."""
    loads = [
        {
            "contender": key.contender,
            "door": key.door,
            "measure": key.measure,
            "rounds": [asdict(load) for load in each],
        }
        for key, each in run.results.loads.items()
    ]
    return {
        "machine": asdict(run.machine),
        "model": {"digest": run.model.digest, "trees": TREES, "depth": DEPTH, "leaves": run.model.leaves},
        "rounds": run.rounds,
        "seconds": run.seconds,
        "versions": {contender.name: pinned(contender) for contender in run.contenders},
        "loads": loads,
        "start_seconds": dict(run.results.starts),
        "memory_mib": dict(run.results.memory),
        "reasons": run.results.reasons,
        "battle": asdict(run.battle) if run.battle else None,
        "soak": asdict(run.soak) if run.soak else None,
        "figures": [
            {**asdict(figure), "reach": str(figure.reach) if figure.reach else None, "met": figure.verdict}
            for figure in run.figures()
        ],
    }


def write(run: Run, folder: Path) -> list[Path]:
    """Write ``bench.md``, ``bench.json`` and ``bench.svg``."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "bench.md", folder / "bench.json"]
    written[0].write_text(markdown(run))
    written[1].write_text(json.dumps(document(run), indent=2, ensure_ascii=False) + "\n")
    bars = [
        (f"{contender.title}, {door.name}", value)
        for contender in run.contenders
        for door in contender.doors
        if (value := spread([rps(load) for load in run.results.loads.get(Key(contender.name, door.name, ONE_ROW), [])]))
    ]
    if bars:
        written.append(plot(bars, f"One row, {CONCURRENCY} in flight, one core", folder / "bench.svg"))
    return written
