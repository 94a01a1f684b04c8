"""A version as serving would run it, and what it shows on the replay set."""

import time
from dataclasses import dataclass
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
_TIMED = 60


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
    return Showing(
        p=p,
        right=accuracy_by_pairing(p, replays.outcomes),
        loss=log_loss_by_pairing(p, replays.outcomes),
        ece=calibration_bins(p, replays.outcomes).error,
        mae=float(np.abs(p - replays.outcomes.frequency).mean()),
        antisymmetry=float(np.abs(p + back - 1).mean()),
        mebibytes=contender.mebibytes,
        usual_ms=request_ms(contender.core, *usual_request(contender.dex)),
        largest_ms=request_ms(contender.core, *largest_request(contender.dex)),
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


def request_ms(core: "Core", pokemon_a: str, pokemon_b: str) -> float:
    """Median CPU time of a battle request with all attacks of both sides, in ms.

    CPU time of the whole process: what the request costs one core, so that neither a busy machine fails a version nor
    a second thread passes one.
    """
    taken = []
    for number in range(_WARM_UP + _TIMED):
        start = time.process_time_ns()
        core.battle(pokemon_a, pokemon_b, None, None)
        if number >= _WARM_UP:
            taken.append(time.process_time_ns() - start)
    return float(np.median(taken)) / 1e6
