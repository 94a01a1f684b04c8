import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.battle.dex import Dex
from training.dataset.split import Part, part_of


@pytest.mark.parametrize(
    ("pair", "part"),
    [
        (("abra", "abra"), Part.TRAINING),
        (("abra", "articuno"), Part.TRAINING),
        (("abra", "butterfree"), Part.TRAINING),
        (("abra", "grimeralola"), Part.GATE),
        (("abra", "kabutops"), Part.GATE),
        (("articuno", "magmar"), Part.GATE),
        (("articuno", "nidoranf"), Part.CALIBRATION),
        (("charmeleon", "goldeen"), Part.CALIBRATION),
        (("charmeleon", "nidoranf"), Part.CALIBRATION),
        (("pikachu", "pikachu"), Part.TRAINING),
    ],
)
def test_the_split_is_fixed_for_ever(pair: tuple[str, str], part: Part) -> None:
    assert part_of(*pair) is part


def test_every_pair_of_the_dex_keeps_its_part(dex: Dex) -> None:
    counts = Counter(part_of(a, b) for a, b in itertools.combinations_with_replacement(dex.species_ids, 2))
    assert counts == {Part.CALIBRATION: 1407, Part.GATE: 2153, Part.TRAINING: 14206}


@given(st.text(), st.text())
def test_the_order_of_the_two_does_not_matter(a: str, b: str) -> None:
    assert part_of(a, b) is part_of(b, a)
