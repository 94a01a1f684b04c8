import hashlib
import itertools
from dataclasses import astuple
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.dataset.draw import PART_OF_KIND, Kind, draw
from training.dataset.generate import load_attacks
from training.dataset.split import part_of
from training.settings import DATA

ATTACKS = load_attacks(DATA / "dex.json")


@pytest.mark.parametrize(
    ("kind", "digest"),
    [
        ("duels", "d7346deffb530e152245967b2a0a8334d247e1c150765100783f9618783df74f"),
        ("gate", "e888f2e9c57c5acc40ad6be25ba33270d79c3da79fee41f49117f70975cf1f45"),
        ("calibration", "bc1db582e1af57c7543b3148b8321eabe781d2e13220ffc68f3571771e8d87f0"),
        ("requests", "43b2f124dfc99b240799bcc8b9f9c70001992408212fe765db5b32153203547a"),
    ],
)
def test_the_same_seed_draws_the_same_for_ever(kind: Kind, digest: str) -> None:
    drawn = [astuple(pairing) for pairing in draw(kind, ATTACKS, 1, 0, 200)]
    assert hashlib.sha256(repr(drawn).encode()).hexdigest() == digest


@given(st.sampled_from(get_args(Kind)), st.integers(0, 2**31), st.integers(0, 1000))
def test_draws_are_legal_and_of_the_part_of_their_kind(kind: Kind, seed: int, shard: int) -> None:
    drawn = list(draw(kind, ATTACKS, seed, shard, 5))
    assert len({pairing.seed for pairing in drawn}) == len(drawn) == (80 if kind == "requests" else 5)
    for pairing in drawn:
        assert part_of(pairing.pokemon_a, pairing.pokemon_b) is PART_OF_KIND[kind]
        assert pairing.move_a in ATTACKS[pairing.pokemon_a]
        assert pairing.move_b in ATTACKS[pairing.pokemon_b]


def test_shards_and_seeds_differ() -> None:
    drawn = [tuple(draw("duels", ATTACKS, seed, shard, 20)) for seed, shard in itertools.product((1, 2), (0, 1))]
    assert len(set(drawn)) == 4


def test_a_request_is_four_attacks_against_four() -> None:
    drawn = list(draw("requests", ATTACKS, 1, 2, 3))
    assert sorted({pairing.request for pairing in drawn}) == [6, 7, 8]
    for _, rows in itertools.groupby(
        drawn, key=lambda pairing: (pairing.request, pairing.pokemon_a, pairing.pokemon_b)
    ):
        moves = [(pairing.move_a, pairing.move_b) for pairing in rows]
        ours, theirs = {ours for ours, _ in moves}, {theirs for _, theirs in moves}
        assert len(ours) == len(theirs) == 4
        assert moves == [(a, b) for a in dict.fromkeys(m[0] for m in moves) for b in dict.fromkeys(m[1] for m in moves)]
