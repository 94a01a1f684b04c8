"""Measures what README.md, docs/training.md and docs/model-card.md say in numbers, and writes them there.

    .venv/bin/python tools/figures.py            measure everything, about 10 minutes on two idle cores
    .venv/bin/python tools/figures.py --write    only write the last measurement (docs/numbers.json) into the files
    .venv/bin/python tools/figures.py --check    fail where a file says something else than the last measurement

Everything runs in a folder of its own, on the shipped data, with the commands a user runs. The blocks of the benchmark
are written from what `make bench`, `make bench ARGS=--metrics` and `tools/microseconds.py` left in loadtests/results.
"""

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.serving import Serving

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "numbers.json"
BENCH = ROOT / "loadtests" / "results" / "bench.json"
METRICS = ROOT / "loadtests" / "results" / "metrics.json"
MICROSECONDS = ROOT / "loadtests" / "results" / "microseconds.json"
CARD = ROOT / "docs" / "model-card.md"
COST = """

## What it costs
<!-- numbers cost: written by tools/figures.py -->
<!-- end of numbers -->
"""
PDX = ROOT / ".venv" / "bin" / "pdx"
PORTS = (13000, 13001, 13002)
STARTS = 5
ASKED = 300
_BLOCK = re.compile(r"(<!-- numbers (\w+): [^\n]* -->\n).*?(<!-- end of numbers -->)", re.DOTALL)


def run(command: list[str], home: Path) -> tuple[float, float]:
    """Run to the end; wall seconds, and the largest resident size of a process in GiB."""
    before = time.monotonic()
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PDX_HOME": str(home)}, check=True, stdout=sys.stderr)
    # ru_maxrss is the largest of all children so far, so the order of the runs is from small to large.
    return time.monotonic() - before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


ASK = {"pokemon_a": "Pikachu", "pokemon_b": "Gyarados", "available_moves_a": ["thunderbolt", "irontail"]}
"""The request of README.md."""


def serving(bundle: Path) -> tuple[dict[str, float], dict[str, Any]]:
    """Start the server some times: median seconds to ready, then latency and memory of one; and what it answers."""
    from training.serving import Ports, Serving

    os.environ["PDX_STOP_DRAIN_SECONDS"] = "0"
    starts = []
    for _ in range(STARTS):
        begin = time.monotonic()
        with Serving.start(bundle, ports=Ports(*PORTS)):
            starts.append(time.monotonic() - begin)
    with Serving.start(bundle, ports=Ports(*PORTS)) as server:
        usual = _median_ms(server, {"pokemon_a": "pikachu", "pokemon_b": "venusaur"})
        largest = _median_ms(server, {"pokemon_a": "mew", "pokemon_b": "mew"})
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        answer = server.predict(ASK)
    memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
    measured = {
        "ready_seconds": statistics.median(starts),
        "memory_mib": memory,
        "usual_ms": usual,
        "largest_ms": largest,
    }
    return measured, {**answer, "prediction_id": "…"}


def _median_ms(server: "Serving", body: dict[str, Any]) -> float:
    taken = []
    for _ in range(ASKED):
        begin = time.perf_counter()
        server.predict(body)
        taken.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(taken)


def measure() -> dict[str, Any]:
    """Run the demo, the whole chain, the evaluation and the server."""
    with tempfile.TemporaryDirectory(prefix="pdx-numbers-") as scratch:
        home = Path(scratch)
        demo_seconds, demo_gib = run(
            [str(PDX), "demo", "--once", "--port=13000", "--grpc-port=13001", "--admin-port=13002"], home
        )
        told = subprocess.run(
            [str(PDX), "evaluate", "--json", "--home", str(home)], cwd=ROOT, check=True, capture_output=True, text=True
        )
        figures = json.loads(told.stdout)
        bundle = home / "bundles" / figures["version"]
        served, answer = serving(bundle)
        contract = json.loads((bundle / "contract.json").read_text())
        CARD.write_text((bundle / "card.md").read_text().rstrip() + COST)
        all_seconds, all_gib = run([str(PDX), "all"], home / "all")
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "algorithm": contract["provenance"]["algorithm"],
        "crossover_rows": contract["runtime"]["crossover_rows"],
        "parity": contract["parity"]["max_difference"],
        "figures": {name: value for name, value in figures.items() if name != "version"},
        "serving": served,
        "answer": answer,
        "tried": tried(),
        "runs": {
            "demo_seconds": demo_seconds,
            "demo_gib": demo_gib,
            "all_seconds": all_seconds,
            "all_gib": all_gib,
        },
    }


TRIED = (50_000, 150_000, 500_000, 1_500_000)


