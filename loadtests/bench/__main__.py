"""Command line of the benchmark: ``python -m loadtests.bench``."""

import argparse
import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path

from loadtests.bench import battle, model, overhead, product, report, soak
from loadtests.bench.catalogue import ALL, PRODUCT
from loadtests.bench.environments import InstallError, find_ghz, find_wrk, lock
from loadtests.bench.load import Generators
from loadtests.bench.machine import describe, pinned
from loadtests.bench.measure import FAILURES, Bench, Results
from loadtests.bench.places import RESULTS, ROOT, STATE, Cores, default_cores

log = logging.getLogger("bench")

BATTLE = "battle"
_BUSY = 1.0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the options; argparse ends the process with status 2 on one that makes no sense."""
    names = [contender.name for contender in ALL]
    cores = default_cores()
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description="Measure this server and its peers.")
    parser.add_argument("--rounds", type=int, default=5, help="rounds over all contenders; 5 by default")
    parser.add_argument("--seconds", type=int, default=3, help="length of a measurement; 3 by default")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[*names, BATTLE], help=", ".join([*names, BATTLE]))
    parser.add_argument("--quick", action="store_true", help="one round of one second each: whether all of it works")
    parser.add_argument("--soak", type=int, metavar="SECONDS", help="also load this server so long; at least 120")
    parser.add_argument("--metrics", action="store_true", help="only measure what metrics cost; writes metrics.json")
    parser.add_argument("--product-bundle", type=Path, metavar="DIR", help="a bundle of the model; made by default")
    parser.add_argument("--battle-bundle", type=Path, metavar="DIR", help="by default the newest in .pdx/bundles")
    parser.add_argument("--server-core", type=int, default=cores.server, help="core of the servers")
    parser.add_argument("--generator-core", type=int, default=cores.generator, help="core of wrk and ghz")
    parser.add_argument("--results", type=Path, default=ROOT / RESULTS, metavar="DIR", help="loadtests/results")
    parser.add_argument("--lock", action="store_true", help="only lock the contenders' requirements anew")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds = 1, 1
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds must be at least 1.")
    if options.soak is not None and options.soak < 2 * soak.FIRST_SECONDS:
        parser.error("--soak must be at least 120: it compares with the first minute.")
    if not {options.server_core, options.generator_core} <= os.sched_getaffinity(0):
        parser.error(f"This process may use the cores {sorted(os.sched_getaffinity(0))} only.")
    return options


def _bundle(options: argparse.Namespace, trained: model.Model, reasons: dict[str, str]) -> Path | None:
    log.info("Bundle of the model")
    if options.product_bundle is not None:
        return Path(options.product_bundle).resolve()
    try:
        return product.product_bundle(ROOT / STATE / "product/bundle", trained)
    except InstallError as error:
        reasons[PRODUCT.name] = str(error)
        return None


def _battle(
    options: argparse.Namespace, generators: Generators, cores: Cores, results: Results
) -> battle.Battle | None:
    bundle = options.battle_bundle or battle.newest_bundle(ROOT / ".pdx/bundles")
    if bundle is None:
        results.reasons[BATTLE] = "There is no bundle in .pdx/bundles; `make train` makes one, or give --battle-bundle."
        return None
    log.info("Battle")
    try:
        return battle.measure(bundle, generators, cores, options.seconds)
    except FAILURES as error:
        results.reasons[BATTLE] = str(error)
        return None


def bench(options: argparse.Namespace) -> report.Run:
    """Measure what the options ask for.

    Raises:
        InstallError: wrk or ghz is missing.
    """
    contenders = [contender for contender in ALL if not options.only or contender.name in options.only]
    cores = Cores(options.server_core, options.generator_core)
    (ROOT / STATE).mkdir(parents=True, exist_ok=True)
    wrk = find_wrk()
    calls = any(door.kind == "grpc" for contender in contenders for door in contender.doors)
    generators = Generators(wrk, find_ghz() if calls else None, cores, ROOT / STATE)
    machine = describe(cores, wrk)
    if machine.load > _BUSY:
        log.warning("The machine is busy (load average %.1f): the numbers will be too low.", machine.load)
    log.info("Model")
    trained = model.load(ROOT / STATE / "model")
    reasons: dict[str, str] = {}
    bundle = _bundle(options, trained, reasons) if PRODUCT in contenders else None
    # While a generator runs, this process only waits; what little it does is not done on the server's core.
    os.sched_setaffinity(0, {cores.generator})
    measured = Bench(trained, generators, cores, options.seconds, bundle)
    results = measured.rounds(contenders, options.rounds)
    results.reasons |= reasons
    wants_battle = not options.only or BATTLE in options.only
    duels = _battle(options, generators, cores, results) if wants_battle else None
    soaked = None
    if options.soak is not None:
        try:
            soaked = soak.measure(measured, options.soak)
        except FAILURES as error:
            results.reasons["soak"] = str(error)
    return report.Run(results, contenders, trained, machine, options.rounds, options.seconds, duels, soaked)


def metrics(options: argparse.Namespace) -> Path:
    """Measure this server with metrics and without, and write ``metrics.json``; returns its path.

    Raises:
        InstallError: wrk or ghz is missing, or the model cannot be exported.
        ServerError, LoadError, WrongAnswerError: a server did not do.
    """
    cores = Cores(options.server_core, options.generator_core)
    (ROOT / STATE).mkdir(parents=True, exist_ok=True)
    wrk = find_wrk()
    generators = Generators(wrk, find_ghz(), cores, ROOT / STATE)
    machine = describe(cores, wrk)
    trained = model.load(ROOT / STATE / "model")
    bundle = options.product_bundle or product.product_bundle(ROOT / STATE / "product/bundle", trained)
    os.sched_setaffinity(0, {cores.generator})
    asked = overhead.Overhead(generators, cores, options.seconds, overhead.PAIRS_A_ROUND * options.rounds)
    duels = options.battle_bundle or battle.newest_bundle(ROOT / ".pdx/bundles")
    found = {
        "machine": asdict(machine),
        "version": pinned(PRODUCT),
        "seconds": options.seconds,
        "pairs": asked.pairs,
        "alone_us": overhead.alone(bundle),
        "doors": overhead.measured(asked, trained, bundle, duels),
    }
    path: Path = options.results / "metrics.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    return path


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns 1 when something that was asked for could not be measured."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    options = parse(arguments)
    try:
        if options.lock:
            for contender in ALL:
                if contender.installed:
                    log.info("Locking %s", contender.name)
                    lock(contender.name)
            return 0
        if options.metrics:
            log.info("Wrote %s", metrics(options).name)
            return 0
        run = bench(options)
    except FAILURES as error:
        log.error("%s", error)  # noqa: TRY400  the sentence says all
        return 1
    written = report.write(run, options.results)
    sys.stdout.write(report.markdown(run))
    log.info("Wrote %s", ", ".join(path.name for path in written))
    for name, reason in run.results.reasons.items():
        log.warning("Not measured: %s: %s", name, reason)
    return 1 if run.results.reasons else 0


if __name__ == "__main__":
    sys.exit(main())
