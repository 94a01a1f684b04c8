"""What metrics and drift cost a request: this server beside itself with metrics that count nothing.

Both run at once on the server's core, and one waits while the other is loaded, so that both see the same seconds of a
machine that others use too. What is compared is the CPU time that a request takes, to which other work on the machine
adds little; requests a second are reported beside it. What it does add is alike within a pair of measurements, so the
verdict is by the median of the ratios within pairs, and many short pairs tell more than a few long ones.
"""

import json
import logging
import math
import os
import statistics
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from loadtests.bench import battle, check
from loadtests.bench.catalogue import PRODUCT, PRODUCT_VARIABLES, Door
from loadtests.bench.load import Generators, Load
from loadtests.bench.measure import CONCURRENCY, WARM_SECONDS
from loadtests.bench.model import Model
from loadtests.bench.payloads import Payload
from loadtests.bench.places import ROOT, SERVING_PYTHON, STATE, Cores, environment
from loadtests.bench.servers import Ports, Server, ServerError, free_ports, start

log = logging.getLogger("bench")

PAIRS_A_ROUND: Final = 3
MOST_RATIO: Final = 1.05
_SECONDS: Final = 20.0
_WITH: Final = ("-m", "bentos")
# The same server, and the call that every request makes does nothing. It runs in a process of its own: this folder
# imports nothing of the project.
_WITHOUT: Final = (
    "-c",
    """
import sys
from bentos.metrics import Metrics
Metrics.request = lambda *_: None
from bentos.__main__ import main
sys.exit(main())
""",
)
# What the call of a request takes in a loop of its own, its part of the folds included and every request observed.
_ALONE: Final = (
    "-c",
    """
import sys, time
from pathlib import Path
import numpy as np
from bentos.core import Core
from bentos.metrics import Metrics
from bentos.metrics.collector import RING
from bentos.tensor import Tensor
core = Core.open(Path(sys.argv[1]))
metrics = Metrics(observed_per_second=1e9)
metrics.bind(core.contract)
(spec,) = core.adapter.inputs
prediction = core.predict(core.tensors([Tensor(spec.name, spec.datatype, np.zeros((1, spec.shape[1]), np.float32))]))
took = []
for _ in range(200):
    began = time.process_time_ns()
    for _ in range(RING):
        metrics.request("rest", "/v2/models/{model}/infer", "ok", 0.001, prediction)
    took.append((time.process_time_ns() - began) / RING / 1000)
print(min(took))
""",
)

Loaded = Callable[[Ports, float], Load]
"""Loads a server for so many seconds."""


@dataclass(frozen=True)
class Cost:
    """One measurement of one server.

    Attributes:
        microseconds: CPU time a request, of all threads of the server.
        rps: answered requests a second.
    """

    microseconds: float
    rps: float


@dataclass(frozen=True)
class Pair:
    """One measurement of each server, right after each other."""

    counting: Cost
    silent: Cost

    @property
    def ratio(self) -> float:
        """CPU time a request with metrics, in that without."""
        return self.counting.microseconds / self.silent.microseconds


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def counted(ports: Ports) -> float:
    """Requests that a server's metrics have counted."""
    text = httpx.get(f"http://127.0.0.1:{ports.admin}/metrics", timeout=_SECONDS).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("api_requests_total{"))


