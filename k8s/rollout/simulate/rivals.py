"""Rules of other tools, as their documentation tells them, on the same rollouts.

Flagger 1.x, https://docs.flagger.app/usage/how-it-works: each minute the success rate must be at least 99 % and the
99th percentile at most the threshold; at the fifth failed check the canary goes back. No traffic fails a check.
Argo Rollouts 1.x, https://argo-rollouts.readthedocs.io/en/stable/features/analysis/: a measurement fails where its
condition does not hold, and the analysis where more than ``failureLimit`` failed.
Kayenta, https://github.com/spinnaker/kayenta: a Mann-Whitney interval of each metric's series; a metric is high where
its lower bound is above ``tolerance`` times the Hodges-Lehmann estimate; the score is the share of metrics not high.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from k8s.rollout.analysis.betting import Floats
from k8s.rollout.analysis.settings import AnalysisSettings
from k8s.rollout.simulate.judges import NEVER, Decisions, decided, first
from k8s.rollout.simulate.traces import Traces

SUCCESS: Final = 0.99
IN_TIME: Final = 0.99
FLAGGER_THRESHOLD: Final = 5
FAILURE_LIMIT: Final = 3
TOLERANCE: Final = 0.25
CONFIDENCE_Z: Final = 2.326348
"""Of a confidence of 98 %, two-sided, which Kayenta's own judge uses."""
MARGINAL: Final = 75.0
SCORE: Final = 95.0
KAYENTA_MINUTES: Final = 10
"""Minutes between its looks, each of which sees all until then."""


def by_minute(counts: Floats, settings: AnalysisSettings) -> Floats:
    """Sums [rollout, minute] of counts [rollout, interval]."""
    a_minute = round(60 / settings.interval_seconds)
    whole = counts.shape[-1] // a_minute * a_minute
    sums: Floats = counts[..., :whole].reshape(*counts.shape[:-1], -1, a_minute).sum(-1)
    return sums


def checks(traces: Traces, settings: AnalysisSettings) -> NDArray[np.bool_]:
    """Whether each minute's canary is within both thresholds; a minute without requests is not."""
    requests, errors, slow = (by_minute(each, settings) for each in traces.canary)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((1 - errors / requests >= SUCCESS) & (1 - slow / (requests - errors) >= IN_TIME))


def by_limit(good: NDArray[np.bool_], most: int) -> Floats:
    """Minutes [rollout] until more than ``most`` checks failed."""
    return first(np.cumsum(~good, axis=-1) > most)


def _until(minutes: Floats, traces: Traces, settings: AnalysisSettings) -> Decisions:
    """Promoted at the end of the schedule, unless it went back before."""
    end = float(traces.promotable)
    failed = minutes * round(60 / settings.interval_seconds)
    return decided(np.where(failed <= end, failed, NEVER), np.full(len(failed), end))


def flagger(traces: Traces, settings: AnalysisSettings) -> Decisions:
    """Rolled back at the fifth failed check."""
    return _until(by_limit(checks(traces, settings), FLAGGER_THRESHOLD - 1), traces, settings)


def argo(traces: Traces, settings: AnalysisSettings) -> Decisions:
    """Rolled back at the fourth failed measurement."""
    return _until(by_limit(checks(traces, settings), FAILURE_LIMIT), traces, settings)


def _ties(values: Floats) -> Floats:
    """Sum of ``t³ - t`` over groups of ``t`` equal values [rollout]."""
    ranked = np.sort(values, axis=-1)
    place, ties = np.zeros(len(values)), np.zeros(len(values))
    for column in range(1, values.shape[-1]):
        place = np.where(ranked[:, column] == ranked[:, column - 1], place + 1, 0.0)
        ties += 3 * place * (place + 1)  # which adds up to t³ - t
    return ties


def mann_whitney(x: Floats, y: Floats, z: float = CONFIDENCE_Z) -> tuple[Floats, Floats, Floats]:
    """Hodges-Lehmann estimate, lower and upper bound [rollout] of the shift from ``y`` to ``x`` [rollout, value].

    The shifts at which the rank sum, corrected for continuity and ties, is ``z`` standard deviations off. Since a shift
    makes ties between the samples only in single points, they are order statistics of the differences.
    """
    n, m = x.shape[-1], y.shape[-1]
    differences = np.sort((x[:, :, None] - y[:, None, :]).reshape(len(x), -1), axis=-1)
    ties = _ties(x) + _ties(y)
    spread = np.sqrt(np.maximum(n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1))), 0.0))
    place = np.minimum(np.floor(n * m / 2 + z * spread + 0.5).astype(np.intp), n * m - 1)[:, None]
    lower = np.take_along_axis(differences, n * m - 1 - place, axis=-1)[:, 0]
    upper = np.take_along_axis(differences, place, axis=-1)[:, 0]
    return np.median(differences, axis=-1), lower, upper


def classified(x: Floats, y: Floats, tolerance: float = TOLERANCE, z: float = CONFIDENCE_Z) -> NDArray[np.int64]:
    """1 where a metric [rollout, value] is high against its control, -1 where it is low, else 0."""
    estimate, lower, upper = mann_whitney(x, y, z)
    bound = tolerance * np.abs(estimate)
    same = (x == y).all(-1) | ((x == x[:, :1]).all(-1) & (y == x[:, :1]).all(-1))
    return np.where(same, 0, np.where(lower > bound, 1, np.where(upper < -bound, -1, 0)))


def kayenta(traces: Traces, settings: AnalysisSettings) -> Decisions:
    """Rolled back at a look whose score is under 75, promoted at the end with 95, else held."""
    a_minute = round(60 / settings.interval_seconds)
    looks = range(KAYENTA_MINUTES, traces.promotable // a_minute + 1, KAYENTA_MINUTES)
    looks = range(min(KAYENTA_MINUTES, traces.promotable // a_minute), looks.stop, KAYENTA_MINUTES)
    failed, score = np.full(len(traces.canary.requests), NEVER), np.zeros(len(traces.canary.requests))
    series = []
    for of in ("errors", "slow"):
        tracks = (traces.canary, traces.stable)
        series.append(
            [
                by_minute(getattr(track, of), settings) / np.maximum(by_minute(track.requests, settings), 1.0)
                for track in tracks
            ]
        )
    for minutes in looks:
        good = [classified(canary[:, :minutes], stable[:, :minutes]) != 1 for canary, stable in series]
        score = 100 * np.mean(good, axis=0)
        failed = np.where((score < MARGINAL) & ~np.isfinite(failed), float(minutes * a_minute), failed)
    promoted = np.where((score >= SCORE) & ~np.isfinite(failed), float(traces.promotable), NEVER)
    return Decisions(failed, promoted)
