"""The fixed set of replayed pairings that the gate judges by."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bentos.battle.dex import Dex
from training.dataset import read
from training.dataset.schema import PAIRING
from training.dataset.split import Part
from training.evaluate import ECE_BINS
from training.outcomes import Outcomes
from training.settings import DATA


class GateError(Exception):
    """The gate cannot judge: there is nothing to judge, or too little to judge it by."""


@dataclass(frozen=True, slots=True)
class Replays:
    """Pairings that the engine replayed, by name, so that versions with different dexes can be asked the same.

    Attributes:
        columns: engine ids, each list of length n, under the names of the contract's columns.
        outcomes: what happened.
        clusters: int32 [n], equal for the same unordered species pair.
        digest: SHA-256 of the rows.
    """

    columns: dict[str, list[str]]
    outcomes: Outcomes
    clusters: NDArray[np.int32]
    digest: str

    @classmethod
    def read(cls, file: Path | None = None) -> "Replays":
        """Read a Parquet file of replays of the gate part, the shipped one by default.

        Raises:
            DatasetError: the file cannot be read, or a row cannot be used or is of another part.
            GateError: there are fewer rows than bins of the calibration error, or all are of one species pair, so that
                there is nothing to tell noise by.
        """
        dex = Dex.load(DATA / "dex.json")
        found = read.replays(file, part=Part.GATE, dex=dex)
        if len(found) < ECE_BINS:
            raise GateError(
                f"The replay set has {len(found)} pairings, and the gate's calibration error needs {ECE_BINS} or more."
            )
        ids = (dex.species_ids, dex.attack_ids, dex.species_ids, dex.attack_ids)
        columns = {
            name: [names[code] for code in getattr(found, name).tolist()]
            for name, names in zip(PAIRING, ids, strict=True)
        }
        clusters = found.pairs()
        if len(np.unique(clusters)) < 2:
            raise GateError("The replay set has one species pair only, and the gate tells noise by many.")
        return cls(columns, Outcomes.of(found.wins, found.draws, found.replays), clusters, found.digest)

    def exchanged(self) -> dict[str, list[str]]:
        """The same pairings asked from the other side."""
        a, move_a, b, move_b = (self.columns[name] for name in PAIRING)
        return dict(zip(PAIRING, (b, move_b, a, move_a), strict=True))
