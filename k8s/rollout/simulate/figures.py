"""The rollouts and faults that are simulated, and what is counted of them."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from k8s.rollout.analysis import pairs as paired
from k8s.rollout.analysis import rates
from k8s.rollout.analysis.betting import Floats, blocks
from k8s.rollout.analysis.evidence import Expectation
from k8s.rollout.analysis.scores import QUIET, scores_against
from k8s.rollout.analysis.settings import AnalysisSettings
from k8s.rollout.simulate import judges, rivals
from k8s.rollout.simulate.traces import Scenario, Traces, Track, draw

SETTINGS: Final = AnalysisSettings()
CHUNK: Final = 250
"""Rollouts at once: with four hours of intervals and a dozen arrays these are some 50 MB."""
OURS: Final = "PredictionDex"
JUDGES: Final[dict[str, Callable[[Traces, AnalysisSettings], judges.Decisions]]] = {
    OURS: judges.ours,
    "Flagger": rivals.flagger,
    "Argo Rollouts": rivals.argo,
    "Kayenta": rivals.kayenta,
}
_HOUR: Final = 60
HEALTHY: Final = {
    "10 requests a minute": Scenario(10, minutes=2 * _HOUR),
    "100 requests a minute": Scenario(100),
    "1,000 requests a minute": Scenario(minutes=2 * _HOUR),
    "10,000 requests a minute": Scenario(10_000, minutes=_HOUR),
    "1,000 a minute, 0.3 % of both slow": Scenario(slow=(0.003, 0.003), minutes=2 * _HOUR),
    "1,000 a minute, 1 % of both slow": Scenario(slow=(0.01, 0.01)),
    "1,000 a minute, 1 % of pod-intervals stalled": Scenario(stalls=0.01, minutes=2 * _HOUR),
    "10,000 a minute, 1 % of pod-intervals stalled": Scenario(10_000, stalls=0.01, minutes=_HOUR),
    "1,000 a minute, first minute of new pods cold": Scenario(cold_intervals=4, minutes=_HOUR),
    "1,000 a minute, first two minutes cold": Scenario(cold_intervals=8, minutes=_HOUR),
    "1,000 a minute, incident of both": Scenario(incident=True, minutes=2 * _HOUR),
    "10,000 a minute, incident of both": Scenario(10_000, incident=True, minutes=_HOUR),
    "1,000 a minute, only stable 5 % slow": Scenario(slow=(0.05, 0.001), minutes=_HOUR),
    "1,000 a minute, rates drift tenfold": Scenario(drift=True, minutes=2 * _HOUR),
}
FAULTS: Final = {
    "1,000 a minute, errors 0.1 % to 5 %": Scenario(errors=(0.001, 0.05), minutes=_HOUR),
    "1,000 a minute, errors 0.1 % to 1 %": Scenario(errors=(0.001, 0.01), minutes=2 * _HOUR),
    "1,000 a minute, errors 0.1 % to 5 % after 15 minutes": Scenario(
        errors=(0.001, 0.05), onset_minutes=15, minutes=_HOUR
    ),
    "1,000 a minute, slow 1 % to 2 %": Scenario(slow=(0.01, 0.02), minutes=2 * _HOUR),
    "1,000 a minute, slow 0.1 % to 1.1 %": Scenario(slow=(0.001, 0.011), minutes=2 * _HOUR),
}
ERRORS: Final = ((0.25, 25), (0.05, 25), (0.01, 25), (0.25, 250), (0.25, 2.5))
"""Weight and canary requests an interval at which errors rise from 0.1 % to 5 %."""
SLOW: Final = ((0.25, 250), (0.1, 250), (0.05, 250), (0.25, 625), (0.25, 62.5))
PAIRS: Final = ((0.01, 125), (0.005, 125), (0.001, 125), (0.01, 12.5))
"""Expected rate of flips and pairs an interval at which one more in a hundred flips."""
SHAPES: Final = ("one of ten bins to another", "half of ten bins to the rest", "half of twenty bins to the rest")
CURVE: Final = (0.0, 0.001, 0.002, 0.003, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02)
"""Excesses of errors over 0.1 % of the operating curve."""


def _chunks(rollouts: int) -> list[int]:
    whole, rest = divmod(rollouts, CHUNK)
    return [CHUNK] * whole + [rest] * (rest > 0)


def rollouts_of(scenario: Scenario, rollouts: int, seed: int) -> dict[str, dict[str, float | None]]:
    """What each judge does with the same rollouts."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[judges.Decisions]] = {name: [] for name in JUDGES}
    for count in _chunks(rollouts):
        traces = draw(scenario, SETTINGS, count, rng)
        for name, judge in JUDGES.items():
            found[name].append(judge(traces, SETTINGS))
    return {name: _counted(decisions) for name, decisions in found.items()}


