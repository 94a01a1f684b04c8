"""How differently one version may answer from another, measured on paired requests, for the bundle's contract.

Serving's canary verdict compares live pairs of answers with this: what was seen offline is no reason to roll back.
"""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bentos.battle.dex import Dex
from bentos.contract import Expectation
from loadtests.requests import Form, battles
from training.battle_watch import attacks

if TYPE_CHECKING:
    from bentos.core import Core

REQUESTS = 1_000
SEED = 3
"""Another one than those of load tests and of the reference for drift."""


class Request(NamedTuple):
    """What a caller asks: which of A's attacks wins; None for all that a side can learn."""

    pokemon_a: str
    pokemon_b: str
    moves_a: list[str] | None
    moves_b: list[str] | None


def draw_requests(dex: Dex, count: int = REQUESTS, seed: int = SEED) -> list[Request]:
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
    """
    if len(requests) < 2:
        raise ValueError("a variance needs at least two requests")
    flips, shifts = 0, []
    for request in requests:
        new, old = challenger.battle(*request), champion.battle(*request)
        flips += new.recommended_move != old.recommended_move
        shifts.append(new.win_probability - old.win_probability)
    return Expectation(
        against_version=champion.contract.version,
        pairs=len(requests),
        flip_rate=flips / len(requests),
        mean_score_shift=float(np.mean(shifts)),
        score_shift_variance=float(np.var(shifts, ddof=1)),
    )
