import numpy as np
import pytest

from bentos.calibration import calibrate
from bentos.contract import Calibration

RAW = np.array([0.0, 1e-9, 0.1, 0.5, 0.9, 1.0])


def test_none_is_the_identity() -> None:
    assert calibrate(Calibration(), RAW) is RAW


def test_logistic_is_the_sigmoid_of_a_line_on_the_logit() -> None:
    calibration = Calibration(method="logistic", slope=2.0, intercept=-1.0)
    # logit(0.9) = ln 9, so the odds are 81 / e.
    odds = 81 / np.e
    assert calibrate(calibration, RAW)[4] == pytest.approx(odds / (1 + odds), abs=1e-12)


def test_logistic_stays_finite_and_ordered_at_the_ends() -> None:
    p = calibrate(Calibration(method="logistic", slope=1.3, intercept=0.2), RAW)
    assert np.all(np.isfinite(p))
    assert np.all(np.diff(p) >= 0)
    assert 0 < p[0] < p[-1] < 1


def test_isotonic_is_linear_between_points_and_constant_outside() -> None:
    calibration = Calibration(method="isotonic", x=[0.1, 0.5, 0.9], y=[0.2, 0.4, 0.4])
    assert calibrate(calibration, np.array([0.0, 0.3, 0.7, 1.0])).tolist() == pytest.approx([0.2, 0.3, 0.4, 0.4])
