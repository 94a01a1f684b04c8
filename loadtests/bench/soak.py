"""Memory that this server took for itself after a long load, against that after its first minute."""

import logging
from dataclasses import dataclass
from typing import Final

from loadtests.bench import check
from loadtests.bench.catalogue import PRODUCT, Contender
from loadtests.bench.measure import CONCURRENCY, Bench

log = logging.getLogger("bench")

FIRST_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Soak:
    """Memory of the server under load.

    Attributes:
        seconds: how long the load went on in all.
        first_mib: after the first minute.
        last_mib: at the end.
        requests: how many were answered.
    """

    seconds: float
    first_mib: float
    last_mib: float
    requests: int


def measure(bench: Bench, seconds: float, contender: Contender = PRODUCT) -> Soak:
    """Load all doors of a server, this one by default, in turn for `seconds`, at least two minutes.

    Raises:
        InstallError: there is no bundle.
        ServerError: the server ended.
        LoadError: a request failed.
        WrongAnswerError: an answer was wrong, before or after.
    """
    each = FIRST_SECONDS / len(contender.doors)
    turns = max(2 * len(contender.doors), round(seconds / each))
    requests, first = 0, 0.0
    with bench.serving(contender, bench.prepare(contender)) as (server, _):
        for number in range(turns):
            door = contender.doors[number % len(contender.doors)]
            one = door.codec.encode(bench.model.rows[:1])
            if door.kind == "grpc":
                load = bench.generators.grpc(server.ports.grpc, one, concurrency=CONCURRENCY, seconds=each)
            else:
                address = check.url(door, server.ports)
                load = bench.generators.http(address, one, connections=CONCURRENCY, seconds=each)
            requests += load.requests
            if number + 1 == len(contender.doors):
                first = server.anonymous_mib()
            log.info("  soak, %.0f of %.0f s: %.1f MiB", (number + 1) * each, turns * each, server.anonymous_mib())
        for door in contender.doors:
            check.check(door, server.ports, bench.model)
        return Soak(turns * each, first, server.anonymous_mib(), requests)
