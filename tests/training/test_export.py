"""All four candidates, trained small on real features, must come out of the export as they went in."""

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from numpy.typing import NDArray

from bentos.battle import features
from bentos.battle.dex import Dex
from bentos.contract import Calibration, Contract
from bentos.core import Core
from tests.exports import CALIBRATION, DEX, REQUESTS, export_small, fitted_small
from training import convert, crossover, golden
from training.bundle import assemble
from training.candidates import CANDIDATES, Fitted
from training.crossover import Timing
from training.dataset.rows import Replays
from training.export import ExportError, random_pairings


@pytest.fixture(scope="module")
def dex() -> Dex:
    return Dex.load(DEX)


@pytest.mark.parametrize("algorithm", list(CANDIDATES))
def test_serving_answers_as_the_trained_model_does(algorithm: str, dex: Dex, tmp_path: Path) -> None:
    fitted = fitted_small(algorithm)
    draft = export_small(fitted, tmp_path / "export")
    core = Core.open(assemble(draft.folder, "3", None, tmp_path / "bundle"))

    unseen = random_pairings(dex, 3_000, seed=99)
    matrix = features.rows(dex, *unseen)
    logit = np.log(raw := np.clip(fitted.predict(matrix.x), 1e-7, 1 - 1e-7)) - np.log1p(-raw)
    expected = 1 / (1 + np.exp(-(1.2 * logit + 0.05)))
    expected = np.where(matrix.even, 0.5, np.where(matrix.swapped, 1 - expected, expected))
    names = [dex.species_ids, dex.attack_ids] * 2
    columns = {
        column.name: [table[code] for code in codes]
        for column, table, codes in zip(core.contract.columns, names, unseen, strict=True)
    }
    assert np.abs(core.probabilities(columns) - expected).max() <= 1e-5
    assert draft.contract.parity.compared_rows == 10_000
    assert 0 < draft.contract.parity.max_difference <= 1e-5
    assert core.contract.provenance.algorithm == algorithm


def test_contract_is_complete(tmp_path: Path) -> None:
    folder = export_small(fitted_small("xgboost"), tmp_path / "export").folder
    contract = Contract.model_validate_json((folder / "contract.draft.json").read_bytes())
    assert [column.name for column in contract.columns] == ["pokemon_a", "move_a", "pokemon_b", "move_b"]
    assert [(output.name, output.columns) for output in contract.outputs] == [("probabilities", 2), ("label", 1)]
    assert contract.classes == ["b_wins", "a_wins"]
    assert tuple(contract.features) == features.FEATURES
    assert contract.version == "0"
    assert contract.files == {}
    assert contract.expectation is None
    assert contract.calibration == CALIBRATION
    assert contract.metrics == {"accuracy": 0.9}
    assert contract.sample_inputs == [REQUESTS[0]["request"]]
    assert contract.provenance.tables_digest == hashlib.sha256(DEX.read_bytes()).hexdigest()
    assert contract.provenance.libraries["xgboost"] == xgb.__version__
    assert (folder / "card.md").read_text() == "# battle\n"
    # The sample reaches from sure losses to sure wins, from both seats, and a duel against oneself is even.
    answers = [row[0] for row in contract.parity.expected]
    assert min(answers) < 0.1
    assert max(answers) > 0.9
    assert contract.parity.rows[-1][:2] == contract.parity.rows[-1][2:]
    assert answers[-1] == 0.5


def test_another_model_is_refused(tmp_path: Path) -> None:
    class Rounded(Fitted):
        """Scores as they would be after a lossy conversion."""

        def predict(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
            return super().predict(x).round(4)

    fitted = fitted_small("xgboost")
    lossy = Rounded(fitted.algorithm, fitted.estimator, fitted.params, fitted.rows)
    with pytest.raises(ExportError, match=r"not the trained one: through onnx .* 5e-05 .* 10,000 rows"):
        export_small(lossy, tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


def test_calibration_may_not_blow_small_differences_up(tmp_path: Path) -> None:
    class Nudged(Fitted):
        """Off by less than the tolerance."""

        def predict(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
            return super().predict(x) + 3e-6

    fitted = fitted_small("logistic_regression")
    nudged = Nudged(fitted.algorithm, fitted.estimator, fitted.params, fitted.rows)
    export_small(nudged, tmp_path / "gentle", calibration=Calibration())
    with pytest.raises(ExportError, match=r"scores are off by up to 3.*e-06 and its answers by up to 6.*e-05"):
        export_small(nudged, tmp_path / "steep", calibration=Calibration(method="logistic", slope=20))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rows": 9_999}, "at least 10,000 rows, not 9,999"),
        ({"golden": []}, "needs golden requests"),
    ],
)
def test_what_cannot_be_exported(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=sentence):
        export_small(fitted_small("logistic_regression"), tmp_path / "export", **changes)
    assert list(tmp_path.iterdir()) == []


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "export" / "thesis.txt"
    kept.parent.mkdir()
    kept.write_text("years of work")
    with pytest.raises(ExportError, match="name another folder"):
        export_small(fitted_small("logistic_regression"), kept.parent)
    assert kept.read_text() == "years of work"


def test_booster_loses_names_and_late_rounds() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2_000, 3)).astype(np.float32)
    label = rng.random(2_000).astype(np.float32)
    names = ["speed of A", "speed of B", "luck"]
    train, held = (xgb.DMatrix(x[part], label[part], feature_names=names) for part in (slice(1000), slice(1000, 2000)))
    watched = {"objective": "binary:logistic", "eta": 0.5, "nthread": 1}
    booster = xgb.train(watched, train, 200, evals=[(held, "held")], early_stopping_rounds=5, verbose_eval=False)
    stripped = convert.strip(booster)
    assert stripped.num_boosted_rounds() == booster.best_iteration + 1 < booster.num_boosted_rounds()
    assert stripped.feature_names is None
    assert booster.feature_names == names
    best = booster.predict(held, iteration_range=(0, booster.best_iteration + 1))
    assert np.abs(stripped.inplace_predict(x[1000:]) - best).max() < 1e-6


