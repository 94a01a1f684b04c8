"""The verdict that is shipped, on many rollouts at once."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from k8s.rollout.analysis import rates
from k8s.rollout.analysis.betting import Floats, blocks
from k8s.rollout.analysis.settings import AnalysisSettings
from k8s.rollout.simulate.traces import Traces, Track

NEVER = np.inf


class Decisions(NamedTuple):
    """Intervals [rollout] after which it was rolled back or promoted, infinite where it was not."""

    rolled_back: Floats
    promoted: Floats

    def shares(self) -> tuple[float, float, float]:
        """Rolled back, promoted and held without a verdict."""
        back, on = np.isfinite(self.rolled_back).mean(), np.isfinite(self.promoted).mean()
        return float(back), float(on), float(1 - back - on)


def first(happens: NDArray[np.bool_]) -> Floats:
    """Number of intervals [rollout] until something first happens [rollout, interval]."""
    return np.where(happens.any(-1), happens.argmax(-1) + 1.0, NEVER)


def decided(failed: Floats, passed: Floats) -> Decisions:
    """Whichever came first."""
    return Decisions(np.where(failed <= passed, failed, NEVER), np.where(passed < failed, passed, NEVER))


def events(track: Track, of: str, evidence: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Requests and events of evidence; what is left out counts nothing, so it is 0."""
    return np.where(evidence, track.requests, 0.0), np.where(evidence, getattr(track, of), 0.0)


def wealth(traces: Traces, of: str, margin: float) -> Floats:
    """Of bets that the canary is worse [rollout, interval]."""
    stable, canary = (events(track, of, traces.evidence) for track in (traces.stable, traces.canary))
    return rates.against(blocks(stable, canary), margin)


def ours(traces: Traces, settings: AnalysisSettings) -> Decisions:
    """Errors, slow answers and both ceilings; the gateway's counts are those of the server, so they add nothing."""
    failed = np.full(len(traces.stable.requests), NEVER)
    passed = np.ones(traces.stable.requests.shape, dtype=np.bool_)
    for of, margin, ceiling in (
        ("errors", settings.errors, settings.errors_ceiling),
        ("slow", settings.slow, settings.slow_ceiling),
    ):
        stable, canary = (events(track, of, traces.evidence) for track in (traces.stable, traces.canary))
        seen = blocks(stable, canary)
        against = rates.against(seen, margin.fail) >= math.log(1 / settings.alpha_of(of))
        above = rates.against(rates.ceiling_blocks(stable, canary, ceiling), 0.0)
        above_ceiling = above >= math.log(1 / settings.alpha_of(f"{of} ceiling"))
        failed = np.minimum(failed, first(against | above_ceiling))
        passed &= rates.in_favour(seen, margin.accept) >= math.log(1 / settings.beta)
    passed[:, : traces.promotable - 1] = False
    return decided(failed, first(passed))
