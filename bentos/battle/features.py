"""The features of a duel: the one place that training and serving share.

A duel and the same duel with its sides exchanged are one row. The sides are put into a canonical order, the likelier
winner of a plain damage race first, the model is asked for P(first wins), and ``restore`` turns the answer back. So
P(A beats B) + P(B beats A) = 1 holds exactly, at the cost of one pass, and both orders of a duel are trained on
without doubling a row.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bentos.battle import sides as side
from bentos.battle.dex import Dex
from bentos.battle.sides import Codes, Floats, Sides

PAIR_FEATURES: Final = (
    "race", "race_open", "first_moves", "speed_ratio", "rate_ratio", "net_ratio", "skip_first", "skip_second",
    "weaken_first", "weaken_second", "grow_first", "grow_second", "wear_first", "wear_second",
    "returned_first", "returned_second",
)  # fmt: skip
FEATURES: Final = (
    *(f"first_{name}" for name in side.FEATURES),
    *(f"second_{name}" for name in side.FEATURES),
    *PAIR_FEATURES,
)
_INDEX: Final = {name: number for number, name in enumerate(side.FEATURES)}
_ROUND = 6  # decimals of the race that decide the canonical order, so that rounding noise cannot
_RATE_FLOOR = 0.005  # share of the target's hit points a turn, below which the duel is decided by Struggle
_CHUNK = 200_000


class Matrix(NamedTuple):
    """Rows for a model.

    Attributes:
        x: float32 [n, FEATURES], C-contiguous; P(first wins) is what the model is asked for.
        swapped: bool [n], True where A is the second side of the row.
        even: bool [n], True where both sides are the same, so that the answer is one half by symmetry.
    """

    x: NDArray[np.float32]
    swapped: NDArray[np.bool_]
    even: NDArray[np.bool_]


def pairings(dex: Dex, pokemon_a: int, moves_a: Codes, pokemon_b: int, moves_b: Codes) -> Matrix:
    """All i * j pairings of the attacks of A (outermost) and of B."""
    i, j = len(moves_a), len(moves_b)
    user, target = (np.repeat(pair, (i, j)) for pair in ((pokemon_a, pokemon_b), (pokemon_b, pokemon_a)))
    both = side.sides(dex, user, np.concatenate([moves_a, moves_b]), target)
    return _join(both, np.repeat(np.arange(i), j), np.tile(np.arange(i, i + j), i))


def rows(dex: Dex, pokemon_a: Codes, move_a: Codes, pokemon_b: Codes, move_b: Codes) -> Matrix:
    """Rows of n duels from four code arrays [n]; worked in chunks, so that memory stays near the size of the result."""
    n = len(pokemon_a)
    out = Matrix(np.empty((n, len(FEATURES)), np.float32), np.empty(n, bool), np.empty(n, bool))
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        made = _rows(dex, *(np.asarray(c[part], np.int64) for c in (pokemon_a, move_a, pokemon_b, move_b)))
        for whole, piece in zip(out, made, strict=True):
            whole[part] = piece
    return out


def _rows(dex: Dex, pokemon_a: Codes, move_a: Codes, pokemon_b: Codes, move_b: Codes) -> Matrix:
    user = np.concatenate([pokemon_a, pokemon_b])
    attack = np.concatenate([move_a, move_b])
    target = np.concatenate([pokemon_b, pokemon_a])
    key = (user * len(dex.attack_ids) + attack) * len(dex.species_ids) + target
    unique, inverse = np.unique(key, return_inverse=True)
    rest, target = np.divmod(unique, len(dex.species_ids))
    user, attack = np.divmod(rest, len(dex.attack_ids))
    made = side.sides(dex, user, attack, target)
    return _join(made, inverse[: len(pokemon_a)], inverse[len(pokemon_a) :])


def restore(p: NDArray[np.floating[Any]], matrix: Matrix) -> Floats:
    """P(A wins) [n] from P(first wins) [n]."""
    straight = np.asarray(p, np.float64)
    return np.where(matrix.even, 0.5, np.where(matrix.swapped, 1 - straight, straight))


def _get(sides: Sides, index: Codes, name: str) -> Floats:
    values: Floats = sides.features[index, _INDEX[name]]
    return values


def _moves_first(sides: Sides, a: Codes, b: Codes) -> Floats:
    """Chance that a acts before b in a turn: priority, then speed, then a coin."""
    ahead = np.sign(_get(sides, a, "priority") - _get(sides, b, "priority"))
    faster = np.sign(_get(sides, a, "speed") - _get(sides, b, "speed"))
    return 0.5 + 0.5 * np.where(ahead != 0, ahead, faster)


def _timing(sides: Sides, a: Codes, b: Codes, first: Floats) -> Codes:
    """Which of the three timings of a side holds: against a target that digs or flies, every other turn misses."""
    away = _get(sides, b, "out_of_reach")
    hidden = (away > 0) & (away != _get(sides, a, "reaches"))
    return np.where(hidden, np.where(first > 0, 1, 2), 0)


def _race(sides: Sides, a: Codes, b: Codes, first: Floats) -> tuple[Floats, Floats]:
    """P(a knocks b out first) and P(b knocks a out first) within the turns followed, by damage alone, [n] each.

    Who destroys itself has lost; if both would, the one who acts first has.
    """
    when_a, when_b = _timing(sides, a, b, first), _timing(sides, b, a, 1 - first)
    ends_a, ends_b = sides.ends[a, when_a], sides.ends[b, when_b]
    together = np.einsum("nk,nk->n", ends_a, ends_b)
    race_a = np.einsum("nk,nk->n", ends_a, sides.alive[b, when_b]) + first * together
    race_b = np.einsum("nk,nk->n", ends_b, sides.alive[a, when_a]) + (1 - first) * together
    gone_a, gone_b = _get(sides, a, "self_destructs"), _get(sides, b, "self_destructs")
    gone = np.maximum(gone_a, gone_b)
    sure_a = gone_b * (1 - gone_a * first)
    sure_b = gone_a * (1 - gone_b * (1 - first))
    return np.where(gone > 0, sure_a, race_a), np.where(gone > 0, sure_b, race_b)


def _join(sides: Sides, a: Codes, b: Codes) -> Matrix:
    first = _moves_first(sides, a, b)
    race_a, race_b = _race(sides, a, b, first)
    rate_a, rate_b = (np.maximum(_get(sides, index, "damage_rate"), _RATE_FLOOR) for index in (a, b))
    undecided = np.maximum(1 - (race_a + race_b), 0.0)
    score = np.round(race_a + undecided * (rate_a / (rate_a + rate_b)), _ROUND)
    other = np.round(race_b + undecided * (rate_b / (rate_a + rate_b)), _ROUND)
    identity_a, identity_b = sides.identity[a], sides.identity[b]
    swapped = (score < other) | ((score == other) & (identity_a > identity_b))
    even = identity_a == identity_b

    one, two = np.where(swapped, b, a), np.where(swapped, a, b)
    width = len(side.FEATURES)
    x = np.empty((len(a), len(FEATURES)), np.float32)
    x[:, :width] = sides.features[one]
    x[:, width : 2 * width] = sides.features[two]
    race = np.where(swapped, other, score)
    moves_first = np.where(swapped, 1 - first, first)
    pair = _pair(sides, one, two, race=race, undecided=undecided, first=moves_first)
    for column, values in enumerate(pair, start=2 * width):
        x[:, column] = values
    return Matrix(x, swapped, even)


def _pair(sides: Sides, one: Codes, two: Codes, *, race: Floats, undecided: Floats, first: Floats) -> list[Floats]:
    rate = [np.maximum(_get(sides, index, "damage_rate"), _RATE_FLOOR) for index in (one, two)]
    skip = [_skipped(sides, one, first), _skipped(sides, two, 1 - first)]
    weaken = [_weakening(sides, one, two), _weakening(sides, two, one)]
    grow = [_growth(sides, one), _growth(sides, two)]
    wear = [_wear(sides, one), _wear(sides, two)]
    heal = [_get(sides, i, "drain_per_use") * _get(sides, i, "accuracy") for i in (one, two)]
    hurt = [_get(sides, i, "recoil_per_use") * _get(sides, i, "accuracy") for i in (one, two)]
    net = [
        np.maximum(rate[i] * (1 - skip[1 - i]) * (1 - weaken[1 - i]) + wear[i] + hurt[1 - i] - heal[1 - i], _RATE_FLOOR)
        for i in (0, 1)
    ]
    return [
        race,
        undecided,
        first,
        np.log(_get(sides, one, "speed") / _get(sides, two, "speed")),
        np.log(rate[0] / rate[1]),
        np.log(net[0] / net[1]),
        *skip,
        *weaken,
        *grow,
        *wear,
        _returned(sides, one, two),
        _returned(sides, two, one),
    ]


def _skipped(sides: Sides, index: Codes, first: Floats) -> Floats:
    """Share of the other side's turns that one use of this attack costs it, roughly."""
    accuracy = _get(sides, index, "accuracy")
    flinch = _get(sides, index, "chance_flinch") * first
    lasting = 0.25 * _get(sides, index, "chance_par") + 0.33 * _get(sides, index, "chance_confusion")
    return np.minimum(accuracy * (flinch + lasting + _get(sides, index, "chance_frz")), 0.9)


