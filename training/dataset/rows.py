"""Duels and replays as arrays of the dex's codes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bentos.battle.dex import Dex


@dataclass(frozen=True, slots=True)
class Duels:
    """Duels that were each played once; all arrays have length n, in the order of the source.

    Attributes:
        pokemon_a: int32[n], code of A's species; ``pokemon_b`` likewise.
        move_a: int32[n], code of A's attack; ``move_b`` likewise.
        label: float32[n], 1 where A won, 0 where B won, 0.5 for a draw.
        turns: int32[n].
        digest: SHA-256 of the rows used; the same from Parquet and from a database that holds the same rows in order.
        rows: how many rows the source has.
        bad: how many of them were set aside.
        counts: how many of those show each kind of fault; a row may show several.
        first: what is wrong with the first of them, a sentence each.
        aside: the file that holds them, None where there are none.
    """

    pokemon_a: NDArray[np.int32]
    move_a: NDArray[np.int32]
    pokemon_b: NDArray[np.int32]
    move_b: NDArray[np.int32]
    label: NDArray[np.float32]
    turns: NDArray[np.int32]
    digest: str
    rows: int
    bad: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    first: tuple[str, ...] = ()
    aside: Path | None = None

    def __len__(self) -> int:
        return len(self.label)

    def pairs(self) -> NDArray[np.int32]:
        """int32[n]: the same number for the same unordered pair of species; groups of cross-validation."""
        return pair_numbers(self.pokemon_a, self.pokemon_b)


@dataclass(frozen=True, slots=True)
class Replays:
    """Pairings that were each played many times, in two halves; all arrays have length n, in the file's order.

    Attributes:
        pokemon_a: int32[n], code of A's species; ``pokemon_b`` likewise.
        move_a: int32[n], code of A's attack; ``move_b`` likewise.
        wins: int32[n, 2], duels of each half that A won.
        draws: int32[n, 2], duels of each half without a winner.
        replays: duels of a pairing, both halves together.
        mean_turns: float32[n].
        request: int32[n], the request a pairing belongs to; None in files that hold no requests.
        digest: SHA-256 of the rows.
    """

    pokemon_a: NDArray[np.int32]
    move_a: NDArray[np.int32]
    pokemon_b: NDArray[np.int32]
    move_b: NDArray[np.int32]
    wins: NDArray[np.int32]
    draws: NDArray[np.int32]
    replays: int
    mean_turns: NDArray[np.float32]
    request: NDArray[np.int32] | None
    digest: str

    def __len__(self) -> int:
        return len(self.mean_turns)

    def frequency(self) -> NDArray[np.float64]:
        """float64[n]: share of the replays that A won, a draw counting half."""
        share: NDArray[np.float64] = (self.wins.sum(axis=1) + self.draws.sum(axis=1) / 2) / self.replays
        return share

    def half(self, which: Literal[0, 1]) -> NDArray[np.float64]:
        """float64[n]: the same share in one half of the replays."""
        return (self.wins[:, which] + self.draws[:, which] / 2) / (self.replays / 2)

    def pairs(self) -> NDArray[np.int32]:
        """int32[n]: the same number for the same unordered pair of species; clusters of the gate's tests."""
        return pair_numbers(self.pokemon_a, self.pokemon_b)


def pair_numbers(a: NDArray[np.int32], b: NDArray[np.int32]) -> NDArray[np.int32]:
    """int32[n]: one number for each unordered pair of species codes."""
    high, low = np.maximum(a, b), np.minimum(a, b)
    numbers: NDArray[np.int32] = high * (high + 1) // 2 + low
    return numbers


def digest_of(dex: Dex, columns: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of columns of codes and numbers, in order, and of the ids that the codes stand for."""
    sha = hashlib.sha256("\n".join([*dex.species_ids, "", *dex.attack_ids]).encode())
    for name, values in columns.items():
        sha.update(name.encode())
        sha.update(values.astype("<f4" if values.dtype.kind == "f" else "<i4").tobytes())
    return sha.hexdigest()
