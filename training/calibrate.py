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
_ISOTONIC_BLOCKS = 60
_EDGE = 1e-4  # the 3,000 replays of an outermost block cannot tell less from never
_STEEPEST = 5.0  # times the 2e-6 by which runtimes differ stays within the parity bound of 1e-5


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
    """Isotonic regression (Zadrozny and Elkan 2002) as a line through block means, nowhere steeper than ``_STEEPEST``.

    The fit is a staircase, and a staircase turns the last bits by which two runtimes differ into whole steps. So its
    points are the means of blocks, and neighbours are pooled until every slope is bounded.
    """
    order = np.argsort(p, kind="stable")
    blocks = np.array_split(order, min(_ISOTONIC_BLOCKS, len(p)))
    weight = np.array([len(block) for block in blocks], float)
    x = np.array([p[block].mean() for block in blocks])
    y = (
        IsotonicRegression(y_min=_EDGE, y_max=1 - _EDGE)
        .fit(x, [frequency[block].mean() for block in blocks], weight)
        .predict(x)
    )
    while len(x) > 2:
        rise, run = np.diff(y), np.diff(x)
        steep = np.where(rise > 0, rise / np.maximum(run, 1e-12), np.where(run > 0, 0.0, np.inf))
        worst = int(steep.argmax())
        if steep[worst] <= _STEEPEST:
            break
        both = slice(worst, worst + 2)
        mean = [np.average(values[both], weights=weight[both]) for values in (x, y)]
        x[worst], y[worst] = mean
        weight[worst] = weight[both].sum()
        x, y, weight = (np.delete(values, worst + 1) for values in (x, y, weight))
    if not (np.diff(x) > 0).all():
        return Calibration()  # answers that are all the same
    return Calibration(method="isotonic", x=x.tolist(), y=y.tolist())


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