def _weakening(sides: Sides, index: Codes, other: Codes) -> Floats:
    """Expected cut of the other side's damage by one use: burn and drops of the stat it attacks with."""
    physical = _get(sides, other, "physical")
    burn = 0.5 * _get(sides, index, "chance_brn") * physical
    drop = np.where(physical > 0, _get(sides, index, "drop_atk"), _get(sides, index, "drop_spa"))
    screen = np.where(physical > 0, _get(sides, index, "reflect"), _get(sides, index, "light_screen"))
    return np.minimum((burn + 0.33 * drop + 0.5 * screen) * _get(sides, index, "accuracy"), 0.9)


def _growth(sides: Sides, index: Codes) -> Floats:
    """Expected stages by which this side's damage grows with one use: its own boosts, the target's defence drops."""
    physical = _get(sides, index, "physical")
    drop = np.where(physical > 0, _get(sides, index, "drop_def"), _get(sides, index, "drop_spd"))
    return drop + np.where(physical > 0, _get(sides, index, "self_atk"), 0.0)


def _wear(sides: Sides, index: Codes) -> Floats:
    """Share of the target's hit points lost a turn besides the damage: poison, burn, a trap, a seed."""
    status = _get(sides, index, "chance_psn") / 8 + _get(sides, index, "chance_brn") / 16
    lasting = (_get(sides, index, "traps") + _get(sides, index, "sappyseed")) / 8
    return (status + lasting) * _get(sides, index, "accuracy")


def _returned(sides: Sides, index: Codes, other: Codes) -> Floats:
    """Twice the other side's damage as a share of its own hit points, where this attack throws it back."""
    physical = _get(sides, other, "physical")
    returns = np.where(physical > 0, _get(sides, index, "returns_physical"), _get(sides, index, "returns_special"))
    points = 2 * _get(sides, other, "damage_mean") * _get(sides, index, "hp")
    return returns * points / _get(sides, other, "hp")
