"""Cross-validation, learning curves and tuning: everything that asks how a candidate does on folds of training pairs.

All of it works on a stated subsample of the training part, grouped by species pair, and touches nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from training.candidates import SEED, Candidate, Fitted, Matrix, group_holdout
from training.prepare import TrainingSet

CROSS_VALIDATION_ROWS: Final = 120_000
TUNING_ROWS: Final = 200_000
_HELD_SHARE = 0.2
_SHUFFLED_ROWS = 2_000
_CURVE_SHARES: Final = (1 / 27, 1 / 9, 1 / 3)


@dataclass(frozen=True, slots=True)
class Score:
    """How answers fare against single duels.

    Attributes:
        accuracy: share of duels whose winner was named; a draw counts half.
        log_loss: mean binary cross-entropy, nats a duel.
    """

    accuracy: float
    log_loss: float


def score(p: NDArray[np.float64], label: NDArray[np.float32]) -> Score:
    """Score answers P(first wins) [n] against labels [n] of single duels."""
    clipped = np.clip(p, 1e-6, 1 - 1e-6)
    loss = -(label * np.log(clipped) + (1 - label) * np.log1p(-clipped)).mean()
    return Score(float(np.where(p >= 0.5, label, 1 - label).mean()), float(loss))


def cross_validate(candidate: Candidate, data: TrainingSet, folds: int, seed: int = SEED) -> list[Score]:
    """Fit and score on ``folds`` folds of species pairs, on at most ``CROSS_VALIDATION_ROWS`` rows."""
    data = data.sample(CROSS_VALIDATION_ROWS, seed)
    scores = []
    for fitted_rows, held in GroupKFold(folds, shuffle=True, random_state=seed).split(data.x, groups=data.group):
        part, rest = data.take(fitted_rows), data.take(held)
        fitted = candidate.fit(part.x, part.label, part.group, candidate.params, seed)
        scores.append(score(fitted.predict(rest.x), rest.label))
    return scores


def learning_curve(
    candidate: Candidate, data: TrainingSet, whole: Fitted, judge: Callable[[Fitted], float], seed: int = SEED
) -> tuple[list[int], list[float]]:
    """Rows and what ``judge`` says, for fits on growing shares of the rows ``whole`` was trained on, and for it."""
    rows, judged = [], []
    for share in _CURVE_SHARES:
        part = data.sample(int(whole.rows * share), seed)
        rows.append(len(part))
        judged.append(judge(candidate.fit(part.x, part.label, part.group, candidate.params, seed)))
    return [*rows, whole.rows], [*judged, judge(whole)]


def shuffling_importance(
    fitted: Fitted, x: Matrix, frequency: NDArray[np.float64], features: Sequence[str], seed: int = SEED
) -> dict[str, float]:
    """Share of the log loss that shuffling each feature adds (Breiman 2001), on at most ``_SHUFFLED_ROWS`` rows.

    Args:
        fitted: any candidate; for those that keep no importance of their own.
        x: rows [n, features] that were not trained on.
        frequency: how often the first side won each, [n].
        features: names of the columns.
        seed: of the shuffles.
    """
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(x), min(len(x), _SHUFFLED_ROWS), replace=False)
    shuffled, label = x[rows].copy(), frequency[rows].astype(np.float32)
    plain = score(fitted.predict(shuffled), label).log_loss
    added = np.zeros(len(features))
    for column in range(len(features)):
        kept = shuffled[:, column].copy()
        shuffled[:, column] = rng.permutation(kept)
        added[column] = max(score(fitted.predict(shuffled), label).log_loss - plain, 0.0)
        shuffled[:, column] = kept
    return dict(zip(features, (added / max(added.sum(), 1e-12)).tolist(), strict=True))


def _space(trial: Any, algorithm: str) -> dict[str, Any]:
    """What tuning may change; ranges are those in which serving still answers in its time."""
    match algorithm:
        case "xgboost":
            return {
                "max_depth": trial.suggest_int("max_depth", 5, 8),
                "eta": trial.suggest_float("eta", 0.05, 0.3, log=True),
                "min_child_weight": trial.suggest_float("min_child_weight", 1, 50, log=True),
                "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 20, log=True),
                "colsample_bytree": trial.suggest_float("colsample_bytree", 0.4, 1.0),
            }
        case "hist_gradient_boosting":
            return {
                "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.3, log=True),
                "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 15, 127, log=True),
                "l2_regularization": trial.suggest_float("l2_regularization", 0.1, 20, log=True),
            }
        case "random_forest":
            return {
                "max_depth": trial.suggest_int("max_depth", 8, 20),
                "min_samples_leaf": trial.suggest_int("min_samples_leaf", 2, 50, log=True),
                "max_features": trial.suggest_float("max_features", 0.1, 0.6),
            }
        case _:
            return {"C": trial.suggest_float("C", 1e-3, 1e2, log=True)}


def tune(
    candidate: Candidate,
    data: TrainingSet,
    trials: int,
    storage: Path,
    *,
    study: str,
    seed: int,
    tell: Callable[[int, float], None],
) -> dict[str, Any]:
    """Search parameters with Optuna's TPE until the study in ``storage`` has ``trials`` finished ones; gives the best.

    ``study`` names the algorithm and the rows, so a run that was stopped goes on where it was, and no other does. The
    objective is the log loss on a fifth of the species pairs of at most ``TUNING_ROWS`` training rows. ``tell`` is
    given each finished trial's number and the best loss so far.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    data = data.sample(TUNING_ROWS, seed)
    held = group_holdout(data.group, _HELD_SHARE, seed)
    part, rest = data.take(~held), data.take(held)

    def objective(trial: Any) -> float:
        params = {**candidate.params, **_space(trial, candidate.algorithm)}
        fitted = candidate.fit(part.x, part.label, part.group, params, seed)
        return score(fitted.predict(rest.x), rest.label).log_loss

    kept = optuna.create_study(
        storage=f"sqlite:///{storage}",
        study_name=study,
        load_if_exists=True,
    )
    # A sampler that began anew with the same seed would suggest the first trials again.
    kept.sampler = optuna.samplers.TPESampler(seed=seed + len(kept.trials))
    done = sum(trial.state is optuna.trial.TrialState.COMPLETE for trial in kept.trials)
    if done < trials:
        kept.optimize(objective, trials - done, callbacks=[lambda s, t: tell(t.number + 1, s.best_value)])
    return dict(kept.best_params)
