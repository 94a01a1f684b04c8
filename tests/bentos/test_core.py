import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bentos.adapter import Features, Feed, Scores
from bentos.bundle import Bundle
from bentos.calibration import calibrate
from bentos.core import Core
from bentos.errors import BundleError, ContractError, InvalidInput, ParityError, UnknownName
from bentos.runtime import Runtime
from tests import bundles


class Counting(Runtime):
    """Remembers the number of rows of each batch."""

    batches: list[int]

    def predict(self, x: Features | Feed) -> Scores:
        self.batches = [*getattr(self, "batches", []), len(x)]
        return super().predict(x)


def columns(core: Core, n: int, seed: int) -> dict[str, NDArray[np.int32]]:
    names = ("pokemon_a", "move_a", "pokemon_b", "move_b")
    return dict(zip(names, bundles.legal_rows(core.duels.dex, n, seed), strict=True))


def turned(rows: dict[str, NDArray[np.int32]]) -> dict[str, NDArray[np.int32]]:
    other = {"a": "b", "b": "a"}
    return {f"{name[:-1]}{other[name[-1]]}": column for name, column in rows.items()}


def test_every_pairing_of_a_request_is_in_one_batch(bundle: Path, core: Core) -> None:
    runtime = Counting(Bundle.load(bundle))
    counted = Core(core.bundle, runtime, core.adapter, core.ids, core.most_rows)
    answer = counted.battle("pikachu", "blastoise")
    dex = core.duels.dex
    ours, theirs = (len(dex.attacks_of(dex.species(name))) for name in ("pikachu", "blastoise"))
    assert len(answer.all_moves) == ours
    assert runtime.batches == [ours * theirs]


