import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from k8s.rollout.analysis import (
    Analysis,
    AnalysisSettings,
    Counts,
    Expectation,
    Golden,
    Interval,
    Margin,
    Outcome,
    Outcomes,
    Pairs,
    Reading,
    Tracks,
)
from k8s.rollout.analysis.reading import together
from k8s.rollout.analysis.settings import SHARES

SETTINGS = AnalysisSettings()
EXPECTED = Expectation(pairs=50_000, flip_rate=0.01, mean_score_shift=0.0, score_shift_variance=0.0004)
NOTHING = Counts(0, 0, 0)
NAN = math.nan


class Traffic:
    """Intervals of a service with 1,000 requests a minute."""

    def __init__(self, errors: float = 0.001, slow: float = 0.001, flips: float = 0.01) -> None:
        self.rng = np.random.default_rng(1)
        self.errors, self.slow, self.flips = errors, slow, flips

    def counts(self, share: float, errors: float, slow: float) -> Counts:
        requests = int(self.rng.poisson(250 * share))
        failed = int(self.rng.binomial(requests, errors))
        return Counts(requests, failed, int(self.rng.binomial(requests - failed, slow)))

    def interval(self, weight: int) -> Interval:
        stable = self.counts(1 - weight / 100, 0.001, 0.001)
        canary = self.counts(weight / 100, self.errors, self.slow)
        return Interval(15, stable, canary, gateway=Tracks(stable, canary))

    def pairs(self) -> Pairs:
        differences = self.rng.normal(0, 0.02, 100)
        return Pairs(100, int(self.rng.binomial(100, self.flips)), differences.sum(), (differences**2).sum())


def rollout(analysis: Analysis, traffic: Traffic, last: int = 120) -> Iterator[int]:
    """The weight of each interval, once the analysis has it."""
    for weight in (1, 5, 10, 25, 50):
        analysis.begin_step(weight)
        for _ in range(16 if weight < 50 else last):
            analysis.add(traffic.interval(weight))
            analysis.add_pairs(traffic.pairs())
            yield weight


def passed() -> Analysis:
    analysis = Analysis(SETTINGS, EXPECTED)
    for _ in rollout(analysis, Traffic()):
        pass
    assert analysis.verdict() is Outcome.PASS
    return analysis


def reading(analysis: Analysis, check: str) -> Reading:
    return next(each for each in analysis.readings() if each.check == check)


def test_a_healthy_version_comes_through() -> None:
    analysis, steps = Analysis(SETTINGS, EXPECTED), []
    for place, weight in enumerate(rollout(analysis, Traffic())):
        if place % 16 == 15 and weight not in steps:
            assert analysis.may_advance()
            steps.append(weight)
        elif place in {3, 14}:
            assert not analysis.may_advance()
    assert steps == [1, 5, 10, 25, 50]
    assert analysis.verdict() is Outcome.PASS
    assert all("points against" in each.sentence for each in analysis.readings() if each.check in {"errors", "slow"})


@pytest.mark.parametrize(
    ("traffic", "check"),
    [
        (Traffic(errors=0.05), "errors"),
        (Traffic(slow=0.05), "slow"),
        (Traffic(errors=0.05), "gateway"),
        (Traffic(slow=0.05), "slow ceiling"),
        (Traffic(flips=0.03), "flips"),
    ],
)
def test_a_fault_fails_its_check_and_stays_a_fail(traffic: Traffic, check: str) -> None:
    analysis = Analysis(SETTINGS, EXPECTED)
    for _ in rollout(analysis, traffic, last=40):
        pass
    assert reading(analysis, check).outcome is Outcome.FAIL
    assert analysis.verdict() is Outcome.FAIL
    assert not analysis.may_advance()
    for _ in range(40):
        analysis.add(Traffic().interval(50))
    assert analysis.verdict() is Outcome.FAIL


