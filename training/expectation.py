"""How differently one version may answer from another, measured on paired requests, for the bundle's contract.

Serving's canary verdict compares live pairs of answers with this: what was seen offline is no reason to roll back.

Requests of the generator are about some 4,000 pairs of species, each asked for many times. So no pairing is scored
twice: each pair is scored once, by the core that serves, for all attacks that any request names of it, in batches of
the size at which a runtime is fastest; a request then takes its own rows of the table.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bentos.battle.adapter import COLUMNS, Duel, preference
from bentos.battle.dex import Dex
from bentos.contract import Expectation
from loadtests.requests import Form, battles
from training.battle_watch import attacks
from training.replays import GateError

if TYPE_CHECKING:
    from bentos.core import Core

REQUESTS: Final = 50_000
"""A flip rate of 1 % is then known to a standard error of 0.04 points: a twentieth of the point that a canary finds."""
SEED: Final = 3
"""Another one than those of load tests and of the reference for drift."""
SETTING: Final = "PDX_GATE_REQUESTS"
"""Variable that names another number of requests, for where a rough figure will do."""
_AT_ONCE: Final = 20_000  # pairings, some 10 MB of features

Floats = NDArray[np.float64]
Pair = tuple[int, int]


class Request(NamedTuple):
    """What a caller asks: which of A's attacks wins; None for all that a side can learn."""

    pokemon_a: str
    pokemon_b: str
    moves_a: list[str] | None
    moves_b: list[str] | None


class Answers(NamedTuple):
    """What a version recommends, by request.

    Attributes:
        moves: engine ids of the recommended attacks [n].
        scores: their win probabilities [n].
    """

    moves: list[str]
    scores: Floats


def requests_wanted() -> int:
    """How many requests are asked: 50,000, or what ``PDX_GATE_REQUESTS`` says.

    Raises:
        GateError: it is no whole number from 2 on; fewer have no variance.
    """
    given = os.environ.get(SETTING) or str(REQUESTS)
    if not (given.isascii() and given.isdecimal() and int(given) >= 2):
        raise GateError(f"{SETTING} is a whole number from 2 on, not {given!r}.")
    return int(given)


def draw_requests(dex: Dex, count: int, seed: int = SEED) -> list[Request]:
    """Requests of the published generator: the same for ever from the same seed."""
    return [
        Request(battle.pokemon_a, battle.pokemon_b, None, None)
        if battle.form is Form.FULL
        else Request(battle.pokemon_a, battle.pokemon_b, list(battle.moves_a), list(battle.moves_b))
        for battle in islice(battles(attacks(dex), seed), count)
    ]


def expectation(challenger: "Core", champion: "Core", requests: Sequence[Request]) -> Expectation:
    """Ask both versions the same requests and compare what they recommend.

    A pair is one request. It flips when the recommended attacks differ; its score shift is the challenger's win
    probability of its recommendation minus the champion's of its own.

    Raises:
        ValueError: fewer than two requests, whose shift has no variance.
        UnknownName: a version's dex does not know what a request names.
    """
    if len(requests) < 2:
        raise ValueError("a variance needs at least two requests")
    # The runtimes let go of the interpreter, so two cores take half the time.
    with ThreadPoolExecutor(2) as pool:
        new, old = pool.map(lambda core: answers(core, requests), (challenger, champion))
    shifts = new.scores - old.scores
    return Expectation(
        against_version=champion.contract.version,
        pairs=len(requests),
        flip_rate=sum(a != b for a, b in zip(new.moves, old.moves, strict=True)) / len(requests),
        mean_score_shift=float(shifts.mean()),
        score_shift_variance=float(shifts.var(ddof=1)),
    )


def answers(core: "Core", requests: Sequence[Request]) -> Answers:
    """What ``core.rank`` recommends for each request, for all of them at once.

    Raises:
        InvalidInput, UnknownName: as ``core.duel`` does.
    """
    duels = [core.duel(*request) for request in requests]
    asked: dict[Pair, list[Duel]] = {}
    for duel in duels:
        asked.setdefault((duel.pokemon_a, duel.pokemon_b), []).append(duel)
    whole = {pair: _union(group) for pair, group in asked.items()}
    tables = dict(zip(whole, _tables(core, list(whole.values())), strict=True))
    moves, scores = [], np.empty(len(duels))
    for place, duel in enumerate(duels):
        pair = duel.pokemon_a, duel.pokemon_b
        rows = whole[pair].moves_a.searchsorted(duel.moves_a)
        columns = whole[pair].moves_b.searchsorted(duel.moves_b)
        p = tables[pair][rows][:, columns]
        best = int(preference(duel.moves_a, p)[0])
        moves.append(core.duels.dex.attack_ids[duel.moves_a[best]])
        scores[place] = p[best].min()
    return Answers(moves, scores)


def _union(duels: Sequence[Duel]) -> Duel:
    """All attacks that duels of one pair of species name, ascending as in each of them."""
    moves_a, moves_b = (np.unique(np.concatenate(moves)) for moves in zip(*(duel[1::2] for duel in duels), strict=True))
    return Duel(duels[0].pokemon_a, moves_a, duels[0].pokemon_b, moves_b)


def _tables(core: "Core", duels: Sequence[Duel]) -> Iterator[Floats]:
    """P(A wins) [i, j] of each duel's pairings."""
    for batch in _batches(duels):
        shapes = [(len(duel.moves_a), len(duel.moves_b)) for duel in batch]
        sizes = [i * j for i, j in shapes]
        columns = (
            np.repeat([duel.pokemon_a for duel in batch], sizes),
            np.concatenate([np.repeat(duel.moves_a, len(duel.moves_b)) for duel in batch]),
            np.repeat([duel.pokemon_b for duel in batch], sizes),
            np.concatenate([np.tile(duel.moves_b, len(duel.moves_a)) for duel in batch]),
        )
        p = core.probabilities(dict(zip(COLUMNS, columns, strict=True)))
        parts = np.split(p, np.cumsum(sizes)[:-1])
        yield from (part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))


def _batches(duels: Sequence[Duel]) -> Iterator[list[Duel]]:
    batch: list[Duel] = []
    rows = 0
    for duel in duels:
        batch.append(duel)
        rows += len(duel.moves_a) * len(duel.moves_b)
        if rows >= _AT_ONCE:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch
