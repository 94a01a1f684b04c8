"""A version as serving would run it, and what it shows on the replay set."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bentos.battle.dex import Dex
from training.evaluate import accuracy_by_pairing, calibration_bins, log_loss_by_pairing
from training.replays import Replays

if TYPE_CHECKING:
    from bentos.core import Core

Floats = NDArray[np.float64]
USUAL_PAIRINGS = 312
_WARM_UP = 10
_ROUNDS = 20
_TIMED = 7
# What the yardstick takes, in ms, on the slowest machine that the gate's bounds are to hold on.
_YARDSTICK_MS = 2.5


@dataclass(frozen=True, slots=True)
class Contender:
    """A version as serving would run it.

    Attributes:
        version: its number.
        core: opened on the bundle.
        dex: of the bundle.
        mebibytes: size of all files of the bundle, in MiB.
    """

    version: str
    core: "Core"
    dex: Dex
    mebibytes: float

    @classmethod
    def open(cls, version: str, bundle: Path) -> "Contender":
        """Open an assembled bundle; raises BundleError where serving would refuse it."""
        from bentos.core import Core

        size = sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file())
        core = Core.open(bundle)
        return cls(version, core, core.duels.dex, size / 2**20)


@dataclass(frozen=True, slots=True)
class Showing:
    """What one version showed on the replay set; arrays are by pairing.

    Attributes:
        p: P(A wins) as served.
        right: share of the pairing's replays called right.
        loss: log loss in nats.
    """

    p: Floats
    right: Floats
    loss: Floats
    ece: float
    mae: float
    antisymmetry: float
    mebibytes: float
    usual_ms: float
    largest_ms: float


def show(contender: Contender, replays: Replays) -> Showing:
    """Ask a version every pairing from both sides, and time it."""
    p = contender.core.probabilities(replays.columns)
    back = contender.core.probabilities(replays.exchanged())
    usual_ms, largest_ms = request_ms(contender.core, [usual_request(contender.dex), largest_request(contender.dex)])
    return Showing(
        p=p,
        right=accuracy_by_pairing(p, replays.outcomes),
        loss=log_loss_by_pairing(p, replays.outcomes),
        ece=calibration_bins(p, replays.outcomes).error,
        mae=float(np.abs(p - replays.outcomes.frequency).mean()),
        antisymmetry=float(np.abs(p + back - 1).mean()),
        mebibytes=contender.mebibytes,
        usual_ms=usual_ms,
        largest_ms=largest_ms,
    )


def usual_request(dex: Dex, pairings: int = USUAL_PAIRINGS) -> tuple[str, str]:
    """The two species, the first by id, whose attacks make a request nearest to ``pairings`` pairings."""
    counts = np.array([len(dex.attacks_of(code)) for code in range(len(dex.species_ids))])
    gap = np.abs(np.outer(counts, counts) - pairings)
    a, b = np.unravel_index(int(gap.argmin()), gap.shape)
    return dex.species_ids[int(a)], dex.species_ids[int(b)]


def largest_request(dex: Dex) -> tuple[str, str]:
    """The species with the most attacks against itself: Mew."""
    counts = [len(dex.attacks_of(code)) for code in range(len(dex.species_ids))]
    most = dex.species_ids[int(np.argmax(counts))]
    return most, most


def request_ms(core: "Core", requests: Sequence[tuple[str, str]]) -> list[float]:
    """CPU time of each battle request with all attacks of both sides, in ms; less of it on a slow machine.

    CPU time of the whole process: what the request costs one core, so that a second thread passes no version. A slow
    or a busy machine is to fail none either: the requests take turns with a yardstick of fixed work, of each the least
    median of all rounds counts (other work only ever adds to it), and where the yardstick takes longer than it may, the
    requests may as much longer. On a machine where it takes less, nothing is made of that: processors differ in
    what they do fast, and one that gathers rows in a quarter of the time need not walk trees in a quarter.
    """
    x, rows = _yardstick_arrays()
    work = [partial(core.battle, a, b, None, None) for a, b in requests] + [partial(_yardstick, x, rows)]
    least = [math.inf] * len(work)
    for one in work:
        for _ in range(_WARM_UP):
            one()
    for _ in range(_ROUNDS):
        for place, one in enumerate(work):
            least[place] = min(least[place], _median_ms(one))
    *taken, yardstick = least
    return [fair_ms(ms, yardstick) for ms in taken]


def fair_ms(ms: float, yardstick: float) -> float:
    """What counts of a request of ``ms`` on a machine whose yardstick took ``yardstick``, both in ms of CPU time."""
    return ms * min(1.0, _YARDSTICK_MS / yardstick)


def _median_ms(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(_TIMED):
        start = time.process_time_ns()
        work()
        taken.append(time.process_time_ns() - start)
    return float(np.median(taken)) / 1e6


def _yardstick_arrays() -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    draw = np.random.default_rng(0)
    return draw.random((1_000, 128), dtype=np.float32), draw.integers(0, 1_000, 4_000)


def _yardstick(x: NDArray[np.float32], rows: NDArray[np.intp]) -> float:
    """What a request does, without a model: interpreted Python, rows gathered, comparisons in no order that repeats."""
    counts: dict[int, int] = {}
    for row in rows.tolist():
        counts[row] = counts.get(row, 0) + 1
    return float(np.sort(x[rows, :8], axis=0).sum() + (x[rows] > x[rows[::-1]]).sum())
