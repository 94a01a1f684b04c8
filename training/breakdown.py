"""Where a model is right and where it is wrong: by type matchup, by closeness of the duel, and its worst errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bentos.battle.dex import Dex
from training.evaluate import accuracy_by_pairing
from training.outcomes import Outcomes, check_probabilities

EFFECTS: Final = ("immune", "resisted", "neutral", "super effective")
# Distance of the replay frequency from even, in win probability; a duel that one side won every time stands alone.
CLOSENESS: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True, slots=True)
class Group:
    """A model's figures on part of the pairings.

    Attributes:
        name: what the pairings have in common.
        pairings: how many there are.
        accuracy: expected accuracy.
        best: the mean of max(f, 1 - f) of the replay frequencies f: a little above what a perfect model would show.
        mae: mean of abs(answer - f).
    """

    name: str
    pairings: int
    accuracy: float
    best: float
    mae: float


def _groups(p: NDArray[np.float64], outcomes: Outcomes, parts: Sequence[tuple[str, NDArray[np.bool_]]]) -> list[Group]:
    check_probabilities(p, outcomes)
    frequency = outcomes.frequency
    right, error = accuracy_by_pairing(p, outcomes), np.abs(p - frequency)
    best = np.maximum(frequency, 1 - frequency)
    return [
        Group(name, int(rows.sum()), float(right[rows].mean()), float(best[rows].mean()), float(error[rows].mean()))
        for name, rows in parts
        if rows.any()
    ]


def effects(dex: Dex, move: NDArray[np.int32], defender: NDArray[np.int32]) -> NDArray[np.int64]:
    """How attacks act on species by the type chart, as positions in ``EFFECTS``; codes and result have shape [n].

    Damage that the chart does not scale (fixed damage, one-hit KO) is neutral unless the species is immune.
    """
    multiplier = dex.chart[dex.attack_type[move][:, None], dex.types[defender]].prod(axis=1)
    unscaled = np.array([row["fixed_damage"] is not None or row["one_hit_ko"] for row in dex.attack_rows])
    multiplier = np.where(unscaled[move] & (multiplier > 0), 1.0, multiplier)
    return np.where(multiplier == 0, 0, np.sign(multiplier - 1) + 2).astype(np.int64)


def by_matchup(
    p: NDArray[np.float64], outcomes: Outcomes, effect_a: NDArray[np.int64], effect_b: NDArray[np.int64]
) -> list[Group]:
    """Figures by how each side's attack acts on the other, whichever side is called A; empty groups are left out.

    Args:
        p: answers P(A wins), shape [n].
        outcomes: the replays of the same pairings.
        effect_a: effect of A's attack on B, from ``effects``.
        effect_b: effect of B's attack on A.
    """
    low, high = np.minimum(effect_a, effect_b), np.maximum(effect_a, effect_b)
    pairs = list(combinations_with_replacement(range(len(EFFECTS)), 2))
    return _groups(
        p, outcomes, [(f"{EFFECTS[y]} against {EFFECTS[x]}", (low == x) & (high == y)) for x, y in reversed(pairs)]
    )


def by_closeness(p: NDArray[np.float64], outcomes: Outcomes) -> list[Group]:
    """Figures by how far the replay frequency is from even.

    The frequency has noise of its own, so "close" holds some duels that are not: accuracy near even is a little better
    than a perfect model's on truly even duels would be.
    """
    # In half replays, so that a frequency on an edge is not moved off it by rounding.
    distance = np.abs(2 * outcomes.wins.sum(1) + outcomes.draws.sum(1) - outcomes.replays)
    edges = [2 * edge * outcomes.replays for edge in CLOSENESS]
    parts = [
        (f"{low:.1f} to {high:.1f} from even", (distance >= a) & (distance < b))
        for low, high, a, b in zip(CLOSENESS, CLOSENESS[1:], edges, edges[1:], strict=False)
    ]
    parts.append(("one side won every replay", distance == outcomes.replays))
    return _groups(p, outcomes, parts)


@dataclass(frozen=True, slots=True)
class Miss:
    """A pairing that the model got wrong.

    Attributes:
        pokemon_a, move_a, pokemon_b, move_b: English names.
        answer: P(A wins) by the model.
        frequency: share of the replays that A won, a draw counting half.
    """

    pokemon_a: str
    move_a: str
    pokemon_b: str
    move_b: str
    answer: float
    frequency: float

    @property
    def error(self) -> float:
        """Answer less frequency: positive where A was overrated."""
        return self.answer - self.frequency


def worst(
    p: NDArray[np.float64],
    outcomes: Outcomes,
    dex: Dex,
    codes: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
    count: int = 30,
) -> list[Miss]:
    """The pairings with the largest difference between answer and replay frequency, largest first.

    Args:
        p: answers P(A wins), shape [n].
        outcomes: the replays of the same pairings.
        dex: gives the names.
        codes: pokemon_a, move_a, pokemon_b, move_b of the same pairings, each of shape [n].
        count: how many to return.
    """
    check_probabilities(p, outcomes)
    frequency = outcomes.frequency
    order = np.argsort(-np.abs(p - frequency), kind="stable")[:count]
    pokemon_a, move_a, pokemon_b, move_b = (code[order].tolist() for code in codes)
    return [
        Miss(dex.species_names[a], dex.attack_names[x], dex.species_names[b], dex.attack_names[y], float(q), float(f))
        for a, x, b, y, q, f in zip(pokemon_a, move_a, pokemon_b, move_b, p[order], frequency[order], strict=True)
    ]
