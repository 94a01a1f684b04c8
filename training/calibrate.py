"""Fits the calibration that the contract carries, on the calibration part and on nothing else."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from bentos.calibration import calibrate
from bentos.contract import Calibration

Floats = NDArray[np.float64]

_EPSILON = 1e-6
_FOLDS = 5
_ISOTONIC_POINTS = 200


def _logit(p: Floats) -> Floats:
    clipped = np.clip(p, _EPSILON, 1 - _EPSILON)
    return np.log(clipped) - np.log1p(-clipped)


def fit_logistic(p: Floats, frequency: Floats) -> Calibration:
    """Platt's scaling (1999) on the logit: slope and intercept of greatest binomial likelihood."""
    logit = _logit(p)[:, None]
    model = LogisticRegression(C=np.inf)
    classes = np.repeat([1, 0], len(p))
    model.fit(np.concatenate([logit, logit]), classes, sample_weight=np.concatenate([frequency, 1 - frequency]))
    return Calibration(method="logistic", slope=float(model.coef_[0, 0]), intercept=float(model.intercept_[0]))


def fit_isotonic(p: Floats, frequency: Floats) -> Calibration:
    """Isotonic regression (Zadrozny and Elkan 2002), thinned to a few hundred points of strictly increasing x."""
    model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(p, frequency)
    x, y = model.X_thresholds_, model.y_thresholds_
    keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), _ISOTONIC_POINTS)).round().astype(int))
    x, y = x[keep], y[keep]
    rising = np.concatenate([[True], np.diff(x) > 0])
    return Calibration(method="isotonic", x=x[rising].tolist(), y=np.maximum.accumulate(y[rising]).tolist())


METHODS: Final[dict[str, Callable[[Floats, Floats], Calibration]]] = {
    "none": lambda p, frequency: Calibration(),  # noqa: ARG005
    "logistic": fit_logistic,
    "isotonic": fit_isotonic,
}


def loss(p: Floats, frequency: Floats) -> float:
    """Mean binomial log loss in nats a replay of answers p [n] against frequencies [n]."""
    clipped = np.clip(p, _EPSILON, 1 - _EPSILON)
    return float(-(frequency * np.log(clipped) + (1 - frequency) * np.log1p(-clipped)).mean())


def choose(p: Floats, frequency: Floats, group: NDArray[np.int32]) -> tuple[Calibration, dict[str, float]]:
    """Pick the method of the least log loss over folds of species pairs and refit it on all rows.

    Returns:
        The calibration, and the cross-validated loss of each method, which is also what candidates are ranked by.
    """
    losses: dict[str, list[float]] = {name: [] for name in METHODS}
    for fitted, held in GroupKFold(_FOLDS).split(p, groups=group):
        for name, fit in METHODS.items():
            calibration = fit(p[fitted], frequency[fitted])
            losses[name].append(loss(calibrate(calibration, p[held]), frequency[held]))
    means = {name: float(np.mean(values)) for name, values in losses.items()}
    best = min(means, key=lambda name: means[name])
    return METHODS[best](p, frequency), means