def test_crossover_lies_where_the_times_meet() -> None:
    # 10 µs a row against 1,000 µs and 1 µs a row: equal at 111.1 rows.
    timings = [Timing(n, 10e-6 * n, 1e-3 + 1e-6 * n) for n in crossover.GRID]
    assert crossover.crossover(timings) == pytest.approx(111, abs=2)
    assert crossover.crossover([Timing(n, 1e-6, 1e-3) for n in crossover.GRID]) is None
    assert crossover.crossover([Timing(n, 1e-3, 1e-6) for n in crossover.GRID]) == 1
    assert crossover.crossover([]) is None
    # Where the machine was busy at one size, the others still say where the switch is.
    for disturbed in (0, 3, len(timings) - 1):
        noisy = list(timings)
        rows, onnx, xgboost = timings[disturbed]
        noisy[disturbed] = Timing(rows, onnx * 30, xgboost) if rows < 111 else Timing(rows, onnx, xgboost * 30)
        assert crossover.crossover(noisy) == crossover.crossover(timings)


def test_slower_booster_is_not_shipped(tmp_path: Path) -> None:
    slow = export_small(fitted_small("xgboost"), tmp_path / "slow", grid=(1,))
    assert slow.contract.runtime.crossover_rows is None
    assert not (slow.folder / "model.ubj").exists()
    Core.open(assemble(slow.folder, "1", None, tmp_path / "bundle"))
    assert [timing.rows for timing in slow.timings] == [1]


def replays(dex: Dex, request: list[int] | None) -> Replays:
    pikachu, mew = dex.species("pikachu"), dex.species("mew")
    ours = np.array([dex.attack(name) for name in ("thunderbolt", "thunderbolt", "surf", "surf")], np.int32)
    theirs = np.array([dex.attack(name) for name in ("psychic", "earthquake") * 2], np.int32)
    return Replays(
        pokemon_a=np.full(4, pikachu, np.int32),
        move_a=ours,
        pokemon_b=np.full(4, mew, np.int32),
        move_b=theirs,
        wins=np.array([[15, 15], [30, 30], [0, 0], [6, 6]], np.int32),
        draws=np.array([[0, 0], [0, 0], [1, 1], [0, 0]], np.int32),
        replays=60,
        mean_turns=np.ones(4, np.float32),
        request=None if request is None else np.array(request, np.int32),
        digest="",
    )


def test_golden_requests_carry_their_truth(dex: Dex) -> None:
    (one,) = golden.from_replays(dex, replays(dex, [5, 5, 5, 5]))
    assert one["request"]["available_moves_a"] == ["thunderbolt", "surf"]
    assert one["request"]["available_moves_b"] == ["psychic", "earthquake"]
    assert one["truth"] == {"replays": 60, "win_rates": [[0.5, 1.0], [0.0167, 0.2]]}
    assert len(golden.from_replays(dex, replays(dex, None))) == 4
    with pytest.raises(ValueError, match="every attack of A"):
        golden.from_replays(dex, replace(replays(dex, None), request=np.array([0, 0, 0, 1], np.int32)))


def test_golden_file_is_bounded_and_repeatable() -> None:
    packed = golden.pack(REQUESTS)
    assert packed == golden.pack(REQUESTS)
    assert json.loads(gzip.decompress(packed)) == {"format": 1, "requests": REQUESTS}
    rng = np.random.default_rng(0)
    noise = [{"request": {}, "truth": rng.integers(0, 2**62, 200).tolist()} for _ in range(800)]
    with pytest.raises(ValueError, match="at most 1,000,000"):
        golden.pack(noise)
