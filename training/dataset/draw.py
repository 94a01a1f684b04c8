"""Draws which duels to play: pairings, attacks and engine seeds, the same for ever from the same seed.

Only ``random.Random(text)`` and ``.random()`` are used, whose values Python promises to keep across versions.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from training.dataset.split import Part, part_of

Kind = Literal["duels", "calibration", "gate", "requests"]

PART_OF_KIND: dict[Kind, Part] = {
    "duels": Part.TRAINING,
    "calibration": Part.CALIBRATION,
    "gate": Part.GATE,
    "requests": Part.GATE,
}
REPLAYS = 60
REQUEST_ATTACKS = 4


@dataclass(frozen=True, slots=True)
class Pairing:
    """One attack of one species against one attack of another, and the seed its duels are played from."""

    pokemon_a: str
    move_a: str
    pokemon_b: str
    move_b: str
    seed: str
    request: int = 0


def _seed(kind: Kind, seed: int, shard: int, row: int) -> str:
    """28 hexadecimal digits; the engine script appends four more, the number of the replay."""
    return hashlib.sha256(f"predictiondex|{kind}|{seed}|{shard}|{row}".encode()).hexdigest()[:28]


def _pick(rng: random.Random, items: list[str]) -> str:
    return items[int(rng.random() * len(items))]


def _sample(rng: random.Random, items: list[str], count: int) -> list[str]:
    left = list(items)
    return [left.pop(int(rng.random() * len(left))) for _ in range(count)]


cached_part = cache(part_of)


def draw(kind: Kind, attacks: dict[str, list[str]], seed: int, shard: int, rows: int) -> Iterator[Pairing]:
    """Yield the pairings of one shard.

    Species are drawn uniformly among those with an attack, each side on its own, until the pair falls into the
    part the kind belongs to; then an attack of each, uniformly. For ``requests`` one row is a request: four
    distinct attacks a side, all 16 pairings of it.
    """
    rng = random.Random(f"{kind}|{seed}|{shard}")  # noqa: S311  (reproducible draws, not secrets)
    least = REQUEST_ATTACKS if kind == "requests" else 1
    species = sorted(name for name, known in attacks.items() if len(known) >= least)
    wanted = PART_OF_KIND[kind]
    for row in range(rows):
        while True:
            a, b = _pick(rng, species), _pick(rng, species)
            if cached_part(a, b) is wanted:
                break
        if kind == "requests":
            request = shard * rows + row
            ours, theirs = _sample(rng, attacks[a], REQUEST_ATTACKS), _sample(rng, attacks[b], REQUEST_ATTACKS)
            for number, (move_a, move_b) in enumerate((x, y) for x in ours for y in theirs):
                yield Pairing(a, move_a, b, move_b, _seed(kind, seed, shard, row * 16 + number), request)
        else:
            yield Pairing(a, _pick(rng, attacks[a]), b, _pick(rng, attacks[b]), _seed(kind, seed, shard, row))
