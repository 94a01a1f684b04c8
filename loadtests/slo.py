"""The service level objectives of a values file, and whether a run met them."""

import math
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import yaml

_ROOT: Final = Path(__file__).resolve().parents[1]
CHART: Final = _ROOT / "helm/serving/values.yaml"
RISK: Final = 0.05
"""How likely chance alone may be: as the cause of a flawless run, and as that of a small run's failures."""


class NotMeasured(Exception):
    """Nothing can be said of the service; the message is one sentence that says why."""


@dataclass(frozen=True)
class Slo:
    """What is promised.

    Attributes:
        availability: percent of the requests that must be answered rightly.
        threshold: seconds within which an answer is in time.
        latency: percent of the right answers that must be in time.
    """

    availability: float
    threshold: float
    latency: float


class Outcome(Enum):
    """What a run says of one objective."""

    MET = "met"
    MISSED = "missed"
    UNKNOWN = "too few requests to tell"


@dataclass(frozen=True)
class Verdict:
    """One objective and what came of it.

    Attributes:
        name: availability or latency.
        objective: percent of good ones that is promised.
        total: how many were judged.
        bad: how many of them were not good.
        outcome: of it.
    """

    name: str
    objective: float
    total: int
    bad: int
    outcome: Outcome

    @property
    def needed(self) -> int:
        """How many must be judged before a yes is worth something."""
        return needed(self.objective)


def load(path: Path) -> Slo:
    """Read the block ``slo`` of a values file; other blocks, and what else is in this one, are left alone.

    Raises:
        NotMeasured: the file cannot be read, or an objective is missing or out of range.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise NotMeasured(f"{path} cannot be read as YAML: {type(error).__name__}.") from error
    return Slo(
        availability=_number(path, values, "availability", "objective", below=100),
        threshold=_number(path, values, "latency", "threshold", below=3600),
        latency=_number(path, values, "latency", "objective", below=100),
    )


def _number(path: Path, values: Any, group: str, name: str, below: float) -> float:
    found = values
    for key in ("slo", group, name):
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < below:
        raise NotMeasured(f"{path} needs a number above 0 and below {below:g} at slo.{group}.{name}.")
    return float(found)


def needed(objective: float) -> int:
    """Fewest requests whose flawless run shows an objective in percent, at a risk of ``RISK``: 2,995 for 99.9."""
    return math.ceil(math.log(RISK) / math.log(objective / 100))


def judge(name: str, objective: float, total: int, bad: int) -> Verdict:
    """Hold counts against an objective.

    A share below the objective is a miss, of few requests only where chance alone would hardly do that: where a service
    that just meets the objective has so many bad ones with a probability below ``RISK`` (exact binomial tail).
    """
    # 1 - 99.9 / 100 is not 0.001 in binary, and the bad one that is still allowed must not be one too many.
    allowed = 1 - Fraction(str(objective)) / 100
    if bad > allowed * total and (total >= needed(objective) or _tail(total, bad, float(allowed)) < RISK):
        outcome = Outcome.MISSED
    elif total < needed(objective):
        outcome = Outcome.UNKNOWN
    else:
        outcome = Outcome.MET
    return Verdict(name, objective, total, bad, outcome)


def _tail(total: int, bad: int, share: float) -> float:
    """Probability of at least ``bad`` among ``total`` that are bad with a probability of ``share`` each."""
    below = (
        math.exp(
            math.lgamma(total + 1)
            - math.lgamma(k + 1)
            - math.lgamma(total - k + 1)
            + k * math.log(share)
            + (total - k) * math.log1p(-share)
        )
        for k in range(bad)
    )
    return 1 - math.fsum(below)
