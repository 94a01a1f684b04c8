import numpy as np
import pytest

from bentos.calibration import calibrate
from bentos.contract import Calibration
from training.calibrate import choose, fit_isotonic, fit_logistic, loss

_N = 4_000


def truth_and_raw(distortion: Calibration) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True probabilities, answers from which ``distortion`` leads back to them, and 60 replays of the truth."""
    rng = np.random.default_rng(4)
    raw = rng.beta(0.6, 0.4, _N)
    truth = calibrate(distortion, raw)
    return truth, raw, rng.binomial(60, truth) / 60


def test_the_slope_and_intercept_of_a_known_distortion_are_found() -> None:
    _, raw, frequency = truth_and_raw(Calibration(method="logistic", slope=0.7, intercept=0.3))
    found = fit_logistic(raw, frequency)
    assert found.slope == pytest.approx(0.7, abs=0.02)
    assert found.intercept == pytest.approx(0.3, abs=0.03)


def test_isotonic_rises_and_follows_the_truth() -> None:
    truth, raw, frequency = truth_and_raw(Calibration(method="isotonic", x=[0, 0.5, 1], y=[0.1, 0.3, 0.95]))
    found = fit_isotonic(raw, frequency)
    assert (np.diff(found.x) > 0).all()
    assert (np.diff(found.y) >= 0).all()
    assert np.abs(calibrate(found, raw) - truth).mean() < 0.02


def test_isotonic_is_nowhere_so_steep_that_two_runtimes_would_disagree() -> None:
    rng = np.random.default_rng(2)
    raw = rng.beta(8, 0.4, _N)  # nearly all answers near 1, as a model of clear favourites gives them
    found = fit_isotonic(raw, rng.binomial(60, np.clip(raw - 0.02, 0, 1)) / 60)
    assert (np.diff(found.y) / np.diff(found.x)).max() <= 5
    nudged = calibrate(found, raw + 2e-6)
    assert np.abs(nudged - calibrate(found, raw)).max() <= 1e-5


def test_isotonic_never_says_never() -> None:
    raw = np.linspace(0, 1, _N)
    found = fit_isotonic(raw, (raw > 0.5).astype(float))
    assert 0 < min(found.y) < 1e-3
    assert 1 - 1e-3 < max(found.y) < 1


def test_answers_that_are_all_the_same_are_left_as_they_are() -> None:
    assert fit_isotonic(np.full(30, 0.5), np.linspace(0, 1, 30)) == Calibration()


@pytest.mark.parametrize(
    ("distortion", "methods"),
    [
        (Calibration(), {"none", "logistic"}),
        (Calibration(method="logistic", slope=0.5, intercept=0.5), {"logistic"}),
        (Calibration(method="isotonic", x=[0, 0.3, 0.6, 1], y=[0.4, 0.42, 0.8, 0.81]), {"isotonic"}),
    ],
)
def test_the_method_that_fits_is_chosen(distortion: Calibration, methods: set[str]) -> None:
    _, raw, frequency = truth_and_raw(distortion)
    group = (np.arange(_N) // 2).astype(np.int32)
    chosen, losses = choose(raw, frequency, group)
    assert chosen.method in methods
    assert min(losses, key=lambda name: losses[name]) == chosen.method
    assert loss(calibrate(chosen, raw), frequency) <= loss(raw, frequency) + 1e-9
