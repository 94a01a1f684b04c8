"""How many users there are at each moment of a run."""

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

Curve: TypeAlias = Callable[[float], float]
"""Share of the users, above 0 and at most 1, at a share of the run in [0, 1)."""

RAMP_UNTIL: Final = 0.8
"""Share of a ramp that rises; the rest holds what it came to."""
SPIKE: Final = (0.4, 0.6)
"""Shares of the run between which a spike stands."""
SPIKE_BASE: Final = 0.25
"""Share of the users around a spike."""
SOAK_RISE: Final = 0.05
"""Share of a soak in which its users come."""


def steady(at: float) -> float:  # noqa: ARG001  every curve takes the moment
    """All users from the start to the end."""
    return 1.0


def ramp(at: float) -> float:
    """From one user to all of them in even steps, then all."""
    return min(1.0, at / RAMP_UNTIL)


def spike(at: float) -> float:
    """A quarter of the users, and for a fifth of the run in its middle all of them at once."""
    return 1.0 if SPIKE[0] <= at < SPIKE[1] else SPIKE_BASE


def soak(at: float) -> float:
    """All users for long, coming one after another."""
    return min(1.0, at / SOAK_RISE)


class Shape(NamedTuple):
    """A curve and how long it is run where nobody says.

    Attributes:
        curve: share of the users by share of the run.
        seconds: default length of the run.
    """

    curve: Curve
    seconds: float

    def users(self, at: float, seconds: float, users: int) -> int | None:
        """Users there should be.

        Args:
            at: seconds since the start.
            seconds: length of the run.
            users: most users.

        Returns:
            1 to ``users``; None at the end of the run.
        """
        if at >= seconds:
            return None
        return min(users, max(1, math.ceil(users * self.curve(at / seconds))))


SHAPES: Final = MappingProxyType(
    {"steady": Shape(steady, 60), "ramp": Shape(ramp, 60), "spike": Shape(spike, 60), "soak": Shape(soak, 600)}
)