@pytest.mark.parametrize(
    ("expectation", "weight", "asked", "pairs", "ends"),
    [
        (EXPECTED, 0, None, 0, False),
        (EXPECTED, 0, None, 12, False),
        (EXPECTED, 0, None, 13, True),
        (EXPECTED, 0, 20, 1, False),
        (EXPECTED, 0, 20, 2, True),
        (EXPECTED, 50, None, 0, True),
        (None, 0, None, 0, True),
    ],
)
def test_the_step_of_copies_ends_with_enough_of_them(
    expectation: Expectation | None, weight: int, asked: int | None, pairs: int, ends: bool
) -> None:
    analysis, traffic = Analysis(SETTINGS, expectation), Traffic()
    analysis.add_pairs(Pairs(10_000, 100, 0.0, 4.0))  # of another step
    analysis.begin_step(weight, asked)
    for _ in range(16):
        analysis.add(traffic.interval(weight))
        analysis.add_pairs(Pairs(pairs, 0, 0.0, 0.0004 * pairs))
    assert analysis.may_advance() == ends
    assert bool(analysis.pairs_missing) != ends
    # Another driver knows as much.
    assert Analysis.from_json(json.loads(json.dumps(analysis.to_json()))).may_advance() == ends


def test_scores_are_held_against_stable_whatever_was_expected() -> None:
    meant = Expectation(pairs=50_000, flip_rate=0.01, mean_score_shift=0.1, score_shift_variance=0.01)
    analysis = Analysis(SETTINGS, meant)
    analysis.begin_step(50)
    for _ in range(60):
        scores = Tracks[tuple[float, ...]]((60, 40, 25), (40, 40, 45))
        counts = Counts(125, 0)
        analysis.add(Interval(15, counts, counts, gateway=Tracks(counts, counts), scores=scores))
    assert reading(analysis, "scores").outcome is Outcome.FAIL


def test_bounds_agree_with_outcomes() -> None:
    good, bad = reading(passed(), "errors"), Analysis(SETTINGS)
    assert good.upper is not None
    assert good.upper < good.margin
    for _ in rollout(bad, Traffic(errors=0.03), last=30):
        pass
    failed = reading(bad, "errors")
    assert failed.lower is not None
    assert failed.lower > failed.margin
    assert failed.lower < 0.029


@pytest.mark.parametrize("errors", [0.001, 0.01, 0.05, 0.3])
def test_an_interval_is_one_around_the_estimate(errors: float) -> None:
    analysis = Analysis(SETTINGS, EXPECTED)
    for place, _ in enumerate(rollout(analysis, Traffic(errors=errors, flips=0.01 + errors), last=40)):
        if place % 10:
            continue
        for each in analysis.readings():
            if each.upper is not None:
                assert each.estimate is not None
                assert each.upper >= max(each.estimate, each.lower or -1), each


def test_no_evidence_is_no_pass() -> None:
    analysis = Analysis(SETTINGS, EXPECTED)
    assert analysis.verdict() is Outcome.NOT_YET
    analysis.begin_step(50)
    for _ in range(200):
        analysis.add(Interval(15, Counts(250, 0), NOTHING, gateway=Tracks(Counts(250, 0), NOTHING)))
    assert analysis.verdict() is Outcome.NOT_YET
    assert not analysis.may_advance()
    assert {each.estimate for each in analysis.readings()} == {None}


@pytest.mark.parametrize(
    "unusable",
    [
        Interval(15, Counts(250, NAN), Counts(50, 0), gateway=Tracks(Counts(250, 0), Counts(50, 0))),
        Interval(15, Counts(250, 0), Counts(-50, 0), gateway=Tracks(Counts(250, 0), Counts(50, 0))),
        Interval(15, Counts(250, 0), Counts(50, 51), gateway=Tracks(Counts(250, 0), Counts(50, 0))),
        Interval(15, Counts(250, 0), Counts(50, 0), gateway=Tracks(Counts(250, 0), Counts(math.inf, 0))),
        Interval(0, Counts(250, 0), Counts(50, 0), gateway=Tracks(Counts(250, 0), Counts(50, 0))),
        Interval(15, Counts(250, 0), Counts(50, 0), Tracks(Counts(250, 0), Counts(50, 0)), Tracks((1.0,), (1.0, 2.0))),
        Interval(15, Counts(250, 0), Counts(50, 0), Tracks(Counts(250, 0), Counts(50, 0)), Tracks((NAN,), (1.0,))),
        Interval(
            15,
            Counts(250, 0),
            Counts(50, 0),
            Tracks(Counts(250, 0), Counts(50, 0)),
            outcomes=Tracks(Outcomes(5, 6), Outcomes(5, 5)),
        ),
    ],
)
def test_numbers_that_cannot_be_are_a_gap_and_no_pass(unusable: Interval) -> None:
    analysis = passed()
    before = analysis.readings()
    assert not analysis.add(unusable)
    assert analysis.gaps == 1
    assert analysis.readings() == before
    assert analysis.verdict() is Outcome.NOT_YET
    assert not analysis.may_advance()
    assert analysis.add(Traffic().interval(50))
    assert analysis.verdict() is Outcome.PASS


