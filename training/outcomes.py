"""Replayed pairings as counts, and what follows from counts alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How often side A won each of n pairings that were replayed equally often, in two halves of equal size.

    Attributes:
        wins: int64 [n, 2], replays won by A in each half.
        draws: int64 [n, 2], drawn replays in each half; a draw counts half a win for either side.
        replays: replays of each pairing, both halves together; even.

    Raises:
        ValueError: shapes differ, a count is negative, or wins and draws exceed the replays of their half.
    """

    wins: NDArray[np.int64]
    draws: NDArray[np.int64]
    replays: int

    def __post_init__(self) -> None:
        n = len(self.wins)
        if self.wins.shape != (n, 2) or self.draws.shape != (n, 2):
            raise ValueError(
                f"Wins and draws must both have shape [n, 2], one column a half, not {self.wins.shape} and "
                f"{self.draws.shape}."
            )
        if n == 0:
            raise ValueError("There are no replayed pairings to evaluate on.")
        if self.replays < 2 or self.replays % 2:
            raise ValueError(f"Pairings need an even number of replays, at least two, not {self.replays}.")
        if min(self.wins.min(), self.draws.min()) < 0 or (self.wins + self.draws).max() > self.replays // 2:
            raise ValueError("Wins and draws of a half must be counts that fit into half of the replays.")

    @classmethod
    def of(cls, wins: ArrayLike, draws: ArrayLike, replays: ArrayLike) -> "Outcomes":
        """Build from any integer arrays; ``replays`` is one number or one a pairing.

        Raises:
            ValueError: as the class does, or pairings were not all replayed equally often.
        """
        counts = np.unique(np.asarray(replays, np.int64))
        if len(counts) != 1:
            raise ValueError(f"All pairings must be replayed equally often, not {counts.tolist()} times.")
        return cls(np.asarray(wins, np.int64), np.asarray(draws, np.int64), int(counts[0]))

    def __len__(self) -> int:
        return len(self.wins)

    @property
    def frequency(self) -> NDArray[np.float64]:
        """Share of all replays that A won, a draw counting half; shape [n], in 0 to 1."""
        score: NDArray[np.float64] = (self.wins.sum(1) + self.draws.sum(1) / 2) / self.replays
        return score

    def half(self, number: int) -> NDArray[np.float64]:
        """The same share in half 0 or 1 alone."""
        score: NDArray[np.float64] = (self.wins[:, number] + self.draws[:, number] / 2) / (self.replays / 2)
        return score

    @property
    def variance(self) -> NDArray[np.float64]:
        """Unbiased variance of one replay's score (1, 0.5 or 0) of each pairing; shape [n]."""
        mean_square = (self.wins.sum(1) + self.draws.sum(1) / 4) / self.replays
        variance: NDArray[np.float64] = (mean_square - self.frequency**2) * self.replays / (self.replays - 1)
        return variance

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Outcomes":
        """The pairings that ``rows`` selects, by number or by mask."""
        return Outcomes(self.wins[rows], self.draws[rows], self.replays)


def check_probabilities(p: NDArray[np.float64], outcomes: Outcomes) -> None:
    """Refuse answers that do not belong to the replays.

    Raises:
        ValueError: another length than the replays, or a value that is not a probability.
    """
    if p.shape != (len(outcomes),):
        raise ValueError(f"There are {len(outcomes)} replayed pairings but the answers have shape {p.shape}.")
    if not np.isfinite(p).all() or (p < 0).any() or (p > 1).any():
        raise ValueError("An answer is not a probability: it is NaN or outside 0 to 1.")


def favourite(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 where A is the side to bet on, 0 where B is, 0.5 where the answer is exactly even; shape [n]."""
    return (np.sign(p - 0.5) + 1) / 2
