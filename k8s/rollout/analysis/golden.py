"""The golden rows: judged once, before a user's request is at stake."""

import math
from typing import Final

from k8s.rollout.analysis.evidence import Expectation, Golden
from k8s.rollout.analysis.settings import AnalysisSettings

SHIFT: Final = 0.5
"""Standard deviations of the expected difference: golden rows are not drawn as the gate's requests are."""


def binomial_tail(n: int, k: int, p: float) -> float:
    """Chance of ``k`` or more of ``n`` at rate ``p``, exact."""
    if k <= 0:
        return 1.0
    if p <= 0.0:
        return 0.0
    log_p, log_q = math.log(p), math.log1p(-min(p, 1 - 1e-12))
    terms = (
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * log_p + (n - i) * log_q
        for i in range(k, n + 1)
    )
    return min(math.fsum(math.exp(term) for term in terms), 1.0)


def golden_rate(expectation: Expectation, settings: AnalysisSettings) -> float:
    """Rate of flips above which golden rows flip too often: twice the expected one and the accepted margin."""
    return min(2 * expectation.flip_rate + settings.flips.accept, 0.5)


def faults(golden: Golden, expectation: Expectation | None, settings: AnalysisSettings, alpha: float) -> list[str]:
    """A sentence for each way in which the canary answers the golden rows wrongly; together ``alpha`` by luck."""
    found = []
    pairs, worse, better = golden.pairs, golden.stable_only_right, golden.canary_only_right
    if binomial_tail(worse + better, worse, 0.5) <= alpha / 3:
        found.append(f"it gets {worse} rows wrong that stable gets right, and {better} the other way round")
    if expectation is None or pairs.pairs < 1:
        return found
    rate = golden_rate(expectation, settings)
    if binomial_tail(int(pairs.pairs), int(pairs.flips), rate) <= alpha / 3:
        found.append(f"{pairs.flips:.0f} of {pairs.pairs:.0f} answers differ, where {expectation.flip_rate:.2%} may")
    deviation = max(math.sqrt(expectation.score_shift_variance), 1e-3)
    off = (pairs.difference_sum / pairs.pairs - expectation.mean_score_shift) / deviation
    z = (abs(off) - SHIFT) * math.sqrt(pairs.pairs)
    if z > 0 and math.erfc(z / math.sqrt(2)) <= alpha / 3:
        found.append(f"scores are off by {off:+.1f} standard deviations of the expected difference")
    return found
