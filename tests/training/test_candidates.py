import numpy as np
import pytest
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from bentos.battle.features import FEATURES
from bentos.contract import Calibration
from tests.exports import fitted_small
from training import prepare
from training.candidates import CANDIDATES, ONE_HOT, Fitted, _hard, group_holdout
from training.evaluate import figures
from training.prepare import Everything
from training.train import answers
from training.validate import score


@pytest.fixture(scope="module")
def data() -> Everything:
    return prepare.load(rows=60_000)


@pytest.fixture(scope="module")
def booster(data: Everything) -> Fitted:
    return fit("xgboost", data, 1)


def fit(algorithm: str, data: Everything, seed: int) -> Fitted:
    few = data.training.sample(20_000, 0) if algorithm != "xgboost" else data.training
    small = {"random_forest": {"n_estimators": 20}, "hist_gradient_boosting": {"max_iter": 40}}
    candidate = CANDIDATES[algorithm].with_params(small.get(algorithm, {}))
    return candidate.fit(few.x, few.label, few.group, candidate.params, seed)


@pytest.mark.parametrize("algorithm", list(CANDIDATES))
def test_the_same_seed_gives_the_same_model(algorithm: str, data: Everything) -> None:
    one, other = fitted_small(algorithm), fitted_small.__wrapped__(algorithm)
    x = data.gate.matrix.x[:2_000]
    # A forest adds its trees up in the order its threads finish, so the last bit may differ.
    assert np.allclose(one.predict(x), other.predict(x), rtol=0, atol=1e-12)


def test_another_seed_gives_another_model(data: Everything, booster: Fitted) -> None:
    x = data.gate.matrix.x
    assert not np.array_equal(fit("xgboost", data, 2).predict(x), booster.predict(x))


@pytest.mark.parametrize(("algorithm", "floor"), [("xgboost", 0.935), ("logistic_regression", 0.92)])
def test_accuracy_on_unseen_pairs_is_above_the_floor(
    algorithm: str, floor: float, data: Everything, booster: Fitted
) -> None:
    fitted = booster if algorithm == "xgboost" else fit(algorithm, data, 1)
    p = answers(fitted, Calibration(), data.gate.matrix)
    assert figures(p, data.gate.outcomes).accuracy > floor


def test_the_gap_between_training_and_unseen_pairs_is_bounded(data: Everything, booster: Fitted) -> None:
    inside = score(booster.predict(data.training.x), data.training.label).log_loss
    gate = data.gate
    outside = score(booster.predict(gate.matrix.x), gate.first_frequency().astype(np.float32)).log_loss
    assert outside - inside < 0.06


def test_answers_do_not_depend_on_order_or_repetition(data: Everything, booster: Fitted) -> None:
    x = data.gate.matrix.x[:1_000]
    order = np.random.default_rng(0).permutation(len(x))
    p = booster.predict(x)
    assert np.array_equal(booster.predict(np.ascontiguousarray(x[order])), p[order])
    assert np.array_equal(booster.predict(np.concatenate([x, x])), np.concatenate([p, p]))


def test_early_stopping_keeps_the_best_round(booster: Fitted) -> None:
    assert isinstance(booster.estimator, xgb.Booster)
    assert booster.estimator.num_boosted_rounds() == booster.params["rounds"]
    assert booster.params["rounds"] == int(np.argmin(booster.history)) + 1


def test_the_linear_pipeline_scales_and_encodes() -> None:
    fitted = fitted_small("logistic_regression")
    assert isinstance(fitted.estimator, Pipeline)
    columns = fitted.estimator.named_steps["columns"]
    encoder, scaler = columns.named_transformers_["one_hot"], columns.named_transformers_["scale"]
    names = [FEATURES[number] for number in columns.transformers_[0][2]]
    assert tuple(names) == ONE_HOT
    effectiveness = encoder.categories_[names.index("first_effectiveness")].tolist()
    assert set(effectiveness) <= {0.0, 0.25, 0.5, 1.0, 2.0, 4.0}
    assert len(scaler.mean_) == len(FEATURES) - len(ONE_HOT)
    assert (scaler.scale_ > 0).all()


@pytest.mark.parametrize("algorithm", ["xgboost", "random_forest", "logistic_regression"])
def test_importance_is_a_share_of_the_whole(algorithm: str) -> None:
    shares = fitted_small(algorithm).importance(FEATURES)
    assert list(shares) == list(FEATURES)
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares.values()) >= 0


def test_a_draw_is_half_of_each_class() -> None:
    x = np.arange(3, dtype=np.float32)[:, None]
    rows, classes, weight = _hard(x, np.array([1.0, 0.5, 0.0], np.float32))
    assert rows[:, 0].tolist() == [0, 1, 2, 1]
    assert classes.tolist() == [1, 1, 0, 0]
    assert weight.tolist() == [1, 0.5, 1, 0.5]


def test_a_holdout_takes_whole_groups() -> None:
    group: NDArray[np.int32] = np.repeat(np.arange(1_000), 5).astype(np.int32)
    held = group_holdout(group, 0.2, seed=1)
    assert not set(group[held].tolist()) & set(group[~held].tolist())
    assert held.mean() == pytest.approx(0.2, abs=0.05)
