"""The published generator: the shipped replay set, endlessly continued."""

import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from loadtests.requests import BATTLE_MIX, DEX, OIP_MIX, Battle, Form, Mix, Pairing, battles, load_attacks, stream
from training.dataset.split import Part, part_of
from training.settings import DATA

ROOT = Path(__file__).parents[2]
ATTACKS = load_attacks()
COLUMNS = list(Pairing._fields)


def first(count: int, seed: int = 1, mix: Mix = BATTLE_MIX) -> list[Battle]:
    return list(itertools.islice(battles(ATTACKS, seed, mix), count))


@pytest.mark.parametrize(
    ("form", "file", "requests"), [(Form.FOUR, "requests.parquet", 300), (Form.SINGLE, "gate.parquet", 4_000)]
)
def test_it_begins_with_the_shipped_replay_set(form: Form, file: str, requests: int) -> None:
    shipped = pd.read_parquet(DATA / file)[COLUMNS].itertuples(index=False, name=None)
    drawn = itertools.islice(stream(ATTACKS, form), requests)
    assert [tuple(row) for battle in drawn for row in battle.rows()] == list(shipped)


def test_the_same_seed_gives_the_same_requests_in_another_process() -> None:
    command = [sys.executable, "-m", "loadtests.requests", "--count", "50", "--seed", "7"]
    written = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    assert [json.loads(line) for line in written] == [battle.body() for battle in first(50, seed=7)]


def test_another_seed_gives_other_requests() -> None:
    # With every attack left in there are only as many requests as pairs, and some come again.
    one, other = ({battle for battle in first(200, seed) if battle.form is not Form.FULL} for seed in (1, 2))
    assert not one & other


def test_50000_requests_are_legal_varied_and_of_pairs_no_model_was_fitted_on() -> None:
    drawn = first(50_000)
    for battle in drawn:
        for species, moves in ((battle.pokemon_a, battle.moves_a), (battle.pokemon_b, battle.moves_b)):
            assert set(moves) <= set(ATTACKS[species])
            assert len(set(moves)) == len(moves) == {"four": 4, "single": 1, "full": len(ATTACKS[species])}[battle.form]
    pairs = {(battle.pokemon_a, battle.pokemon_b) for battle in drawn}
    assert {part_of(*pair) for pair in pairs} == {Part.GATE}
    assert len({species for pair in pairs for species in pair}) == len(ATTACKS)
    assert len(set(drawn)) > 0.9 * sum(battle.form is not Form.FULL for battle in drawn)


@pytest.mark.parametrize("mix", [BATTLE_MIX, OIP_MIX])
def test_the_forms_have_their_shares(mix: Mix) -> None:
    counts = Counter(battle.form for battle in first(20_000, mix=mix))
    assert {form: round(count / 20_000, 1) for form, count in counts.items()} == {
        form: round(share, 1) for form, share in mix.items()
    }
    assert all(abs(counts[form] / 20_000 - share) < 0.012 for form, share in mix.items())


def test_a_form_does_not_depend_on_the_mix() -> None:
    of_battles = [battle for battle in first(1_000) if battle.form is Form.SINGLE]
    of_oip = [battle for battle in first(1_000, mix=OIP_MIX) if battle.form is Form.SINGLE]
    assert of_battles == of_oip[: len(of_battles)]


def test_a_body_leaves_the_attacks_out_only_where_all_are_meant() -> None:
    full = next(stream(ATTACKS, Form.FULL))
    assert full.body() == {"pokemon_a": full.pokemon_a, "pokemon_b": full.pokemon_b}
    assert len(full.rows()) == len(ATTACKS[full.pokemon_a]) * len(ATTACKS[full.pokemon_b])
    single = next(stream(ATTACKS, Form.SINGLE))
    assert single.body()["available_moves_a"] == list(single.moves_a)
    assert single.rows() == [Pairing(single.pokemon_a, single.moves_a[0], single.pokemon_b, single.moves_b[0])]


def test_a_mix_that_is_no_mix_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sum to 0\.9"):
        battles(ATTACKS, mix={Form.FOUR: 0.9})


def test_species_without_an_attack_are_left_out() -> None:
    everyone = {row["id"] for row in json.loads(DEX.read_bytes())["species"]}
    assert everyone - set(ATTACKS) == {"ditto"}