def tried() -> list[dict[str, Any]]:
    """The rule without a model, and XGBoost on growing numbers of duels, on the gate's replays."""
    from bentos.battle import features
    from training import prepare
    from training.calibrate import choose
    from training.candidates import CANDIDATES, SEED
    from training.evaluate import figures
    from training.train import answers

    data = prepare.load()
    gate, calibration = data.gate, data.calibration

    def row(name: str, p: Any) -> dict[str, Any]:
        measured = figures(p, gate.outcomes)
        return {"name": name, "accuracy": measured.accuracy, "mae": measured.mae}

    race = gate.matrix.x[:, features.FEATURES.index("race")]
    rows = [row("the damage race alone", features.restore(race, gate.matrix))]
    candidate = CANDIDATES["xgboost"]
    for most in TRIED:
        part = data.training.sample(most, SEED)
        fitted = candidate.fit(part.x, part.label, part.group, candidate.params, SEED)
        raw = fitted.predict(calibration.matrix.x)
        chosen, _ = choose(raw, calibration.first_frequency(), calibration.replays.pairs())
        rows.append(row(f"XGBoost on {len(part):,} duels", answers(fitted, chosen, gate.matrix)))
    return rows


def tried_table(result: dict[str, Any]) -> str:
    """What was tried, as Markdown."""
    lines = ["| model | expected accuracy | mean absolute error of the win probability |", "| --- | ---: | ---: |"]
    lines += [f"| {row['name']} | {row['accuracy']:.4f} | {row['mae']:.4f} |" for row in result["tried"]]
    return "\n".join(lines)


def answer_block(result: dict[str, Any]) -> str:
    """The answer that README.md shows, as JSON of a line for each field and each attack; numbers of 4 digits."""

    def short(value: Any) -> str:
        rounded = json.loads(json.dumps(value), parse_float=lambda text: round(float(text), 4))
        return json.dumps(rounded, ensure_ascii=False)

    answer = result["answer"]
    attacks = ",\n".join(f"  {short(each)}" for each in answer["all_moves"])
    fields = [
        f' "{name}": ' + (f"[\n{attacks}\n ]" if name == "all_moves" else short(value))
        for name, value in answer.items()
    ]
    return "```json\n{\n" + ",\n".join(fields) + "\n}\n```"


def model_table(result: dict[str, Any]) -> str:
    """What the model reaches, as Markdown."""
    from training.evaluate import REACHES

    f = result["figures"]
    rows = [
        ("expected accuracy on species pairs never trained on", "accuracy", "ceiling"),
        ("share of the replay ceiling", "ceiling_share", None),
        ("mean absolute error of the win probability", "mae", "mae_perfect"),
        ("expected calibration error, 15 bins of equal mass", "ece", "ece_perfect"),
        ("mean of abs(P(A beats B) + P(B beats A) − 1)", "antisymmetry", None),
        ("best-attack regret, mean over 300 requests", "regret", None),
    ]
    lines = ["| figure | model | a perfect model | aim |", "| --- | ---: | ---: | ---: |"]
    for (title, name, perfect), reach in zip(rows, REACHES, strict=True):
        aim = f"{'≥' if reach.at_least else '≤'} {reach.bound:g}"
        best = f"{f[perfect]:.4f}" if perfect else ("1" if name == "ceiling_share" else "0")
        lines.append(f"| {title} | {f[name]:.4f} | {best} | {aim} |")
    lines.append("")
    lines.append(f"Regret has a standard error of {f['regret_se']:.4f}; accuracy one of {f['accuracy_se']:.4f}.")
    return "\n".join(lines)


def serving_table(result: dict[str, Any]) -> str:
    """What it costs, as Markdown."""
    served, runs = result["serving"], result["runs"]
    lines = [
        "| what | measured | aim |",
        "| --- | ---: | ---: |",
        f"| `make demo ONCE=1`, environments there | {runs['demo_seconds']:.0f} s | ≤ 240 s |",
        f"| `pdx all`: four candidates, cross-validation, learning curves | {runs['all_seconds']:.0f} s | ≤ 720 s |",
        f"| its largest process | {runs['all_gib']:.1f} GiB | ≤ 4 GiB |",
        f"| server: start to ready, median of {STARTS} | {served['ready_seconds']:.2f} s | ≤ 3 s |",
        f"| server: resident memory after 600 predictions | {served['memory_mib']:.0f} MiB | ≤ 220 MiB |",
        f"| `POST /predict/battle`, Pikachu against Venusaur, all attacks, median | {served['usual_ms']:.1f} ms | |",
        f"| the same, Mew against Mew (2,500 pairings), median | {served['largest_ms']:.1f} ms | |",
        "",
        f"Measured by `tools/figures.py` on {result['machine']}. ONNX Runtime and XGBoost agree within "
        f"{result['parity']:.0e}; batches of {result['crossover_rows']} rows and more go to XGBoost.",
    ]
    return "\n".join(lines)