@dataclass(frozen=True)
class Overhead:
    """What all measurements share.

    Attributes:
        generators: wrk and ghz.
        cores: who runs where.
        seconds: how long each measurement takes.
        pairs: how many there are of a door.
    """

    generators: Generators
    cores: Cores
    seconds: float
    pairs: int

    def door(self, door: Door, model: Model, bundle: Path) -> list[Pair]:
        """Single rows of the benchmark's model, 16 in flight; raises what ``measure`` does."""
        one = door.codec.encode(model.rows[:1])

        def load(ports: Ports, seconds: float) -> Load:
            if door.kind == "grpc":
                return self.generators.grpc(ports.grpc, one, concurrency=CONCURRENCY, seconds=seconds)
            return self.generators.http(check.url(door, ports), one, connections=CONCURRENCY, seconds=seconds)

        return self.measure(bundle, lambda ports: check.Readiness(door, ports, model)(), load)

    def battle(self, bundle: Path) -> list[Pair]:
        """Duels with every legal attack, one at a time; raises what ``measure`` does."""

        def address(ports: Ports) -> str:
            return f"http://127.0.0.1:{ports.http}{battle.PATH}"

        drawn: list[Payload] = []

        def load(ports: Ports, seconds: float) -> Load:
            if not drawn:
                drawn.append(battle.draw(address(ports), battle.species(bundle)).payload)
            return self.generators.http(address(ports), drawn[0], connections=1, seconds=seconds, lines=True)

        return self.measure(bundle, lambda ports: battle.answers(address(ports)), load)

    def measure(self, bundle: Path, answers: Callable[[Ports], bool], load: Loaded) -> list[Pair]:
        """Load both servers in turns, each time beginning with the other one.

        Raises:
            ServerError: a server ended, never answered, or counted what it should not, or the other way about.
            LoadError: a request failed.
            WrongAnswerError: an answer was wrong.
        """
        with ExitStack() as stack:
            counting, silent = (stack.enter_context(self._serving(bundle, words)) for words in (_WITH, _WITHOUT))
            for server in (counting, silent):
                server.wait(lambda: answers(server.ports))  # noqa: B023  called before the loop goes on
                load(server.ports, WARM_SECONDS)
            pairs = []
            for number in range(self.pairs):
                order = (counting, silent) if number % 2 else (silent, counting)
                costs = {server.process.pid: self._cost(server, load) for server in order}
                pairs.append(Pair(costs[counting.process.pid], costs[silent.process.pid]))
                log.info("  %s", pairs[-1])
            if not counted(counting.ports) or counted(silent.ports):
                raise ServerError("The one server counted nothing, or the other one did.")
            return pairs

    def _cost(self, server: Server, load: Loaded) -> Cost:
        before = cpu_seconds(server.process.pid)
        seen = load(server.ports, self.seconds)
        server.check_alive()
        return Cost((cpu_seconds(server.process.pid) - before) / seen.requests * 1e6, seen.rps)

    def _serving(self, bundle: Path, words: tuple[str, ...]) -> Any:
        ports = free_ports()
        options = ["--bundle", str(bundle.resolve()), "--host", "127.0.0.1", "--port", str(ports.http)]
        options += ["--grpc-port", str(ports.grpc), "--admin-port", str(ports.admin)]
        command = self.cores.pin_server([str(SERVING_PYTHON), *words, *options])
        folder = ROOT / STATE / ("counting" if words is _WITH else "silent")
        return start(command, ports, folder / "server.log", cwd=ROOT, env=environment(**PRODUCT_VARIABLES))


def alone(bundle: Path) -> float:
    """CPU time of the call that every request makes, in µs: the least of 200 times 4,096 calls in a row.

    Raises:
        ServerError: it did not come about.
    """
    command = [str(SERVING_PYTHON), *_ALONE, str(bundle.resolve())]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment(**PRODUCT_VARIABLES)
    )
    if done.returncode:
        raise ServerError(f"The call alone was not measured: {done.stderr.strip()[-500:]}")
    return float(done.stdout)


def measured(
    overhead: Overhead, trained: Model, bundle: Path, duels: Path | None, doors: Sequence[Door] = PRODUCT.doors
) -> list[dict[str, Any]]:
    """Every door of the benchmark's model, and duels where there is a bundle of them; raises what ``measure`` does."""
    watched = len(json.loads((bundle / "contract.json").read_text())["monitored"])
    found = []
    for door in doors:
        log.info("%s, with metrics and without", door.name)
        title = f"{door.name}, one row, {watched} columns watched, c={CONCURRENCY}"
        found.append(summary(title, overhead.door(door, trained, bundle)))
    if duels is not None:
        log.info("Duels, with metrics and without")
        found.append(summary(f"{battle.PATH}, every legal attack, c=1", overhead.battle(duels)))
    return found


def median_interval(count: int) -> tuple[int, int]:
    """Places, from 0, of the ordered values between which their median lies with at least 95 %; all of too few.

    By the sign test: the number of values below the median is binomial with one half.
    """
    below, low = 0, 0
    for place in range(count // 2):
        below += math.comb(count, place)
        if below > 0.025 * 2**count:
            break
        low = place
    return low, count - 1 - low


def summary(title: str, pairs: list[Pair]) -> dict[str, Any]:
    """What is written of one door; of CPU times the least, since whatever else runs on a machine only adds to them."""
    ratios = sorted(pair.ratio for pair in pairs)
    low, high = median_interval(len(ratios))
    return {
        "title": title,
        "counting_us": min(pair.counting.microseconds for pair in pairs),
        "silent_us": min(pair.silent.microseconds for pair in pairs),
        "ratio": statistics.median(ratios),
        "low": ratios[low],
        "high": ratios[high],
        "most": MOST_RATIO,
        "rps_ratio": statistics.median(pair.counting.rps / pair.silent.rps for pair in pairs),
        "pairs": [asdict(pair) for pair in pairs],
    }
