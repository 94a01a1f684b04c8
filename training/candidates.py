"""The models that compete for a release, each trained on the same float32 matrix with the same meaning of its rows.

A label is P(first wins) as one duel showed it: 1, 0, or 0.5 for a draw. XGBoost takes such soft labels through
binary:logistic; a scikit-learn classifier sees a draw as two rows of half the weight, one of each class.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

Matrix = NDArray[np.float32]
Labels = NDArray[np.float32]
Groups = NDArray[np.int32]
Progress = Callable[[int, int], None]

SEED: Final = 20_240_229
THREADS: Final = 2  # fixed, because histogram sums depend on how rows are shared among threads
_STOPPING_SHARE = 0.05
_STOPPING_ROUNDS = 20
_SCALED_ROWS = 200_000

# Integer-coded columns of a few values whose order means nothing to a linear model.
ONE_HOT: Final = tuple(
    f"{place}_{name}" for place in ("first", "second") for name in ("priority", "effectiveness", "out_of_reach")
)

# XGBoost: the deepest and longest that keeps 2,500 pairings within the gate's time on one core.
XGBOOST: Final[dict[str, Any]] = {
    "rounds": 160,
    "max_depth": 7,
    "eta": 0.12,
    "min_child_weight": 8.0,
    "reg_lambda": 2.0,
    "subsample": 1.0,
    "colsample_bytree": 1.0,
    "max_bin": 128,
}
RANDOM_FOREST: Final[dict[str, Any]] = {
    "n_estimators": 120,
    "max_depth": 16,
    "min_samples_leaf": 8,
    "max_features": 0.3,
}
HIST_GRADIENT_BOOSTING: Final[dict[str, Any]] = {
    "max_iter": 250,
    "max_leaf_nodes": 63,
    "learning_rate": 0.1,
    "l2_regularization": 2.0,
    "min_samples_leaf": 40,
    "early_stopping": False,
}
LOGISTIC_REGRESSION: Final[dict[str, Any]] = {"C": 0.01, "max_iter": 300, "solver": "lbfgs", "tol": 1e-3}


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained candidate.

    Attributes:
        algorithm: key of ``CANDIDATES``.
        estimator: an ``xgboost.Booster`` sliced to its best iteration, or a scikit-learn classifier or pipeline.
        params: what it was trained with, the number of boosting rounds kept included.
        rows: training rows it saw.
        history: validation log loss by boosting round; empty where there are no rounds.
    """

    algorithm: str
    estimator: xgb.Booster | BaseEstimator
    params: dict[str, Any]
    rows: int
    history: list[float] = field(default_factory=list)

    def predict(self, x: Matrix) -> NDArray[np.float64]:
        """Raw, uncalibrated P(first wins) of float32 rows [n, features], as float64 [n]."""
        if isinstance(self.estimator, xgb.Booster):
            return np.asarray(self.estimator.inplace_predict(x), np.float64)
        return np.asarray(self.estimator.predict_proba(x)[:, 1], np.float64)

    def importance(self, features: Sequence[str]) -> dict[str, float]:
        """Share of the whole that each feature contributes: gain for boosting, impurity for forests, |weight| else.

        Empty for an algorithm that keeps no such figure (histogram gradient boosting).
        """
        if isinstance(self.estimator, xgb.Booster):
            gain = self.estimator.get_score(importance_type="total_gain")
            values = np.array([gain.get(f"f{i}", 0.0) for i in range(len(features))])
        elif isinstance(self.estimator, Pipeline):
            values = _linear_importance(self.estimator, features)
        elif hasattr(self.estimator, "feature_importances_"):
            values = np.asarray(self.estimator.feature_importances_)
        else:
            return {}
        return dict(zip(features, (values / values.sum()).tolist(), strict=True))


class Fit(Protocol):
    """Trains one algorithm; the same arguments give the same model. Only who stops early needs the groups."""

    def __call__(self, x: Matrix, label: Labels, group: Groups, /, params: dict[str, Any], seed: int) -> Fitted:
        """Fit rows [n, features] with labels and groups [n]."""
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """An algorithm with its defaults.

    Attributes:
        most_rows: a stated subsample where the algorithm could not take all rows in the time there is; None for all.
    """

    algorithm: str
    fit: Fit
    params: dict[str, Any]
    most_rows: int | None = None

    def with_params(self, params: dict[str, Any]) -> "Candidate":
        """The same candidate with some parameters replaced."""
        return replace(self, params={**self.params, **params})


def group_holdout(group: Groups, share: float, seed: int) -> NDArray[np.bool_]:
    """Mask [n], True for the rows of about ``share`` of the groups, whole groups only, the same for a seed."""
    groups = np.unique(group)
    chosen = np.random.default_rng(seed).random(len(groups)) < share
    return chosen[np.searchsorted(groups, group)]


