import json
from typing import Any

import numpy as np
import pytest

from bentos.battle.dex import Dex
from bentos.errors import ContractError, UnknownName
from tests.bundles import DEX


@pytest.fixture(scope="module")
def dex() -> Dex:
    return Dex.load(DEX)


def test_the_table_is_whole(dex: Dex) -> None:
    assert len(dex.species_ids) == 188
    with_attacks = [code for code in range(188) if len(dex.attacks_of(code))]
    assert {dex.species_ids[code] for code in set(range(188)) - set(with_attacks)} == {"ditto"}
    assert max(len(dex.attacks_of(code)) for code in with_attacks) == len(dex.attacks_of(dex.species("mew"))) == 50
    assert int(dex.legal.sum()) == 3377


@pytest.mark.parametrize(
    ("typed", "engine_id"),
    [
        ("pikachu", "pikachu"),
        ("Pikachu", "pikachu"),
        ("Bulbizarre", "bulbasaur"),
        ("bulbizarre", "bulbasaur"),
        ("Mr. Mime", "mrmime"),
        ("M. Mime", "mrmime"),
        ("Nidoran♀", "nidoranf"),
        ("Nidoran-M", "nidoranm"),
        ("Farfetch'd", "farfetchd"),
        ("Raichu-Alola", "raichualola"),
        ("PTÉRA", "aerodactyl"),
        ("ptera", "aerodactyl"),
    ],
)
def test_species_are_found_by_id_english_or_french_name(dex: Dex, typed: str, engine_id: str) -> None:
    assert dex.species_ids[dex.species(typed)] == engine_id


def test_attacks_are_found_by_id_or_name(dex: Dex) -> None:
    assert dex.attack("Double-Edge") == dex.attack("doubleedge")


def test_an_unknown_name_is_answered_with_the_nearest_ones(dex: Dex) -> None:
    with pytest.raises(UnknownName, match=r"no Pokémon called 'pikachou'.*pikachu") as caught:
        dex.species("pikachou")
    assert "pikachu" in caught.value.details[0]["did_you_mean"]
    with pytest.raises(UnknownName, match="no attack called"):
        dex.attack("zzzzzzzzzz")


def test_a_very_long_name_is_not_echoed_whole(dex: Dex) -> None:
    with pytest.raises(UnknownName) as caught:
        dex.species("x" * 100_000)
    assert len(str(caught.value)) < 200


def test_stats_are_those_the_engine_shows(dex: Dex) -> None:
    # Level 50 as the battle log prints them: Pikachu 110 HP, Gyarados 170 HP.
    assert dex.stats[dex.species("pikachu")].tolist() == [110, 76, 61, 71, 71, 112]
    assert dex.stats[dex.species("gyarados"), 0] == 170


def test_the_type_chart_multiplies(dex: Dex) -> None:
    def on(attacking: str, species: str) -> float:
        return float(dex.chart[dex.type_names.index(attacking), dex.types[dex.species(species)]].prod())

    assert on("Electric", "gyarados") == 4
    assert on("Ground", "gyarados") == 0
    assert on("Fire", "gyarados") == 0.5
    assert on("Electric", "golem") == 0
    assert np.array_equal(dex.chart[-1], np.ones(len(dex.type_names) + 1))


@pytest.mark.parametrize("spoil", ["missing", "unsorted", "not json"])
def test_what_is_no_dex_is_refused(spoil: str) -> None:
    table: dict[str, Any] = json.loads(DEX.read_bytes())
    if spoil == "missing":
        del table["type_chart"]
    if spoil == "unsorted":
        table["species"].reverse()
    text = b"{" if spoil == "not json" else json.dumps(table).encode()
    with pytest.raises(ContractError):
        Dex.parse(text)
