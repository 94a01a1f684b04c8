"""The rivals' rules give what their own documentation and tests say."""

import numpy as np
import pytest

from k8s.rollout.analysis.settings import AnalysisSettings
from k8s.rollout.simulate import rivals
from k8s.rollout.simulate.traces import Traces, Track

SETTINGS = AnalysisSettings()
# spinnaker/kayenta, ClassifierSuite.scala (Apache-2.0), to three decimals.
CONTROL = [
    11.145,
    9.962,
    7.069,
    7.301,
    9.794,
    9.604,
    6.187,
    12.346,
    10.372,
    8.609,
    9.913,
    10.361,
    14.207,
    10.946,
    10.216,
]
CONTROL += [
    11.74,
    10.908,
    12.823,
    8.102,
    8.498,
    12.113,
    13.272,
    10.115,
    6.946,
    6.211,
    10.16,
    8.346,
    8.384,
    7.002,
    10.756,
]
ALIKE = [9.777, 10.587, 7.838, 9.324, 8.377, 8.936, 8.271, 9.748, 11.624, 9.275, 8.154, 10.562, 13.498, 11.054, 6.954]
ALIKE += [
    12.521,
    9.022,
    4.923,
    11.251,
    11.598,
    8.435,
    11.11,
    10.701,
    9.221,
    10.086,
    11.421,
    9.379,
    7.798,
    10.623,
    11.91,
]
HIGH = [
    20.878,
    21.786,
    19.708,
    15.86,
    19.51,
    19.392,
    22.927,
    17.157,
    18.655,
    23.423,
    24.056,
    22.627,
    21.979,
    21.659,
    20.068,
]
HIGH += [
    22.12,
    16.44,
    21.56,
    21.0,
    17.779,
    18.006,
    18.537,
    20.556,
    19.553,
    21.771,
    21.81,
    20.962,
    20.972,
    19.106,
    16.977,
]


def a_row(values: list[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([values], dtype=np.float64)


def minutes(successes: list[float], requests: float = 1000.0) -> Traces:
    """A canary with these success rates, minute by minute."""
    each = np.repeat(np.array(successes), 4)[None, :]
    total = np.full_like(each, requests / 4)
    track = Track(total, total * (1 - each), 0 * total)
    return Traces(track, track, np.ones(each.shape[-1], dtype=np.bool_), each.shape[-1])


def test_kayentas_interval_is_that_of_its_test() -> None:
    """MannWhitneySuite: 1 to 4 against 10 to 40 give 6 to 39 at 95 %, and 22.5."""
    estimate, lower, upper = rivals.mann_whitney(a_row([10, 20, 30, 40]), a_row([1, 2, 3, 4]), 1.959964)
    assert (float(lower[0]), float(upper[0]), float(estimate[0])) == (6.0, 39.0, 22.5)


@pytest.mark.parametrize(
    ("experiment", "control", "label"), [(ALIKE, CONTROL, 0), (HIGH, CONTROL, 1), (CONTROL, HIGH, -1)]
)
def test_kayenta_classifies_as_its_tests_do(experiment: list[float], control: list[float], label: int) -> None:
    """ClassifierSuite, with its tolerance of 0.1 and confidence of 95 %."""
    assert rivals.classified(a_row(experiment), a_row(control), 0.1, 1.959964)[0] == label


def test_kayenta_tolerates_a_quarter_of_the_estimate() -> None:
    """The lower bound of a shift by 5 of these is 1, and of a shift by 6 it is 2 (MannWhitneyClassifier.scala)."""
    values = np.arange(10.0)[None, :]
    assert rivals.classified(values + 5, values)[0] == 0
    assert rivals.classified(values + 6, values)[0] == 1


def test_kayenta_passes_series_that_are_equal() -> None:
    assert rivals.classified(a_row([1, 2, 3]), a_row([1, 2, 3]))[0] == 0
    assert rivals.classified(a_row([0, 0, 0]), a_row([0, 0, 0]))[0] == 0


def test_flagger_goes_back_after_its_interval_times_its_threshold() -> None:
    """Deployment strategies: the time to a rollback is interval * threshold."""
    decided = rivals.flagger(minutes([0.98] * 20), SETTINGS)
    assert decided.rolled_back[0] == 4 * rivals.FLAGGER_THRESHOLD
    assert not np.isfinite(decided.promoted[0])


def test_flagger_promotes_what_fails_four_checks() -> None:
    decided = rivals.flagger(minutes([1.0] * 16 + [0.98] * 4), SETTINGS)
    assert decided.promoted[0] == 80
    assert rivals.flagger(minutes([0.99] * 20), SETTINGS).promoted[0] == 80


def test_flagger_takes_no_traffic_for_a_failed_check() -> None:
    assert rivals.flagger(minutes([1.0] * 20, requests=0.0), SETTINGS).rolled_back[0] == 20


def test_argo_fails_above_its_limit_and_not_at_it() -> None:
    """TestAssessMetricStatusFailureLimit: three failures are Failed with a limit of 2, and Running with one of 3."""
    good = np.array([[True, False, True, False, False]])
    assert rivals.by_limit(good, 2)[0] == 5
    assert np.isinf(rivals.by_limit(good, 3)[0])
    assert rivals.argo(minutes([0.98] * 20), SETTINGS).rolled_back[0] == 4 * 4
