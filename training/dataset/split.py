"""The one rule that says which duels may be learned from.

The unordered pair of species decides, by a hash that is fixed for ever and the same for every source, so that no
duel of a pair that the gate judges was ever seen by training, whoever generated it.
"""

import hashlib
from enum import StrEnum

# Changing the salt or the bounds would move pairs between parts and leak the gate's pairs into training.
_SALT = "predictiondex-split-v1"
_TRAINING_BELOW = 0.80
_CALIBRATION_BELOW = 0.88


class Part(StrEnum):
    """What a duel may be used for."""

    TRAINING = "training"
    CALIBRATION = "calibration"
    GATE = "gate"


def part_of(pokemon_a: str, pokemon_b: str) -> Part:
    """Tell which part the pair of two engine ids belongs to; the order of the two does not matter."""
    first, second = sorted((pokemon_a, pokemon_b))
    digest = hashlib.sha256(f"{_SALT}|{first}|{second}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < _TRAINING_BELOW:
        return Part.TRAINING
    return Part.CALIBRATION if position < _CALIBRATION_BELOW else Part.GATE
