"""Rounds over all contenders: start, check, warm, measure, stop."""

import json
import logging
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.bench import check
from loadtests.bench.catalogue import Contender, Door, Setup, setup_of
from loadtests.bench.environments import InstallError, install, run
from loadtests.bench.load import Generators, Load, LoadError
from loadtests.bench.model import Model
from loadtests.bench.places import CONTENDERS, ROOT, STATE, Cores, environment
from loadtests.bench.servers import Server, ServerError, free_ports, start

log = logging.getLogger("bench")

CONCURRENCY = 16
ONE_ROW, BATCH, BESIDE = "one row", "batch", "one row beside batches"
OWN = "XGBoost itself"
WARM_SECONDS = 1.0

FAILURES = (InstallError, ServerError, LoadError, check.WrongAnswerError)
_BROKEN = (OSError, subprocess.SubprocessError)


@dataclass(frozen=True)
class Key:
    """What a series of measurements is of."""

    contender: str
    door: str
    measure: str


@dataclass(frozen=True)
class Measured(Load):
    """A load with the number of its round, from 0: loads of one round are compared with each other."""

    round: int = field(kw_only=True)


@dataclass
class Results:
    """Everything measured.

    Attributes:
        loads: one entry for each key and each round in which it was measured.
        reasons: why a contender has no numbers, or no more of them.
        starts: seconds from the start of the process to the first answer, one entry a round.
        memory: MiB of the server and its children after its loads, one entry a round.
    """

    loads: dict[Key, list[Measured]] = field(default_factory=lambda: defaultdict(list))
    reasons: dict[str, str] = field(default_factory=dict)
    starts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    memory: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, key: Key, load: Load, number: int) -> None:
        """Keep a load of a round."""
        self.loads[key].append(Measured(**vars(load), round=number))


@dataclass(frozen=True)
class Bench:
    """What all measurements share.

    Attributes:
        model: the model behind every door.
        generators: wrk and ghz.
        cores: who runs where.
        seconds: how long each measurement takes.
        bundle: the product's bundle of the model; None where there is none.
    """

    model: Model
    generators: Generators
    cores: Cores
    seconds: float
    bundle: Path | None = None

    def prepare(self, contender: Contender) -> Setup:
        """Install a contender and let it prepare.

        Raises:
            InstallError: it cannot be installed, or its preparation failed.
        """
        state = ROOT / STATE / contender.name / "state"
        state.mkdir(parents=True, exist_ok=True)
        if contender.installed:
            setup = setup_of(contender, install(contender.name), self.model, state, None)
        else:
            if self.bundle is None:
                raise InstallError("There is no bundle of the model.")
            setup = setup_of(contender, Path(), self.model, state, self.bundle)
        if contender.prepare is not None:
            run(contender.prepare(setup), env=environment(), cwd=setup.state)
        return setup

    @contextmanager
    def serving(self, contender: Contender, setup: Setup) -> Iterator[tuple[Server, float]]:
        """A contender that answers, and the seconds it took to; stopped at the end.

        Raises:
            ServerError: it ends, or never answers.
        """
        ports = free_ports()
        command = self.cores.pin_server(contender.command(setup, ports))
        env = environment(**contender.variables(setup, ports))
        server_log = ROOT / STATE / contender.name / "server.log"
        with start(command, ports, server_log, cwd=setup.state, env=env) as server:
            seconds = sum(server.wait(check.Readiness(door, ports, self.model)) for door in contender.doors)
            yield server, seconds

    def door(self, door: Door, server: Server) -> dict[str, Load]:
        """Load one door, after a second to get warm."""
        one = door.codec.encode(self.model.rows[:1])
        if door.kind == "grpc":
            self.generators.grpc(server.ports.grpc, one, concurrency=CONCURRENCY, seconds=WARM_SECONDS)
            load = self.generators.grpc(server.ports.grpc, one, concurrency=CONCURRENCY, seconds=self.seconds)
            return {ONE_ROW: load}
        url = check.url(door, server.ports)
        self.generators.http(url, one, connections=CONCURRENCY, seconds=WARM_SECONDS)
        loads = {ONE_ROW: self.generators.http(url, one, connections=CONCURRENCY, seconds=self.seconds)}
        if door.batch:
            batch = door.codec.encode(self.model.rows)
            loads[BATCH] = self.generators.http(url, batch, connections=1, seconds=self.seconds)
            loads[BESIDE], _ = self.generators.mixed(url, one, batch, seconds=self.seconds)
        return loads

    def own_time(self) -> Load:
        """XGBoost's own time for the batch, on the server's core, in a process that does nothing else.

        Raises:
            InstallError: the environment cannot be installed, or the measurement failed.
            LoadError: the measurement wrote no result.
        """
        python = install("bare_binary")
        script = CONTENDERS / "bare_binary/own_time.py"
        command = [str(python), str(script), "--ubj", str(self.model.ubj), "--rows", str(self.model.rows_file)]
        output = run(self.cores.pin_server([*command, "--seconds", f"{self.seconds:.0f}"]), env=environment())
        try:
            seen = json.loads(output)
            return Load(1000 / seen["p50_ms"], seen["p50_ms"], seen["p99_ms"], seen["batches"])
        except (ValueError, LookupError, TypeError) as error:
            raise LoadError(f"{script.name} wrote no result.") from error

    def turn(self, contender: Contender, setup: Setup, results: Results, number: int) -> None:
        """One contender's turn in a round; what fails is kept as its reason."""
        try:
            with self.serving(contender, setup) as (server, seconds):
                results.starts[contender.name].append(seconds)
                for door in contender.doors:
                    try:
                        check.check(door, server.ports, self.model)
                        loads = self.door(door, server)
                        server.check_alive()
                    except FAILURES as error:
                        results.reasons[f"{contender.name}, {door.name}"] = str(error)
                        continue
                    for measure, load in loads.items():
                        results.add(Key(contender.name, door.name, measure), load, number)
                        log.info(
                            "  %s, %s, %s: %.0f/s, p50 %.2f ms, p99 %.2f ms",
                            contender.title, door.name, measure, load.rps, load.p50_ms, load.p99_ms,
                        )  # fmt: skip
                results.memory[contender.name].append(server.memory_mib())
        except (ServerError, check.WrongAnswerError) as error:
            results.reasons[contender.name] = str(error)

    def rounds(self, contenders: list[Contender], rounds: int) -> Results:
        """All contenders in turn, `rounds` times, each round beginning with another one."""
        results = Results()
        setups: dict[str, Setup] = {}
        for contender in contenders:
            log.info("Preparing %s", contender.title)
            try:
                setups[contender.name] = self.prepare(contender)
            except (InstallError, *_BROKEN) as error:
                results.reasons[contender.name] = str(error)
        ready = [contender for contender in contenders if contender.name in setups]
        for number in range(rounds):
            if any(door.batch for contender in ready for door in contender.doors):
                log.info("Round %d of %d: %s", number + 1, rounds, OWN)
                try:
                    results.add(Key(OWN, "", BATCH), self.own_time(), number)
                except (InstallError, LoadError, *_BROKEN) as error:
                    results.reasons[OWN] = str(error)
            first = number % max(1, len(ready))
            for contender in ready[first:] + ready[:first]:
                log.info("Round %d of %d: %s", number + 1, rounds, contender.title)
                self.turn(contender, setups[contender.name], results, number)
        return results
