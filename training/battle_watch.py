"""What live duels are held against: histograms of requests of the published generator and of the model's answers."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bentos.battle import features
from bentos.battle.adapter import Duel, preference
from bentos.battle.dex import Dex
from bentos.battle.watch import COLUMNS, TYPES, Watch
from bentos.contract import MonitoredColumn, ScoreBins
from loadtests.requests import Attacks, Battle, battles
from training.histograms import shares, tenths

REQUESTS: Final = 5_000
SEED: Final = 2
"""Another one than that of the replays, whose requests load tests send."""
_AT_ONCE: Final = 200  # requests, of some 100 rows each

Floats = NDArray[np.float64]


class Seen(NamedTuple):
    """One observation a request.

    Attributes:
        values: float64 [n, ``bentos.battle.watch.COLUMNS``], a type as its place in ``Dex.type_names``.
        scores: win probability of the recommended attack [n].
    """

    values: Floats
    scores: Floats


class Reference(NamedTuple):
    """Bins and shares of what is watched."""

    monitored: list[MonitoredColumn]
    score_bins: ScoreBins


def attacks(dex: Dex) -> Attacks:
    """What the generator draws from."""
    return {row["id"]: tuple(row["attacks"]) for row in dex.species_rows if row["attacks"]}


def observe(dex: Dex, answer: Callable[[features.Matrix], Floats], count: int = REQUESTS, seed: int = SEED) -> Seen:
    """Draw requests and observe them as serving would.

    Args:
        dex: species and attacks.
        answer: P(A wins) [rows] of feature rows, as serving answers.
        count: how many requests.
        seed: of the generator.
    """
    watch = Watch(dex, [])
    seen: list[tuple[int, int, int]] = []
    scores: list[float] = []
    source = islice(battles(attacks(dex), seed), count)
    while duels := [_coded(dex, each) for each in islice(source, _AT_ONCE)]:
        rows = [np.concatenate(column) for column in zip(*map(_rows, duels), strict=True)]
        p = answer(features.rows(dex, *rows))
        for duel, own in zip(duels, _split(p, duels), strict=True):
            best = int(preference(duel.moves_a, own)[0])
            seen.append((duel.pokemon_a, duel.pokemon_b, int(duel.moves_a[best])))
            scores.append(float(own[best].min()))
    a, b, attack = np.array(seen, np.intp).T
    return Seen(watch.every(a, b, attack), np.array(scores))


def reference(dex: Dex, seen: Seen) -> Reference:
    """Bins of observations: all types, tenths of numbers."""
    monitored = []
    for name, values in zip(COLUMNS, seen.values.T, strict=True):
        if name in TYPES:
            counted = shares(values.astype(np.intp), dex.type_names)
            monitored.append(MonitoredColumn(name=name, categories=dex.type_names, shares=counted))
        else:
            edges, filled = tenths(values)
            monitored.append(MonitoredColumn(name=name, edges=edges.tolist(), shares=filled.tolist()))
    edges, filled = tenths(seen.scores)
    return Reference(monitored, ScoreBins(edges=edges.tolist(), shares=filled.tolist()))


def _coded(dex: Dex, battle: Battle) -> Duel:
    ours, theirs = (
        np.sort(np.array([dex.attack(name) for name in names], np.int32)) for names in (battle.moves_a, battle.moves_b)
    )
    return Duel(dex.species(battle.pokemon_a), ours, dex.species(battle.pokemon_b), theirs)


def _rows(duel: Duel) -> tuple[NDArray[np.int32], ...]:
    i, j = len(duel.moves_a), len(duel.moves_b)
    a, b = (np.full(i * j, code, np.int32) for code in (duel.pokemon_a, duel.pokemon_b))
    return a, np.repeat(duel.moves_a, j), b, np.tile(duel.moves_b, i)


def _split(p: Floats, duels: list[Duel]) -> Iterator[Floats]:
    start = 0
    for duel in duels:
        shape = len(duel.moves_a), len(duel.moves_b)
        yield p[start : start + shape[0] * shape[1]].reshape(shape)
        start += shape[0] * shape[1]
