"""The statistics of a canary: evidence in, verdict out; pure functions without input or output.

``Analysis`` collects what the driver reads and says pass, fail or not yet; ``plan`` says beforehand how long it takes.
The method, its assumptions and where it breaks: docs/canary-statistics.md.
"""

from k8s.rollout.analysis.analysis import Analysis
from k8s.rollout.analysis.evidence import Counts, Expectation, Golden, Interval, Outcomes, Pairs, Tracks
from k8s.rollout.analysis.planning import Plan, pairs_asked, plan
from k8s.rollout.analysis.reading import Outcome, Reading
from k8s.rollout.analysis.settings import AnalysisSettings, Margin

__all__ = [
    "Analysis",
    "AnalysisSettings",
    "Counts",
    "Expectation",
    "Golden",
    "Interval",
    "Margin",
    "Outcome",
    "Outcomes",
    "Pairs",
    "Plan",
    "Reading",
    "Tracks",
    "pairs_asked",
    "plan",
]
