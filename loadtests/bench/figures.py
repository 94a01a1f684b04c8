"""The figures that the project holds itself to: ratios within one run, and what they should reach."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from loadtests.bench.battle import Battle
from loadtests.bench.catalogue import GRPC, REST_BINARY, REST_JSON
from loadtests.bench.load import Load
from loadtests.bench.measure import BATCH, BESIDE, ONE_ROW, OWN, Key, Measured
from loadtests.bench.soak import Soak

Loads = Mapping[Key, list[Measured]]


@dataclass(frozen=True)
class Spread:
    """Median of several rounds with the least and the greatest."""

    median: float
    least: float
    greatest: float


def spread(values: list[float]) -> Spread | None:
    """Median, least and greatest; None of nothing."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


@dataclass(frozen=True)
class Reach:
    """What a figure should be: at least or at most a bound."""

    bound: float
    side: Literal["at least", "at most"]

    def met(self, value: float) -> bool:
        """Whether the value is on the right side."""
        return value >= self.bound if self.side == "at least" else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.side == 'at least' else '≤'} {self.bound:g}"


@dataclass(frozen=True)
class Figure:
    """One line of the table of figures.

    Attributes:
        title: what is measured.
        unit: of the value; empty for a ratio.
        value: median and spread over the rounds; None when it was not measured.
        reach: None where it is only reported.
        reason: why it was not measured in some round or in any, where that is known.
    """

    title: str
    unit: str
    value: Spread | None
    reach: Reach | None
    reason: str | None = None

    @property
    def verdict(self) -> str:
        """``yes``, ``no``, ``–`` without a bound, or ``not measured`` with the reason."""
        if self.value is None:
            return f"not measured: {self.reason}" if self.reason else "not measured"
        if self.reach is None:
            return "–"
        return "yes" if self.reach.met(self.value.median) else "no"


def rps(load: Load) -> float:
    """Requests a second."""
    return load.rps


def p50(load: Load) -> float:
    """Median latency in ms."""
    return load.p50_ms


def p99(load: Load) -> float:
    """99th percentile of the latency in ms."""
    return load.p99_ms


def ratio(loads: Loads, over: Key, under: Key, of: Callable[[Load], float]) -> Spread | None:
    """Median and spread of the ratio within each round in which both were measured."""
    others = {other.round: other for other in loads.get(under, [])}
    return spread([of(one) / of(others[one.round]) for one in loads.get(over, []) if one.round in others])


_JSON: Final = Key("product", REST_JSON, ONE_ROW)
_BINARY: Final = Key("product", REST_BINARY, ONE_ROW)
_GRPC: Final = Key("product", GRPC, ONE_ROW)
_OWN: Final = Key(OWN, "", BATCH)
_AT_LEAST_BARE: Final = Reach(0.85, "at least")

_RATIOS: Final[tuple[tuple[str, Key, Key, Callable[[Load], float], Reach | None], ...]] = (
    ("REST JSON, one row, c=16, requests/s: bare ASGI app", _JSON, Key("bare_asgi", REST_JSON, ONE_ROW), rps,
     _AT_LEAST_BARE),
    ("the same: MLServer", _JSON, Key("mlserver", REST_JSON, ONE_ROW), rps, Reach(8.5, "at least")),
    ("the same: KServe", _JSON, Key("kserve", REST_JSON, ONE_ROW), rps, Reach(8.5, "at least")),
    ("the same: BentoML", _JSON, Key("bentoml", REST_JSON, ONE_ROW), rps, Reach(17, "at least")),
    ("the same: FastAPI", _JSON, Key("fastapi", REST_JSON, ONE_ROW), rps, None),
    ("the same: MLflow models serve", _JSON, Key("mlflow", REST_JSON, ONE_ROW), rps, None),
    ("REST JSON, one row, c=16, p99: bare ASGI app", _JSON, Key("bare_asgi", REST_JSON, ONE_ROW), p99,
     Reach(1.5, "at most")),
    ("REST binary, one row, c=16, requests/s: bare ASGI app, binary", _BINARY,
     Key("bare_binary", REST_BINARY, ONE_ROW), rps, None),
    ("gRPC, one row, c=16, calls/s: bare grpc.server", _GRPC, Key("bare_grpc", GRPC, ONE_ROW), rps, _AT_LEAST_BARE),
    ("the same: MLServer", _GRPC, Key("mlserver", GRPC, ONE_ROW), rps, None),
    ("the same: KServe", _GRPC, Key("kserve", GRPC, ONE_ROW), rps, None),
    ("batch of 1,000 rows, binary, c=1, p50: XGBoost's own time", Key("product", REST_BINARY, BATCH), _OWN, p50,
     Reach(1.3, "at most")),
    ("the same of the bare ASGI app, binary", Key("bare_binary", REST_BINARY, BATCH), _OWN, p50, None),
    ("one row at c=1 while batches run, p99: bare ASGI app, binary", Key("product", REST_BINARY, BESIDE),
     Key("bare_binary", REST_BINARY, BESIDE), p99, None),
    ("the same: XGBoost's own time for one such batch", Key("product", REST_BINARY, BESIDE), _OWN, p99, None),
)  # fmt: skip


def _reason(reasons: Mapping[str, str], key: Key) -> str | None:
    return reasons.get(f"{key.contender}, {key.door}") or reasons.get(key.contender)


def figures(
    loads: Loads, battle: Battle | None, soak: Soak | None, reasons: Mapping[str, str] = MappingProxyType({})
) -> list[Figure]:
    """All figures, those that were not measured too, with the reasons (of ``Results``) of what failed."""
    lines = [
        Figure(title, "", ratio(loads, over, under, of), reach, _reason(reasons, over) or _reason(reasons, under))
        for title, over, under, of, reach in _RATIOS
    ]
    duels = [battle.duels.p50_ms] if battle else []
    mew = [battle.mew.p99_ms] if battle else []
    about = f", {battle.pairings:.0f} pairings on average" if battle else ""
    lines += [
        Figure(f"/predict/battle, every legal attack{about}, c=1, p50", "ms", spread(duels), Reach(4, "at most")),
        Figure("/predict/battle, Mew against Mew, c=1, p99", "ms", spread(mew), Reach(15, "at most")),
    ]
    memory = [soak.last_mib / soak.first_mib] if soak else []
    after = f"{soak.seconds / 60:.0f} minutes" if soak else "a soak"
    lines.append(Figure(f"memory after {after}: after the first minute", "", spread(memory), Reach(1.05, "at most")))
    return lines
