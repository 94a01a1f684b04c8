import math

import pytest

from k8s.rollout.analysis import AnalysisSettings, Expectation, pairs_asked, plan

SETTINGS = AnalysisSettings()
EXPECTED = Expectation(pairs=50_000, flip_rate=0.005, mean_score_shift=0.0, score_shift_variance=0.0004)


def test_more_traffic_is_a_quicker_verdict_down_to_the_steps_themselves() -> None:
    some, more, most = (plan(rate, SETTINGS) for rate in (300, 1_000, 10_000))
    assert some.minutes > more.minutes > most.minutes
    assert most.minutes == sum(most.step_minutes) == 5 * (4 + 12) * 15 / 60
    assert most.errors_excess is not None
    assert some.errors_excess is not None
    assert most.errors_excess < some.errors_excess


def test_steps_that_would_see_nothing_are_left_out() -> None:
    assert plan(1_000, SETTINGS).weights == (1, 5, 10, 25, 50)
    assert plan(100, SETTINGS).weights == (10, 25, 50)
    assert plan(1, SETTINGS).weights == (50,)


def test_too_little_traffic_says_so() -> None:
    nothing = plan(1, SETTINGS)
    assert math.isinf(nothing.minutes)
    assert plan(0, SETTINGS).errors_excess is None


def test_pairs_say_what_excess_of_flips_they_find() -> None:
    few = plan(1_000, SETTINGS, pairs_per_minute=20, expectation=EXPECTED)
    many = plan(1_000, SETTINGS, pairs_per_minute=500, expectation=EXPECTED)
    assert few.flips_excess is not None
    assert many.flips_excess is not None
    assert many.flips_excess < few.flips_excess
    assert 20 < many.pairs_needed < 500
    assert plan(1_000, SETTINGS).flips_excess is None


def test_a_rate_that_is_high_takes_longer() -> None:
    low, high = plan(1_000, SETTINGS, slow_share=0.001), plan(1_000, SETTINGS, slow_share=0.005)
    assert high.minutes > low.minutes
    assert high.minutes == pytest.approx(sum(high.step_minutes))


def test_little_traffic_asks_for_fewer_pairs_but_for_some() -> None:
    assert [pairs_asked(rate, SETTINGS) for rate in (1_000, 100, 50, 5, 0)] == [200, 150, 75, 20, 20]