@pytest.mark.parametrize("n", [bundles.CROSSOVER // 2, bundles.CROSSOVER * 2])
def test_both_orders_of_a_duel_add_up_to_one(core: Core, n: int) -> None:
    rows = columns(core, n, seed=3)
    forward, backward = core.probabilities(rows), core.probabilities(turned(rows))
    assert np.max(np.abs(forward + backward - 1)) < 1e-12
    assert np.ptp(forward) > 0.5


def test_a_mirror_duel_is_even(core: Core) -> None:
    answer = core.battle("pikachu", "pikachu", ["thunderbolt"], ["thunderbolt"])
    assert answer.win_probability == 0.5


def test_repeated_and_reordered_input_gives_the_same_answers(core: Core) -> None:
    rows = columns(core, 150, seed=4)
    order = np.random.default_rng(0).permutation(150)
    first = core.probabilities(rows)
    assert np.array_equal(first, core.probabilities(rows))
    assert np.array_equal(first[order], core.probabilities({name: column[order] for name, column in rows.items()}))


def test_names_and_codes_are_the_same_rows(core: Core) -> None:
    rows = columns(core, 20, seed=6)
    dex = core.duels.dex
    tables = {"pokemon": dex.species_names, "move": dex.attack_ids}
    named = {name: [tables[name.split("_")[0]][code] for code in column] for name, column in rows.items()}
    assert np.array_equal(core.probabilities(rows), core.probabilities(named))


def test_the_calibration_of_the_contract_is_applied(core: Core) -> None:
    matrix = core.duels.matrix(columns(core, 50, seed=7))
    raw = core.runtime.predict(matrix.x)
    expected = calibrate(bundles.CALIBRATION, raw)
    expected[matrix.swapped] = 1 - expected[matrix.swapped]
    expected[matrix.even] = 0.5
    assert np.array_equal(core.probabilities(columns(core, 50, seed=7)), expected)
    assert np.max(np.abs(expected - raw)) > 0.01


def test_rows_that_cannot_be_scored_are_named(core: Core) -> None:
    good = {"pokemon_a": ["pikachu"], "move_a": ["thunderbolt"], "pokemon_b": ["onix"], "move_b": ["earthquake"]}
    assert core.probabilities(good).shape == (1,)
    with pytest.raises(InvalidInput, match=r"^Pikachu cannot learn hydropump \(row 0\)\.$"):
        core.probabilities({**good, "move_a": ["hydropump"]})
    with pytest.raises(UnknownName) as unknown:
        core.probabilities({**good, "pokemon_b": ["onyx"]})
    assert unknown.value.details[0]["field"] == "pokemon_b"
    with pytest.raises(InvalidInput, match=r"^The column move_b is missing\.$"):
        core.probabilities({name: column for name, column in good.items() if name != "move_b"})
    with pytest.raises(InvalidInput, match=r"differ in their number of rows"):
        core.probabilities({**good, "move_a": ["thunderbolt", "thunderbolt"]})
    with pytest.raises(InvalidInput, match=r"pokemon_a holds a code outside 0 to 187"):
        core.probabilities({**{name: np.zeros(1, np.int32) for name in good}, "pokemon_a": np.array([188])})


def test_a_parity_sample_that_is_off_is_refused(tmp_path: Path) -> None:
    fitted = bundles.model()
    expected = [[p] for p in fitted.expected]
    expected[17] = [expected[17][0] - 1e-3]
    folder = bundles.write(tmp_path / "bundle", parity={"rows": fitted.rows, "expected": expected})
    with pytest.raises(ParityError, match=r"parity sample through onnx: off by up to 0.001, and 1e-05 is allowed\.$"):
        Core.open(folder)


def test_a_runtime_that_disagrees_alone_is_refused(tmp_path: Path) -> None:
    import xgboost

    folder = bundles.write(tmp_path / "bundle")
    booster = xgboost.Booster()
    booster.load_model(folder / "model.ubj")
    booster[:20].save_model(folder / "model.ubj")
    bundles.seal(folder)
    with pytest.raises(ParityError, match=r"through xgboost: off by"):
        Core.open(folder)


def test_a_parity_sample_of_another_dex_is_refused(tmp_path: Path) -> None:
    fitted = bundles.model()
    rows = [["missingno", *fitted.rows[0][1:]], *fitted.rows[1:]]
    folder = bundles.write(tmp_path / "bundle", parity={"rows": rows, "expected": [[p] for p in fitted.expected]})
    with pytest.raises(ParityError, match=r"does not fit the bundle's tables: There is no Pokémon"):
        Core.open(folder)


def test_other_features_than_serving_computes_are_refused(tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "bundle", features=["height"])
    with pytest.raises(ContractError, match=r"trained on other features"):
        Core.open(folder)


RUNTIME = {"crossover_rows": bundles.CROSSOVER}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"task": "regression"}, r"answers the task binary, and this one's is regression\.$"),
        (
            {"runtime": {**RUNTIME, "input_dtype": "float64"}},
            r"takes tensor\(float\), and the contract says float64\.$",
        ),
        ({"runtime": {**RUNTIME, "threads": 10**12}}, r"runtime\.threads: Input should be less than or equal to 64"),
        ({"parity": {"rows": [["a", "b", "c", "d"]], "expected": [[]]}}, r"parity\.expected\.0: List should have"),
        (
            {"parity": {"rows": [["a", "b", "c", "d"]], "expected": [[0.5]], "tolerance": 1}},
            r"parity\.tolerance: Input should be less than or equal to 0\.001",
        ),
        ({"x" * 500: 1}, r"is not a contract: x{64}…: Extra"),
    ],
)
def test_a_contract_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    folder = bundles.write(tmp_path / "bundle", **changes)
    with pytest.raises(BundleError, match=sentence):
        Core.open(folder)


def test_a_model_of_another_width_is_refused(tmp_path: Path) -> None:
    import xgboost

    from training import convert

    folder = bundles.write(tmp_path / "bundle", booster=False)
    rng = np.random.default_rng(0)
    data = xgboost.DMatrix(rng.random((50, 5)), rng.integers(0, 2, 50), feature_names=list("abcde"))
    booster = convert.strip(xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 3))
    (folder / "model.onnx").write_bytes(convert.to_onnx(booster, 5))
    bundles.seal(folder)
    with pytest.raises(ContractError, match=r"^model.onnx takes 5 features, and the contract lists 138\.$"):
        Core.open(folder)


def test_a_dex_that_breaks_the_tables_is_refused(tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "bundle")
    table = json.loads((folder / "dex.json").read_text())
    table["species"][0]["name"] = 5
    (folder / "dex.json").write_text(json.dumps(table))
    bundles.seal(folder)
    with pytest.raises(BundleError, match=r"^The bundle cannot be opened: AttributeError\.$"):
        Core.open(folder)