def fit_xgboost(x: Matrix, label: Labels, group: Groups, params: dict[str, Any], seed: int = SEED) -> Fitted:
    """Train a booster, stopping early on 5 % of the species pairs, and keep its best iteration only."""
    held = group_holdout(group, _STOPPING_SHARE, seed)
    rounds = int(params["rounds"])
    options = {key: value for key, value in params.items() if key != "rounds"}
    train = xgb.QuantileDMatrix(x[~held], label[~held], max_bin=int(params["max_bin"]), nthread=THREADS)
    watch = xgb.QuantileDMatrix(x[held], label[held], ref=train, max_bin=int(params["max_bin"]), nthread=THREADS)
    seen: dict[str, dict[str, list[float]]] = {}
    booster = xgb.train(
        {
            "objective": "binary:logistic",
            "eval_metric": "logloss",
            "tree_method": "hist",
            "base_score": 0.5,
            "nthread": THREADS,
            "seed": seed,
            **options,
        },
        train,
        rounds,
        evals=[(watch, "held")],
        early_stopping_rounds=_STOPPING_ROUNDS,
        evals_result=seen,
        verbose_eval=False,
    )
    kept = int(booster.best_iteration) + 1
    history = [float(loss) for loss in seen["held"]["logloss"]]
    return Fitted("xgboost", booster[:kept], {**params, "rounds": kept, "seed": seed}, len(x), history)


def _hard(x: Matrix, label: Labels) -> tuple[Matrix, NDArray[np.int8], NDArray[np.float64]]:
    draw = (label > 0) & (label < 1)
    classes = np.concatenate([label >= 0.5, np.zeros(draw.sum(), bool)]).astype(np.int8)
    weight = np.concatenate([np.where(draw, 0.5, 1.0), np.full(draw.sum(), 0.5)])
    return (np.concatenate([x, x[draw]]) if draw.any() else x), classes, weight


def fit_random_forest(x: Matrix, label: Labels, _group: Groups, params: dict[str, Any], seed: int = SEED) -> Fitted:
    """Train a random forest (Breiman 2001)."""
    rows, classes, weight = _hard(x, label)
    model = RandomForestClassifier(**params, random_state=seed, n_jobs=THREADS)
    model.fit(rows, classes, sample_weight=weight)
    return Fitted("random_forest", model, {**params, "seed": seed}, len(x))


def fit_hist_gradient_boosting(
    x: Matrix,
    label: Labels,
    _group: Groups,
    params: dict[str, Any],
    seed: int = SEED,
) -> Fitted:
    """Train scikit-learn's histogram gradient boosting on float32 values, so that thresholds survive the export."""
    rows, classes, weight = _hard(x, label)
    model = HistGradientBoostingClassifier(**params, random_state=seed)
    model.fit(rows, classes, sample_weight=weight)
    return Fitted("hist_gradient_boosting", model, {**params, "seed": seed}, len(x))


def fit_logistic_regression(
    x: Matrix,
    label: Labels,
    _group: Groups,
    params: dict[str, Any],
    seed: int = SEED,
) -> Fitted:
    """Train a logistic regression behind a one-hot encoder (``ONE_HOT``) and a standard scaler (all other columns).

    Both learn from at most ``_SCALED_ROWS`` rows and transform in pieces: on all rows at once their copies would take
    more memory than everything else in a run.
    """
    from bentos.battle.features import FEATURES

    coded = [FEATURES.index(name) for name in ONE_HOT]
    scaled = [number for number in range(x.shape[1]) if number not in coded]
    rows, classes, weight = _hard(x, label)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    columns = ColumnTransformer([("one_hot", encoder, coded), ("scale", StandardScaler(), scaled)])
    some = np.random.default_rng(seed).choice(len(rows), min(len(rows), _SCALED_ROWS), replace=False)
    columns.fit(rows[some])
    matrix = np.empty((len(rows), columns.transform(rows[:1]).shape[1]), np.float32)
    for start in range(0, len(rows), _SCALED_ROWS):
        matrix[start : start + _SCALED_ROWS] = columns.transform(rows[start : start + _SCALED_ROWS])
    model = LogisticRegression(**params, random_state=seed).fit(matrix, classes, sample_weight=weight)
    pipeline = Pipeline([("columns", columns), ("model", model)])
    return Fitted("logistic_regression", pipeline, {**params, "seed": seed}, len(x))


def _linear_importance(model: Pipeline, features: Sequence[str]) -> NDArray[np.float64]:
    columns = model.named_steps["columns"]
    weights = np.abs(model.named_steps["model"].coef_[0])
    values = np.zeros(len(features))
    encoder = columns.named_transformers_["one_hot"]
    coded, scaled = (list(entry[2]) for entry in columns.transformers_[:2])
    start = 0
    for number, categories in zip(coded, encoder.categories_, strict=True):
        values[number] = weights[start : start + len(categories)].max()
        start += len(categories)
    values[scaled] = weights[start:]
    return values


CANDIDATES: Final[dict[str, Candidate]] = {
    candidate.algorithm: candidate
    for candidate in (
        Candidate("xgboost", fit_xgboost, XGBOOST),
        Candidate("logistic_regression", fit_logistic_regression, LOGISTIC_REGRESSION),
        Candidate("hist_gradient_boosting", fit_hist_gradient_boosting, HIST_GRADIENT_BOOSTING, 400_000),
        Candidate("random_forest", fit_random_forest, RANDOM_FOREST, 200_000),
    )
}
"""In the order they are trained; the first two take every row."""
