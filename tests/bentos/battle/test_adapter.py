import pytest

from bentos.core import Core
from bentos.errors import InvalidInput, UnknownName


def test_the_ranking_is_by_the_best_reply_then_the_mean_then_the_id(core: Core) -> None:
    answer = core.battle("snorlax", "gengar")
    keys = [(-move.win_probability, -move.mean_win_probability, move.move) for move in answer.all_moves]
    assert keys == sorted(keys)
    assert len({key[0] for key in keys}) > 1
    assert answer.recommended_move == answer.all_moves[0].move
    assert answer.win_probability == answer.all_moves[0].win_probability


def test_a_moves_figures_are_those_of_its_pairings(core: Core) -> None:
    replies = ["surf", "icebeam", "earthquake"]
    answer = core.battle("pikachu", "blastoise", ["thunderbolt", "irontail"], replies)
    for move in answer.all_moves:
        n = len(replies)
        p = core.probabilities(
            {
                "pokemon_a": ["pikachu"] * n,
                "move_a": [move.move] * n,
                "pokemon_b": ["blastoise"] * n,
                "move_b": sorted(replies),
            }
        )
        assert move.win_probability == pytest.approx(p.min(), abs=1e-7)
        assert move.mean_win_probability == pytest.approx(p.mean(), abs=1e-7)
        assert move.best_reply == sorted(replies)[int(p.argmin())]


@pytest.mark.parametrize(
    ("duel", "facts"),
    [
        (("pikachu", "gyarados", "thunderbolt"), (90, True, 4.0, 0)),
        (("pikachu", "gengar", "quickattack"), (40, False, 0.0, 1)),
        (("pikachu", "blastoise", "irontail"), (100, False, 0.5, 0)),
        (("snorlax", "onix", "seismictoss"), (0, False, 2.0, 0)),
    ],
)
def test_facts_about_a_move(core: Core, duel: tuple[str, str, str], facts: tuple[int, bool, float, int]) -> None:
    pokemon, against, move = duel
    ranked = core.battle(pokemon, against, [move]).all_moves[0]
    assert (ranked.power, ranked.stab, ranked.type_multiplier, ranked.priority) == facts


def test_names_in_french_and_odd_spelling_are_understood(core: Core) -> None:
    plain = core.battle("blastoise", "mr-mime", ["icebeam"], ["psychic"])
    assert plain.all_moves == core.battle("TORTANK", "Mr. Mime", ["Ice Beam"], ["Psychic"]).all_moves


def test_the_order_of_attacks_does_not_matter(core: Core) -> None:
    moves = ["irontail", "thunderbolt", "quickattack"]
    assert core.battle("pikachu", "onix", moves).all_moves == core.battle("pikachu", "onix", moves[::-1]).all_moves


def test_every_species_that_can_attack_is_answered(core: Core) -> None:
    dex = core.duels.dex
    able = [name for code, name in enumerate(dex.species_ids) if len(dex.attacks_of(code))]
    assert len(able) == 187
    for name in able:
        answer = core.battle(name, "mew")
        assert len(answer.all_moves) == len(dex.attacks_of(dex.species(name)))


def test_an_attack_that_cannot_be_learnt_is_refused_with_those_that_can(core: Core) -> None:
    with pytest.raises(InvalidInput, match=r"^Pikachu cannot learn hydropump\.$") as refused:
        core.battle("pikachu", "onix", ["hydropump"])
    (detail,) = refused.value.details
    assert detail["field"] == "available_moves_a"
    assert "thunderbolt" in detail["legal"]


def test_an_attack_that_does_not_exist_is_refused_with_the_nearest(core: Core) -> None:
    with pytest.raises(UnknownName, match=r"thunderbolt") as refused:
        core.battle("pikachu", "onix", None, ["thunderbold"])
    assert refused.value.details[0]["field"] == "available_moves_b"
    assert "thunderbolt" in refused.value.details[0]["did_you_mean"]


@pytest.mark.parametrize(("a", "b", "field"), [("ditto", "onix", "pokemon_a"), ("onix", "Métamorph", "pokemon_b")])
def test_a_species_without_a_damaging_attack_is_refused(core: Core, a: str, b: str, field: str) -> None:
    with pytest.raises(InvalidInput, match=r"^Ditto has no damaging attack") as refused:
        core.battle(a, b)
    assert refused.value.details[0]["field"] == field


def test_an_attack_named_twice_is_refused_however_it_is_spelled(core: Core) -> None:
    with pytest.raises(InvalidInput, match=r"^available_moves_a names irontail twice\.$"):
        core.battle("pikachu", "onix", ["irontail", "Iron Tail"])


@pytest.mark.parametrize("n", [0, 51])
def test_the_number_of_attacks_is_bounded(core: Core, n: int) -> None:
    with pytest.raises(InvalidInput, match=rf"^available_moves_b holds {n} attacks, and 1 to 50 are accepted\.$"):
        core.battle("pikachu", "onix", None, ["tackle"] * n)
