import numpy as np
import pytest

from k8s.rollout.analysis.betting import BLOCK, blocks, log_wealth


def loop(stable: list[tuple[int, int]], canary: list[tuple[int, int]]) -> list[tuple[float, float]]:
    """Difference and weight of each block, one interval after the other."""
    found, weight, sums, seen = [], 0.0, 0.0, 0
    for (n_s, e_s), (n_c, e_c) in zip(stable, canary, strict=True):
        if n_s and n_c:
            here = n_s * n_c / (n_s + n_c)
            weight += here
            sums += here * (e_c / n_c - e_s / n_s)
        before, seen = seen // BLOCK, seen + n_c
        if seen // BLOCK > before:
            if weight:
                found.append((sums / weight, weight))
            weight = sums = 0.0
    return found


@pytest.mark.parametrize("rate", [0.5, 6.0, 19.0, 200.0])
def test_blocks_are_those_of_a_loop(rate: float) -> None:
    rng = np.random.default_rng(1)
    n_s, n_c = rng.poisson(3 * rate, 200), rng.poisson(rate, 200)
    e_s, e_c = rng.binomial(n_s, 0.05), rng.binomial(n_c, 0.1)
    expected = loop(
        list(zip(n_s.tolist(), e_s.tolist(), strict=True)), list(zip(n_c.tolist(), e_c.tolist(), strict=True))
    )
    seen = blocks((n_s, e_s), (n_c, e_c))
    closed = seen.weight > 0
    assert seen.weight[closed] == pytest.approx([weight for _, weight in expected])
    assert seen.difference[closed] == pytest.approx([difference for difference, _ in expected])


def test_what_hits_both_tracks_at_once_is_no_difference() -> None:
    # Pooled, the canary has 30 % errors and stable 12 %, though they are alike in each interval.
    stable = ([900, 900, 100], [9, 9, 50])
    canary = ([100, 100, 900], [1, 1, 450])
    assert blocks(stable, canary).difference == pytest.approx([0, 0, 0])


def test_a_rate_is_known_before_the_block_that_it_scales() -> None:
    quiet = blocks(([100, 100], [0, 0]), ([100, 100], [0, 0]))
    loud = blocks(([100, 100], [0, 90]), ([100, 100], [0, 90]))
    assert (quiet.spread == loud.spread).all()
    assert quiet.calm.all()
    assert not loud.calm[1]


def test_no_requests_are_no_evidence() -> None:
    seen = blocks(([100, 0, 100], [1, 0, 1]), ([0, 100, 0], [0, 50, 0]))
    assert (seen.weight == 0).all()
    assert (log_wealth(seen.difference - 0.1, seen.weight, 1.0) == 0).all()


def test_wealth_is_the_mean_of_products() -> None:
    excess, weight = np.array([0.2, -0.1, 0.4]), np.array([1.0, 2.0, 1.0])
    by_hand = np.mean([np.prod(1 + kappa * weight * excess) for kappa in (0.1, 0.3)])
    assert log_wealth(excess, weight, 0.5, kappas=(0.1, 0.3))[-1] == pytest.approx(np.log(by_hand))


def test_the_worst_block_leaves_a_tenth() -> None:
    assert log_wealth(np.array([-1.0]), np.array([1e9]), 1.0)[-1] == pytest.approx(np.log(0.1))


def test_wealth_grows_by_luck_as_seldom_as_ville_says() -> None:
    """At any of 400 looks; a fixed bet at every look of a z-test would be beyond its 5 % level in most of them."""
    rng = np.random.default_rng(2)
    tosses = rng.choice([-1.0, 1.0], (4000, 400))
    for alpha in (0.05, 0.2):
        beyond = (log_wealth(tosses, np.ones_like(tosses), 1.0) >= np.log(1 / alpha)).any(-1).mean()
        assert alpha / 20 < beyond <= alpha
