"""Breakdowns by hand, with attacks and species of the real dex."""

import numpy as np
import pytest

from bentos.battle.dex import Dex
from training.breakdown import EFFECTS, by_closeness, by_matchup, effects, worst
from training.outcomes import Outcomes
from training.settings import DATA


@pytest.fixture(scope="module")
def dex() -> Dex:
    """The shipped dex."""
    return Dex.load(DATA / "dex.json")


def _outcomes(*wins: int) -> Outcomes:
    """Pairings of 20 replays with so many wins."""
    return Outcomes.of([[min(w, 10), max(w - 10, 0)] for w in wins], np.zeros((len(wins), 2)), 20)


@pytest.mark.parametrize(
    ("attack", "species", "effect"),
    [
        ("thunderbolt", "gyarados", "super effective"),  # 4 times: water and flying
        ("thunderbolt", "squirtle", "super effective"),
        ("thunderbolt", "pidgey", "super effective"),
        ("tackle", "pikachu", "neutral"),
        ("earthquake", "pidgey", "immune"),
        ("flamethrower", "gyarados", "resisted"),
        ("icebeam", "squirtle", "resisted"),
        ("seismictoss", "onix", "neutral"),  # fixed damage: resistance does not count
        ("seismictoss", "gastly", "immune"),  # but immunity does
    ],
)
def test_effects_are_those_of_the_type_chart(dex: Dex, attack: str, species: str, effect: str) -> None:
    code = effects(dex, np.array([dex.attack(attack)], np.int32), np.array([dex.species(species)], np.int32))
    assert EFFECTS[code[0]] == effect


def test_matchups_do_not_depend_on_who_is_called_a() -> None:
    p = np.array([0.9, 0.2, 0.6])
    a, b = np.array([3, 1, 2]), np.array([1, 3, 2])
    groups = by_matchup(p, _outcomes(20, 5, 11), a, b)
    assert [(group.name, group.pairings) for group in groups] == [
        ("neutral against neutral", 1),
        ("super effective against resisted", 2),
    ]
    both = groups[1]
    assert both.accuracy == pytest.approx((1 + 0.75) / 2)
    assert both.mae == pytest.approx((0.1 + 0.05) / 2)
    assert both.best == pytest.approx((1 + 0.75) / 2)


def test_closeness_divides_every_pairing_into_one_group() -> None:
    # Frequencies 0.5, 0.6 (on an edge), 0.55, 0.95, 1, 0.
    groups = by_closeness(np.array([0.4, 0.4, 0.6, 0.9, 0.9, 0.2]), _outcomes(10, 12, 11, 19, 20, 0))
    assert [(group.name, group.pairings) for group in groups] == [
        ("0.0 to 0.1 from even", 2),
        ("0.1 to 0.2 from even", 1),
        ("0.4 to 0.5 from even", 1),
        ("one side won every replay", 2),
    ]
    assert groups[1].accuracy == pytest.approx(0.4)
    assert groups[1].best == pytest.approx(0.6)


@pytest.mark.parametrize("replays", [2, 20, 60])
def test_no_frequency_falls_between_two_groups(replays: int) -> None:
    half = replays // 2
    wins = [[min(w, half), max(w - half, 0)] for w in range(replays + 1)]
    outcomes = Outcomes.of(wins, np.zeros((replays + 1, 2)), replays)
    assert sum(group.pairings for group in by_closeness(np.full(replays + 1, 0.5), outcomes)) == replays + 1


def test_worst_errors_come_first_with_their_names(dex: Dex) -> None:
    codes = (
        np.array([dex.species("pikachu"), dex.species("abra"), dex.species("mew")], np.int32),
        np.array([dex.attack("thunderbolt"), dex.attack("psychic"), dex.attack("surf")], np.int32),
        np.array([dex.species("onix"), dex.species("gastly"), dex.species("eevee")], np.int32),
        np.array([dex.attack("rockthrow"), dex.attack("lick"), dex.attack("tackle")], np.int32),
    )
    found = worst(np.array([0.5, 0.1, 0.9]), _outcomes(8, 20, 15), dex, codes, count=2)
    assert [(miss.pokemon_a, miss.move_a, miss.pokemon_b, miss.move_b) for miss in found] == [
        ("Abra", "Psychic", "Gastly", "Lick"),
        ("Mew", "Surf", "Eevee", "Tackle"),
    ]
    assert found[0].error == pytest.approx(-0.9)
    assert found[1].error == pytest.approx(0.15)
