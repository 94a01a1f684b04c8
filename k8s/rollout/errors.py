"""What stops a rollout's driver; each error is one sentence for the person at the terminal, with an exit status.

RolloutError       1, the cluster or a program did not do what it was asked
 ├── Unreachable   1, the API server, a pod or helm did not answer
 │    ├── NotThere 1, there is no such object
 │    └── Silent   1, the canary gives no answer, and stable does
 ├── Refused       2, this cannot be begun, and nothing was changed
 ├── Held          3, the rollout stands where it is until a person decides
 ├── RolledBack    4, the old version has all traffic again
 └── Taken         5, another driver has the rollout
"""

from typing import ClassVar


class RolloutError(Exception):
    """One sentence; ``status`` is the command's exit status."""

    status: ClassVar[int] = 1


class Unreachable(RolloutError):
    """Something that was asked did not answer, or not as it should."""


class NotThere(Unreachable):
    """The API server has no such object."""


class Silent(Unreachable):
    """The canary gives no answer to what stable answers, by the same way."""


class Refused(RolloutError):
    """What was asked for cannot be begun."""

    status = 2


class Held(RolloutError):
    """The driver stops and leaves weights and pods as they are."""

    status = 3


class RolledBack(RolloutError):
    """The canary is out."""

    status = 4


class Taken(RolloutError):
    """Another driver holds the Lease."""

    status = 5
