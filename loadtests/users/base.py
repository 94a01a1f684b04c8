"""What users of all doors share: the run they are part of, their pace, and how an answer is counted."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from locust import User
from locust.env import Environment

from loadtests.requests import Battle
from loadtests.tally import Tally

TIMEOUT_SECONDS: Final = 10.0
"""How long a user waits for an answer; none within it is a failure."""
PAUSE_SECONDS: Final = 0.1
"""How long a user waits after a failure, so that a server that refuses everybody is not counted the faster for it."""


@dataclass
class Run:
    """What users ask for, and where they count what comes back.

    Attributes:
        battles: requests of the battle route; all its users draw from this one.
        batches: requests of the Open Inference Protocol, each to be asked as its rows.
        tally: counts.
        model: name of the model in the protocol's paths.
        grpc: host and port of the gRPC door.
        pace: requests a second of each user; 0 is one after another.
        feedback: share of the battle answers that is answered with an outcome.
        rng: draws outcomes.
        api_key: sent as ``x-api-key`` where there is one.
    """

    battles: Iterator[Battle]
    batches: Iterator[Battle]
    tally: Tally
    model: str
    grpc: str
    pace: float
    feedback: float
    rng: random.Random
    api_key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Headers, or gRPC metadata, of every request."""
        return {} if self.api_key is None else {"x-api-key": self.api_key}


class Load(Environment):
    """Locust's environment with our run in it."""

    def __init__(self, run: Run, **settings: Any) -> None:
        super().__init__(**settings)
        self.run = run


class PacedUser(User):
    """Asks ``Run.pace`` times a second, or again as soon as it has an answer."""

    abstract = True
    door = ""
    """What its requests are counted as."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        assert isinstance(environment, Load)  # noqa: S101  for the type checker: only load.py makes users
        self.plan = environment.run
        self.asked = 0
        self.failed = False
        self._due = time.monotonic()

    def wait_time(self) -> float:
        """Seconds until the next request is due; one that is late does not hurry those after it."""
        pause = PAUSE_SECONDS if self.failed else 0.0
        if not self.plan.pace:
            return pause
        now = time.monotonic()
        self._due = max(self._due + 1 / self.plan.pace, now)
        return max(self._due - now, pause)

    def next_ident(self) -> str:
        """An id for the next request, which no other request of the run has."""
        self.asked += 1
        return f"{id(self):x}-{self.asked}"

    def fail(self, kind: str, detail: str) -> str:
        """Remember a failure; returns what Locust shows for it."""
        self.failed = True
        self.plan.tally.example(kind, detail)
        return kind
