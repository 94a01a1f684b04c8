"""Calibration as parameters of the contract, applied after either runtime so that both answer alike."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bentos.contract import Calibration

_EDGE: Final = 1e-7
"""Raw probabilities are kept this far from 0 and 1 before the logit: a float32 tree model does answer exactly 1."""


def calibrate(calibration: Calibration, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map raw probabilities of the positive class, float64 of any shape, to calibrated ones of the same shape.

    ``logistic`` is Platt's sigmoid (1999) on the logit, ``isotonic`` the piecewise linear reading of Zadrozny and
    Elkan's fit (2002).
    """
    if calibration.method == "logistic":
        p = np.clip(raw, _EDGE, 1 - _EDGE)
        logit = np.log(p) - np.log1p(-p)
        calibrated: NDArray[np.float64] = 1 / (1 + np.exp(-(calibration.slope * logit + calibration.intercept)))
        return calibrated
    if calibration.method == "isotonic":
        return np.interp(raw, calibration.x, calibration.y)
    return raw
