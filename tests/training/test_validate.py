from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from bentos.battle.features import FEATURES
from tests.exports import fitted_small
from training import prepare, validate
from training.candidates import CANDIDATES, SEED, Candidate, Fitted
from training.prepare import TrainingSet

_QUICK = CANDIDATES["xgboost"].with_params({"rounds": 15, "max_depth": 4})


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return prepare.load(rows=6_000).training


def test_folds_share_no_species_pair(data: TrainingSet) -> None:
    seen: list[set[int]] = []

    def watching(x: np.ndarray, label: np.ndarray, group: np.ndarray, params: dict[str, Any], seed: int) -> Fitted:
        seen.append(set(group.tolist()))
        return _QUICK.fit(x, label, group, params, seed)

    scores = validate.cross_validate(Candidate("xgboost", watching, _QUICK.params), data, 3)
    every = set(data.group.tolist())
    held = [every - fitted for fitted in seen]
    assert len(scores) == 3
    assert set.union(*held) == every
    assert sum(map(len, held)) == len(every)
    assert all(0.85 < one.accuracy < 1 for one in scores)


def test_a_score_counts_a_draw_as_half() -> None:
    scored = validate.score(np.array([0.9, 0.9, 0.2]), np.array([1, 0.5, 0], np.float32))
    assert scored.accuracy == pytest.approx((1 + 0.5 + 1) / 3)


def test_the_learning_curve_ends_with_the_whole(data: TrainingSet) -> None:
    whole = _QUICK.fit(data.x, data.label, data.group, _QUICK.params, 1)
    rows, errors = validate.learning_curve(_QUICK, data, whole, lambda fitted: 1 / fitted.rows)
    assert rows == sorted(rows)
    assert rows[-1] == len(data)
    assert errors == [pytest.approx(1 / n) for n in rows]


def test_shuffling_finds_the_feature_that_matters(data: TrainingSet) -> None:
    fitted = fitted_small("hist_gradient_boosting")
    assert fitted.importance(FEATURES) == {}
    # It was trained on outcomes drawn from the damage race, so that is what it lives on.
    shares = validate.shuffling_importance(fitted, data.x, data.label.astype(np.float64), FEATURES)
    assert max(shares, key=lambda name: shares[name]) == "race"
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares.values()) >= 0


def test_tuning_goes_on_where_it_stopped(data: TrainingSet, tmp_path: Path) -> None:
    told: list[int] = []

    def tune(trials: int, study: str = "one") -> dict[str, object]:
        return validate.tune(
            _QUICK,
            data,
            trials,
            tmp_path / "optuna.db",
            study=study,
            seed=SEED,
            tell=lambda number, _: told.append(number),
        )

    first = tune(2)
    assert told == [1, 2]
    assert set(first) == {"max_depth", "eta", "min_child_weight", "reg_lambda", "colsample_bytree"}
    tune(3)
    assert told == [1, 2, 3]
    tune(3)
    assert told == [1, 2, 3]
    tune(1, "two")
    assert told == [1, 2, 3, 1]
    kept = optuna.load_study(study_name="one", storage=f"sqlite:///{tmp_path / 'optuna.db'}")
    assert len({str(trial.params) for trial in kept.trials}) == 3
