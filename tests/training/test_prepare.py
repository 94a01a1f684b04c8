import numpy as np
import pytest

from bentos.battle.dex import Dex
from training import prepare
from training.dataset import read
from training.dataset.split import Part, part_of
from training.prepare import Everything, TrainingSet
from training.settings import DATA


@pytest.fixture(scope="module")
def everything() -> Everything:
    return prepare.load(rows=5_000)


def pairs_of(replays: read.Replays) -> set[int]:
    return set(replays.pairs().tolist())


def test_no_pair_of_species_is_in_two_parts(everything: Everything) -> None:
    learned = set(everything.duels.pairs().tolist())
    calibrated, judged = pairs_of(everything.calibration.replays), pairs_of(everything.gate.replays)
    assert not learned & calibrated
    assert not learned & judged
    assert not calibrated & judged
    assert not learned & pairs_of(everything.requests.replays)
    assert not calibrated & pairs_of(everything.requests.replays)


def test_every_species_pair_belongs_to_its_part_by_the_hash(everything: Everything) -> None:
    ids = everything.dex.species_ids
    for replays, part in ((everything.calibration, Part.CALIBRATION), (everything.gate, Part.GATE)):
        a, b = replays.replays.pokemon_a.tolist(), replays.replays.pokemon_b.tolist()
        assert {part_of(ids[x], ids[y]) for x, y in zip(a, b, strict=True)} == {part}


def test_the_shares_of_the_split_are_80_8_12(everything: Everything) -> None:
    ids = everything.dex.species_ids
    parts = [part_of(a, b) for i, a in enumerate(ids) for b in ids[: i + 1]]
    for part, share in ((Part.TRAINING, 0.80), (Part.CALIBRATION, 0.08), (Part.GATE, 0.12)):
        assert parts.count(part) / len(parts) == pytest.approx(share, abs=0.01)


def test_both_orders_of_a_duel_are_the_same_row() -> None:
    dex = Dex.load(DATA / "dex.json")
    duels = read.duels(dex=dex)
    few = np.arange(2_000)

    def taken(*names: str) -> list[np.ndarray]:
        return [getattr(duels, name)[few] for name in names]

    def build(*names: str, label: np.ndarray) -> TrainingSet:
        a, move_a, b, move_b = taken(*names)
        changed = read.Duels(a, move_a, b, move_b, label, duels.turns[few], duels.digest, len(few))
        return prepare.training_set(changed, dex)

    straight = build("pokemon_a", "move_a", "pokemon_b", "move_b", label=duels.label[few])
    exchanged = build("pokemon_b", "move_b", "pokemon_a", "move_a", label=1 - duels.label[few])
    assert np.array_equal(straight.x, exchanged.x)
    assert np.array_equal(straight.label, exchanged.label)
    assert np.array_equal(straight.group, exchanged.group)


def test_labels_are_what_the_engine_said(everything: Everything) -> None:
    assert set(np.unique(everything.training.label)) <= {0.0, 0.5, 1.0}
    # The likelier winner of a plain damage race is the first side: it wins far more often than not.
    assert 0.85 < everything.training.label.mean() < 0.99


def test_a_sample_is_reproducible_and_keeps_whole_rows(everything: Everything) -> None:
    one, other = (everything.training.sample(500, seed=3) for _ in range(2))
    assert np.array_equal(one.x, other.x)
    assert len(one) == 500
    assert not np.array_equal(one.x, everything.training.sample(500, seed=4).x)
    assert everything.training.sample(None, 0) is everything.training


def test_the_frequency_of_the_first_side_is_turned_with_the_row(everything: Everything) -> None:
    swapped = everything.gate.matrix.swapped
    first, a = everything.gate.first_frequency(), everything.gate.outcomes.frequency
    assert np.array_equal(first[~swapped], a[~swapped])
    assert np.array_equal(first[swapped], 1 - a[swapped])
