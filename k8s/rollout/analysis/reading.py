"""What a check says, and all of them together."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Of a check, or of all."""

    PASS = "pass"  # noqa: S105 - a word, no secret
    FAIL = "fail"
    NOT_YET = "not yet"


@dataclass(frozen=True)
class Reading:
    """What one check says now.

    Shares and bounds are fractions, not percent; in ``sentence`` they are percentage points.
    """

    check: str
    """``errors``, ``slow``, ``gateway``, ``errors ceiling``, ``slow ceiling``, ``golden``, ``flips``, ``score shift``,
    ``score spread``, ``scores`` or ``accuracy``."""
    outcome: Outcome
    required: bool
    """Whether nothing is promoted without a pass of it. The others can only fail."""
    sentence: str
    """For people: what was seen, and what follows."""
    evidence: int
    """What was looked at: requests of the canary, pairs, golden rows or outcomes of feedback."""
    margin: float
    """By how much the canary may be worse for a pass."""
    estimate: float | None = None
    """By how much it is worse, None without evidence."""
    lower: float | None = None
    """Above ``margin`` it is a fail; a bound that holds at every look, so it may be looked at as often as one likes."""
    upper: float | None = None
    """Below ``margin`` it is a pass. Both bound means of clipped differences, this one's clipped lower; None where it
    would be below ``lower`` or the estimate, which nothing clips."""


def together(readings: list[Reading]) -> Outcome:
    """Fail if any fails, pass if every required check passes and there is one, else not yet."""
    if any(reading.outcome is Outcome.FAIL for reading in readings):
        return Outcome.FAIL
    required = [reading.outcome for reading in readings if reading.required]
    return Outcome.PASS if required and all(each is Outcome.PASS for each in required) else Outcome.NOT_YET
