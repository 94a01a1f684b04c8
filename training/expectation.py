"""How differently one version may answer from another, measured on paired requests, for the bundle's contract.

Serving's canary verdict compares live pairs of answers with this: what was seen offline is no reason to roll back.
"""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bentos.battle.dex import Dex
from bentos.contract import Expectation

if TYPE_CHECKING:
    from bentos.core import Core

REQUESTS = 1_000
SEED = 1
ATTACKS = 4


class Request(NamedTuple):
    """What a caller asks: which of A's attacks wins; None for all that B can learn."""

    pokemon_a: str
    pokemon_b: str
    moves_a: list[str]
    moves_b: list[str] | None


def draw_requests(dex: Dex, count: int = REQUESTS, seed: int = SEED) -> list[Request]:
    """Requests as where no users exist yet: both species uniform, four attacks of A (all where it knows fewer), B open.

    Only ``random.Random(text).random()`` is used, whose values Python promises to keep: a seed names the same requests
    for ever.
    """
    rng = random.Random(f"predictiondex-expectation|{seed}")  # noqa: S311  (reproducible draws, not secrets)
    species = [code for code in range(len(dex.species_ids)) if len(dex.attacks_of(code))]
    requests = []
    for _ in range(count):
        a, b = (species[int(rng.random() * len(species))] for _ in "ab")
        left = [dex.attack_ids[code] for code in dex.attacks_of(a)]
        moves = [left.pop(int(rng.random() * len(left))) for _ in range(min(ATTACKS, len(left)))]
        requests.append(Request(dex.species_ids[a], dex.species_ids[b], moves, None))
    return requests


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
