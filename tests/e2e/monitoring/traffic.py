"""Users of one release: requests of the published generator at a steady rate, and outcomes told by feedback."""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, Self

import httpx

from loadtests.requests import battles, load_attacks
from tests.e2e.load import REST

SEED: Final = 77
ONE: Final = {"pokemon_a": "mew", "pokemon_b": "onix", "available_moves_a": ["surf"], "available_moves_b": ["tackle"]}
"""What shifted traffic asks, all the time."""

Body = dict[str, Any]


def reference() -> Iterator[Body]:
    """Requests as the model's reference was made of, by another seed."""
    return (battle.body() for battle in battles(load_attacks(), SEED))


def shifted() -> Iterator[Body]:
    """The same duel for ever."""
    return itertools.repeat(ONE)


class Traffic:
    """Asks from a thread of its own until the block ends.

    Args:
        host: that leads to the release.
        rate: requests a second, at most.
        bodies: what is asked.
        right: share of the predictions that the outcomes confirm; None tells no outcome.
    """

    def __init__(self, host: str, rate: float, bodies: Iterator[Body], right: float | None = None) -> None:
        self.answers: Counter[int] = Counter()
        self._headers = {"Host": host}
        self._rate, self._bodies, self._right = rate, bodies, right
        self._random = random.Random(SEED)  # noqa: S311  no secret
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(60)

    def _run(self) -> None:
        url = "http://{}:{}".format(*REST)
        due = time.monotonic()
        with httpx.Client(base_url=url, headers=self._headers, timeout=20) as client:
            while not self._end.wait(max(0.0, due - time.monotonic())):
                due = max(due + 1 / self._rate, time.monotonic())
                try:
                    answer = client.post("/predict/battle", json=next(self._bodies))
                    self.answers[answer.status_code] += 1
                    if answer.status_code == 200 and self._right is not None:
                        client.post("/feedback", json=self._outcome(answer.json()))
                except httpx.TransportError:
                    self.answers[0] += 1

    def _outcome(self, answer: Body) -> Body:
        said = "a" if answer["win_probability"] >= 0.5 else "b"
        other = {"a": "b", "b": "a"}[said]
        assert self._right is not None
        return {
            "prediction_id": answer["prediction_id"],
            "outcome": said if self._random.random() < self._right else other,
            "move_a": answer["recommended_move"],
            "move_b": answer["all_moves"][0]["best_reply"],
        }
