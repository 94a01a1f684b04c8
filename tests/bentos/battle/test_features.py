import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentos.battle import features, sides
from bentos.battle.dex import Dex
from bentos.battle.features import FEATURES, Matrix
from tests.bundles import DEX, legal_rows

_DEX = Dex.load(DEX)


def duel(pokemon_a: str, move_a: str, pokemon_b: str, move_b: str) -> Matrix:
    codes = (_DEX.species(pokemon_a), _DEX.attack(move_a), _DEX.species(pokemon_b), _DEX.attack(move_b))
    return features.rows(_DEX, *(np.array([code]) for code in codes))


def value(matrix: Matrix, name: str) -> float:
    return float(matrix.x[0, FEATURES.index(name)])


def race(pokemon_a: str, move_a: str, pokemon_b: str, move_b: str) -> float:
    """P(A wins) by damage alone."""
    matrix = duel(pokemon_a, move_a, pokemon_b, move_b)
    return float(features.restore(matrix.x[:, FEATURES.index("race")], matrix)[0])


def test_every_feature_has_one_name() -> None:
    assert len(set(FEATURES)) == len(FEATURES)
    assert duel("mew", "psychic", "ditto", "tackle").x.shape == (1, len(FEATURES))


@pytest.mark.parametrize("seed", range(3))
def test_a_duel_and_the_same_duel_from_the_other_side_are_one_row(seed: int) -> None:
    a, move_a, b, move_b = legal_rows(_DEX, 2_000, seed)
    one, other = features.rows(_DEX, a, move_a, b, move_b), features.rows(_DEX, b, move_b, a, move_a)
    assert np.array_equal(one.x, other.x)
    assert np.array_equal(one.swapped ^ other.swapped, ~one.even)
    p = np.random.default_rng(seed).random(len(a))
    assert np.array_equal(features.restore(p, one) + features.restore(p, other), np.ones(len(a)))


def test_a_side_against_itself_is_even() -> None:
    matrix = duel("mew", "psychic", "mew", "psychic")
    assert matrix.even.all()
    assert features.restore(np.array([0.9]), matrix).tolist() == [0.5]


def test_rows_do_not_depend_on_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = legal_rows(_DEX, 300, seed=5)
    whole = features.rows(_DEX, *codes)
    order = np.random.default_rng(0).permutation(300)
    assert np.array_equal(features.rows(_DEX, *(column[order] for column in codes)).x, whole.x[order])
    monkeypatch.setattr(features, "_CHUNK", 7)
    assert np.array_equal(features.rows(_DEX, *codes).x, whole.x)


@settings(max_examples=30)
@given(st.integers(0, 187), st.integers(0, 187))
def test_all_pairings_of_a_request_are_the_rows_one_by_one(a: int, b: int) -> None:
    moves_a, moves_b = _DEX.attacks_of(a), _DEX.attacks_of(b)
    together = features.pairings(_DEX, a, moves_a, b, moves_b)
    i, j = len(moves_a), len(moves_b)
    alone = features.rows(_DEX, np.full(i * j, a), np.repeat(moves_a, j), np.full(i * j, b), np.tile(moves_b, i))
    # The race is summed by another routine for one row than for many, so the last bits may differ.
    assert np.allclose(together.x, alone.x, rtol=1e-6, atol=1e-6)
    assert np.array_equal(together.swapped, alone.swapped)


def test_values_are_finite_for_every_side() -> None:
    species, attacks = np.nonzero(_DEX.legal)
    target = np.random.default_rng(1).integers(0, len(_DEX.species_ids), len(species))
    made = sides.sides(_DEX, species, attacks, target)
    assert np.isfinite(made.features).all()
    assert (made.ends >= -1e-12).all()
    assert (made.alive >= -1e-12).all()
    assert np.allclose(made.ends.sum(axis=2) + made.alive[:, :, -1], 1)


def test_immunity_means_no_damage_and_no_effect() -> None:
    matrix = duel("pikachu", "thunderbolt", "sandslash", "earthquake")
    assert value(matrix, "second_damage_mean") == 0
    assert value(matrix, "second_chance_par") == 0
    assert race("pikachu", "thunderbolt", "sandslash", "earthquake") < 0.01


def test_a_type_cannot_get_the_status_it_is_immune_to() -> None:
    assert value(duel("charizard", "flamethrower", "blastoise", "surf"), "second_chance_brn") == pytest.approx(0.1)
    other = duel("charizard", "flamethrower", "flareon", "tackle")
    assert {value(other, "first_chance_brn"), value(other, "second_chance_brn")} == {0.0}


def test_priority_goes_before_speed() -> None:
    slow_but_first = duel("snorlax", "quickattack", "electrode", "thunderbolt")
    ordered = features.restore(slow_but_first.x[:, FEATURES.index("first_moves")], slow_but_first)
    assert ordered.tolist() == [1.0]


def test_who_destroys_itself_has_lost() -> None:
    assert race("electrode", "explosion", "magikarp", "tackle") == 0
    # Both would: Electrode is faster and goes first.
    assert race("electrode", "explosion", "golem", "explosion") == 0


def test_who_digs_is_hit_every_other_turn_only() -> None:
    assert race("dugtrio", "dig", "machamp", "brickbreak") > race("dugtrio", "earthquake", "machamp", "brickbreak") - 1
    hidden = duel("dugtrio", "dig", "machamp", "brickbreak")
    reached = duel("dugtrio", "dig", "machamp", "earthquake")
    for matrix in (hidden, reached):
        assert {value(matrix, "first_out_of_reach"), value(matrix, "second_out_of_reach")} == {0.0, 1.0}
    assert race("dugtrio", "dig", "machamp", "brickbreak") > race("dugtrio", "dig", "machamp", "earthquake")


def test_low_kick_goes_by_weight() -> None:
    heavy = sides.sides(
        _DEX, *(np.array([c]) for c in (_DEX.species("machamp"), _DEX.attack("lowkick"), _DEX.species("snorlax")))
    )
    light = sides.sides(
        _DEX, *(np.array([c]) for c in (_DEX.species("machamp"), _DEX.attack("lowkick"), _DEX.species("rattata")))
    )
    mean = sides.FEATURES.index("damage_mean")
    share = heavy.features[0, mean] * _DEX.stats[_DEX.species("snorlax"), 0]
    assert share > light.features[0, mean] * _DEX.stats[_DEX.species("rattata"), 0]