def bench_figures(_: dict[str, Any]) -> str:
    """The ratios of the last `make bench`, as Markdown."""
    bench = json.loads(BENCH.read_text())
    lines = ["| ratio, or ms | measured (least–greatest) | aim | met |", "| --- | ---: | ---: | --- |"]
    for figure in bench["figures"]:
        value, unit = figure["value"], f" {figure['unit']}" if figure["unit"] else ""
        shown = f"{value['median']:.3g} ({value['least']:.3g}–{value['greatest']:.3g}){unit}" if value else "–"
        lines.append(f"| {figure['title']} | {shown} | {figure['reach'] or ''} | {figure['met']} |")
    machine = bench["machine"]
    lines += [
        "",
        f"`make bench` at {bench['versions']['product']}: {machine['processor']}, server on one core, load from "
        f"another, {bench['rounds']} rounds of {bench['seconds']:.0f} s a measurement, medians. All of it is in "
        "`loadtests/results/bench.md`.",
    ]
    return "\n".join(lines)


def peers_line(_: dict[str, Any]) -> str:
    """How this server compares, in one sentence."""
    figures = json.loads(BENCH.read_text())["figures"]
    # Lines of REST come first, those of gRPC after them under the same names.
    grpc = next(place for place, figure in enumerate(figures) if figure["title"].startswith("gRPC"))
    rest = {figure["title"]: figure["value"] for figure in figures[:grpc]}
    peers = ["BentoML", "KServe", "MLServer", "FastAPI", "MLflow models serve"]
    times = ", ".join(f"{rest[f'the same: {name}']['median']:.1f} times {name}'s" for name in peers)
    return (
        f"Requests of one row a second over REST, beside others in the same run: {times}, and "
        f"{figures[0]['value']['median']:.2f} of a bare ASGI app's; calls over gRPC "
        f"{figures[grpc]['value']['median']:.2f} of a bare `grpc.server`'s. `docs/performance.md` says on what, what "
        "else was measured, and where the microseconds go."
    )


def microseconds_table(_: dict[str, Any]) -> str:
    """Where a request's time goes, as Markdown: what each stage takes, and what it adds to the one before."""
    lines = ["| CPU time a request, least of the rounds | µs | more than the stage before |", "| --- | ---: | ---: |"]
    before = 0.0
    result = json.loads(MICROSECONDS.read_text())
    for stage in result["stages"]:
        took = stage["least"]
        compared = stage["stage"] == "uvicorn" or stage["stage"].startswith("bare")
        first = stage["stage"] in {"protocol", "grpc"}
        more = "" if compared or first else f"+ {took - before:.0f}"
        lines.append(f"| {stage['title']} | {took:.0f} | {more} |")
        before = before if compared else took
    scrape = result["scrape_ms"]
    lines += [
        "",
        f"A scrape of `/metrics` while the server answers all the rows it can: {scrape['median']:.0f} ms, median of "
        f"{scrape['scrapes']}; the longest {scrape['greatest']:.0f} ms.",
    ]
    return "\n".join(lines)


def metrics_table(_: dict[str, Any]) -> str:
    """What metrics and drift cost a request, as Markdown."""
    lines = [
        "| least CPU time a request, µs | with metrics | without | ratio within pairs, median (95 %) | aim | met |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    result = json.loads(METRICS.read_text())
    for door in result["doors"]:
        ratio = f"{door['ratio']:.3f} ({door['low']:.3f} to {door['high']:.3f})"
        met = "yes" if door["ratio"] <= door["most"] else "no"
        figures = f"{door['counting_us']:.0f} | {door['silent_us']:.0f} | {ratio} | ≤ {door['most']:g}"
        lines.append(f"| {door['title']} | {figures} | {met} |")
    machine = result["machine"]
    alone = result["alone_us"]
    part = alone / min(door["silent_us"] for door in result["doors"])
    lines += [
        "",
        f"The call alone, in a loop with every request observed: {alone:.1f} µs, {part:.1%} of the cheapest request.",
        "",
        f"`make bench ARGS=--metrics` at {result['version']}: {machine['processor']}, both servers on one core, load "
        f"from another, {result['pairs']} pairs of {result['seconds']:.0f} s a measurement; load average before the "
        f"start: {machine['load']}.",
    ]
    return "\n".join(lines)


BLOCKS = {
    "model": model_table,
    "cost": serving_table,
    "tried": tried_table,
    "answer": answer_block,
    "bench": bench_figures,
    "peers": peers_line,
    "microseconds": microseconds_table,
    "metrics": metrics_table,
}
FILES = (ROOT / "README.md", ROOT / "docs" / "training.md", ROOT / "docs" / "performance.md", CARD)


def filled(text: str, result: dict[str, Any]) -> str:
    """The text with every block of numbers written anew."""
    return _BLOCK.sub(lambda match: f"{match[1]}{BLOCKS[match[2]](result)}\n{match[3]}", text)


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the last measurement into the files")
    parser.add_argument("--check", action="store_true", help="compare the files with the last measurement")
    options = parser.parse_args()
    if not (options.write or options.check):
        RESULT.write_text(json.dumps(measure(), indent=1) + "\n")
    result = json.loads(RESULT.read_text())
    stale = []
    for file in FILES:
        text = file.read_text()
        if filled(text, result) != text:
            stale.append(file)
            if not options.check:
                file.write_text(filled(text, result))
    if options.check and stale:
        print(
            f"{', '.join(f.name for f in stale)}: numbers differ from docs/numbers.json; run tools/figures.py --write"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
