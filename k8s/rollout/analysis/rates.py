"""Shares of errors, of slow answers or of wrong predictions: canary against stable."""

from typing import Final

import numpy as np

from k8s.rollout.analysis.betting import KAPPAS, Blocks, Floats, log_wealth, stakes, tracked
from k8s.rollout.analysis.betting import blocks as make_blocks

FINE: Final = 0.01
"""Least clip, as a share: five margins of 0.2 points."""
FINE_SPREADS: Final = 2.5
"""Of the noise, where that is more: noise that is clipped hides what it is added to."""
GROSS_BELOW: Final = 0.01
GROSS_SPREADS: Final = 1.5
GROSS_ABOVE: Final = 0.08
GROSS_KAPPA: Final = 6.0
GROSS_SLACK: Final = 0.003
"""Added to the margin, since clipping lower below than above favours a fail. With the margin it is 6 % of the clip
above: in as many blocks anything at all may happen to a canary that is otherwise as good as stable."""
IN_BETS: Final = 0.9
"""Share of the wealth that is bet at first; the rest waits for a fault that comes late."""
PASS: Final = 0.02
PASS_SPREADS: Final = 5.0
_FIXED: Final = 1e6
"""Requests of a track whose share is known."""


def against(blocks: Blocks, margin: Floats | float) -> Floats:
    """Log wealth [..., interval] of bets that the canary is worse by more than ``margin``.

    Half of it bets on small differences that last, clipped alike on both sides, so that no single block decides; half
    on gross ones, clipped less above than below, so that a few bad blocks of a dozen suffice.
    """
    clip = np.maximum(FINE, FINE_SPREADS * blocks.spread)
    excess = np.clip(blocks.difference, -clip, clip) - margin
    factors = [1 + stakes(blocks.weight, clip + margin, kappa) * excess for kappa in KAPPAS]
    below = np.maximum(GROSS_BELOW, GROSS_SPREADS * blocks.spread)
    above = np.where(blocks.calm, np.maximum(GROSS_ABOVE, below), below)
    excess = np.clip(blocks.difference, -below, above) - (margin + GROSS_SLACK)
    gross = 1 + stakes(blocks.weight, below + margin + GROSS_SLACK, GROSS_KAPPA) * excess
    prior = [IN_BETS / 2 / len(KAPPAS)] * len(KAPPAS) + [IN_BETS / 2]
    return tracked([*factors, gross], prior, blocks.weight > 0)


def in_favour(blocks: Blocks, margin: Floats | float) -> Floats:
    """Log wealth [..., interval] of bets that the canary is worse by less than ``margin``."""
    clip = np.maximum(PASS, PASS_SPREADS * blocks.pooled)
    excess = margin - np.clip(blocks.difference, -clip, clip)
    return log_wealth(excess, blocks.weight, clip - margin)


def estimate(blocks: Blocks) -> float | None:
    """The difference over all blocks [interval], with nothing clipped; None without a block."""
    total = blocks.weight.sum()
    return float((blocks.weight * blocks.difference).sum() / total) if total > 0 else None


def ceiling_blocks(stable: tuple[Floats, Floats], canary: tuple[Floats, Floats], ceiling: float) -> Blocks:
    """Blocks of the canary against a ceiling, or against stable in intervals in which stable is above it."""
    requests, events = stable
    share = np.maximum(events / np.maximum(requests, 1.0), ceiling)
    return make_blocks((np.full_like(share, _FIXED), _FIXED * share), canary)
