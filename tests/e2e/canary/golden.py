"""Golden requests for the small model of the tests: legal duels, with a truth that nobody measured."""

import gzip
import json

import numpy as np

from bentos.battle.dex import Dex
from tests import bundles

_REQUESTS = 60
_MOVES = 3


def packed() -> bytes:
    """``golden.json.gz``; both versions of a test are held against the same truth, whatever it is."""
    dex = Dex.load(bundles.DEX)
    rng = np.random.default_rng(5)
    requests = []
    for a, b in rng.integers(0, len(dex.species_ids), (_REQUESTS, 2)):
        ours, theirs = (
            [dex.attack_ids[move] for move in np.flatnonzero(dex.legal[species])[:_MOVES]] for species in (a, b)
        )
        rates = rng.integers(0, 101, (len(ours), len(theirs))) / 100
        request = {
            "pokemon_a": dex.species_ids[a], "pokemon_b": dex.species_ids[b],
            "available_moves_a": ours, "available_moves_b": theirs,
        }  # fmt: skip
        requests.append({"request": request, "truth": {"replays": 100, "win_rates": rates.tolist()}})
    text = json.dumps({"format": 1, "requests": requests}, separators=(",", ":"))
    return gzip.compress(text.encode(), mtime=0)