def test_a_gap_or_a_silent_gateway_is_no_pass() -> None:
    analysis = passed()
    analysis.add_gap()
    assert analysis.verdict() is Outcome.NOT_YET
    analysis = passed()
    analysis.add(replace(Traffic().interval(50), gateway=None))
    assert analysis.verdict() is Outcome.NOT_YET


def test_pairs_that_cannot_be_are_left_out() -> None:
    analysis = passed()
    before = analysis.readings()
    for unusable in (Pairs(NAN, 0, 0, 0), Pairs(10, 11, 0, 0), Pairs(10, 1, NAN, 0), Pairs(10, -1, 0, 0)):
        assert not analysis.add_pairs(unusable)
    assert analysis.readings() == before


def test_pairs_are_required_where_something_is_expected_of_them() -> None:
    analysis = Analysis(SETTINGS, EXPECTED)
    for weight in (1, 5, 10, 25, 50):
        analysis.begin_step(weight)
        for _ in range(16 if weight < 50 else 120):
            analysis.add(Traffic().interval(weight))
    assert reading(analysis, "flips").outcome is Outcome.NOT_YET
    assert analysis.verdict() is Outcome.NOT_YET


def test_warm_up_is_no_evidence() -> None:
    analysis = Analysis(replace(SETTINGS, gateway=False))
    for weight in (1, 50):
        analysis.begin_step(weight)
        taken = [analysis.add(Interval(15, Counts(250, 0), Counts(250, 250 * cold))) for cold in (1, 1, 1, 1, 0, 0)]
        assert taken == [False] * 4 + [True] * 2
        assert not analysis.may_advance()
    assert reading(analysis, "errors").estimate == 0
    assert reading(analysis, "errors").evidence == 1000


def test_golden_rows_decide_before_any_request() -> None:
    analysis = Analysis(SETTINGS, EXPECTED)
    analysis.add_golden(Golden(Pairs(1000, 400, 0.0, 300.0), stable_only_right=300, canary_only_right=10))
    assert analysis.verdict() is Outcome.FAIL
    assert "gets 300 rows wrong" in reading(analysis, "golden").sentence
    analysis.add_golden(Golden(Pairs(1000, 9, 0.0, 0.4), 4, 5))
    assert reading(analysis, "golden").outcome is Outcome.PASS
    analysis.add_golden(Golden(Pairs(0, 0, 0.0, 0.0)))
    assert reading(analysis, "golden").outcome is Outcome.NOT_YET


def test_feedback_counts_where_there_is_some() -> None:
    analysis = Analysis(replace(SETTINGS, gateway=False))
    analysis.begin_step(50)
    told = Tracks(Outcomes(100, 95), Outcomes(100, 80))
    for _ in range(40):
        analysis.add(replace(Traffic().interval(50), outcomes=told))
    assert reading(analysis, "accuracy").outcome is Outcome.FAIL
    assert reading(analysis, "accuracy").estimate == pytest.approx(0.15)
    assert "accuracy" not in {each.check for each in passed().readings()}


def test_scores_are_compared_bin_by_bin_and_other_bins_left_out() -> None:
    analysis = Analysis(SETTINGS)
    analysis.begin_step(50)
    for _ in range(60):
        analysis.add(replace(Traffic().interval(50), scores=Tracks((100.0, 100.0, 0.0), (60.0, 140.0, 0.0))))
    analysis.add(replace(Traffic().interval(50), scores=Tracks((100.0,), (100.0,))))
    assert reading(analysis, "scores").outcome is Outcome.FAIL
    assert reading(analysis, "scores").estimate == pytest.approx(0.2)


