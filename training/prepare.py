"""From duels and replays to what models are trained and judged on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bentos.battle import features
from bentos.battle.dex import Dex
from training.dataset import read
from training.dataset.read import Bad, Duels, Replays
from training.outcomes import Outcomes
from training.settings import DATA


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Rows a candidate learns from, one a duel, both orders of it in one by the canonical order of its sides.

    Attributes:
        x: float32 [n, FEATURES].
        label: float32 [n], 1 where the first side won, 0 where the second did, 0.5 for a draw.
        group: int32 [n], the same number for the same unordered pair of species.
    """

    x: NDArray[np.float32]
    label: NDArray[np.float32]
    group: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "TrainingSet":
        """The rows that a mask or an index array selects."""
        return TrainingSet(self.x[rows], self.label[rows], self.group[rows])

    def sample(self, most: int | None, seed: int) -> "TrainingSet":
        """At most ``most`` rows, drawn without replacement, in their old order; all of them for None."""
        if most is None or most >= len(self):
            return self
        return self.take(_sample(np.arange(len(self)), most, seed))


@dataclass(frozen=True, slots=True)
class ReplaySet:
    """Replayed pairings as rows for a model, with the outcomes they are judged by.

    Attributes:
        replays: the pairings as codes and counts.
        matrix: their rows; ``features.restore`` turns P(first wins) into P(A wins).
        outcomes: the counts, for A.
    """

    replays: Replays
    matrix: features.Matrix
    outcomes: Outcomes

    def first_frequency(self) -> NDArray[np.float64]:
        """float64 [n], how often the first side of the canonical order won, a draw counting half."""
        frequency = self.outcomes.frequency
        return np.where(self.matrix.swapped, 1 - frequency, frequency)


def training_set(duels: Duels, dex: Dex, most: int | None = None, seed: int = 0) -> TrainingSet:
    """Build the rows, of a random ``most`` of the duels where that is given.

    A duel of a side against itself says nothing that symmetry does not, and is left out.
    """
    used = np.flatnonzero((duels.pokemon_a != duels.pokemon_b) | (duels.move_a != duels.move_b))
    used = _sample(used, most, seed)
    codes = (duels.pokemon_a, duels.move_a, duels.pokemon_b, duels.move_b)
    made = features.rows(dex, *(column[used] for column in codes))
    won = duels.label[used]
    return TrainingSet(made.x, np.where(made.swapped, 1 - won, won).astype(np.float32), duels.pairs()[used])


def _sample(rows: NDArray[np.int64], most: int | None, seed: int) -> NDArray[np.int64]:
    if most is None or most >= len(rows):
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def replay_set(replays: Replays, dex: Dex) -> ReplaySet:
    """Build the rows of replayed pairings, in their order."""
    made = features.rows(dex, replays.pokemon_a, replays.move_a, replays.pokemon_b, replays.move_b)
    return ReplaySet(replays, made, Outcomes.of(replays.wins, replays.draws, replays.replays))


@dataclass(frozen=True, slots=True)
class Everything:
    """All parts of one training run.

    Attributes:
        dex: the tables features are made from.
        dex_file: where they lie; they travel in the bundle.
        duels: what was learned from, with its digest and row counts.
        training: its rows.
        calibration: replays the calibration is fitted on and candidates are ranked by.
        gate: replays that nothing is fitted on.
        requests: replayed requests of the gate's part, for regret.
    """

    dex: Dex
    dex_file: Path
    duels: Duels
    training: TrainingSet
    calibration: ReplaySet
    gate: ReplaySet
    requests: ReplaySet


def load(
    source: str | Path | None = None,
    *,
    table: str = "duels",
    bad: Bad = "refuse",
    rows: int | None = None,
    seed: int = 0,
    folder: Path = DATA,
) -> Everything:
    """Read the duels of a source (the shipped file by default) and the shipped replays, and build their rows.

    ``rows`` limits training to a random subsample, for a quick look.

    Raises:
        DatasetError: a source cannot be read or has rows that cannot be used.
    """
    dex_file = folder / "dex.json"
    dex = Dex.load(dex_file)
    duels = read.duels(source, table=table, bad=bad, dex=dex)
    calibration, gate, requests = (
        replay_set(read.replays(folder / f"{name}.parquet", dex=dex), dex)
        for name in ("calibration", "gate", "requests")
    )
    return Everything(dex, dex_file, duels, training_set(duels, dex, rows, seed), calibration, gate, requests)