def _counted(decisions: list[judges.Decisions]) -> dict[str, float | None]:
    together = judges.Decisions(*(np.concatenate(each) for each in zip(*decisions, strict=True)))
    back, on, held = together.shares()
    ended = np.minimum(together.rolled_back, together.promoted)
    middle = float(np.sort(ended)[len(ended) // 2])
    minutes = middle * SETTINGS.interval_seconds / 60 if math.isfinite(middle) else None
    return {"rolled_back": back, "promoted": on, "held": max(held, 0.0), "minutes": minutes}


class Budget(NamedTuple):
    """What a fault has to be caught within, whichever is later."""

    of: str
    """``errors`` or ``slow``."""
    stable: float
    canary: float
    """Shares."""
    requests: int
    """Of the canary."""
    intervals: int


IN_ERRORS: Final = Budget("errors", 0.001, 0.05, 300, 12)
IN_SLOW: Final = Budget("slow", 0.01, 0.02, 10_000, 40)


def caught(budget: Budget, weight: float, an_interval: float, rollouts: int) -> dict[str, float]:
    """Share by judge that fails within the budget, at a weight and as many canary requests an interval.

    The rivals get as many intervals as bring the canary's requests on average.
    """
    of, requests, least = budget.of, budget.requests, budget.intervals
    rng, hits = np.random.default_rng(11), dict.fromkeys(JUDGES, 0)
    needed = max(least, math.ceil(requests / an_interval))
    length = int(1.6 * needed)
    margin, alpha = (SETTINGS.errors if of == "errors" else SETTINGS.slow).fail, SETTINGS.alpha_of(of)
    for count in _chunks(rollouts):
        tracks = []
        for rate, arrivals in ((budget.stable, an_interval * (1 - weight) / weight), (budget.canary, an_interval)):
            n = rng.poisson(arrivals, (count, length))
            found, none = rng.binomial(n, rate).astype(np.float64), np.zeros((count, length))
            both = (found, none) if of == "errors" else (none, found)
            tracks.append(Track(n.astype(np.float64), *both))
        n_c = tracks[1].requests
        within = ((np.cumsum(n_c, -1) - n_c) < requests) | (np.arange(length) < least)
        stable, canary = (judges.events(track, of, within) for track in tracks)
        wealth = rates.against(blocks(stable, canary), margin)
        hits[OURS] += int((wealth >= math.log(1 / alpha)).any(-1).sum())
        traces = Traces(tracks[0], tracks[1], np.ones(length, dtype=np.bool_), needed)
        for name in set(JUDGES) - {OURS}:
            hits[name] += int(np.isfinite(JUDGES[name](traces, SETTINGS).rolled_back).sum())
    return {name: value / rollouts for name, value in hits.items()}


def flips_caught(expected: float, an_interval: float, excess: float, pairs: int, rollouts: int) -> float:
    """Share in which flips fail within so many pairs, the expectation itself being measured on 50,000."""
    rng, hits, a_group = np.random.default_rng(12), 0, 50
    length = int(pairs / an_interval)
    for _ in range(rollouts // a_group):
        measured = Expectation(50_000, rng.binomial(50_000, expected) / 50_000, 0.0, 0.0004)
        n = rng.poisson(an_interval, (a_group, length)).astype(np.float64)
        flips = rng.binomial(n.astype(np.int64), expected + excess).astype(np.float64)
        rate = paired.flips_bound(measured, SETTINGS.flips.fail)
        wealth = paired.flips_against(paired.Series(n, flips, 0 * n, 0 * n), rate)
        hits += int((wealth >= math.log(1 / SETTINGS.alpha_of("flips"))).any(-1).sum())
    return hits / (rollouts // a_group * a_group)


def shape(name: str, variation: float) -> tuple[Floats, Floats]:
    """Shares of score bins of stable and canary, so far apart."""
    count = 20 if "twenty" in name else 10
    stable = np.full(count, 1 / count)
    move = np.zeros(count)
    if name == SHAPES[0]:
        move[:2] = (-variation, variation)
    else:
        move = 2 * variation / count * np.where(np.arange(count) % 2, 1.0, -1.0)
    return stable, stable + move


def scores_caught(name: str, variation: float, rollouts: int, requests: int = 20_000, weight: float = 0.25) -> float:
    """Share in which distributions of scores fail within so many requests of the canary, 250 an interval."""
    rng, hits, an_interval = np.random.default_rng(13), 0, 250
    of_stable, of_canary = shape(name, variation)
    for count in _chunks(rollouts):
        size = (count, requests // an_interval)
        stable = rng.multinomial(round(an_interval * (1 - weight) / weight), of_stable, size)
        canary = rng.multinomial(an_interval, of_canary, size)
        wealth = scores_against(stable, canary, SETTINGS.scores * QUIET)
        hits += int((wealth >= math.log(1 / SETTINGS.alpha_of("scores"))).any(-1).sum())
    return hits / rollouts


def curve(rollouts: int) -> dict[str, dict[str, float]]:
    """Share rolled back and promoted by the errors check alone, by excess, at 1,000 a minute for two hours."""
    found = {}
    no_ceiling = replace(SETTINGS, errors_ceiling=1.0, slow_ceiling=1.0)
    for excess in CURVE:
        rng, parts = np.random.default_rng(14), []
        for count in _chunks(rollouts):
            scenario = Scenario(errors=(0.001, 0.001 + excess), slow=(0.0, 0.0), minutes=2 * _HOUR)
            parts.append(judges.ours(draw(scenario, SETTINGS, count, rng), no_ceiling))
        told = _counted(parts)
        found[f"{excess:g}"] = {key: float(told[key] or 0.0) for key in ("rolled_back", "promoted")}
    return found


def simulate(rollouts: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Every figure."""
    results: dict[str, Any] = {"rollouts": rollouts, "healthy": {}, "faults": {}}
    for kind, scenarios in (("healthy", HEALTHY), ("faults", FAULTS)):
        for seed, (name, scenario) in enumerate(scenarios.items()):
            say(name)
            results[kind][name] = rollouts_of(scenario, rollouts, 100 + seed)
    say("what is caught in time")
    results["errors"] = {
        f"{weight:g}/{count:g}": caught(IN_ERRORS, weight, count, rollouts) for weight, count in ERRORS
    }
    results["slow"] = {f"{weight:g}/{count:g}": caught(IN_SLOW, weight, count, rollouts) for weight, count in SLOW}
    results["flips"] = {
        f"{expected:g}/{count:g}": flips_caught(expected, count, 0.01, 5_000, rollouts) for expected, count in PAIRS
    }
    results["flips_quiet"] = flips_caught(0.01, 125, 0.0, 50_000, rollouts)
    results["scores"] = {name: scores_caught(name, 0.03, rollouts) for name in SHAPES}
    results["scores_quiet"] = scores_caught(SHAPES[1], 0.0, rollouts)
    say("the operating curve")
    results["curve"] = curve(max(rollouts // 5, 10))
    return results