def test_another_process_continues_where_one_stopped() -> None:
    whole, halves, seen = Analysis(SETTINGS, EXPECTED), Analysis(SETTINGS, EXPECTED), 0
    golden = Golden(Pairs(1000, 9, 0.0, 0.4), 4, 5)
    whole.add_golden(golden)
    halves.add_golden(golden)
    for one, other in zip(rollout(whole, Traffic()), rollout(halves, Traffic()), strict=True):
        seen += 1
        assert one == other
    told = Interval(
        15, Counts(9, 1), Counts(9, 1), None, Tracks((1.0, 8.0), (9.0, 0.0)), Tracks(Outcomes(3, 2), Outcomes(3, 3))
    )
    halves = Analysis.from_json(json.loads(json.dumps(halves.to_json(), allow_nan=False)))
    for analysis in (whole, halves):
        analysis.add(told)
        analysis.add_pairs(Pairs(10, 1, 0.1, 0.01))
    assert halves.readings() == whole.readings()
    assert halves.to_json() == whole.to_json()
    assert halves.may_advance() == whole.may_advance()
    assert seen == 184
    assert len(json.dumps(whole.to_json())) < 200 * seen


def test_a_gap_outlives_the_process_that_saw_it() -> None:
    analysis = passed()
    analysis.add_gap()
    assert Analysis.from_json(analysis.to_json()).verdict() is Outcome.NOT_YET


def test_nothing_required_is_no_pass() -> None:
    assert together([]) is Outcome.NOT_YET
    assert together([replace(reading(passed(), "errors"), required=False)]) is Outcome.NOT_YET


def test_a_version_at_twice_its_margin_does_not_pass() -> None:
    analysis = Analysis(replace(SETTINGS, errors_ceiling=1.0))
    for _ in rollout(analysis, Traffic(errors=0.005), last=60):
        pass
    assert reading(analysis, "errors").outcome is not Outcome.PASS


def test_alpha_is_divided_among_all_checks() -> None:
    assert sum(SETTINGS.alpha_of(check) for check in SHARES) == pytest.approx(SETTINGS.alpha)


def test_settings_are_those_of_the_chart() -> None:
    values = yaml.safe_load((Path(__file__).parents[4] / "helm/serving/values.yaml").read_text(encoding="utf-8"))
    settings = AnalysisSettings.from_slo(values["slo"], interval_seconds=5.0)
    assert settings.errors == Margin(0.002, 0.002)
    assert settings.errors_ceiling == pytest.approx(0.001)
    assert settings.slow_ceiling == pytest.approx(0.01)
    assert settings.flips.fail == pytest.approx(settings.flips.accept / 5)
    assert settings.interval_seconds == 5.0


@pytest.mark.parametrize(("errors", "outcome"), [(0.2, Outcome.FAIL), (0.0, Outcome.NOT_YET)])
def test_errors_of_copies_are_the_canarys_while_it_has_no_user(errors: float, outcome: Outcome) -> None:
    analysis = Analysis(SETTINGS)
    analysis.begin_step(0)
    for _ in range(30):
        copied = Counts(20, round(20 * errors))
        analysis.add(Interval(15, Counts(250, 0), NOTHING, copies=copied, gateway=Tracks(Counts(250, 0), NOTHING)))
        analysis = Analysis.from_json(json.loads(json.dumps(analysis.to_json())))
    (read,) = (each for each in analysis.readings() if each.check == "errors")
    assert read.outcome is outcome
    # Nobody timed them, so they say nothing of slow answers; and users' requests come before them.
    (slow,) = (each for each in analysis.readings() if each.check == "slow")
    assert slow.outcome is Outcome.NOT_YET
    assert Interval(15, NOTHING, Counts(9, 0), copies=Counts(9, 9)).answered == Counts(9, 0)
    assert not Interval(15, NOTHING, NOTHING, copies=Counts(9, 10)).usable()
