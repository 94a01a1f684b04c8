"""Requests whose truth is known from replays: what a rollout sends to two versions before users see the new one.

``golden.json.gz`` holds ``{"format": 1, "requests": [...]}``; each has ``request``, a body of the battle route, and
``truth`` with ``replays`` a pairing and ``win_rates``, A's share of wins (a draw counts half), a row for each of
``available_moves_a`` and a column for each of ``available_moves_b``.
"""

import gzip
import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from bentos.battle.dex import Dex
from training.dataset.rows import Replays

FORMAT: Final = 1
MOST_BYTES: Final = 1_000_000

Golden = dict[str, Any]


def from_replays(dex: Dex, replays: Replays) -> list[Golden]:
    """Group replayed pairings into requests: by their request number, or one request a pairing where they have none.

    Raises:
        ValueError: a request lacks a pairing of its attacks.
    """
    request = np.arange(len(replays)) if replays.request is None else replays.request
    frequency = replays.frequency()
    order = np.argsort(request, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(request[order])) + 1)
    return [_one(dex, replays, frequency, rows) for rows in groups]


def _one(dex: Dex, replays: Replays, frequency: Any, rows: Any) -> Golden:
    ours, theirs = replays.move_a[rows], replays.move_b[rows]
    moves_a, moves_b = (list(dict.fromkeys(moves.tolist())) for moves in (ours, theirs))
    rate = {(a, b): f for a, b, f in zip(ours.tolist(), theirs.tolist(), frequency[rows].tolist(), strict=True)}
    if len(rate) != len(moves_a) * len(moves_b):
        raise ValueError("A golden request does not hold every attack of A against every attack of B.")
    first = rows[0]
    return {
        "request": {
            "pokemon_a": dex.species_ids[replays.pokemon_a[first]],
            "pokemon_b": dex.species_ids[replays.pokemon_b[first]],
            "available_moves_a": [dex.attack_ids[move] for move in moves_a],
            "available_moves_b": [dex.attack_ids[move] for move in moves_b],
        },
        "truth": {
            "replays": replays.replays,
            "win_rates": [[round(rate[a, b], 4) for b in moves_b] for a in moves_a],
        },
    }


def pack(golden: Sequence[Golden]) -> bytes:
    """Text of ``golden.json.gz``, the same for the same requests.

    Raises:
        ValueError: it would be larger than ``MOST_BYTES``.
    """
    text = json.dumps({"format": FORMAT, "requests": list(golden)}, separators=(",", ":"))
    packed = gzip.compress(text.encode(), mtime=0)
    if len(packed) > MOST_BYTES:
        raise ValueError(
            f"{len(golden)} golden requests take {len(packed):,} bytes; at most {MOST_BYTES:,} are allowed."
        )
    return packed
